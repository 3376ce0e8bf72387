"""Dates told from another day: "yesterday", "two weeks ago", "next week on Friday", "the first Friday of July".

They are resolved against the reference day, in weeks that begin on Monday (ISO 8601): "next Sunday" is that of next week,
and where the nearest one is another, both are readings. Without a reference the outcome is `needs_reference`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal

from vigimesh.domain.safety import calendar_words as words
from vigimesh.domain.safety import spans
from vigimesh.domain.safety.calendar_words import (
    DAY_NUMBER,
    DAY_WORD,
    MONTH,
    SHORT_WEEKDAY,
    WEEKDAY,
    WEEKDAY_NAME,
    YEAR,
)
from vigimesh.domain.safety.date_values import TextDate, Told, iso, made
from vigimesh.domain.safety.durations import BUSINESS_DAY, Duration, joined
from vigimesh.domain.safety.numerals import NUMBER, number

_WHICH = r"(?:this|next|last|past|coming|previous|following)"
_STEP = {"this": 0, "next": 1, "following": 1, "coming": 1, "last": -1, "past": -1, "previous": -1}
_NTH = {
    "first": 1,
    "second": 2,
    "third": 3,
    "fourth": 4,
    "fifth": 5,
    "1st": 1,
    "2nd": 2,
    "3rd": 3,
    "4th": 4,
    "5th": 5,
}
_ORDINAL = "|".join(_NTH)
_END = r"(?= {0,2}(?:[.,;:!?)]|$))"
_DAYS = {"today": 0, "tomorrow": 1, "tmrw": 1, "tomorow": 1, "yesterday": -1, "now": 0}

_NAMED_DAY = re.compile(
    r"\b(?:the day (?P<side>before yesterday|after (?:tomorrow|tmrw))|(?P<name>today|tomorrow|tmrw|yesterday)"
    r"|(?:the )?(?P<which>next|last|past|previous|following|this) day)\b",
    re.IGNORECASE,
)
_SINCE = re.compile(r" (?P<way>ago|later|hence|earlier|after|before|from)(?: (?P<anchor>today|tomorrow|tmrw|yesterday|now))?\b", re.IGNORECASE)  # fmt: skip
_IN = re.compile(r"\bin $", re.IGNORECASE)
_WEEKDAYS_ON = re.compile(rf"\b(?P<number>{NUMBER}|an?) (?P<weekday>{WEEKDAY_NAME}s?)(?![a-z]) (?:from (?:now|today)|later)\b", re.IGNORECASE)  # fmt: skip
_THIS_WEEKDAY = re.compile(rf"\b(?P<which>{_WHICH}) (?P<weekday>{SHORT_WEEKDAY})", re.IGNORECASE)
_WEEK_WEEKDAY = re.compile(rf"\b(?P<which>{_WHICH}) week(?: on)? (?P<weekday>{SHORT_WEEKDAY})", re.IGNORECASE)
_WEEKDAY_WEEK = re.compile(
    rf"\b(?:on )?(?P<weekday>{SHORT_WEEKDAY}) (?:of )?(?P<which>{_WHICH}) week\b", re.IGNORECASE
)
_NTH_WEEKDAY = re.compile(
    rf"\b(?:(?:the )?(?P<nth>{_ORDINAL}|last) (?P<weekday>{SHORT_WEEKDAY}) (?:of|in) (?:(?P<month>{MONTH})(?:,? (?:of )?(?P<year>{YEAR}))?|(?P<which>{_WHICH}) month\b)"
    rf"|(?P<nth2>{_ORDINAL}) (?P<weekday2>{WEEKDAY}))",
    re.IGNORECASE,
)
_DAY_OF_MONTH = re.compile(
    rf"\b(?:the )?(?P<day>{DAY_NUMBER}|{DAY_WORD}) (?:of )?(?P<which>this|next|last|previous) month\b",
    re.IGNORECASE,
)
_WEEKDAY_DAY = re.compile(
    rf"\b(?P<weekday>{SHORT_WEEKDAY}),? the (?P<day>{DAY_NUMBER}|{DAY_WORD})", re.IGNORECASE
)
_DAY_ALONE = re.compile(
    rf"\b(?:(?P<on>on |for |since |until )(?P<the>the )?)(?P<day>{DAY_NUMBER}|{DAY_WORD}){_END}",
    re.IGNORECASE,
)
_WEEKDAY_ALONE = re.compile(rf"(?<![\w-])(?P<weekday>{WEEKDAY})", re.IGNORECASE)


def relative(read: str, low: str, known: Told) -> Iterator[TextDate]:
    """Yield what is told from another day in a bounded text (`low` is its lower case); they may overlap."""
    for anchor, rules in _RULES:
        stretches = spans.windows(anchor, low, *_AROUND)
        for pattern, rule in rules:
            for match in spans.within(pattern, read, stretches):
                yield from _one(match, rule, known)
    yield from _spans_of_time(read, known)


def _one(match: re.Match[str], rule: Rule, known: Told) -> Iterator[TextDate]:
    start = _start(match)
    text = match[0][start - match.start() :]
    if known.reference is None and not match.groupdict().get("year"):
        yield made(start, text, (), "needs_reference")
        return
    days = rule(match, known.reference or date.min)
    if days is not None:
        yield made(start, text, iso(days))


def _start(match: re.Match[str]) -> int:
    """Leave out the "on" before a day."""
    return match.end("on") if match.groupdict().get("on") else match.start()


Days = tuple[date | None, ...]
Rule = Callable[[re.Match[str], date], Days | None]


def _named_day(match: re.Match[str], reference: date) -> Days:
    if match["side"]:
        return (words.shifted(reference, 2 if match["side"].lower().startswith("after") else -2),)
    step = _DAYS[match["name"].lower()] if match["name"] else _STEP[match["which"].lower()]
    return (words.shifted(reference, step),)


def _weekdays_on(match: re.Match[str], reference: date) -> Days | None:
    count = Decimal(1) if match["number"].lower() in ("a", "an") else number(match["number"])
    if count is None or count != int(count) or not 1 <= count <= 520:
        return None
    weekday = words.weekday_of(match["weekday"])
    ahead = (weekday - reference.weekday() - 1) % 7 + 1
    return (words.shifted(reference, ahead + 7 * (int(count) - 1)),)


def _this_weekday(match: re.Match[str], reference: date) -> Days:
    """Return that of this, next or last week, and the nearest where it is another ("next Sunday")."""
    weekday, which = words.weekday_of(match["weekday"]), match["which"].lower()
    found = words.in_week(reference, _STEP[which], weekday)
    if which == "this":
        return (found,)
    if which in ("past", "coming", "following"):
        ahead = (weekday - reference.weekday() - 1) % 7 + 1
        behind = (reference.weekday() - weekday - 1) % 7 + 1
        return (words.shifted(reference, -behind if which == "past" else ahead),)
    near = words.in_week(reference, 0, weekday)
    other = near if near and (near > reference if which == "next" else near < reference) else found
    return tuple(sorted({one for one in (found, other) if one}))


def _week(match: re.Match[str], reference: date) -> Days:
    return (words.in_week(reference, _STEP[match["which"].lower()], words.weekday_of(match["weekday"])),)


def _nth_weekday(match: re.Match[str], reference: date) -> Days | None:
    if match["nth2"]:
        weekday, nth = words.weekday_of(match["weekday2"]), _NTH[match["nth2"].lower()]
        return (words.nth_weekday(reference.year, reference.month, weekday, nth),)
    weekday = words.weekday_of(match["weekday"])
    if match["nth"].lower() == "last":
        return None if match["which"] else _last_weekday(match, reference, weekday)
    nth = _NTH[match["nth"].lower()]
    if match["which"]:
        first = words.months_later(reference.replace(day=1), _STEP[match["which"].lower()])
        return (words.nth_weekday(first.year, first.month, weekday, nth),) if first else ()
    month = words.month_of(match["month"])
    if match["year"]:
        return (words.nth_weekday(words.year_of(match["year"]), month, weekday, nth),)
    return _past_and_coming(
        [words.nth_weekday(reference.year + step, month, weekday, nth) for step in (-1, 0, 1)], reference
    )


def _last_weekday(match: re.Match[str], reference: date, weekday: int) -> Days:
    month = words.month_of(match["month"])
    years = (
        [words.year_of(match["year"])] if match["year"] else [reference.year + step for step in (-1, 0, 1)]
    )
    found = [
        words.nth_weekday(year, month, weekday, 5) or words.nth_weekday(year, month, weekday, 4)
        for year in years
    ]
    return tuple(found) if match["year"] else _past_and_coming(found, reference)


def _past_and_coming(days: list[date | None], reference: date) -> Days:
    there = sorted(one for one in days if one)
    past, coming = [one for one in there if one < reference], [one for one in there if one >= reference]
    return (*past[-1:], *coming[:1])


def _day_of_month(match: re.Match[str], reference: date) -> Days:
    return (words.in_month(reference, _STEP[match["which"].lower()], words.day_of(match["day"])),)


def _weekday_day(match: re.Match[str], reference: date) -> Days:
    """Return the day of this month when its weekday is right, else the nearest before and after that are."""
    weekday, day = words.weekday_of(match["weekday"]), words.day_of(match["day"])
    this = words.in_month(reference, 0, day)
    return (this,) if this and this.weekday() == weekday else words.around_month(reference, day, weekday)


def _day_alone(match: re.Match[str], reference: date) -> Days | None:
    day = words.day_of(match["day"])
    led = match["the"] or match["on"].lower() == "on "
    return words.around_month(reference, day) if led and 1 <= day <= 31 else None


def _weekday_alone(match: re.Match[str], reference: date) -> Days:
    weekday = words.weekday_of(match["weekday"])
    behind = (reference.weekday() - weekday - 1) % 7 + 1
    return (words.shifted(reference, -behind), words.shifted(reference, 7 - behind))


def _spans_of_time(read: str, known: Told) -> Iterator[TextDate]:
    """Yield durations before or after a day: "two weeks ago", "three weeks from tomorrow", "in 3 weeks"."""
    for one in joined(read):
        if not _of_days(one):
            continue
        since = _SINCE.match(read, one.end)
        way = since["way"].lower() if since else ""
        if since and (since["anchor"] or way in ("ago", "later", "hence", "earlier")):
            sign = -1 if way in ("ago", "before", "earlier") else 1
            anchor = _DAYS[(since["anchor"] or "now").lower()]
            yield _moved(read, one, (one.start, since.end()), known, (sign, anchor))
            continue
        lead = _IN.search(read, max(0, one.start - 4), one.start)
        if lead and one.outcome == "read" and one.upto is None and one.text[:1].lower() not in "a":
            yield _moved(read, one, (lead.start(), one.end), known, (1, 0))


def _of_days(one: Duration) -> bool:
    """Say whether it moves whole days: hours ago are no date; a vague one is, if it names days."""
    if one.outcome == "vague":
        return not re.search(r"(?:second|sec|minute|min|hour|hr)s?$", one.text, re.IGNORECASE)
    return bool(one.parts) and all(unit in _UNITS for _, unit in one.parts)


_UNITS = frozenset({"a", "mo", "wk", "d", BUSINESS_DAY})


def _moved(read: str, one: Duration, span: tuple[int, int], known: Told, move: tuple[int, int]) -> TextDate:
    start, text = span[0], read[span[0] : span[1]]
    if one.outcome == "vague" or one.upto is not None:
        return made(start, text, (), "vague")
    if known.reference is None:
        return made(start, text, (), "needs_reference")
    sign, anchor = move
    day = words.shifted(known.reference, anchor)
    return made(start, text, iso((_applied(day, one, sign),)), None)


def _applied(day: date | None, one: Duration, sign: int) -> date | None:
    """Return the day moved by whole years and months first, then weeks and days; None when it cannot be."""
    amounts = dict.fromkeys(_UNITS, Decimal(0))
    for value, unit in one.parts:
        amounts[unit] += value
    months = amounts["a"] * 12 + amounts["mo"]
    days = amounts["wk"] * 7 + amounts["d"]
    if any(abs(value) > 10**6 or value != int(value) for value in (months, days, amounts[BUSINESS_DAY])):
        return None
    moved = day and words.months_later(day, sign * int(months))
    moved = moved and words.shifted(moved, sign * int(days))
    working = int(amounts[BUSINESS_DAY])
    return words.working_days_later(moved, sign * working) if moved and working else moved


#: Characters before and after its anchor that a rule may look at: four words each.
_AROUND = (64, 64)
#: What every match of the rules holds, and the rules. Anchors are searched in lower case.
_RULES: tuple[tuple[re.Pattern[str], tuple[tuple[re.Pattern[str], Rule], ...]], ...] = (
    (re.compile(r"(?:today|tomorrow|tmrw|yesterday|day\b)"), ((_NAMED_DAY, _named_day),)),
    (
        re.compile(r"(?:mon|tue|wed|thu|fri|sat|sun)(?![abcefghijklmopqtvwxyz])"),
        (
            (_WEEKDAYS_ON, _weekdays_on),
            (_THIS_WEEKDAY, _this_weekday),
            (_WEEK_WEEKDAY, _week),
            (_WEEKDAY_WEEK, _week),
            (_NTH_WEEKDAY, _nth_weekday),
            (_WEEKDAY_DAY, _weekday_day),
            (_WEEKDAY_ALONE, _weekday_alone),
        ),
    ),
    (re.compile(r"(?:this|next|last|previous) month\b"), ((_DAY_OF_MONTH, _day_of_month),)),
    (re.compile(r"(?:on|for|since|until) "), ((_DAY_ALONE, _day_alone),)),
)
