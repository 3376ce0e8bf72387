"""The ledger of what was served in PostgreSQL; the places read in the log move in the transaction that books what lies before them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from vigimesh.adapters.postgres.schema import Pool, blocks, connection, open_pool
from vigimesh.domain.knowledge.ledger import Booked, Count, Ended, Kind, Pair
from vigimesh.domain.knowledge.standing import Overdue
from vigimesh.errors import Transient

#: Number of the advisory lock under which is booked, one librarian at a time.
BOOK_LOCK = 5_160_003

_USED = (
    "case_id", "message_id", "workflow", "lane", "question_key", "document_id", "version", "first", "last", "at", "source",
)  # fmt: skip
_KIND = ("product", "day", "level", "match", "missed", "false_hit")


class PgLedger:
    """`ports.Ledger` over PostgreSQL. Several threads may share one."""

    def __init__(self, uri: str, *, application_name: str = "vigimesh ledger") -> None:
        """Open a pool on `uri`; a server that is away shows at the first call."""
        self._pool: Pool = open_pool(uri, application_name, size=1)
        self._sql = blocks("ledger.sql")

    def close(self) -> None:
        """Give the connection back to the server."""
        self._pool.close()

    def places(self) -> Mapping[int, int]:
        """Return the next offset of each partition that was booked."""
        with connection(self._pool) as own:
            return dict(own.execute(self._sql["places"]).fetchall())

    def ended(self, pairs: Iterable[Pair]) -> Ended:
        """Return when versions were superseded or withdrawn; see `ports.Ledger.ended`."""
        asked = _columns(pairs)
        with connection(self._pool) as own:
            superseded = own.execute(self._sql["superseded"], asked).fetchall()
            withdrawn = own.execute(self._sql["withdrawn"], asked).fetchall()
        return Ended(
            superseded={(name, version): at for name, version, at in superseded}, withdrawn=dict(withdrawn)
        )

    def book(self, booked: Booked) -> None:
        """Store all of `booked`, or nothing; see `ports.Ledger.book`."""
        with connection(self._pool) as own:
            own.execute(self._sql["lock"], {"lock": BOOK_LOCK})
            check(dict(own.execute(self._sql["places"]).fetchall()), booked)
            if booked.used:
                own.execute(
                    self._sql["add_used"],
                    {name: [getattr(row, name) for row in booked.used] for name in _USED},
                )
            for kind, count in sorted(booked.counts.items()):
                names = {name: getattr(kind, name) for name in _KIND}
                own.execute(
                    self._sql["add_served"], names | {"answers": count.answers, "grounded": count.grounded}
                )
                for bucket, answers in sorted(count.ages.items()):
                    own.execute(self._sql["add_age"], names | {"bucket": bucket, "answers": answers})
            own.execute(
                self._sql["move"],
                {"partitions": list(booked.after), "nexts": list(booked.after.values())},
            )

    def counts(self, since: date) -> Mapping[Kind, Count]:
        """Return what was counted from the day `since` on."""
        with connection(self._pool) as own:
            rows = own.execute(self._sql["served"], {"since": since}).fetchall()
            ages = own.execute(self._sql["ages"], {"since": since}).fetchall()
        found = {_kind(row): Count(answers=row[6], grounded=row[7]) for row in rows}
        for row in ages:
            found[_kind(row)].ages[row[6]] += row[7]
        return found

    def cross(self, past: Mapping[str, datetime], now: datetime) -> Sequence[Overdue]:
        """Keep which products are past their service level, and return those not told yet; see `ports.Ledger.cross`."""
        with connection(self._pool) as own:
            own.execute(self._sql["recovered"], {"past": list(past), "now": now})
            own.execute(self._sql["crossed"], {"past": list(past), "due": list(past.values())})
            rows = own.execute(self._sql["untold"]).fetchall()
        return [Overdue(product=product, due_at=due_at) for product, due_at in rows]

    def told(self, overdue: Overdue) -> None:
        """Keep that a product's owner was told."""
        with connection(self._pool) as own:
            own.execute(self._sql["told"], {"product": overdue.product, "due_at": overdue.due_at})


def check(places: Mapping[int, int], booked: Booked) -> None:
    """Raise `Transient` VM-2802 unless the places that are held are those that `booked` begins at."""
    for partition, start in booked.before.items():
        if places.get(partition, start) != start:
            raise _overtaken(partition, places[partition], start)
    for partition in booked.after:
        if partition not in booked.before and partition in places:
            raise _overtaken(partition, places[partition], None)


def _overtaken(partition: int, held: int, start: int | None) -> Transient:
    return Transient(
        "VM-2802", what=f"partition {partition} is booked up to {held}, not {'its start' if start is None else start}",
        where="table knowledge.ledger_place", todo="let one librarian run; this one reads on from there",
    )  # fmt: skip


def _columns(pairs: Iterable[Pair]) -> dict[str, Any]:
    rows = sorted(set(pairs))
    return {"ids": [name for name, _ in rows], "versions": [version for _, version in rows]}


def _kind(row: Sequence[Any]) -> Kind:
    return Kind(product=row[0], day=row[1], level=row[2], match=row[3], missed=row[4], false_hit=row[5])
