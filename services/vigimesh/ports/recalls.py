"""What advice recall needs: which conclusions rest on what changed, what was recalled already, and the topics to order on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from vigimesh.domain.knowledge.recalling import Brought, Change, Use
from vigimesh.domain.record.rows import Row
from vigimesh.loop.broker import Write

#: Where a page of uses begins: case, message and document of the last one before it.
Place = tuple[str, str, str]
#: Before all.
START: Place = ("", "", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What became of a use: `state` is `ordered`, by the event `event_id` to `lane`, or `left`, with why."""

    use: Use
    cause: str
    state: str
    at: datetime
    why: str = ""
    event_id: str = ""
    lane: str = ""


class Recalls(Protocol):
    """The index of what was served, and of what was recalled. Each method raises `Transient` VM-1501 when the base is away."""

    def versions(self) -> Sequence[Brought]:
        """Return every version of every document."""
        ...

    def uses(
        self, changes: Sequence[Change], after: Place, limit: int, *, settled: bool = False
    ) -> Sequence[Use]:
        """Return at most `limit` versions of cases that were given stale passages, in the order of `Place`, from `after` on.

        Those marked for the same cause are left out unless `settled`.
        """
        ...

    def mark(self, marks: Sequence[Mark]) -> None:
        """Remember what became of uses, all or none; what is marked already stays as it is."""
        ...


#: A partition of a topic.
Part = tuple[str, int]


class CaseIndex(Protocol):
    """Where the records of a case lie, as far as the topics were followed. Each method raises `Transient` VM-1501."""

    def followed(self) -> Mapping[Part, int]:
        """Return the next offset of each partition: every record before it is in the index."""
        ...

    def places(self, cases: Collection[str]) -> Mapping[Part, Sequence[int]]:
        """Return the offsets of the cases' records, ascending, by partition."""
        ...

    def follow(
        self, found: Sequence[tuple[Part, int, str]], after: Mapping[Part, int], firsts: Mapping[Part, int]
    ) -> None:
        """Add (partition, offset, case) of records and move on to `after`, all or nothing; drop what lies before `firsts`."""
        ...

    def forget(self, parts: Collection[Part]) -> None:
        """Forget partitions that were made anew: their offsets begin again."""
        ...


class CasePlaces(Protocol):
    """The topics beside their index."""

    def follow(self) -> int:
        """Take up what was written since, a bounded part of it; return how many records. Raises `Transient` VM-1301, VM-1501."""
        ...


class RecallDesk(Protocol):
    """Where recalls are ordered: one librarian or operator at a time. Each method raises `Transient` VM-1301 without a broker."""

    async def begin(self) -> None:
        """Fence whoever ordered before, with what they left open ended; raises `Transient` VM-2901 when that takes too long."""
        ...

    async def read(self, cases: Collection[str]) -> Sequence[Row]:
        """Return what was committed of the cases: their routes and their conclusions."""
        ...

    async def write(self, writes: Sequence[Write]) -> None:
        """Write records in one transaction.

        Raises `Fenced` VM-1303 when somebody else has begun, `InDoubt` when nobody knows whether they were written: what
        `read` returns after the next `begin` says.
        """
        ...

    async def close(self) -> None:
        """Let go of the connection."""
        ...
