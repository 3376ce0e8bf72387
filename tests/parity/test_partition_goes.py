"""A partition goes while a transaction with work of it is ending: nobody reads its position before that has ended.

A member that the broker fences for its epoch, though it was never gone, gives up its partitions and gets them back at once. The
broker keeps it with its epoch meanwhile, and takes positions from it as before: also those of a transaction that had begun when the
partitions went. A position read before that has ended would be the old one, and all would be said again (docs/decisions 0063).
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

from chaos.proxy import Link, Proxy
from fencing import Watched, fence
from vigimesh.adapters.kafka.consumer import KafkaConsumer
from vigimesh.adapters.memory.broker import MemoryConsumer
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.app.devstack import Stack
from vigimesh.events.codec import Codec
from vigimesh.loop import run as run_module
from vigimesh.loop.broker import Consumer, Part, Position
from vigimesh.loop.outcome import Answers, Input, Need
from vigimesh.loop.run import run
from vigimesh.loop.worker import Worker
from waiting import WAIT_S, until_async
from worlds import INPUT, FaultyProducer, KafkaWorld, MemoryWorld, World, copier, drive

BEFORE, AFTER = range(4), range(4, 12)
FIRST = Part(INPUT, 0)
#: Has the broker fence the member under test.
Fence = Callable[[], Awaitable[None]]


@dataclass
class Gate:
    """Where transactions wait that are about to send their positions, until they are let go."""

    reached: asyncio.Event
    open: asyncio.Event


@dataclass
class Held(FaultyProducer):
    """A producer whose transactions wait at a gate."""

    gate: Gate

    async def send_offsets(self, positions: Mapping[Part, Position], group: Any) -> None:
        self.gate.reached.set()
        await self.gate.open.wait()
        await self.inner.send_offsets(positions, group)


def _held(worker: Worker, gate: Gate) -> Worker:
    one, two = (Held(producer, lambda step: None, gate) for producer in worker.producers)
    # So that a poll goes on while a transaction ends, as it does for many records.
    return replace(worker, producers=(one, two), overlap=1)


async def _went_and_came_back(world: World, watched: Watched, fence: Fence) -> None:
    """Fence a member while its transaction ends, let that end when the partitions are back, and have all the rest done."""
    gate, stop = Gate(asyncio.Event(), asyncio.Event()), threading.Event()
    for number in BEFORE:
        await asyncio.to_thread(world.send, number, partition=number)
    consumer: Consumer = watched
    task = asyncio.ensure_future(run(_held(world.worker(copier(), consumer=consumer), gate), stop))
    await until_async(gate.reached.is_set, within_s=WAIT_S, what="a transaction that is ending")
    await fence()
    await until_async(lambda: watched.begun >= 2, within_s=WAIT_S, what="the partitions, back again")
    gate.open.set()
    for number in AFTER:
        await asyncio.to_thread(world.send, number, partition=number % 4)
    everything = len(BEFORE) + len(AFTER)
    await until_async(lambda: len(world.handed_on()) >= everything, within_s=WAIT_S, what="all handed on")
    stop.set()
    await task
    found = Counter(world.handed_on())
    assert (len(found), set(found.values())) == (everything, {1})


def test_what_ends_after_its_partitions_went_and_came_back_counts_in_memory() -> None:
    world = MemoryWorld(Codec(MemorySchemas()))
    consumer = MemoryConsumer(world.broker, world.group, (INPUT,))

    drive(_went_and_came_back(world, Watched(consumer), _fenced(consumer)))


def _fenced(consumer: MemoryConsumer) -> Fence:
    async def fenced() -> None:
        consumer.member.fence()

    return fenced


@pytest.fixture
def linked(applied_stack: Stack) -> Iterator[tuple[KafkaWorld, Link]]:
    world = KafkaWorld(Codec(MemorySchemas()), bootstrap=applied_stack.urls.kafka)
    with Proxy(int(applied_stack.urls.kafka.rsplit(":", 1)[1])) as proxy:
        yield world, proxy.link("member")
    world.close()


@pytest.mark.real
def test_what_ends_after_its_partitions_went_and_came_back_counts(linked: tuple[KafkaWorld, Link]) -> None:
    world, link = linked
    base = {**world.base, "bootstrap.servers": link.address}
    consumer = KafkaConsumer(base, world.group, (INPUT,), copartitioned=False)

    drive(
        _went_and_came_back(
            world, Watched(consumer, back=lambda: bool(consumer._owned)), partial(fence, world, link)
        )
    )


def test_a_partition_stays_until_a_transaction_that_is_ending_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However short the time is for work that is not under way to the broker yet."""
    monkeypatch.setattr(run_module, "DRAIN_S", 0.01)
    world = MemoryWorld(Codec(MemorySchemas()))

    async def scenario() -> None:
        gate, stop = Gate(asyncio.Event(), asyncio.Event()), threading.Event()
        for number in BEFORE:
            world.send(number, partition=number)
        one, two = (Watched(MemoryConsumer(world.broker, world.group, (INPUT,))) for _ in range(2))
        first = asyncio.ensure_future(run(_held(world.worker(copier(), consumer=one), gate), stop))
        await until_async(gate.reached.is_set, within_s=WAIT_S, what="a transaction that is ending")
        second = asyncio.ensure_future(run(world.worker(copier(), instance="b", consumer=two), stop))
        await until_async(lambda: two.polls >= 5, within_s=WAIT_S, what="polls of the second member")
        assert not two.owned
        gate.open.set()
        await until_async(lambda: len(two.owned) == 2, within_s=WAIT_S, what="its share")
        stop.set()
        await asyncio.gather(first, second)

    drive(scenario())
    assert Counter(Counter(world.handed_on()).values()) == {1: len(BEFORE)}


