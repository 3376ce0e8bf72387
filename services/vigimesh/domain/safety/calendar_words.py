"""Words of the calendar: months, weekdays, days and years as English texts write them, and what can be said of them.

Patterns are texts to be compiled with `re.IGNORECASE`; each is bounded. Weeks begin on Monday (ISO 8601). A year of two
digits is read as POSIX `%y` does: 69-99 are 1969-1999, 00-68 are 2000-2068.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import MAXYEAR, MINYEAR, date, timedelta

#: First two-digit year that is of the last century (POSIX strptime, `%y`).
PIVOT = 69
#: Years looked through for a day with a given month, day and weekday: the calendar repeats after 28, or 40 over 1900.
MAX_YEARS = 40

_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
           "november", "december")  # fmt: skip
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
_CARDINALS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
              "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")  # fmt: skip
_LATER = ("tenth", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth",
          "eighteenth", "nineteenth")  # fmt: skip

_UNITS = {word: value for value, word in enumerate(_ORDINALS, start=1)}
_UNITS |= {word: value for value, word in enumerate(_CARDINALS[:9], start=1)}
_DAYS = _UNITS | {word: value for value, word in enumerate(_LATER, start=10)}
_DAYS |= {word: value for value, word in enumerate(_CARDINALS, start=1)}
_DAYS |= {"twenty": 20, "twentieth": 20, "thirty": 30, "thirtieth": 30}
_TENS = {word: 10 * value for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)}  # fmt: skip


def _any(words: Iterable[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


MONTH = rf"(?:{'|'.join(_MONTHS)}|sept|{'|'.join(name[:3] for name in _MONTHS if len(name) > 3)})(?![a-z])"
#: Full names, and short forms that are no other word.
WEEKDAY_NAME = rf"(?:{'|'.join(_WEEKDAYS)}|tues|weds|thurs|thur)"
WEEKDAY = rf"{WEEKDAY_NAME}(?![a-z])"
#: Also the short forms that are, for where a date follows.
SHORT_WEEKDAY = (
    rf"(?:{'|'.join(_WEEKDAYS)}|tues|weds|thurs|thur|{'|'.join(name[:3] for name in _WEEKDAYS)})(?![a-z])"
)
DAY_NUMBER = r"(?:[0-9]{1,2}(?:st|nd|rd|th)?)(?![0-9a-z])"
DAY_WORD = rf"(?:(?:twenty|thirty)[ -](?:{_any(_UNITS)})|{_any(_DAYS)})(?![a-z])"
#: A day glued to the month before or after it: "22april".
DAY = rf"(?:{DAY_NUMBER}|{DAY_WORD})"
YEAR = r"(?:[12][0-9]{3}(?![0-9]))"
_TWO = rf"(?:(?:{_any(_TENS)})(?:[ -](?:{_any(_UNITS)}))?|(?:zero|oh|o)[ -](?:{_any(_UNITS)})|{_any(_CARDINALS[9:])}|hundred)"
YEAR_WORD = rf"(?:two thousand(?: (?:and )?(?:{_any(_CARDINALS)}|{_TWO}))?|(?:seventeen|eighteen|nineteen|twenty)[ -]{_TWO})(?![a-z])"


def month_of(word: str) -> int:
    """Return the number of a month's name."""
    return next(
        at for at, name in enumerate(_MONTHS, start=1) if name.startswith(word.lower().rstrip(".")[:3])
    )


def weekday_of(word: str) -> int:
    """Return the number of a weekday's name, Monday 0."""
    return next(at for at, name in enumerate(_WEEKDAYS) if name.startswith(word.lower()[:3]))


def day_of(word: str) -> int:
    """Return the number of a day ("22nd", "twenty second", "fifteen")."""
    digits = re.match(r"[0-9]{1,2}", word)
    if digits:
        return int(digits[0])
    tens, _, rest = word.lower().replace("-", " ").partition(" ")
    return _TENS[tens] + _UNITS[rest] if rest else _DAYS[tens]


