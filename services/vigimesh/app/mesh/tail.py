"""Follows a run while it goes: what each stage took, and which messages have an outcome."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

import confluent_kafka as ck

from vigimesh.adapters.kafka.history import bounds
from vigimesh.events.classes import FlowCounted
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import from_headers
from vigimesh.events.topics import topic

_FLOW = topic("flow")
_OUTCOMES = tuple(topic(name) for name in ("case.decided", "case.review", "deadletter", "parked"))
#: Seconds between two looks at the topics: a screen is read no faster.
_LOOK_S = 0.2


class Tail:
    """A thread that reads `flow` from its present end on, and the outcomes from their start. Counters only ever grow.

    From their start, because a message that is sent again to a stack that concluded it gets no second outcome.
    """

    def __init__(self, settings: Mapping[str, Any], codec: Codec) -> None:
        """Note where the topics stand now, so that nothing written from here on is missed."""
        self._codec = codec
        self._consumer = ck.Consumer(
            {
                **settings,
                "group.id": "vigimesh.tail",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
            }
        )
        self._consumer.assign(
            [
                ck.TopicPartition(name, number, end if name == _FLOW else first)
                for (name, number), (first, end) in bounds(settings, (_FLOW, *_OUTCOMES)).items()
            ]
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="tail", daemon=True)
        #: (stage, lane) -> records taken.
        self.taken: Counter[tuple[str, str]] = Counter()
        #: Messages, or events without one, that have an outcome.
        self.concluded: set[str] = set()

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Stop following; the counters stay."""
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def _follow(self) -> None:
        while not self._stop.is_set():
            for message in self._consumer.consume(2_000, _LOOK_S):
                if message.error() is None:
                    self._count(message)

    def _count(self, message: Any) -> None:
        if message.topic() == _FLOW:
            flow: FlowCounted = self._codec.decode(_FLOW, message.value())
            self.taken[flow.stage, flow.lane] += flow.consumed
        else:
            envelope = from_headers(message.headers() or [], "")
            self.concluded.add(envelope.messageid or envelope.id)
