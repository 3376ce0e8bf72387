"""The printed schemas are those of the classes, and every version ever published can still be read."""

from __future__ import annotations

import dataclasses
import io
import re
import typing
from pathlib import Path

import fastavro
import msgspec
import pytest

from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.app.contract.samples import sample
from vigimesh.app.contract.schema_files import (
    Published,
    avro_bytes,
    event_classes,
    findings,
    folder,
    publish,
    published,
)
from vigimesh.events.avro import schema_of, schema_text
from vigimesh.events.classes import Event
from vigimesh.events.codec import Codec
from vigimesh.events.topics import TOPICS

ROOT = Path(__file__).resolve().parents[2]
CLASSES = event_classes()
VERSIONS = [(cls, version) for cls in CLASSES for version in published(cls, ROOT / "schemas")]


def case_name(value: object) -> str:
    return f"v{value.version}" if isinstance(value, Published) else getattr(value, "__name__", "")


def test_every_event_class_has_a_topic() -> None:
    assert set(CLASSES) == set(typing.get_args(Event))


def test_the_schemas_of_a_checkout_are_found() -> None:
    assert folder() == ROOT / "schemas"


def test_print_publication_and_evolution_are_in_order() -> None:
    assert findings(ROOT / "schemas") == ()


@pytest.mark.parametrize("cls", CLASSES, ids=case_name)
def test_a_schema_names_no_paper_that_its_readers_do_not_have(cls: type) -> None:
    assert re.findall(r"\b(DESIGN|METRICS|DOMAIN|STACK)\b", schema_text(cls)) == []


@pytest.mark.parametrize("cls", CLASSES, ids=case_name)
def test_every_class_is_published(cls: type) -> None:
    assert [version.version for _, version in VERSIONS if _ is cls]


@pytest.mark.parametrize(("cls", "version"), VERSIONS, ids=case_name)
def test_golden_bytes_still_decode_to_the_same_event(cls: type, version: Published) -> None:
    registry = MemorySchemas(registered=False)
    number = registry.register("a writer of that day", version.schema)
    registry.register_all()
    topic = next(topic for topic in TOPICS if topic.event is cls)
    event = Codec(registry).decode(topic.name, b"\x00" + number.to_bytes(4, "big") + version.golden)
    # Fields that came later have their defaults, here and there.
    assert event == msgspec.json.decode(version.sample_json, type=cls)


@pytest.mark.parametrize(("cls", "version"), VERSIONS, ids=case_name)
def test_readers_of_a_published_version_read_todays_bytes(cls: type, version: Published) -> None:
    today, then = fastavro.parse_schema(schema_of(cls)), fastavro.parse_schema(version.schema)
    read = fastavro.schemaless_reader(io.BytesIO(avro_bytes(sample(cls))), today, then)
    assert isinstance(read, dict)
    assert read.keys() == {field["name"] for field in version.schema["fields"]}


@pytest.mark.parametrize("cls", CLASSES, ids=case_name)
def test_todays_bytes_come_back_equal(cls: type) -> None:
    event = sample(cls)
    registry = MemorySchemas()
    codec = Codec(registry)
    for topic in (topic for topic in TOPICS if topic.event is cls):
        data = codec.encode(topic.name, event)
        assert Codec(registry).decode(topic.name, data) == event
        guid = registry.guid_of(codec.schema_id(topic.name))
        assert Codec(registry).decode(topic.name, b"\x01" + guid.bytes + data[5:]) == event


@pytest.mark.parametrize("cls", CLASSES, ids=case_name)
def test_a_sample_differs_from_every_default(cls: type) -> None:
    event = sample(cls)
    for field in dataclasses.fields(cls):
        value = getattr(event, field.name)
        assert value not in (None, "", 0, (), {}, b"")
        assert value != field.default


def test_publishing_again_changes_nothing(tmp_path: Path) -> None:
    made = publish(tmp_path)
    assert made == tuple(f"{cls.__name__} v1" for cls in CLASSES)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert publish(tmp_path) == ()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert findings(tmp_path) == ()


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    publish(tmp_path)
    (tmp_path / "CaseRouted.avsc").write_text("{}")
    (tmp_path / "Forgotten.avsc").write_text("{}")
    frozen = tmp_path / "published" / "HeadMoved" / "v1.avsc"
    frozen.write_text(schema_text(CLASSES[-1]).replace(CLASSES[-1].__name__, "HeadMoved"))
    lines = "\n".join(findings(tmp_path))
    assert "CaseRouted.avsc is not the print of its class" in lines
    assert "Forgotten.avsc belongs to no class" in lines
    assert "HeadMoved breaks published v1" in lines


@pytest.mark.parametrize("cls", CLASSES, ids=case_name)
def test_no_closed_set_is_an_enum(cls: type) -> None:
    assert '"enum"' not in schema_text(cls)