def year_of(word: str) -> int:
    """Return the number of a year ("1997", "97", "'97", "nineteen zero one", "two thousand and eighteen")."""
    bare = word.strip(" ',\u2019")
    if bare.isdigit():
        value = int(bare)
        return value if len(bare) > 2 else value + (1900 if value >= PIVOT else 2000)
    words = [part for part in bare.lower().replace("-", " ").split() if part != "and"]
    if words[:2] == ["two", "thousand"]:
        return 2000 + _two_digits(words[2:])
    century = {"seventeen": 1700, "eighteen": 1800, "nineteen": 1900, "twenty": 2000}[words[0]]
    return century + (0 if words[1] == "hundred" else _two_digits(words[1:]))


def _two_digits(words: list[str]) -> int:
    values = (_TENS.get(word, _DAYS.get(word, 0)) for word in words)
    return sum(values)


def day(year: int, month: int, number: int) -> date | None:
    """Return a day, or None when there is none such (31 February)."""
    try:
        return date(year, month, number)
    except ValueError:
        return None


def around(reference: date, month: int, number: int, weekday: int | None = None) -> tuple[date, ...]:
    """Return the last such day before `reference` and the first from it on; empty when there never is one."""
    return _both(
        (day(reference.year - step, month, number) for step in range(MAX_YEARS)),
        (day(reference.year + step, month, number) for step in range(MAX_YEARS)),
        reference,
        weekday,
    )


def around_month(reference: date, number: int, weekday: int | None = None) -> tuple[date, ...]:
    """Return the last day with that number in its month before `reference`, and the first from it on."""
    months = 12 * (MAX_YEARS if weekday is not None else 1)
    return _both(
        (in_month(reference, -step, number) for step in range(months)),
        (in_month(reference, step, number) for step in range(months)),
        reference,
        weekday,
    )


def _both(
    back: Iterator[date | None], ahead: Iterator[date | None], reference: date, weekday: int | None
) -> tuple[date, ...]:
    fits = (one for one in back if one and one < reference and weekday in (None, one.weekday()))
    follows = (one for one in ahead if one and one >= reference and weekday in (None, one.weekday()))
    return tuple(one for one in (next(fits, None), next(follows, None)) if one is not None)


def in_month(reference: date, months: int, number: int) -> date | None:
    """Return the day `number` of the month that lies `months` after that of `reference`."""
    index = reference.year * 12 + reference.month - 1 + months
    return day(index // 12, index % 12 + 1, number)


def nth_weekday(year: int, month: int, weekday: int, nth: int) -> date | None:
    """Return the nth such weekday of a month, or None when it has fewer."""
    first = day(year, month, 1)
    if first is None:
        return None
    return day(year, month, 1 + (weekday - first.weekday()) % 7 + 7 * (nth - 1))


def in_week(reference: date, weeks: int, weekday: int) -> date | None:
    """Return the weekday of the week that lies `weeks` after that of `reference`."""
    return shifted(reference, 7 * weeks + weekday - reference.weekday())


def shifted(reference: date, days: int) -> date | None:
    """Return the day so many days later, or None beyond the calendar."""
    try:
        return reference + timedelta(days=days)
    except OverflowError:
        return None


def months_later(reference: date, months: int) -> date | None:
    """Return the same day so many months later; the last of the month where there is no such day."""
    index = reference.year * 12 + reference.month - 1 + months
    if not MINYEAR <= index // 12 <= MAXYEAR:
        return None
    found = (day(index // 12, index % 12 + 1, reference.day - less) for less in range(4))
    return next((one for one in found if one is not None), None)


def working_days_later(reference: date, days: int) -> date | None:
    """Return the day so many working days on, or back (Monday to Friday; no holidays are known here)."""
    sign = -1 if days < 0 else 1
    # From a weekend one counts as from the working day on its near side: five of them are then always a week.
    while reference.weekday() > 4:
        moved = shifted(reference, -sign)
        if moved is None:
            return None
        reference = moved
    weeks, rest = divmod(abs(days), 5)
    found = shifted(reference, 7 * weeks * sign)
    while found is not None and rest:  # at most six steps
        found = shifted(found, sign)
        rest -= found is not None and found.weekday() < 5
    return found
