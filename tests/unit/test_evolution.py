"""FULL_TRANSITIVE by rule: what may follow what, held against fastavro's own resolution in both directions."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import fastavro
import pytest

from vigimesh.events.avro import schema_of
from vigimesh.events.classes import CaseReceived, ToolsExecuted
from vigimesh.events.evolution import breaches

Schema = dict[str, Any]
Change = Callable[[Schema], object]

BASE: Schema = {
    "type": "record", "name": "Thing", "namespace": "vigimesh", "doc": "A thing.",
    "fields": [
        {"name": "id", "type": "string", "doc": "its id"},
        {"name": "note", "type": "string", "doc": "a note", "default": ""},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "when"},
        {"name": "end", "type": ["null", "long"], "doc": "or null", "default": None},
        {"name": "parts", "type": {"type": "array", "items": {
            "type": "record", "name": "Part", "namespace": "vigimesh", "doc": "A part.",
            "fields": [{"name": "kind", "type": "string", "doc": "its kind", "default": "a"}]}}, "doc": "parts", "default": []},
        {"name": "first", "type": "vigimesh.Part", "doc": "the first part", "default": {"kind": "a"}},
        {"name": "counts", "type": {"type": "map", "values": "long"}, "doc": "counts", "default": {}},
    ],
}  # fmt: skip
VALUE = {
    "id": "1",
    "note": "n",
    "at": 1,
    "end": 2,
    "parts": [{"kind": "b"}],
    "first": {"kind": "c"},
    "counts": {"x": 1},
}


def add(field: Schema) -> Change:
    return lambda schema: schema["fields"].append({"doc": "new", **field})


def put(place: int, **changes: Any) -> Change:
    return lambda schema: schema["fields"][place].update(changes)


def part_gains_a_field(schema: Schema) -> None:
    schema["fields"][4]["type"]["items"]["fields"].append(
        {"name": "size", "type": "long", "doc": "s", "default": 0}
    )
    schema["fields"][5]["default"] = {"kind": "a", "size": 0}


def reorder(schema: Schema) -> None:
    schema["fields"].append(schema["fields"].pop(0))


ALLOWED: dict[str, Change] = {
    "nothing": lambda schema: None,
    "field with default": add({"name": "more", "type": "string", "default": ""}),
    "nullable field": add({"name": "more", "type": ["null", "string"], "default": None}),
    "another doc": put(0, doc="said better"),
    "another order": reorder,
    "inner field with default": part_gains_a_field,
}
BROKEN: dict[str, tuple[Change, str]] = {
    "field without default": (add({"name": "more", "type": "string"}), "Thing.more: added without a default"),
    "field removed": (lambda s: s["fields"].pop(0), "Thing.id: removed"),
    "field with default removed": (lambda s: s["fields"].pop(1), "Thing.note: removed"),
    "type widened": (put(6, type={"type": "map", "values": "double"}), "Thing.counts{}: type changed from long to double"),
    "type changed": (put(0, type="long"), "Thing.id: type changed from string to long"),
    "logical type lost": (put(2, type="long"), "Thing.at: type changed from long as timestamp-micros to long"),
    "made nullable": (put(0, type=["null", "string"]), "Thing.id: type changed from string to union"),
    "alternative added": (put(3, type=["null", "long", "string"]), "Thing.end: alternatives changed"),
    "default changed": (put(1, default="x"), "Thing.note: default changed from '' to 'x'"),
    "default of another type": (put(1, default=0), "Thing.note: default changed"),
    "default removed": (lambda s: s["fields"][1].pop("default"), "Thing.note: default removed"),
    "inner record renamed": (
        lambda s: (s["fields"][4]["type"]["items"].update(name="Piece"), s["fields"][5].update(type="vigimesh.Piece")),
        "Thing.parts[]: type changed from record Part to record Piece",
    ),
    "inner default of a record changed": (put(5, default={"kind": "z"}), "Thing.first: default changed"),
}  # fmt: skip


def changed(change: Change) -> Schema:
    schema = copy.deepcopy(BASE)
    change(schema)
    return schema


@pytest.mark.parametrize("name", ALLOWED)
def test_an_allowed_change_has_no_breach_and_resolves_both_ways(name: str) -> None:
    newer = changed(ALLOWED[name])
    assert breaches(BASE, newer) == ()
    old, new = fastavro.parse_schema(copy.deepcopy(BASE)), fastavro.parse_schema(copy.deepcopy(newer))
    for writer, reader in ((old, new), (new, old)):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, writer, VALUE)
        out.seek(0)
        read = fastavro.schemaless_reader(out, writer, reader)
        assert isinstance(read, dict)
        assert read["id"] == "1"


@pytest.mark.parametrize("name", BROKEN)
def test_a_breach_is_named_with_its_place(name: str) -> None:
    change, said = BROKEN[name]
    lines = breaches(BASE, changed(change))
    assert any(line.startswith(said) for line in lines), lines


@pytest.mark.parametrize("cls", [CaseReceived, ToolsExecuted])
def test_a_class_may_follow_itself_as_a_registry_prints_it(cls: type) -> None:
    printed = copy.deepcopy(schema_of(cls))

    def without_inherited_namespace(part: Any, outermost: bool = True) -> None:
        if isinstance(part, list):
            for one in part:
                without_inherited_namespace(one, False)
        elif isinstance(part, dict):
            if part.get("type") == "record" and not outermost:
                part.pop("namespace", None)
            for value in part.values():
                without_inherited_namespace(value, False)

    without_inherited_namespace(printed)
    assert breaches(printed, schema_of(cls)) == ()
    assert breaches(schema_of(cls), printed) == ()
