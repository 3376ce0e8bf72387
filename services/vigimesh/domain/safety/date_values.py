"""A date found in a text, and what its reader was told; the rules are in `text_dates` and `relative_dates`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from vigimesh.domain.safety.dates import PartialDate, parse
from vigimesh.domain.safety.spans import Outcome, Span

#: Order of day and month in dates of figures alone; "" when the source's country is not known.
Order = Literal["", "month_first", "day_first"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDate(Span):
    """A date in a text. `readings` holds each it may be, earliest first: `2016-11-07`, `2016-11`, `2016` or `--11-07`.

    One reading when `read`, two or more when `ambiguous`, none when `impossible` (31 February), `vague` ("a few days
    ago") or `needs_reference`.
    """

    readings: tuple[str, ...] = ()

    @property
    def dates(self) -> tuple[PartialDate, ...]:
        """The readings that have a year, as `dates.parse` gives them."""
        return tuple(parse(reading) for reading in self.readings if not reading.startswith("--"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the caller knows: the day the text was told on, if it is known, and the order of figures."""

    reference: date | None = None
    order: Order = ""


def made(start: int, text: str, readings: tuple[str, ...], outcome: Outcome | None = None) -> TextDate:
    """Return a date at `start`; without an outcome it follows from the number of readings."""
    if outcome is None:
        outcome = "impossible" if not readings else "read" if len(readings) == 1 else "ambiguous"
    return TextDate(start=start, end=start + len(text), text=text, readings=readings, outcome=outcome)


def iso(days: tuple[date | None, ...]) -> tuple[str, ...]:
    """Return days as texts, without those that do not exist."""
    return tuple(dict.fromkeys(one.isoformat() for one in days if one is not None))
