"""Dates as sources give them: of any precision, with or without a zone, or only the reason why there is none.

ICH E2B(R3) 3.3.6 and appendix II: `2024`, `202403`, `20240315`, `20240315102030-0500`, or a null flavour; ISO 8601 of
the same precision is read too. A date is an interval, so comparing two answers *before*, *after* or *unknown*: what
the source did not say is not made up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal

from vigimesh.events.case import Case

NULL_FLAVOURS = frozenset({"UNK", "ASKU", "NASK", "NI", "MSK", "NA", "OTH", "PINF", "NINF"})
Precision = Literal["none", "year", "month", "day", "hour", "minute", "second"]
Order = Literal["before", "after", "unknown"]

#: Clocks on earth differ by at most 26 hours (UTC-12 to UTC+14): two times without a zone nearer than that are unordered.
ZONE_SPREAD = timedelta(hours=26)
#: A local date may be ahead of UTC by so much before it is in the future.
ZONE_AHEAD = timedelta(hours=14)
#: Longest text that can be a date: ISO with fraction and zone has 35 characters.
MAX_CHARACTERS = 40
#: Distinct date texts remembered: the days of eleven years.
_MEMORY = 4_096

_DATE = re.compile(
    r"(?P<year>\d{4})(?:-?(?P<month>\d{2})(?:-?(?P<day>\d{2})"
    r"(?:[T ]?(?P<hour>\d{2})(?::?(?P<minute>\d{2})(?::?(?P<second>\d{2})(?:[.,]\d{1,9})?)?)?"
    r"(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)?)?)?)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialDate:
    """A date as given. `first` and `last` are the earliest and latest moment it may mean, on the source's own clock.

    `zone_minutes` is None when no zone was given. `null_flavour` says why there is none (`UNK`, `ASKU`, ...), `wrong`
    that the text is not a date; both have precision `none`.
    """

    text: str
    precision: Precision = "none"
    first: datetime | None = None
    last: datetime | None = None
    zone_minutes: int | None = None
    null_flavour: str = ""
    wrong: bool = False

    @property
    def known(self) -> bool:
        """Whether there is a date at all."""
        return self.first is not None

    @property
    def exact_day(self) -> date | None:
        """The calendar day where the source was, or None when it is not known to the day."""
        return (
            None if self.first is None or self.precision in ("none", "year", "month") else self.first.date()
        )


@lru_cache(maxsize=_MEMORY)
def parse(text: str) -> PartialDate:
    """Return the date that `text` gives; never raises: what is no date comes back as `wrong`."""
    bare = text.strip()
    if not bare:
        return PartialDate(text=text)
    if bare.upper() in NULL_FLAVOURS:
        return PartialDate(text=text, null_flavour=bare.upper())
    found = _DATE.fullmatch(bare) if len(bare) <= MAX_CHARACTERS else None
    if found is None or not bare.isascii():
        return PartialDate(text=text[:MAX_CHARACTERS], wrong=True)
    try:
        return _interval(text, found)
    except (ValueError, OverflowError):
        return PartialDate(text=text, wrong=True)


def _interval(text: str, found: re.Match[str]) -> PartialDate:
    year, month, day = int(found["year"]), found["month"], found["day"]
    first = datetime(year, int(month or 1), int(day or 1), tzinfo=UTC)
    if day is None:
        precision: Precision = "year" if month is None else "month"
        return PartialDate(text=text, precision=precision, first=first, last=_last_moment(first, precision))
    if found["hour"] is None:
        last = first + timedelta(days=1, seconds=-1)
        return PartialDate(text=text, precision="day", first=first, last=last)
    first = first.replace(
        hour=int(found["hour"]), minute=int(found["minute"] or 0), second=int(found["second"] or 0)
    )
    precision = "second" if found["second"] else "minute" if found["minute"] else "hour"
    seconds = {"second": 0, "minute": 59, "hour": 3_599}[precision]
    last = first + timedelta(seconds=seconds)
    return PartialDate(
        text=text, precision=precision, first=first, last=last, zone_minutes=_zone_minutes(found["zone"])
    )


def _last_moment(first: datetime, precision: Precision) -> datetime:
    month = 12 if precision == "year" else first.month
    if (first.year, month) == (MAXYEAR, 12):
        return first.replace(month=12, day=31, hour=23, minute=59, second=59)
    after = first.replace(year=first.year + month // 12, month=month % 12 + 1)
    return after - timedelta(seconds=1)


def _zone_minutes(zone: str | None) -> int | None:
    if zone is None or zone == "Z":
        return None if zone is None else 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    if minutes > 14 * 60:
        raise ValueError(zone)
    return -minutes if zone[0] == "-" else minutes


def compare(one: PartialDate, other: PartialDate) -> Order:
    """Return whether `one` is surely before or surely after `other`, else unknown.

    To the day or coarser, the calendars of the two sources are compared as they stand; times with zones in UTC; times
    of which one lacks its zone only when they are further apart than zones can be.
    """
    if one.first is None or one.last is None or other.first is None or other.last is None:
        return "unknown"
    shift, slack = timedelta(), timedelta()
    if _timed(one) and _timed(other):
        if one.zone_minutes is None or other.zone_minutes is None:
            slack = timedelta() if one.zone_minutes == other.zone_minutes else ZONE_SPREAD
        else:
            shift = timedelta(minutes=one.zone_minutes - other.zone_minutes)
    if one.last - other.first < shift - slack:
        return "before"
    return "after" if one.first - other.last > shift + slack else "unknown"


def _timed(given: PartialDate) -> bool:
    return given.precision in ("hour", "minute", "second")


@lru_cache(maxsize=_MEMORY)
def normalised(text: str) -> str:
    """Return the date as text that sorts by time: `2024-03-15`, with a time in UTC `2024-03-15T15:20:30Z`.

    A time without a zone is read as UTC. A coarser date sorts before the finer ones it contains. Empty when there is
    no date.
    """
    given = parse(text)
    if given.first is None:
        return ""
    length = {"year": 4, "month": 7, "day": 10}.get(given.precision)
    if length is not None:
        return given.first.strftime("%Y-%m-%d").rjust(10, "0")[:length]
    try:
        moment = given.first - timedelta(minutes=given.zone_minutes or 0)
    except OverflowError:
        moment = given.first
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


def version_ordinal(case: Case) -> tuple[str, str]:
    """Return a version's place among those of its case: (C.1.5, C.1.2); for a document effective and creation date."""
    return normalised(case.most_recent_on), normalised(case.created_on)


