"""What is booked of a measurement: which passages fed which case, hit rates, ages, and the audit of what caches served."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from fractions import Fraction

import pytest

from served import NOON, cached, measured, seen
from vigimesh.domain.knowledge.ledger import (
    IN_FLIGHT,
    Booked,
    Ended,
    book,
    bucket_of,
    by_product,
    cited,
    false_hit,
    figures,
    quantile_s,
)
from vigimesh.domain.knowledge.products import shipped_products

PRODUCTS = shipped_products()
DTP = ("vaccine/dtp", "1.0")
DAY = timedelta(hours=24)


def booked(*rows: object, ended: Ended | None = None) -> Booked:
    found = [seen(at, row) for at, row in enumerate(rows)]  # type: ignore[arg-type]  # measurements
    return book(found, "t", PRODUCTS, ended or Ended(), ({}, {0: len(rows)}))


def test_each_passage_of_a_case_is_one_row_with_its_source() -> None:
    two = ("vaccine/dtp@1.0#10-60", "vaccine/dtp@1.0#70-90", "guidance/label-change@2.1#0-5")
    (first, *_), rows = booked(measured(passages=two)).used, booked(measured(passages=two)).used
    assert [(one.document_id, one.version, one.first, one.last) for one in rows] == [
        ("vaccine/dtp", "1.0", 10, 60),
        ("vaccine/dtp", "1.0", 70, 90),
        ("guidance/label-change", "2.1", 0, 5),
    ]
    assert (first.case_id, first.message_id, first.workflow, first.lane) == ("case-1", "m-1", "triage", "hot")
    assert (first.source, first.at, first.question_key) == ("t-0-0", NOON, "q")


@pytest.mark.parametrize(
    "place", ["", "vaccine/dtp", "vaccine/dtp@1.0", "@1.0#1-2", "x@1.0#1", "x@one#1-2", "x@1.0#-1-2"]
)
def test_what_is_no_place_is_no_row(place: str) -> None:
    assert cited(measured(passages=(place,))) == ()


def test_an_answer_belongs_to_the_product_it_names_else_to_that_of_its_document() -> None:
    counts = booked(
        measured(product="guidance"),
        measured(product="no such product"),
        measured(passages=()),
    ).counts
    assert Counter(kind.product for kind in counts) == {"guidance": 1, "vaccine_notes": 1, "default": 1}


def test_rates_are_of_all_questions_and_a_miss_says_why() -> None:
    rows = [
        *(cached("hot") for _ in range(5)),
        cached("hot", match="semantic"),
        *(cached("warm") for _ in range(2)),
        measured(missed="absent"),
        measured(missed="superseded", passages=(), grounded=False),
    ]
    made = figures(booked(*rows).counts)
    assert (made["questions"], made["levels"]) == (10, {"hot": 6, "search": 2, "warm": 2})
    assert made["hit_rate"] == {"hot": 0.6, "warm": 0.2}
    assert (made["semantic"], made["grounded_rate"]) == (1, 0.9)
    assert (made["missed"], made["refused"]) == ({"absent": 1, "superseded": 1}, 1)
    assert made["false_hits"] == {}
    assert figures({})["hit_rate"] == {"hot": None, "warm": None}
    assert set(by_product(booked(*rows).counts, {})) == {"all", "vaccine_notes", "default"}


def test_ages_are_those_of_cached_answers_and_quantiles_come_from_above() -> None:
    seconds = [1, 10, 100, 1_000, 10_000]
    rows = [cached(age=timedelta(seconds=one)) for one in seconds] + [measured(read_at=NOON - DAY)]
    made = figures(booked(*rows).counts)
    for share, exact in (("age_p50_s", 100), ("age_p99_s", 10_000)):
        told = made[share]
        assert isinstance(told, float)
        assert exact <= told <= exact * 2 ** (1 / 8)
    assert quantile_s({}, 0.5) is None
    assert [quantile_s({0: 1, 8: 1}, share) for share in (0.5, 0.51, 1.0)] == [1.0, 2.0, 2.0]
    assert bucket_of(timedelta(seconds=-5)) == bucket_of(timedelta(seconds=1)) == 0
    assert bucket_of(timedelta(days=10_000)) == bucket_of(timedelta(days=100_000))


def test_the_audit_names_what_a_cache_should_not_have_served() -> None:
    fresh, old = cached(), cached(age=DAY + IN_FLIGHT + timedelta(seconds=1))
    before, within = NOON - IN_FLIGHT - timedelta(seconds=1), NOON - IN_FLIGHT
    verdicts = [
        (fresh, Ended(), ""),
        (fresh, Ended(superseded={DTP: before}), "superseded"),
        (fresh, Ended(superseded={DTP: within}), ""),
        (fresh, Ended(superseded={("vaccine/dtp", "0.9"): before}), ""),
        (fresh, Ended(superseded={DTP: NOON + DAY}), ""),
        (fresh, Ended(withdrawn={"vaccine/dtp": before}), "withdrawn"),
        (fresh, Ended(withdrawn={"vaccine/dtap": before}), ""),
        (old, Ended(), "too_old"),
        (cached(age=DAY + IN_FLIGHT), Ended(), ""),
        (measured(cache_level="hot", match="exact"), Ended(), "too_old"),
    ]
    assert [false_hit(seen(0, one), DAY, ended) for one, ended, _ in verdicts] == [
        told for *_, told in verdicts
    ]


def test_each_level_has_its_own_age_and_a_search_is_never_a_false_hit() -> None:
    week = timedelta(days=3)  # past the hot age of the shipped product, within the warm one
    ended = Ended(superseded={DTP: NOON - DAY})
    assert figures(booked(cached("hot", week), cached("warm", week)).counts)["false_hits"] == {"too_old": 1}
    made = figures(booked(measured(), cached("hot"), ended=ended).counts)
    assert made["false_hits"] == {"superseded": 1}


def test_counts_are_apart_by_day() -> None:
    kinds = book([seen(0), seen(1, at=NOON + DAY)], "t", PRODUCTS, Ended(), ({}, {0: 2})).counts
    assert {kind.day for kind in kinds} == {date(2026, 3, 10), date(2026, 3, 11)}
    assert Fraction(sum(one.answers for one in kinds.values())) == 2
