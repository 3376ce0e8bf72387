"""Kafka through confluent-kafka: the consumer and the transactional producer that the loop works with.

Settings and the meaning of errors as measured (see docs/decisions): `consume` never waits, `poll` does; producer
back-off of 1 ms; group metadata captured right after the poll whose rebalance callbacks have run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import confluent_kafka as ck

from vigimesh.errors import Broken, Fenced, Misconfigured, Transient
from vigimesh.loop.broker import Batch, InDoubt, Part, Position, Record, TooLarge, Write, require

#: Seconds that a call to the broker may take before it counts as away.
CALL_S = 10.0
#: Transaction time-out: one dead worker stops readers of its partitions for this long plus the clean-up interval.
TRANSACTION_MS = 10_000
#: Seconds in which a compacted topic must be read to its end.
RESTORE_S = 60.0
#: Largest record, as in `max.message.bytes` of the topics.
RECORD_BYTES = 4 * 1024 * 1024

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Code = ck.KafkaError
_FENCED = {_Code._FENCED, _Code.PRODUCER_FENCED, _Code.INVALID_PRODUCER_EPOCH, _Code.FENCED_INSTANCE_ID}


def common(bootstrap: str, extra: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings that every client shares; `extra` are librdkafka's own (security and the like)."""
    return {"bootstrap.servers": bootstrap, "log_level": 3, "broker.address.family": "v4", **extra}


class KafkaConsumer:
    """`loop.broker.Consumer` on one group. With `copartitioned`, partition i of every topic comes together or waits."""

    def __init__(
        self, base: Mapping[str, Any], group: str, topics: Sequence[str], *, copartitioned: bool
    ) -> None:
        """Subscribe at once; assignments come with the polls."""
        self._base = dict(base)
        self._topics = tuple(topics)
        self._copartitioned = copartitioned
        self._owned: set[Part] = set()
        self._gained: set[Part] = set()
        self._lost: set[Part] = set()
        self._waiting: set[Part] = set()
        self._held: set[Part] = set()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"consume {group}")
        self._consumer = ck.Consumer(
            {
                **base,
                "group.id": group,
                "group.protocol": "consumer",
                "group.remote.assignor": "range" if copartitioned else "uniform",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 100,
                "fetch.message.max.bytes": RECORD_BYTES,
                "queued.max.messages.kbytes": 16_384,
                "client.id": group,
            }
        )
        self._consumer.subscribe(
            list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    async def poll(self, max_records: int, timeout_s: float) -> Batch:
        """See `loop.broker.Consumer`."""
        messages = self._consumer.consume(max_records, 0)
        if not messages:
            first = await self._call(self._consumer.poll, timeout_s)
            if first is not None:
                messages = [first, *self._consumer.consume(max_records - 1, 0)]
        try:
            await self._align()
            records = tuple(r for m in messages if (r := self._record(m)) is not None)
        except Transient:
            self._give_back(messages)
            raise
        gained, self._gained = frozenset(self._gained), set()
        lost, self._lost = frozenset(self._lost), set()
        return Batch(
            records=records,
            owned=frozenset(self._owned - self._waiting),
            assigned=gained,
            revoked=lost,
            group=self._consumer.consumer_group_metadata() if records else None,
        )

    async def committed(self, parts: Sequence[Part]) -> Mapping[Part, Position]:
        """See `loop.broker.Consumer`."""
        found = await self._call(lambda: self._consumer.committed(_places(parts), timeout=CALL_S))
        for tp in found:
            if tp.error is not None:
                raise Transient("VM-1301", what=f"committed offset cannot be read: {tp.error.name()}",
                                where=f"{tp.topic}-{tp.partition}", todo="vigimesh stack status")  # fmt: skip
        return {
            Part(tp.topic, tp.partition): Position(offset=tp.offset, metadata=tp.metadata or "")
            for tp in found
            if tp.offset >= 0
        }

    def seek(self, positions: Mapping[Part, Position]) -> None:
        """See `loop.broker.Consumer`."""
        try:
            for part, position in positions.items():
                if part in self._owned:
                    self._consumer.seek(ck.TopicPartition(part.topic, part.partition, position.offset))
        except ck.KafkaException as error:
            raise _away(error, "consumer") from error

    def hold(self, part: Part) -> None:
        """See `loop.broker.Consumer`."""
        if part in self._owned:
            self._held.add(part)
            self._consumer.pause(_places([part]))

    def unhold(self, part: Part, position: Position) -> None:
        """See `loop.broker.Consumer`. The seek comes last: a resume alone goes on behind the last record handed out."""
        self._held.discard(part)
        if part in self._owned and part not in self._waiting:
            self._consumer.resume(_places([part]))
            self.seek({part: position})

    async def restore(self, topic: str, partitions: Sequence[int]) -> Mapping[bytes, bytes]:
        """See `loop.broker.Consumer`."""
        found: dict[bytes, bytes] = await self._call(lambda: read_compacted(self._base, topic, partitions))
        return found

    async def close(self) -> None:
        """See `loop.broker.Consumer`."""
        await asyncio.get_running_loop().run_in_executor(self._pool, self._consumer.close)
        self._pool.shutdown(wait=False)

    async def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)
        except ck.KafkaException as error:
            raise _away(error, "consumer") from error

    def _record(self, message: Any) -> Record | None:
        error = message.error()
        if error is not None:
            _raise_for(error, f"{message.topic()}-{message.partition()}")
            return None
        part = Part(message.topic(), message.partition())
        if part not in self._owned or part in self._waiting or part in self._held:
            return None
        return Record(
            part=part,
            offset=message.offset(),
            key=message.key() or b"",
            value=message.value() or b"",
            headers=message.headers() or [],
            at=_EPOCH + timedelta(milliseconds=message.timestamp()[1]),
        )

    def _on_assign(self, _: Any, partitions: list[Any]) -> None:
        parts = {Part(tp.topic, tp.partition) for tp in partitions}
        self._owned |= parts
        self._gained |= parts

    def _on_revoke(self, _: Any, partitions: list[Any]) -> None:
        parts = {Part(tp.topic, tp.partition) for tp in partitions}
        # A pause outlives the assignment: unless it is lifted, the partition delivers nothing when it comes back.
        if paused := parts & (self._held | self._waiting):
            self._consumer.resume(_places(paused))
        self._owned -= parts
        self._gained -= parts
        self._waiting -= parts
        self._held -= parts
        self._lost |= parts

    async def _align(self) -> None:
        """Let partition i of a topic wait until i of every topic is here: a case's versions need one owner."""
        if not self._copartitioned:
            return
        apart = {
            p
            for p in self._owned
            if any(Part(topic, p.partition) not in self._owned for topic in self._topics)
        }
        self._consumer.pause(_places(apart - self._waiting))
        self._waiting |= apart
        joined = self._waiting - apart
        if joined:
            positions = await self.committed(sorted(joined))
            require(joined, positions)
            self._consumer.resume(_places(joined))
            self.seek(positions)
            self._waiting -= joined
            self._gained |= joined

    def _give_back(self, messages: Sequence[Any]) -> None:
        """Go back to the first record of each partition."""
        good = [message for message in messages if message.error() is None]
        first = {Part(m.topic(), m.partition()): Position(offset=m.offset()) for m in reversed(good)}
        try:
            self.seek(first)
        except (
            Transient
        ) as error:  # where it stands is not known any more: begin anew from the committed offsets
            raise Broken("VM-1301", what=error.what, where=error.where, todo=error.todo) from error


