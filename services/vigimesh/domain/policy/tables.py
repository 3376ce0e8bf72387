"""Strict reading of TOML tables: each key is known, present and of its type, or the message names the nearest one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

from vigimesh.domain.policy.cel import nearest
from vigimesh.errors import Misconfigured

#: Characters of any one text of a card.
MAX_TEXT = 2_000
#: Entries of any one list of a card.
MAX_LIST = 64
#: Largest number of a card: a thousand million currency units in micro-units.
MAX_NUMBER = 10**15

_WORD = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TIME_OF_DAY = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d")
_SHARE = re.compile(r"0\.\d{1,9}")
_CURRENCY = re.compile(r"[A-Z]{3}")


def wrong(file: str, what: str, todo: str) -> Misconfigured:
    """Return the error of a card that is wrong."""
    return Misconfigured("VM-1103", what=what, where=file, todo=todo)


class Table:
    """One table of a card. All `keys` must be there, `optional` ones may be, and nothing else."""

    __slots__ = ("_values", "file", "path")

    def __init__(
        self,
        file: str,
        path: str,
        values: Mapping[str, Any],
        keys: Iterable[str],
        optional: Iterable[str] = (),
    ) -> None:
        """Check the keys; raises `Misconfigured` VM-1103 for an unknown one first, since that is what a typo is."""
        self.file = file
        self.path = path
        self._values = values
        required, known = list(keys), {*keys, *optional}
        for key in values:
            if key not in known:
                raise wrong(file, f"unknown key {self.name(key)!r}", nearest(key, known))
        for key in required:
            if key not in values:
                raise wrong(file, f"key {self.name(key)!r} is missing", f"add {self.name(key)!r}")

    def name(self, key: str) -> str:
        """Return the key with the tables it stands in: `budget.day_micro`."""
        return f"{self.path}.{key}" if self.path else key

    def has(self, key: str) -> bool:
        """Return whether an optional key is there."""
        return key in self._values

    def bad(self, key: str, expected: str) -> Misconfigured:
        """Return the error of a value that is not what is expected."""
        shown = repr(self._values[key])[:80]
        return wrong(self.file, f"{self.name(key)!r} is {shown}", f"give {expected}")

    def text(self, key: str) -> str:
        """Return a text that is not empty."""
        value = self._values[key]
        if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT:
            raise self.bad(key, f"a text of 1 to {MAX_TEXT} characters")
        return " ".join(value.split())

    def word(self, key: str) -> str:
        """Return a name: lower-case letters, digits and underscores."""
        return self._matching(key, _WORD, "a name of lower-case letters, digits and underscores")

    def time_of_day(self, key: str) -> str:
        """Return a time of day as HH:MM."""
        return self._matching(key, _TIME_OF_DAY, 'a time of day as "HH:MM"')

    def currency(self, key: str) -> str:
        """Return an ISO 4217 code."""
        return self._matching(key, _CURRENCY, 'a currency as ISO 4217 writes it, like "EUR"')

    def _matching(self, key: str, pattern: re.Pattern[str], expected: str) -> str:
        value = self._values[key]
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise self.bad(key, expected)
        return value

    def choice(self, key: str, allowed: Sequence[str]) -> str:
        """Return one of the allowed words."""
        value = self._values[key]
        if not isinstance(value, str) or value not in allowed:
            raise self.bad(key, nearest(str(value), allowed))
        return value

    def choices(self, key: str, allowed: Sequence[str], *, least: int = 0) -> tuple[str, ...]:
        """Return a list of different allowed words."""
        values = self._list(key)
        for value in values:
            if not isinstance(value, str) or value not in allowed:
                raise wrong(self.file, f"{self.name(key)!r} holds {value!r}", nearest(str(value), allowed))
        if len(set(values)) != len(values):
            raise self.bad(key, "each word once")
        if len(values) < least:
            raise self.bad(key, f"at least {least}")
        return tuple(values)

    def whole(self, key: str, low: int = 0, high: int = MAX_NUMBER) -> int:
        """Return a whole number within bounds; a text, a fraction or true is none."""
        value = self._values[key]
        if type(value) is not int or not low <= value <= high:
            raise self.bad(key, f"a whole number from {low} to {high}")
        return value

    def share(self, key: str) -> Fraction:
        """Return a share between 0 and 1, exactly as it is written: a text, because 0.95 as a number is not 95 in 100."""
        text = self._matching(key, _SHARE, 'a share between 0 and 1 in quotes, like "0.95"')
        share = Fraction(text)
        if not 0 < share < 1:
            raise self.bad(key, 'a share between 0 and 1 in quotes, like "0.95"')
        return share

    def rising(self, key: str, low: int, high: int) -> tuple[int, ...]:
        """Return at least one whole number, each above the last."""
        values = self._list(key)
        fits = all(type(value) is int and low <= value <= high for value in values)
        if not values or not fits or list(values) != sorted(set(values)):
            raise self.bad(key, f"whole numbers from {low} to {high}, each above the last")
        return tuple(values)

    def moment(self, key: str) -> datetime:
        """Return a date and time with its zone."""
        value = self._values[key]
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise self.bad(key, "a date and time with zone, without quotes, like 2026-01-31T12:00:00Z")
        return value

    def table(self, key: str, keys: Iterable[str], optional: Iterable[str] = ()) -> Table:
        """Return a table within this one."""
        value = self._values[key]
        if not isinstance(value, dict):
            raise self.bad(key, f"a table [{self.name(key)}]")
        return Table(self.file, self.name(key), value, keys, optional)

    def tables(self, key: str, keys: Iterable[str], optional: Iterable[str] = ()) -> tuple[Table, ...]:
        """Return a list of tables, at least one, each with a name of its own under `name`."""
        values = self._list(key)
        if not values or not all(isinstance(value, dict) for value in values):
            raise self.bad(key, f"at least one table [[{self.name(key)}]]")
        rows = tuple(
            Table(self.file, f"{self.name(key)}[{at}]", value, keys, optional)
            for at, value in enumerate(values, start=1)
        )
        seen: set[str] = set()
        for row in rows:
            name = row.word("name")
            if name in seen:
                raise wrong(
                    self.file, f"{row.name('name')!r} is {name!r} again", "give each rule a name of its own"
                )
            seen.add(name)
        return rows

    def _list(self, key: str) -> list[Any]:
        value = self._values[key]
        if not isinstance(value, list) or len(value) > MAX_LIST:
            raise self.bad(key, f"a list of at most {MAX_LIST} entries")
        return value
