"""Where documents are kept and searched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from vigimesh.domain.knowledge.editions import Shelved, Sorted
from vigimesh.domain.knowledge.freshness import Known
from vigimesh.domain.knowledge.sections import Sectioned
from vigimesh.events.knowledge import DocumentVersioned, Passage


class Search(Protocol):
    """Looks passages up in the knowledge base."""

    def search(self, questions: Sequence[str], limit: int) -> Sequence[tuple[Passage, ...]]:
        """Return for each question at most `limit` passages, best first; a whole batch in one round trip.

        Raises `Transient` VM-1501 when the base is away.
        """
        ...


class Library(Protocol):
    """Keeps the documents: every version with its text, because decisions cite them. Each method raises `Transient` VM-1501.

    The newest version of an id is current: it alone is searched. A document that was withdrawn has no current version until a
    higher one comes.
    """

    def ingest(self, sources: Sequence[Sectioned], *, by: str) -> Sorted:
        """Store what is new with its passages and, where it becomes current, a change to announce: all in one transaction.

        Returns what came of each, as `editions.sort_out`: of a conflict nothing enters, the rest does. Again changes nothing.
        """
        ...

    def withdraw(self, document_id: str, *, by: str, reason: str) -> DocumentVersioned:
        """Take a document back, all its versions: nothing of it is found any more. Returns the change to announce.

        Raises `Refused` VM-2501 for a document that is not there or was withdrawn before, and without a reason.
        """
        ...

    def unannounced(self, limit: int) -> Sequence[DocumentVersioned]:
        """Return the oldest changes that nobody has announced, at most `limit`, in the order in which they were made."""
        ...

    def announced(self, changes: Iterable[DocumentVersioned]) -> None:
        """Mark changes as announced; what is marked already stays as it is."""
        ...

    def known(self) -> Known:
        """Return each document's current version, and the documents that have none because they were withdrawn."""
        ...

    def source(self, document_id: str, version: str) -> Sectioned:
        """Return a version as it was read, also one that is not current or was withdrawn: a citation of it must open.

        Raises `Refused` VM-1514 when the version is not there, or its text was not kept.
        """
        ...

    def documents(self) -> Sequence[Shelved]:
        """Return every version, by id, the newest first."""
        ...
