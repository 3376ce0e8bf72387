"""Ages in a text ("87 yo", "3 weeks of age", "aged 5") and the age groups they fall into.

ICH E2B(R3) D.2.2 (age, UCUM unit), D.2.3 (age group: foetus, neonate, infant, child, adolescent, adult, elderly); the
borders are those of ICH E11(R1) 2.5 (27 days, 23 months, 11 years, 17 years) and ICH E7 (65 years).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from vigimesh.domain.safety import spans
from vigimesh.domain.safety.durations import Duration, joined
from vigimesh.domain.safety.numerals import NUMBER, number
from vigimesh.domain.safety.spans import Outcome, Span
from vigimesh.domain.safety.text_seriousness import lowered

#: Nobody was older (the oldest known lived 122 years; E2B(R3) allows 150).
MAX_YEARS = 150

_OLD = re.compile(r"[ -](?:old|of age)\b", re.IGNORECASE)
_SHORT = re.compile(
    rf"(?P<number>{NUMBER})(?:[ -]?y(?:ea)?r?s?\.?[ -]?/? ?o(?:ld\b|\.|\b)|[ -]?yo[mfw]\b"
    r"|[ -]?(?P<unit>m|mo|w|wk|d)s?\.?(?:[ -]?/ ?| )o(?:ld)?\b)",
    re.IGNORECASE,
)
#: In lower case; what stands in front is looked at after.
_AGED = re.compile(r"age[ds]?(?: of|:| is| was|=)?:? ?(?=[a-z0-9.])")
#: What every short form holds, in lower case.
_ANCHOR = re.compile(r"(?:yo(?![u])|[ymwdrks][a-z.]{0,4}[ -]?/? ?o(?:ld|\.|(?![a-z])))")
#: Characters around it: a number of up to nine words in front.
_AROUND = (96, 16)
_NUMBER = re.compile(rf"{NUMBER}(?!/)", re.IGNORECASE)
_GROUPS = {
    "foetus": "fetus foetus fetal foetal", "neonate": "neonate neonatal newborn", "infant": "infant",
    "child": "toddler preschooler pediatric paediatric", "adolescent": "adolescent teenager teenage teen",
    "adult": "adult", "elderly": "elderly geriatric",
}  # fmt: skip
_GROUP_OF = {word: group for group, words in _GROUPS.items() for word in words.split()}
_GROUP = re.compile(
    rf"(?P<word>{'|'.join(sorted(_GROUP_OF, key=len, reverse=True))}) (?:male|female|man|woman|boy|girl|patient|pt|subject|person)\b"
)
_UNITS = {"y": "a", "yr": "a", "year": "a", "m": "mo", "mo": "mo", "w": "wk", "wk": "wk", "d": "d"}
_YEARS_IN = {"a": Decimal(1), "mo": Decimal(12), "wk": Decimal("52.17857"), "d": Decimal("365.25")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Age(Span):
    """An age: `parts` are (exact value, UCUM code) as given, `group` the E2B(R3) D.2.3 group it falls into, if one.

    `unit_stated` is false for "age 87": years by convention. An age group alone ("elderly man") has no parts.
    """

    parts: tuple[tuple[Decimal, str], ...] = ()
    upto: Decimal | None = None
    group: str = ""
    unit_stated: bool = True


def age_group(value: Decimal, unit: str) -> str:
    """Return the age group of an age in `a`, `mo`, `wk`, `d` or `h`; empty where the age is too coarse to say.

    `0 a` may be a neonate or an infant. An age counts completed units: 23 mo is an infant, 24 mo a child.
    """
    if value < 0:
        return ""
    if unit == "h":
        value, unit = value / 24, "d"
    if unit == "wk":
        value, unit = value * 7, "d"
    if unit == "d":
        if value < 28:
            return "neonate"
        # 731 days are two years whatever the leap years; 730 may not be.
        return "infant" if value < 730 else _by_years(value / Decimal("365.25")) if value > 731 else ""
    if unit == "mo":
        if value < 1:
            return "neonate" if value else ""
        return "infant" if value < 24 else _by_years(value / 12)
    if unit == "a":
        return _by_years(value) if value >= 2 else "infant" if value >= 1 else ""
    return ""


def _by_years(years: Decimal) -> str:
    borders = ((12, "child"), (18, "adolescent"), (65, "adult"))
    return next((group for below, group in borders if years < below), "elderly")


def ages(text: str) -> tuple[Age, ...]:
    """Return the ages in `text`, in its order."""
    read = spans.bounded(text)
    low, lasting = lowered(read), joined(read)
    found = [*_with_old(read, lasting), *_short(read, low), *_aged(read, low, lasting), *_groups(read, low)]
    return tuple(spans.apart(found))[: spans.MAX_SPANS]


def _with_old(read: str, lasting: Sequence[Duration]) -> Iterator[Age]:
    for one in lasting:
        old = _OLD.match(read, one.end)
        if old:
            yield _age(read, one.start, old.end(), one)


def _age(read: str, start: int, end: int, one: Duration) -> Age:
    outcome: Outcome = one.outcome
    years = sum((value / _YEARS_IN[unit] for value, unit in one.parts if unit in _YEARS_IN), Decimal(0))
    if years > MAX_YEARS:
        outcome = "impossible"
    group = age_group(*one.parts[0]) if one.parts and one.upto is None and outcome == "read" else ""
    if (
        one.upto is not None
        and one.parts
        and age_group(*one.parts[0]) == age_group(one.upto, one.parts[0][1])
    ):
        group = age_group(*one.parts[0])
    return Age(
        start=start,
        end=end,
        text=read[start:end],
        outcome=outcome,
        parts=one.parts,
        upto=one.upto,
        group=group,
    )


def _short(read: str, low: str) -> Iterator[Age]:
    """Yield "87 yo", "5 y/o", "35yof", "3 mo old"."""
    for match in spans.within(_SHORT, read, spans.windows(_ANCHOR, low, *_AROUND)):
        value = number(match["number"])
        code = _UNITS[(match["unit"] or "y").lower()]
        yield _single(match.start(), match[0], value, code)


def _aged(read: str, low: str, lasting: Sequence[Duration]) -> Iterator[Age]:
    """Yield "aged 5", "age 87", "age: 3 months"; without a unit these are years."""
    by_start = {one.start: one for one in lasting}
    for match in _AGED.finditer(low):
        before = low[max(0, match.start() - 12) : match.start()]
        if before[-1:].isalnum() or before.rstrip().endswith(("gestational", "bone", "mental")):
            continue
        one = by_start.get(match.end())
        bare = None if one else _NUMBER.match(read, match.end())
        if one:
            yield _age(read, match.start(), one.end, one)
        elif bare:
            whole = read[match.start() : bare.end()]
            yield _single(match.start(), whole, number(bare[0]), "a", stated=False)


def _single(start: int, text: str, value: Decimal | None, code: str, *, stated: bool = True) -> Age:
    years = None if value is None else value / _YEARS_IN.get(code, Decimal(8_766))
    outcome: Outcome = "impossible" if years is None or years > MAX_YEARS else "read"
    return Age(
        start=start, end=start + len(text), text=text, outcome=outcome,
        parts=() if value is None else ((value, code),),
        group=age_group(value, code) if value is not None and outcome == "read" else "", unit_stated=stated,
    )  # fmt: skip


def _groups(read: str, low: str) -> Iterator[Age]:
    for match in _GROUP.finditer(low):
        start, end = match.span()
        if not low[start - 1 : start].isalnum():
            yield Age(start=start, end=end, text=read[start:end], group=_GROUP_OF[match["word"]])
