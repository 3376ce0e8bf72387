"""The index of summaries in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from vigimesh.adapters.postgres.schema import Pool, blocks, connection, open_pool
from vigimesh.domain.knowledge.warm import Cost, Kept


class PgSummaryIndex:
    """`ports.SummaryIndex` over PostgreSQL. Several threads may share one."""

    def __init__(self, uri: str, *, application_name: str = "vigimesh summaries") -> None:
        """Open a pool on `uri`; a server that is away shows at the first call."""
        self._pool: Pool = open_pool(uri, application_name, size=1)
        self._sql = blocks("summaries.sql")

    def close(self) -> None:
        """Give the connection back to the server."""
        self._pool.close()

    def put(self, kept: Kept, cost: Cost) -> None:
        """Keep a summary in the place of the one before it of this document, and book its cost."""
        row = {
            "document_id": kept.document_id, "product": kept.product, "older": kept.older, "version": kept.version,
            "digest": kept.digest, "bytes": kept.size, "names": list(kept.names), "read_at": kept.read_at,
        }  # fmt: skip
        booked = {
            "product": kept.product, "day": kept.read_at.date(), "currency": cost.currency, "made": cost.made,
            "characters": cost.characters, "micro": cost.micro,
        }  # fmt: skip
        with connection(self._pool) as own:
            own.execute(self._sql["put"], row)
            own.execute(self._sql["book"], booked)

    def costs(self, since: date) -> Mapping[str, Sequence[Cost]]:
        """Return what was booked from the day `since` on, by product, a row for each currency."""
        made: dict[str, list[Cost]] = {}
        with connection(self._pool) as own:
            for product, currency, number, characters, micro in own.execute(
                self._sql["costs"], {"since": since}
            ):
                cost = Cost(made=int(number), characters=int(characters), micro=int(micro), currency=currency)
                made.setdefault(product, []).append(cost)
        return made

    def drop(self, document_ids: Iterable[str]) -> None:
        """Forget the summaries of these documents."""
        with connection(self._pool) as own:
            own.execute(self._sql["drop"], {"ids": list(document_ids)})

    def rows(self) -> Sequence[Kept]:
        """Return every summary, by document."""
        return self._read("rows", {})

    def called(self, names: Iterable[str]) -> Sequence[Kept]:
        """Return the summaries of documents that have one of these names, by document."""
        # PostgreSQL stores no NUL: a name that has one is nobody's.
        return self._read("called", {"names": [name for name in names if "\0" not in name]})

    def _read(self, block: str, parameters: Mapping[str, Any]) -> Sequence[Kept]:
        with connection(self._pool) as own:
            rows = own.execute(self._sql[block], parameters).fetchall()
        return [
            Kept(
                document_id=row[0], product=row[1], older=row[2], version=row[3], digest=row[4], size=row[5], names=tuple(row[6]),
                read_at=row[7],
            )
            for row in rows
        ]  # fmt: skip
