"""Follows `knowledge.changed` in a thread of its own: what tells a retriever at once that a document is another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from vigimesh.adapters.kafka.client import CALL_S
from vigimesh.adapters.kafka.follower import Follower
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic

_CHANGED = topic("knowledge.changed")


class ChangeReader(Follower):
    """Calls `changed` for each document that changes. While the broker is away only the look at the base's state finds a change."""

    def __init__(self, base: Mapping[str, Any], codec: Codec, changed: Callable[[], None]) -> None:
        """Nothing is read before `start`. `base` are the settings of every client."""
        super().__init__(base, _CHANGED, "changes")
        self._codec, self._changed = codec, changed

    def _first(self, consumer: Consumer) -> int:
        """Return the end: what changed before is in the base, which is read anew then."""
        end: int = consumer.get_watermark_offsets(TopicPartition(_CHANGED, 0), timeout=CALL_S)[1]
        # Anything may have changed while nobody listened; the end is known first, so that nothing falls between.
        self._changed()
        return end

    def _take(self, value: bytes, at_ms: int) -> None:
        self._codec.decode(_CHANGED, value)
        self._changed()
