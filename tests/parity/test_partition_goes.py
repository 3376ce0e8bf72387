"""A partition goes while a transaction with work of it is ending: nobody reads its position before that has ended.

A member that the broker fences for its epoch, though it was never gone, gives up its partitions and gets them back at once. The
broker keeps it with its epoch meanwhile, and takes positions from it as before: also those of a transaction that had begun when the
partitions went. A position read before that has ended would be the old one, and all would be said again (docs/decisions 0063).
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import confluent_kafka as ck
import pytest

from chaos import wire
from chaos.proxy import Link, Proxy
from vigimesh.adapters.kafka_consumer import KafkaConsumer
from vigimesh.adapters.memory_broker import MemoryConsumer
from vigimesh.adapters.memory_registry import MemorySchemas
from vigimesh.app.devstack import Stack
from vigimesh.events.codec import Codec
from vigimesh.loop import run as run_module
from vigimesh.loop.broker import Batch, Consumer, Leave, Part, Position
from vigimesh.loop.run import run
from vigimesh.loop.worker import Worker
from waiting import until_async
from worlds import INPUT, WAIT_S, FaultyProducer, KafkaWorld, MemoryWorld, World, copier, drive

BEFORE, AFTER = range(4), range(4, 12)


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


@dataclass
class Watched:
    """A consumer of which can be told how many polls have begun since its partitions went and `back` holds."""

    inner: Any
    back: Callable[[], bool] = lambda: True
    went: bool = False
    begun: int = 0
    #: Polls that have ended, and partitions that the last one left owned.
    polls: int = 0
    owned: frozenset[Part] = frozenset()

    async def poll(
        self, max_records: int, timeout_s: float, leave: Leave, ending: frozenset[Part] = frozenset()
    ) -> Batch:
        self.begun += self.went and self.back()
        batch: Batch = await self.inner.poll(max_records, timeout_s, leave, ending)
        self.went = self.went or bool(batch.revoked)
        self.polls, self.owned = self.polls + 1, batch.owned
        return batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def _held(worker: Worker, gate: Gate) -> Worker:
    one, two = (Held(producer, lambda step: None, gate) for producer in worker.producers)
    return replace(worker, producers=(one, two))


async def _went_and_came_back(world: World, watched: Watched, fence: Callable[[], Any]) -> None:
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

    async def fence() -> None:
        consumer.member.fence()

    drive(_went_and_came_back(world, Watched(consumer), fence))


@pytest.fixture
def linked(applied_stack: Stack) -> Iterator[tuple[KafkaWorld, Link]]:
    world = KafkaWorld(Codec(MemorySchemas()), bootstrap=applied_stack.urls.kafka)
    with Proxy(int(applied_stack.urls.kafka.rsplit(":", 1)[1])) as proxy:
        yield world, proxy.link("member")
    world.close()


class Passer:
    """Joins the group for another topic and leaves it: its epoch grows twice, and nobody's partitions move."""

    def __init__(self, world: KafkaWorld) -> None:
        mine = {"group.id": world.group, "group.protocol": "consumer", "group.remote.assignor": "uniform"}
        self._consumer = ck.Consumer({**world.base, **mine, "enable.auto.commit": False})

    def join(self) -> None:
        given = threading.Event()
        self._consumer.subscribe(["vigimesh.throttle"], on_assign=lambda *_: given.set())
        while not given.is_set():
            self._consumer.poll(0.1)

    def leave(self) -> None:
        self._consumer.close()


def _unheard(link: Link, enough: int) -> bool:
    return link.unheard >= enough


@pytest.mark.real
def test_what_ends_after_its_partitions_went_and_came_back_counts(linked: tuple[KafkaWorld, Link]) -> None:
    world, link = linked
    base = {**world.base, "bootstrap.servers": link.address}
    consumer = KafkaConsumer(base, world.group, (INPUT,), copartitioned=False)

    async def fence() -> None:
        """Have the answers of two epochs lost: what the member says after them is two epochs old."""
        passer = Passer(world)
        link.deaf = frozenset({wire.HEARTBEAT})
        for step in (passer.join, passer.leave):
            await asyncio.to_thread(step)
            enough = link.unheard + 2
            await until_async(
                partial(_unheard, link, enough), within_s=WAIT_S, what="an answer that got lost"
            )
        link.deaf = frozenset()

    drive(_went_and_came_back(world, Watched(consumer, back=lambda: bool(consumer._owned)), fence))


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
