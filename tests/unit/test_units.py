"""UCUM codes: what is one, what it means, and that conversion is exact."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigimesh.domain.safety.unit_names import unit_at
from vigimesh.domain.safety.units import MAX_CHARACTERS, MAX_DEPTH, convert, unit

CODES = (
    "mg",
    "kg",
    "ug/kg/(24.h)",
    "10*9/L",
    "mm[Hg]",
    "[degF]",
    "Cel",
    "[iU]/mL",
    "a",
    "umol/min/g{prot}",
    "[pH]",
)


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        ("1", "kg", "g", "1000"),
        ("98.6", "[degF]", "Cel", "37"),
        ("0", "Cel", "K", "273.15"),
        ("37000", "mCel", "Cel", "37"),
        ("200", "[lb_av]", "kg", "90.718474"),
        ("5", "[in_i]", "cm", "12.7"),
        ("1", "[gal_us]", "mL", "3785.411784"),
        ("5", "mg/dL", "g/L", "0.05"),
        ("1", "g/(24.h)", "mg/h", "125/3"),
        ("1", "10*9/L", "10*3/uL", "1"),
        ("180", "deg", "[pi].rad", "1"),
        ("1", "/min", "Hz", "1/60"),
        ("60", "{beats}/min", "/s", "1"),
        ("1", "mo", "d", "30.4375"),
        ("1", "umol", "kat.s", "1/1000000"),
    ],
)
def test_a_conversion_is_exact(value: str, source: str, target: str, expected: str) -> None:
    assert convert(Decimal(value), source, target) == Fraction(expected)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("mg", "mL"),
        ("[iU]", "1"),
        ("[iU]", "[arb'U]"),
        ("[pH]", "mol/L"),
        ("deg", "rad"),
        ("mg", "xyz"),
        ("MG", "mg"),
    ],
)
def test_what_has_no_exact_conversion_has_none(source: str, target: str) -> None:
    assert convert(1, source, target) is None


@pytest.mark.parametrize(
    "code",
    [
        "",
        " ",
        "Kg",
        "mcg",
        "kmin",
        "xyz",
        "mg/",
        "mg//kg",
        "(mg",
        "mg)",
        "mg kg",
        "0",
        "\u043c\u0433",
        "m[",
        "{",
        "mg{a",
        "[pH]/L",
        "()",
    ],
)
def test_what_is_no_code_is_none(code: str) -> None:
    assert unit(code) is None


def test_case_counts() -> None:
    mega, milli = unit("Mg"), unit("mg")
    assert mega
    assert milli
    assert mega.factor == milli.factor * 10**9


def test_codes_are_bounded() -> None:
    assert unit("m" + ".m" * MAX_CHARACTERS) is None
    deep = MAX_DEPTH + 1
    assert unit("(" * MAX_DEPTH + "m" + ")" * MAX_DEPTH) == unit("m")
    assert unit("(" * deep + "m" + ")" * deep) is None


@given(st.text(alphabet="mgLkd10*^[]{}()./-+'%_iUoiln", max_size=40))
def test_any_text_is_a_unit_or_none(code: str) -> None:
    found = unit(code)
    if found is not None:
        assert found.factor > 0
        assert unit(found.base) is not None


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9),
    st.sampled_from(CODES),
)
def test_there_and_back_is_the_same(value: Decimal, code: str) -> None:
    meant = unit(code)
    assert meant is not None
    there = convert(value, code, meant.base if meant.scale != "function" else code)
    assert there is not None
    assert convert(there, meant.base if meant.scale != "function" else code, code) == Fraction(value)


@given(st.sampled_from(CODES[:5]), st.sampled_from(CODES[:5]))
def test_a_product_and_its_quotient_cancel(one: str, other: str) -> None:
    assert unit(f"({one}).({other})/({other})") == unit(one)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("mg", "mg"),
        (" mcg", "ug"),
        (" µg", "ug"),
        ("MG", "mg"),
        (" Milligrams", "mg"),
        (" square meters", "m2"),
        (" cubic feet", "[ft_i]3"),
        (" mg/kg/day", "mg/kg/d"),
        (" mg kg-1 day-1", "mg/kg/d"),
        (" mg/m(2)", "mg/m2"),
        (" meters per second", "m/s"),
        (" mg/24 h", "mg/(24.h)"),
        (" [kg]", "kg"),
        (" fl oz", "[foz_us]"),
        (" mg/xyz", ""),
        (" flurbs", ""),
        (" \u043c\u0433", ""),
    ],
)
def test_names_become_codes(text: str, code: str) -> None:
    named = unit_at(text, 0)
    assert named is not None
    assert named.code == code
    assert named.end <= len(text)


def test_a_megagram_is_never_guessed() -> None:
    named = unit_at(" Mg", 0)
    assert named is not None
    assert named.choices == ("mg", "Mg")
