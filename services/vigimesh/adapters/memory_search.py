"""The knowledge base in memory: the twin of `postgres_search`, for tests and for a mesh without a database."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vigimesh.domain.knowledge.chunks import Chunk, Document, chunks, version_ordinal
from vigimesh.domain.knowledge.fusion import (
    ABSENT,
    AWAY,
    DEPTH,
    OFF,
    UNFINISHED,
    Found,
    Near,
    by_words,
    fused,
    passage_text,
    whole,
)
from vigimesh.domain.knowledge.questions import Query, Scope, index_words, understand
from vigimesh.errors import Misconfigured, Refused, Transient
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
    chunk: Chunk
    tokens: tuple[str, ...]


@dataclass(slots=True)
class MemorySearch:
    """`ports.Search` and `ports.Vectors` over documents held in memory.

    Ranks words as PostgreSQL's `ts_rank` does, by its published formula, and vectors by their cosine.
    """

    embedder: Embedder | None = None
    _versions: dict[tuple[str, str], Document] = field(default_factory=dict)
    _current: list[_Entry] = field(default_factory=list)
    _scope: Scope = field(default_factory=Scope)
    _vectors: dict[tuple[str, str, str, int], Rows] = field(default_factory=dict)

    def load(self, documents: Iterable[Document]) -> tuple[Document, ...]:
        """Store the documents that are not there yet and return them; see `postgres_search.load`."""
        staged = dict(self._versions)
        added: list[Document] = []
        for document in documents:
            name = (document.id, document.version)
            if name not in staged:
                staged[name] = document
                added.append(document)
            elif staged[name].digest != document.digest:
                raise Refused(
                    "VM-1502", what=f"version {document.version} of {document.id} is there with another text",
                    where=f"document {document.id}", todo="give the changed document a higher version",
                )  # fmt: skip
        self._versions = staged
        newest: dict[str, Document] = {}
        for document in sorted(staged.values(), key=lambda one: version_ordinal(one.version)):
            newest[document.id] = document
        self._current = [
            _Entry(one, place, chunk, tuple(index_words(one, chunk.section, chunk.text)))
            for one in sorted(newest.values(), key=lambda one: one.id)
            for place, chunk in enumerate(chunks(one))
        ]
        self._scope = Scope.of((one.id, one.names, one.aliases) for one in newest.values())
        return tuple(added)

    def missing(self, model: str, most: int) -> tuple[Bare, ...]:
        """Return passages without a vector of the model; see the port."""
        return tuple(
            Bare(
                document_id=one.document.id, version=one.document.version, place=one.place,
                text=passage_text(one.document.title, one.chunk.section, one.chunk.text),
            )
            for one in self._current
            if (model, one.document.id, one.document.version, one.place) not in self._vectors
        )[:most]  # fmt: skip

    def put(self, embedder: Embedder, passages: Sequence[Bare], rows: Rows) -> None:
        """Keep the rows; see the port."""
        for one, row in zip(passages, rows, strict=True):
            self._vectors[embedder.digest, one.document_id, one.version, one.place] = row

    def search(self, questions: Sequence[str], limit: int) -> Sequence[tuple[Passage, ...]]:
        """Return for each question at most `limit` passages, best first; raises as `PgSearch.search` does."""
        return [found.passages for found in self.find(questions, limit)]

    def find(self, questions: Sequence[str], limit: int) -> Sequence[Found]:
        """Do what `search` does, and say of each passage which side found it."""
        if not 1 <= limit <= 50:
            raise ValueError(f"limit {limit} is not within 1 to 50")
        if not self._versions:
            raise Transient(
                "VM-1501", what="the knowledge base holds no document yet", where="memory",
                todo="load documents first",
            )  # fmt: skip
        rows = self._embedded(questions)
        if isinstance(rows, str):
            return [by_words(self._worded(question, limit), limit, rows) for question in questions]
        return [self._both(question, limit, row) for question, row in zip(questions, rows, strict=True)]

    def _embedded(self, questions: Sequence[str]) -> Rows | str:
        if self.embedder is None:
            return OFF
        try:
            return self.embedder.embed(questions)
        except Transient:
            return AWAY
        except Misconfigured:
            return ABSENT

    def _worded(self, question: str, most: int) -> list[Near]:
        query = understand(question, self._scope)
        scored = [(_score(entry, query), entry) for entry in self._current if _may_answer(entry, query)]
        scored.sort(key=lambda pair: (-pair[0], pair[1].document.id, pair[1].place))
        return [_near(entry, question, score, score / 1e4) for score, entry in scored[:most]]

    def _both(self, question: str, limit: int, row: Rows) -> Found:
        query, most = understand(question, self._scope), max(limit, DEPTH)
        text = self._worded(question, most)
        assert self.embedder is not None
        model = self.embedder.digest
        scope = [entry for entry in self._current if _in_scope(entry, query)]
        scored = []
        for entry in scope:
            numbers = self._vectors.get((model, entry.document.id, entry.document.version, entry.place))
            if numbers is None:
                return by_words(text, limit, UNFINISHED)
            scored.append((float(numbers @ row), entry))
        scored.sort(key=lambda pair: (-pair[0], pair[1].document.id, pair[1].place))
        near = [_near(entry, question, score, score) for score, entry in scored[:most]]
        return fused(
            text, whole(near, len(scope), most, f"question {question[:60]!r}"), limit,
            -1.0 if query.only else self.embedder.floor,
        )  # fmt: skip


def _near(entry: _Entry, question: str, score: float, shown: float) -> Near:
    passage = Passage(
        document_id=entry.document.id, version=entry.document.version, section=entry.chunk.section,
        start=entry.chunk.start, end=entry.chunk.end, text=entry.chunk.text, score=shown, question=question,
    )  # fmt: skip
    return Near(passage=passage, place=entry.place, score=score)


def _in_scope(entry: _Entry, query: Query) -> bool:
    if query.only:
        return entry.document.id == query.only
    return entry.document.general or entry.document.id in query.named


def _may_answer(entry: _Entry, query: Query) -> bool:
    return _in_scope(entry, query) and (bool(query.only) or any(word in entry.tokens for word in query.words))


def _score(entry: _Entry, query: Query) -> int:
    rank = sum(_repeats(entry.tokens.count(word)) for word in query.words) / max(1, len(query.words))
    phrase = 1.0 if query.phrase and _has_phrase(entry.tokens, query.phrase) else 0.0
    listed = 0.5 if query.only and entry.chunk.listed else 0.0
    return round(1e4 * (rank + phrase + listed))


def _repeats(count: int) -> float:
    """Return what a word adds that stands `count` times: the first fully, each next one less."""
    return _WORD_WEIGHT * math.fsum(1 / (n * n) for n in range(1, count + 1)) / _ALL_REPEATS


def _has_phrase(tokens: tuple[str, ...], phrase: tuple[str, ...]) -> bool:
    return any(tokens[at : at + len(phrase)] == phrase for at in range(len(tokens) - len(phrase) + 1))
