"""One suite on the index of recalls in memory and in PostgreSQL: what is found, in pages, and what is marked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from libraries import fresh_database, note
from vigimesh.adapters.memory.recalls import MemoryRecalls, Served
from vigimesh.adapters.postgres.library import PgLibrary
from vigimesh.adapters.postgres.recalls import PgRecalls
from vigimesh.adapters.postgres.schema import migrate
from vigimesh.domain.knowledge.recalling import Brought, Change, changes
from vigimesh.ports.recalls import START, Mark, Recalls

AT = datetime(2026, 3, 1, tzinfo=UTC)
LABEL, OTHER = "product/zelora", "product/other"
#: A question of a case may be put twice, and a version may be given passages of two versions of a label.
SERVED = (
    Served("t/1", "m1", LABEL, "1.0", 10, 40),
    Served("t/1", "m1", LABEL, "1.0", 50, 90),
    Served("t/1", "m1", LABEL, "1.9", 10, 40),
    Served("t/1", "m1", OTHER, "1.0", 1, 2),
    Served("t/1", "m2", LABEL, "1.10", 10, 40),
    Served("t/2", "m3", LABEL, "1.0", 10, 40),
    Served("t/2", "m3", "product/strange", "1.0", 10, 40),
)


@dataclass(frozen=True)
class Index:
    """An index under test, with the versions 1.0, 1.9 and 1.10 of a label, and one version of another."""

    recalls: Recalls
    withdraw: Callable[[], None]
    #: All changes were told.
    announce: Callable[[], None]
    #: How many passages are held.
    held: Callable[[], int]

    @property
    def changed(self) -> tuple[Change, ...]:
        return changes(self.recalls.versions(), AT)


def _memory() -> Index:
    rows = [(LABEL, "1.0"), (LABEL, "1.9"), (LABEL, "1.10"), (OTHER, "1.0")]
    brought = [
        Brought(document_id=name, version=version, current=version == "1.10" or name == OTHER, brought_at=AT)
        for name, version in rows
    ]
    served = [row._replace(at=AT + timedelta(hours=at)) for at, row in enumerate(SERVED)]
    found = MemoryRecalls(brought=brought, served=served, unannounced={LABEL})

    def withdraw() -> None:
        found.brought[3] = replace(found.brought[3], current=False, withdrawn_at=AT)

    return Index(
        recalls=found, withdraw=withdraw, announce=found.unannounced.clear, held=lambda: len(found.served)
    )


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.real)])
def index(request: pytest.FixtureRequest) -> Iterator[Index]:
    if request.param == "memory":
        yield _memory()
        return
    with fresh_database(request.getfixturevalue("stack").urls.postgres, "recalls_parity") as uri:
        migrate(uri)
        library, found = PgLibrary(uri), PgRecalls(uri)
        for version in ("1.0", "1.9", "1.10"):
            library.ingest([note(version)], by="Ada")

        def withdraw() -> None:
            library.withdraw(OTHER, by="Ada", reason="wrong")

        library.ingest([note("1.0", name=OTHER, title="Other")], by="Ada")
        with psycopg.connect(uri) as own:
            for number, row in enumerate(SERVED):
                own.execute(
                    "INSERT INTO knowledge.used (case_id, message_id, workflow, lane, question_key, document_id, version,"
                    " first, last, at, source) VALUES (%s, %s, 'triage', 'cold', 'q', %s, %s, %s, %s, %s, %s)",
                    (*row[:6], AT + timedelta(hours=number), f"telemetry-0-{number}"),
                )

        def held() -> int:
            with psycopg.connect(uri) as own:
                ((number,),) = own.execute("SELECT count(*) FROM knowledge.used").fetchall()
            return int(number)

        yield Index(
            recalls=found, withdraw=withdraw, announce=lambda: library.announced(library.unannounced(50)), held=held
        )  # fmt: skip
        library.close()
        found.close()


def test_only_what_is_stale_is_found_whole_and_once(index: Index) -> None:
    (change,) = index.changed
    assert (change.document_id, change.version, change.stale) == (LABEL, "1.10", ("1.0", "1.9"))
    first, second = index.recalls.uses([change], START, 10)
    assert (first.case_id, first.message_id, first.versions) == ("t/1", "m1", ("1.0", "1.9"))
    assert sorted(first.passages) == [f"{LABEL}@1.0#10-40", f"{LABEL}@1.0#50-90", f"{LABEL}@1.9#10-40"]
    assert (second.case_id, second.message_id, second.state) == ("t/2", "m3", "found")
    assert index.recalls.uses([], START, 10) == []


def test_a_withdrawn_document_is_stale_in_every_version(index: Index) -> None:
    index.withdraw()
    gone, _ = index.changed
    assert (gone.document_id, gone.withdrawn, gone.stale) == (OTHER, True, ("1.0",))
    found = index.recalls.uses(index.changed, START, 10)
    assert [(one.message_id, one.document_id) for one in found] == [
        ("m1", OTHER),
        ("m1", LABEL),
        ("m3", LABEL),
    ]


def test_pages_hold_each_use_once(index: Index) -> None:
    index.withdraw()
    pages, after = [], START
    while page := index.recalls.uses(index.changed, after, 1):
        (one,) = page
        pages.append((one.message_id, one.document_id))
        after = one.case_id, one.message_id, one.document_id
    assert pages == [("m1", OTHER), ("m1", LABEL), ("m3", LABEL)]


def test_what_is_marked_is_found_for_the_list_only(index: Index) -> None:
    (change,) = index.changed
    first, second = index.recalls.uses([change], START, 10)
    index.recalls.mark(
        [Mark(use=first, cause=change.cause, state="ordered", at=AT, event_id="e", lane="cold")]
    )
    index.recalls.mark([Mark(use=first, cause=change.cause, state="left", at=AT, why="later")])
    assert [one.message_id for one in index.recalls.uses([change], START, 10)] == ["m3"]
    every = index.recalls.uses([change], START, 10, settled=True)
    assert [(one.message_id, one.state) for one in every] == [("m1", "ordered"), ("m3", "found")]
    later = replace(change, version="2.0")
    assert [one.message_id for one in index.recalls.uses([later], START, 10)] == ["m1", "m3"]
    assert second.message_id == "m3"


LATER = AT + timedelta(days=1)


def settled(index: Index, at: datetime = AT) -> Change:
    """Mark every use of the changed label, and return its change."""
    (change,) = index.changed
    index.recalls.mark(
        [
            Mark(use=one, cause=change.cause, state="left", at=at, why="x")
            for one in index.recalls.uses([change], START, 10)
        ]
    )
    return change


def test_what_was_recalled_long_ago_is_forgotten_in_pieces_the_oldest_first(index: Index) -> None:
    change = settled(index)
    index.announce()
    assert index.recalls.forget_used([change], LATER, 2) == 2
    (first, second) = index.recalls.uses([change], START, 10, settled=True)
    assert (first.passages, second.message_id) == ((f"{LABEL}@1.9#10-40",), "m3")
    assert [index.recalls.forget_used([change], LATER, 2) for _ in range(3)] == [2, 0, 0]
    assert index.recalls.uses([change], START, 10, settled=True) == []
    assert index.held() == 3  # of the current version, of another document, of one that nobody knows


@pytest.mark.parametrize(
    "kept", ["too young", "not announced", "not recalled", "recalled lately", "for another change"]
)
def test_what_a_recall_may_still_ask_for_is_kept(index: Index, kept: str) -> None:
    (change,) = index.changed
    if kept != "not recalled":
        settled(index, AT if kept != "recalled lately" else LATER)
    if kept != "not announced":
        index.announce()
    if kept == "for another change":
        change = replace(change, version="2.0")
    assert index.recalls.forget_used([change], AT if kept == "too young" else LATER, 10) == 0
    assert index.recalls.forget_used([], LATER, 10) == 0
    assert index.held() == len(SERVED)
