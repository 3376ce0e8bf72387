"""The knowledge base in PostgreSQL: passages out by full text and by vectors, a whole batch in one round trip.

Words are cut by `domain/knowledge/questions` and written as tsvector and tsquery literals, so that the server's parser and
dictionaries have no say and the twin in memory finds the same. `ts_rank`, not `ts_rank_cd`: with words joined by OR the
latter counts occurrences, so that a passage that repeats one word would beat one that has all of them.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any

from vigimesh.adapters.postgres_schema import blocks, connection, open_pool
from vigimesh.adapters.postgres_vectors import VectorSide
from vigimesh.clock import Clock, SystemClock
from vigimesh.domain.knowledge.fusion import (
    ABSENT,
    AWAY,
    DEPTH,
    OFF,
    PASSING,
    UNFINISHED,
    Found,
    Near,
    by_words,
    fused,
)
from vigimesh.domain.knowledge.questions import Query, Scope, understand
from vigimesh.errors import Transient
from vigimesh.events.knowledge import Passage
from vigimesh.loop.telemetry import Telemetry
from vigimesh.names import SEARCHED
from vigimesh.ports import Embedder

#: Questions of one round trip: a batch of 500 records with 8 questions each.
MAX_QUESTIONS = 4_000
#: Passages a question may ask for; the retriever asks for 3.
MAX_LIMIT = 50
#: Answers remembered: about 3 KB each, so 12 MB; the 20,000 most common questions of a year repeat the first thousands.
MEMO_ANSWERS = 4_096
#: Seconds after which the number of the document set is read again: how long a superseded answer may be given.
STATE_S = 1.0
#: Seconds for which a model that was away, or not what it says, is not asked again: each question would wait for it.
AWAY_S = 30.0


class PgSearch:
    """`ports.Search` over PostgreSQL, with a bounded memory of answers.

    The memory is allowed because documents change seldom and by version: the number of the set is read at most once in
    `STATE_S`, and a new number empties it. So an answer may be superseded for a second, and each passage says its version.
    One search at a time; several threads may share one.
    """

    def __init__(
        self, uri: str, *, clock: Clock | None = None, application_name: str = "vigimesh search",
        remember: int = MEMO_ANSWERS, embedder: Embedder | None = None, telemetry: Telemetry | None = None,
    ) -> None:  # fmt: skip
        """Open a pool on `uri`; a server that is away shows at the first search. `remember` 0 remembers nothing.

        Without an `embedder` words alone answer.
        """
        self._pool = open_pool(uri, application_name, size=1)
        self._clock = clock or SystemClock()
        self._remember = remember
        self._vectors = VectorSide(embedder) if embedder else None
        self._telemetry = telemetry
        self._sql = blocks("knowledge.sql")
        self._memo: OrderedDict[tuple[str, int], Found] = OrderedDict()
        self._scope = Scope()
        self._number = -1
        self._alone = OFF
        self._ask_again_s = float("inf")
        self._looked_at_s = float("-inf")
        self._lock = Lock()

    def close(self) -> None:
        """Give the connection back to the server."""
        self._pool.close()

    def search(self, questions: Sequence[str], limit: int) -> Sequence[tuple[Passage, ...]]:
        """Return for each question at most `limit` passages (1 to `MAX_LIMIT`), best first.

        Raises `Transient` VM-1501 when the base is away or holds no document yet, `ValueError` for a wrong `limit`, and
        `Broken` VM-2610 when the side of the vectors kept something back.
        """
        return [found.passages for found in self.find(questions, limit)]

    def find(self, questions: Sequence[str], limit: int) -> Sequence[Found]:
        """Do what `search` does, and say of each passage which side found it."""
        if not 1 <= limit <= MAX_LIMIT:
            raise ValueError(f"limit {limit} is not within 1 to {MAX_LIMIT}")
        with self._lock:
            self._look()
            answers: dict[str, Found] = {}
            unknown: list[str] = []
            for question in dict.fromkeys(questions):
                remembered = self._memo.get((question, limit))
                if remembered is None:
                    unknown.append(question)
                else:
                    self._memo.move_to_end((question, limit))
                    answers[question] = remembered
            for start in range(0, len(unknown), MAX_QUESTIONS):
                answers.update(self._ask(unknown[start : start + MAX_QUESTIONS], limit))
            for question in unknown:
                if answers[question].alone not in PASSING:
                    self._memo[question, limit] = answers[question]
            while len(self._memo) > self._remember:
                self._memo.popitem(last=False)
            self._tell([answers[question] for question in unknown])
            return [answers[question] for question in questions]

    def _tell(self, found: Sequence[Found]) -> None:
        if self._telemetry:
            for alone, count in Counter(one.alone for one in found).items():
                self._telemetry.add(SEARCHED, count, {"by": alone or "both"})

    def _look(self) -> None:
        """Read the number of the document set when it is time, and forget everything when it is another."""
        now_s = self._clock.monotonic_s()
        if now_s - self._looked_at_s < STATE_S:
            return
        with connection(self._pool) as own:
            row = own.execute(self._sql["state"]).fetchone()
            number = row[0] if row else 0
            if number == 0:
                raise Transient(
                    "VM-1501", what="the knowledge base holds no document yet", where="PostgreSQL",
                    todo="wait until `vigimesh stack up` has loaded the shipped documents",
                )  # fmt: skip
            if self._vectors and (
                number != self._number or self._alone == UNFINISHED or now_s >= self._ask_again_s
            ):
                self._alone = self._vectors.ready(own)
                self._wait(now_s)
            if number != self._number:
                self._scope = Scope.of(own.execute(self._sql["names"]).fetchall())
                self._memo.clear()
                self._number = number
        self._looked_at_s = now_s

    def _wait(self, now_s: float) -> None:
        """Leave a model that cannot be asked alone for a while, so that not every batch waits for it."""
        self._ask_again_s = now_s + AWAY_S if self._alone in (AWAY, ABSENT) else float("inf")

    def _ask(self, questions: Sequence[str], limit: int) -> dict[str, Found]:
        queries = [understand(question, self._scope) for question in questions]
        vectors = (
            self._vectors.vectors(questions, self._scope)
            if self._vectors and not self._alone
            else self._alone
        )
        if isinstance(vectors, str) and vectors != self._alone:
            self._alone = vectors
            self._wait(self._clock.monotonic_s())
        most = limit if isinstance(vectors, str) else max(limit, DEPTH)
        scope = {
            "numbers": list(range(len(queries))),
            "product": [query.only for query in queries],
            "named": [",".join(query.named) for query in queries],
            "most": most,
        }
        words = {
            "words": [_any_of(query) for query in queries],
            "phrases": [_in_order(query) for query in queries],
        }
        with connection(self._pool) as own:
            if self._vectors is None or isinstance(vectors, str):
                text = _read(own.execute(self._sql["search"], scope | words, prepare=True), questions)
                return {
                    question: by_words(one, limit, str(vectors))
                    for question, one in zip(questions, text, strict=True)
                }
            # Both statements are sent before either is answered: one round trip.
            with own.pipeline():
                worded = own.execute(self._sql["search"], scope | words, prepare=True)
                compared = self._vectors.ask(own, scope, vectors)
            text = _read(worded, questions)
            near = self._vectors.read(compared, questions, vectors, most)
        answers = {}
        for question, query, one, other in zip(questions, queries, text, near, strict=True):
            floor = -1.0 if query.only else self._vectors.embedder.floor
            answers[question] = (
                by_words(one, limit, other) if isinstance(other, str) else fused(one, other, limit, floor)
            )
        return answers


def _read(rows: Any, questions: Sequence[str]) -> list[list[Near]]:
    """Return what the search by words found for each question, best first."""
    found: list[list[Near]] = [[] for _ in questions]
    for number, document, version, section, first, last, body, score, place, matched in rows:
        passage = Passage(
            document_id=document, version=version, section=section, start=first, end=last, text=body,
            score=float(score) / 1e4, question=questions[number],
        )  # fmt: skip
        found[number].append(Near(passage=passage, place=place, score=float(score), matched=matched))
    return found


def _any_of(query: Query) -> str | None:
    return " | ".join(f"'{word}'" for word in query.words) or None


def _in_order(query: Query) -> str | None:
    return " <-> ".join(f"'{word}'" for word in query.phrase) or None
