"""The knowledge base in PostgreSQL: passages out by full text and by vectors, a whole batch in one round trip.

Words are cut by `domain/knowledge/questions` and written as tsvector and tsquery literals, so that the server's parser and
dictionaries have no say and the twin in memory finds the same. `ts_rank`, not `ts_rank_cd`: with words joined by OR the
latter counts occurrences, so that a passage that repeats one word would beat one that has all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from threading import Lock
from typing import Any

from vigimesh.adapters.models.embedding import alone
from vigimesh.adapters.postgres.schema import blocks, connection, open_pool
from vigimesh.adapters.postgres.vectors import VectorSide
from vigimesh.clock import Clock, SystemClock
from vigimesh.domain.knowledge.answering import State
from vigimesh.domain.knowledge.fusion import DEPTH, OFF, Found, Near, by_words, fused, whole
from vigimesh.domain.knowledge.questions import Query, understand
from vigimesh.errors import Transient
from vigimesh.events.knowledge import Passage
from vigimesh.loop.telemetry import Telemetry
from vigimesh.names import SEARCHED
from vigimesh.ports import Embedder

#: Questions of one round trip: a batch of 500 records with 8 questions each.
MAX_QUESTIONS = 4_000
#: Passages a question may ask for; the retriever asks for 3.
MAX_LIMIT = 50
#: Seconds after which the number of the document set is read again: how long a superseded version may count as current.
STATE_S = 1.0


class PgSearch:
    """`ports.Search` over PostgreSQL. It remembers no answer: whoever asks keeps them, and asks `state` whether they hold.

    One search at a time; several threads may share one.
    """

    def __init__(
        self, uri: str, *, clock: Clock | None = None, application_name: str = "vigimesh search",
        embedder: Embedder | None = None, telemetry: Telemetry | None = None,
    ) -> None:  # fmt: skip
        """Open a pool on `uri`; a server that is away shows at the first search. Without an `embedder` words alone answer."""
        # One connection for a search, one for the state, so that what is served from a cache waits for no search.
        self._pool = open_pool(uri, application_name, size=2)
        self._clock = clock or SystemClock()
        self._vectors = VectorSide(embedder, self._clock) if embedder else None
        self._telemetry = telemetry
        self._sql = blocks("knowledge.sql")
        self._state = State()
        self._looked_at_s = float("-inf")
        # Changes told of, and how many of them had been when the state was read last.
        self._told = self._told_then = 0
        self._lock, self._looking = Lock(), Lock()

    def close(self) -> None:
        """Give the connections back to the server."""
        self._pool.close()

    def find(self, questions: Sequence[str], limit: int) -> Sequence[Found]:
        """Return for each question at most `limit` passages (1 to `MAX_LIMIT`), best first, and of each which side found it.

        Raises `Transient` VM-1501 when the base is away or holds no document yet, `ValueError` for a wrong `limit`, and
        `Broken` VM-2610 when a side kept something back.
        """
        if not 1 <= limit <= MAX_LIMIT:
            raise ValueError(f"limit {limit} is not within 1 to {MAX_LIMIT}")
        with self._lock:
            state = self.state()
            distinct = tuple(dict.fromkeys(questions))
            answers: dict[str, Found] = {}
            for at in range(0, len(distinct), MAX_QUESTIONS):
                answers.update(self._ask(distinct[at : at + MAX_QUESTIONS], state, limit))
            if self._telemetry:
                for alone, count in Counter(one.alone for one in answers.values()).items():
                    self._telemetry.add(SEARCHED, count, {"by": alone or "both"})
            return [answers[question] for question in questions]

    def state(self) -> State:
        """Return the state of the base, read at most `STATE_S` ago; see `ports.Search`."""
        with self._looking:
            now_s, told = self._clock.monotonic_s(), self._told
            if now_s - self._looked_at_s < STATE_S and told == self._told_then:
                return self._state
            with connection(self._pool) as own:
                row = own.execute(self._sql["state"]).fetchone()
                number = row[0] if row else 0
                if number == 0:
                    raise Transient(
                        "VM-1501", what="the knowledge base holds no document yet", where="PostgreSQL",
                        todo="wait until `vigimesh stack up` has loaded the shipped documents",
                    )  # fmt: skip
                if number != self._state.number:
                    self._state = State.of(number, own.execute(self._sql["names"]).fetchall())
            # As of before it was read: a change told of meanwhile may be newer than what was read.
            self._looked_at_s, self._told_then = now_s, told
            return self._state

    def changed(self) -> None:
        """Take note that the base has changed; see `ports.Search`. Never waits for a search or a look."""
        self._told += 1

    def _ask(self, questions: Sequence[str], state: State, limit: int) -> dict[str, Found]:
        queries = [understand(question, state.names) for question in questions]
        scope = {
            "numbers": list(range(len(queries))),
            "product": [query.only for query in queries],
            "named": [",".join(query.named) for query in queries],
        }
        words = {
            "words": [_any_of(query) for query in queries],
            "phrases": [_in_order(query) for query in queries],
        }
        with connection(self._pool) as own:
            vectors = self._vectors.vectors(own, questions, state) if self._vectors else OFF
            if self._vectors is None or isinstance(vectors, str):
                asked = {**scope, **words, "most": limit}
                text = _read(own.execute(self._sql["search"], asked, prepare=True), questions, limit)
                return {
                    question: by_words(found, limit, alone(query, str(vectors)))
                    for question, query, found in zip(questions, queries, text, strict=True)
                }
            scope["most"] = most = max(limit, DEPTH)
            # Both statements are sent before either is answered: one round trip.
            with own.pipeline():
                worded = own.execute(self._sql["search"], {**scope, **words}, prepare=True)
                compared = self._vectors.ask(own, scope, vectors)
            text = _read(worded, questions, most)
            near = self._vectors.read(compared, questions, vectors, most)
        answers = {}
        for question, query, one, other in zip(questions, queries, text, near, strict=True):
            answers[question] = (
                by_words(one, limit, alone(query, other))
                if isinstance(other, str)
                else fused(one, other, limit)
            )
        return answers


def _read(rows: Any, questions: Sequence[str], most: int) -> list[Sequence[Near]]:
    """Return what the search by words found for each question, best first.

    Raises `Broken` VM-2610 when a product has more passages than came back and were asked for.
    """
    found: list[list[Near]] = [[] for _ in questions]
    held = [0] * len(questions)
    for number, document, version, section, first, last, body, listed, score, place, in_scope in rows:
        held[number] = in_scope
        if document is None:
            continue
        passage = Passage(
            document_id=document, version=version, section=section, start=first, end=last, text=body,
            score=float(score) / 1e4, question=questions[number], lists_reactions=listed,
        )  # fmt: skip
        found[number].append(Near(passage=passage, place=place, score=float(score)))
    return [
        whole(near, in_scope, most, f"question {question[:60]!r}", "words")
        for question, near, in_scope in zip(questions, found, held, strict=True)
    ]


def _any_of(query: Query) -> str | None:
    return " | ".join(f"'{word}'" for word in query.words) or None


def _in_order(query: Query) -> str | None:
    return " <-> ".join(f"'{word}'" for word in query.phrase) or None
