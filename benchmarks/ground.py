"""What the benchmarks stand on: a throw-away stack with all topics, positions set back, records filled in and read out."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import confluent_kafka as ck

from vigimesh.adapters.kafka.client import common
from vigimesh.adapters.kafka.cluster import topics as cluster
from vigimesh.adapters.kafka.cluster.transactions import end, listing
from vigimesh.adapters.kafka.registry import RegistrySchemas
from vigimesh.app.devstack import Stack, StackUrls, Wishes, up
from vigimesh.clock import Deadline, SystemClock
from vigimesh.events.topics import TOPICS

#: Seconds for a question to the broker.
ASK_S = 15.0
#: Seconds in which a group of processes that have ended must be empty: the broker's session time-out and some.
EMPTY_S = 20.0
#: Seconds in which every transaction on a topic must have ended: the time-out that clients have by default, and some.
OPEN_S = 75.0
#: Seconds between two looks at something that is waited for.
LOOK_S = 0.02
#: Records taken from the client in one call when topics are read back.
READ_BATCH = 10_000

#: Topic and partition.
Spot = tuple[str, int]
#: A record ready to be sent: key, value, headers.
Ready = tuple[bytes, bytes, list[tuple[str, bytes]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A committed record as it lies on the topic: when the broker appended it (ms since 1970), and its event id."""

    at_ms: int
    event_id: str
    key: bytes


@dataclass(slots=True, kw_only=True)
class Ground:
    """A stack that is up, with every topic and schema; `ids_file` holds the schema ids for engines without a registry client."""

    stack: Stack
    folder: Path
    ids_file: Path
    #: Clients that ask where topics and groups stand, each made once: to make one for each look takes what is measured.
    _askers: dict[tuple[str, str], ck.Consumer] = field(default_factory=dict)

    @property
    def urls(self) -> StackUrls:
        """Where the parts of the stack answer."""
        return self.stack.urls

    @property
    def kafka(self) -> str:
        """Bootstrap servers."""
        return self.stack.urls.kafka

    def consumer(self, group: str, **more: Any) -> ck.Consumer:
        """Return a consumer that joins nothing until it is told to."""
        return ck.Consumer(
            {"bootstrap.servers": self.kafka, "group.id": group, "enable.auto.commit": False, "log_level": 0,
             "isolation.level": "read_committed", "auto.offset.reset": "error", **more}
        )  # fmt: skip

    def ends(self, topic: str, *, committed: bool = False) -> dict[Spot, int]:
        """Return the offset behind the last record of each partition, or behind the last that is readable."""
        asking = self._asker("bench.ends", "read_committed" if committed else "read_uncommitted")
        partitions = asking.list_topics(topic, timeout=ASK_S).topics[topic].partitions
        return {
            (topic, p): asking.get_watermark_offsets(ck.TopicPartition(topic, p), timeout=ASK_S)[1]
            for p in sorted(partitions)
        }

    def close(self) -> None:
        """Let go of the clients that asked."""
        while self._askers:
            self._askers.popitem()[1].close()

    def _asker(self, group: str, level: str) -> ck.Consumer:
        found = self._askers.get((group, level))
        if found is None:
            found = self._askers[group, level] = self.consumer(group, **{"isolation.level": level})
        return found

    def place(self, group: str, positions: Mapping[Spot, int]) -> None:
        """Let a group begin at these offsets; waits until the members it had are gone."""
        offsets = [ck.TopicPartition(topic, p, offset) for (topic, p), offset in positions.items()]
        until_s = time.monotonic() + EMPTY_S
        while True:
            asking = self.consumer(group)
            try:
                for tp in asking.commit(offsets=offsets, asynchronous=False) or ():
                    if tp.error is not None:
                        raise ck.KafkaException(tp.error)
                return
            except ck.KafkaException:
                if time.monotonic() > until_s:
                    raise
                time.sleep(10 * LOOK_S)
            finally:
                asking.close()

    def end_transactions(self) -> None:
        """End what processes that are gone have left open, positions alone too, which hide no record.

        Until its time-out, a minute, who reads as committed is not told where the group stands, and gives up before.
        """
        base = common(self.kafka, {})
        for one in listing(base, SystemClock()).transactions.values():
            if one.is_open:
                end(base, one)

    def positions(self, group: str, spots: Iterable[Spot]) -> dict[Spot, int]:
        """Return where a group stands, also while its next transaction is open."""
        asking = self._asker(group, "read_uncommitted")
        found = asking.committed([ck.TopicPartition(*spot) for spot in spots], timeout=ASK_S)
        return {(tp.topic, tp.partition): tp.offset for tp in found}

    def fill(
        self, topic: str, records: Iterable[Ready], partition_of: Callable[[int], int] | None = None
    ) -> int:
        """Write records without a transaction, so that no marker takes an offset; return how many.

        The n-th goes to partition `partition_of(n)`, or where its key belongs.
        """
        producer = ck.Producer(
            {"bootstrap.servers": self.kafka, "linger.ms": 50, "compression.type": "lz4", "acks": "all",
             "partitioner": "murmur2_random", "batch.num.messages": 10_000, "queue.buffering.max.messages": 200_000}
        )  # fmt: skip
        count = 0
        for key, value, headers in records:
            place = {} if partition_of is None else {"partition": partition_of(count)}
            while True:
                try:
                    producer.produce(topic, value, key, headers=headers, **place)  # type: ignore[arg-type]  # wants a union
                    break
                except BufferError:
                    producer.poll(0.1)
            count += 1
            if count % 1_000 == 0:
                producer.poll(0)
        if left := producer.flush(60):
            raise RuntimeError(f"{left} records of {topic} could not be written")
        return count

    def read(self, topic: str, begin: Mapping[Spot, int]) -> list[Seen]:
        """Return the committed records from `begin` to the end, once no transaction is open on the topic any more."""
        until(
            lambda: self.ends(topic, committed=True) == self.ends(topic),
            OPEN_S,
            f"the last transaction on {topic}",
        )
        ends = {spot: end for spot, end in self.ends(topic, committed=True).items() if end > begin[spot]}
        reader = self.consumer("bench.reader", **{"enable.partition.eof": True})
        found: list[Seen] = []
        message: Any
        try:
            reader.assign([ck.TopicPartition(t, p, begin[t, p]) for t, p in ends])
            left = set(ends)
            until_s = time.monotonic() + 60
            while left and time.monotonic() < until_s:
                for message in reader.consume(READ_BATCH, 0.1):
                    error, spot = message.error(), (topic, message.partition())
                    if error is not None:
                        if error.code() != ck.KafkaError._PARTITION_EOF:
                            raise ck.KafkaException(error)
                        left.discard(spot)
                        continue
                    found.append(_seen(message))
                    if message.offset() + 1 >= ends.get(spot, 0):
                        left.discard(spot)
        finally:
            reader.close()
        return found


