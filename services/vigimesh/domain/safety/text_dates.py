"""Dates in free English text, with the precision they are given in and every reading they may have.

What `dates` reads (ICH E2B(R3) 3.3.6, appendix II) is left to it: a reading here is a text it understands (`2016-11-07`,
`2016-11`, `2016`), or `--11-07` where the text names no year. `03/04/97` has two readings, unless the caller knows the
order of the source's country. What depends on the day it is told from ("two weeks ago", "on Friday") is resolved against
a reference day only: a story's "the next day" is never guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from vigimesh.domain.safety import calendar_words as words
from vigimesh.domain.safety import spans
from vigimesh.domain.safety.calendar_words import DAY, DAY_WORD, MONTH, SHORT_WEEKDAY, YEAR, YEAR_WORD
from vigimesh.domain.safety.date_values import TextDate, Told, iso, made
from vigimesh.domain.safety.dates import parse
from vigimesh.domain.safety.relative_dates import relative
from vigimesh.domain.safety.spans import Outcome
from vigimesh.domain.safety.text_seriousness import lowered

_BEFORE = r"(?<![\w.,/$#-])"
#: A month's name may follow a dash that no figure stands before: "21OCT-24OCT".
_BEFORE_NAMED = r"(?<![\w.,/$#])(?<![0-9]-)"
#: Also not behind a figure: "10 1/2", and "107.31 August 2019", whose day was not understood.
_APART = rf"{_BEFORE}(?<!\d )"
_GUARD = (
    # "21OCT-24OCT" are two dates, "12-3-4" is none.
    r"(?![0-9])(?!-[0-9]++(?!jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))(?!/[0-9])(?!\.[0-9])(?!,[0-9]{3})"
    r"(?! ?(?:%|mg|mcg|ug|ml|cc|g|kg|lbs?|units?|iu|days?|hours?|hrs?|weeks?|wks?|months?|years?|yrs?|minutes?|mins?"
    r"|tabs?|tablets?|capsules?|times|patients?|pts|doses?|percent|am|pm)\b)"
)
_YEAR = rf"(?P<year>{YEAR}|{YEAR_WORD}|['\u2019][0-9]{{2}})"
#: A weekday in front: "Monday, ", "this Friday (", "Friday-".
_WEEKDAY = rf"(?:(?P<this>this )?(?P<weekday>{SHORT_WEEKDAY})\.?(?P<gap>,? ?\(?|-)(?:the )?)?"
#: A year behind a month: four digits or words, two digits behind a dash or glued ("28JUN95"), or two that are no day.
_AFTER_MONTH = rf"(?:(?:\.?,? ?(?:of )?|[-/]){_YEAR}|(?P<short>[-/]?[0-9]{{2}}(?![0-9a-z])|\.? (?:3[2-9]|[4-9][0-9])(?![0-9])))?"

_MONTH_FIRST = re.compile(
    rf"{_BEFORE_NAMED}\b{_WEEKDAY}(?P<month>{MONTH})(?:\.? ?,? ?(?:the )?|[-/])(?P<day>{DAY})(?:(?:,? ?(?:of )?|[-/]){_YEAR}|(?P<short>[-/][0-9]{{2}}(?![0-9a-z])))?{_GUARD}",
    re.IGNORECASE,
)
_DAY_FIRST = re.compile(
    rf"{_BEFORE_NAMED}{_WEEKDAY}(?P<day>[0-9]{{1,2}}(?:st|nd|rd|th)?|{DAY_WORD})(?: of |\. |[-/ ]|)(?P<month>{MONTH}){_AFTER_MONTH}{_GUARD}",
    re.IGNORECASE,
)
_YEAR_FIRST = re.compile(
    rf"{_BEFORE}{_WEEKDAY}(?P<year>[12][0-9]{{3}})(?P<sep>[-/.])(?P<month>[0-9]{{1,2}}|{MONTH})(?P=sep)(?P<day>[0-9]{{1,2}})(?P<time>T[0-9:.,+Z-]{{2,26}})?(?![0-9])",
    re.IGNORECASE,
)
_FIGURES = re.compile(
    rf"{_BEFORE}{_WEEKDAY}(?P<one>[0-9]{{1,2}})(?P<sep>[-/.])(?P<two>[0-9]{{1,2}})(?:(?P=sep)|(?P<comma>, ?))(?P<year>{YEAR}|[0-9]{{2}}){_GUARD}(?!\w)",
    re.IGNORECASE,
)
_NO_YEAR = re.compile(
    rf"{_APART}(?:(?P<led>\b(?:on|in|since|until|from|by|dated?) {{1,8}})|(?=\w)){_WEEKDAY}(?P<one>[0-9]{{1,2}})(?P<sep>[-/.])(?P<two>[0-9]{{1,2}}){_GUARD}(?![\w\"'])(?P<after> [a-z]{{1,12}})?",
    re.IGNORECASE,
)
_MONTH_YEAR = re.compile(
    rf"{_APART}\b(?P<month>{MONTH})\.?(?:,? (?:of )?|[-/]|)(?P<year>{YEAR}|['\u2019][0-9]{{2}}|(?:3[2-9]|[4-9][0-9])(?![0-9]))(?![0-9/-])|{_APART}(?P<figure>0?[1-9]|1[0-2])/(?P<year2>{YEAR})(?![/-])",
    re.IGNORECASE,
)
_MONTH_BEFORE = re.compile(rf"{MONTH}\.? ?$", re.IGNORECASE)
_YEAR_ALONE = re.compile(
    rf"\b(?:in|since|from|until|till|during|before|after|year|early|late|circa|mid|around) (?P<year>{YEAR})(?![0-9/.-][0-9])(?! ?(?:mg|ml|mcg|g|units?|iu|patients?|%))\b",
    re.IGNORECASE,
)
#: Figures of which some are digits of another script; tried only on texts that have any.
_FOREIGN = re.compile(r"(?<!\w)\d{1,4}([-/.])\d{1,2}\1\d{1,4}(?!\w)")
_COMPACT = re.compile(
    r"(?<![\w./-])(?P<text>(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:[0-3][0-9](?:[0-9]{4,6})?)(?:[+-][0-9]{4})?)(?![\w/-])"
)
#: What may follow a date of two figures without a word that leads to it; else "1/2 tablet" would be one.
_FOLLOWS = frozenset(
    " and at with when he she pt patient the in after then for from to because who which was were had is but until they".split()
)
_SCORE = re.compile(r"\b(?:pain|scale|scores?|strength|rated?|severity|intensity|power|apgar|gcs|edema|pulses?|vision|reflexes|bp|ratio)\b[^.;\n]{0,20}$", re.IGNORECASE)  # fmt: skip


def text_dates(text: str, told: Told | None = None) -> tuple[TextDate, ...]:
    """Return the dates in `text`, in its order. Without `told`, what is relative is `needs_reference`.

    `spans.unread` says what lies beyond the limits.
    """
    known = told or Told()
    read = spans.bounded(text)
    found: list[TextDate] = []
    low = lowered(read)
    for anchor, rules in _RULES:
        stretches = spans.windows(anchor, low, *_AROUND)
        for pattern, rule in rules:
            for match in spans.within(pattern, read, stretches):
                found.extend(rule(match, known))
    found.extend(relative(read, low, known))
    if not read.isascii():
        figures = (match for match in _FOREIGN.finditer(read) if not match[0].isascii())
        found.extend(made(match.start(), match[0], (), "mixed_scripts") for match in figures)
    return tuple(spans.apart(found))[: spans.MAX_SPANS]


def _named_month(match: re.Match[str], known: Told) -> Iterator[TextDate]:
    year = match["year"] or match["short"] or ""
    if (
        match["day"].isdigit()
        and int(match["day"]) > 31
        and not match["year"]
        and match.start("month") < match.start("day")
    ):
        return  # "OCT95" is a month, "BP dec 90/60" no date
    yield from _dated(match, known, (words.month_of(match["month"]), words.day_of(match["day"])), year)


def _dated(match: re.Match[str], known: Told, month_day: tuple[int, int], year: str) -> Iterator[TextDate]:
    """Yield the date of a month, a day and perhaps a year, its weekday weighed; two where the weekday is another day."""
    weekday = words.weekday_of(match["weekday"]) if match["weekday"] else None
    text = _whole(match)
    start = _start(match)
    if year:
        whole = words.day(words.year_of(year.strip("-/. ")), *month_day)
        outcome: Outcome | None = "conflict" if whole and weekday not in (None, whole.weekday()) else None
        yield made(start, text, (whole.isoformat(),) if whole else (), outcome)
        return
    if words.day(2000, *month_day) is None:  # a leap year: 29 February may be
        yield made(start, text, ())
        return
    if known.reference is None:
        yield made(start, text, (f"--{month_day[0]:02}-{month_day[1]:02}",))
        return
    if match["this"] and weekday is not None:
        this = words.in_week(known.reference, 0, weekday)
        if this is not None and (this.month, this.day) != month_day:
            yield made(match.start("this"), match["this"] + match["weekday"], (this.isoformat(),))
            rest = match.end("gap")
            behind = text[rest - start :].removesuffix(")")
            yield made(rest, behind, iso(words.around(known.reference, *month_day)))
            return
        yield made(start, text, iso((this,)))
        return
    yield made(start, text, iso(words.around(known.reference, *month_day, weekday)))


def _start(match: re.Match[str]) -> int:
    led = match.groupdict().get("led")
    return match.start() + (len(led) if led else 0)


def _whole(match: re.Match[str]) -> str:
    """Return the matched text without the word that leads to it, with the bracket that closes it."""
    after = match.groupdict().get("after") or ""
    text = match[0][_start(match) - match.start() :].removesuffix(after)
    closed = "(" in (match["gap"] or "") and match.string.startswith(")", match.end() - len(after))
    return text + ")" if closed else text


def _year_first(match: re.Match[str], known: Told) -> Iterator[TextDate]:
    month = int(match["month"]) if match["month"].isdigit() else words.month_of(match["month"])
    if match["time"]:
        stamp = f"{match['year']}-{month:02}-{int(match['day']):02}{match['time']}"
        if not parse(stamp.upper()).wrong:
            yield made(_start(match), _whole(match), (stamp.upper(),))
            return
    yield from _dated(match, known, (month, int(match["day"])), match["year"])


def _orders(match: re.Match[str], known: Told) -> tuple[tuple[int, int], ...]:
    """Return the (month, day) that two figures may be."""
    one, two = int(match["one"]), int(match["two"])
    both = [pair for pair in ((one, two), (two, one)) if 1 <= pair[0] <= 12 and 1 <= pair[1] <= 31]
    if len(both) == 2 and known.order:
        both = both[:1] if known.order == "month_first" else both[1:]
    return tuple(dict.fromkeys(both))


def _figures(match: re.Match[str], known: Told) -> Iterator[TextDate]:
    if _behind_month(match):
        return
    pairs = _orders(match, known)
    if len(pairs) == 1:
        yield from _dated(match, known, pairs[0], match["year"])
        return
    year = words.year_of(match["year"])
    days = tuple(words.day(year, *pair) for pair in pairs)
    if match["weekday"] and any(days):
        weekday = words.weekday_of(match["weekday"])
        days = tuple(one for one in days if one and one.weekday() == weekday) or days
    if pairs or len(match["year"]) == 4:
        yield made(_start(match), _whole(match), iso(days))


def _behind_month(match: re.Match[str]) -> bool:
    """Say whether the figures are two days of a month named before them ("May 3-5, 1996"): a period, not read."""
    return _MONTH_BEFORE.search(match.string, max(0, match.start() - 12), match.start()) is not None


def _no_year(match: re.Match[str], known: Told) -> Iterator[TextDate]:
    if _behind_month(match):
        return
    lead = (match["led"] or "").strip().lower()
    if not match["weekday"] and lead != "on":
        after = (match["after"] or "").strip().lower()
        window = match.string[max(0, match.start() - spans.MAX_QUOTE) : match.start()]
        if (not lead and match["sep"] != "/") or (after and after not in _FOLLOWS) or _SCORE.search(window):
            return
    pairs = _orders(match, known)
    if len(pairs) == 1:
        yield from _dated(match, known, pairs[0], "")
    elif pairs and known.reference is None:
        yield made(_start(match), _whole(match), tuple(f"--{month:02}-{day:02}" for month, day in pairs))
    elif pairs and known.reference is not None:
        days = sorted({one for pair in pairs for one in words.around(known.reference, *pair)})
        yield made(_start(match), _whole(match), iso(tuple(days)))


def _month_year(match: re.Match[str], _known: Told) -> Iterator[TextDate]:
    if match["figure"]:
        yield made(match.start(), match[0], (f"{match['year2']}-{int(match['figure']):02}",))
    else:
        year = words.year_of(match["year"])
        yield made(match.start(), match[0], (f"{year:04}-{words.month_of(match['month']):02}",))


def _year_alone(match: re.Match[str], _known: Told) -> Iterator[TextDate]:
    yield made(match.start("year"), match["year"], (match["year"],))


def _compact(match: re.Match[str], _known: Told) -> Iterator[TextDate]:
    """Yield E2B's own form, `20240315` with or without a time; a number that is no such date is none."""
    if not parse(match["text"]).wrong:
        yield made(match.start(), match["text"], (match["text"],))


Rule = Callable[[re.Match[str], Told], Iterator[TextDate]]

#: Characters before and after its anchor that a rule may look at: a weekday and a day in words in front, a year in words
#: and the guard behind.
_AROUND = (64, 96)
#: What every match of the rules holds, and the rules. Anchors are searched in lower case.
_RULES: tuple[tuple[re.Pattern[str], tuple[tuple[re.Pattern[str], Rule], ...]], ...] = (
    (
        re.compile(r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"),
        (
            (_MONTH_FIRST, _named_month),
            (_DAY_FIRST, _named_month),
            (_YEAR_FIRST, _year_first),
            (_MONTH_YEAR, _month_year),
        ),
    ),
    (
        re.compile(r"[0-9][-/.][0-9]"),
        ((_YEAR_FIRST, _year_first), (_FIGURES, _figures), (_NO_YEAR, _no_year), (_MONTH_YEAR, _month_year)),
    ),
    (re.compile(r"[12][0-9]{3}"), ((_YEAR_ALONE, _year_alone), (_COMPACT, _compact))),
)
