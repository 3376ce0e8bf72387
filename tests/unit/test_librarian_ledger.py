"""The librarian's duties of booking and of telling whose product is past its service level, killed wherever it hurts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

import pytest

from clocks import Hand
from served import NOON, cached, seen
from vigimesh import names
from vigimesh.adapters.memory.ledger import MemoryLedger, MemoryMeasurements, Version
from vigimesh.adapters.memory.library import MemoryLibrary
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.adapters.memory.telemetry import MemoryTelemetry
from vigimesh.background.librarian.ledger import Booking, ServiceLevels
from vigimesh.domain.knowledge.ledger import MAX_STEP, Booked, Seen, figures
from vigimesh.domain.knowledge.products import shipped_products
from vigimesh.domain.knowledge.shipped import shipped_documents
from vigimesh.errors import Transient
from vigimesh.events.codec import Codec
from vigimesh.loop.broker import Write

PRODUCTS = shipped_products()
LONG_AGO = date(2020, 1, 1)


class Killed(Exception):
    """The process ended here."""


def booking(measurements: MemoryMeasurements, ledger: MemoryLedger) -> Booking:
    return Booking(measurements=measurements, ledger=ledger, products=PRODUCTS, telemetry=MemoryTelemetry())


def test_nothing_is_booked_twice_when_it_is_killed_before_or_after_the_transaction() -> None:
    log, ledger = MemoryMeasurements([seen(at) for at in range(5)]), MemoryLedger()

    class Dying(MemoryLedger):
        after = False

        def book(self, booked: Booked) -> None:
            if self.after:
                ledger.book(booked)
            raise Killed

    dying = Dying()
    for after in (False, True):
        dying.after = after
        with pytest.raises(Killed):
            asyncio.run(booking(log, dying).step())
    assert len(ledger.used) == 5
    log.log.append(seen(5))
    again = booking(log, ledger)
    assert [asyncio.run(again.step()) for _ in range(2)] == [1, 0]
    assert figures(ledger.counts(LONG_AGO))["questions"] == len(ledger.used) == 6


@pytest.mark.parametrize("earlier", [0, 3])
def test_two_librarians_book_everything_once(earlier: int) -> None:
    log, ledger = MemoryMeasurements([seen(at) for at in range(earlier)]), MemoryLedger()
    other = booking(log, ledger)
    assert asyncio.run(other.step()) == earlier

    class Slow(MemoryMeasurements):
        def after(self, places: Mapping[int, int], most: int) -> tuple[Sequence[Seen], Mapping[int, int]]:
            found = super().after(places, most)
            asyncio.run(other.step())
            return found

    log.log.append(seen(earlier))
    with pytest.raises(Transient, match="VM-2802"):
        asyncio.run(booking(Slow(log.log), ledger).step())
    assert figures(ledger.counts(LONG_AGO))["questions"] == len(ledger.used) == earlier + 1


def test_a_step_is_bounded_and_partitions_go_on_by_themselves() -> None:
    rows = [seen(at, partition=at % 3) for at in range(MAX_STEP + 7)]
    log, ledger = MemoryMeasurements(rows), MemoryLedger()
    duty = booking(log, ledger)
    assert [asyncio.run(duty.step()) for _ in range(3)] == [MAX_STEP, 7, 0]
    assert len(ledger.used) == len(rows)


def test_metrics_say_what_was_served_and_what_should_not_have_been() -> None:
    versions = [
        Version(document_id="vaccine/dtp", version="1.0", loaded_at=NOON - timedelta(days=9)),
        Version(document_id="vaccine/dtp", version="1.1", loaded_at=NOON - timedelta(hours=2)),
    ]
    ledger = MemoryLedger(versions=lambda: versions)
    duty = booking(MemoryMeasurements([seen(0), seen(1, cached("hot"))]), ledger)
    asyncio.run(duty.step())
    telemetry = duty.telemetry
    assert isinstance(telemetry, MemoryTelemetry)
    assert telemetry.total(names.KNOWLEDGE_ANSWERS, level="search", match="none") == 1
    assert telemetry.total(names.KNOWLEDGE_ANSWERS, level="hot", match="exact", product="vaccine_notes") == 1
    assert telemetry.total(names.KNOWLEDGE_GROUNDED) == 2
    assert telemetry.total(names.KNOWLEDGE_FALSE_HITS, reason="superseded") == 1
    assert [value for name, _, value in telemetry.observed if name == names.KNOWLEDGE_AGE.name] == [3_600.0]


class Levels:
    """The duty of service levels over a library whose sources were read at `clock`'s first time."""

    def __init__(self) -> None:
        self.clock = Hand()
        self.library = MemoryLibrary(clock=self.clock)
        self.library.load(shipped_documents())
        self.written: list[Write] = []
        self.fails = False
        self.telemetry = MemoryTelemetry()
        self.codec = Codec(MemorySchemas())
        self.ledger = MemoryLedger()

    async def write(self, writes: Sequence[Write]) -> None:
        if self.fails:
            raise Transient("VM-1301", what="the broker is away", where="here", todo="wait")
        self.written += writes

    def step(self, forward: timedelta = timedelta(0)) -> int:
        self.clock.at_s += forward.total_seconds()
        duty = ServiceLevels(
            library=self.library, ledger=self.ledger, products=PRODUCTS, telemetry=self.telemetry, codec=self.codec,
            desk=self, clock=self.clock,
        )  # fmt: skip
        return asyncio.run(duty.step())

    def overdue(self, product: str) -> float:
        return self.telemetry.levels[names.KNOWLEDGE_OVERDUE.name, (("product", product),)]


