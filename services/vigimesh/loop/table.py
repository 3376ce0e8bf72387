"""State of a stage kept as a compacted topic: newest value per key, what finished work adds included."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from vigimesh.events.codec import Codec
from vigimesh.loop.broker import Consumer


class Table:
    """Newest value per key of the owned partitions of `topic`; co-partitioned with the stage's inputs.

    `put` is seen by later records at once. It may run ahead of the topic, never of what will be written: finished work is
    kept until its transaction has committed, and is lost only with its partition, which is then read anew. Values are
    kept as bytes and decoded when asked for.
    """

    def __init__(self, topic: str, codec: Codec) -> None:
        """Begin empty: `restore` fills it."""
        self.topic = topic
        self._codec = codec
        self._kept: dict[int, dict[bytes, bytes]] = {}

    def forget(self, partitions: Iterable[int]) -> None:
        """Let go of partitions that were taken away or given anew: they must be restored before they are asked."""
        for partition in partitions:
            self._kept.pop(partition, None)

    def fresh(self, partition: int) -> bool:
        """Return whether the partition has been restored."""
        return partition in self._kept

    async def restore(self, partition: int, consumer: Consumer) -> dict[bytes, bytes]:
        """Read a partition from the topic to its end; raises what `Consumer.restore` raises."""
        return dict(await consumer.restore(self.topic, (partition,)))

    def fill(self, partition: int, values: dict[bytes, bytes]) -> None:
        """Take what `restore` has read; from now on the partition is fresh."""
        self._kept[partition] = values

    def get(self, partition: int, key: bytes) -> Any:
        """Return the value of a key as plain values, or `None`."""
        data = self._kept[partition].get(key)
        return None if data is None else msgspec.to_builtins(self._codec.decode(self.topic, data))

    def put(self, partition: int, key: bytes, value: bytes) -> None:
        """Set the value of a key."""
        self._kept[partition][key] = value
