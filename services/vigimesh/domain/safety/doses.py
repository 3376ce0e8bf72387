"""Doses in a text ("500 mg twice daily", "2 tablets every 6 hours", "5-10 mg/kg/day") as ICH E2B(R3) G.k.4.r has them.

G.k.4.r.1 dose and unit; r.2 and r.3 the interval. A weight of the patient, a laboratory value's concentration and
a length are no doses. What no body can take is `impossible`, a unit that nobody knows `unknown_unit`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from vigimesh.domain.safety import spans
from vigimesh.domain.safety.numerals import NUMBER, number
from vigimesh.domain.safety.quantities import Quantity, quantities
from vigimesh.domain.safety.spans import Outcome
from vigimesh.domain.safety.units import convert

#: Beyond these no dose is given to a human: ours, generous (10 kg, 100 l, 10^12 of anything counted).
MOST = (("g", Fraction(10_000)), ("L", Fraction(100)), ("[iU]", Fraction(10**12)))
MOST_COUNTED = Decimal(10**12)
#: Characters behind a dose in which its interval may stand.
NEAR = 40

#: What is given: bodies of mass, volume, amount, activity and counts; over kg, m2 or time only.
_GIVEN = re.compile(
    r"(?:[munpf]?g|[mdcu]?L|\[(?:tsp|tbs|foz|cup)_us\]|\[gr\]|\[drp\]|[mu]?\[iU\]|[mun]?mol|m?eq|M?Bq|mCi|c?Gy|m?Sv"
    r"|\{(?:tablet|capsule|puff|spray|patch|suppository|vial|ampule|injection|pill|unit)\})"
    r"(?P<over>(?:/(?:kg|m2|h|min|d|wk|mo|\{dose\}|\{spray\}|\{puff\}|\{tablet\}|\([0-9]{1,3}\.(?:h|d)\))){0,2})"
)
_UNITS_OF_DRUG = re.compile(r"^U(?=/|$)")
_PER_TIME = re.compile(r"/(h|min|d|wk|mo)$")
_UNIT = {"hour": "h", "hr": "h", "h": "h", "day": "d", "d": "d", "week": "wk", "wk": "wk", "month": "mo", "minute": "min",
         "morning": "d", "evening": "d", "night": "d", "bedtime": "d"}  # fmt: skip
_PERIOD = "|".join(sorted(_UNIT, key=len, reverse=True))
_TIMES = {"once": 1, "twice": 2, "thrice": 3}
_CODES = {"qd": (1, 1, "d"), "od": (1, 1, "d"), "daily": (1, 1, "d"), "nightly": (1, 1, "d"), "hs": (1, 1, "d"), "qhs": (1, 1, "d"),
          "bid": (2, 1, "d"), "tid": (3, 1, "d"), "qid": (4, 1, "d"), "qod": (1, 2, "d"), "every other day": (1, 2, "d"),
          "hourly": (1, 1, "h"), "weekly": (1, 1, "wk"), "biweekly": (0, 0, ""), "monthly": (1, 1, "mo")}  # fmt: skip
_OFTEN = re.compile(
    rf"[^.;\n]{{0,{NEAR}}}?\b(?:(?:(?P<times>once|twice|thrice|{NUMBER} ?(?:times|x)) ?(?:(?:a|per|each|every)[ -])?(?P<period>daily|weekly|monthly|(?:{_PERIOD})\b)"
    rf"|(?:q\.? ?(?P<every>[0-9]{{1,2}})|every (?P<each>{NUMBER}))[ -]?(?:to [0-9]{{1,2}} )?(?P<unit>{_PERIOD})s?\b"
    rf"|(?:every|each|per|a) (?P<single>{_PERIOD})\b"
    r"|(?P<code>q\.?d\.?|b\.?i\.?d|t\.?i\.?d|q\.?i\.?d|q\.?o\.?d|q?hs|od|daily|nightly|hourly|weekly|biweekly|monthly|every other day)\b))",
    re.IGNORECASE,
)
_STOP = re.compile(rf"{NUMBER} ?(?:mg|mcg|ml|g|units?|tablets?|iu)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dose(Quantity):
    """A dose: `times` a day, a week ... is `times` per `every` x `every_unit` (UCUM); all unset when not told.

    `interval_text` is the place where the interval stands, empty when it is part of the unit ("mg/day").
    """

    times: int = 0
    every: Decimal | None = None
    every_unit: str = ""
    interval_text: str = ""


def doses(text: str) -> tuple[Dose, ...]:
    """Return the doses in `text`, in its order, each with the interval that follows it in its clause."""
    return tuple(_doses(spans.bounded(text)))[: spans.MAX_SPANS]


def _doses(read: str) -> Iterator[Dose]:
    for one in spans.apart(quantities(read)):
        if one.outcome in ("unknown_unit", "mixed_scripts"):
            yield _dose(one, one.outcome, one.unit)
            continue
        code = one.unit or (one.choices[0] if one.choices else "")
        # "10 U" of a drug are units of its own kind, not the enzyme units that the code means.
        code = _UNITS_OF_DRUG.sub("{unit}", code)
        if one.what in ("weight", "temperature") or not _GIVEN.fullmatch(code):
            continue
        over = _PER_TIME.search(code)
        outcome: Outcome = "impossible" if _too_much(one, code) else one.outcome
        if over:
            yield _dose(one, outcome, code[: over.start()], (1, Decimal(1), over[1]), "")
            continue
        yield _dose(one, outcome, code if one.unit else "", *_interval(read, one.end))


def _dose(
    one: Quantity,
    outcome: Outcome,
    code: str,
    often: tuple[int, Decimal | None, str] = (0, None, ""),
    where: str = "",
) -> Dose:
    times, every, every_unit = often
    return Dose(
        start=one.start, end=one.end, text=one.text, outcome=outcome, what=one.what, value=one.value, upto=one.upto,
        unit=code, choices=one.choices, times=times, every=every, every_unit=every_unit, interval_text=where,
    )  # fmt: skip


def _too_much(one: Quantity, code: str) -> bool:
    top = one.upto if one.upto is not None else one.value
    if top is None:
        return True
    single = code.split("/", 1)[0]
    limits = ((convert(top, single, unit), most) for unit, most in MOST)
    return top > MOST_COUNTED or any(found is not None and found > most for found, most in limits)


def _interval(read: str, end: int) -> tuple[tuple[int, Decimal | None, str], str]:
    """Return (times, every, unit) of the interval behind a dose, and its text; the next dose's is not taken."""
    found = _OFTEN.match(read, end, min(len(read), end + 2 * NEAR))
    if found is None or _STOP.search(read, end, found.end()):
        return (0, None, ""), ""
    where = found[0].strip(" ,")
    if found["times"]:
        word = found["times"].lower()
        count = Decimal(_TIMES[word]) if word in _TIMES else number(re.sub(r" ?(?:times|x)$", "", word))
        period = {"daily": "d", "weekly": "wk", "monthly": "mo"}.get(found["period"].lower())
        unit = period or _UNIT[found["period"].lower()]
        if count is None or count != int(count) or not 0 < count <= 1_000:
            return (0, None, ""), ""
        return (int(count), Decimal(1), unit), where
    if found["every"] or found["each"]:
        every = number(found["every"] or found["each"])
        return ((1, every, _UNIT[found["unit"].lower()]), where) if every else ((0, None, ""), "")
    if found["single"]:
        return (1, Decimal(1), _UNIT[found["single"].lower()]), where
    times, step, unit = _CODES[found["code"].lower().replace(".", "")]
    # "Biweekly" is twice a week or every two weeks: said, not settled.
    return ((times, Decimal(step), unit) if times else (0, None, "")), where
