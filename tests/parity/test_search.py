"""One suite on the search in memory and the one in PostgreSQL: they rank alike, so that tests in memory mean something."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from clocks import Hand
from libraries import fresh_database, passages
from vigimesh.adapters.memory.answers import MemoryAnswers
from vigimesh.adapters.memory.search import MemorySearch
from vigimesh.adapters.postgres.library import PgLibrary, load_into
from vigimesh.adapters.postgres.schema import migrate
from vigimesh.adapters.postgres.search import PgSearch
from vigimesh.domain.knowledge.sections import Sectioned
from vigimesh.domain.knowledge.shipped import shipped_documents
from vigimesh.domain.knowledge.texts import read_markdown
from vigimesh.domain.safety.listedness import listedness
from vigimesh.domain.safety.report_counts import disproportionality_finding
from vigimesh.errors import Broken, Refused, Transient
from vigimesh.events.case import Case, Product, Reaction
from vigimesh.events.classes import Finding
from vigimesh.loop.outcome import Need
from vigimesh.planner.plan import questions
from vigimesh.ports import Search
from vigimesh.retriever.lookup import Lookup

SHIPPED = shipped_documents()
#: Of the database that each test makes anew.
NAME = "search_parity"
NEW_DTP = """---
id: vaccine/dtp
version: {version}
title: DTP, new
kind: reference
aliases: DTP
---
# DTP, new

## Listed reactions

Common: Hiccups.
"""
PARTED = """---
id: product/partin
version: 1.0
title: Partin
kind: reference
aliases: Partin
---
# Partin

## Listed reactions

### In trials

Hiccups, seldom.

### After approval

Rash.

## Use

### What to do

With hiccups, wait.
"""
COUNTS = """---
id: counts/all
version: 1.0
title: Extract of our database
kind: reference
---
# Extract of our database

EBGM prior: 0.2, 0.06, 1.4, 1.8, 0.1

| Product | Reaction | a | b | c | d |
|---|---|---|---|---|---|
| Lenoquil | Headache | 3 | 97 | 100 | 9800 |
| Torvexil | Headache | 25 | 75 | 100 | 9800 |
"""
QUESTIONS = [
    "DTP (NO BRAND NAME) Pyrexia",
    "DTP + HIB (BRAND) Injection site pain",
    "HIB + HEP B (BRAND) Pyrexia",
    "HEP B (BRAND) Not a reaction",
    "POLIO VIRUS, ORAL (BRAND) Crying",
    "Torvexil 10 mg Oedema peripheral",
    "torvexilate",
    "Unknown product Rash",
    "Protocol amendment: new dose of Torvexil and another visit schedule",
    "quality complaint: the pen did not work, particles in a vial",
    "Weekly literature search, day 0 of an abstract",
    "it's a 'quoted' | question & <-> !x:* \\ with \x00 signs",
    "\u00dcberempfindlichkeit \u0130stanbul \ud800 1e5 3.14 10mg",
    "",
    "word " * 200,
]


@dataclass(frozen=True)
class Base:
    """A knowledge base under test."""

    load: Callable[[Iterable[Sectioned]], tuple[Sectioned, ...]]
    fresh: Callable[[], Search]
    withdraw: Callable[[str], object]


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.real)])
def base(request: pytest.FixtureRequest) -> Iterator[Base]:
    if request.param == "memory":
        held = MemorySearch()
        yield Base(
            load=held.load,
            fresh=lambda: held,
            withdraw=lambda one: held.library.withdraw(one, by="t", reason="r"),
        )
        return
    with fresh_database(request.getfixturevalue("stack").urls.postgres, NAME) as uri:
        migrate(uri)
        opened: list[PgSearch] = []

        def fresh() -> Search:
            opened.append(PgSearch(uri))
            return opened[-1]

        def withdraw(one: str) -> None:
            library = PgLibrary(uri)
            library.withdraw(one, by="t", reason="r")
            library.close()

        yield Base(load=lambda documents: load_into(uri, documents), fresh=fresh, withdraw=withdraw)
        for search in opened:
            search.close()


def read(text: str, where: str) -> Sectioned:
    return read_markdown(text.encode(), where)


def places(search: Search, questions: Sequence[str], limit: int = 3) -> list[list[tuple[str, str, int]]]:
    return [
        [(p.document_id, p.version, p.start) for p in found] for found in passages(search, questions, limit)
    ]


def test_it_answers_as_the_twin_in_memory_does(base: Base) -> None:
    base.load(SHIPPED)
    twin = MemorySearch()
    twin.load(SHIPPED)
    for limit in (1, 3, 50):
        for mine, other in zip(
            passages(base.fresh(), QUESTIONS, limit), passages(twin, QUESTIONS, limit), strict=True
        ):
            assert mine == other


def test_every_product_and_term_ranks_alike(base: Base) -> None:
    base.load(SHIPPED)
    twin = MemorySearch()
    twin.load(SHIPPED)
    names = [name for one in SHIPPED for name in (*one.document.names, *one.document.aliases)]
    asked = [
        f"{name} {term}"
        for name in names
        for term in ("Rash", "Injection site mass", "Pain", "Reading this list")
    ]
    assert list(passages(base.fresh(), asked, 3)) == list(passages(twin, asked, 3))


def test_what_is_known_of_one_product_is_never_shown_for_another(base: Base) -> None:
    base.load(SHIPPED)
    for question, found in zip(QUESTIONS, passages(base.fresh(), QUESTIONS, 50), strict=True):
        rooms = {p.document_id.split("/")[0] for p in found}
        assert all(p.question == question for p in found)
        assert rooms <= {"guidance"} or len({p.document_id for p in found if p.document_id[:2] != "gu"}) == 1


def test_a_list_of_reactions_is_one_in_all_of_its_parts_and_nothing_else_is(base: Base) -> None:
    """A label's list has parts with names of their own ("6.1 Clinical Trials Experience"): the index knows where it stands."""
    base.load([read(PARTED, "parted.md")])
    (found,) = passages(base.fresh(), ["Partin Hiccups"], 10)
    assert {one.section.rpartition(" > ")[2]: one.lists_reactions for one in found} == {
        "In trials": True, "After approval": True, "What to do": False,
    }  # fmt: skip
    case = Case(
        message_id="0" * 32, case_id="default/A", source_format="jsonl",
        products=(Product(name="Partin"),), reactions=(Reaction(text="Hiccups"),),
    )  # fmt: skip
    assert listedness(case, found).result == "yes"
    assert listedness(case, [one for one in found if not one.lists_reactions]).result == "not_checked"


