"""What `vigimesh knowledge products|stats|changes` say."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from clocks import Hand
from libraries import note
from served import cached, measured, seen
from vigimesh.adapters.memory.library import MemoryLibrary
from vigimesh.app.commands.knowledge_products import (
    plain_standing,
    since_of,
    standing_text,
    stats_text,
    summary_lines,
)
from vigimesh.domain.knowledge.ledger import Ended, book, by_product
from vigimesh.domain.knowledge.products import shipped_products
from vigimesh.domain.knowledge.standing import standings
from vigimesh.domain.knowledge.summaries import summarise
from vigimesh.domain.knowledge.warm import Cost
from vigimesh.errors import Misconfigured

TODAY = date(2026, 3, 10)
PRODUCTS = shipped_products()


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-01-31", date(2026, 1, 31)),
        ("0d", TODAY),
        ("30d", date(2026, 2, 8)),
        ("3660d", date(2016, 3, 2)),
    ],
)
def test_since_is_a_day_or_days_back(text: str, day: date) -> None:
    assert since_of(text, TODAY) == day


@pytest.mark.parametrize("text", ["", "yesterday", "30", "-3d", "3661d", "99999d", "2026-13-01", "30 d"])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured, match="VM-2804"):
        since_of(text, TODAY)


def test_a_product_is_shown_with_its_newest_document_and_whether_it_is_late() -> None:
    clock = Hand()
    library = MemoryLibrary(clock=clock)
    library.ingest([note("1.0", name="product/quill", title="Quill")], by="a")
    clock.at_s += timedelta(hours=10).total_seconds()
    library.ingest([note("1.0"), note("1.1", "Rash")], by="a")
    clock.at_s += timedelta(hours=5).total_seconds()
    found = {one.product.id: one for one in standings(PRODUCTS, library.sources(), clock.now())}
    assert set(found) == {"guidance", "product_notes", "vaccine_notes"}  # nothing falls to the default one
    one = plain_standing(found["product_notes"], clock.now())
    assert (one["documents"], one["newest"], one["newest_age_hours"]) == (2, "product/zelora@1.1", 5)
    assert (one["oldest_read"], one["past_due"], one["service_level_hours"]) == ("product/quill", False, 8784)
    assert one["next_refresh"] == "2026-01-02T02:00+00:00"
    text = standing_text(found["product_notes"], clock.now())
    assert "2 documents, read again within 366 days" in text
    assert "newest product/zelora 1.1, 5 h old; due 2027-01-02 00:00 (product/quill)" in text
    assert standing_text(found["guidance"], clock.now()).endswith("no document is there")
    assert plain_standing(found["guidance"], clock.now())["past_due"] is False
    clock.at_s += timedelta(days=366).total_seconds()
    (late,) = [one for one in standings(PRODUCTS, library.sources(), clock.now()) if one.past]
    assert "PAST DUE since 2027-01-02 00:00 (product/quill)" in standing_text(late, clock.now())


def test_what_no_product_names_is_shown_under_the_default_one() -> None:
    library = MemoryLibrary(clock=Hand())
    library.ingest([note(name="label/x")], by="a")
    assert [one.product.id for one in standings(PRODUCTS, library.sources(), Hand().now())][-1] == "default"


def test_figures_are_told_in_lines() -> None:
    rows = [seen(at, one) for at, one in enumerate([cached(), measured(missed="absent"), cached("hot", timedelta(days=5))])]  # fmt: skip
    made = by_product(book(rows, "t", PRODUCTS, Ended(), ({}, {})).counts, {})
    lines = stats_text("all", made["all"]).splitlines()
    assert lines[0].startswith(
        "all: 3 questions; hits hot 66.7%, warm 0.0%; grounded 100.0%; age at serve p50 "
    )
    assert lines[1:] == ["  missed: absent 1", "  FALSE HITS: too_old 1"]
    nothing = by_product({}, {})["all"]
    assert stats_text("all", nothing) == (
        "all: 0 questions; hits hot none, warm none; grounded none; age at serve p50 none, p99 none"
    )


def test_what_summaries_cost_is_told_by_product_and_for_all() -> None:
    one = Cost(made=2, characters=1_500, micro=66, currency="EUR")
    made = by_product({}, {"guidance": [one], "notes": [one, replace(one, currency="USD")]})
    assert stats_text("all", made["all"]).splitlines()[1:] == [
        "  summaries: 4 made of 3000 characters, 0.000132 EUR",
        "  summaries: 2 made of 1500 characters, 0.000066 USD",
    ]
    assert made["guidance"]["summaries"] == {"EUR": {"made": 2, "characters": 1_500, "micro": 66}}
    assert set(made) == {"all", "guidance", "notes"}


def test_a_summary_is_shown_with_the_citations_that_open_it() -> None:
    lines = summary_lines(summarise(note("1.0", "Rash, Pain"), note("1.1", "Rash, Fever")))
    assert [line.partition(" [")[0].strip() for line in lines] == [
        "added reaction Fever",
        "removed reaction Pain",
        "Zelora > Listed reactions: changed: 'Common: Rash, Pain.' -> 'Common: Rash, Fever.'",
    ]
    assert all("product/zelora@1." in line for line in lines)
    assert summary_lines(summarise(note("1.0"), note("1.1"))) == ["  nothing that is cited changed"]
