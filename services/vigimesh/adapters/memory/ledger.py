"""The ledger of what was served in memory: the twin of `postgres/ledger`, for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date, datetime

from vigimesh.adapters.postgres.ledger import check
from vigimesh.domain.knowledge.chunks import version_ordinal
from vigimesh.domain.knowledge.ledger import Booked, Count, Ended, Kind, Pair, Seen, Used
from vigimesh.domain.knowledge.standing import Overdue


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version of a document as the twin knows it: since when it is there, and when it was withdrawn."""

    document_id: str
    version: str
    loaded_at: datetime
    withdrawn_at: datetime | None = None


@dataclass(slots=True)
class MemoryLedger:
    """`ports.Ledger` over dictionaries; `versions` tells what the library holds now."""

    versions: Callable[[], Sequence[Version]] = tuple
    used: dict[tuple[str, str, str, int], Used] = field(default_factory=dict)
    _counts: dict[Kind, Count] = field(default_factory=dict)
    _places: dict[int, int] = field(default_factory=dict)
    _overdue: dict[Overdue, tuple[bool, datetime | None]] = field(default_factory=dict)

    def places(self) -> Mapping[int, int]:
        """Return the next offset of each partition that was booked."""
        return dict(self._places)

    def ended(self, pairs: Iterable[Pair]) -> Ended:
        """Return when versions were superseded or withdrawn."""
        held = {(one.document_id, one.version): one for one in self.versions()}
        superseded = {}
        for pair in set(pairs) & set(held):
            newer = [
                one.loaded_at
                for one in held.values()
                if one.document_id == pair[0] and version_ordinal(one.version) > version_ordinal(pair[1])
            ]
            if newer:
                superseded[pair] = min(newer)
        withdrawn = {}
        for name in {name for name, _ in pairs}:
            ends = [one.withdrawn_at for one in held.values() if one.document_id == name]
            times = [one for one in ends if one is not None]
            if ends and len(times) == len(ends):
                withdrawn[name] = max(times)
        return Ended(superseded=superseded, withdrawn=withdrawn)

    def book(self, booked: Booked) -> None:
        """Store all of `booked`, or nothing."""
        check(self._places, booked)
        for row in booked.used:
            self.used[row.source, row.document_id, row.version, row.first] = row
        for kind, count in booked.counts.items():
            held = self._counts.setdefault(kind, Count())
            held.answers += count.answers
            held.grounded += count.grounded
            held.ages.update(count.ages)
        self._places.update(booked.after)

    def counts(self, since: date) -> Mapping[Kind, Count]:
        """Return what was counted from the day `since` on."""
        return {kind: deepcopy(count) for kind, count in self._counts.items() if kind.day >= since}

    def cross(self, past: Mapping[str, datetime], now: datetime) -> Sequence[Overdue]:
        """Keep which products are past their service level, and return those not told yet."""
        for one, (told, ended) in self._overdue.items():
            if ended is None and one.product not in past:
                self._overdue[one] = told, now
        still = {one.product for one, (_, ended) in self._overdue.items() if ended is None}
        for product, due_at in past.items():
            if product not in still:
                self._overdue[Overdue(product=product, due_at=due_at)] = False, None
        untold = [one for one, (told, _) in self._overdue.items() if not told]
        return sorted(untold, key=lambda one: (one.due_at, one.product))

    def told(self, overdue: Overdue) -> None:
        """Keep that a product's owner was told."""
        self._overdue[overdue] = True, self._overdue[overdue][1]


@dataclass(slots=True)
class MemoryMeasurements:
    """`ports.Measurements` over a list, in the order of its partitions."""

    log: list[Seen] = field(default_factory=list)

    def after(self, places: Mapping[int, int], most: int) -> tuple[Sequence[Seen], Mapping[int, int]]:
        """Return at most `most` measurements from `places` on, and the next offsets behind them."""
        left = [one for one in self.log if one.offset >= places.get(one.partition, 0)]
        found = sorted(left, key=lambda one: (one.partition, one.offset))[:most]
        return found, {**places, **{one.partition: one.offset + 1 for one in found}}
