"""Dimensions in a text: lengths, volumes, areas, speeds, weights and temperatures, each with its UCUM unit.

Times are left to `durations`, doses to `doses`. Temperatures: a bare C or F is one only within what a body can have, or
where a word says so; degrees without a scale stay ambiguous. Weight of the patient: E2B(R3) D.3 (kg).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Literal

from vigimesh.domain.safety import spans
from vigimesh.domain.safety.durations import TIME_UNIT
from vigimesh.domain.safety.numerals import ANCHOR as NUMBER_ANCHOR
from vigimesh.domain.safety.numerals import NUMBER, number
from vigimesh.domain.safety.spans import Outcome, Span
from vigimesh.domain.safety.text_seriousness import lowered
from vigimesh.domain.safety.unit_names import Named, unit_at
from vigimesh.domain.safety.units import convert, unit

What = Literal[
    "length", "area", "volume", "mass", "weight", "speed", "angle", "information", "temperature", "amount",
    "concentration", "fraction", "count", "other", "unknown",
]  # fmt: skip

#: Characters before a number, or after it, in which a word tells what it is: a short clause.
NEAR = 40

#: Characters around the first figure or word of a number that its pattern may look at.
_AROUND = (8, 96)
#: Texts whose quantities are remembered: those of one case, which the reader of doses looks at too.
_MEMORY = 8

_LENGTH, _MASS, _TIME = ("m", 1), ("g", 1), ("s", 1)
_WHAT: dict[tuple[tuple[str, int], ...], What] = {
    (_LENGTH,): "length",
    (("m", 2),): "area",
    (("m", 3),): "volume",
    (_MASS,): "mass",
    (_LENGTH, ("s", -1)): "speed",
    (("rad", 1),): "angle",
    (("K", 1),): "temperature",
    (("g", 1), ("m", -3)): "concentration",
    (("m", -3),): "concentration",
}
#: Bare letters mean body temperatures within these (45 and 115 are beyond survival, 25 and 80 the lowest survived).
_BODY = {"Cel": (Decimal(25), Decimal(45)), "[degF]": (Decimal(77), Decimal(115))}
_SCALES = {"c": "Cel", "celsius": "Cel", "celcius": "Cel", "centigrade": "Cel", "centigrate": "Cel",
           "f": "[degF]", "fahrenheit": "[degF]", "farenheit": "[degF]", "farenheight": "[degF]", "fahrenheight": "[degF]"}  # fmt: skip
_SCALE = "|".join(sorted((name for name in _SCALES if len(name) > 1), key=len, reverse=True))
_TEMPERATURE = re.compile(
    rf"(?P<deg>[ -]?(?:°|º|degrees?\b|deg\b\.?))(?: ?(?P<of>{_SCALE}|[cf])\b)?|[ -]?(?P<name>{_SCALE})\b|(?P<blank> ?)(?P<letter>[CFcf])(?![\w-]|/ ?\w)",
    re.IGNORECASE,
)
_WARM = re.compile(r"\b(?:temp\w{0,12}|fevers?|febrile|afebrile|pyrexi\w{1,3}|hypertherm\w{1,3}|hypotherm\w{1,3}|heat\w{0,3}|hot|cold|warm|tmax)\b", re.IGNORECASE)  # fmt: skip
_TURNED = re.compile(r"\b(?:rotat\w{1,5}|angles?|angled|turn\w{0,3}|flex\w{1,5}|bend\w{0,3}|bent|tilt\w{0,3}|abduct\w{1,5}|range of motion|rom|head of bed)\b", re.IGNORECASE)  # fmt: skip
_WEIGHS = re.compile(r"\b(?:weigh\w{0,4}|wt|body ?weight|birth ?weight|bw)\b[^.;\n]{0,24}$", re.IGNORECASE)
_DOSED = re.compile(r"\b(?:dose|dosage|strength)s?(?: of| was| is|:|=)? {0,2}$", re.IGNORECASE)
_INCH = re.compile(
    r" ?(?:$|[.,;:)!?\n]|x\b|long\b|wide\b|tall\b|high\b|thick\b|deep\b|in (?:diameter|length|height)\b|diameter\b)"
)
_AND = r"(?:,? (?:and )?| ?|-)"
_FEET_INCHES = re.compile(
    rf"(?:[ -]?(?:feet|foot|ft\.?)|'){_AND}(?P<less>[0-9]{{1,2}}(?:\.[0-9]{{1,3}})?|[a-z]{{3,6}})(?:[ -]?(?:inches|inch|ins?\b\.?)|\"|'')(?!\w)",
    re.IGNORECASE,
)
_POUNDS_OUNCES = re.compile(
    rf"[ -]?(?:pounds?|lbs?\.?){_AND}(?P<less>[0-9]{{1,2}}(?:\.[0-9]{{1,3}})?|[a-z]{{3,7}})[ -]?(?:ounces?|oz)(?!\w)",
    re.IGNORECASE,
)
#: Two parts make one value: the pattern behind the first number, how many of the lesser make one, their unit.
_TWO_PARTS: tuple[tuple[re.Pattern[str], int, str], ...] = (
    (_FEET_INCHES, 12, "[in_i]"),
    (_POUNDS_OUNCES, 16, "[oz_av]"),
)
_LONG = re.compile(r' ?"(?= (?:long|wide|tall|high|thick|deep|x)\b)')
#: In lower case; what stands in front is looked at after.
_BARE = re.compile(rf"(?:mcg|(?:micro|milli|kilo)grams?|metric tons?|(?:degrees? )?(?:{_SCALE}))(?![a-z0-9])")
_NUMBER = re.compile(rf"(?P<minus>(?<![\w)\]])-)?(?P<number>{NUMBER})", re.IGNORECASE)
_NO_UNITS = frozenset(
    "of and or in on at for to was is were then with w by given per x a the as if when".split()
)
_UPTO = re.compile(r" ?(?:-|\u2013|to) ?(?=[0-9.])", re.IGNORECASE)
_PLAIN = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})(?![0-9.]*[0-9])")
_WHOLE_NUMBER = re.compile(NUMBER, re.IGNORECASE)
_OTHER_DIGITS = re.compile(r"(?=[^\W_])\d{1,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity(Span):
    """A number with a unit. `value` is exact, `unit` a UCUM code; `upto` ends a range ("5-10 mg").

    `choices` holds the units an ambiguous one may mean. `value` is None for an outcome without one.
    """

    what: What
    value: Decimal | None = None
    upto: Decimal | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()

    @property
    def canonical(self) -> tuple[Fraction, str] | None:
        """The value in base units (g, m, s, K, ...), exactly; None when it has no single one."""
        meant = unit(self.unit) if self.unit else None
        if self.value is None or meant is None or meant.pi_power:
            return None
        value = convert(self.value, self.unit, meant.base)
        return None if value is None else (value, meant.base)


def dimensions(text: str) -> tuple[Quantity, ...]:
    """Return the dimensions in `text`, in its order; `spans.unread` says what lies beyond the limits."""
    read = spans.bounded(text)
    found = [*quantities(read), *_bare_units(read)]
    return tuple(spans.apart(found))[: spans.MAX_SPANS]


@lru_cache(maxsize=_MEMORY)
def quantities(read: str) -> tuple[Quantity, ...]:
    """Return every number with a unit that is no time; `read` is a text already bounded."""
    return tuple(_quantities(read))


def _quantities(read: str) -> Iterator[Quantity]:
    at = 0
    for match in spans.within(_NUMBER, read, spans.windows(NUMBER_ANCHOR, lowered(read), *_AROUND)):
        if match.start("number") < at:
            continue
        found = _quantity(read, match)
        if found is not None:
            at = found.end
            yield found
    if not read.isascii():
        yield from _other_digits(read)


def _quantity(read: str, match: re.Match[str]) -> Quantity | None:
    start, end = match.start("number"), match.end("number")
    warm = _temperature(read, match)
    if warm is not None:
        return warm
    both = _two_parts(read, start, match["number"], end)
    if both is not None:
        return both
    value, upto = number(match["number"]), None
    dash = _UPTO.match(read, end)
    more = _PLAIN.match(read, dash.end()) if dash else None
    if more:
        upto, end = number(more[0]), more.end()
    named = _named(read, start, end)
    if named is None:
        return None
    return _made(read, start, named, value, upto)


def _named(read: str, start: int, end: int) -> Named | None:
    """Return the unit behind the number at `start`-`end`; None where there is nothing to tell."""
    inch = _LONG.match(read, end)
    if inch:
        return Named(code="[in_i]", end=inch.end())
    named = unit_at(read, end)
    if named is None:
        return None
    word = read[end : named.end].strip(" -\n\t")
    if word.lower() in ("in", "ins"):
        return Named(code="[in_i]", end=named.end) if _INCH.match(read, named.end) else None
    if len(word) == 1 and re.match(r"-?[0-9]", read[named.end : named.end + 2]):
        return None  # "24703 L-202" is a part number
    if word.lower() == "pm":
        return None  # an hour of the day
    if named.code == "{dose}":
        return None  # how many were given, not how much
    if not named.code:
        if re.match(rf"{TIME_UNIT}(?![a-z])", word, re.IGNORECASE) or word.lower() in _NO_UNITS:
            return None  # "3hrs/fever", "dose 1 of 3"
        dosed = _DOSED.search(read, max(0, start - NEAR), start)
        return named if dosed or named.foreign or "/" in word else None
    meant = unit(named.code)
    return None if meant is not None and meant.dimension == (_TIME,) else named


def _made(read: str, start: int, named: Named, value: Decimal | None, upto: Decimal | None) -> Quantity:
    outcome: Outcome = "read"
    if value is None:
        outcome = "impossible"
    elif not named.code:
        outcome = "mixed_scripts" if named.foreign else "unknown_unit"
    elif named.choices:
        outcome = "ambiguous"
    what = _what(named.code, bool(named.choices))
    if what == "mass" and _WEIGHS.search(read, max(0, start - NEAR), start):
        what = "weight"
    return Quantity(
        start=start, end=named.end, text=read[start : named.end], outcome=outcome, what=what, value=value, upto=upto,
        unit="" if named.choices else named.code, choices=named.choices,
    )  # fmt: skip


def _what(code: str, several: bool) -> What:
    if not code:
        return "unknown"
    if code.startswith("{"):
        return "count"
    meant = unit(code)
    if meant is None:
        return "unknown"
    if code == "%":
        return "fraction"
    if code.endswith(("bit", "By")):
        return "information"
    if several:
        return "mass"
    if meant.dimension == () and meant.factor > 10**6:
        return "amount"
    return _WHAT.get(meant.dimension, "other")


def _temperature(read: str, match: re.Match[str]) -> Quantity | None:
    end = match.end("number")
    found = _TEMPERATURE.match(read, end)
    value = number(match["number"])
    if found is None or value is None:
        return None
    if match["minus"]:
        value = -value
    start = match.start() if match["minus"] else match.start("number")
    before = read[max(0, start - NEAR) : start]
    unit_name = _SCALES.get((found["of"] or found["name"] or found["letter"] or "").lower(), "")
    choices: tuple[str, ...] = ()
    what: What = "temperature"
    outcome: Outcome = "read"
    if found["letter"]:
        low, high = _BODY[unit_name]
        if not low <= value <= high or (found["letter"].islower() and not _WARM.search(before)):
            return None
    elif not unit_name:
        around = before + read[found.end() : found.end() + NEAR]
        if _TURNED.search(around):
            what, unit_name = "angle", "deg"
        else:
            outcome = "ambiguous"
            choices = ("Cel", "[degF]") if _WARM.search(before) else ("Cel", "[degF]", "deg")
    if unit_name in _BODY and (convert(value, unit_name, "K") or 0) < 0:
        outcome = "impossible"
    return Quantity(
        start=start, end=found.end(), text=read[start : found.end()], what=what, outcome=outcome,
        value=value, unit=unit_name, choices=choices,
    )  # fmt: skip


def _two_parts(read: str, start: int, first: str, end: int) -> Quantity | None:
    """Return "5 ft 2 in" or "5lb 13oz" in the lesser unit."""
    for pattern, times, unit_name in _TWO_PARTS:
        found = pattern.match(read, end)
        if found is None or _WHOLE_NUMBER.fullmatch(found["less"]) is None:
            continue
        more, less = number(first), number(found["less"])
        if more is None or less is None:
            continue
        named = Named(code=unit_name, end=found.end())
        made = _made(read, start, named, times * more + less, None)
        return made if less < times else replace(made, outcome="impossible")
    return None


def _bare_units(read: str) -> Iterator[Quantity]:
    """Yield units of dose and temperature that stand without their number."""
    low = lowered(read)
    for match in _BARE.finditer(low):
        word = match[0]
        if low[match.start() - 1 : match.start()].isalnum():
            continue
        scale = _SCALES.get(word.rpartition(" ")[2])
        named = Named(code=scale, end=match.end()) if scale else unit_at(read, match.start())
        if named is not None and named.code:
            yield Quantity(
                start=match.start(), end=match.end(), text=read[match.start() : match.end()], outcome="no_value",
                what="temperature" if scale else "mass", unit=named.code,
            )  # fmt: skip


def _other_digits(read: str) -> Iterator[Quantity]:
    """Yield numbers in digits of other scripts before a unit: told, not read."""
    for match in _OTHER_DIGITS.finditer(read):
        if match[0].isascii():
            continue
        named = unit_at(read, match.end())
        if named is not None and named.code:
            yield Quantity(
                start=match.start(), end=named.end, text=read[match.start() : named.end], outcome="mixed_scripts",
                what=_what(named.code, several=False), unit=named.code,
            )  # fmt: skip
