"""Durations, ages, dimensions, doses and laboratory values in free text: exact values, and bad input with its outcome."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigimesh.domain.safety import ages as ages_file
from vigimesh.domain.safety import durations as durations_file
from vigimesh.domain.safety import quantities as quantities_file
from vigimesh.domain.safety import relative_dates, spans
from vigimesh.domain.safety.ages import age_group, ages
from vigimesh.domain.safety.doses import doses
from vigimesh.domain.safety.durations import durations
from vigimesh.domain.safety.lab_values import lab_values
from vigimesh.domain.safety.numerals import ANCHOR as NUMBER_ANCHOR
from vigimesh.domain.safety.numerals import number
from vigimesh.domain.safety.quantities import dimensions
from vigimesh.domain.safety.spans import Span
from vigimesh.domain.safety.text_dates import text_dates
from vigimesh.domain.safety.text_seriousness import lowered

READERS: tuple[Callable[[str], Sequence[Span]], ...] = (
    text_dates,
    durations,
    ages,
    dimensions,
    doses,
    lab_values,
)
WORDS = st.sampled_from(
    "one twenty 3 1/2 ½ 10^30 1,000 0,5 . , - / mg Mg mL kg \u043c\u0433 \uff13 days week year old yo May Jan 31 Feb friday the first of next last "
    "month 03/04/97 95 ALT was ( ) ref 10-40 101F deg dose 5 per q8h bid half a few ago in on \n 'mg' \" ft in x° temp now".split(
        " "
    )
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500,000", "500000"), ("2,204.62", "2204.62"), ("0,5", "0.5"), ("1,5", "1.5"), ("10 1/2", "10.5"), ("½", "0.5"), ("3¼", "3.25"),
        ("0.9 trillion", "9E11"), ("twenty and four", "24"), ("two thousand and eighteen", "2018"), ("1.5e3", "1500"), ("2 x 10^9", "2E9"),
        ("10^30", "1E30"), ("10(3)", "1000"), ("one hundred and five", "105"),
    ],
)  # fmt: skip
def test_numbers_are_exact(text: str, value: str) -> None:
    assert number(f"1 x {text}" if text == "10(3)" else text) == Decimal(value)


@pytest.mark.parametrize("text", ["five six", "1/3", "9" * 200, "10^999"])
def test_a_number_that_is_none_is_none(text: str) -> None:
    assert number(text) is None


@pytest.mark.parametrize(
    ("text", "quote", "iso"),
    [
        ("for two and a half hours", "two and a half hours", "PT2.5H"),
        ("1 year 1 month 21 days", "1 year 1 month 21 days", "P1Y1M21D"),
        ("x 3d", "3d", "P3D"),
        ("half an hour", "half an hour", "PT0.5H"),
        ("an hour and a half", "an hour and a half", "PT1.5H"),
        ("two decades", "two decades", "P20Y"),
        ("a couple of days", "a couple of days", "P2D"),
        ("p/1 1/2 hrs", "1 1/2 hrs", "PT1.5H"),
        ("0 days", "0 days", "P0D"),
    ],
)
def test_a_duration_keeps_its_parts(text: str, quote: str, iso: str) -> None:
    (found,) = durations(text)
    assert (found.text, found.iso, found.outcome) == (quote, iso, "read")


def test_a_range_a_bound_and_a_vague_duration_are_told_apart() -> None:
    (between,) = durations("for 5-7 days")
    assert (between.parts, between.upto) == (((Decimal(5), "d"),), Decimal(7))
    (beyond,) = durations("for more than an hour")
    assert (beyond.bound, beyond.seconds) == (">", Decimal(3_600))
    (vague,) = durations("for several days")
    assert (vague.outcome, vague.parts, vague.iso) == ("vague", (), "")
    (backwards,) = durations("for 7-5 days")
    assert backwards.outcome == "conflict"


def test_months_have_no_seconds() -> None:
    (found,) = durations("3 months")
    assert found.seconds is None


@pytest.mark.parametrize(
    "text", ["twice a day", "two days ago", "a second dose", "5 years old", "aged 5 days", "35 yo"]
)
def test_what_does_not_last_is_no_duration(text: str) -> None:
    assert durations(text) == ()


@pytest.mark.parametrize(
    ("text", "quote", "parts", "group"),
    [
        ("an 87 yo man", "87 yo", ((87, "a"),), "elderly"),
        ("a 72-year-old woman", "72-year-old", ((72, "a"),), "elderly"),
        ("eighteen months of age", "eighteen months of age", ((18, "mo"),), "infant"),
        ("35yof", "35yof", ((35, "a"),), "adult"),
        ("5 y/o boy", "5 y/o", ((5, "a"),), "child"),
        ("aged 5 days", "aged 5 days", ((5, "d"),), "neonate"),
        ("2 years 3 months old", "2 years 3 months old", ((2, "a"), (3, "mo")), "child"),
        ("elderly man", "elderly man", (), "elderly"),
    ],
)
def test_ages_and_their_groups(text: str, quote: str, parts: tuple[tuple[int, str], ...], group: str) -> None:
    (found,) = ages(text)
    exact = tuple((Decimal(value), unit) for value, unit in parts)
    assert (found.text, found.parts, found.group, found.unit_stated) == (quote, exact, group, True)


def test_an_age_without_a_unit_says_so() -> None:
    (found,) = ages("a man of age 87")
    assert (found.text, found.parts, found.unit_stated) == ("age 87", ((Decimal(87), "a"),), False)


def test_nobody_is_500() -> None:
    (found,) = ages("a 500 years old man")
    assert (found.outcome, found.parts, found.group) == ("impossible", ((Decimal(500), "a"),), "")


@pytest.mark.parametrize("text", ["for 1mo had", "gestational age 27 weeks", "bone age 5 years", "page 5"])
def test_what_is_no_age_is_none(text: str) -> None:
    assert ages(text) == ()


@pytest.mark.parametrize(
    ("value", "unit", "group"),
    [
        (27, "d", "neonate"), (28, "d", "infant"), (4, "wk", "infant"), (23, "mo", "infant"), (24, "mo", "child"), (0, "a", ""), (1, "a", "infant"),
        (11, "a", "child"), (12, "a", "adolescent"), (17, "a", "adolescent"), (18, "a", "adult"), (64, "a", "adult"), (65, "a", "elderly"),
        (36, "h", "neonate"), (-1, "a", ""), (5, "kg", ""),
    ],
)  # fmt: skip
def test_borders_of_age_groups(value: int, unit: str, group: str) -> None:
    assert age_group(Decimal(value), unit) == group


@pytest.mark.parametrize(
    ("text", "quote", "value", "unit", "what"),
    [
        ("weighs 200lbs.", "200lbs", "200", "[lb_av]", "weight"),
        ("a 3-inch cut", "3-inch", "3", "[in_i]", "length"),
        ("he is 5 ft 2 in", "5 ft 2 in", "62", "[in_i]", "length"),
        ("he is 5'2\"", "5'2\"", "62", "[in_i]", "length"),
        ("birth weight 5lb 13oz", "5lb 13oz", "93", "[oz_av]", "weight"),
        ("temp 101.5F", "101.5F", "101.5", "[degF]", "temperature"),
        ("39 degrees C", "39 degrees C", "39", "Cel", "temperature"),
        ("rotate 90 degrees", "90 degrees", "90", "deg", "angle"),
        ("5 meters per second", "5 meters per second", "5", "m/s", "speed"),
        ("0.9 trillion cubic feet", "0.9 trillion cubic feet", "9E11", "[ft_i]3", "volume"),
    ],
)
def test_dimensions(text: str, quote: str, value: str, unit: str, what: str) -> None:
    (found,) = dimensions(text)
    assert (found.text, found.value, found.unit, found.what, found.outcome) == (
        quote,
        Decimal(value),
        unit,
        what,
        "read",
    )


def test_a_dimension_is_exact_in_base_units() -> None:
    (found,) = dimensions("200 lbs")
    assert found.canonical == (Fraction("90718.474"), "g")


@pytest.mark.parametrize(
    ("text", "outcome", "choices"),
    [
        ("fever of 101 degrees", "ambiguous", ("Cel", "[degF]")),
        ("500 Mg", "ambiguous", ("mg", "Mg")),
        ("dose of 20 flurbs", "unknown_unit", ()),
        ("5 mg/xyz", "unknown_unit", ()),
        ("10 \u043c\u0433", "mixed_scripts", ()),
        ("\uff15\uff10\uff10 mg", "mixed_scripts", ()),
        ("5 ft 14 in", "impossible", ()),
        ("given mcg of it", "no_value", ()),
        ("-500 degrees C", "impossible", ()),
        ("9" * 100 + " mg", "impossible", ()),
    ],
)
def test_bad_input_has_its_outcome(text: str, outcome: str, choices: tuple[str, ...]) -> None:
    (found,) = dimensions(text)
    assert (found.outcome, found.choices) == (outcome, choices)


@pytest.mark.parametrize(
    "text",
    [
        "24703 L-202",
        "scp-173 m",
        "at 6pm",
        "2 in april",
        "3hrs/fever",
        "dose 1 of 3",
        "a Boeing 777F",
        "11c a share",
        "2 doses",
    ],
)
def test_what_is_no_dimension_is_none(text: str) -> None:
    assert dimensions(text) == ()


@pytest.mark.parametrize(
    ("text", "value", "unit", "often"),
    [
        ("500 mg twice daily", "500", "mg", (2, 1, "d")),
        ("2 tablets every 6 hours", "2", "{tablet}", (1, 6, "h")),
        ("1.6ml DPH q4hr", "1.6", "mL", (1, 4, "h")),
        ("5 mg/kg/day", "5", "mg/kg", (1, 1, "d")),
        ("20 mg t.i.d. for", "20", "mg", (3, 1, "d")),
        ("40 mg every other day", "40", "mg", (1, 2, "d")),
        ("15 mg meloxicam daily", "15", "mg", (1, 1, "d")),
        ("10 units biweekly", "10", "{unit}", (0, None, "")),
        ("100 mg", "100", "mg", (0, None, "")),
        ("10 U insulin daily", "10", "{unit}", (1, 1, "d")),
        ("10 U/kg", "10", "{unit}/kg", (0, None, "")),
    ],
)
def test_doses_with_their_interval(
    text: str, value: str, unit: str, often: tuple[int, int | None, str]
) -> None:
    (found,) = doses(text)
    assert (found.value, found.unit, (found.times, found.every, found.every_unit)) == (
        Decimal(value),
        unit,
        often,
    )


def test_an_interval_belongs_to_its_own_dose() -> None:
    first, second = doses("20 mg and then 40 mg bid")
    assert (first.times, second.times) == (0, 2)


def test_no_body_takes_so_much() -> None:
    (found,) = doses("took a dose of 10^30 mg")
    assert (found.outcome, found.value, found.unit) == ("impossible", Decimal("1E30"), "mg")


@pytest.mark.parametrize(
    "text", ["weighs 3 kg", "glucose 300 mg/dL", "a 3 cm rash", "25% of cases", "2 doses", "temp 39 C"]
)
def test_what_is_no_dose_is_none(text: str) -> None:
    assert doses(text) == ()


@pytest.mark.parametrize(
    ("text", "value", "unit", "position"),
    [
        ("ALT 120 U/L (ref 10-40)", "120", "U/L", "above"),
        ("creatinine was 0.9 mg/dL (normal 0.6-1.2)", "0.9", "mg/dL", "within"),
        ("sodium of 128 mmol/L, ref 135-145", "128", "mmol/L", "below"),
        ("CRP > 200 mg/L (0-5)", "200", "mg/L", "above"),
        ("CRP < 200 mg/L (0-5)", "200", "mg/L", ""),
        ("WBC 12.5 x10^9/L", "1.25E10", "/L", ""),
        ("platelet count 150 K/uL", "150", "10*3/uL", ""),
        ("INR 3.2", "3.2", "", ""),
    ],
)
def test_laboratory_values(text: str, value: str, unit: str, position: str) -> None:
    (found,) = lab_values(text)
    assert (found.text.rstrip(")"), found.value, found.unit, found.position, found.outcome) == (
        text.rstrip(")"),
        Decimal(value),
        unit,
        position,
        "read",
    )


def test_a_result_without_a_unit_or_with_a_range_upside_down_is_no_plain_result() -> None:
    (bare,) = lab_values("hemoglobin 9")
    assert (bare.outcome, bare.value) == ("unknown_unit", Decimal(9))
    (wrong,) = lab_values("ALT 50 U/L (ref 40-10)")
    assert (wrong.outcome, wrong.position) == ("conflict", "")


@given(
    st.one_of(
        st.text(max_size=200),
        st.lists(WORDS, max_size=40).map(" ".join),
        st.lists(WORDS, max_size=40).map("".join),
    )
)
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_and_what_is_found_stands_in_it(text: str) -> None:
    for reader in READERS:
        last = 0
        for one in reader(text):
            assert last <= one.start < one.end <= len(text)
            assert text[one.start : one.end] == one.text
            last = one.end


@given(st.lists(WORDS, max_size=60).map(" ".join))
@settings(max_examples=200, deadline=None)
def test_looking_around_anchors_misses_nothing(text: str) -> None:
    low = lowered(text)
    looks = [
        (anchor, pattern, relative_dates._AROUND)
        for anchor, rules in relative_dates._RULES
        for pattern, _ in rules
    ]
    looks += [(durations_file._ANCHOR, durations_file._COUNTED, durations_file._AROUND)]
    looks += [(NUMBER_ANCHOR, quantities_file._NUMBER, quantities_file._AROUND)]
    looks += [(ages_file._ANCHOR, ages_file._SHORT, ages_file._AROUND)]
    for anchor, pattern, around in looks:
        near = [found.span() for found in spans.within(pattern, text, spans.windows(anchor, low, *around))]
        assert near == [found.span() for found in pattern.finditer(text)], pattern.pattern


def test_digits_of_another_script_are_told_in_dates_and_durations() -> None:
    assert [(one.text, one.outcome) for one in text_dates("on 0\uff13/04/1997")] == [
        ("0\uff13/04/1997", "mixed_scripts")
    ]
    assert [(one.text, one.outcome) for one in durations("for \uff13 days")] == [
        ("\uff13 days", "mixed_scripts")
    ]


def test_five_megabytes_are_read_to_the_limit_and_the_rest_is_told() -> None:
    text = "she took 500 mg twice daily on 03/04/97; " * 130_000
    found = doses(text)
    assert len(found) == spans.MAX_SPANS
    rest = spans.unread(text, found)
    assert rest is not None
    assert (rest.start, rest.end, rest.outcome) == (found[-1].end, len(text), "not_read")
    quiet = "nothing to see here. " * 250_000
    assert dimensions(quiet) == ()
    rest = spans.unread(quiet, ())
    assert rest is not None
    assert (rest.start, rest.end) == (spans.MAX_CHARACTERS, len(quiet))
    assert spans.unread(quiet[: spans.MAX_CHARACTERS], ()) is None
