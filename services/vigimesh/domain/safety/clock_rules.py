"""The table of legal clocks: its rows, and how they are read. `clocks.toml` beside this file is what ships."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass, fields
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

from vigimesh.errors import Misconfigured

#: Rows of a table: ten rules for each of the hundred or so authorities that take reports.
MAX_RULES = 1_000
#: Days of the longest clock that the law knows is 90; a year is surely a slip of the pen.
MAX_DAYS = 366

_CHOICES = {
    "report": ("post_marketing", "trial", "any"),
    "product": ("any", "drug", "vaccine", "device", "combination"),
    "trigger": (
        "serious", "serious_unlisted", "fatal_unlisted", "non_serious", "fda_1", "fda_4", "fda_5", "fda_6",
    ),
    "unit": ("calendar", "work"),
    "day0": ("first_received_on", "most_recent_on"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockRule:
    """One row; the columns are explained at the top of `clocks.toml`. `valid_to` None means still in force."""

    name: str
    jurisdiction: str
    report: str
    product: str
    trigger: str
    days: int
    unit: str
    day0: str
    source: str
    valid_from: date
    valid_to: date | None

    def in_force(self, day: date) -> bool:
        """Tell whether the rule holds for a report that arrives on `day`."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


def parse_rules(data: bytes, where: str) -> tuple[ClockRule, ...]:
    """Return the rules of a table; raises `Misconfigured` VM-1106 that names the rule, the column and what to do."""
    try:
        table = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as failure:
        raise _wrong(f"not a TOML file in UTF-8: {failure}", where, "correct the syntax") from failure
    rows = table.get("rule")
    if set(table) != {"rule"} or not isinstance(rows, list) or not 0 < len(rows) <= MAX_RULES:
        raise _wrong(f"wants only [[rule]] rows, 1 to {MAX_RULES} of them", where, "remove everything else")
    rules = tuple(_rule(row, f"{where}, rule {place}") for place, row in enumerate(rows, start=1))
    names = [rule.name for rule in rules]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise _wrong(f"two rules are named '{twice}'", where, "give each rule a name of its own")
    return rules


@cache
def shipped_rules() -> tuple[ClockRule, ...]:
    """Return the rules of the table that ships with the package, read once."""
    name = "clocks.toml"
    return parse_rules(files("vigimesh.domain.safety").joinpath(name).read_bytes(), name)


def _rule(row: Any, where: str) -> ClockRule:
    known = [field.name for field in fields(ClockRule)]
    if not isinstance(row, dict):
        raise _wrong("a rule is a table of columns", where, "write it as [[rule]]")
    for key in row:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, 0.0)[0]
            raise _wrong(f"unknown column '{key}'", where, f"did you mean '{near}'?")
    for key in known:
        if key not in row:
            raise _wrong(f"column '{key}' is missing", where, f"add {key} = ...")
    for key, choices in _CHOICES.items():
        if row[key] not in choices:
            near = difflib.get_close_matches(str(row[key]), choices, 1, 0.0)[0]
            raise _wrong(
                f"{key} is '{row[key]}'", where, f"use one of {', '.join(choices)}; nearest: '{near}'"
            )
    _check_values(row, where)
    return ClockRule(**{**row, "valid_to": row["valid_to"] or None})


def _check_values(row: dict[str, Any], where: str) -> None:
    for key in ("name", "jurisdiction", "source"):
        if not isinstance(row[key], str) or not row[key].strip():
            raise _wrong(f"{key} is empty", where, f"write {key} in quotes")
    if type(row["days"]) is not int or not 0 <= row["days"] <= MAX_DAYS:
        raise _wrong(f"days is {row['days']!r}", where, f"write a whole number from 0 to {MAX_DAYS}")
    if type(row["valid_from"]) is not date:
        raise _wrong("valid_from is no date", where, "write it as 2012-07-02, without quotes")
    until = row["valid_to"]
    if until != "" and type(until) is not date:
        raise _wrong("valid_to is no date", where, 'write it as 2012-07-02, or "" while the rule is in force')


def _wrong(what: str, where: str, todo: str) -> Misconfigured:
    return Misconfigured("VM-1106", what=f"clock table: {what}", where=where, todo=todo)
