"""The topic of parked events in memory: the twin of `kafka/parked_topic`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vigimesh.adapters.memory.broker import MemoryBroker, MemoryConsumer
from vigimesh.events.topics import BY_NAME
from vigimesh.loop.broker import Batch, Part, Position, Record
from vigimesh.ports import Spot


class MemoryParkedTopic:
    """`ports.ParkedTopic` on a memory broker. Its hook is called at `poll`, `ends` and `fetch` too."""

    def __init__(self, broker: MemoryBroker, group: str, topic: str) -> None:
        """Join at the first poll."""
        self._broker = broker
        self._group = group
        self._member = _FromStart(broker, group, (topic,))
        #: What `topics` answers: a test takes one out.
        self.there = frozenset(BY_NAME)

    async def poll(self, max_records: int, timeout_s: float) -> Batch:
        """See `ParkedTopic`."""
        return await self._member.poll(max_records, timeout_s, _leave)

    async def ends(self, parts: Sequence[Part]) -> Mapping[Part, int]:
        """See `ParkedTopic`."""
        self._broker.hook("ends")
        stable = (part for part in parts if not self._broker.pending(self._group, part))
        return {part: self._broker.end_offset(part) for part in stable}

    async def fetch(self, spots: Sequence[Spot], max_bytes: int) -> Mapping[Spot, Record | None]:
        """See `ParkedTopic`."""
        self._broker.hook("fetch")
        found: dict[Spot, Record | None] = {}
        for spot in sorted(spots):
            if max_bytes <= 0:
                break
            records, _ = self._broker.read(spot.part, spot.offset, 1)
            there = bool(records) and records[0].offset == spot.offset
            found[spot] = records[0] if there else None
            max_bytes -= len(records[0].value) if there else 0
        return found

    async def topics(self) -> frozenset[str]:
        """See `ParkedTopic`."""
        return self.there

    async def close(self) -> None:
        """See `ParkedTopic`."""
        await self._member.close()


class _FromStart(MemoryConsumer):
    """A member that begins where the log begins, whatever is committed."""

    def _begin(self, gained: frozenset[Part]) -> dict[Part, Position]:
        begun = {part: Position(offset=0) for part in sorted(gained)}
        self._next.update({part: position.offset for part, position in begun.items()})
        return begun


async def _leave(parts: frozenset[Part]) -> None:
    """Nothing of a partition is in hand while a poll is under way."""