class KafkaProducer:
    """`loop.broker.Producer` under one transactional id."""

    def __init__(self, base: Mapping[str, Any], transactional_id: str) -> None:
        """Connect at the first `renew`."""
        self._settings = {
            **base,
            "transactional.id": transactional_id,
            "transaction.timeout.ms": TRANSACTION_MS,
            "partitioner": "murmur2_random",
            "message.max.bytes": RECORD_BYTES,
            "linger.ms": 500,
            "compression.type": "lz4",
            "retry.backoff.ms": 1,
            "retry.backoff.max.ms": 20,
            "client.id": transactional_id,
        }
        self._id = transactional_id
        self._producer: ck.Producer | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"produce {transactional_id}")

    def expire(self) -> None:
        """See `loop.broker.Producer`."""
        self._producer = None

    async def renew(self) -> None:
        """See `loop.broker.Producer`."""
        if self._producer is None:
            fresh = ck.Producer(self._settings)
            await self._call(lambda: fresh.init_transactions(CALL_S))
            self._producer = fresh

    def begin(self) -> None:
        """See `loop.broker.Producer`."""
        try:
            self._live().begin_transaction()
        except ck.KafkaException as error:
            raise _away(error, self._id) from error

    def write(self, record: Write) -> None:
        """See `loop.broker.Producer`."""
        producer = self._live()
        until_s = time.monotonic() + CALL_S
        while True:
            try:
                producer.produce(record.topic, record.value, record.key, headers=record.headers)  # type: ignore[arg-type]
                return
            except BufferError:
                if time.monotonic() > until_s:
                    raise Transient("VM-1301", what=f"send buffer stays full for {CALL_S:g} s", where=record.topic,
                                    todo="vigimesh stack status") from None  # fmt: skip
                producer.poll(0.01)
            except ck.KafkaException as error:
                if error.args[0].code() == _Code.MSG_SIZE_TOO_LARGE:
                    raise TooLarge("VM-1005", what=f"record of {len(record.value)} bytes is too large",
                                   where=record.topic, todo="put the payload into the object store") from error  # fmt: skip
                raise _away(error, record.topic) from error

    async def send_offsets(self, positions: Mapping[Part, Position], group: Any) -> None:
        """See `loop.broker.Producer`."""
        offsets = [
            ck.TopicPartition(part.topic, part.partition, position.offset, position.metadata)
            for part, position in positions.items()
        ]
        await self._call(lambda: self._live().send_offsets_to_transaction(offsets, group, CALL_S))

    async def commit(self) -> None:
        """See `loop.broker.Producer`."""
        await self._end(lambda: self._live().commit_transaction(CALL_S))

    async def abort(self) -> None:
        """See `loop.broker.Producer`. The producer is not used again: what it had in flight may break its sequence."""
        producer = self._live()
        self._producer = None
        await self._end(lambda: producer.abort_transaction(CALL_S))

    async def close(self) -> None:
        """See `loop.broker.Producer`."""
        self._producer = None
        self._pool.shutdown(wait=False)

    def _live(self) -> ck.Producer:
        if self._producer is None:
            raise InDoubt("VM-1302", what="no producer that is trusted", where=self._id)
        return self._producer

    async def _call(self, function: Callable[[], Any]) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._pool, function)
        except ck.KafkaException as error:
            raise _away(error, self._id) from error

    async def _end(self, function: Callable[[], Any]) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._pool, function)
        except ck.KafkaException as error:
            cause = error.args[0]
            if cause.code() in _FENCED:
                raise _fenced(self._id) from error
            if cause.txn_requires_abort():
                what = f"transaction must be aborted: {cause.name()}"
                raise Transient("VM-1301", what=what, where=self._id) from error
            raise InDoubt("VM-1302", what=f"transaction in doubt: {cause.name()}", where=self._id) from error


