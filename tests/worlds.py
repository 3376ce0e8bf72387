"""The two worlds that one suite of the loop runs in: a broker in memory, and Kafka."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import confluent_kafka as ck
import pytest

from vigimesh.adapters.kafka.client import common
from vigimesh.adapters.kafka.consumer import KafkaConsumer
from vigimesh.adapters.kafka.history import bounds
from vigimesh.adapters.kafka.producer import KafkaProducer
from vigimesh.adapters.memory.broker import MemoryBroker, MemoryConsumer, MemoryProducer
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.clock import Deadline, SystemClock
from vigimesh.events import ids
from vigimesh.events.case import Case
from vigimesh.events.classes import CaseReceived
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope, from_headers, to_headers
from vigimesh.events.topics import TOPICS, topic
from vigimesh.loop.broker import Consumer, Part, Position, Producer, Record, Write
from vigimesh.loop.health import Health
from vigimesh.loop.outcome import Answers, Done, Emit, Input, Need, Outcome
from vigimesh.loop.run import run
from vigimesh.loop.stage import Stage
from vigimesh.loop.table import Table
from vigimesh.loop.worker import Worker
from waiting import WAIT_S

INPUT = topic("case.received.normal")
URGENT = topic("case.received.urgent")
#: Output of the stage under test: any case-keyed topic of the same class would do.
OUTPUT = URGENT
#: Seconds between two looks at a condition.
PAUSE_S = 0.01


class Crash(BaseException):
    """The process dies here."""


class Silent:
    """Telemetry that keeps what it is told."""

    def __init__(self) -> None:
        self.added: list[tuple[str, float, Mapping[str, str]]] = []
        self.spans: list[Any] = []

    def processed(self, works: Iterable[Any]) -> None:
        self.spans.extend(works)

    def add(self, metric: Any, amount: float, labels: Mapping[str, str]) -> None:
        self.added.append((metric.name, amount, labels))

    def observe(self, metric: Any, value: float, labels: Mapping[str, str]) -> None: ...

    def level(self, metric: Any, value: float, labels: Mapping[str, str]) -> None: ...

    def exposition(self) -> bytes:
        return b""

    def close(self) -> None: ...


#: Called with a step's name before it is taken; raises what shall happen there.
Fault = Callable[[str], None]


@dataclass
class FaultyProducer:
    """A producer that asks `fault` at each step; `commit.after` is asked when the commit has taken effect."""

    inner: Producer
    fault: Fault

    def expire(self) -> None:
        self.inner.expire()

    async def renew(self) -> None:
        self.fault("renew")
        await self.inner.renew()

    def begin(self) -> None:
        self.fault("begin")
        self.inner.begin()

    def write(self, record: Write) -> None:
        self.fault("write")
        self.inner.write(record)

    async def send_offsets(self, positions: Mapping[Part, Position], group: Any) -> None:
        self.fault("offsets.before")
        await self.inner.send_offsets(positions, group)
        self.fault("offsets.after")

    async def commit(self) -> None:
        self.fault("commit.before")
        await self.inner.commit()
        self.fault("commit.after")

    async def abort(self) -> None:
        self.fault("abort")
        await self.inner.abort()

    async def close(self) -> None:
        await self.inner.close()


@dataclass(frozen=True)
class Copy:
    """The simplest verb: hands the case on. `outcome` may answer otherwise for one case."""

    outcome: Callable[[Input, Answers], Outcome | None] = lambda case, answers: None
    wants: Callable[[Input, Answers], tuple[Need, ...]] = lambda case, answers: ()

    def needs(self, case: Input, answers: Answers) -> tuple[Need, ...]:
        return self.wants(case, answers)

    def decide(self, case: Input, answers: Answers) -> Outcome:
        return self.outcome(case, answers) or hand_on(case)


def copier(
    outcome: Callable[[Input, Answers], Outcome | None] = lambda case, answers: None,
    wants: Callable[[Input, Answers], tuple[Need, ...]] = lambda case, answers: (),
    **parts: object,
) -> Stage:
    return Stage(name="copier", lane=None, verb=Copy(outcome, wants), **parts)  # type: ignore[arg-type]


def once(at: str, error: BaseException, *, call: int = 1) -> Fault:
    """Return a fault that raises `error` at the `call`-th time a step is taken, and never again."""
    left = [call]

    def fault(step: str) -> None:
        if step == at:
            left[0] -= 1
            if left[0] == 0:
                raise error

    return fault


def hand_on(case: Input, *more: Emit) -> Done:
    received: CaseReceived = case.event
    emit = Emit(
        topic=OUTPUT, key=case.key, event=CaseReceived(case=received.case, door="urgent"),
        messageid=received.case.message_id, workflow="triage", lane="warm",
    )  # fmt: skip
    return Done(events=(emit, *more), why="handed on")


@dataclass
class World:
    """One test's own corner: its group, its keys; other tests share the topics."""

    codec: Codec
    tag: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    @property
    def group(self) -> str:
        return f"vigimesh.test.{self.tag}"

    def case(self, number: int, narrative: str = "") -> Case:
        message = ids.message_id("t", "s", "r", str(number), "", self.tag)
        return Case(message_id=message, case_id=f"{self.tag}/{number}", narrative=narrative)

    def send(
        self,
        number: int,
        *,
        partition: int | None = None,
        key: str = "",
        narrative: str = "",
        to: str = INPUT,
        workflow: str = "",
    ) -> str:
        """Append one case to the input; return its message id."""
        self.append(self.record(number, key=key, narrative=narrative, to=to, workflow=workflow), partition)
        return self.case(number).message_id

    def record(
        self, number: int, *, key: str = "", narrative: str = "", to: str = INPUT, workflow: str = ""
    ) -> Write:
        """Return the record of one case."""
        case = self.case(number, narrative)
        envelope = Envelope(
            id=case.message_id, source="/test", type="vigimesh.CaseReceived", time=datetime.now(UTC),
            subject=case.case_id, messageid=case.message_id, workflow=workflow,
        )  # fmt: skip
        value = self.codec.encode(to, CaseReceived(case=case))
        return Write(topic=to, key=(key or case.case_id).encode(), value=value, headers=to_headers(envelope))

    def worker(
        self,
        stage: Stage,
        *,
        instance: str = "a",
        fault: Fault = lambda step: None,
        group: str = "",
        consumer: Consumer | None = None,
    ) -> Worker:
        one, two = (FaultyProducer(self.producer(f"{self.group}.{instance}.{x}"), fault) for x in "ab")
        return Worker(
            stage=stage, group=group or self.group, topics=(INPUT,), instance=instance,
            consumer=consumer or self.consumer(group or self.group), producers=(one, two), codec=self.codec, spill=ids.digest,
            telemetry=Silent(), health=Health(SystemClock()), clock=SystemClock(),
            table=Table(stage.table_topic, self.codec) if stage.table_topic else None,
        )  # fmt: skip

    def mine(self, name: str) -> list[Record]:
        """Return this test's committed records of a topic."""
        tag = self.tag.encode()
        return [r for r in self.records(name) if tag in r.key or tag in r.value]

    def handed_on(self) -> list[str]:
        """Return the message ids that were handed on, as often as they were."""
        return [from_headers(r.headers, "").messageid for r in self.mine(OUTPUT)]

    # What the two worlds do each in their own way.

    def append(self, write: Write, partition: int | None = None) -> None:
        raise NotImplementedError

    def consumer(self, group: str) -> Consumer:
        raise NotImplementedError

    def producer(self, transactional_id: str) -> Producer:
        raise NotImplementedError

    def records(self, name: str) -> list[Record]:
        raise NotImplementedError

    def behind(self) -> int:
        """Return by how many offsets the group's positions are behind the ends of the input."""
        raise NotImplementedError


