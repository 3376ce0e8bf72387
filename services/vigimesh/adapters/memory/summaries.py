"""The index of summaries in memory: the twin of `postgres/summaries`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from vigimesh.domain.knowledge.warm import Cost, Kept


@dataclass(slots=True)
class MemorySummaryIndex:
    """`ports.SummaryIndex` over a dictionary."""

    held: dict[str, Kept] = field(default_factory=dict)
    booked: list[tuple[str, date, Cost]] = field(default_factory=list)

    def put(self, kept: Kept, cost: Cost) -> None:
        """Keep a summary in the place of the one before it of this document, and book its cost."""
        self.held[kept.document_id] = kept
        self.booked.append((kept.product, kept.read_at.date(), cost))

    def costs(self, since: date) -> Mapping[str, Sequence[Cost]]:
        """Return what was booked from the day `since` on, by product, a row for each currency."""
        found: dict[tuple[str, str], list[Cost]] = {}
        for product, day, cost in self.booked:
            if day >= since:
                found.setdefault((product, cost.currency), []).append(cost)
        made: dict[str, list[Cost]] = {}
        for (product, currency), some in sorted(found.items()):
            made.setdefault(product, []).append(
                Cost(
                    made=sum(one.made for one in some), characters=sum(one.characters for one in some),
                    micro=sum(one.micro for one in some), currency=currency,
                )
            )  # fmt: skip
        return made

    def drop(self, document_ids: Iterable[str]) -> None:
        """Forget the summaries of these documents."""
        for name in document_ids:
            self.held.pop(name, None)

    def rows(self) -> Sequence[Kept]:
        """Return every summary, by document."""
        return [self.held[name] for name in sorted(self.held)]

    def called(self, names: Iterable[str]) -> Sequence[Kept]:
        """Return the summaries of documents that have one of these names, by document."""
        asked = set(names)
        return [one for one in self.rows() if asked & set(one.names)]
