"""The index of summaries in memory: the twin of `summaries`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from vigimesh.domain.knowledge.warm import Kept


@dataclass(slots=True)
class MemorySummaryIndex:
    """`ports.SummaryIndex` over a dictionary."""

    held: dict[str, Kept] = field(default_factory=dict)

    def put(self, kept: Kept) -> None:
        """Keep a summary in the place of the one before it of this document."""
        self.held[kept.document_id] = kept

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
