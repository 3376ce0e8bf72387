"""The knowledge base in PostgreSQL: passages out by full text, a whole batch in one round trip.

Words are cut by `domain/knowledge/questions` and written as tsvector and tsquery literals, so that the server's parser and
dictionaries have no say and the twin in memory finds the same. `ts_rank`, not `ts_rank_cd`: with words joined by OR the
latter counts occurrences, so that a passage that repeats one word would beat one that has all of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

from vigimesh.adapters.postgres_schema import blocks, connection, open_pool
from vigimesh.clock import Clock, SystemClock
from vigimesh.domain.knowledge.questions import Query, Scope, understand
from vigimesh.errors import Transient
from vigimesh.events.knowledge import Passage

#: Questions of one round trip: a batch of 500 records with 8 questions each.
MAX_QUESTIONS = 4_000
#: Passages a question may ask for; the retriever asks for 3.
MAX_LIMIT = 50
#: Answers remembered: about 3 KB each, so 12 MB; the 20,000 most common questions of a year repeat the first thousands.
MEMO_ANSWERS = 4_096
#: Seconds after which the number of the document set is read again: how long a superseded answer may be given.
STATE_S = 1.0


class PgSearch:
    """`ports.Search` over PostgreSQL, with a bounded memory of answers.

    The memory is allowed because documents change seldom and by version: the number of the set is read at most once in
    `STATE_S`, and a new number empties it. So an answer may be superseded for a second, and each passage says its version.
    One search at a time; several threads may share one.
    """

    def __init__(
        self, uri: str, *, clock: Clock | None = None, application_name: str = "vigimesh search",
        remember: int = MEMO_ANSWERS,
    ) -> None:  # fmt: skip
        """Open a pool on `uri`; a server that is away shows at the first search. `remember` 0 remembers nothing."""
        self._pool = open_pool(uri, application_name, size=1)
        self._clock = clock or SystemClock()
        self._remember = remember
        self._sql = blocks("knowledge.sql")
        self._memo: OrderedDict[tuple[str, int], tuple[Passage, ...]] = OrderedDict()
        self._scope = Scope()
        self._number = -1
        self._looked_at_s = float("-inf")
        self._lock = Lock()

    def close(self) -> None:
        """Give the connection back to the server."""
        self._pool.close()

    def search(self, questions: Sequence[str], limit: int) -> Sequence[tuple[Passage, ...]]:
        """Return for each question at most `limit` passages (1 to `MAX_LIMIT`), best first.

        Raises `Transient` VM-1501 when the base is away or holds no document yet, `ValueError` for a wrong `limit`.
        """
        if not 1 <= limit <= MAX_LIMIT:
            raise ValueError(f"limit {limit} is not within 1 to {MAX_LIMIT}")
        with self._lock:
            self._look()
            answers: dict[str, tuple[Passage, ...]] = {}
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
                self._memo[question, limit] = answers[question]
            while len(self._memo) > self._remember:
                self._memo.popitem(last=False)
            return [answers[question] for question in questions]

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
            if number != self._number:
                self._scope = Scope.of(own.execute(self._sql["names"]).fetchall())
                self._memo.clear()
                self._number = number
        self._looked_at_s = now_s

    def _ask(self, questions: Sequence[str], limit: int) -> dict[str, tuple[Passage, ...]]:
        queries = [understand(question, self._scope) for question in questions]
        parameters = {
            "numbers": list(range(len(queries))),
            "product": [query.only for query in queries],
            "named": [",".join(query.named) for query in queries],
            "words": [_any_of(query) for query in queries],
            "phrases": [_in_order(query) for query in queries],
            "most": limit,
        }
        found: list[list[Passage]] = [[] for _ in queries]
        with connection(self._pool) as own:
            for number, document, version, section, first, last, body, score, _ in own.execute(
                self._sql["search"], parameters, prepare=True
            ):
                found[number].append(
                    Passage(
                        document_id=document, version=version, section=section, start=first, end=last, text=body,
                        score=float(score) / 1e4, question=questions[number],
                    )
                )  # fmt: skip
        return {question: tuple(passages) for question, passages in zip(questions, found, strict=True)}


def _any_of(query: Query) -> str | None:
    return " | ".join(f"'{word}'" for word in query.words) or None


def _in_order(query: Query) -> str | None:
    return " <-> ".join(f"'{word}'" for word in query.phrase) or None
