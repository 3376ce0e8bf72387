"""Dates in free text: what they may be, to which precision, and what is never guessed."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigimesh.domain.safety import calendar_words as words
from vigimesh.domain.safety.date_values import Order, Told
from vigimesh.domain.safety.text_dates import text_dates

#: A Monday.
TODAY = date(2016, 11, 7)


def read(
    text: str, reference: date | None = None, order: Order = ""
) -> list[tuple[str, str, tuple[str, ...]]]:
    return [
        (one.text, one.outcome, one.readings)
        for one in text_dates(text, Told(reference=reference, order=order))
    ]


@pytest.mark.parametrize(
    ("text", "quote", "reading"),
    [
        ("seen 28JUN95 by MD", "28JUN95", "1995-06-28"),
        ("on 28-Jun-1995.", "28-Jun-1995", "1995-06-28"),
        ("the fourth of May, 1997", "fourth of May, 1997", "1997-05-04"),
        ("January 12, 2016", "January 12, 2016", "2016-01-12"),
        ("on 13/04/1997", "13/04/1997", "1997-04-13"),
        ("on 04/13/97", "04/13/97", "1997-04-13"),
        ("on 03/03/97", "03/03/97", "1997-03-03"),
        ("2024-03-15", "2024-03-15", "2024-03-15"),
        ("at 2024-03-15T10:20:30-05:00", "2024-03-15T10:20:30-05:00", "2024-03-15T10:20:30-05:00"),
        ("20240315", "20240315", "20240315"),
        ("in June 1995", "June 1995", "1995-06"),
        ("OCT95", "OCT95", "1995-10"),
        ("06/1995", "06/1995", "1995-06"),
        ("in 1995 he", "1995", "1995"),
        ("on 6 March", "6 March", "--03-06"),
        ("on 29 Feb", "29 Feb", "--02-29"),
        ("the first Friday of July 1996", "the first Friday of July 1996", "1996-07-05"),
    ],
)
def test_a_date_keeps_its_precision(text: str, quote: str, reading: str) -> None:
    assert read(text) == [(quote, "read", (reading,))]


def test_an_ambiguous_date_has_both_readings_unless_the_order_is_known() -> None:
    assert read("on 03/04/97") == [("03/04/97", "ambiguous", ("1997-03-04", "1997-04-03"))]
    assert read("on 03/04/97", order="month_first") == [("03/04/97", "read", ("1997-03-04",))]
    assert read("on 03/04/97", order="day_first") == [("03/04/97", "read", ("1997-04-03",))]
    assert read("on 3/4") == [("3/4", "ambiguous", ("--03-04", "--04-03"))]


@pytest.mark.parametrize(
    "text", ["31 February 1996", "February 31", "2/29/2019", "45/45/1997", "77NOV95", "31/04/2016"]
)
def test_what_no_calendar_has_is_said(text: str) -> None:
    assert read(text) == [(text, "impossible", ())]


def test_a_wrong_weekday_is_a_conflict() -> None:
    assert read("Monday 12 January 2016") == [("Monday 12 January 2016", "conflict", ("2016-01-12",))]
    assert read("Tuesday 12 January 2016") == [("Tuesday 12 January 2016", "read", ("2016-01-12",))]


@pytest.mark.parametrize(
    "text",
    ["yesterday", "two weeks ago", "the next day", "on Friday", "next week on Friday", "three days later"],
)
def test_what_is_relative_is_never_guessed(text: str) -> None:
    assert [(outcome, readings) for _, outcome, readings in read(text)] == [("needs_reference", ())]


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("yesterday", ("2016-11-06",)),
        ("two weeks ago", ("2016-10-24",)),
        ("1 year 1 month 21 days ago", ("2015-09-16",)),
        ("in four business days", ("2016-11-11",)),
        ("three weeks from tomorrow", ("2016-11-29",)),
        ("on Friday", ("2016-11-04", "2016-11-11")),
        ("next week on Friday", ("2016-11-18",)),
        ("next Sunday", ("2016-11-13", "2016-11-20")),
        ("on 6 March", ("2016-03-06", "2017-03-06")),
        ("the 20th of next month", ("2016-12-20",)),
        ("31st of this month", ()),
        ("fifth Sunday", ()),
        ("two sundays from now", ("2016-11-20",)),
        ("a month ago", ("2016-10-07",)),
    ],
)
def test_it_is_resolved_against_the_day_it_is_told_from(text: str, readings: tuple[str, ...]) -> None:
    assert [found for _, _, found in read(text, TODAY)] == [readings]


def test_a_vague_one_has_no_day() -> None:
    assert read("a few days ago", TODAY) == [("a few days ago", "vague", ())]


@pytest.mark.parametrize(
    "text",
    [
        "pain 5/10", "1/2 tablet", "May 10 mg", "BP 120/80", "BP dec 90/60", "10-20-30 mg", "tel 555-12-1234", "the first prize",
        "in 2-3 episodes", "May 3-5, 1996", "6 1/4%", "lot 1234567890", "she sat in the sun", "10 1/2 miles", "version 1.2.3",
    ],
)  # fmt: skip
def test_what_is_no_date_is_none(text: str) -> None:
    assert read(text) == []


def test_two_dates_at_both_ends_of_a_dash() -> None:
    assert [quote for quote, _, _ in read("21OCT-24OCT;")] == ["21OCT", "24OCT"]


def test_readings_are_dates_of_the_one_parser() -> None:
    (found,) = text_dates("in June 1995")
    assert [(given.precision, given.wrong) for given in found.dates] == [("month", False)]


@given(
    st.dates(min_value=date(1900, 1, 1), max_value=date(2100, 12, 31)),
    st.sampled_from(["%d %B %Y", "%B %d, %Y", "%Y-%m-%d", "%d-%b-%Y"]),
)
def test_a_written_date_is_read_back(day: date, form: str) -> None:
    assert read(f"seen {day.strftime(form)} again") == [(day.strftime(form), "read", (day.isoformat(),))]


@given(st.dates(), st.integers(min_value=-200_000, max_value=200_000))
def test_months_never_leave_the_month(day: date, months: int) -> None:
    moved = words.months_later(day, months)
    if moved is not None:
        assert (moved.year * 12 + moved.month) - (day.year * 12 + day.month) == months
        assert moved.day <= day.day


@given(st.dates(min_value=date(2, 1, 1), max_value=date(9990, 1, 1)), st.integers(min_value=1, max_value=60))
def test_working_days_are_counted_one_by_one(day: date, count: int) -> None:
    moved, left = day, count
    while left:
        moved += timedelta(days=1)
        left -= moved.weekday() < 5
    assert words.working_days_later(day, count) == moved
