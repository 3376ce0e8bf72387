"""Carrying bytes on must never change what is written."""

from __future__ import annotations

import dataclasses
import io
import json
from datetime import datetime
from typing import Any

import fastavro
import msgspec
import pytest

from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.app.contract.samples import sample
from vigimesh.errors import Refused
from vigimesh.events.avro import schema_of
from vigimesh.events.bodies import Carried, writer_of
from vigimesh.events.classes import (
    CasePlanned,
    CaseRouted,
    EventParked,
    EvidenceRetrieved,
    ReviewRequested,
    ToolsExecuted,
)
from vigimesh.events.codec import Codec
from vigimesh.events.topics import TOPICS, Topic, lane_topic, topic


@pytest.mark.parametrize("row", TOPICS, ids=lambda row: row.name)
def test_parts_make_the_same_bytes_as_the_whole_record(row: Topic) -> None:
    codec = Codec(MemorySchemas())
    event: Any = sample(row.event)
    whole = io.BytesIO()
    plain = msgspec.to_builtins(event, builtin_types=(bytes, datetime))
    fastavro.schemaless_writer(whole, fastavro.parse_schema(schema_of(row.event)), plain)
    data = codec.encode(row.name, event)
    assert data[5:] == whole.getvalue()
    assert codec.decode(row.name, data) == event


def test_what_is_handed_on_is_the_bytes_that_were_read() -> None:
    codec = Codec(MemorySchemas())
    name, onward = lane_topic("plan", "hot"), lane_topic("retrieve", "hot")
    carried: Carried = {}
    read: CaseRouted = codec.decode(name, codec.encode(name, sample(CaseRouted)), carried)
    plan = sample(CasePlanned).plan
    handed_on = codec.encode(onward, CasePlanned(case=read.case, route=read.route, plan=plan), carried)
    fresh = Codec(MemorySchemas()).encode(onward, CasePlanned(case=read.case, route=read.route, plan=plan))
    assert handed_on == fresh


def test_a_changed_part_is_written_anew() -> None:
    codec = Codec(MemorySchemas())
    name = lane_topic("execute", "hot")
    carried: Carried = {}
    read: EvidenceRetrieved = codec.decode(name, codec.encode(name, sample(EvidenceRetrieved)), carried)
    route = dataclasses.replace(read.route, lane="cold", reason="another")
    changed = dataclasses.replace(read, route=route)
    assert codec.decode(name, codec.encode(name, changed, carried)) == changed


def test_what_is_carried_are_the_bytes_of_each_part_by_itself() -> None:
    name = lane_topic("supervise", "hot")
    data = Codec(MemorySchemas()).encode(name, sample(ToolsExecuted))
    carried: Carried = {}
    read: ToolsExecuted = Codec(MemorySchemas()).decode(name, data, carried)
    for value in (read.case, read.route, read.plan, read.triage):
        pieces: list[bytes] = []
        writer_of(type(value))(value, pieces, lambda _: None)
        assert carried[id(value)] == b"".join(pieces)
    for several in (read.passages, read.findings):
        assert carried[id(several)] in data


def test_what_may_be_missing_is_handed_on_as_it_was_read_too() -> None:
    codec = Codec(MemorySchemas())
    name, review = lane_topic("supervise", "hot"), topic("case.review")
    carried: Carried = {}
    read: ToolsExecuted = codec.decode(name, codec.encode(name, sample(ToolsExecuted)), carried)
    asked = dataclasses.replace(sample(ReviewRequested), case=read.case, triage=read.triage)
    assert b"\2" + carried[id(read.case)] in codec.encode(review, asked, carried)
    assert codec.encode(review, asked, carried) == Codec(MemorySchemas()).encode(review, asked)


def test_the_first_event_that_is_read_is_carried_too() -> None:
    name, onward = lane_topic("plan", "hot"), lane_topic("retrieve", "hot")
    data = Codec(MemorySchemas()).encode(name, sample(CaseRouted))
    codec = Codec(MemorySchemas())
    carried: Carried = {}
    read: CaseRouted = codec.decode(name, data, carried)
    planned = CasePlanned(case=read.case, route=read.route, plan=sample(CasePlanned).plan)
    assert carried[id(read.case)] in codec.encode(onward, planned, carried)


def test_a_writer_that_counts_time_otherwise_is_not_taken_for_ours() -> None:
    """Milliseconds and microseconds have the same canonical form; read alike, every moment would be wrong."""
    parked = next(row for row in TOPICS if row.name == "vigimesh.parked")
    event = sample(EventParked)
    theirs = json.loads(json.dumps(schema_of(EventParked)).replace("timestamp-micros", "timestamp-millis"))
    schemas = MemorySchemas()
    number = schemas.register("another-value", theirs)
    out = io.BytesIO()
    plain = msgspec.to_builtins(event, builtin_types=(bytes, datetime))
    fastavro.schemaless_writer(out, fastavro.parse_schema(theirs), plain)
    read: EventParked = Codec(schemas).decode(parked.name, b"\0" + number.to_bytes(4, "big") + out.getvalue())
    assert abs((read.not_before - event.not_before).total_seconds()) < 0.001


def test_a_registered_schema_that_is_no_avro_is_a_fault_of_the_record() -> None:
    schemas = MemorySchemas()
    number = schemas.register(
        "another-value", {"type": "record", "name": "X", "fields": [{"name": "a", "type": "Nowhere"}]}
    )
    with pytest.raises(Refused, match="VM-1002"):
        Codec(schemas).decode("vigimesh.parked", b"\0" + number.to_bytes(4, "big") + b"x")
