"""What the stages need from outside, as Protocols; adapters implement them, `app/wiring` joins the two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vigimesh.events.classes import Passage


class Objects(Protocol):
    """A content-addressed, create-only store: the name of an object is the SHA-256 of its bytes."""

    def put(self, data: bytes) -> str:
        """Store `data` once and return its digest; storing the same bytes again is no error.

        Raises `Transient` when the store is away or full.
        """
        ...

    def get(self, digest: str) -> bytes:
        """Return the bytes; raises `Refused` VM-1601 when there are none, `Broken` VM-1602 when they do not fit."""
        ...


class Search(Protocol):
    """Looks passages up in the knowledge base."""

    def search(self, questions: Sequence[str], limit: int) -> Sequence[tuple[Passage, ...]]:
        """Return for each question at most `limit` passages, best first; a whole batch in one round trip.

        Raises `Transient` VM-1501 when the base is away.
        """
        ...
