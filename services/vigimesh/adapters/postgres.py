"""The knowledge base in PostgreSQL: passages out by full text, a whole batch in one round trip.

Words are cut by `domain/knowledge/questions` and written as tsvector and tsquery literals, so that the server's parser and
dictionaries have no say and the twin in memory finds the same. `ts_rank`, not `ts_rank_cd`: with words joined by OR the
latter counts occurrences, so that a passage that repeats one word would beat one that has all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from vigimesh.adapters.postgres_schema import blocks, connection, open_pool
from vigimesh.clock import Clock, SystemClock
from vigimesh.domain.knowledge.answering import State
from vigimesh.domain.knowledge.questions import Query, Scope, understand
from vigimesh.errors import Transient
from vigimesh.events.knowledge import Passage

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
        self, uri: str, *, clock: Clock | None = None, application_name: str = "vigimesh search"
    ) -> None:
        """Open a pool on `uri`; a server that is away shows at the first search."""
        # One connection for a search, one for the state, so that what is served from a cache waits for no search.
        self._pool = open_pool(uri, application_name, size=2)
        self._clock = clock or SystemClock()
        self._sql = blocks("knowledge.sql")
        self._state = State()
        self._looked_at_s = float("-inf")
        # Changes told of, and how many of them had been when the state was read last.
        self._told = self._told_then = 0
        self._lock, self._looking = Lock(), Lock()

    def close(self) -> None:
        """Give the connections back to the server."""
        self._pool.close()

    def search(self, questions: Sequence[str], limit: int) -> Sequence[tuple[Passage, ...]]:
        """Return for each question at most `limit` passages (1 to `MAX_LIMIT`), best first.

        Raises `Transient` VM-1501 when the base is away or holds no document yet, `ValueError` for a wrong `limit`.
        """
        if not 1 <= limit <= MAX_LIMIT:
            raise ValueError(f"limit {limit} is not within 1 to {MAX_LIMIT}")
        with self._lock:
            names = self.state().names
            distinct = tuple(dict.fromkeys(questions))
            answers: dict[str, tuple[Passage, ...]] = {}
            for start in range(0, len(distinct), MAX_QUESTIONS):
                answers.update(self._ask(distinct[start : start + MAX_QUESTIONS], names, limit))
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

    def _ask(self, questions: Sequence[str], names: Scope, limit: int) -> dict[str, tuple[Passage, ...]]:
        queries = [understand(question, names) for question in questions]
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
