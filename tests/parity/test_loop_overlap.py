"""Two transactions of one worker: the second begins while the first ends, for many records, and is worth nothing without it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.errors import Transient
from vigimesh.events.codec import Codec
from vigimesh.loop import run as run_module
from vigimesh.loop import throttle as throttle_module
from vigimesh.loop.broker import InDoubt, Part, Position, Write
from vigimesh.loop.hand import Hand
from vigimesh.loop.outcome import Answers, Input, Need
from vigimesh.loop.worker import OVERLAP, Worker
from waiting import WAIT_S, until_async
from worlds import WORLDS, FaultyProducer, MemoryWorld, World, copier, drive, once, work, world_of

world = pytest.fixture(params=WORLDS)(world_of)


@dataclass
class Slow:
    """A producer whose commits wait until they are let go; what was asked of it is kept in the order it was asked."""

    inner: FaultyProducer
    name: str
    log: list[tuple[str, str]]
    gate: asyncio.Event

    def expire(self) -> None:
        self.log.append((self.name, "expire"))
        self.inner.expire()

    async def renew(self) -> None:
        await self.inner.renew()

    def begin(self) -> None:
        self.log.append((self.name, "begin"))
        self.inner.begin()

    def write(self, record: Write) -> None:
        self.inner.write(record)

    async def send_offsets(self, positions: Mapping[Part, Position], group: Any) -> None:
        self.log.append((self.name, "offsets"))
        await self.inner.send_offsets(positions, group)

    async def commit(self) -> None:
        await self.gate.wait()
        await self.inner.commit()
        self.log.append((self.name, "ended"))

    async def abort(self) -> None:
        self.log.append((self.name, "abort"))
        await self.inner.abort()

    async def close(self) -> None:
        await self.inner.close()


def overlapping(
    world: World, fault: Any = lambda step: None
) -> tuple[Worker, list[tuple[str, str]], asyncio.Event]:
    """Return a worker whose second transaction begins while the first still ends."""
    log: list[tuple[str, str]] = []
    gate = asyncio.Event()
    worker = world.worker(copier())
    one, two = worker.producers
    assert isinstance(one, FaultyProducer)
    assert isinstance(two, FaultyProducer)
    one.fault = fault
    slow = (Slow(one, "a", log, gate), Slow(two, "b", log, gate))
    return replace(worker, producers=slow, overlap=1), log, gate


async def while_ending(
    world: World, log: list[tuple[str, str]], gate: asyncio.Event, sent: list[str]
) -> None:
    """Let the second transaction begin while the first waits; then let both go."""
    await until_async(lambda: ("a", "begin") in log, within_s=WAIT_S, what="the first transaction")
    sent.append(await asyncio.to_thread(world.send, len(sent)))
    await until_async(lambda: ("b", "begin") in log, within_s=WAIT_S, what="the second transaction")
    # What is wrong would be done at once: the loop goes round some more times before the first may end.
    turns = iter(range(5))
    await until_async(lambda: next(turns, None) is None, within_s=WAIT_S, what="some turns")
    gate.set()


def test_a_few_records_that_are_done_while_a_transaction_ends_wait_for_its_end(world: World) -> None:
    sent, seen = [world.send(number) for number in range(3)], set[str]()
    answered = asyncio.Event()

    def wants(case: Input, answers: Answers) -> tuple[Need, ...]:
        return () if case.event_id == sent[0] or answers else (Need(kind="call", key=case.event_id),)

    async def call(need: Need) -> str:
        await answered.wait()
        return need.key

    def outcome(case: Input, answers: Answers) -> None:
        seen.add(case.event_id)

    async def scenario() -> None:
        eager, log, gate = overlapping(world)
        worker = replace(eager, overlap=OVERLAP, stage=copier(outcome, wants, callers={"call": call}))
        running = asyncio.ensure_future(work(worker, until=lambda: len(world.handed_on()) >= 3))
        await until_async(lambda: ("a", "begin") in log, within_s=WAIT_S, what="the first transaction")
        answered.set()
        await until_async(lambda: len(seen) == 3, within_s=WAIT_S, what="the work of two more records")
        gate.set()
        await running
        assert {name for name, what in log if what == "begin"} == {"a"}

    drive(scenario())
    assert Counter(world.handed_on()) == Counter(sent)


def test_what_comes_while_all_in_hand_is_ending_is_taken_together_when_it_has_ended() -> None:
    """In memory: there the first transaction holds the first record, and no positions alone."""
    world = MemoryWorld(Codec(MemorySchemas()))
    sent, seen = [world.send(0)], set[str]()

    def outcome(case: Input, answers: Answers) -> None:
        seen.add(case.event_id)

    async def scenario() -> None:
        eager, log, gate = overlapping(world)
        worker = replace(eager, overlap=OVERLAP, stage=copier(outcome))
        running = asyncio.ensure_future(work(worker, until=lambda: len(world.handed_on()) >= 3))
        await until_async(lambda: ("a", "begin") in log, within_s=WAIT_S, what="the first transaction")
        sent.extend([await asyncio.to_thread(world.send, number) for number in (1, 2)])
        # A poll would be told of them at once.
        turns = iter(range(5))
        await until_async(lambda: next(turns, None) is None, within_s=WAIT_S, what="some turns")
        assert seen == {sent[0]}
        gate.set()
        await running

    drive(scenario())
    assert Counter(world.handed_on()) == Counter(sent)


def test_a_backlog_is_worked_on_while_a_transaction_of_a_few_records_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In memory: both records lie there when the worker looks."""
    world = MemoryWorld(Codec(MemorySchemas()))
    monkeypatch.setattr(throttle_module, "MAX_BATCH", 1)
    monkeypatch.setattr(run_module, "Hand", partial(Hand, limit=1))
    sent, seen = [world.send(0), world.send(1)], set[str]()

    def outcome(case: Input, answers: Answers) -> None:
        seen.add(case.event_id)

    async def scenario() -> None:
        eager, log, gate = overlapping(world)
        worker = replace(eager, overlap=OVERLAP, stage=copier(outcome))
        running = asyncio.ensure_future(work(worker, until=lambda: len(world.handed_on()) >= 2))
        await until_async(lambda: seen == set(sent), within_s=WAIT_S, what="the work of the next record")
        assert ("a", "ended") not in log
        gate.set()
        await running

    drive(scenario())
    assert Counter(world.handed_on()) == Counter(sent)