@dataclass
class MemoryWorld(World):
    broker: MemoryBroker = field(
        default_factory=lambda: MemoryBroker([t.name for t in TOPICS], SystemClock())
    )

    def __post_init__(self) -> None:
        self.broker.init_group(self.group, (INPUT,))

    def append(self, write: Write, partition: int | None = None) -> None:
        self.broker.append(write, partition=partition)

    def consumer(self, group: str) -> Consumer:
        return MemoryConsumer(self.broker, group, (INPUT,))

    def producer(self, transactional_id: str) -> Producer:
        return MemoryProducer(self.broker, transactional_id)

    def records(self, name: str) -> list[Record]:
        return self.broker.committed_records(name)

    def behind(self) -> int:
        positions = self.broker.offsets(self.group)
        return sum(self.broker.end_offset(part) - position.offset for part, position in positions.items())


@dataclass
class KafkaWorld(World):
    bootstrap: str = ""
    starts: dict[tuple[str, int], int] = field(default_factory=dict)
    seen: dict[tuple[str, int], int] = field(default_factory=dict)
    readers: dict[str, ck.Consumer] = field(default_factory=dict)
    found: dict[str, list[Record]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.base = common(self.bootstrap, {})
        self.plain = ck.Producer({**self.base, "partitioner": "murmur2_random", "message.max.bytes": 4 << 20})
        reader = self._reader(self.group)
        self.starts = {part: end for part, (_, end) in bounds(self.base, [t.name for t in TOPICS]).items()}
        begin = [ck.TopicPartition(n, p, o) for (n, p), o in self.starts.items() if n in (URGENT, INPUT)]
        reader.commit(offsets=begin, asynchronous=False)
        reader.close()

    def _reader(self, group: str) -> ck.Consumer:
        return ck.Consumer(
            {**self.base, "group.id": group, "isolation.level": "read_committed", "enable.auto.commit": False,
             "enable.partition.eof": True, "fetch.wait.max.ms": 10}
        )  # fmt: skip

    def append(self, write: Write, partition: int | None = None) -> None:
        where = {} if partition is None else {"partition": partition}
        self.plain.produce(write.topic, write.value, write.key, headers=write.headers, **where)  # type: ignore[arg-type]
        assert self.plain.flush(WAIT_S) == 0

    def consumer(self, group: str) -> Consumer:
        return KafkaConsumer(self.base, group, (INPUT,), copartitioned=False)

    def producer(self, transactional_id: str) -> Producer:
        return KafkaProducer(self.base, transactional_id)

    def records(self, name: str) -> list[Record]:
        """Read on to the end as it stands now, with one reader per topic for the whole test."""
        if name not in self.readers:
            parts = [ck.TopicPartition(n, p, o) for (n, p), o in self.starts.items() if n == name]
            self.readers[name] = self._reader("vigimesh.test.reader")
            self.readers[name].assign(parts)
            self.found[name] = []
        reader = self.readers[name]
        ends = {
            part: reader.get_watermark_offsets(ck.TopicPartition(*part), timeout=WAIT_S)[1]
            for part in self.starts
            if part[0] == name
        }
        deadline = Deadline.after(SystemClock(), WAIT_S)
        while any(self.seen.get(part, self.starts[part]) < end for part, end in ends.items()):
            assert not deadline.passed(), f"{name} not read to its end in {WAIT_S:g} s"
            for message in reader.consume(500, 0.05):
                error, offset = message.error(), message.offset() or 0
                if error is None:
                    self.found[name].append(_record(message))
                    offset += 1
                else:
                    assert error.code() == ck.KafkaError._PARTITION_EOF, error
                self.seen[name, message.partition() or 0] = offset
        return self.found[name]

    def behind(self) -> int:
        asking = self._reader(self.group)
        parts = [ck.TopicPartition(n, p) for n, p in self.starts if n == INPUT]
        ends = [asking.get_watermark_offsets(part, timeout=WAIT_S)[1] for part in parts]
        found = sum(ends) - sum(tp.offset for tp in asking.committed(parts, timeout=WAIT_S))
        asking.close()
        return found

    def close(self) -> None:
        del self.plain
        for reader in self.readers.values():
            reader.close()


#: What a suite on both worlds is run with.
WORLDS = ["memory", pytest.param("kafka", marks=pytest.mark.real)]


def world_of(request: pytest.FixtureRequest) -> Iterator[World]:
    """Give a test its world; the body of a fixture."""
    codec = Codec(MemorySchemas())
    if request.param == "memory":
        yield MemoryWorld(codec)
        return
    stack = request.getfixturevalue("applied_stack")
    kafka = KafkaWorld(codec, bootstrap=stack.urls.kafka)
    yield kafka
    kafka.close()


def _record(message: Any) -> Record:
    return Record(
        part=Part(message.topic(), message.partition()), offset=message.offset(), key=message.key() or b"",
        value=message.value() or b"", headers=message.headers() or [],
        at=datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC),
    )  # fmt: skip


async def work(*workers: Worker, until: Callable[[], bool], within_s: float = WAIT_S) -> None:
    """Run workers until a condition holds or one of them ends; raises what they raise."""
    stop = threading.Event()
    tasks = [asyncio.ensure_future(run(worker, stop)) for worker in workers]
    try:
        deadline = Deadline.after(SystemClock(), within_s)
        # In a thread: looking at a topic takes a while, and the workers go on meanwhile.
        while not await asyncio.to_thread(until) and not any(task.done() for task in tasks):
            assert not deadline.passed(), f"the test's condition did not come within {within_s:g} s"
            await asyncio.wait(tasks, timeout=PAUSE_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.set()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for result in ended:
        if isinstance(result, BaseException):
            raise result


def drive(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine."""
    asyncio.run(coroutine)
