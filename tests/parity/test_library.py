"""One suite on the library in memory and the one in PostgreSQL: what enters, what is current, what is announced, what is taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pytest

from libraries import fresh_database, note, passages
from vigimesh.adapters.memory.library import MemoryLibrary
from vigimesh.adapters.memory.search import MemorySearch
from vigimesh.adapters.postgres.library import PgLibrary
from vigimesh.adapters.postgres.schema import migrate, shipped_migrations
from vigimesh.adapters.postgres.search import PgSearch
from vigimesh.domain.knowledge.editions import Source
from vigimesh.domain.knowledge.sections import Place, Sectioned, opened
from vigimesh.domain.knowledge.shipped import shipped_documents
from vigimesh.domain.knowledge.texts import Identity, read_text
from vigimesh.errors import Refused
from vigimesh.events.knowledge import DocumentVersioned
from vigimesh.ports import Library, Search

NAME = "library_parity"
#: A label's parts that only its markup has: headings without characters, codes, an effective date, a remark.
LABEL = replace(
    note(name="label/a", title="Aa"), effective="2024-03-01", remarks=("1 pictures are not read",)
)
LABEL = replace(
    LABEL,
    sections=tuple(
        replace(one, codes=("34084-4",) * len(one.path), opens=one.start if at else one.opens)
        for at, one in enumerate(LABEL.sections)
    ),
)


@dataclass(frozen=True)
class Base:
    """A library under test, with a search over it that remembers nothing."""

    library: Library
    fresh: Callable[[], Search]


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.real)])
def base(request: pytest.FixtureRequest) -> Iterator[Base]:
    if request.param == "memory":
        held = MemoryLibrary()
        yield Base(library=held, fresh=lambda: MemorySearch(library=held))
        return
    with fresh_database(request.getfixturevalue("stack").urls.postgres, NAME) as uri:
        migrate(uri)
        library, opened_searches = PgLibrary(uri), list[PgSearch]()

        def fresh() -> Search:
            opened_searches.append(PgSearch(uri))
            return opened_searches[-1]

        yield Base(library=library, fresh=fresh)
        for search in opened_searches:
            search.close()
        library.close()


def told(base: Base) -> list[tuple[str, str, str, bool]]:
    return [(c.document_id, c.version, c.supersedes, c.withdrawn) for c in base.library.unannounced(50)]


def found(base: Base, question: str = "Zelora Hiccups") -> list[str]:
    return [f"{p.document_id}@{p.version}" for p in passages(base.fresh(), [question], 3)[0]]


def test_a_version_is_kept_as_it_was_read(base: Base) -> None:
    sources = [*shipped_documents(), LABEL]
    done = base.library.ingest(sources, by="Ada")
    assert (done.new, done.there, done.conflicts) == (tuple(sources), (), ())
    for source in sources:
        back = base.library.source(source.document.id, source.document.version)
        assert back == source
        assert back.reading == source.reading


def test_a_citation_opens_after_newer_versions_and_a_withdrawal(base: Base) -> None:
    base.library.ingest([note("1.0", "Hiccups")], by="Ada")
    (passage,) = passages(base.fresh(), ["Zelora Hiccups"], 1)[0]
    place = Place(
        document=passage.document_id, version="1.0", path=(), codes=(), start=passage.start, end=passage.end
    )
    base.library.ingest([note("2.0", "Rash")], by="Ada")
    base.library.withdraw("product/zelora", by="Ada", reason="it was of another product")
    source = base.library.source("product/zelora", "1.0")
    assert opened(source.document, place) == passage.text == "Common: Hiccups."


def test_the_same_again_changes_nothing_but_when_it_was_seen(base: Base) -> None:
    base.library.ingest([note()], by="Ada")
    base.library.announced(base.library.unannounced(9))
    (before,) = base.library.documents()
    done = base.library.ingest([note(), note()], by="Bob")
    assert (len(done.new), len(done.there), done.conflicts) == (0, 2, ())
    (after,) = base.library.documents()
    assert after.seen > before.seen == before.at
    assert replace(after, seen=before.seen) == before
    assert told(base) == []


@pytest.mark.parametrize("version", ["1.0", "1.00", "01.0"])
def test_two_texts_under_one_number_are_refused_and_the_rest_enters(base: Base, version: str) -> None:
    base.library.ingest([note("1.0", "Hiccups")], by="Ada")
    other = note(name="product/b", title="Bb")
    done = base.library.ingest([note(version, "Rash"), other], by="Ada")
    assert [error.code for error in done.conflicts] == ["VM-1502"]
    assert done.new == (other,)
    assert base.library.source("product/zelora", "1.0") == note("1.0", "Hiccups")
    assert [(one.id, one.version) for one in base.library.documents()] == [
        ("product/b", "1.0"),
        ("product/zelora", "1.0"),
    ]


def test_sources_are_the_current_versions_with_when_each_was_read(base: Base) -> None:
    base.library.ingest([note("1.0", "Hiccups")], by="Ada")
    assert [one.version for one in base.library.sources()] == ["1.0"]
    base.library.ingest([note("2.0", "Rash"), note("1.0", "Hiccups")], by="Ada")
    (held,) = [one for one in base.library.documents() if one.current]
    assert base.library.sources() == [
        Source(id=held.id, version="2.0", title=held.title, at=held.at, seen=held.seen)
    ]
    base.library.withdraw(held.id, by="Ada", reason="it was of another product")
    assert base.library.sources() == []


def test_what_becomes_current_is_to_be_announced_once(base: Base) -> None:
    base.library.ingest([note("1.0")], by="Ada")
    base.library.ingest([note("1.9"), note("1.10")], by="Bob")
    base.library.ingest([note("1.2")], by="Bob")
    first, second = base.library.unannounced(9)
    assert first == DocumentVersioned(
        document_id="product/zelora", version="1.0", digest=note("1.0").document.digest, by="Ada"
    )
    assert (second.version, second.supersedes, second.by) == ("1.10", "1.0", "Bob")
    assert base.library.unannounced(1) == [first]
    base.library.announced([first])
    base.library.announced([first])
    assert base.library.unannounced(9) == [second]
    assert base.library.known().current == {"product/zelora": "1.10"}


def test_a_withdrawn_source_is_never_found_again(base: Base) -> None:
    base.library.ingest([note("2.0"), note(name="product/b", title="Bb")], by="Ada")
    base.library.announced(base.library.unannounced(9))
    change = base.library.withdraw("product/zelora", by="Ada", reason=" it was of another product ")
    assert (change.version, change.withdrawn, change.by, change.reason) == (
        "2.0", True, "Ada", "it was of another product",
    )  # fmt: skip
    assert base.library.unannounced(9) == [change]
    assert base.library.known().withdrawn == {"product/zelora"}
    base.library.ingest([note("2.0"), note("1.0")], by="Bob")  # the same again, and an older one
    assert found(base) == []
    assert base.library.known().current == {"product/b": "1.0"}
    assert told(base) == [("product/zelora", "2.0", "2.0", True)]
    assert [(one.version, one.withdrawn_by) for one in base.library.documents() if one.id == "product/zelora"] == [
        ("2.0", "Ada"), ("1.0", ""),
    ]  # fmt: skip


def test_a_higher_version_brings_a_withdrawn_document_back(base: Base) -> None:
    base.library.ingest([note("1.0")], by="Ada")
    base.library.withdraw("product/zelora", by="Ada", reason="wrong")
    base.library.ingest([note("1.1")], by="Ada")
    assert found(base) == ["product/zelora@1.1"]
    assert base.library.known().withdrawn == frozenset()
    assert told(base)[-1] == ("product/zelora", "1.1", "", False)
    base.library.withdraw("product/zelora", by="Ada", reason="wrong again")
    assert found(base) == []
    assert told(base)[-1] == ("product/zelora", "1.1", "1.1", True)


@pytest.mark.parametrize(
    ("name", "reason", "said"),
    [
        ("product/none", "wrong", "no such document"),
        ("product/b", "wrong", "withdrawn before, by Ada"),
        ("product/zelora", " ", "the reason"),
        ("product/zelora", "x" * 501, "the reason"),
    ],
)
def test_what_is_not_withdrawn_says_why(base: Base, name: str, reason: str, said: str) -> None:
    base.library.ingest([note(), note(name="product/b", title="Bb")], by="Ada")
    base.library.withdraw("product/b", by="Ada", reason="wrong")
    before = told(base)
    with pytest.raises(Refused, match=said) as caught:
        base.library.withdraw(name, by="Ada", reason=reason)
    assert caught.value.code == "VM-2501"
    assert told(base) == before


def test_a_version_that_is_not_there_is_said_with_those_that_are(base: Base) -> None:
    base.library.ingest([note("1.0"), note("1.10")], by="Ada")
    with pytest.raises(Refused, match=r"VM-1514.*there are 1\.10, 1\.0"):
        base.library.source("product/zelora", "3.0")
    with pytest.raises(Refused, match=r"VM-1514.*no version"):
        base.library.source("product/none", "1.0")


def test_what_a_document_is_listed_with(base: Base) -> None:
    base.library.ingest([LABEL], by="Ada")
    (one,) = base.library.documents()
    assert (one.id, one.effective, one.by, one.current, one.passages, one.remarks, one.title) == (
        "label/a", "2024-03-01", "Ada", True, 1, LABEL.remarks, "Aa",
    )  # fmt: skip


@pytest.mark.real
def test_a_version_from_before_texts_were_kept_gets_its_text_and_keeps_its_places(
    request: pytest.FixtureRequest,
) -> None:
    source = read_text(b"Some text.", "x.txt", Identity(id="guidance/old", version="1.0", title="Old"))
    with fresh_database(request.getfixturevalue("stack").urls.postgres, NAME) as uri:
        migrate(uri, shipped_migrations()[:3])
        _as_loaded_before(uri, source)
        migrate(uri)
        library = PgLibrary(uri)
        with pytest.raises(Refused, match=r"VM-1514.*not kept"):
            library.source("guidance/old", "1.0")
        done = library.ingest([source], by="Ada")
        assert (done.new, len(done.there)) == ((), 1)
        assert library.source("guidance/old", "1.0") == source
        (one,) = library.documents()
        assert (one.passages, one.current) == (1, True)
        library.close()


def _as_loaded_before(uri: str, source: Sectioned) -> None:
    one = source.document
    with psycopg.connect(uri) as own:
        own.execute(
            "INSERT INTO knowledge.document (id, version, ordinal, digest, title, kind, names, aliases, current)"
            " VALUES (%s, %s, '{1,0}', %s, %s, %s, '{}', '{}', true)",
            (one.id, one.version, one.digest, one.title, one.kind),
        )
        own.execute(
            "INSERT INTO knowledge.passage (document_id, version, place, section, first, last, body, listed, general,"
            " current, tokens) VALUES (%s, %s, 0, '', 0, 5, 'Some ', false, true, true, '''some'':1')",
            (one.id, one.version),
        )


def test_what_is_indexed_anew_is_found_and_cited_as_before(base: Base) -> None:
    base.library.ingest([note()], by="a")
    base.library.announced(base.library.unannounced(9))
    before, number = passages(base.fresh(), ["Zelora Hiccups"], 50), base.fresh().state().number
    (held,) = [one for one in base.library.documents() if one.current]
    assert base.library.reindex(held.id, held.version) == held.passages
    assert passages(base.fresh(), ["Zelora Hiccups"], 50) == before
    assert base.fresh().state().number == number + 1
    assert not told(base)
    with pytest.raises(Refused, match="VM-1514"):
        base.library.reindex(held.id, "9.9")


@pytest.mark.real
def test_passages_that_an_index_lost_come_back_from_the_text_that_is_kept(stack: Any) -> None:
    with fresh_database(stack.urls.postgres, NAME) as uri:
        migrate(uri)
        library, search = PgLibrary(uri), PgSearch(uri)
        library.ingest([note(), note(version="2.0", listed="Sneezing")], by="a")
        before = passages(search, ["Zelora Sneezing"], 50)
        with psycopg.connect(uri, autocommit=True) as own:
            own.execute("DELETE FROM knowledge.passage WHERE version = '2.0'")
        assert passages(search, ["Zelora Sneezing"], 50) == [()]
        (shelved,) = [one for one in library.documents() if one.current]
        assert library.reindex(shelved.id, "2.0") == len(before[0])
        assert passages(search, ["Zelora Sneezing"], 50) == before
        # A version that is not current is not found by it.
        assert library.reindex(shelved.id, "1.0") > 0
        assert passages(search, ["Zelora Sneezing"], 50) == before
        search.close()
        library.close()


def test_what_summaries_are_made_of_is_told_when_the_library_changed_and_not_again(base: Base) -> None:
    def pairs(known: int | None) -> tuple[int | None, list[tuple[str, str, str]] | None]:
        found = base.library.last_two(known)
        if found is None:
            return known, None
        return found.number, sorted((one.document_id, one.older, one.version) for one in found.pairs)

    number, found = pairs(None)
    assert found == []
    base.library.ingest(
        [note("1.0"), note("1.10", "Rash"), note(name="product/quill", title="Quill")], by="a"
    )
    number, found = pairs(number)
    assert found == [("product/zelora", "1.0", "1.10")]
    assert pairs(number) == (number, None)
    base.library.ingest([note("1.10", "Rash")], by="a")  # the same once more
    assert pairs(number) == (number, None)
    base.library.ingest(
        [note("1.9", "Pain")], by="a"
    )  # what it is compared with, though nothing else is current
    number, found = pairs(number)
    assert found == [("product/zelora", "1.9", "1.10")]
    base.library.withdraw("product/zelora", by="a", reason="wrong")
    number, found = pairs(number)
    assert found == []
    base.library.ingest([note("2.0", "Fever")], by="a")  # what was withdrawn is compared with nothing
    number, found = pairs(number)
    assert (found, pairs(number)) == ([], (number, None))