@dataclass
class Called:
    """A worker with a call under way that ends when `over` is set; how often each call was made."""

    world: World
    watched: Watched
    calls: Counter[str] = field(default_factory=Counter)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    gate: Gate = field(default_factory=lambda: Gate(asyncio.Event(), asyncio.Event()))

    @property
    def slow(self) -> str:
        return self.world.case(0).message_id

    def worker(self) -> Worker:
        def wants(case: Input, answers: Answers) -> tuple[Need, ...]:
            return (Need(kind="call", key=case.event.case.message_id),)

        stage = copier(wants=wants, callers={"call": self.call})
        consumer: Consumer = self.watched
        return _held(self.world.worker(stage, consumer=consumer), self.gate)

    async def call(self, need: Need) -> str:
        self.calls[need.key] += 1
        if need.key == self.slow:
            await self.over.wait()
        return "answered"

    async def fenced(self, fence: Fence, times: int) -> None:
        """Have the member fenced, again and again, while its call is under way."""
        await until_async(lambda: self.calls[self.slow], within_s=WAIT_S, what="the call")
        for time in range(1, times + 1):
            await fence()
            await until_async(partial(self._back, time), within_s=WAIT_S, what="the partition, back again")

    def _back(self, times: int) -> bool:
        return Counter(part for part, _ in self.watched.away_s)[FIRST] == times

    def begin(self, stop: threading.Event) -> asyncio.Task[None]:
        for number in range(8):  # two of each key: the second waits for the first
            self.world.send(number, partition=number % 4, key=f"{self.world.tag}/{number % 4}")
        return asyncio.ensure_future(run(self.worker(), stop))

    async def ended(self, task: asyncio.Task[None], stop: threading.Event, count: int) -> None:
        await until_async(lambda: len(self.world.handed_on()) >= count, within_s=WAIT_S, what="all handed on")
        stop.set()
        await task
        found = self.world.handed_on()
        every = [self.world.case(number).message_id for number in range(count)]
        assert Counter(found) == dict.fromkeys(every, 1)
        places = [found.index(message) for message in every[:8]]
        assert all(earlier < later for earlier, later in zip(places[:4], places[4:], strict=True))
        assert self.calls == dict.fromkeys(every, 1)


def test_a_call_goes_on_while_its_partition_goes_and_comes_back_in_memory() -> None:
    world = MemoryWorld(Codec(MemorySchemas()))
    consumer = MemoryConsumer(world.broker, world.group, (INPUT,))

    async def scenario() -> None:
        called, stop = Called(world, Watched(consumer)), threading.Event()
        called.gate.open.set()
        task = called.begin(stop)
        await called.fenced(_fenced(consumer), times=3)
        called.over.set()
        await called.ended(task, stop, 8)

    drive(scenario())


@pytest.mark.real
def test_a_call_goes_on_while_its_partition_goes_and_comes_back(linked: tuple[KafkaWorld, Link]) -> None:
    world, link = linked
    base = {**world.base, "bootstrap.servers": link.address}
    consumer = KafkaConsumer(base, world.group, (INPUT,), copartitioned=False)

    async def scenario() -> None:
        called, stop = Called(world, Watched(consumer)), threading.Event()
        called.gate.open.set()
        task = called.begin(stop)
        await called.fenced(partial(fence, world, link), times=1)
        called.over.set()
        await called.ended(task, stop, 8)

    drive(scenario())


def test_what_a_call_brought_is_used_though_its_partition_went_before_it_was_committed() -> None:
    """Its work waits for the transaction before, and is refused when that has ended: the partition is not ours any more."""
    world = MemoryWorld(Codec(MemorySchemas()))
    consumer = MemoryConsumer(world.broker, world.group, (INPUT,))

    async def scenario() -> None:
        called, stop = Called(world, Watched(consumer)), threading.Event()
        called.over.set()
        task = called.begin(stop)
        await until_async(called.gate.reached.is_set, within_s=WAIT_S, what="a transaction that is ending")
        later = world.send(8, partition=0)
        await until_async(lambda: called.calls[later], within_s=WAIT_S, what="the call")
        consumer.member.fence()
        await until_async(lambda: FIRST in called.watched.gone_s, within_s=WAIT_S, what="the partition to go")
        called.gate.open.set()
        await called.ended(task, stop, 9)

    drive(scenario())
