"""Members of a group by both protocols, static ones too: they share, come and go, and no record is lost or doubled."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import confluent_kafka as ck
import pytest
from confluent_kafka.admin import AdminClient

from vigimesh.adapters.kafka.consumer import KafkaConsumer
from vigimesh.adapters.kafka.member import Protocol
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.app.config.settings import Settings
from vigimesh.app.devstack import Stack
from vigimesh.app.workers.controller import CONTROLLER_ID, controller_of
from vigimesh.app.workers.resumer import RESUMER_ID, resumer_of
from vigimesh.clock import Deadline, SystemClock
from vigimesh.errors import Fenced
from vigimesh.events.classes import AuditRecorded
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic
from vigimesh.loop.broker import Batch, Leave, Part
from vigimesh.loop.orders import NoOrders
from vigimesh.loop.outcome import Done
from vigimesh.loop.run import run
from waiting import WAIT_S, until_async
from worlds import INPUT, URGENT, KafkaWorld, copier

pytestmark = pytest.mark.real

#: What a lane's group reads, and what one that serves all lanes does.
LANE, ALL = (INPUT,), (URGENT, INPUT)
PARTITIONS = 4
AUDIT = topic("audit")
#: Every record is worked on and nothing handed on: the audit tells which, as often as it was.
SEEN = copier(lambda case, answers: Done(events=(), why="seen"))
PROTOCOLS: tuple[Protocol, ...] = ("consumer", "classic")


@pytest.fixture
def world(applied_stack: Stack) -> Iterator[KafkaWorld]:
    kafka_world = KafkaWorld(Codec(MemorySchemas()), bootstrap=applied_stack.urls.kafka)
    reader = kafka_world._reader(kafka_world.group)
    begin = [ck.TopicPartition(n, p, o) for (n, p), o in kafka_world.starts.items() if n in ALL]
    reader.commit(offsets=begin, asynchronous=False)
    reader.close()
    yield kafka_world
    kafka_world.close()


class Member(KafkaConsumer):
    """A consumer that keeps what it was told: what it owns, and every change of that."""

    owned: frozenset[Part] = frozenset()
    moves: int = 0

    async def poll(
        self, max_records: int, timeout_s: float, leave: Leave, ending: frozenset[Part] = frozenset()
    ) -> Batch:
        batch = await super().poll(max_records, timeout_s, leave, ending)
        self.owned = batch.owned
        self.moves += bool(batch.assigned or batch.revoked)
        return batch


class Restless(Member):
    """A consumer whose partitions are held and let go at random, as a loop does whose map is full: over and over, rebalance or not."""

    chance = Random(12)
    holds: int = 0

    async def poll(
        self, max_records: int, timeout_s: float, leave: Leave, ending: frozenset[Part] = frozenset()
    ) -> Batch:
        self.still: set[Part] = getattr(self, "still", set())
        self.places: dict[Part, int] = getattr(self, "places", {})
        # Few at a time, so that some lie fetched when a partition is held.
        batch = await super().poll(min(max_records, 3), timeout_s, leave, ending)
        self.still -= batch.revoked | batch.assigned.keys()
        self.places |= {part: position.offset for part, position in batch.assigned.items()}
        self.places |= {record.part: record.offset + 1 for record in batch.records}
        for part in sorted(batch.owned & self.places.keys(), key=str):
            if part in self.still and self.chance.random() < 0.5:
                self.still.discard(part)
                self.unhold(part, self.places[part])
            elif part not in self.still and self.chance.random() < 0.3:
                self.still.add(part)
                self.hold(part)
                self.holds += 1
        return batch


@dataclass
class Crew:
    """Workers of one group, each by its name; `topics` is what the group reads."""

    world: KafkaWorld
    protocol: Protocol
    topics: tuple[str, ...] = LANE
    static: bool = False
    kind: type[Member] = Member
    at_work: dict[str, tuple[Member, threading.Event, asyncio.Task[None]]] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)

    def start(self, name: str, instance: str = "") -> Member:
        instance = instance or name
        member = self.kind(
            self.world.base, self.world.group, self.topics, copartitioned=len(self.topics) > 1,
            protocol=self.protocol, member=instance if self.static else "",
        )  # fmt: skip
        worker = replace(self.world.worker(SEEN, instance=instance, consumer=member), topics=self.topics)
        stop = threading.Event()
        self.at_work[name] = member, stop, asyncio.ensure_future(run(worker, stop))
        return member

    async def stop(self, name: str) -> None:
        _, stop, task = self.at_work.pop(name)
        stop.set()
        await task

    async def send(self, count: int) -> None:
        for _ in range(count):
            number = len(self.sent)
            to = self.topics[number // PARTITIONS % len(self.topics)]
            self.sent.append(
                await asyncio.to_thread(self.world.send, number, partition=number % PARTITIONS, to=to)
            )

    async def all_done(self) -> None:
        await until_async(
            lambda: len(self.done()) >= len(self.sent), within_s=WAIT_S, what="every record worked on"
        )

    def done(self) -> list[str]:
        """Return the message ids that were worked on, as often as they were."""
        audits: list[AuditRecorded] = [
            self.world.codec.decode(AUDIT, r.value) for r in self.world.mine(AUDIT)
        ]
        return [one.message_id for one in audits]

    async def shared(self, *names: str) -> None:
        """Wait until these own all partitions together, each at least one."""

        def share() -> bool:
            found = [self.at_work[name][0].owned for name in names]
            return all(found) and sum(map(len, found)) == PARTITIONS * len(self.topics)

        await until_async(share, within_s=WAIT_S, what=f"{names} share the partitions")

    async def stop_all(self) -> None:
        for name in tuple(self.at_work):
            await self.stop(name)


def resumer(settings: Settings) -> tuple[str, Callable[[], Awaitable[Batch]], Callable[[], Awaitable[None]]]:
    found = resumer_of(settings, NoOrders())
    return RESUMER_ID, lambda: found.topic.poll(1, 0.2), found.topic.close


def controller(
    settings: Settings,
) -> tuple[str, Callable[[], Awaitable[Batch]], Callable[[], Awaitable[None]]]:
    found = controller_of(settings, NoOrders())

    async def leave(parts: frozenset[Part]) -> None: ...

    return CONTROLLER_ID, lambda: found.consumer.poll(1, 0.2, leave), found.consumer.close


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("made", [resumer, controller])
def test_what_runs_beside_the_stages_joins_by_the_protocol_that_is_set(
    applied_stack: Stack, made: Any, protocol: Protocol
) -> None:
    plain = Settings.for_stack(applied_stack.urls, Settings())
    group, poll, close = made(replace(plain, worker=replace(plain.worker, protocol=protocol)))

    async def join() -> str:
        owned: frozenset[Part] = frozenset()
        deadline = Deadline.after(SystemClock(), WAIT_S)
        while not owned:
            assert not deadline.passed(), "no partition was given"
            owned = (await poll()).owned
        asking = AdminClient({"bootstrap.servers": applied_stack.urls.kafka})
        try:
            described = asking.describe_consumer_groups([group])[group].result(WAIT_S)
        finally:
            await close()
        return str(described.type.name)

    assert asyncio.run(join()) == protocol.upper()


@pytest.mark.parametrize("topics", [LANE, ALL], ids=["a lane", "all lanes"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_members_join_and_leave_while_records_flow(
    world: KafkaWorld, protocol: Protocol, topics: tuple[str, ...]
) -> None:
    async def scenario() -> Crew:
        crew = Crew(world, protocol, topics)
        crew.start("a")
        await crew.shared("a")
        await crew.send(20)
        crew.start("b")
        await crew.send(20)
        await crew.shared("a", "b")
        await crew.send(20)
        await crew.stop("a")
        await crew.send(20)
        await crew.shared("b")
        await crew.all_done()
        await crew.stop_all()
        return crew

    crew = asyncio.run(scenario())
    assert Counter(crew.done()) == Counter(crew.sent)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_failure_12_partitions_paused_and_resumed_through_rebalances_neither_starve_nor_rewind(
    world: KafkaWorld, protocol: Protocol
) -> None:
    async def scenario() -> tuple[Crew, int]:
        crew = Crew(world, protocol, kind=Restless)
        # There before anybody reads, so that more is fetched than handed out when a partition is held.
        await crew.send(60)
        first = crew.start("a")
        await crew.shared("a")
        for other in ("b", "c"):
            await crew.send(20)
            crew.start(other)
            await crew.send(20)
            await crew.shared("a", other)
            await crew.send(20)
            await crew.stop(other)
        await crew.send(20)
        await crew.all_done()
        await crew.stop_all()
        assert isinstance(first, Restless)
        return crew, first.holds

    crew, holds = asyncio.run(scenario())
    assert holds > PARTITIONS, "some were held while others came and went"
    assert Counter(crew.done()) == Counter(crew.sent)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_static_member_that_comes_back_gets_its_partitions_and_moves_nobody(
    world: KafkaWorld, protocol: Protocol
) -> None:
    async def scenario() -> Crew:
        crew = Crew(world, protocol, static=True)
        crew.start("a")
        await crew.shared("a")
        other = crew.start("b")
        await crew.shared("a", "b")
        before, moves = crew.at_work["a"][0].owned, other.moves
        await crew.send(20)
        await crew.stop("a")
        # First of all: its partitions are kept for it no longer than a session, which is six seconds.
        crew.start("a")
        await crew.send(20)
        await crew.shared("a", "b")
        assert (crew.at_work["a"][0].owned, other.moves) == (before, moves)
        await crew.send(20)
        await crew.all_done()
        await crew.stop_all()
        return crew

    crew = asyncio.run(scenario())
    assert Counter(crew.done()) == Counter(crew.sent)


@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_instance_name_used_twice_is_said_and_nothing_is_lost(
    world: KafkaWorld, protocol: Protocol, static: bool
) -> None:
    async def scenario() -> Crew:
        crew = Crew(world, protocol, static=static)
        crew.start("first", "same")
        await crew.shared("first")
        await crew.send(20)
        await crew.all_done()
        crew.start("second", "same")
        await crew.send(20)
        # The new one takes the transactional ids over, and the old one ends; unless the old one was in doubt, which a slow
        # commit is enough for, and took them back. As a static member of KIP-848 the new one is refused by the group besides.
        wanted = 2 if static and protocol == "consumer" else 1
        ended: list[str] = []

        def enough() -> bool:
            ended[:] = (name for name, (_, _, task) in crew.at_work.items() if task.done())
            return len(ended) >= wanted

        await until_async(enough, within_s=wanted * WAIT_S, what="the end of one of the two")
        for name in ended:
            with pytest.raises(Fenced, match=r"VM-1303 .*instance name"):
                await crew.at_work.pop(name)[2]
        for name in tuple(crew.at_work):
            _, stop, task = crew.at_work.pop(name)
            stop.set()
            await asyncio.wait({task})
        crew.start("third")
        await crew.send(20)
        await crew.all_done()
        await crew.stop_all()
        return crew

    crew = asyncio.run(scenario())
    assert Counter(crew.done()) == Counter(crew.sent)