def test_a_product_past_its_level_alarms_once_and_again_only_after_recovery() -> None:
    levels = Levels()
    assert levels.step() == levels.step(timedelta(hours=8784)) == 0  # exactly its level is within it
    assert levels.overdue("guidance") == 0
    assert levels.step(timedelta(seconds=1)) == 3
    assert (levels.step(timedelta(days=30)), len(levels.written)) == (0, 3)
    assert levels.overdue("guidance") == 1
    levels.library.load(shipped_documents())  # every source is read again, and none has changed
    assert levels.step() == 0
    assert levels.overdue("guidance") == 0
    assert levels.step(timedelta(hours=8785)) == 3
    first, again = levels.written[0], levels.written[3]
    audit = levels.codec.decode(first.topic, first.value or b"")
    assert (audit.stage, audit.action, first.key) == ("librarian", "alarmed", b"guidance")
    assert "guidance is past its service level since 2027-01-02" in audit.why
    assert audit.why.endswith("Regulatory affairs")
    assert dict(first.headers)["ce_id"] != dict(again.headers)["ce_id"]


def test_a_crossing_that_could_not_be_told_is_told_later_in_the_same_record() -> None:
    levels = Levels()
    levels.fails = True
    with pytest.raises(Transient):
        levels.step(timedelta(hours=8785))
    levels.fails = False
    assert levels.step() == 3
    ids = [dict(one.headers)["ce_id"] for one in levels.written]
    levels.ledger = MemoryLedger()  # killed after the record, before the mark
    assert levels.step() == 3
    assert ids == [dict(one.headers)["ce_id"] for one in levels.written[3:]]


def test_one_source_that_was_not_read_again_is_enough_and_a_new_version_counts_as_read() -> None:
    levels = Levels()
    levels.clock.at_s += timedelta(hours=8785).total_seconds()
    documents = [one for one in shipped_documents() if one.document.id != "guidance/label-change"]
    levels.library.load(documents)
    assert levels.step() == 1
    (left,) = [one for one in shipped_documents() if one.document.id == "guidance/label-change"]
    document = replace(left.document, version="1.1", digest="0" * 64)
    levels.library.load([replace(left, document=document)])
    assert levels.step() == 0
    assert levels.overdue("guidance") == 0
