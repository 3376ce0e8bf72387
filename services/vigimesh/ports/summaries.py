"""Where it is kept which summaries there are; their bodies are in the object store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Protocol

from vigimesh.domain.knowledge.warm import Cost, Kept


class SummaryIndex(Protocol):
    """One summary for each document that has two versions. Every method raises `Transient` VM-1501 when it is away."""

    def put(self, kept: Kept, cost: Cost) -> None:
        """Keep a summary in the place of the one before it of this document, and book its cost, both or neither."""
        ...

    def costs(self, since: date) -> Mapping[str, Sequence[Cost]]:
        """Return what was booked from the day `since` (UTC) on, by product, a row for each currency."""
        ...

    def drop(self, document_ids: Iterable[str]) -> None:
        """Forget the summaries of these documents."""
        ...

    def rows(self) -> Sequence[Kept]:
        """Return every summary, by document."""
        ...

    def called(self, names: Iterable[str]) -> Sequence[Kept]:
        """Return the summaries of documents that have one of these names, by document."""
        ...
