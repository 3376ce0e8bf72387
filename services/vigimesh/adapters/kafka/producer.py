"""Writes transactions to Kafka: the transactional producer that the loop works with."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import confluent_kafka as ck

from vigimesh.adapters.kafka.client import CALL_S, FENCED, RECORD_BYTES, away, fenced
from vigimesh.adapters.kafka.own_thread import OwnThread
from vigimesh.errors import Fenced, Transient, VigimeshError
from vigimesh.loop.broker import TRANSACTION_S, InDoubt, Part, Position, TooLarge, Write

#: `transaction.timeout.ms`.
TRANSACTION_MS = int(TRANSACTION_S * 1000)
#: Seconds beyond its time-out after which a call counts as hanging.
_LATE_S = 2.0


class KafkaProducer:
    """`loop.broker.Producer` under one transactional id."""

    def __init__(self, base: Mapping[str, Any], transactional_id: str, *, client_id: str = "") -> None:
        """Connect at the first `renew`. Quotas of the cluster go by `client_id`; the transactional id when empty."""
        self._settings = {
            **base,
            "transactional.id": transactional_id,
            "transaction.timeout.ms": TRANSACTION_MS,
            "partitioner": "murmur2_random",
            "message.max.bytes": RECORD_BYTES,
            "linger.ms": 500,
            "compression.type": "lz4",
            # What was written is known from the end of the transaction; a report for each record would only cost time.
            "delivery.report.only.error": True,
            "on_delivery": self._told,
            "retry.backoff.ms": 1,
            "retry.backoff.max.ms": 20,
            "client.id": client_id or transactional_id,
        }
        self._id = transactional_id
        self._producer: ck.Producer | None = None
        #: One that has not been told its epoch yet. Another beside it would ask for one, too: the later fences the earlier.
        self._fresh: ck.Producer | None = None
        self._positions: tuple[list[ck.TopicPartition], Any] | None = None
        #: The client that has begun its next transaction already, at the end of the one before.
        self._begun: ck.Producer | None = None
        #: The first record of the transaction that its topic refused: of that the transaction itself says only that its state is wrong.
        self._refused = ""
        self._thread = OwnThread(f"produce {transactional_id}")

    def expire(self) -> None:
        """See `loop.broker.Producer`."""
        self._producer = None

    async def renew(self) -> None:
        """See `loop.broker.Producer`."""
        if self._producer is None:
            fresh, self._fresh = self._fresh or ck.Producer(self._settings), None
            try:
                await self._in_time(lambda: fresh.init_transactions(CALL_S))
            except ck.KafkaException as error:
                if error.args[0].retriable():
                    self._fresh = fresh
                raise away(error, self._id) from error
            self._producer = fresh

    def begin(self) -> None:
        """See `loop.broker.Producer`."""
        producer, self._positions, self._refused = self._live(), None, ""
        try:
            if self._begun is not producer:
                producer.begin_transaction()
        except ck.KafkaException as error:
            raise away(error, self._id) from error
        self._begun = None

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
                if error.args[0].code() == ck.KafkaError.MSG_SIZE_TOO_LARGE:
                    raise TooLarge("VM-1005", what=f"record of {len(record.value or b'')} bytes is too large",
                                   where=record.topic, todo="put the payload into the object store") from error  # fmt: skip
                raise away(error, record.topic) from error

    async def send_offsets(self, positions: Mapping[Part, Position], group: Any) -> None:
        """See `loop.broker.Producer`. They go out with the commit: one change of threads less in each transaction."""
        self._live()
        offsets = [
            ck.TopicPartition(part.topic, part.partition, position.offset, position.metadata)
            for part, position in positions.items()
        ]
        self._positions = offsets, group

    async def commit(self) -> None:
        """See `loop.broker.Producer`."""
        producer, positions = self._live(), self._positions

        def end() -> None:
            if positions is not None:
                try:
                    producer.send_offsets_to_transaction(*positions, CALL_S)
                except ck.KafkaException as error:
                    # Nothing was asked to end: this transaction can be aborted.
                    raise self._why(away(error, self._id)) from error
            producer.commit_transaction(CALL_S)
            # The next one is begun here: the broker hears nothing of it yet, but the client waits for a thread of its own, and
            # in `begin` the loop would wait with it.
            with suppress(ck.KafkaException):  # `begin` will say so
                producer.begin_transaction()
                self._begun = producer

        await self._end(end, 2 * CALL_S)

    async def abort(self) -> None:
        """See `loop.broker.Producer`. The producer is not used again: what it had in flight may break its sequence."""
        producer = self._live()
        self._producer = None
        await self._end(lambda: producer.abort_transaction(CALL_S))

    async def close(self) -> None:
        """See `loop.broker.Producer`."""
        self._producer = self._fresh = None
        self._thread.close()

    def _live(self) -> ck.Producer:
        if self._producer is None:
            raise InDoubt("VM-1302", what="no producer that is trusted", where=self._id)
        return self._producer

    def _told(self, error: ck.KafkaError, record: ck.Message) -> None:
        # The client's own codes are negative: what it let go of because of the one that was refused.
        if error.code() > 0 and not self._refused:
            self._refused = f"{record.topic()} refuses a record: {error.str()}"

    def _why(self, error: VigimeshError) -> VigimeshError:
        """Return what a failed transaction is told as: that a topic refused a record, where it did."""
        if self._producer is not None:
            self._producer.poll(0)
        if isinstance(error, Fenced) or not self._refused:
            return error
        return Transient("VM-1304", what=self._refused, where=self._id,
                         todo="vigimesh topics check; vigimesh explain VM-1304")  # fmt: skip

    async def _end(self, function: Callable[[], Any], within_s: float = CALL_S) -> None:
        try:
            await self._in_time(function, within_s)
        except ck.KafkaException as error:
            cause = error.args[0]
            if cause.code() in FENCED:
                raise fenced(cause, self._id) from error
            if cause.txn_requires_abort():
                what = f"transaction must be aborted: {cause.name()}"
                raise self._why(Transient("VM-1301", what=what, where=self._id)) from error
            raise InDoubt("VM-1302", what=f"transaction in doubt: {cause.name()}", where=self._id) from error

    async def _in_time(self, function: Callable[[], Any], within_s: float = CALL_S) -> None:
        """Call the client; one that ignores its own time-out (librdkafka #5456) is left behind with its thread, in doubt."""
        try:
            await self._thread.call(function, within_s + _LATE_S)
        except TimeoutError:
            self._producer = None
            self._thread.close()
            self._thread = OwnThread(f"produce {self._id}")
            raise InDoubt("VM-1302", what=f"no answer in {within_s + _LATE_S:g} s", where=self._id) from None
