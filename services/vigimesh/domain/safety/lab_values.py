"""Laboratory values in a text ("ALT 120 U/L (ref 10-40)"), as ICH E2B(R3) F.r has them: test, result, unit, normal range.

Only what the text says: a value is above or below a range when the text gives the range, in the same unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from vigimesh.domain.safety import spans
from vigimesh.domain.safety.numerals import NUMBER, number
from vigimesh.domain.safety.spans import Outcome, Span
from vigimesh.domain.safety.unit_names import Named, unit_at

Position = Literal["", "below", "within", "above"]

#: Tests by the names in common use. Left out where a name is another word in a case report: PT is the patient, K a vitamin.
_ANY_CASE = (
    "alanine aminotransferase", "aspartate aminotransferase", "alkaline phosphatase", "total bilirubin", "bilirubin", "creatinine",
    "albumin", "hemoglobin", "haemoglobin", "hematocrit", "haematocrit", "platelets", "platelet count", "white blood cell count",
    "white blood cells", "white cell count", "red blood cell count", "neutrophils", "neutrophil count", "lymphocytes", "eosinophils",
    "glucose", "blood sugar", "sodium", "potassium", "calcium", "magnesium", "chloride", "bicarbonate", "phosphate", "urea", "uric acid",
    "lactate", "lactic acid", "ammonia", "troponin", "troponin i", "troponin t", "creatine kinase", "creatine phosphokinase", "amylase",
    "lipase", "ferritin", "c-reactive protein", "procalcitonin", "sed rate", "cholesterol", "triglycerides", "d-dimer", "fibrinogen",
    "hba1c", "inr", "crp", "wbc", "sgot", "sgpt", "ggt", "ldh", "cpk", "bun",
)  # fmt: skip
_IN_CAPITALS = ("ALT", "AST", "ALP", "CK", "CK-MB", "Hb", "Hgb", "HGB", "Hct", "HCT", "PLT", "ANC", "RBC", "ESR", "TSH", "Na", "Cr", "Mg",
                "Ca", "aPTT", "PTT", "GFR", "eGFR", "BNP", "PSA", "pH")  # fmt: skip
#: Numbers without a unit by nature.
_PURE = frozenset({"inr", "ph"})

_NAMES = "|".join(sorted((*_ANY_CASE, "bilirubin"), key=len, reverse=True))
_CAPITALS = "|".join(sorted(_IN_CAPITALS, key=len, reverse=True))
_TEST = re.compile(rf"(?<![\w-])(?:(?i:{_NAMES})|{_CAPITALS})\+?(?![\w-])")
_RESULT = re.compile(
    rf"(?: \([A-Za-z]{{2,6}}\))?(?: ?(?:level|count|value|result)s?)?(?: ?(?:was|were|is|of|at|=|:|to|high|low|elevated|increased|decreased|rose|fell)){{0,4}} ?"
    rf"(?P<than>[<>≤≥]=?)? ?(?P<number>{NUMBER})",
    re.IGNORECASE,
)
_RANGE = re.compile(
    r"[ ,]{0,2}[(\[]?(?:(?:ref(?:erence)?|normal|nl|nr)\.?(?: range| values?| interval)?|range)?[: ]{0,3}"
    r"(?P<low>[0-9]{1,9}(?:\.[0-9]{1,6})?) ?(?:-|\u2013|to) ?(?P<high>[0-9]{1,9}(?:\.[0-9]{1,6})?)(?![0-9./-])",
    re.IGNORECASE,
)
_BARE_OVER = re.compile(r" ?(?P<kilo>K|k|thou(?:sand)?)? ?/ ?(?=[A-Za-zµμ])")
_UPTO = re.compile(r" ?(?:-|\u2013|to) ?(?P<upto>[0-9]{1,9}(?:\.[0-9]{1,6})?)(?![0-9./-])")
_SIGNS = {"<": "<", ">": ">", "≤": "<=", "≥": ">=", "<=": "<=", ">=": ">="}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabValue(Span):
    """A result: `test` as written, exact `value` (`upto` ends a range), UCUM `unit` ("" when none is given), `sign` (`<`, `>=`) of a bound.

    `low` and `high` are the normal range where the text gives it, `position` where the value lies to it.
    """

    test: str
    value: Decimal | None = None
    upto: Decimal | None = None
    sign: str = ""
    unit: str = ""
    low: Decimal | None = None
    high: Decimal | None = None
    position: Position = ""


def lab_values(text: str) -> tuple[LabValue, ...]:
    """Return the laboratory values in `text`, in its order; a value without a unit where one belongs is `unknown_unit`."""
    return tuple(spans.apart(_lab_values(spans.bounded(text))))[: spans.MAX_SPANS]


def _lab_values(read: str) -> Iterator[LabValue]:
    for test in _TEST.finditer(read):
        result = _RESULT.match(read, test.end())
        if result is None:
            continue
        value, named = number(result["number"]), _unit(read, result.end())
        more = _UPTO.match(read, result.end())
        upto = Decimal(more["upto"]) if more else None
        if more:
            named = _unit(read, more.end())
        end = named.end if named and (named.code or named.foreign) else (more or result).end()
        ref = _RANGE.match(read, end)
        low, high = (Decimal(ref["low"]), Decimal(ref["high"])) if ref else (None, None)
        end = ref.end() + read.startswith((")", "]"), ref.end()) if ref else end
        code = named.code if named else ""
        sign = _SIGNS.get(result["than"] or "", "")
        yield LabValue(
            start=test.start(), end=end, text=read[test.start() : end], test=test[0], value=value, upto=upto, sign=sign, unit=code,
            low=low, high=high, position=_position(value, low, high, sign) if upto is None else "",
            outcome=_outcome(value, named, test[0], (low, high)),
        )  # fmt: skip


def _unit(read: str, end: int) -> Named | None:
    """Return the unit behind a result; "x10^9/L" has its power in the number and only a denominator left."""
    over = _BARE_OVER.match(read, end)
    if over is None:
        return unit_at(read, end)
    under = unit_at(read, over.end())
    return (
        Named(code=f"{'10*3' if over['kilo'] else ''}/{under.code}", end=under.end)
        if under and under.code
        else under
    )


def _outcome(
    value: Decimal | None, named: Named | None, test: str, ref: tuple[Decimal | None, Decimal | None]
) -> Outcome:
    if value is None:
        return "impossible"
    if named and named.foreign:
        return "mixed_scripts"
    if named and named.choices:
        return "ambiguous"
    low, high = ref
    if low is not None and high is not None and low > high:
        return "conflict"
    return "read" if (named and named.code) or test.lower() in _PURE else "unknown_unit"


def _position(value: Decimal | None, low: Decimal | None, high: Decimal | None, sign: str) -> Position:
    """Say where a value lies; a bound ("> 40") only where it settles it."""
    if value is None or low is None or high is None or low > high:
        return ""
    if sign.startswith(">"):
        return "above" if value > high or (value == high and sign == ">") else ""
    if sign.startswith("<"):
        return "below" if value < low or (value == low and sign == "<") else ""
    return "below" if value < low else "above" if value > high else "within"