def test_a_table_of_reports_is_found_though_its_product_has_a_document_of_its_own(base: Base) -> None:
    base.load([*SHIPPED, read(COUNTS, "counts.md")])
    products = (Product(name="Torvexil 10 mg", role="suspect"),)
    case = Case(message_id="m", case_id="c", products=products, reactions=(Reaction(term="Headache"),))
    search = base.fresh()

    def counted(*steps: str) -> Finding:
        found = [one for answer in passages(search, questions(case, steps=steps), 3) for one in answer]
        return disproportionality_finding(case, found)

    assert counted("listedness").result == "no_counts"
    assert counted("listedness", "disproportionality").detail.startswith(
        "Torvexil with Headache: a 25, b 75, c 100, d 9800, PRR 24.75"
    )


def test_answers_come_in_the_order_of_the_questions_and_repeats_are_equal(base: Base) -> None:
    base.load(SHIPPED)
    search = base.fresh()
    asked = ["DTP Rash", "Torvexil Rash", "DTP Rash", "", "DTP Rash"]
    first = places(search, asked)
    assert [bool(found) for found in first] == [True, True, True, False, True]
    assert first[0] == first[2] == first[4] != first[1]
    assert places(search, asked) == first
    assert places(search, []) == []


def test_the_same_documents_again_change_nothing(base: Base) -> None:
    assert len(base.load(SHIPPED)) == len(SHIPPED)
    before = places(base.fresh(), QUESTIONS)
    assert base.load(SHIPPED) == ()
    assert places(base.fresh(), QUESTIONS) == before


def test_a_changed_text_under_the_same_version_is_refused_and_nothing_of_it_stays(base: Base) -> None:
    base.load(SHIPPED)
    changed = read(NEW_DTP.format(version="1.0"), "dtp.md")
    extra = read(
        NEW_DTP.format(version="1.0").replace("vaccine/dtp", "vaccine/new").replace("DTP", "NEWVAX"), "new.md"
    )
    with pytest.raises(Refused, match="VM-1502"):
        base.load([extra, changed])
    assert places(base.fresh(), ["NEWVAX Hiccups"]) == [[]]


