"""What only Kafka can show: rebalances, pauses, open transactions. Real broker."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import confluent_kafka as ck
import pytest

from vigimesh.adapters.kafka import compacted
from vigimesh.adapters.kafka.compacted import read_compacted
from vigimesh.adapters.kafka.consumer import KafkaConsumer
from vigimesh.adapters.kafka.producer import KafkaProducer
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.app.devstack import Stack
from vigimesh.clock import Deadline, SystemClock
from vigimesh.errors import Transient, VigimeshError
from vigimesh.events import ids
from vigimesh.events.classes import AuditRecorded
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic
from vigimesh.loop.broker import Batch, Leave, Part, Record
from vigimesh.loop.health import Health
from vigimesh.loop.outcome import Done
from vigimesh.loop.run import run
from vigimesh.loop.worker import Worker
from waiting import WAIT_S
from worlds import INPUT, URGENT, KafkaWorld, Silent, copier, drive, work

pytestmark = pytest.mark.real

BOTH = (URGENT, INPUT)
AUDIT = topic("audit")
EVERY = {Part(name, partition) for name in BOTH for partition in range(4)}


@pytest.fixture
def world(applied_stack: Stack) -> Iterator[KafkaWorld]:
    kafka_world = KafkaWorld(Codec(MemorySchemas()), bootstrap=applied_stack.urls.kafka)
    yield kafka_world
    kafka_world.close()


def audited(world: KafkaWorld) -> list[str]:
    """Return the message ids that a stage has worked on, as often as it did."""
    found: list[AuditRecorded] = [world.codec.decode(AUDIT, r.value) for r in world.mine(AUDIT)]
    return [one.message_id for one in found]


async def at_once(parts: frozenset[Part]) -> None:
    """Let partitions go: nothing is in hand of them."""


async def until(condition: Callable[[], bool]) -> None:
    deadline = Deadline.after(SystemClock(), WAIT_S)
    while not await asyncio.to_thread(condition):
        assert not deadline.passed(), f"the test's condition did not come within {WAIT_S:g} s"


async def polled(*consumers: KafkaConsumer, until: Callable[[], bool]) -> list[Batch]:
    """Poll consumers in turn until a condition holds; return what they gave."""
    deadline, batches = Deadline.after(SystemClock(), WAIT_S), []
    while not until():
        assert not deadline.passed(), f"the test's condition did not come within {WAIT_S:g} s"
        for consumer in consumers:
            batches.append(await consumer.poll(500, 0.05, at_once))
            if until():
                break
    return batches


@dataclass
class Claims:
    """What each member of a group was told it owns by its last poll, and has not let go since."""

    owned: dict[str, frozenset[Part]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def told(self, member: str, batch: Batch) -> None:
        self.owned[member] = batch.owned
        for partition in {record.part.partition for record in batch.records}:
            if not {Part(name, partition) for name in BOTH} <= batch.owned:
                self.wrong.append(f"{member} works on {partition} without owning it in every topic")
            for other, parts in self.owned.items():
                if other != member and any(part.partition == partition for part in parts):
                    self.wrong.append(f"{member} works on {partition}, which {other} owns")

    def let_go(self, member: str, parts: set[Part]) -> None:
        """Take back what was told, from the member's own thread: its poll may go on long after its successor's first."""
        if member in self.owned:
            self.owned[member] -= parts


class Member(KafkaConsumer):
    """A consumer that tells what it is given."""

    def __init__(self, world: KafkaWorld, name: str, claims: Claims) -> None:
        super().__init__(world.base, world.group, BOTH, copartitioned=True)
        self.name, self.claims = name, claims

    async def poll(
        self, max_records: int, timeout_s: float, leave: Leave, ending: frozenset[Part] = frozenset()
    ) -> Batch:
        batch = await super().poll(max_records, timeout_s, leave, ending)
        self.claims.told(self.name, batch)
        return batch

    def _on_lost(self, consumer: Any, partitions: list[Any]) -> None:
        super()._on_lost(consumer, partitions)
        self.claims.let_go(self.name, {Part(tp.topic, tp.partition) for tp in partitions})

    async def close(self) -> None:
        await super().close()
        self.claims.owned.pop(self.name, None)


@dataclass
class Crew:
    """The members of one group that are at work."""

    world: KafkaWorld
    claims: Claims = field(default_factory=Claims)
    running: dict[str, tuple[threading.Event, asyncio.Task[None]]] = field(default_factory=dict)

    def start(self, name: str) -> None:
        stage = copier(lambda case, answers: Done(events=(), why="seen"))
        worker = Worker(
            stage=stage, group=self.world.group, topics=BOTH, instance=name,
            consumer=Member(self.world, name, self.claims),
            producers=(
                KafkaProducer(self.world.base, f"{self.world.group}.{name}.a"),
                KafkaProducer(self.world.base, f"{self.world.group}.{name}.b"),
            ), codec=self.world.codec,
            spill=ids.digest, telemetry=Silent(), health=Health(SystemClock()), clock=SystemClock(),
        )  # fmt: skip
        stop = threading.Event()
        self.running[name] = stop, asyncio.ensure_future(run(worker, stop))

    async def stop(self, name: str) -> None:
        stop, task = self.running.pop(name)
        stop.set()
        await task


def test_a_partition_of_two_topics_is_worked_on_by_one_member_while_members_come_and_go(
    world: KafkaWorld,
) -> None:
    reader = world._reader(world.group)
    reader.commit(
        offsets=[ck.TopicPartition(n, p, o) for (n, p), o in world.starts.items() if n in BOTH],
        asynchronous=False,
    )
    reader.close()
    sent: list[str] = []

    def send(count: int) -> None:
        for _ in range(count):
            number = len(sent)
            sent.append(world.send(number, partition=number % 4, to=BOTH[number // 4 % 2]))

    async def scenario() -> None:
        crew = Crew(world)
        moves: list[Callable[[], Any]] = [
            lambda: crew.start("a"), lambda: crew.start("b"), lambda: crew.start("c"), lambda: crew.stop("a"),
            lambda: crew.start("a"), lambda: crew.stop("b"), lambda: crew.stop("c"),
        ]  # fmt: skip
        for move in moves:
            await asyncio.to_thread(send, 24)
            left = move()
            if left is not None:
                await left
            await asyncio.to_thread(send, 24)
            await until(lambda: len(audited(world)) >= len(sent))
            # With work behind every join: members that wait for a half-given partition have to come through.
            await until(lambda: set().union(*crew.claims.owned.values()) == EVERY)
        await crew.stop("a")
        assert crew.claims.wrong == []

    drive(scenario())
    assert Counter(audited(world)) == Counter(sent)


def test_a_partition_that_was_held_delivers_again_when_it_has_gone_and_come_back(world: KafkaWorld) -> None:
    for number in range(8):
        world.send(number, partition=number % 4)

    async def scenario() -> None:
        first = KafkaConsumer(world.base, world.group, (INPUT,), copartitioned=False)
        await polled(first, until=lambda: len(first._owned) == 4)
        for part in sorted(first._owned):
            first.hold(part)
        second = KafkaConsumer(world.base, world.group, (INPUT,), copartitioned=False)
        await polled(first, second, until=lambda: len(first._owned) == len(second._owned) == 2)
        moved = {part.partition for part in second._owned}
        await second.close()
        seen: set[int] = set()

        def back() -> bool:
            return seen >= moved

        deadline = Deadline.after(SystemClock(), WAIT_S)
        while not back():
            assert not deadline.passed(), f"partitions {moved} deliver nothing; seen {seen}"
            seen |= {record.part.partition for record in (await first.poll(500, 0.05, at_once)).records}
        assert seen == moved
        await first.close()

    drive(scenario())


def test_records_that_were_fetched_beside_an_error_are_given_again(
    world: KafkaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = [world.send(n, partition=0) for n in range(20)]
    whole, failed = KafkaConsumer._keep, list[int]()

    def keep(self: KafkaConsumer, messages: Sequence[Any]) -> VigimeshError | None:
        found = whole(self, messages)
        if messages and not failed:
            failed.append(1)
            return Transient("VM-1301", what="planted")
        return found

    monkeypatch.setattr(KafkaConsumer, "_keep", keep)
    drive(work(world.worker(copier()), until=lambda: len(world.handed_on()) >= 20))
    assert failed
    assert Counter(world.handed_on()) == Counter(sent)


def test_state_is_not_read_past_an_open_transaction(
    world: KafkaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, key = topic("case.head"), f"{world.tag}/one".encode()
    producer = ck.Producer({**world.base, "transactional.id": world.group, "partitioner": "murmur2_random"})
    producer.init_transactions(WAIT_S)
    producer.begin_transaction()
    producer.produce(name, b"old", key, partition=0)
    producer.commit_transaction(WAIT_S)
    producer.begin_transaction()
    producer.produce(name, b"new", key, partition=0)
    assert producer.flush(WAIT_S) == 0
    with monkeypatch.context() as short:
        short.setattr(compacted, "RESTORE_S", 0.5)
        with pytest.raises(Transient, match="VM-1306"):
            read_compacted(world.base, name, (0,))
    producer.commit_transaction(WAIT_S)
    assert read_compacted(world.base, name, (0,))[key] == b"new"


def test_a_held_partition_hands_nothing_out_and_goes_on_where_it_is_told(world: KafkaWorld) -> None:
    sent = [world.send(n, partition=0) for n in range(3)]

    async def scenario() -> None:
        consumer = KafkaConsumer(world.base, world.group, (INPUT,), copartitioned=False)
        batches = await polled(consumer, until=lambda: len(consumer._owned) == 4)
        records = [r for b in batches for r in b.records]
        while len(records) < len(sent):
            records += (await consumer.poll(500, 0.05, at_once)).records
        consumer.hold(records[1].part)
        assert [r for _ in range(5) for r in (await consumer.poll(500, 0.05, at_once)).records] == []
        consumer.unhold(records[1].part, records[1].offset)
        again: list[Record] = []
        while len(again) < 2:
            again += (await consumer.poll(500, 0.05, at_once)).records
        assert [r.offset for r in again] == [r.offset for r in records[1:]]
        await consumer.close()

    drive(scenario())


def test_a_topic_that_rests_hands_nothing_out_while_another_goes_on_and_loses_nothing(
    world: KafkaWorld,
) -> None:
    waiting = [world.send(n, partition=n % 4) for n in range(8)]

    async def scenario() -> None:
        consumer = KafkaConsumer(world.base, world.group, BOTH, copartitioned=True)
        consumer.rest(frozenset({INPUT}))
        await polled(consumer, until=lambda: len(consumer._owned) == 8)
        sent = [world.send(n, partition=n % 4, to=URGENT) for n in range(8, 16)]
        records: list[Record] = []
        while len(records) < len(sent):
            records += (await consumer.poll(500, 0.05, at_once)).records
        assert {r.part.topic for r in records} == {URGENT}
        consumer.rest(frozenset())
        while len(records) < len(sent) + len(waiting):
            records += (await consumer.poll(500, 0.05, at_once)).records
        offsets = [(r.part, r.offset) for r in records]
        assert len(set(offsets)) == len(offsets)
        assert {part: [o for p, o in offsets if p == part] for part, _ in offsets} == {
            part: sorted(o for p, o in offsets if p == part) for part, _ in offsets
        }
        await consumer.close()

    drive(scenario())
