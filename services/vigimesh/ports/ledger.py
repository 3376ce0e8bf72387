"""Where it is kept what was served of the knowledge base, and where that is read from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Protocol

from vigimesh.domain.knowledge.ledger import Booked, Count, Ended, Kind, Pair, Seen
from vigimesh.domain.knowledge.standing import Overdue


class Measurements(Protocol):
    """Reads `retrieval.telemetry`."""

    def after(self, places: Mapping[int, int], most: int) -> tuple[Sequence[Seen], Mapping[int, int]]:
        """Return at most `most` committed measurements from the next offsets `places` on, and the next offsets behind them.

        A partition that is not in `places` is read from its start. Raises `Transient` when the broker is away.
        """
        ...


class Ledger(Protocol):
    """The book of what was served. Every method raises `Transient` VM-1501 when it is away."""

    def places(self) -> Mapping[int, int]:
        """Return the next offset of each partition that was booked."""
        ...

    def ended(self, pairs: Iterable[Pair]) -> Ended:
        """Return when the given versions of documents were superseded or withdrawn; those that were not are left out."""
        ...

    def book(self, booked: Booked) -> None:
        """Store all of `booked`, or nothing.

        Raises `Transient` VM-2802 when the places are others than `booked.before`: somebody else booked meanwhile.
        """
        ...

    def counts(self, since: date) -> Mapping[Kind, Count]:
        """Return what was counted from the day `since` on."""
        ...

    def cross(self, past: Mapping[str, datetime], now: datetime) -> Sequence[Overdue]:
        """Keep which products are past their service level (`past`: since when), and return those not told yet.

        One that is past already keeps its row; one that no longer is gets its end.
        """
        ...

    def told(self, overdue: Overdue) -> None:
        """Keep that a product's owner was told."""
        ...
