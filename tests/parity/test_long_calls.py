"""A call of minutes survives rebalances that leave its partition in place, and idle partitions survive any number.

Short here; `make soak` gives the calls a quarter of an hour and the group five hundred rebalances.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterator

import confluent_kafka as ck
import pytest

from fencing import Watched
from vigimesh.adapters.kafka.consumer import KafkaConsumer
from vigimesh.adapters.kafka.member import Protocol
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.app.devstack import Stack
from vigimesh.events.codec import Codec
from vigimesh.loop.broker import Part
from vigimesh.loop.outcome import Answers, Input, Need
from vigimesh.loop.strays import KEPT_S
from waiting import WAIT_S, until_async
from worlds import INPUT, URGENT, KafkaWorld, copier, drive, work

pytestmark = [pytest.mark.real, pytest.mark.timeout(3_600 if "SOAK_MINUTES" in os.environ else 300)]

#: Seconds a call takes at least, and how many members come and go.
CALL_S = 60 * float(os.environ.get("SOAK_MINUTES", "0.05"))
REBALANCES = int(os.environ.get("SOAK_REBALANCES", "5"))


@pytest.fixture
def world(applied_stack: Stack) -> Iterator[KafkaWorld]:
    kafka_world = KafkaWorld(Codec(MemorySchemas()), bootstrap=applied_stack.urls.kafka)
    yield kafka_world
    kafka_world.close()


async def at_once(parts: frozenset[object]) -> None:
    """Let partitions go: nothing is in hand of them."""


async def come_and_go(world: KafkaWorld, protocol: Protocol, topics: tuple[str, ...], times: int) -> None:
    """Let a member join the group, get its partitions and leave again."""
    for _ in range(times):
        guest = KafkaConsumer(world.base, world.group, topics, copartitioned=False, protocol=protocol)
        while not guest._owned:
            await guest.poll(500, 0.1, at_once)
        await guest.close()


def commit_start(world: KafkaWorld, *names: str) -> None:
    reader = world._reader(world.group)
    begin = [ck.TopicPartition(n, p, o) for (n, p), o in world.starts.items() if n in names]
    reader.commit(offsets=begin, asynchronous=False)
    reader.close()


def consumer_of(world: KafkaWorld, protocol: Protocol) -> KafkaConsumer:
    return KafkaConsumer(world.base, world.group, (INPUT,), copartitioned=False, protocol=protocol)


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_a_long_call_commits_after_rebalances_that_left_its_partition_in_place(
    world: KafkaWorld, protocol: Protocol
) -> None:
    """The guests read another topic of the same group: its generation moves on, the partition of the call stays.

    A machine that is overloaded may miss the member's heartbeats: then its partitions go and come back, and the call goes on all the
    same (docs/decisions 0074). Only where one was away for longer than calls are kept may it be made again, once for each time.
    """
    commit_start(world, URGENT)
    calls: Counter[str] = Counter()
    slow = world.case(0).message_id
    over = asyncio.Event()

    async def call(need: Need) -> str:
        calls[need.key] += 1
        if need.key == slow:
            await over.wait()
        return "answered"

    def wants(case: Input, answers: Answers) -> tuple[Need, ...]:
        return (Need(kind="call", key=case.event.case.message_id),)

    async def scenario() -> None:
        sent = [world.send(n, partition=0) for n in range(20)]
        stage = copier(wants=wants, callers={"call": call})
        watched = Watched(consumer_of(world, protocol))
        worker = world.worker(stage, consumer=watched)
        running = asyncio.ensure_future(
            work(worker, until=lambda: len(world.handed_on()) >= 20, within_s=CALL_S + 120)
        )
        began_s = asyncio.get_running_loop().time()
        await until_async(lambda: calls[slow], within_s=60, what="the call")
        await come_and_go(world, protocol, (URGENT,), REBALANCES)
        clock = asyncio.get_running_loop().time
        await until_async(
            lambda: clock() >= began_s + CALL_S, within_s=2 * CALL_S + 60, what="the call's time"
        )
        over.set()
        await running
        assert Counter(world.handed_on()) == Counter(sent)
        made_again = sum(away_s >= KEPT_S for part, away_s in watched.away_s if part == Part(INPUT, 0))
        assert set(calls.values()) <= set(range(1, 2 + made_again))

    drive(scenario())


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_rebalances_without_traffic_never_move_an_offset_back_nor_past_the_end(
    world: KafkaWorld, protocol: Protocol
) -> None:
    sent = [world.send(n) for n in range(8)]

    async def scenario() -> None:
        worker = world.worker(copier(), consumer=consumer_of(world, protocol))
        rounds = max(1, REBALANCES // 5)

        async def moves() -> None:
            seen = await asyncio.to_thread(positions, world)
            for _ in range(rounds):
                await come_and_go(world, protocol, (INPUT,), 5)
                now = await asyncio.to_thread(positions, world)
                assert all(seen[number] <= now[number] <= ends(world)[number] for number in now)
                seen = now

        moving = asyncio.ensure_future(moves())
        await work(worker, until=lambda: moving.done() and len(world.handed_on()) >= 8, within_s=CALL_S + 240)
        await moving

    drive(scenario())
    assert Counter(world.handed_on()) == Counter(sent)
    more = world.send(99)
    drive(work(world.worker(copier()), until=lambda: more in world.handed_on()))
    assert Counter(world.handed_on()) == Counter([*sent, more])


def positions(world: KafkaWorld) -> dict[int, int]:
    asking = world._reader(world.group)
    parts = [ck.TopicPartition(n, p) for n, p in world.starts if n == INPUT]
    found = {tp.partition: tp.offset for tp in asking.committed(parts, timeout=WAIT_S)}
    asking.close()
    return found


def ends(world: KafkaWorld) -> dict[int, int]:
    asking = world._reader(world.group)
    found = {
        p: asking.get_watermark_offsets(ck.TopicPartition(n, p), timeout=WAIT_S)[1]
        for n, p in world.starts
        if n == INPUT
    }
    asking.close()
    return found