def _seen(message: Any) -> Seen:
    headers = dict(message.headers() or ())
    return Seen(
        at_ms=message.timestamp()[1],
        event_id=(headers.get("ce_id") or b"").decode(),
        key=message.key() or b"",
    )


@contextmanager
def ground(data: Path | None = None, *, topics: bool = True, lasting: bool = True) -> Iterator[Ground]:
    """Bring up a stack on a folder that is thrown away (or on `data`, which is kept) with all topics and schemas.

    Without `topics` the broker lies idle: `ids_file` is not there. It has both compilers, unless it is not `lasting`.
    """
    folder = data or Path(tempfile.mkdtemp(prefix="vigimesh-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    # The database's own user must pass through it.
    folder.chmod(0o711)
    try:
        with up(folder, attached=True, wishes=Wishes(lasting=lasting)) as stack:
            ids_file = folder / "schema-ids.json"
            if topics:
                _fill_cluster(stack, ids_file)
            made = Ground(stack=stack, folder=folder, ids_file=ids_file)
            try:
                yield made
            finally:
                made.close()
    finally:
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)


def _fill_cluster(stack: Stack, ids_file: Path) -> None:
    """Make all topics, register all schemas, and write down the ids that the registry gave."""
    cluster.apply({"bootstrap.servers": stack.urls.kafka}, cluster.Shape(), Deadline.after(SystemClock(), 60))
    schemas = RegistrySchemas({"url": stack.urls.registry})
    schemas.register_all()
    ids_file.write_text(json.dumps({t.subject: schemas.id_of(t.subject) for t in TOPICS}), encoding="utf-8")


def until(condition: Callable[[], bool], within_s: float, what: str, pause_s: float = LOOK_S) -> None:
    """Wait for a condition; raises `TimeoutError` naming it when it does not come true in time."""
    end_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end_s:
            raise TimeoutError(f"{what} did not come within {within_s:g} s")
        time.sleep(pause_s)


def starts(spots: Iterable[Spot]) -> dict[Spot, int]:
    """Return the first offset of each partition of topics that were never deleted from."""
    return dict.fromkeys(spots, 0)


def versions(ground_: Ground, more: Sequence[tuple[str, str]] = ()) -> dict[str, str]:
    """Return the versions of what was measured beside the project's own packages."""
    found = {name: text for name, text in ground_.stack.versions.items() if name in ("kafka", "java")}
    return {**found, "librdkafka": ck.libversion()[0], **dict(more)}


def steady_rate(found: Sequence[Seen], first_share: float = 0.1, last_share: float = 1.0) -> float:
    """Return records a second between the append times at two shares of all records."""
    times = sorted(one.at_ms for one in found)
    first = times[int((len(times) - 1) * first_share)]
    last = times[int((len(times) - 1) * last_share)]
    return sum(first < at <= last for at in times) * 1_000 / max(1, last - first)
