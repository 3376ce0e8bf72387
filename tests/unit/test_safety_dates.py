"""Dates of any precision: what is read, how two compare, what contradicts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.safety_making import AT, case
from vigimesh.domain.safety.dates import compare, date_findings, normalised, parse, version_ordinal
from vigimesh.events.case import Patient, Product, Reaction


@pytest.mark.parametrize(
    ("text", "precision", "sorts_as"),
    [
        ("2024", "year", "2024"),
        ("202403", "month", "2024-03"),
        ("2024-03", "month", "2024-03"),
        ("20240315", "day", "2024-03-15"),
        ("2024-03-15", "day", "2024-03-15"),
        ("20240229", "day", "2024-02-29"),
        ("2024031510", "hour", "2024-03-15T10:00:00Z"),
        ("202403151020", "minute", "2024-03-15T10:20:00Z"),
        ("20240315102030", "second", "2024-03-15T10:20:30Z"),
        ("20240315102030-0500", "second", "2024-03-15T15:20:30Z"),
        ("2024-03-15T23:20:30-05:00", "second", "2024-03-16T04:20:30Z"),
        ("2024-03-15T10:20:30.25Z", "second", "2024-03-15T10:20:30Z"),
        ("2024-03-15T10:20:30+0530", "second", "2024-03-15T04:50:30Z"),
        ("0001-01-01T00:00:00+14:00", "second", "0001-01-01T00:00:00Z"),
        ("9999", "year", "9999"),
        ("9999-12", "month", "9999-12"),
        ("2023-12", "month", "2023-12"),
        ("", "none", ""),
        ("UNK", "none", ""),
        ("ni", "none", ""),
    ],
)
def test_a_date_is_read_in_its_precision(text: str, precision: str, sorts_as: str) -> None:
    given_date = parse(text)
    assert given_date.precision == precision
    assert normalised(text) == sorts_as
    assert not given_date.wrong


@pytest.mark.parametrize(
    "text",
    [
        "2024-13",
        "20230229",
        "20240315256060",
        "yesterday",
        "15/03/2024",
        "2024-03-15T10:20:30+99:00",
        "²⁰²⁴",
        "20240",
        "0" * 99,
    ],
)
def test_what_is_no_date_says_so(text: str) -> None:
    assert parse(text).wrong
    assert normalised(text) == ""


def test_a_null_flavour_is_a_value_and_no_date() -> None:
    assert parse("ASKU").null_flavour == "ASKU"
    assert not parse("ASKU").known


@pytest.mark.parametrize(
    ("one", "other", "order"),
    [
        ("2024-03-14", "2024-03-15", "before"),
        ("2024-03-15", "2024-03-15", "unknown"),
        ("2024-03", "2024-03-15", "unknown"),
        ("2024-02", "2024-03-15", "before"),
        ("2025", "2024-12-31", "after"),
        ("2024", "2024-06", "unknown"),
        ("UNK", "2024", "unknown"),
        ("", "", "unknown"),
        ("20240315100000+0000", "20240315100001+0000", "before"),
        ("20240315100000-0500", "20240315140000+0000", "after"),
        ("20240315100000", "20240315120000", "before"),
        ("20240315100000", "20240315120000+0000", "unknown"),
        ("20240313100000", "20240315120000+0000", "before"),
        ("2024-03-15", "2024-03-15T01:00:00+05:00", "unknown"),
    ],
)
def test_two_dates_compare_as_far_as_they_are_known(one: str, other: str, order: str) -> None:
    assert compare(parse(one), parse(other)) == order
    mirrored = {"before": "after", "after": "before", "unknown": "unknown"}[order]
    assert compare(parse(other), parse(one)) == mirrored


@given(st.dates(), st.dates())
def test_day_texts_sort_and_compare_as_days_do(one: date, other: date) -> None:
    before = compare(parse(one.isoformat()), parse(other.isoformat())) == "before"
    assert before == (one < other)
    assert (normalised(one.isoformat()) < normalised(other.isoformat())) == (one < other)


@given(st.text(max_size=45))
def test_any_text_may_stand_for_a_date(text: str) -> None:
    assert compare(parse(text), parse("2024")) in ("before", "after", "unknown")
    assert isinstance(normalised(text), str)


@given(st.datetimes(), st.integers(-14 * 60, 14 * 60))
def test_a_moment_sorts_the_same_whatever_the_zone_it_is_written_in(moment: datetime, minutes: int) -> None:
    sign = "-" if minutes < 0 else "+"
    zone = f"{sign}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"
    text = f"{moment.year:04d}" + moment.strftime("%m%d%H%M%S") + zone
    assert len(normalised(text)) == len("2024-03-15T15:20:30Z")


def test_the_ordinal_is_newest_information_then_creation() -> None:
    first = case(most_recent_on="20260302", created_on="20260303101010+0100")
    assert version_ordinal(first) == ("2026-03-02", "2026-03-03T09:10:10Z")
    assert version_ordinal(first) < version_ordinal(replace(first, most_recent_on="20260305"))


DEAD = Patient(identified_by=("age",), died_on="2026-02-01")


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"created_on": "2026-03-12"}, "future_date"),
        ({"created_on": "2026-03-01"}, "created_on_before_first_received_on"),
        ({"most_recent_on": "2026-03-01"}, "most_recent_on_before_first_received_on"),
        ({"first_received_on": "soon"}, "not_a_date"),
        ({"patient": DEAD}, "patient.died_on_before_reactions[0].onset_on"),
        ({"reactions": (Reaction(term="Rash", onset_on="2026-02-21", ended_on="2026-02-20"),)},
         "reactions[0].ended_on_before_reactions[0].onset_on"),
        ({"reactions": (Reaction(term="Rash", onset_on="2026-02-19"),)}, "onset_before_dose"),
    ],
)  # fmt: skip
def test_a_contradiction_is_named_with_its_fields(changes: dict[str, Any], name: str) -> None:
    found = {finding.name: finding for finding in date_findings(case(**changes), AT)}
    assert name in found
    assert all("=" in field for field in found[name].fields)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"created_on": "2026-03-11"},
        {"created_on": "UNK", "first_received_on": "", "most_recent_on": "2026"},
        {"reactions": (Reaction(term="Rash", onset_on="2026-02"),)},
        {"reactions": (Reaction(term="Rash", onset_on="2026-01"),),
         "products": (Product(name="A", started_on="2026-02"), Product(name="B", started_on=""))},
        {"patient": replace(DEAD, died_on="2026")},
    ],
)  # fmt: skip
def test_what_may_be_true_is_no_contradiction(changes: dict[str, Any]) -> None:
    assert date_findings(case(**changes), AT) == ()


def test_hundreds_of_wrong_dates_give_a_readable_few() -> None:
    reactions = tuple(Reaction(term="Rash", onset_on="2030") for _ in range(500))
    assert len(date_findings(case(reactions=reactions), datetime(2026, 1, 1, tzinfo=UTC))) == 16
