"""The knowledge base in memory: the twin of `PgSearch`, for tests and for a mesh without a database."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vigimesh.adapters.memory.library import MemoryLibrary
from vigimesh.adapters.models.embedding import PROBE, alone, asked_text, check_probe, embedded, put, why_not
from vigimesh.domain.knowledge.answering import State
from vigimesh.domain.knowledge.chunks import Document
from vigimesh.domain.knowledge.fusion import (
    DEPTH,
    KEPT,
    OFF,
    UNFINISHED,
    Found,
    Near,
    by_words,
    fused,
    passage_text,
    whole,
)
from vigimesh.domain.knowledge.indexing import Indexed, indexed
from vigimesh.domain.knowledge.questions import Query, understand
from vigimesh.domain.knowledge.sections import Sectioned
from vigimesh.errors import Transient
from vigimesh.events.knowledge import Passage
from vigimesh.ports import Bare, Embedder

if TYPE_CHECKING:
    from vigimesh.domain.knowledge.vectors import Rows

#: Weight of a word in running text, and the sum of 1/n squared that it is divided by: PostgreSQL's `ts_rank`.
_WORD_WEIGHT = 0.1
_ALL_REPEATS = 1.64493406685


@dataclass(frozen=True, slots=True)
class _Entry:
    document: Document
    place: int
    one: Indexed

    @property
    def key(self) -> tuple[str, str, int]:
        return self.document.id, self.document.version, self.place


@dataclass(slots=True)
class MemorySearch:
    """`ports.Search` and `ports.Vectors` over documents held in memory.

    Ranks words as PostgreSQL's `ts_rank` does, by its published formula, and vectors by their cosine.
    """

    library: MemoryLibrary = field(default_factory=MemoryLibrary)
    embedder: Embedder | None = None
    _current: list[_Entry] = field(default_factory=list)
    _state: State = field(default_factory=State)
    _vectors: dict[tuple[str, tuple[str, str, int]], Rows] = field(default_factory=dict)
    _probes: dict[str, list[float]] = field(default_factory=dict)

    def load(self, sources: Iterable[Sectioned]) -> tuple[Sectioned, ...]:
        """Store the documents that are not there yet and return them; see `PgLibrary.load`."""
        return self.library.load(sources)

    def missing(self, model: str, most: int) -> tuple[Bare, ...]:
        """Return passages without a vector of the model; see the port."""
        self._look()
        bare = [entry for entry in self._current if (model, entry.key) not in self._vectors]
        return tuple(
            Bare(
                document_id=entry.document.id, version=entry.document.version, place=entry.place,
                text=passage_text(entry.document.title, part.place.section, part.above, part.text),
            )
            for entry in bare[:most]
            for part in [entry.one.passage]
        )  # fmt: skip

    def put(self, embedder: Embedder, passages: Sequence[Bare], rows: Rows) -> None:
        """Keep the rows; see the port."""
        check_probe(embedder, self._probes.get(embedder.digest))
        self._probes.setdefault(embedder.digest, embedder.embed([PROBE])[0].tolist())
        for one, row in zip(passages, rows, strict=True):
            self._vectors[embedder.digest, (one.document_id, one.version, one.place)] = row

    def find(self, questions: Sequence[str], limit: int) -> Sequence[Found]:
        """Return for each question at most `limit` passages, best first, and of each which side found it; raises as `PgSearch.find`."""
        if not 1 <= limit <= 50:
            raise ValueError(f"limit {limit} is not within 1 to 50")
        self.state()
        if self.embedder is None:
            return [by_words(self._worded(question, limit), limit, OFF) for question in questions]
        why = why_not(self.embedder, self._probes.get(self.embedder.digest))
        if why:
            return [self._alone(question, limit, why) for question in questions]
        sent = put(self.embedder, list(dict.fromkeys(questions)), self._state.names)
        rows = embedded(self.embedder, [asked_text(one, self._state.names) for one in sent])
        if isinstance(rows, str):
            return [self._alone(question, limit, rows) for question in questions]
        row_of = dict(zip(sent, rows, strict=True))
        return [self._both(question, limit, row_of.get(question), self.embedder) for question in questions]

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

    def _worded(self, question: str, most: int) -> list[Near]:
        query = understand(question, self._state.names)
        scored = [
            (float(_score(entry, query)), entry) for entry in self._current if _may_answer(entry, query)
        ]
        return [_near(entry, question, score, score / 1e4) for score, entry in _best(scored, most)]

    def _both(self, question: str, limit: int, row: Rows | None, embedder: Embedder) -> Found:
        query, most = understand(question, self._state.names), max(limit, DEPTH)
        text = self._worded(question, most)
        if row is None:
            return by_words(text, limit, alone(query, KEPT))
        scope = [entry for entry in self._current if _in_scope(entry, query)]
        scored = [
            (float(numbers @ row), entry)
            for entry in scope
            if (numbers := self._vectors.get((embedder.digest, entry.key))) is not None
        ]
        if len(scored) < len(scope):
            return by_words(text, limit, UNFINISHED)
        near = [_near(entry, question, score, score) for score, entry in _best(scored, most)]
        return fused(text, whole(near, len(scope), most, f"question {question[:60]!r}"), limit)

    def _alone(self, question: str, limit: int, why: str) -> Found:
        return by_words(
            self._worded(question, limit), limit, alone(understand(question, self._state.names), why)
        )


def _best(scored: list[tuple[float, _Entry]], most: int) -> list[tuple[float, _Entry]]:
    return sorted(scored, key=lambda pair: (-pair[0], pair[1].document.id, pair[1].place))[:most]


def _near(entry: _Entry, question: str, score: float, shown: float) -> Near:
    part = entry.one.passage
    passage = Passage(
        document_id=entry.document.id, version=entry.document.version, section=part.place.section,
        start=part.place.start, end=part.place.end, text=part.text, score=shown, question=question,
        lists_reactions=entry.one.listed,
    )  # fmt: skip
    return Near(passage=passage, place=entry.place, score=score)


def _in_scope(entry: _Entry, query: Query) -> bool:
    if query.only:
        return entry.document.id == query.only
    return entry.document.general or entry.document.id in query.named


def _may_answer(entry: _Entry, query: Query) -> bool:
    return _in_scope(entry, query) and (
        bool(query.only) or any(word in entry.one.words for word in query.words)
    )


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
