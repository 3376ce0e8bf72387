"""Labels and gates on memory and on Kafka: what is given is held, moves a gate in the same transaction, and reaches a worker."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clocks import Hand
from vigimesh.adapters.kafka.desks.cascade import SAMPLE, CascadeDesk
from vigimesh.adapters.kafka.gates import GateBook, GateReader
from vigimesh.adapters.memory.cascade import MemoryCascade
from vigimesh.app.operators.cascade_room import Desk, Room
from vigimesh.domain.cascade.certify import Seen
from vigimesh.domain.cascade.sample import key_of
from vigimesh.domain.cascade.shipped import SERIOUS, shipped_model
from vigimesh.events.sampling import CasePlace, CaseSampled
from vigimesh.loop.broker import Write
from waiting import until
from worlds import WORLDS, KafkaWorld, World, world_of

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
FIRST = 59
MODEL = shipped_model(SERIOUS)
CERTIFICATE = next(one for one in MODEL.certificates if str(one.recall) == "19/20")

world = pytest.fixture(params=WORLDS)(world_of)


def test_labels_open_a_gate_that_a_worker_reads(world: World, tmp_path: Path) -> None:
    place = CasePlace(
        product_class=f"class-{uuid.uuid4().hex[:8]}", source="vaers", language="en", model=CERTIFICATE.model, recall="19/20",
        certified=False,
    )  # fmt: skip
    samples = [
        CaseSampled(
            case_id=f"{place.product_class}/{at}", message_id=f"m{at}", workflow="triage", place=place, margin=9.0,
            threshold=-3.0, group=f"g{at}", drawn_at=AT - timedelta(hours=at),
        )
        for at in range(FIRST)
    ]  # fmt: skip
    writes = [Write(SAMPLE, one.case_id.encode(), world.codec.encode(SAMPLE, one)) for one in samples]
    kafka = isinstance(world, KafkaWorld)
    memory = MemoryCascade(world.codec)
    desk: Desk = CascadeDesk(world.base, world.codec) if isinstance(world, KafkaWorld) else memory
    if kafka:
        for write in writes:
            world.append(write)
    else:
        memory.put(writes)
    clock = Hand()
    clock.at_s = (AT - clock.now()).total_seconds()
    room = Room(desk=desk, codec=world.codec, models=(MODEL,), clock=clock)
    file = tmp_path / "labels.jsonl"
    file.write_text("\n".join(json.dumps({"case_id": one.case_id, "serious": True}) for one in samples))

    fresh, moves = room.label(file, "ana")
    assert fresh == FIRST
    assert [(gate.place, gate.open) for gate in moves if gate.place == place] == [(place, True)]
    assert room.label(file, "ana")[0] == 0
    (entry,) = [one for one in room.history(1) if one.place == key_of(place)]
    assert (entry.action, entry.by, entry.at) == ("moved", "ana", AT)
    held = desk.held()
    assert held.gates[place].serious == FIRST
    assert {one.case_id for one in samples} <= set(held.labels)

    if isinstance(world, KafkaWorld):
        reader = GateReader(world.base, world.codec)
        assert reader.closed(place)  # nothing was read yet: relied on by nobody
        reader.start()
        try:
            assert reader.caught_up(30.0)
            assert (reader.seen_of(place), reader.closed(place)) == (Seen(serious=FIRST), "")
            gone = room.shut(key_of(place), "ben", "recalled")
            assert gone.closed
            until(
                lambda: reader.closed(place) == gone.closed,
                what="the gate is closed to a worker",
            )
        finally:
            reader.close()
    else:
        book = GateBook(read=True)
        for gate in held.gates.values():
            book.take(gate)
        assert book.seen_of(place) == Seen(serious=FIRST)
