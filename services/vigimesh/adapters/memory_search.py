"""The knowledge base in memory: the twin of `postgres_search`, for tests and for a mesh without a database."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from vigimesh.domain.knowledge.answering import State
from vigimesh.domain.knowledge.chunks import Chunk, Document, chunks, version_ordinal
from vigimesh.domain.knowledge.questions import Query, index_words, understand
from vigimesh.errors import Refused, Transient
from vigimesh.events.knowledge import Passage

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
    """`ports.Search` over documents held in memory; ranks as PostgreSQL's `ts_rank` does, by its published formula."""

    _versions: dict[tuple[str, str], Document] = field(default_factory=dict)
    _current: list[_Entry] = field(default_factory=list)
    _state: State = field(default_factory=State)

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
        if added:
            rows = [(one.id, one.names, one.aliases, one.version) for one in newest.values()]
            self._state = State.of(self._state.number + 1, rows)
        return tuple(added)

    def search(self, questions: Sequence[str], limit: int) -> Sequence[tuple[Passage, ...]]:
        """Return for each question at most `limit` passages, best first; raises as `PgSearch.search` does."""
        if not 1 <= limit <= 50:
            raise ValueError(f"limit {limit} is not within 1 to 50")
        self.state()
        return [self._answer(question, limit) for question in questions]

    def state(self) -> State:
        """Return the state of the base as it is now; raises as `PgSearch.state` does."""
        if not self._versions:
            raise Transient(
                "VM-1501", what="the knowledge base holds no document yet", where="memory",
                todo="load documents first",
            )  # fmt: skip
        return self._state

    def changed(self) -> None:
        """Take note that the base has changed: its state is always the newest."""

    def _answer(self, question: str, limit: int) -> tuple[Passage, ...]:
        query = understand(question, self._state.names)
        scored = [(_score(entry, query), entry) for entry in self._current if _may_answer(entry, query)]
        scored.sort(key=lambda pair: (-pair[0], pair[1].document.id, pair[1].place))
        return tuple(
            Passage(
                document_id=entry.document.id, version=entry.document.version, section=entry.chunk.section,
                start=entry.chunk.start, end=entry.chunk.end, text=entry.chunk.text, score=score / 1e4,
                question=question,
            )
            for score, entry in scored[:limit]
        )  # fmt: skip


def _may_answer(entry: _Entry, query: Query) -> bool:
    if query.only:
        return entry.document.id == query.only
    fits = entry.document.general or entry.document.id in query.named
    return fits and any(word in entry.tokens for word in query.words)


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
