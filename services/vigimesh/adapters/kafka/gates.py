"""Follows `cascade.gate` in a thread of its own and tells a worker where the small tier may be relied on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from vigimesh import names
from vigimesh.adapters.kafka.client import CALL_S
from vigimesh.adapters.kafka.follower import Follower
from vigimesh.domain.cascade.certify import Certificate, Facts, Seen
from vigimesh.domain.cascade.live import standing
from vigimesh.domain.cascade.sample import key_of, place_in
from vigimesh.domain.cascade.small import Standing
from vigimesh.events.codec import Codec
from vigimesh.events.sampling import CasePlace, GateMoved
from vigimesh.events.topics import topic
from vigimesh.loop.telemetry import Telemetry

#: Gates kept: product classes x sources x languages x recalls of the models in use are some dozens. Beyond, further places are closed.
GATES_MAX = 2_000
#: What is said while nobody knows how the gates stand.
UNKNOWN = "how the gates stand was not read yet"

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


class GateReader(Follower):
    """A `GateBook` from the broker. While it is away the gates stand as they were read; before they were read once, all are closed."""

    def __init__(
        self, base: Mapping[str, Any], codec: Codec, telemetry: Telemetry | None = None, labels: Mapping[str, str] | None = None
    ) -> None:  # fmt: skip
        """Nothing is read before `start`. `base` are the settings of every client; `labels` those of the metric."""
        super().__init__(base, _GATE, "gates")
        self._codec, self._telemetry, self._labels = codec, telemetry, dict(labels or {})
        self._book = GateBook()

    def seen_of(self, place: CasePlace) -> Seen:
        """See `GateBook`."""
        return self._book.seen_of(place)

    def closed(self, place: CasePlace) -> str:
        """See `GateBook`."""
        return self._book.closed(place)

    def standing(self, facts: Facts, certificate: Certificate) -> Standing:
        """See `GateBook`."""
        return self._book.standing(facts, certificate)

    def _first(self, consumer: Consumer) -> int:
        """Return the beginning: the topic is compacted, so that it holds each gate once."""
        start: int = consumer.get_watermark_offsets(TopicPartition(_GATE, 0), timeout=CALL_S)[0]
        return start

    def _take(self, value: bytes, at_ms: int) -> None:
        self._book.take(self._codec.decode(_GATE, value))

    def _ended(self) -> None:
        self._book.read = True
        if self._telemetry is not None:
            self._telemetry.level(names.GATES_SHUT, float(len(self._book.shut)), self._labels)
