"""Where documents are kept, searched and summarised, and where answers are kept for a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from vigimesh.domain.knowledge.answering import Answer, State
from vigimesh.domain.knowledge.freshness import Ages, AnswerScope, Entry
from vigimesh.events.knowledge import Passage


class Search(Protocol):
    """Looks passages up in the knowledge base."""

    def search(self, questions: Sequence[str], limit: int) -> Sequence[tuple[Passage, ...]]:
        """Return for each question at most `limit` passages, best first; a whole batch in one round trip.

        Raises `Transient` VM-1501 when the base is away.
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