def read_compacted(base: Mapping[str, Any], topic: str, partitions: Sequence[int]) -> dict[bytes, bytes]:
    """Return the newest committed value per key, read to the high watermark as it stands now.

    The end is asked for uncommitted: asked for committed, it stops before an open transaction, whose state would be missed.
    Raises `Transient` VM-1306 when the end is not reached in `RESTORE_S`: an open transaction holds it back.
    """
    asking = ck.Consumer({**base, "group.id": "vigimesh.restore", "isolation.level": "read_uncommitted"})
    consumer = ck.Consumer(
        {**base, "group.id": "vigimesh.restore", "enable.auto.commit": False, "isolation.level": "read_committed",
         "auto.offset.reset": "error", "enable.partition.eof": True, "fetch.wait.max.ms": 50}
    )  # fmt: skip
    try:
        ends, starts = {}, []
        for partition in partitions:
            low, high = asking.get_watermark_offsets(ck.TopicPartition(topic, partition), timeout=CALL_S)
            if high > low:
                ends[partition] = high
                starts.append(ck.TopicPartition(topic, partition, low))
        consumer.assign(starts)
        return _read_to(consumer, topic, ends)
    finally:
        asking.close()
        consumer.close()


def _read_to(consumer: ck.Consumer, topic: str, ends: dict[int, int]) -> dict[bytes, bytes]:
    newest: dict[bytes, bytes] = {}
    until_s = time.monotonic() + RESTORE_S
    while ends:
        if time.monotonic() > until_s:
            raise Transient("VM-1306", what=f"not read to the end in {RESTORE_S:.0f} s", where=topic,
                            todo="look for an open transaction on the topic")  # fmt: skip
        for message in consumer.consume(1_000, 0.05):
            error, partition, offset = message.error(), message.partition() or 0, message.offset() or 0
            if error is None:
                key, value = message.key() or b"", message.value()
                if value is None:
                    newest.pop(key, None)
                else:
                    newest[key] = value
                offset += 1
            elif error.code() != _Code._PARTITION_EOF:
                _raise_for(error, topic)
                continue
            # The end-of-partition event tells the offset behind commit markers, which are offsets without records;
            # with an open transaction it comes too early, and again when that has ended.
            if offset >= ends.get(partition, offset + 1):
                del ends[partition]
    return newest


def _places(parts: Iterable[Part]) -> list[ck.TopicPartition]:
    return [ck.TopicPartition(part.topic, part.partition) for part in sorted(parts)]


def _raise_for(error: Any, where: str) -> None:
    code = error.code()
    if code == _Code._AUTO_OFFSET_RESET:
        raise Broken("VM-1305", what="no committed offset, or one outside the log", where=where,
                     todo="vigimesh topics apply")  # fmt: skip
    if code in (_Code.UNKNOWN_TOPIC_OR_PART, _Code._UNKNOWN_TOPIC, _Code._UNKNOWN_PARTITION):
        raise Misconfigured("VM-1007", what="topic does not exist", where=where, todo="vigimesh topics apply")
    if code in _FENCED or error.fatal():
        raise _fenced(where)
    if not error.retriable() and code not in (_Code._ALL_BROKERS_DOWN, _Code._TRANSPORT, _Code._TIMED_OUT):
        raise Transient("VM-1301", what=f"{error.name()}: {error.str()}", where=where,
                        todo="vigimesh stack status")  # fmt: skip


def _fenced(where: str) -> Fenced:
    return Fenced("VM-1303", what="fenced by a newer process with the same instance name", where=where,
                  todo="stop one of the two or give it another name")  # fmt: skip


def _away(error: ck.KafkaException, where: str) -> Transient | Fenced:
    cause = error.args[0]
    if cause.code() in _FENCED or (cause.fatal() and not cause.txn_requires_abort()):
        return _fenced(where)
    return Transient("VM-1301", what=f"broker refused or cannot be reached: {cause.name()}: {cause.str()}", where=where,
                     todo="check the address and that the stack is up: vigimesh stack status")  # fmt: skip
