"""The knowledge base in memory: the twin of `PgSearch`, for tests and for a mesh without a database."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from vigimesh.adapters.memory_library import MemoryLibrary
from vigimesh.domain.knowledge.answering import State
from vigimesh.domain.knowledge.chunks import Document
from vigimesh.domain.knowledge.indexing import Indexed, indexed
from vigimesh.domain.knowledge.questions import Query, understand
from vigimesh.domain.knowledge.sections import Sectioned
from vigimesh.errors import Transient
from vigimesh.events.knowledge import Passage

#: Weight of a word in running text, and the sum of 1/n squared that it is divided by: PostgreSQL's `ts_rank`.
_WORD_WEIGHT = 0.1
_ALL_REPEATS = 1.64493406685


@dataclass(frozen=True, slots=True)
class _Entry:
    document: Document
    place: int
    one: Indexed


@dataclass(slots=True)
class MemorySearch:
    """`ports.Search` over documents held in memory; ranks as PostgreSQL's `ts_rank` does, by its published formula."""

    library: MemoryLibrary = field(default_factory=MemoryLibrary)
    _current: list[_Entry] = field(default_factory=list)
    _state: State = field(default_factory=State)

    def load(self, sources: Iterable[Sectioned]) -> tuple[Sectioned, ...]:
        """Store the documents that are not there yet and return them; see `PgLibrary.load`."""
        return self.library.load(sources)

    def search(self, questions: Sequence[str], limit: int) -> Sequence[tuple[Passage, ...]]:
        """Return for each question at most `limit` passages, best first; raises as `PgSearch.search` does."""
        if not 1 <= limit <= 50:
            raise ValueError(f"limit {limit} is not within 1 to 50")
        self.state()
        return [self._answer(question, limit) for question in questions]

    def state(self) -> State:
        """Return the state of the base as it is now; raises as `PgSearch.state` does."""
        self._look()
        if not self._state.number:
            raise Transient(
                "VM-1501", what="the knowledge base holds no document yet", where="memory",
                todo="load documents first",
            )  # fmt: skip
        return self._state

    def changed(self) -> None:
        """Take note that the base has changed: its state is always the newest."""

    def _look(self) -> None:
        """Take up what the library holds now, when it is another."""
        if self._state.number == self.library.number:
            return
        current = self.library.current()
        self._current = [
            _Entry(source.document, place, one)
            for source in current
            for place, one in enumerate(indexed(source))
        ]
        known = self.library.known()
        newest = {one.id: one.version for one in reversed(self.library.documents())} | dict(known.current)
        documents = [self.library.source(name, version).document for name, version in newest.items()]
        rows = [(one.id, one.names, one.aliases, one.version, one.id in known.current) for one in documents]
        self._state = State.of(self.library.number, rows)

    def _answer(self, question: str, limit: int) -> tuple[Passage, ...]:
        query = understand(question, self._state.names)
        scored = [(_score(entry, query), entry) for entry in self._current if _may_answer(entry, query)]
        scored.sort(key=lambda pair: (-pair[0], pair[1].document.id, pair[1].place))
        return tuple(
            Passage(
                document_id=entry.document.id, version=entry.document.version, section=entry.one.passage.place.section,
                start=entry.one.passage.place.start, end=entry.one.passage.place.end, text=entry.one.passage.text, score=score / 1e4,
                question=question,
            )
            for score, entry in scored[:limit]
        )  # fmt: skip


def _may_answer(entry: _Entry, query: Query) -> bool:
    if query.only:
        return entry.document.id == query.only
    fits = entry.document.general or entry.document.id in query.named
    return fits and any(word in entry.one.words for word in query.words)


def _score(entry: _Entry, query: Query) -> int:
    rank = sum(_repeats(entry.one.words.count(word)) for word in query.words) / max(1, len(query.words))
    phrase = 1.0 if query.phrase and _has_phrase(entry.one.words, query.phrase) else 0.0
    listed = 0.5 if query.only and entry.one.listed else 0.0
    return round(1e4 * (rank + phrase + listed))


def _repeats(count: int) -> float:
    """Return what a word adds that stands `count` times: the first fully, each next one less."""
    return _WORD_WEIGHT * math.fsum(1 / (n * n) for n in range(1, count + 1)) / _ALL_REPEATS


def _has_phrase(tokens: tuple[str, ...], phrase: tuple[str, ...]) -> bool:
    return any(tokens[at : at + len(phrase)] == phrase for at in range(len(tokens) - len(phrase) + 1))
