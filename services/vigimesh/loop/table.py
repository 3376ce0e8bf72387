"""State of a stage kept as a compacted topic: what is committed, and on top of it what this batch adds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from vigimesh.events.codec import Codec
from vigimesh.loop.broker import Consumer


class Table:
    """Newest value per key of the owned partitions of `topic`; co-partitioned with the stage's inputs.

    `put` is seen by later records of the batch at once; `keep` makes it stand after the commit, `drop` takes it back.
    A partition that is `stale` (just assigned, or its last transaction in doubt) is read anew by `refresh` before
    any record is worked on. Values are kept as bytes and decoded when asked for.
    """

    def __init__(self, topic: str, codec: Codec) -> None:
        """Begin empty: `refresh` fills it."""
        self.topic = topic
        self._codec = codec
        self._kept: dict[int, dict[bytes, bytes]] = {}
        self._added: dict[bytes, tuple[int, bytes]] = {}
        self._stale: set[int] = set()

    def stale(self, partitions: Iterable[int]) -> None:
        """Trust these partitions no more until they have been read anew."""
        self._stale.update(partitions)

    def forget(self, partitions: Iterable[int]) -> None:
        """Let go of partitions that are not owned any more."""
        for partition in partitions:
            self._kept.pop(partition, None)
            self._stale.discard(partition)

    async def refresh(self, consumer: Consumer) -> None:
        """Read the stale partitions from the topic; raises what `Consumer.restore` raises, then they stay stale."""
        for partition in sorted(self._stale):
            self._kept[partition] = dict(await consumer.restore(self.topic, (partition,)))
            self._stale.discard(partition)

    def get(self, partition: int, key: bytes) -> Any:
        """Return the value of a key as plain values, or `None`."""
        added = self._added.get(key)
        data = added[1] if added else self._kept.get(partition, {}).get(key)
        return None if data is None else msgspec.to_builtins(self._codec.decode(self.topic, data))

    def put(self, partition: int, key: bytes, event: object) -> None:
        """Set the value of a key for the rest of this batch."""
        self._added[key] = (partition, self._codec.encode(self.topic, event))

    def keep(self) -> None:
        """The batch has committed: what it added stands."""
        for key, (partition, data) in self._added.items():
            self._kept.setdefault(partition, {})[key] = data
        self._added.clear()

    def drop(self) -> None:
        """The batch did not commit: take back what it added."""
        self._added.clear()
