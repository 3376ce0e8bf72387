"""Work that ends out of order: a slow record holds up only its own key, and nothing committed is done again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from vigimesh.events.classes import EventParked
from vigimesh.events.topics import topic
from vigimesh.loop import gather as gather_module
from vigimesh.loop import run as run_module
from vigimesh.loop.broker import Batch, Leave, Part, Position
from vigimesh.loop.orders import Order
from vigimesh.loop.outcome import Answers, Input, Need
from vigimesh.loop.progress import holds
from vigimesh.loop.stage import Stage
from vigimesh.loop.worker import Worker
from waiting import WAIT_S, until_async
from worlds import (
    INPUT,
    WORLDS,
    Crash,
    FaultyProducer,
    World,
    copier,
    drive,
    work,
    world_of,
)

world = pytest.fixture(params=WORLDS)(world_of)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that a test never answers is left quickly when the worker stops."""
    monkeypatch.setattr(run_module, "STOP_S", 0.5)


def wants_call(case: Input, answers: Answers) -> tuple[Need, ...]:
    return (Need(kind="call", key=case.event.case.message_id),)


@dataclass
class Calls:
    """A source that answers each message at once, but those in `slow`, which wait until they are let go."""

    slow: set[str] = field(default_factory=set)
    made: Counter[str] = field(default_factory=Counter)

    async def __call__(self, need: Need) -> str:
        self.made[need.key] += 1
        await until_async(lambda: need.key not in self.slow, within_s=2 * WAIT_S, what="an answer")
        return "answered"

    def stage(self, **parts: Any) -> Stage:
        return copier(wants=wants_call, callers={"call": self}, **parts)


async def committed(worker: Worker, part: Part) -> Position:
    return (await worker.consumer.committed([part]))[part]


@pytest.mark.parametrize("where", [0, 3])
def test_a_slow_record_holds_up_only_its_own_key(world: World, where: int) -> None:
    calls = Calls()
    sent = [world.send(n, partition=0) for n in range(8)]
    behind = world.send(100, partition=0, key=world.case(where).case_id)
    calls.slow.add(sent[where])
    others = [m for m in sent if m != sent[where]]
    drive(work(world.worker(calls.stage()), until=lambda: set(world.handed_on()) >= set(others)))
    assert behind not in world.handed_on()
    assert sent[where] not in world.handed_on()
    calls.slow.clear()
    drive(work(world.worker(calls.stage()), until=lambda: len(world.handed_on()) >= 9))
    assert Counter(world.handed_on()) == Counter([*sent, behind])
    assert world.handed_on().index(sent[where]) < world.handed_on().index(behind)


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_a_restart_repeats_nothing_that_was_committed(world: World, end: str) -> None:
    """The map beside the offset says what is done beyond the slow record: also when the process dies."""
    calls = Calls()
    sent = [world.send(n, partition=0) for n in range(30)]
    calls.slow.add(sent[0])

    async def first() -> None:
        def most() -> bool:
            return len(world.handed_on()) >= 29

        worker = world.worker(calls.stage())
        if end == "stopped":
            await work(worker, until=most)
            return

        def fault(step: str) -> None:
            if step == "begin" and most():
                raise Crash

        for producer in worker.producers:
            assert isinstance(producer, FaultyProducer)
            producer.fault = fault

        def let_go() -> bool:
            if most():
                calls.slow.clear()
            return False

        with pytest.raises(Crash):
            await work(worker, until=let_go)

    drive(first())
    assert Counter(world.handed_on()) == Counter(sent[1:])
    before = Counter(calls.made)
    calls.slow.clear()
    drive(work(world.worker(calls.stage()), until=lambda: len(world.handed_on()) >= 30))
    assert Counter(world.handed_on()) == Counter(sent)
    again = calls.made - before
    assert set(again) == {sent[0]}


def test_the_committed_position_stands_at_the_slow_record_and_tells_what_is_done_beyond(world: World) -> None:
    calls = Calls()
    sent = [world.send(n, partition=0) for n in range(5)]
    calls.slow.add(sent[1])
    worker = world.worker(calls.stage())
    seen: list[Position] = []

    async def look() -> None:
        looked: list[str] = []

        def look_on() -> bool:
            looked[:] = world.handed_on()
            return bool(seen)

        task = asyncio.ensure_future(work(worker, until=look_on))
        await until_async(lambda: len(looked) >= 4, within_s=WAIT_S, what="what is done")
        seen.append(await committed(worker, Part(INPUT, 0)))
        await task

    drive(look())
    (position,) = seen
    done = [holds(position, position.offset + step) for step in range(4)]
    assert done == [False, True, True, True]
    assert not holds(position, position.offset + 4)


@dataclass
class Ordered:
    """Orders that a test has written."""

    orders: list[Order]

    def in_force(self, lane: str, now: datetime) -> Sequence[Order]:
        return [order for order in self.orders if order.lane == lane]


