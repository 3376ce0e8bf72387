"""The index of advice recall in PostgreSQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from vigimesh.adapters.postgres.schema import blocks, connection, open_pool
from vigimesh.domain.knowledge.recalling import Brought, Change, Use
from vigimesh.ports.recalls import Mark, Part, Place


class PgRecalls:
    """`ports.recalls.Recalls` and `CaseIndex` over PostgreSQL. Several threads may share one."""

    def __init__(self, uri: str, *, application_name: str = "vigimesh recall") -> None:
        """Open a pool on `uri`; a server that is away shows at the first call."""
        self._pool = open_pool(uri, application_name, size=1)
        self._sql = blocks("recall.sql")

    def close(self) -> None:
        """Give the connection back to the server."""
        self._pool.close()

    def versions(self) -> Sequence[Brought]:
        """Return every version of every document; see `ports.recalls.Recalls`."""
        with connection(self._pool) as own:
            rows = own.execute(self._sql["versions"]).fetchall()
        return [
            Brought(
                document_id=row[0], version=row[1], current=row[2], brought_at=row[3], withdrawn_at=row[4]
            )
            for row in rows
        ]

    def uses(
        self, changes: Sequence[Change], after: Place, limit: int, *, settled: bool = False
    ) -> Sequence[Use]:
        """Return a page of uses; see `ports.recalls.Recalls`."""
        stale = [(one, version) for one in changes for version in one.stale]
        if not stale:
            return []
        given = {
            "documents": [one.document_id for one, _ in stale], "versions": [version for _, version in stale],
            "causes": [one.cause for one, _ in stale], "settled": settled, "most": limit,
            "case": after[0], "message": after[1], "document": after[2],
        }  # fmt: skip
        with connection(self._pool) as own:
            rows = own.execute(self._sql["uses"], given).fetchall()
        return [
            Use(
                case_id=row[0], message_id=row[1], document_id=row[2], versions=tuple(row[3]), passages=tuple(row[4]),
                state=row[5], why=row[6],
            )
            for row in rows
        ]  # fmt: skip

    def mark(self, marks: Sequence[Mark]) -> None:
        """Remember what became of uses; see `ports.recalls.Recalls`."""
        rows = [
            {
                "message_id": one.use.message_id, "cause": one.cause, "case_id": one.use.case_id,
                "document_id": one.use.document_id, "state": one.state, "why": one.why, "event_id": one.event_id,
                "lane": one.lane, "at": one.at,
            }
            for one in marks
        ]  # fmt: skip
        with connection(self._pool) as own, own.cursor() as cursor:
            cursor.executemany(self._sql["settle"], rows)

    def forget_used(self, changes: Sequence[Change], before: datetime, most: int) -> int:
        """Remove old passages that were recalled; see `ports.recalls.Recalls`."""
        stale = [(one, version) for one in changes for version in one.stale]
        if not stale:
            return 0
        given = {
            "documents": [one.document_id for one, _ in stale], "versions": [version for _, version in stale],
            "causes": [one.cause for one, _ in stale], "before": before, "most": most,
        }  # fmt: skip
        with connection(self._pool) as own:
            return own.execute(self._sql["forget_used"], given).rowcount

    def followed(self) -> Mapping[Part, int]:
        """Return how far each partition was followed; see `ports.recalls.CaseIndex`."""
        with connection(self._pool) as own:
            return {(row[0], row[1]): row[2] for row in own.execute(self._sql["followed"]).fetchall()}

    def places(self, cases: Collection[str]) -> Mapping[Part, Sequence[int]]:
        """Return where the cases' records lie; see `ports.recalls.CaseIndex`."""
        found: defaultdict[Part, list[int]] = defaultdict(list)
        with connection(self._pool) as own:
            for topic, partition, offset in own.execute(self._sql["places"], {"cases": list(cases)}):
                found[topic, partition].append(offset)
        return found

    def follow(
        self, found: Sequence[tuple[Part, int, str]], after: Mapping[Part, int], firsts: Mapping[Part, int]
    ) -> None:
        """Add places and move on, in one transaction; see `ports.recalls.CaseIndex`."""
        with connection(self._pool) as own:
            added = {"offsets": [offset for _, offset, _ in found], "cases": [case for *_, case in found]}
            own.execute(self._sql["add_places"], _parts(part for part, *_ in found) | added)
            own.execute(self._sql["move_followed"], _parts(after) | {"nexts": list(after.values())})
            own.execute(self._sql["drop_places"], _parts(firsts) | {"firsts": list(firsts.values())})

    def forget(self, parts: Collection[Part]) -> None:
        """Forget partitions, in one transaction; see `ports.recalls.CaseIndex`."""
        with connection(self._pool) as own:
            own.execute(self._sql["forget_places"], _parts(parts))
            own.execute(self._sql["forget_followed"], _parts(parts))


def _parts(parts: Iterable[Part]) -> dict[str, Any]:
    rows = list(parts)
    return {"topics": [topic for topic, _ in rows], "partitions": [partition for _, partition in rows]}