def test_the_newest_version_answers_whatever_the_order_of_loading(base: Base) -> None:
    base.load([read(NEW_DTP.format(version="1.10"), "dtp.md")])
    base.load([read(NEW_DTP.format(version="1.9").replace("Hiccups", "Sneezing"), "dtp.md")])
    base.load(SHIPPED)
    (found,) = passages(base.fresh(), ["DTP Hiccups"], 3)
    assert {p.version for p in found} == {"1.10"}
    assert "Hiccups" in found[0].text


def test_an_empty_base_is_not_an_answer(base: Base) -> None:
    with pytest.raises(Transient, match="VM-1501"):
        passages(base.fresh(), ["DTP Rash"], 3)


@pytest.mark.parametrize("limit", [0, -1, 51])
def test_a_limit_has_bounds(base: Base, limit: int) -> None:
    base.load(SHIPPED)
    with pytest.raises(ValueError, match="limit"):
        passages(base.fresh(), ["DTP Rash"], limit)


@pytest.mark.real
def test_a_new_version_is_served_after_a_second_at_most_and_at_once_when_told(stack: Any) -> None:
    with fresh_database(stack.urls.postgres, NAME) as uri:
        migrate(uri)
        load_into(uri, SHIPPED)
        clock = Hand()
        search = PgSearch(uri, clock=clock)
        lookup = Lookup(search=search, clock=clock, stores=(MemoryAnswers(),))

        def version() -> tuple[str, str]:
            (answer,) = lookup.answers([Need(kind="search", key="DTP Rash", limit=3)])
            return answer["level"], answer["passages"][0]["version"]

        assert version() == ("search", "1.0")
        load_into(uri, [read(NEW_DTP.format(version="2.0"), "dtp.md")])
        clock.at_s = 0.5
        assert version() == ("hot", "1.0")
        clock.at_s = 1.0
        assert version() == ("search", "2.0")
        load_into(uri, [read(NEW_DTP.format(version="2.1"), "dtp.md")])
        assert version() == ("hot", "2.0")
        lookup.changed()
        assert version() == ("search", "2.1")
        search.close()


def test_what_was_withdrawn_is_known_by_its_name_and_answers_nothing(base: Base) -> None:
    """Without its name a question about it would fall to a product whose name it begins with: here `DT`."""
    base.load(
        [*SHIPPED, read(NEW_DTP.replace("dtp", "dt").replace("DTP", "DT").format(version="1.0"), "dt.md")]
    )
    asked = base.fresh()
    before = asked.state()
    base.withdraw("vaccine/dtp")
    asked.changed()
    after = asked.state()
    assert after.number > before.number
    assert ("vaccine/dtp" in before.known.current, "vaccine/dtp" in after.known.current) == (True, False)
    assert after.known.withdrawn == {"vaccine/dtp"}
    assert passages(asked, ["DTP Rash"], 3) == [()]


@pytest.mark.real
def test_failure_33_words_that_give_fewer_than_a_product_has_are_an_error_not_an_answer(stack: Any) -> None:
    """Planted: a filter behind the search by words, of which only what is ranked knows."""
    with fresh_database(stack.urls.postgres, "search_filtered") as uri:
        migrate(uri)
        load_into(uri, SHIPPED)
        search = PgSearch(uri)
        (whole,) = passages(search, ["DTP Zzzz"], 3)
        assert len(whole) == 3  # no word matches, and the product's passages come all the same
        search._sql["search"] = search._sql["search"].replace(
            "WHERE asked.product <> '' AND p.current AND p.document_id = asked.product\n        ORDER",
            "WHERE p.tokens @@ asked.words AND p.document_id = asked.product\n        ORDER",
        )
        with pytest.raises(Broken, match="VM-2610"):
            passages(search, ["DTP Zzzz"], 3)
        search.close()


def test_a_server_that_is_away_is_transient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vigimesh.adapters.postgres.schema.POOL_WAIT_S", 0.2)
    search = PgSearch("host=127.0.0.1 port=1 dbname=x")
    with pytest.raises(Transient, match="VM-1501"):
        passages(search, ["DTP Rash"], 3)
    search.close()
