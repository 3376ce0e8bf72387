"""How the topic of waiting events is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from vigimesh.loop.broker import Batch, Part, Record


@dataclass(frozen=True, slots=True, order=True)
class Spot:
    """Where a record lies."""

    part: Part
    offset: int


class ParkedTopic(Protocol):
    """Reads `parked` in its group, always from the start of the log, and again at any offset."""

    async def poll(self, max_records: int, timeout_s: float) -> Batch:
        """Return at most `max_records` committed records, waiting up to `timeout_s` for the first; a tombstone has no bytes.

        As `loop.broker.Consumer.poll`, but a partition that comes is read from the start of its log.
        """
        ...

    async def ends(self, parts: Sequence[Part]) -> Mapping[Part, int]:
        """Return where each partition ends now, open transactions included (the high watermark).

        Asked only when no transaction that holds a position of the group is under way in the partition: from then on its
        former owner is refused, so that whatever it could still write lies below this end. A partition for which that
        is not known yet is left out. Raises `Transient` when the broker is away.
        """
        ...

    async def fetch(self, spots: Sequence[Spot], max_bytes: int) -> Mapping[Spot, Record | None]:
        """Read records again; `None` for one that is no longer there.

        What is left when `max_bytes` have been read is left out; at least one is read. Raises `Transient` when the
        broker is away.
        """
        ...

    async def topics(self) -> frozenset[str]:
        """Return the names of the topics that are there now. Raises `Transient` when the broker is away."""
        ...

    async def close(self) -> None:
        """Leave the group."""
        ...
