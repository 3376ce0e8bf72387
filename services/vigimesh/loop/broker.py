"""The broker as the loop needs it: one consumer, one transactional producer. Adapters: Kafka, and memory.

Which error means what (the adapter maps, the loop decides):
- `Transient` from `begin`, `write` or `send_offsets`: the transaction can be aborted and made again.
- `InDoubt` from `commit` or `abort`: nobody knows how it ended; the producer must be replaced.
- `Fenced`: a newer process owns the transactional id, or the group has thrown us out of the partitions.
- `TooLarge` from `write`: this one record does not fit the topic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from vigimesh.errors import Broken, Refused, Transient
from vigimesh.events.envelope import Headers


class InDoubt(Transient):
    """The end of a transaction is not known: committed or not."""


class TooLarge(Refused):
    """A record is larger than its topic takes."""


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """A partition of a topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record as it lies on the topic. `at` is the broker's append time."""

    part: Part
    offset: int
    key: bytes
    value: bytes
    headers: Headers
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a group goes on in a partition: the next offset, and the metadata kept with it (ASCII, <= 4,096)."""

    offset: int
    metadata: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a poll gave. `owned` are the partitions that may be worked on after it; `group` is the metadata captured then.

    `assigned` and `revoked` say what changed since the last poll; state of revoked partitions is gone already.
    """

    records: tuple[Record, ...] = ()
    owned: frozenset[Part] = frozenset()
    assigned: frozenset[Part] = frozenset()
    revoked: frozenset[Part] = frozenset()
    group: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A record to be written."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers = field(default_factory=list)


def require(parts: Iterable[Part], positions: Mapping[Part, Position]) -> None:
    """Raise `Broken` VM-1305 unless every part has a position: without one, going on would skip records."""
    lacking = sorted(set(parts) - positions.keys())
    if lacking:
        first = lacking[0]
        raise Broken("VM-1305", what=f"no committed offset for {len(lacking)} partitions",
                     where=f"{first.topic}-{first.partition}", todo="vigimesh topics apply")  # fmt: skip


class Consumer(Protocol):
    """Reads committed records of one group."""

    async def poll(self, max_records: int, timeout_s: float) -> Batch:
        """Return at most `max_records` records of owned partitions, waiting up to `timeout_s` for the first.

        Raises `Broken` VM-1305 when a partition has no committed offset, `Transient` when the broker is away: then no
        record was taken, and the next poll gives it.
        """
        ...

    async def committed(self, parts: Sequence[Part]) -> Mapping[Part, Position]:
        """Return the group's committed position of each partition that has one."""
        ...

    def seek(self, positions: Mapping[Part, Position]) -> None:
        """Go on reading at these positions; partitions that are not owned any more are passed over."""
        ...

    def hold(self, part: Part) -> None:
        """Fetch nothing more of a partition until `unhold`; one that is not owned is passed over."""
        ...

    def unhold(self, part: Part, position: Position) -> None:
        """Fetch again after `hold`, from `position` on."""
        ...

    async def restore(self, topic: str, partitions: Sequence[int]) -> Mapping[bytes, bytes]:
        """Return the newest committed value per key of a compacted topic's partitions, read to the end as of now.

        A key whose newest record is a tombstone is left out. Raises `Transient` VM-1306 when the end is not reached
        within the deadline (an open transaction holds it back): never goes on with old state.
        """
        ...

    async def close(self) -> None:
        """Leave the group."""
        ...


class Producer(Protocol):
    """Writes transactions under one transactional id."""

    def expire(self) -> None:
        """Trust the present producer no more; the next `renew` makes a new one."""
        ...

    async def renew(self) -> None:
        """Make a new producer if there is none that is trusted; it fences every older one with the same id.

        Raises `Transient` when the broker is away.
        """
        ...

    def begin(self) -> None:
        """Begin a transaction."""
        ...

    def write(self, record: Write) -> None:
        """Add a record to the transaction."""
        ...

    async def send_offsets(self, positions: Mapping[Part, Position], group: Any) -> None:
        """Add the group's positions to the transaction."""
        ...

    async def commit(self) -> None:
        """Commit: when it returns, everything is readable, or it raises."""
        ...

    async def abort(self) -> None:
        """Abort: nothing becomes readable."""
        ...

    async def close(self) -> None:
        """Let go of the connection."""
        ...