def test_a_workflow_that_must_wait_is_parked_and_no_other_waits_for_it(world: World) -> None:
    until = datetime.now(UTC) + timedelta(minutes=1)
    order = Order(lane="warm", workflow="held", share_percent=0, expires_at=until, reason="planted")
    held = [world.send(n, partition=0, workflow="held") for n in range(5)]
    free = [world.send(n, partition=0, workflow="free") for n in range(5, 10)]
    stage = replace(copier(), name="planner", lane="warm")
    worker = replace(world.worker(stage), orders=Ordered([order]))
    done = lambda: len(world.handed_on()) >= 5 and len(world.mine(topic("parked"))) >= 5  # noqa: E731
    drive(work(worker, until=done))
    assert Counter(world.handed_on()) == Counter(free)
    waiting: list[EventParked] = [
        world.codec.decode(topic("parked"), r.value) for r in world.mine(topic("parked"))
    ]
    assert {one.event_id for one in waiting} == set(held)
    assert {(one.resume_topic, one.not_before.replace(microsecond=0)) for one in waiting} == {
        (INPUT, until.replace(microsecond=0))
    }


@pytest.mark.parametrize(("stage", "lane"), [("planner", "hot"), ("router", None), ("supervisor", None)])
def test_an_order_never_makes_a_hot_case_wait_nor_what_all_lanes_share(
    world: World, stage: str, lane: str | None
) -> None:
    until = datetime.now(UTC) + timedelta(minutes=1)
    orders = [
        Order(lane=one, workflow="held", share_percent=0, expires_at=until)
        for one in ("hot", "warm", "cold", "all")
    ]
    sent = [world.send(n, workflow="held") for n in range(3)]
    worker = replace(world.worker(replace(copier(), name=stage, lane=lane)), orders=Ordered(orders))
    drive(work(worker, until=lambda: len(world.handed_on()) >= 3))
    assert Counter(world.handed_on()) == Counter(sent)


def test_fetching_stops_while_too_much_is_in_hand_and_goes_on_after(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "MAX_OPEN", 10)
    calls = Calls()
    first = world.send(0, partition=0)
    calls.slow.add(first)
    worker = world.worker(calls.stage())
    sent = [first]

    async def scenario() -> None:
        task = asyncio.ensure_future(work(worker, until=lambda: len(world.handed_on()) >= 60))
        for block in range(6):
            new = [await asyncio.to_thread(world.send, 1 + 10 * block + n) for n in range(10)]
            calls.slow.update(new)
            sent.extend(new)
        await until_async(lambda: sum(calls.made.values()) >= 10, within_s=WAIT_S, what="the calls")
        calls.slow.clear()
        await task

    drive(scenario())
    assert set(world.handed_on()) <= set(sent)
    drive(work(world.worker(calls.stage()), until=lambda: len(world.handed_on()) >= 61))
    assert Counter(world.handed_on()) == Counter(sent)


def test_work_in_hand_is_committed_before_its_partition_goes(world: World) -> None:
    """A rebalance waits for what is under way: it is not done twice."""
    calls = Calls()
    sent = [world.send(n, partition=n % 4) for n in range(8)]
    calls.slow.update(sent)
    one = world.worker(calls.stage(), instance="a")
    told: list[frozenset[Part]] = []

    @dataclass
    class Told:
        """Lets what is slow go as soon as the first member is asked to leave partitions."""

        inner: Any

        async def poll(
            self, max_records: int, timeout_s: float, leave: Leave, ending: frozenset[Part] = frozenset()
        ) -> Batch:
            async def asked(parts: frozenset[Part]) -> None:
                told.append(parts)
                calls.slow.clear()
                await leave(parts)

            batch: Batch = await self.inner.poll(max_records, timeout_s, asked)
            return batch

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

    one = replace(one, consumer=Told(one.consumer))

    async def scenario() -> None:
        first = asyncio.ensure_future(work(one, until=lambda: len(world.handed_on()) >= 8))
        await until_async(lambda: sum(calls.made.values()) >= 8, within_s=WAIT_S, what="the calls")
        # Only now: a member joins when it is made, and holds its share from then on.
        two = world.worker(calls.stage(), instance="b")
        await asyncio.gather(first, work(two, until=lambda: len(world.handed_on()) >= 8))

    drive(scenario())
    assert told
    assert Counter(world.handed_on()) == Counter(sent)
    assert set(calls.made.values()) == {1}


def test_lag_is_zero_when_all_is_done_markers_do_not_count(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A topic that is written in transactions ends with a marker; the committed position stands behind it."""
    monkeypatch.setattr(gather_module, "RECOMMIT_S", 0.05)

    async def write() -> None:
        producer = world.producer(f"{world.group}.upstream")
        await producer.renew()
        producer.begin()
        for number in range(3):
            producer.write(world.record(number))
        await producer.commit()
        await producer.close()

    drive(write())
    worker = world.worker(copier())

    drive(work(worker, until=lambda: len(world.handed_on()) >= 3 and world.behind() == 0))
