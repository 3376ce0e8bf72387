"""The committed AsyncAPI document is that of the topics table, and holds together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import jsonschema  # type: ignore[import-untyped]  # the package ships no types
import pytest

from vigimesh.app.contract.asyncapi import AVRO_FORMAT, document, document_text
from vigimesh.app.contract.topics_table import BEGIN, END, topics_table_markdown, with_table
from vigimesh.errors import Misconfigured
from vigimesh.events.envelope import Envelope, to_headers
from vigimesh.events.topics import TOPICS, groups

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = document()


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def resolved(reference: str) -> Any:
    found: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def test_the_committed_document_is_current() -> None:
    committed = (ROOT / "docs" / "asyncapi.json").read_text(encoding="utf-8")
    assert committed == document_text(), "run `vigimesh topics asyncapi --write docs/asyncapi.json`"


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert len(found) > len(TOPICS)
    for reference in found:
        assert resolved(reference)


def test_every_topic_is_a_channel_with_its_event_key_and_policy() -> None:
    assert set(DOCUMENT["channels"]) == {topic.name for topic in TOPICS}
    for topic in TOPICS:
        channel = DOCUMENT["channels"][topic.name]
        assert channel["address"] == topic.name
        assert list(channel["messages"]) == [topic.event.__name__]
        kafka = channel["bindings"]["kafka"]
        assert kafka["partitions"] == (1 if topic.partitions == "one" else 4)
        policy = "compact" if topic.policy == "compacted" else "delete"
        assert kafka["topicConfiguration"]["cleanup.policy"] == [policy]
        message = resolved(f"#/components/messages/{topic.event.__name__}")
        assert message["bindings"]["kafka"]["key"]["description"].startswith(topic.key)


def test_every_payload_is_a_whole_avro_schema() -> None:
    for topic in TOPICS:
        payload = DOCUMENT["components"]["schemas"][topic.event.__name__]
        assert payload["schemaFormat"] == AVRO_FORMAT
        parsed: Any = fastavro.parse_schema(payload["schema"])
        assert parsed["name"] == f"vigimesh.{topic.event.__name__}"


def test_every_reader_and_writer_has_its_operation_and_every_group_is_named() -> None:
    operations = DOCUMENT["operations"]
    assert len(operations) == sum(len(topic.writers) + len(topic.readers) for topic in TOPICS)
    bound = {
        (
            operation["bindings"]["kafka"]["groupId"]["enum"][0],
            operation["channel"]["$ref"].removeprefix("#/channels/"),
        )
        for operation in operations.values()
        if "bindings" in operation
    }
    assert bound == {(group, name) for group, names in groups() for name in names}


def headers_of(**changes: str) -> dict[str, str]:
    envelope = Envelope(id="1", source="/vigimesh/router", type="vigimesh.CaseRouted", time=datetime(2026, 1, 2, tzinfo=UTC),
                        subject="default/1", **changes)  # fmt: skip
    return {name: value.decode() for name, value in to_headers(envelope)}


FULL = {
    "dataschema": "/schemas/ids/1",
    "messageid": "m",
    "workflow": "triage",
    "lane": "hot",
    "cause": "product/zelora@2.0",
    "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
}


@pytest.mark.parametrize("changes", [{}, FULL])
def test_headers_as_written_are_as_described(changes: dict[str, str]) -> None:
    described = DOCUMENT["components"]["schemas"]["CloudEventHeaders"]
    headers = headers_of(**changes)
    jsonschema.validate(headers, described)
    assert set(headers) <= set(described["properties"])
    if changes:
        assert set(headers) == set(described["properties"])


@pytest.mark.parametrize("name", ["ce_id", "ce_type", "content-type"])
def test_a_missing_header_is_noticed(name: str) -> None:
    headers = headers_of()
    del headers[name]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(headers, DOCUMENT["components"]["schemas"]["CloudEventHeaders"])


def test_the_document_is_json_and_says_its_version() -> None:
    assert json.loads(document_text())["asyncapi"] == "3.0.0"


def test_the_table_names_every_topic_event_and_role() -> None:
    table = topics_table_markdown()
    for topic in TOPICS:
        assert f"[{topic.event.__name__}](schemas/{topic.schema_file})" in table
        assert (ROOT / "schemas" / topic.schema_file).is_file()
    lines = table.splitlines()
    assert {line.count("|") for line in lines} == {8}
    named = [word for line in lines[2:] for word in line.split("|")[1].split()]
    assert len(named) == len(TOPICS)


def test_the_table_goes_between_its_markers_only() -> None:
    text = f"before\n{BEGIN}\nstale line\n{END}\nafter\n"
    new = with_table(text, "README.md")
    assert new.startswith(f"before\n{BEGIN}\n| topic")
    assert new.endswith(f"{END}\nafter\n")
    assert "stale line" not in new
    assert with_table(new, "README.md") == new


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}{BEGIN}"])
def test_missing_markers_are_an_error(text: str) -> None:
    with pytest.raises(Misconfigured, match=r"README\.md"):
        with_table(text, "README.md")
