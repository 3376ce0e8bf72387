"""Vectors of passages in PostgreSQL: kept as arrays, compared by pgvector, exactly and inside one scope.

No approximate index: a filter behind one returns too few rows (`pgvector` #719, #785), and a scope is some dozen passages. What a
scope holds is counted in the same scan that ranks it, and `fusion.whole` holds the answer to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vigimesh.adapters.models.embedding import PROBE, asked_text, check_probe, embedded, put, why_not
from vigimesh.adapters.postgres.schema import Connection, blocks, connection, open_pool
from vigimesh.clock import Clock
from vigimesh.domain.knowledge.answering import State
from vigimesh.domain.knowledge.fusion import ABSENT, AWAY, KEPT, UNFINISHED, Near, passage_text, whole
from vigimesh.events.knowledge import Passage
from vigimesh.ports import Bare, Embedder

if TYPE_CHECKING:
    from vigimesh.domain.knowledge.vectors import Rows


#: Seconds for which a model that was away, or not what it says, is not asked again: each batch would wait for it.
AWAY_S = 30.0


class PgVectors:
    """`ports.Vectors` over PostgreSQL."""

    def __init__(self, uri: str, application_name: str = "vigimesh vectors") -> None:
        """Open a pool on `uri`; a server that is away shows at the first use."""
        self._pool = open_pool(uri, application_name, size=1)
        self._sql = blocks("vectors.sql")

    def close(self) -> None:
        """Give the connection back to the server."""
        self._pool.close()

    def missing(self, model: str, most: int) -> tuple[Bare, ...]:
        """Return passages without a vector of the model; see the port."""
        with connection(self._pool) as own:
            rows = own.execute(self._sql["missing"], {"model": model, "most": most}).fetchall()
        return tuple(
            Bare(
                document_id=document,
                version=version,
                place=place,
                text=passage_text(title, section, above, body),
            )
            for document, version, place, title, section, above, body in rows
        )

    def put(self, embedder: Embedder, passages: Sequence[Bare], rows: Rows) -> None:
        """Keep the rows; see the port."""
        check_probe(embedder, self._known(embedder.digest))
        with connection(self._pool) as own, own.cursor() as cursor:
            cursor.execute(
                self._sql["add_embedder"],
                {
                    "digest": embedder.digest, "name": embedder.name, "dimensions": embedder.dimensions,
                    "probe": embedder.embed([PROBE])[0].tolist(),
                },
            )  # fmt: skip
            cursor.executemany(
                self._sql["add_vector"],
                [
                    {
                        "model": embedder.digest, "document": one.document_id, "version": one.version, "place": one.place,
                        "numbers": row.tolist(),
                    }
                    for one, row in zip(passages, rows, strict=True)
                ],
            )  # fmt: skip

    def _known(self, digest: str) -> Sequence[float] | None:
        with connection(self._pool) as own:
            row = own.execute(self._sql["probe"], {"digest": digest}).fetchone()
        return row[0] if row else None


class VectorSide:
    """The half of a search that compares vectors: embeds a batch's questions and says, if it cannot take part, why."""

    def __init__(self, embedder: Embedder, clock: Clock) -> None:
        """Take part with this model; nothing is asked of it yet."""
        self.embedder = embedder
        self._clock = clock
        self._sql = blocks("vectors.sql")
        self._alone, self._number, self._again_s = UNFINISHED, -1, float("inf")

    def vectors(self, own: Connection, questions: Sequence[str], state: State) -> list[str | None] | str:
        """Return each question's vector as pgvector reads it, None for one that must not leave, or why there are none.

        Looks again whether it can take part when the base has another number, or a model that could not be asked was left alone
        for `AWAY_S`.
        """
        if (
            state.number != self._number
            or self._alone == UNFINISHED
            or self._clock.monotonic_s() >= self._again_s
        ):
            self._stand(self._ready(own))
            self._number = state.number
        if self._alone:
            return self._alone
        sent = put(self.embedder, questions, state.names)
        rows = embedded(self.embedder, [asked_text(one, state.names) for one in sent])
        if isinstance(rows, str):
            self._stand(rows)
            return rows
        written = dict(zip(sent, map(_written, rows), strict=True))
        return [written.get(question) for question in questions]

    def _ready(self, own: Connection) -> str:
        there, probe = own.execute(self._sql["ready"], {"model": self.embedder.digest}).fetchone() or (
            False,
            None,
        )
        return why_not(self.embedder, probe) if there else ABSENT

    def _stand(self, alone: str) -> None:
        """Take a reason to leave the model alone, for a while where it may pass: not every batch should wait for it."""
        self._alone = alone
        waits = alone in (ABSENT, AWAY)
        self._again_s = self._clock.monotonic_s() + AWAY_S if waits else float("inf")

    def ask(self, own: Connection, parameters: Mapping[str, Any], vectors: Sequence[str | None]) -> Any:
        """Send the batch; its rows go to `read`."""
        asked = {**parameters, "model": self.embedder.digest, "vectors": list(vectors)}
        return own.execute(self._sql["near"], asked, prepare=True)

    def read(
        self, rows: Any, questions: Sequence[str], vectors: Sequence[str | None], most: int
    ) -> list[Sequence[Near] | str]:
        """Return for each question the nearest passages, or why there are none: kept here, or its scope lacks vectors.

        Raises `Broken` VM-2610 when fewer came back than were due.
        """
        found: list[list[Near]] = [[] for _ in questions]
        counts = [(0, 0)] * len(questions)
        for (
            number,
            document,
            version,
            section,
            first,
            last,
            body,
            listed,
            score,
            place,
            in_scope,
            with_vector,
        ) in rows:
            counts[number] = (in_scope, with_vector)
            if score is not None:
                passage = Passage(
                    document_id=document, version=version, section=section, start=first, end=last, text=body,
                    score=float(score), question=questions[number], lists_reactions=listed,
                )  # fmt: skip
                found[number].append(Near(passage=passage, place=place, score=float(score)))
        return [
            KEPT if vector is None
            else UNFINISHED if with_vector < in_scope
            else whole(near, in_scope, most, f"question {question[:60]!r}")
            for question, vector, near, (in_scope, with_vector) in zip(questions, vectors, found, counts, strict=True)
        ]  # fmt: skip


def _written(row: Any) -> str:
    """Return a vector as pgvector reads it; most numbers of a hashed one are 0, and are not written one by one."""
    parts = ["0"] * len(row)
    (there,) = row.nonzero()
    for at, number in zip(there.tolist(), row[there].tolist(), strict=True):
        parts[at] = repr(number)
    return f"[{','.join(parts)}]"
