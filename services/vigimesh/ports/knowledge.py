"""Where documents are kept, searched and summarised, and where answers are kept for a while."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from vigimesh.domain.knowledge.answering import Answer, State
from vigimesh.domain.knowledge.editions import Shelved, Sorted, Source
from vigimesh.domain.knowledge.freshness import Ages, AnswerScope, Entry, Known
from vigimesh.domain.knowledge.fusion import Found
from vigimesh.domain.knowledge.sections import Sectioned
from vigimesh.domain.knowledge.warm import LastTwo
from vigimesh.events.knowledge import DocumentVersioned


class Search(Protocol):
    """Looks passages up in the knowledge base."""

    def find(self, questions: Sequence[str], limit: int) -> Sequence[Found]:
        """Return for each question at most `limit` passages, best first, and of each which side found it; one round trip for all.

        Raises `Transient` VM-1501 when the base is away, and `Broken` VM-2610 when a side kept something back of the scope it was asked for.
        """
        ...

    def state(self) -> State:
        """Return the state of the base, read at most a second ago (`STATE_S` of the adapter).

        Raises `Transient` VM-1501 when the base is away or holds no document yet.
        """
        ...

    def changed(self) -> None:
        """Take note that the base has changed: the next `state` is read anew."""
        ...


class Product(Protocol):
    """What a look-up asks of a knowledge product."""

    @property
    def id(self) -> str:
        """Its name."""
        ...

    @property
    def ages(self) -> Ages:
        """How old an answer from it may be."""
        ...

    @property
    def semantic(self) -> bool:
        """Whether a question may be answered by what was stored for another one that agrees with it."""
        ...


class Products(Protocol):
    """The knowledge products in force."""

    @property
    def semantic(self) -> bool:
        """Whether any of them allows a match by meaning: otherwise no question is read for one."""
        ...

    def of(self, document_id: str) -> Product:
        """Return the product that a document belongs to."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """An answer to be kept until a time (UTC), found by its own key and, unless empty, by its `signature` too."""

    answer: Answer
    until: datetime
    signature: str = ""


#: Where an answer is looked for: the scope and the key within it (`answering.kept_key`, or a signature).
Place = tuple[AnswerScope, str]


class Answers(Protocol):
    """Keeps answers, grouped by scope. What it hands out is a candidate only: `freshness.verdict` says whether it is served.

    Every method asks in one round trip for all it is given, and raises `Transient` VM-2707 when the store is away, slow or full.
    """

    def read(self, places: Sequence[Place]) -> Sequence[Answer | None]:
        """Return what is kept under each key."""
        ...

    def like(self, places: Sequence[Place]) -> Sequence[Answer | None]:
        """Return what is kept under each signature."""
        ...

    def lease(self, places: Sequence[Place]) -> Sequence[bool]:
        """Take each key for a short while; tell for which the caller is the only one to search."""
        ...

    def write(self, kept: Sequence[Keep]) -> None:
        """Keep answers, each until its own time, whenever it is written."""
        ...

    def citing(self, document_id: str, version: str) -> Sequence[Entry]:
        """Return the entries that cite this version of a document, for a person: it reads all there are."""
        ...


class Summaries(Protocol):
    """Answers of the warm level: materialised ahead of the question."""

    def answer(self, questions: Sequence[str]) -> Sequence[Answer | None]:
        """Return for each question a stored answer, or nothing; raises `Transient` when the store is away."""
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

    def reindex(self, document_id: str, version: str) -> int:
        """Cut and index a version anew from the text that is kept, and return its passages: what a newer release cuts or reads otherwise.

        The text and so every place that was cited stay; vectors are made again. Raises as `source` does.
        """
        ...

    def documents(self) -> Sequence[Shelved]:
        """Return every version, by id, the newest first; counts the passages of each."""
        ...

    def sources(self) -> Sequence[Source]:
        """Return each document's current version, by id, with when its source was last read; nothing is counted, so that it may be asked often."""
        ...

    def last_two(self, known: int | None) -> LastTwo | None:
        """Return what summaries are made of, or `None` where the library's state is still the one of the number `known`."""
        ...