@dataclass(frozen=True, slots=True, kw_only=True)
class DateFinding:
    """Something about the dates that a person must look at: what, and the fields it rests on as `field=value`."""

    name: str
    detail: str
    fields: tuple[str, ...]


#: Conflicts named of one case; a case of hundreds of reactions with one wrong year stays readable.
MAX_FINDINGS = 16


def date_findings(case: Case, at: datetime) -> tuple[DateFinding, ...]:
    """Return the contradictions among the dates of a case; `at` is when it arrived (UTC).

    Future dates; creation before receipt (C.1.2 < C.1.4); most recent information before first (C.1.5 < C.1.4);
    an onset after the death; the end of a reaction before its start; a text that is no date. An onset before the first
    dose of every suspect is told as `onset_before_dose`: it speaks against causality, and against the dates.
    """
    found = [*_wrong_or_future(case, at), *_out_of_order(case), *_onset_before_dose(case)]
    return tuple(found[:MAX_FINDINGS])


def _named_dates(case: Case) -> list[tuple[str, str]]:
    fields = [
        ("created_on", case.created_on),
        ("first_received_on", case.first_received_on),
        ("most_recent_on", case.most_recent_on),
        ("patient.died_on", case.patient.died_on),
    ]
    for place, reaction in enumerate(case.reactions):
        fields.append((f"reactions[{place}].onset_on", reaction.onset_on))
        fields.append((f"reactions[{place}].ended_on", reaction.ended_on))
    for place, product in enumerate(case.products):
        fields.append((f"products[{place}].started_on", product.started_on))
    return [(name, value) for name, value in fields if value]


def _wrong_or_future(case: Case, at: datetime) -> list[DateFinding]:
    now = at.astimezone(UTC)
    found = []
    for name, value in _named_dates(case):
        given = parse(value)
        if given.wrong:
            detail = f"{name} is not a date"
            found.append(
                DateFinding(name="not_a_date", detail=detail, fields=(f"{name}={value[:MAX_CHARACTERS]}",))
            )
        elif given.first is not None and given.first - ZONE_AHEAD > now:
            detail = f"{name} lies after the arrival of the report"
            found.append(DateFinding(name="future_date", detail=detail, fields=(f"{name}={value}",)))
    return found


def _out_of_order(case: Case) -> list[DateFinding]:
    """Compare pairs that have an order: (earlier field, later field)."""
    pairs = [
        ("first_received_on", case.first_received_on, "created_on", case.created_on),
        ("first_received_on", case.first_received_on, "most_recent_on", case.most_recent_on),
    ]
    for place, reaction in enumerate(case.reactions):
        onset = f"reactions[{place}].onset_on"
        pairs.append((onset, reaction.onset_on, f"reactions[{place}].ended_on", reaction.ended_on))
        pairs.append((onset, reaction.onset_on, "patient.died_on", case.patient.died_on))
    return [
        DateFinding(
            name=f"{later}_before_{earlier}",
            detail=f"{later} is before {earlier}",
            fields=(f"{earlier}={earlier_text}", f"{later}={later_text}"),
        )
        for earlier, earlier_text, later, later_text in pairs
        if earlier_text and later_text and compare(parse(later_text), parse(earlier_text)) == "before"
    ]


def _onset_before_dose(case: Case) -> list[DateFinding]:
    doses = [p.started_on for p in case.products if p.role in ("suspect", "interacting")]
    found: list[DateFinding] = []
    if not doses or not all(doses):
        return found
    for place, reaction in enumerate(case.reactions):
        onset = parse(reaction.onset_on)
        if all(compare(onset, parse(dose)) == "before" for dose in doses):
            detail = f"reactions[{place}] began before the first dose of every suspect product"
            fields = (f"reactions[{place}].onset_on={reaction.onset_on}", f"started_on={doses[0]}")
            found.append(DateFinding(name="onset_before_dose", detail=detail, fields=fields))
    return found
