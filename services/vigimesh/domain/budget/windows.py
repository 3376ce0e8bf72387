"""The windows of a budget, by the UTC calendar: a reservation counts in those of the moment it was asked at, for ever.

UTC has no summer time, so that a day has 24 hours and none is counted twice or left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

Window = Literal["minute", "day", "month", "case"]

#: In the order in which they are shown: the shortest first.
WINDOWS: tuple[Window, ...] = ("minute", "day", "month", "case")
#: In the order in which they are asked: what opens last is named first, so that nobody waits a minute for a month's end.
ASKED: tuple[Window, ...] = ("case", "month", "day", "minute")
#: Days after its last call for which a case's window stays open; after so long without one it begins anew. Follow-ups of a
#: case come within a year or so.
CASE_DAYS = 400
#: Years a moment may lie in; beyond, the end of its month has no date.
YEARS = range(2000, 9999)


@dataclass(frozen=True, slots=True)
class Span:
    """One window of the calendar: its name (`2026-11-28T21:30`, `2026-11-28`, `2026-11`), and from when to when it is."""

    name: str
    opens_at: datetime
    closes_at: datetime


def is_moment(value: object) -> bool:
    """Return whether `value` is a time with zone within `YEARS`."""
    return isinstance(value, datetime) and value.tzinfo is not None and value.year in YEARS


def span(window: Window, at: datetime) -> Span:
    """Return the minute, day or month that `at` lies in; it ends where the next one begins.

    Raises `ValueError` for a case, which is no span of time.
    """
    moment, name = at.astimezone(UTC), names_of(at, "")[window]
    if window == "minute":
        start = moment.replace(second=0, microsecond=0)
        return Span(name, start, start + timedelta(minutes=1))
    if window == "day":
        start = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        return Span(name, start, start + timedelta(days=1))
    if window == "month":
        start = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        # Day 1 and 32 days later lie in the next month, whichever month it is.
        return Span(name, start, (start + timedelta(days=32)).replace(day=1))
    raise ValueError("a case is no span of time")


def names_of(at: datetime, case_id: str) -> dict[Window, str]:
    """Return what the windows of a call asked for at `at` are kept under, in the order of `ASKED`; it stays so for ever."""
    # One text, cut: asked for every call and every row of a rebuild, where formatting each took the most time.
    text = at.astimezone(UTC).isoformat()
    return {"case": case_id, "month": text[:7], "day": text[:10], "minute": text[:16]}
