"""Follows `cascade.gate` in a thread of its own and tells a worker where the small tier may be relied on."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from vigimesh import names
from vigimesh.domain.cascade.certify import Certificate, Facts, Seen
from vigimesh.domain.cascade.live import standing
from vigimesh.domain.cascade.sample import key_of, place_in
from vigimesh.domain.cascade.small import Standing
from vigimesh.errors import Refused, VigimeshError
from vigimesh.events.codec import Codec
from vigimesh.events.sampling import CasePlace, GateMoved
from vigimesh.events.topics import topic
from vigimesh.loop.telemetry import Telemetry

#: Gates kept: product classes x sources x languages x recalls of the models in use are some dozens. Beyond, further places are closed.
GATES_MAX = 2_000
#: What is said while nobody knows how the gates stand.
UNKNOWN = "how the gates stand was not read yet"

#: Seconds a poll waits, and how soon `close` is noticed; for one question to the broker; before a new start after one that failed.
_POLL_S, _ASK_S, _RETRY_S = 0.5, 10.0, 1.0
_GATE = topic("cascade.gate")


@dataclass(slots=True)
class GateBook:
    """The newest record of each place. `read` says that all that stood on the topic at the start has been taken."""

    read: bool = False
    full: bool = False
    gates: Mapping[CasePlace, GateMoved] = field(default_factory=dict)

    def take(self, gate: GateMoved) -> None:
        """Take one record, newest last."""
        if gate.place not in self.gates and len(self.gates) >= GATES_MAX:
            self.full = True
            return
        self.gates = {**self.gates, gate.place: gate}  # whole at once: another thread reads it

    def seen_of(self, place: CasePlace) -> Seen:
        """Return the labelled serious cases of a place behind a gate that a look has opened; none where it is closed or not known."""
        serious, missed, closed = standing(self.gates, place) if self.read else (0, 0, UNKNOWN)
        return Seen() if closed else Seen(serious=serious, missed=missed)

    def closed(self, place: CasePlace) -> str:
        """Return why the small tier resolves nothing in a place, whatever a certificate says; empty when nothing is against it."""
        if not self.read:
            return UNKNOWN
        if self.full and place not in self.gates:
            return f"there are over {GATES_MAX} gates, and this one is not known"
        return standing(self.gates, place)[2]

    def standing(self, facts: Facts, certificate: Certificate) -> Standing:
        """Return both for a case at a certificate's threshold: what `small.tell` asks for."""
        place = place_in(facts, certificate)
        return Standing(seen=self.seen_of(place), closed=self.closed(place))

    @property
    def shut(self) -> tuple[str, ...]:
        """The places that are closed by drift or a person."""
        return tuple(key_of(place) for place, gate in self.gates.items() if gate.closed)


class GateReader:
    """A `GateBook` from the broker. While it is away the gates stand as they were read; before they were read once, all are closed."""

    def __init__(
        self, base: Mapping[str, Any], codec: Codec, telemetry: Telemetry | None = None, labels: Mapping[str, str] | None = None
    ) -> None:  # fmt: skip
        """Nothing is read before `start`. `base` are the settings of every client; `labels` those of the metric."""
        self._base = {**base, "log_level": 0}
        self._codec, self._telemetry, self._labels = codec, telemetry, dict(labels or {})
        self._book = GateBook()
        self._stop, self._quiet = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._follow, name="gates", daemon=True)

    def start(self) -> Self:
        """Begin to follow the topic; returns at once."""
        self._thread.start()
        return self

    def seen_of(self, place: CasePlace) -> Seen:
        """See `GateBook`."""
        return self._book.seen_of(place)

    def closed(self, place: CasePlace) -> str:
        """See `GateBook`."""
        return self._book.closed(place)

    def standing(self, facts: Facts, certificate: Certificate) -> Standing:
        """See `GateBook`."""
        return self._book.standing(facts, certificate)

    def caught_up(self, within_s: float) -> bool:
        """Wait until all that was on the topic at the start has been read; return whether it has."""
        return self._quiet.wait(within_s)

    def close(self) -> None:
        """Stop following, within `_POLL_S` where the broker answers; the thread never keeps a process alive."""
        self._stop.set()
        self._thread.join(_POLL_S * 2)

    def _follow(self) -> None:
        while not self._stop.is_set():
            consumer: Consumer | None = None
            try:
                consumer = self._placed()
                while not self._stop.is_set():
                    self._take(consumer.poll(_POLL_S))
            except (KafkaException, VigimeshError):
                # Broker or registry away, topic not there yet: begin anew, from the start, so that nothing is missed.
                self._stop.wait(_RETRY_S)
            finally:
                if consumer is not None:
                    consumer.close()

    def _placed(self) -> Consumer:
        consumer = Consumer(
            {
                **self._base, "group.id": "vigimesh.gates", "enable.auto.commit": False, "auto.offset.reset": "error",
                "isolation.level": "read_committed", "enable.partition.eof": True, "fetch.wait.max.ms": 500,
            }
        )  # fmt: skip
        try:
            start, _ = consumer.get_watermark_offsets(TopicPartition(_GATE, 0), timeout=_ASK_S)
            consumer.assign([TopicPartition(_GATE, 0, start)])
        except BaseException:
            consumer.close()
            raise
        return consumer

    def _take(self, message: Any) -> None:
        if message is None:
            return
        error = message.error()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            self._book.read = True
            self._quiet.set()
            self._tell()
            return
        if error is not None:
            passing = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT)
            if not error.retriable() and error.code() not in passing:
                raise KafkaException(error)
            return
        try:
            self._book.take(self._codec.decode(_GATE, message.value() or b""))
        except Refused:
            return  # no gate of ours

    def _tell(self) -> None:
        if self._telemetry is not None:
            self._telemetry.level(names.GATES_SHUT, float(len(self._book.shut)), self._labels)