def test_offsets_are_sent_only_when_the_transaction_before_has_ended(world: World) -> None:
    sent = [world.send(0)]

    async def scenario() -> None:
        worker, log, gate = overlapping(world)
        meanwhile = asyncio.ensure_future(while_ending(world, log, gate, sent))
        await work(worker, until=lambda: meanwhile.done() and len(world.handed_on()) >= 2)
        await meanwhile
        assert log.index(("b", "begin")) < log.index(("a", "ended")) < log.index(("b", "offsets"))

    drive(scenario())
    assert Counter(world.handed_on()) == Counter(sent)


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("commit.before", Transient("VM-1301", what="planted")),
        ("commit.before", InDoubt("VM-1302", what="planted")),
        ("commit.after", InDoubt("VM-1302", what="planted")),
    ],
)
def test_a_transaction_begun_behind_one_that_fails_loses_and_doubles_nothing(
    world: World, error: Transient, step: str
) -> None:
    sent = [world.send(0)]

    async def scenario() -> None:
        worker, log, gate = overlapping(world, once(step, error))
        meanwhile = asyncio.ensure_future(while_ending(world, log, gate, sent))
        await work(worker, until=lambda: meanwhile.done() and len(world.handed_on()) >= 2)
        await meanwhile
        if isinstance(error, InDoubt):
            assert {name for name, what in log if what == "expire"} == {"a", "b"}

    drive(scenario())
    assert Counter(world.handed_on()) == Counter(sent)
    more = world.send(99)
    drive(work(world.worker(copier()), until=lambda: more in world.handed_on()))
    assert Counter(world.handed_on()) == Counter([*sent, more])
