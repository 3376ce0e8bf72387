"""Reads topics from a known start to a known end: what the checker, the case history and the auditor stand on.

Nothing here joins a group or commits: reading the history never moves a worker.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from vigimesh.adapters.kafka.client import asker, moment, offsets_at
from vigimesh.clock import Clock, Deadline, SystemClock
from vigimesh.domain.record.rows import Row
from vigimesh.errors import Misconfigured, Transient
from vigimesh.events.envelope import from_headers
from vigimesh.events.topics import groups

__all__ = ["Bounds", "Row", "bounds", "committed_offsets", "fetch", "scan", "scan_since", "settle"]

#: Records taken from the client in one call: larger gained nothing when measured.
_BATCH = 2_000

#: Offsets up to which reading on is quicker than beginning anew at the next wanted one, which takes a few round trips.
NEAR = 200
#: Bytes of one answer where single records are wanted: a batch of a few, a larger one comes whole.
_NEAR_BYTES = 64 * 1024

#: Seconds one call waits for records; short, so that the idle deadline is looked at often.
_POLL_S = 0.5

#: Seconds without a record or an end of partition after which a read counts as stalled: longer than a transaction
#: time-out (10 s) and the broker's clean-up interval, since the end asked for was readable when it was asked for.
IDLE_S = 30.0

#: Seconds one question to the broker may take.
_ASK_S = 15.0

#: Seconds between two looks at what is still open.
_LOOK_S = 0.1

Part = tuple[str, int]
#: Bootstrap servers, or the settings of every client where a cluster asks for more than an address.
Broker = str | Mapping[str, Any]
#: By topic and partition: the first offset kept, and the offset after the last committed record.
Bounds = Mapping[Part, tuple[int, int]]


def scan(
    bootstrap: Broker,
    topics: Sequence[str],
    *,
    from_offsets: Mapping[Part, int] | None = None,
    only: Collection[Part] | None = None,
    clock: Clock | None = None,
) -> Iterator[Row]:
    """Yield every committed record of `topics` up to the end as of the call; in offset order per partition.

    `from_offsets` names where to begin (offsets before the log start are moved to it), `only` the partitions to read.
    Aborted records and transaction markers are left out. Raises `Transient` VM-1301 when the broker is away, VM-1701 when nothing came
    for `IDLE_S`; `Misconfigured` VM-1702 for a topic that is not there.
    """
    wanted = {
        part: (max(first, (from_offsets or {}).get(part, first)), end)
        for part, (first, end) in bounds(bootstrap, topics).items()
        if only is None or part in only
    }
    ends = {part: end for part, (first, end) in wanted.items() if first < end}
    if not ends:
        return
    consumer = _consumer(bootstrap)
    try:
        consumer.assign([TopicPartition(t, p, wanted[(t, p)][0]) for t, p in ends])
        yield from _read(consumer, ends, clock or SystemClock())
    finally:
        consumer.close()


def scan_since(bootstrap: Broker, topics: Sequence[str], moment: datetime) -> Iterator[Row]:
    """Yield every committed record of `topics` from the first that was appended since `moment` on. Raises as `scan` does."""
    asking = _consumer(bootstrap)
    try:
        parts = _parts(asking, topics, _where(bootstrap))
        found = offsets_at(asking, parts, int(moment.timestamp() * 1_000), _ASK_S)
    except KafkaException as error:
        raise _away(_where(bootstrap), error) from error
    finally:
        asking.close()
    # Without a record since then there is nothing to read.
    firsts = {part: offset for part, offset in found.items() if offset >= 0}
    yield from scan(bootstrap, topics, from_offsets=firsts, only=firsts)


def fetch(
    bootstrap: Broker, wanted: Mapping[Part, Sequence[int]], *, clock: Clock | None = None
) -> Iterator[Row]:
    """Yield the committed records at the offsets `wanted` (ascending, each of them kept and before the end); no others are handed out.

    Offsets that lie within `NEAR` of each other are read in one go. Raises `Transient` VM-1301 when the broker is away, VM-1701 when
    nothing came for `IDLE_S`.
    """
    runs = {part: _runs(offsets) for part, offsets in wanted.items() if offsets}
    if not runs:
        return
    consumer = _consumer(bootstrap, fetch_bytes=_NEAR_BYTES)
    try:
        while runs:
            now = {part: left.pop(0) for part, left in runs.items()}
            consumer.assign([TopicPartition(t, p, run[0]) for (t, p), run in now.items()])
            named = {(part, at) for part, run in now.items() for at in run}
            for row in _read(
                consumer, {part: run[-1] + 1 for part, run in now.items()}, clock or SystemClock()
            ):
                if ((row.topic, row.partition), row.offset) in named:
                    yield row
            runs = {part: left for part, left in runs.items() if left}
    finally:
        consumer.close()


def _runs(offsets: Sequence[int]) -> list[list[int]]:
    """Part offsets where the way to the next one is longer than it is worth."""
    found = [[offsets[0]]]
    for at in offsets[1:]:
        if at - found[-1][-1] > NEAR:
            found.append([])
        found[-1].append(at)
    return found


def bounds(bootstrap: Broker, topics: Sequence[str]) -> Bounds:
    """Return first and last offset of each partition as a reader of committed records sees them.

    Raises `Transient` VM-1301 when the broker is away; `Misconfigured` VM-1702 for a topic that is not there.
    """
    asking = _consumer(bootstrap)
    try:
        parts = _parts(asking, topics, _where(bootstrap))
        firsts, ends = (offsets_at(asking, parts, at, _ASK_S) for at in (OFFSET_BEGINNING, OFFSET_END))
    except KafkaException as error:
        raise _away(_where(bootstrap), error) from error
    finally:
        asking.close()
    return {part: (firsts[part], ends[part]) for part in parts}


def settle(bootstrap: Broker, topics: Sequence[str], *, within_s: float, clock: Clock | None = None) -> bool:
    """Return once every transaction that has records on `topics` now has ended in all its partitions; whether it has.

    The end of a transaction reaches its partitions one after the other: who reads in between sees a part of it. What
    such a reader misses is there for the next `scan` after this. Raises as `bounds` does.
    """
    settled, every = _consumer(bootstrap), asker(settings_of(bootstrap), "vigimesh.history")
    deadline, pause = Deadline.after(clock or SystemClock(), within_s), threading.Event()
    try:
        parts = _parts(settled, topics, _where(bootstrap))
        ends = offsets_at(every, parts, OFFSET_END, _ASK_S)
        while any(now < ends[part] for part, now in offsets_at(settled, parts, OFFSET_END, _ASK_S).items()):
            if deadline.passed():
                return False
            pause.wait(_LOOK_S)
    except KafkaException as error:
        raise _away(_where(bootstrap), error) from error
    finally:
        settled.close()
        every.close()
    return True


def _parts(asking: Consumer, topics: Sequence[str], where: str) -> list[Part]:
    """Return every partition of the topics."""
    known = asking.list_topics(timeout=_ASK_S).topics
    missing = sorted(name for name in topics if name not in known)
    if missing:
        raise Misconfigured(
            "VM-1702", what=f"topic {missing[0]} is not there", where=where,
            todo="run `vigimesh topics apply`, or name the stack that holds the cases",
        )  # fmt: skip
    return [(name, p) for name in topics for p in sorted(known[name].partitions)]


def committed_offsets(bootstrap: Broker) -> dict[Part, int]:
    """Return the next offset that the group of each stage will read, by topic and partition.

    Asked by consumers that never join: the admin client's own question kills the process while a new cluster makes its
    offsets topic (see `adapters/kafka/cluster/topics`). Raises `Transient` VM-1301 when the broker is away.
    """
    found: dict[Part, int] = {}
    for group, names in groups():
        consumer = asker(settings_of(bootstrap), group)
        try:
            known = consumer.list_topics(timeout=_ASK_S).topics
            parts = [TopicPartition(n, p) for n in names if n in known for p in known[n].partitions]
            for tp in consumer.committed(parts, timeout=_ASK_S):
                if tp.offset >= 0:
                    found[(tp.topic, tp.partition)] = tp.offset
        except KafkaException as error:
            raise _away(_where(bootstrap), error) from error
        finally:
            consumer.close()
    return found


def _read(consumer: Any, ends: dict[Part, int], clock: Clock) -> Iterator[Row]:
    """Yield records until every partition has reached its end."""
    idle = Deadline.after(clock, IDLE_S)
    while ends:
        messages = consumer.consume(_BATCH, _POLL_S)
        if messages:
            idle = Deadline.after(clock, IDLE_S)
        elif idle.passed():
            place = ", ".join(f"{topic}-{partition}" for topic, partition in sorted(ends)[:3])
            raise Transient(
                "VM-1701", what=f"nothing came for {IDLE_S:g} s and {len(ends)} partitions are not read to their end",
                where=place, todo="check that the broker is up, then read again",
            )  # fmt: skip
        for message in messages:
            part = (message.topic(), message.partition())
            end = ends.get(part)
            error = message.error()
            if error is not None:
                if error.code() != KafkaError._PARTITION_EOF:
                    if error.fatal() or not error.retriable():
                        raise _away(message.topic() or "", KafkaException(error))
                    continue
            elif end is not None and message.offset() < end:
                yield _row(message)
                if message.offset() + 1 < end:
                    continue
            if end is not None and message.offset() + 1 >= end:
                del ends[part]
                consumer.incremental_unassign([TopicPartition(*part)])


def _row(message: Any) -> Row:
    """Return the record as a row."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    key = message.key()
    return Row(
        topic,
        partition,
        offset,
        moment(message.timestamp()[1]),
        key.decode("utf-8", "replace") if key else "",
        from_headers(message.headers() or (), f"{topic}-{partition}-{offset}"),
        message.value(),
    )


