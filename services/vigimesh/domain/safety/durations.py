"""Durations in a text ("two and a half hours", "1 year 21 days", "5-7 days"), in the parts in which they were given.

A month or a year has no fixed number of days, so nothing is converted that the source did not convert: the parts stay,
`iso` writes them as ISO 8601 does. UCUM codes as ICH E2B(R3) D.2.2b and E.i.6b use them: s, min, h, d, wk, mo, a.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from typing import Literal

from vigimesh.domain.safety import spans
from vigimesh.domain.safety.numerals import NUMBER, number
from vigimesh.domain.safety.spans import Outcome, Span
from vigimesh.domain.safety.text_seriousness import lowered

#: Parts of one duration: years, months, weeks, days, hours, minutes, seconds.
MAX_PARTS = 7
#: The unit of working days; UCUM has none, so it is an annotation.
BUSINESS_DAY = "{business_day}"

_WORDS = {
    "s": "seconds second secs sec", "min": "minutes minute mins min", "h": "hours hour hrs hr", "d": "days day",
    "wk": "weeks week wks wk", "mo": "months month mths mth mos mo", "a": "years year yrs yr ys",
}  # fmt: skip
_CODES = {word: (code, 1) for code, words in _WORDS.items() for word in words.split()}
_CODES |= {"decade": ("a", 10), "decades": ("a", 10), "fortnight": ("wk", 2), "fortnights": ("wk", 2)}
_CODES |= {f"{kind} {day}": (BUSINESS_DAY, 1) for kind in ("business", "working") for day in ("day", "days")}
_LETTERS = {"h": ("h", 1), "d": ("d", 1), "y": ("a", 1)}
_LONG = "|".join(sorted(_CODES, key=len, reverse=True))
#: A unit of time as a word or, behind digits only, as a letter. Compile with `re.IGNORECASE`.
TIME_UNIT = rf"(?:{_LONG}|[hdy])"

#: Order in which ISO 8601 writes parts, with the letter of each; `BD` is not ISO's.
_ISO = (("a", "Y", ""), ("mo", "M", ""), ("wk", "W", ""), (BUSINESS_DAY, "BD", ""), ("d", "D", ""),
        ("h", "H", "T"), ("min", "M", "T"), ("s", "S", "T"))  # fmt: skip
_SECONDS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "wk": 604_800}

_HALF = r"(?:a )?half\b"
_COUNTED = re.compile(
    rf"(?P<number>{NUMBER})(?: (?:and )?(?P<half>{_HALF}))?(?:(?: ?[-\u2013] ?| to | or )(?P<upto>[0-9]{{1,4}}(?:[.][0-9]{{1,3}})?))?"
    rf"(?:[ -]|\n)?(?P<unit>{TIME_UNIT})(?![A-Za-z0-9])(?P<more> and {_HALF})?",
    re.IGNORECASE,
)
_HALVED = re.compile(rf"\b(?:a )?half(?: an?)?[ -](?P<unit>{_LONG})\b", re.IGNORECASE)
_ONE = re.compile(
    rf"\b(?<!times )(?<!once )(?<!twice )(?<!mg )(?<!tablets )(?P<one>an?|another|all|full|whole|entire)[ -](?P<unit>{_LONG})\b"
    rf"(?P<more> and {_HALF})?",
    re.IGNORECASE,
)
_VAGUE = re.compile(
    rf"\b(?P<vague>(?:a )?(?:few|several|some|many)|(?P<two>(?:a )?couple(?: of)?))[ -](?P<unit>{_LONG})\b",
    re.IGNORECASE,
)
#: Digits of another script; tried only on texts that have any.
_FOREIGN = re.compile(rf"(?<!\w)(?P<digits>\d{{1,40}}) ?(?P<unit>{_LONG})\b", re.IGNORECASE)
_BOUND = re.compile(r"(?:(?P<less>less|fewer|shorter)|more|longer|greater) than $", re.IGNORECASE)
_JOIN = re.compile(r",? (?:and )?")
#: A point of time or an age, no duration.
_NO_DURATION = re.compile(r"[ -](?:ago|old|of age|o\.|o\b)|[/.] ?o\b", re.IGNORECASE)
_AFTER_AGE = re.compile(r"\bage[ds]?(?: of|:| is| was|=)?:? ?$", re.IGNORECASE)
#: "A second dose" counts, "a second" lasts.
_ORDINAL = re.compile(r"\s[a-z]", re.IGNORECASE)

#: What every duration holds, in lower case: a unit of time.
_ANCHOR = re.compile(
    r"(?:sec|min|hour|hr|day|w(?:ee)?k|m(?:on?th|os?(?![a-z])|ths?(?![a-z]))|y(?:ea)?rs?|ys?(?![a-z])|decade|fortnight|[0-9][ -]?[hd](?![a-z0-9]))"
)
#: Characters before and after it that a pattern may look at: a number of up to nine words, and the words behind.
_AROUND = (96, 48)
#: Texts whose durations are remembered: those of one case, which the readers of dates and ages look at too.
_MEMORY = 8

Bound = Literal["", "<", ">"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration(Span):
    """A length of time: `parts` are (exact value, UCUM code), as given; `upto` ends a range of its single part.

    `bound` says that it is more or less than that. A vague one ("a few days") has the unit and no value: no parts.
    """

    parts: tuple[tuple[Decimal, str], ...] = ()
    upto: Decimal | None = None
    bound: Bound = ""

    @property
    def iso(self) -> str:
        """The parts as an ISO 8601 duration (`P1Y1M21D`, `PT1.5H`), or an empty text when there are none."""
        made = ""
        for code, letter, clock in _ISO:
            value = sum((value for value, unit in self.parts if unit == code), Decimal(0))
            if value or (self.parts and all(unit == code for _, unit in self.parts)):
                made += (clock if "T" not in made else "") + f"{_plain(value)}{letter}"
        return f"P{made}" if made else ""

    @property
    def seconds(self) -> Decimal | None:
        """Its seconds, or None where months, years or working days make them unknown."""
        if not self.parts or not all(unit in _SECONDS for _, unit in self.parts):
            return None
        return sum((value * _SECONDS[unit] for value, unit in self.parts), Decimal(0))


def durations(text: str) -> tuple[Duration, ...]:
    """Return the durations in `text`, in its order; none is taken from an age or from "two days ago"."""
    read = spans.bounded(text)
    kept = (
        _bounded(read, one)
        for one in joined(read)
        if not _NO_DURATION.match(read, one.end)
        and not _AFTER_AGE.search(read, max(0, one.start - 10), one.start)
    )
    return tuple(kept)[: spans.MAX_SPANS]


@lru_cache(maxsize=_MEMORY)
def joined(read: str) -> tuple[Duration, ...]:
    """Return the durations of a bounded text with their parts put together ("1 year 1 month 21 days")."""
    found: list[Duration] = []
    stretches = spans.windows(_ANCHOR, lowered(read), *_AROUND)
    parts = [*_counted(read, stretches), *_singles(read, stretches)]
    if not read.isascii():
        digits = (match for match in _FOREIGN.finditer(read) if not match["digits"].isascii())
        parts.extend(replace(_one(match, ()), outcome="mixed_scripts") for match in digits)
    for part in spans.apart(parts):
        last = found[-1] if found else None
        if last is not None and _continues(read, last, part):
            found[-1] = replace(
                last, end=part.end, text=read[last.start : part.end], parts=(*last.parts, *part.parts)
            )
        else:
            found.append(part)
    return tuple(found)


def _continues(read: str, last: Duration, part: Duration) -> bool:
    gap = read[last.end : part.start]
    return (
        len(gap) <= 6
        and _JOIN.fullmatch(gap) is not None
        and last.outcome == part.outcome == "read"
        and last.upto is None
        and part.upto is None
        and len(last.parts) < MAX_PARTS
        and part.parts[0][1] not in {unit for _, unit in last.parts}
    )


def _counted(read: str, stretches: Sequence[tuple[int, int]]) -> Iterator[Duration]:
    for match in spans.within(_COUNTED, read, stretches):
        code, times = _code(match["unit"])
        value = number(match["number"])
        upto = Decimal(match["upto"]) * times if match["upto"] else None
        outcome: Outcome = "read"
        parts: tuple[tuple[Decimal, str], ...] = ()
        if value is None:
            outcome = "impossible"
        else:
            half = Decimal("0.5") if match["half"] or match["more"] else Decimal(0)
            parts = (((value + half) * times, code),)
            if upto is not None and upto < parts[0][0]:
                outcome = "conflict"
        yield Duration(
            start=match.start(), end=match.end(), text=match[0], outcome=outcome, parts=parts, upto=upto
        )


def _singles(read: str, stretches: Sequence[tuple[int, int]]) -> Iterator[Duration]:
    """Yield what has no numeral: halves, "a", "all", "another", and the vague ones."""
    for match in spans.within(_HALVED, read, stretches):
        code, times = _code(match["unit"])
        yield _one(match, ((Decimal("0.5") * times, code),))
    for match in spans.within(_ONE, read, stretches):
        code, times = _code(match["unit"])
        if match["unit"].lower() == "second" and _ORDINAL.match(read, match.end()):
            continue
        more = Decimal("0.5") if match["more"] else Decimal(0)
        yield _one(match, (((1 + more) * times, code),))
    for match in spans.within(_VAGUE, read, stretches):
        code, times = _code(match["unit"])
        if match["two"]:
            yield _one(match, ((Decimal(2) * times, code),))
        else:
            yield replace(_one(match, ()), outcome="vague")


def _one(match: re.Match[str], parts: tuple[tuple[Decimal, str], ...]) -> Duration:
    return Duration(start=match.start(), end=match.end(), text=match[0], parts=parts)


def _bounded(read: str, one: Duration) -> Duration:
    """Take "more than" in front into the span."""
    found = _BOUND.search(read, max(0, one.start - 14), one.start)
    if found is None:
        return one
    bound: Bound = "<" if found["less"] else ">"
    return replace(one, start=found.start(), text=read[found.start() : one.end], bound=bound)


def _code(word: str) -> tuple[str, int]:
    low = " ".join(word.lower().split())
    return _CODES.get(low) or _LETTERS[low]


def _plain(value: Decimal) -> str:
    """Write a value without exponent or trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
