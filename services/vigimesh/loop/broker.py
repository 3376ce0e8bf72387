"""The broker as the loop needs it: one consumer, one transactional producer. Adapters: Kafka, and memory.

Which error means what (the adapter maps, the loop decides):
- `Transient` from `begin`, `write` or `send_offsets`: the transaction can be aborted and made again.
- `InDoubt` from `commit` or `abort`: nobody knows how it ended; the producer must be replaced.
- `Fenced`: a newer process owns the transactional id, or the group has thrown us out of the partitions.
- `TooLarge` from `write`: this one record does not fit the topic.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import msgspec

from vigimesh.errors import Broken, Refused, Transient
from vigimesh.events.envelope import Headers

#: Seconds that work in hand has to finish when its partition is taken away; then it is left and done again elsewhere.
DRAIN_S = 2.0
#: Seconds that a partition is kept beyond that for a transaction of its work that is ending: what a commit may take, with its calls.
ENDING_S = 25.0
#: Seconds that a partition is kept at most while it is taken away.
LEAVING_S = DRAIN_S + ENDING_S
#: Seconds a transaction may last before the broker aborts it and fences its producer. A worker that dies in one stops
#: readers of its partitions for this long, plus the broker's clean-up interval.
TRANSACTION_S = 10.0
#: Seconds a transaction may take before its end is doubted.
DOUBT_S = TRANSACTION_S / 2


class InDoubt(Transient):
    """The end of a transaction is not known: committed or not."""


class TooLarge(Refused):
    """A record is larger than its topic takes."""


class Part(NamedTuple):
    """A partition of a topic. A tuple, since it is the key of everything that is kept by partition."""

    topic: str
    partition: int


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record as it lies on the topic. `at` is the broker's append time.

    This and what is written are structs, since hundreds are made at once: a named tuple takes three times as long to make.
    """

    part: Part
    offset: int
    key: bytes
    value: bytes
    headers: Headers
    at: datetime


class Position(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a group goes on in a partition: the next offset, and the metadata kept with it (ASCII, <= 4,096)."""

    offset: int
    metadata: str = ""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What a poll gave.

    `owned` are the partitions that may be worked on after it; `group` is the metadata captured then, and the only one
    that a commit may use until the next poll has returned. `assigned` and `revoked` say what changed since the last
    poll, the former with the committed position where reading begins; a partition in both counts as revoked first. `ends` names partitions that have been read to their end: nothing below that offset is
    still to come (transaction markers take offsets and are never handed out).
    """

    records: tuple[Record, ...] = ()
    owned: frozenset[Part] = frozenset()
    assigned: Mapping[Part, Position] = msgspec.field(default_factory=dict)
    revoked: frozenset[Part] = frozenset()
    ends: Mapping[Part, int] = msgspec.field(default_factory=dict)
    group: Any = None


class Write(msgspec.Struct, frozen=True, gc=False):
    """A record to be written; `value` is `None` in a tombstone of a compacted topic."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Headers = []


def require(parts: Iterable[Part], positions: Mapping[Part, Position]) -> None:
    """Raise `Broken` VM-1305 unless every part has a position: without one, going on would skip records."""
    lacking = sorted(set(parts) - positions.keys())
    if lacking:
        first = lacking[0]
        raise Broken("VM-1305", what=f"no committed offset for {len(lacking)} partitions",
                     where=f"{first.topic}-{first.partition}", todo="vigimesh topics apply")  # fmt: skip


#: Called, and waited for, when partitions are about to be taken away: finish and commit what is in hand of them within `DRAIN_S`, let
#: go of the rest, and return when no transaction with work of theirs is under way any more.
Leave = Callable[[frozenset[Part]], Coroutine[Any, Any, None]]


class Desk(Protocol):
    """Writes records for good."""

    async def write(self, writes: Sequence[Write]) -> None:
        """Write them in one transaction; raises a `VigimeshError` when that is not certain."""
        ...


class Consumer(Protocol):
    """Reads committed records of one group. One poll at a time; `hold` and `unhold` may come while one is under way."""

    async def poll(
        self, max_records: int, timeout_s: float, leave: Leave, ending: frozenset[Part] = frozenset()
    ) -> Batch:
        """Return at most `max_records` records of owned partitions, waiting up to `timeout_s` for the first.

        Records of a partition come in offset order and none is left out, from the position it was assigned or unheld
        with. The topics come in the order of urgency that the consumer was made with. `leave` is awaited before
        partitions are given up, at most `LEAVING_S`; the group metadata captured before is good until it returns.
        A partition that was taken away is given anew by a later poll than the one that tells so, and by none that has it
        among `ending`: those of which a transaction of ours has not ended, so that their positions may still move.
        Raises `Broken` VM-1305 when a partition has no committed offset, `Transient` when the broker is away: then no
        record was taken, and the next poll gives it.
        """
        ...

    async def committed(self, parts: Sequence[Part]) -> Mapping[Part, Position]:
        """Return the group's committed position of each partition that has one; waits for transactions that are ending."""
        ...

    def hold(self, part: Part) -> None:
        """Hand out nothing more of a partition until `unhold`; one that is not owned is passed over.

        Also what a poll under way has fetched of it already is not handed out.
        """
        ...

    def unhold(self, part: Part, offset: int) -> None:
        """Hand out again after `hold`, from `offset` on."""
        ...

    def rest(self, topics: frozenset[str]) -> None:
        """Hand out nothing of these topics from the next poll on, until told otherwise; nothing of them is lost."""
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
        """Add the group's positions to the transaction. One that goes to the broker may do so with `commit` only."""
        ...

    async def commit(self) -> None:
        """Commit: when it returns, everything is readable, or it raises: what `send_offsets` raises, or `InDoubt`."""
        ...

    async def abort(self) -> None:
        """Abort: nothing becomes readable."""
        ...

    async def close(self) -> None:
        """Let go of the connection."""
        ...
