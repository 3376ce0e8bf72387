"""Where documents are kept and searched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vigimesh.events.knowledge import Passage


class Search(Protocol):
    """Looks passages up in the knowledge base."""

    def search(self, questions: Sequence[str], limit: int) -> Sequence[tuple[Passage, ...]]:
        """Return for each question at most `limit` passages, best first; a whole batch in one round trip.

        Raises `Transient` VM-1501 when the base is away.
        """
        ...