def _consumer(bootstrap: Broker, fetch_bytes: int = 4 * 1024 * 1024) -> Any:
    """Return a consumer that commits nothing and reads only what is committed."""
    return Consumer(
        {
            **settings_of(bootstrap),
            "group.id": f"vigimesh.history.{uuid4().hex}",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            # One fetch may hold a whole partition of a small stack; the queue is the bound on memory.
            "fetch.max.bytes": 16 * 1024 * 1024,
            "max.partition.fetch.bytes": fetch_bytes,
            "queued.max.messages.kbytes": 64 * 1024,
        }
    )


def settings_of(broker: Broker) -> dict[str, Any]:
    """Return what every client here has in common; errors come back as values, so the client logs nothing."""
    given = {"bootstrap.servers": broker} if isinstance(broker, str) else dict(broker)
    return {"socket.connection.setup.timeout.ms": 10_000, "log_level": 0, **given}


def _where(broker: Broker) -> str:
    """Return the address, and nothing that may be secret."""
    return broker if isinstance(broker, str) else str(broker.get("bootstrap.servers", ""))


def _away(where: str, error: KafkaException) -> Transient:
    """Return the error for a broker that does not answer."""
    cause = error.args[0].str() if error.args and hasattr(error.args[0], "str") else str(error)
    return Transient(
        "VM-1301",
        what=f"the broker does not answer: {cause}",
        where=where,
        todo="check the address: `vigimesh stack status`",
    )
