"""The knowledge base in PostgreSQL: documents in, passages out by full text, a whole batch in one round trip.

Words are cut by `domain/knowledge/questions` and written as tsvector and tsquery literals, so that the server's parser and
dictionaries have no say and the twin in memory finds the same. `ts_rank`, not `ts_rank_cd`: with words joined by OR the
latter counts occurrences, so that a passage that repeats one word would beat one that has all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Lock

from vigimesh.adapters.postgres_schema import Connection, Pool, blocks, connection, open_pool
from vigimesh.clock import Clock, SystemClock
from vigimesh.domain.knowledge.answering import State
from vigimesh.domain.knowledge.chunks import Document, chunks, version_ordinal
from vigimesh.domain.knowledge.questions import Query, Scope, index_words, understand
from vigimesh.errors import Refused, Transient
from vigimesh.events.knowledge import Passage

#: Questions of one round trip: a batch of 500 records with 8 questions each.
MAX_QUESTIONS = 4_000
#: Passages a question may ask for; the retriever asks for 3.
MAX_LIMIT = 50
#: Seconds after which the number of the document set is read again: how long a superseded version may count as current.
STATE_S = 1.0
#: Number of the advisory lock under which documents are loaded, one loader at a time.
LOAD_LOCK = 5_160_002
#: Positions that PostgreSQL keeps of a word, and the last one it can write.
_MAX_POSITIONS, _LAST_POSITION = 255, 16_383


def load_into(uri: str, documents: Iterable[Document]) -> tuple[Document, ...]:
    """Do what `load` does over a connection of its own."""
    with open_pool(uri, "vigimesh load", size=1) as pool:
        return load(pool, documents)


def load(pool: Pool, documents: Iterable[Document]) -> tuple[Document, ...]:
    """Store the documents that are not there yet, all or none, and return them; doing it again changes nothing.

    The newest version of an id is searched from then on; older ones are kept, because decisions cite them.
    Raises `Refused` VM-1502 when a version that is there has another text, `Transient` VM-1501 when the base is away.
    """
    sql = blocks("knowledge.sql")
    added: list[Document] = []
    with connection(pool) as own:
        own.execute(sql["lock"], {"lock": LOAD_LOCK})
        for document in documents:
            row = own.execute(sql["digest"], {"id": document.id, "version": document.version}).fetchone()
            if row is None:
                _add(own, document)
                added.append(document)
            elif row[0] != document.digest:
                raise Refused(
                    "VM-1502",
                    what=f"version {document.version} of {document.id} is there with another text",
                    where=f"document {document.id}",
                    todo="give the changed document a higher version",
                )
        if added:
            own.execute(sql["advance_state"])
    return tuple(added)


def _add(own: Connection, document: Document) -> None:
    sql = blocks("knowledge.sql")
    identity = {"id": document.id, "version": document.version}
    own.execute(
        sql["add_document"],
        identity | {
            "ordinal": list(version_ordinal(document.version)), "digest": document.digest, "title": document.title,
            "kind": document.kind, "names": list(document.names), "aliases": list(document.aliases),
        },
    )  # fmt: skip
    rows = [
        identity | {
            "place": place, "section": chunk.section, "first": chunk.start, "last": chunk.end, "body": chunk.text,
            "listed": chunk.listed, "general": document.general,
            "tokens": _vector(index_words(document, chunk.section, chunk.text)),
        }
        for place, chunk in enumerate(chunks(document))
    ]  # fmt: skip
    with own.cursor() as cursor:
        cursor.executemany(sql["add_passage"], rows)
    own.execute(sql["promote_document"], {"id": document.id})
    own.execute(sql["promote_passages"], {"id": document.id})


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


def _vector(tokens: Sequence[str]) -> str:
    """Return the words with their positions as PostgreSQL writes a tsvector; words hold letters and digits only."""
    positions: dict[str, list[int]] = {}
    for at, token in enumerate(tokens, start=1):
        places = positions.setdefault(token, [])
        if len(places) < _MAX_POSITIONS and at <= _LAST_POSITION:
            places.append(at)
    return " ".join(
        f"'{token}':{','.join(map(str, places))}" for token, places in positions.items() if places
    )


def _any_of(query: Query) -> str | None:
    return " | ".join(f"'{word}'" for word in query.words) or None


def _in_order(query: Query) -> str | None:
    return " <-> ".join(f"'{word}'" for word in query.phrase) or None
