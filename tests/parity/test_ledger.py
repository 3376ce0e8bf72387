"""One suite on the ledger in memory and the one in PostgreSQL: both book alike, once, and whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

import psycopg
import pytest

from libraries import fresh_database, note
from served import NOON, cached, measured, seen
from vigimesh.adapters.memory.ledger import MemoryLedger, Version
from vigimesh.adapters.memory.summaries import MemorySummaryIndex
from vigimesh.adapters.postgres.ledger import PgLedger
from vigimesh.adapters.postgres.library import PgLibrary
from vigimesh.adapters.postgres.schema import migrate
from vigimesh.adapters.postgres.summaries import PgSummaryIndex
from vigimesh.domain.knowledge.ledger import Booked, Ended, book, by_product, figures
from vigimesh.domain.knowledge.products import shipped_products
from vigimesh.domain.knowledge.standing import Overdue
from vigimesh.domain.knowledge.warm import Cost, Kept
from vigimesh.errors import Transient
from vigimesh.ports import Ledger, SummaryIndex

LONG_AGO = date(2020, 1, 1)
ZELORA = ("product/zelora", "1.0")
FREE = Cost(made=1, characters=0, micro=0, currency="EUR")


@dataclass(frozen=True)
class Base:
    """A ledger under test; `uri` is its database, empty for memory."""

    ledger: Ledger
    index: SummaryIndex
    uri: str

    def used(self) -> set[tuple[str, str, str, int, int]]:
        """Return (source, document, version, first, last) of every row."""
        if isinstance(self.ledger, MemoryLedger):
            return {
                (one.source, one.document_id, one.version, one.first, one.last)
                for one in self.ledger.used.values()
            }
        with psycopg.connect(self.uri) as own:
            rows = own.execute("SELECT source, document_id, version, first, last FROM knowledge.used")
            return set(rows.fetchall())


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.real)])
def base(request: pytest.FixtureRequest) -> Iterator[Base]:
    if request.param == "memory":
        yield Base(MemoryLedger(), MemorySummaryIndex(), "")
        return
    with fresh_database(request.getfixturevalue("stack").urls.postgres, "ledger_parity") as uri:
        migrate(uri)
        ledger, index = PgLedger(uri), PgSummaryIndex(uri)
        yield Base(ledger, index, uri)
        ledger.close()
        index.close()


def booked(first: int, count: int, before: int | None = None) -> Booked:
    """Return `count` measurements from the offset `first` on, some of them cached."""
    passages = ("vaccine/dtp@1.0#10-60", "vaccine/dtp@1.0#70-90")
    rows = [
        seen(
            at, cached(age=timedelta(minutes=at), passages=passages) if at % 2 else measured(missed="absent")
        )
        for at in range(first, first + count)
    ]
    start = {} if before is None else {0: before}
    return book(rows, "t", shipped_products(), Ended(), (start, {0: first + count}))


def test_what_is_booked_is_there_with_its_place(base: Base) -> None:
    base.ledger.book(booked(0, 5))
    base.ledger.book(booked(5, 3, before=5))
    assert base.ledger.places() == {0: 8}
    assert len(base.used()) == 4 * 2 + 4
    assert ("t-0-1", "vaccine/dtp", "1.0", 70, 90) in base.used()
    twin = MemoryLedger()
    twin.book(booked(0, 5))
    twin.book(booked(5, 3, before=5))
    assert by_product(base.ledger.counts(LONG_AGO), {}) == by_product(twin.counts(LONG_AGO), {})
    assert base.ledger.counts(NOON.date() + timedelta(days=1)) == {}


@pytest.mark.parametrize("before", [None, 4, 6])
def test_what_does_not_begin_where_the_ledger_stands_is_not_booked_at_all(
    base: Base, before: int | None
) -> None:
    base.ledger.book(booked(0, 5))
    rows, counts = base.used(), base.ledger.counts(LONG_AGO)
    with pytest.raises(Transient, match="VM-2802"):
        base.ledger.book(booked(5, 3, before=before))
    assert (base.used(), base.ledger.counts(LONG_AGO), base.ledger.places()) == (rows, counts, {0: 5})


def test_a_booking_that_is_cut_off_leaves_nothing(base: Base) -> None:
    base.ledger.book(booked(0, 5))
    whole = booked(5, 3, before=5)
    if base.uri:
        # A row that the database refuses comes after rows that it took.
        broken = replace(whole, used=(*whole.used, replace(whole.used[0], first=2**40)))
        with pytest.raises(psycopg.Error):
            base.ledger.book(broken)
        with psycopg.connect(base.uri, autocommit=True) as own:
            own.execute("ALTER TABLE knowledge.ledger_place ADD CHECK (next < 8)")
            with pytest.raises(psycopg.Error):
                base.ledger.book(whole)  # all of it was written but the place
            own.execute("ALTER TABLE knowledge.ledger_place DROP CONSTRAINT ledger_place_next_check")
    assert base.ledger.places() == {0: 5}
    assert figures(base.ledger.counts(LONG_AGO))["questions"] == 5
    base.ledger.book(whole)
    assert figures(base.ledger.counts(LONG_AGO))["questions"] == 8


def test_an_end_is_when_the_next_version_came_or_the_document_was_withdrawn(base: Base) -> None:
    ledger = base.ledger
    if isinstance(ledger, MemoryLedger):
        later = NOON + timedelta(hours=1)
        versions = [
            Version(document_id=ZELORA[0], version=number, loaded_at=at, withdrawn_at=None)
            for number, at in (("1.0", NOON), ("1.1", later), ("1.10", later + timedelta(hours=1)))
        ]
        ledger.versions = lambda: versions
        assert ledger.ended([ZELORA]).superseded == {ZELORA: later}
        gone = [replace(one, withdrawn_at=later) for one in versions]
        ledger.versions = lambda: gone
    else:
        library = PgLibrary(base.uri)
        library.ingest([note("1.0")], by="a")
        assert ledger.ended([ZELORA, ("product/none", "1.0")]) == Ended()
        library.ingest([note("1.1", "Rash")], by="a")
        library.ingest([note("1.10", "Pain")], by="a")
        times = {one.version: one.at for one in library.documents()}
        assert ledger.ended([ZELORA, (ZELORA[0], "1.10")]).superseded == {ZELORA: times["1.1"]}
        assert ledger.ended([ZELORA]).withdrawn == {}
        library.withdraw(ZELORA[0], by="a", reason="wrong")
        library.close()
    assert set(ledger.ended([ZELORA]).withdrawn) == {ZELORA[0]}


def test_a_crossing_is_told_once_and_again_after_recovery(base: Base) -> None:
    ledger, first, second = base.ledger, NOON, NOON + timedelta(days=9)
    (crossing,) = ledger.cross({"guidance": first}, NOON)
    assert crossing == Overdue(product="guidance", due_at=first)
    assert list(ledger.cross({"guidance": first}, NOON)) == [crossing]  # kept until it was told
    ledger.told(crossing)
    assert list(ledger.cross({"guidance": first + timedelta(days=1)}, NOON)) == []  # past already
    assert list(ledger.cross({}, NOON)) == []
    (again,) = ledger.cross({"guidance": second}, second)
    assert again.due_at == second
    ledger.told(again)
    ledger.cross({}, second)
    # A level that was loosened and tightened again: the same moment, another crossing.
    assert list(ledger.cross({"guidance": second}, second)) == [again]


def test_a_summary_takes_the_place_of_the_one_before_and_is_found_by_each_name(base: Base) -> None:
    index = base.index
    quill = Kept(
        document_id="product/quill", product="default", older="1.0", version="1.1", digest="a" * 64, size=7,
        names=("product/quill", "quill"), read_at=NOON,
    )  # fmt: skip
    zelora = replace(
        quill, document_id="product/zelora", names=("product/zelora", "zelora", "it's a \\ 'name'")
    )
    for one in (zelora, quill):
        index.put(one, FREE)
    assert list(index.rows()) == [quill, zelora]
    newer = replace(quill, older="1.1", version="1.2", digest="b" * 64, read_at=NOON + timedelta(hours=1))
    index.put(newer, FREE)
    assert list(index.called(["quill", "product/zelora"])) == [newer, zelora]
    assert list(index.called(["it's a \\ 'name'"])) == [zelora]
    assert list(index.called(["", "QUILL", "quil", "\0quill"])) == []
    assert list(index.called([])) == []
    index.drop(["product/quill", "product/none"])
    assert list(index.rows()) == [zelora]


def test_what_summaries_cost_is_booked_by_product_day_and_currency(base: Base) -> None:
    index = base.index
    one = Kept(
        document_id="product/quill", product="notes", older="1.0", version="1.1", digest="a" * 64, size=7, names=("quill",),
        read_at=NOON,
    )  # fmt: skip
    dear = Cost(made=1, characters=1_500, micro=66, currency="EUR")
    index.put(one, dear)
    index.put(replace(one, version="1.2"), dear)
    index.put(replace(one, read_at=NOON + timedelta(days=1)), replace(dear, micro=70))
    index.put(replace(one, product="labels"), replace(dear, currency="USD"))
    index.drop(["product/quill"])  # what it cost was paid all the same
    assert index.costs(NOON.date()) == {
        "labels": [replace(dear, currency="USD")],
        "notes": [Cost(made=3, characters=4_500, micro=202, currency="EUR")],
    }
    assert index.costs(NOON.date() + timedelta(days=1)) == {"notes": [replace(dear, micro=70)]}
    assert index.costs(NOON.date() + timedelta(days=2)) == {}
