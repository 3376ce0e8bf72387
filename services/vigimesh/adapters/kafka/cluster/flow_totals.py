"""Follows `flow` from the totals that the controller keeps, so that nobody reads all of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from vigimesh.adapters.kafka.history import bounds, scan
from vigimesh.clock import Clock, Deadline
from vigimesh.domain.control.flow import FlowTotals, restored, totalled
from vigimesh.domain.control.measure import Unknown
from vigimesh.errors import Refused, VigimeshError
from vigimesh.events.classes import FlowTotalled
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic

_FLOW, _TOTALS = topic("flow"), topic("flow.totals")

#: Records taken from the client in one call, and the seconds that it waits for them.
_BATCH, _POLL_S = 2_000, 0.05
#: Seconds for one question to the broker, which answers in milliseconds.
_ASK_S = 5.0


class FlowReader:
    """Counts `flow` up to its end at each `advance`, and says so when it could not. For one thread.

    After an error that may have left a record out, it begins anew from the kept totals.
    """

    def __init__(self, base: Mapping[str, Any], codec: Codec, clock: Clock) -> None:
        """Connect at the first `advance`."""
        self._base = {**base, "log_level": 0}
        self._codec = codec
        self._clock = clock
        self._consumer: Consumer | None = None
        self._totals = FlowTotals()
        self._next: dict[int, int] = {}

    def advance(self, within_s: float) -> FlowTotals | Unknown:
        """Return the totals as of now; unknown with its cause when the end of `flow` is not reached in time.

        Never raises for a broker or registry that is away: counting goes on at the next call.
        """
        deadline = Deadline.after(self._clock, within_s)
        try:
            consumer = self._consumer or self._begin()
            spans = {number: self._span(consumer, number) for number in self._next}
            if any(self._next[number] < first for number, (first, _) in spans.items()):
                self.close()
                return Unknown(cause="flow was deleted before it was counted")
            return self._read(consumer, {number: end for number, (_, end) in spans.items()}, deadline)
        except VigimeshError as error:
            self.close()
            return Unknown(cause=f"flow cannot be read: {error.code} {error.what}")
        except KafkaException as error:
            self.close()
            return Unknown(cause=f"flow cannot be read: {error.args[0].name()}")

    def kept(self) -> Iterator[FlowTotalled]:
        """Yield the totals as of the last `advance`, to be written to `flow.totals` in one transaction.

        Nothing after an error: what was counted then is not trusted.
        """
        if self._consumer is not None:
            yield from totalled(self._totals, self._next)

    def close(self) -> None:
        """Let go of the connection and of what was counted."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _begin(self) -> Consumer:
        """Take up the kept totals and go to where they stand."""
        starts = {number: first for (_, number), (first, _) in bounds(self._base, (_FLOW,)).items()}
        newest = {row.key: row.value for row in scan(self._base, (_TOTALS,)) if row.value is not None}
        self._totals = restored(self._codec.decode(_TOTALS, value) for value in newest.values())
        self._next = {number: self._totals.starts.get(number, first) for number, first in starts.items()}
        consumer = Consumer(
            {
                **self._base, "group.id": "vigimesh.lag", "enable.auto.commit": False, "auto.offset.reset": "error",
                "isolation.level": "read_committed", "enable.partition.eof": True, "fetch.wait.max.ms": 50,
            }
        )  # fmt: skip
        consumer.assign([TopicPartition(_FLOW, number, offset) for number, offset in self._next.items()])
        self._consumer = consumer
        return consumer

    def _span(self, consumer: Consumer, number: int) -> tuple[int, int]:
        """Return first offset and end of a partition of `flow`, the end as a reader of committed records sees it."""
        found: tuple[int, int] = consumer.get_watermark_offsets(TopicPartition(_FLOW, number), timeout=_ASK_S)
        return found

    def _read(self, consumer: Consumer, ends: Mapping[int, int], deadline: Deadline) -> FlowTotals | Unknown:
        while any(self._next[number] < end for number, end in ends.items()):
            if deadline.passed():
                left = sum(max(0, end - self._next[number]) for number, end in ends.items())
                return Unknown(cause=f"flow is not read to its end: {left} offsets are left")
            for message in consumer.consume(_BATCH, _POLL_S):
                self._take(message)
        return self._totals

    def _take(self, message: Any) -> None:
        number, offset, error = message.partition(), message.offset(), message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                # Tells the offset behind the markers of transactions, which are offsets without a record.
                self._next[number] = max(self._next[number], offset)
            elif not error.retriable() and error.code() not in (
                KafkaError._ALL_BROKERS_DOWN,
                KafkaError._TRANSPORT,
            ):
                raise KafkaException(error)
        elif offset >= self._next[number]:
            try:
                self._totals.add(number, offset, self._codec.decode(_FLOW, message.value() or b""))
            except Refused as unreadable:
                raise Refused(
                    unreadable.code,
                    what=unreadable.what,
                    where=f"{_FLOW}-{number}-{offset}",
                    todo=unreadable.todo,
                ) from unreadable
            self._next[number] = offset + 1
