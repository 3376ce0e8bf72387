"""Carrying bytes on must never change what is written."""

from __future__ import annotations

import dataclasses
import io
from datetime import datetime
from typing import Any

import fastavro
import msgspec
import pytest

from vigimesh.adapters.memory_registry import MemorySchemas
from vigimesh.app.samples import sample
from vigimesh.events.avro import schema_of
from vigimesh.events.classes import CasePlanned, CaseRouted, EvidenceRetrieved
from vigimesh.events.codec import Codec
from vigimesh.events.parts import MAX_REMEMBERED, Remembered, parts_of
from vigimesh.events.topics import TOPICS, Topic, lane_topic


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_parts_make_the_same_bytes_as_the_whole_record(topic: Topic) -> None:
    codec = Codec(MemorySchemas())
    event: Any = sample(topic.event)
    whole = io.BytesIO()
    plain = msgspec.to_builtins(event, builtin_types=(bytes, datetime))
    fastavro.schemaless_writer(whole, fastavro.parse_schema(schema_of(topic.event)), plain)
    data = codec.encode(topic.name, event)
    assert data[5:] == whole.getvalue()
    assert codec.decode(topic.name, data) == event


def test_what_is_handed_on_is_the_bytes_that_were_read() -> None:
    codec = Codec(MemorySchemas())
    name, onward = lane_topic("plan", "hot"), lane_topic("retrieve", "hot")
    read: CaseRouted = codec.decode(name, codec.encode(name, sample(CaseRouted)))
    plan = sample(CasePlanned).plan
    handed_on = codec.encode(onward, CasePlanned(case=read.case, route=read.route, plan=plan))
    fresh = Codec(MemorySchemas()).encode(onward, CasePlanned(case=read.case, route=read.route, plan=plan))
    assert handed_on == fresh


def test_a_changed_part_is_written_anew() -> None:
    codec = Codec(MemorySchemas())
    name = lane_topic("execute", "hot")
    read: EvidenceRetrieved = codec.decode(name, codec.encode(name, sample(EvidenceRetrieved)))
    route = dataclasses.replace(read.route, lane="cold", reason="another")
    changed = dataclasses.replace(read, route=route)
    assert codec.decode(name, codec.encode(name, changed)) == changed


def test_another_value_in_the_place_of_a_forgotten_one_is_not_mistaken_for_it() -> None:
    remembered = Remembered()
    for number in range(MAX_REMEMBERED + 10):
        value = (number, str(number))
        remembered.put(value, str(number).encode())
        assert remembered.get(value) == str(number).encode()
        assert remembered.get((number, "other")) is None


def test_classes_that_carry_a_case_have_it_as_a_part_of_its_own() -> None:
    cls: Any = EvidenceRetrieved
    carried = [part.names for part in parts_of(cls) if part.carried]
    assert carried == [("case",), ("route",), ("plan",), ("passages",)]
