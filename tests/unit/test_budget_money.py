"""Amounts and windows: whole micro-units, and the UTC calendar whatever the zone, month or year."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigimesh.domain.budget.money import MAX_MICRO, amount_text, divide_up, is_amount, parse_amount
from vigimesh.domain.budget.windows import ASKED, Span, Window, is_moment, names_of, span
from vigimesh.errors import Refused

SPANS: tuple[Window, ...] = ("minute", "day", "month")
FIRST = datetime(2000, 1, 1, tzinfo=UTC)
MOMENTS = st.integers(0, 100 * 365 * 86_400 * 10**6).map(lambda micro: FIRST + timedelta(microseconds=micro))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("text", "micro"),
    [("12", 12_000_000), ("12.50", 12_500_000), ("0.000001", 1), ("0", 0), (" 7 ", 7_000_000)],
)
def test_an_amount_is_read_exactly(text: str, micro: int) -> None:
    assert parse_amount(text) == micro


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1,5",
        "1e3",
        "0.0000001",
        "1.",
        ".5",
        "12 EUR",
        "inf",
        "nan",
        "1_000",
        "٣",
        "9999999999",
    ],
)
def test_what_is_no_amount_is_refused_and_not_guessed(text: str) -> None:
    with pytest.raises(Refused, match="VM-1903"):
        parse_amount(text)


@given(st.integers(0, 999_999_999_999_999))
def test_an_amount_written_for_people_reads_back(micro: int) -> None:
    text = amount_text(micro, "EUR").removesuffix(" EUR").replace(",", "")
    assert parse_amount(text) == micro


def test_a_debt_is_written_with_its_sign() -> None:
    assert amount_text(-1_500_000, "EUR") == "-1.50 EUR"


@pytest.mark.parametrize("value", [-1, MAX_MICRO + 1, True, 1.0, "1", None])
def test_what_is_no_whole_number_of_micro_units_is_no_amount(value: object) -> None:
    assert not is_amount(value)


@given(st.integers(0, 10**24), st.integers(1, 10**9))
def test_rounding_never_gives_a_fraction_away(amount: int, by: int) -> None:
    rounded = divide_up(amount, by)
    assert 0 <= rounded * by - amount < by


@pytest.mark.parametrize(
    ("window", "moment", "name", "opens", "closes"),
    [
        # A month's end, a short month, a leap day, a year without one (1900's rule: 2100 has none), a year's end.
        ("month", "2026-01-31T23:59:59Z", "2026-01", "2026-01-01T00:00Z", "2026-02-01T00:00Z"),
        ("month", "2026-02-28T12:00:00Z", "2026-02", "2026-02-01T00:00Z", "2026-03-01T00:00Z"),
        ("month", "2028-02-29T12:00:00Z", "2028-02", "2028-02-01T00:00Z", "2028-03-01T00:00Z"),
        ("day", "2028-02-29T12:00:00Z", "2028-02-29", "2028-02-29T00:00Z", "2028-03-01T00:00Z"),
        ("day", "2100-02-28T12:00:00Z", "2100-02-28", "2100-02-28T00:00Z", "2100-03-01T00:00Z"),
        ("month", "2026-12-31T23:59:59.999999Z", "2026-12", "2026-12-01T00:00Z", "2027-01-01T00:00Z"),
        (
            "minute",
            "2026-12-31T23:59:59.999999Z",
            "2026-12-31T23:59",
            "2026-12-31T23:59Z",
            "2027-01-01T00:00Z",
        ),
        # Midnight belongs to the day that begins.
        ("day", "2026-03-01T00:00:00Z", "2026-03-01", "2026-03-01T00:00Z", "2026-03-02T00:00Z"),
    ],
)
def test_windows_follow_the_calendar(window: Window, moment: str, name: str, opens: str, closes: str) -> None:
    assert span(window, at(moment)) == Span(name, at(opens), at(closes))


@given(MOMENTS, st.sampled_from(SPANS), st.integers(-14 * 60, 14 * 60))
def test_a_moment_is_in_one_window_whatever_zone_it_is_written_in(
    moment: datetime, window: Window, offset_min: int
) -> None:
    found = span(window, moment)
    assert found.opens_at <= moment < found.closes_at
    assert span(window, moment.astimezone(timezone(timedelta(minutes=offset_min)))) == found
    # The next window begins where this one ends, and has another name: no moment is in two, none in no window.
    following = span(window, found.closes_at)
    assert following.opens_at == found.closes_at
    assert following.name > found.name
    assert span(window, found.closes_at - timedelta(microseconds=1)) == found


@pytest.mark.parametrize("night", ["2026-03-29", "2026-10-25"])
def test_summer_time_makes_no_day_shorter_or_longer(night: str) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    names = set()
    for hour in range(24):
        local = at(f"{night}T{hour:02d}:30:00").replace(tzinfo=berlin)
        found = span("day", local)
        assert found.closes_at - found.opens_at == timedelta(days=1)
        names.add(found.name)
    # A day of Berlin begins on the day before in UTC.
    assert len(names) == 2
    twice = [at("2026-10-25T02:30:00").replace(tzinfo=berlin, fold=fold) for fold in (0, 1)]
    assert span("minute", twice[0]).name != span("minute", twice[1]).name


def test_a_case_is_kept_under_its_id_and_is_no_span() -> None:
    assert names_of(at("2026-03-01T00:59:59+01:00"), "DE-1") == {
        "case": "DE-1", "month": "2026-02", "day": "2026-02-28", "minute": "2026-02-28T23:59",
    }  # fmt: skip
    assert tuple(names_of(at("2026-03-01T00:00:00Z"), "DE-1")) == ASKED
    with pytest.raises(ValueError, match="no span"):
        span("case", at("2026-03-01T00:00:00Z"))


@pytest.mark.parametrize(
    "moment",
    [
        datetime.fromisoformat("2026-01-01"),
        datetime(1999, 1, 1, tzinfo=UTC),
        datetime(9999, 1, 1, tzinfo=UTC),
        "2026",
    ],
)
def test_a_time_without_zone_or_sense_is_no_moment(moment: object) -> None:
    assert not is_moment(moment)
