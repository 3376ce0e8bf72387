"""A measured value, or that it is not known and why. Never a bare number: an unknown one must not be read as 0."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A value that was measured; `at_most` says that the true one may be lower."""

    value: float
    at_most: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Nobody knows the value; `cause` says why, in words for a person."""

    cause: str


Measure = Known | Unknown

NONE = Known(value=0)


def total(measures: Iterable[Measure]) -> Measure:
    """Return the sum; unknown when any part is, since a sum without it would be too low."""
    return _joined(measures, sum)


def largest(measures: Iterable[Measure]) -> Measure:
    """Return the largest, 0 of none; unknown when any part is."""
    return _joined(measures, lambda values: max(values, default=0))


def plain(measure: Measure) -> dict[str, Any]:
    """Return the measure for JSON: `value` is null when it is unknown, and then `cause` says why."""
    if isinstance(measure, Unknown):
        return {"value": None, "unknown": True, "cause": measure.cause}
    return {"value": measure.value, "unknown": False, "at_most": measure.at_most}


def _joined(measures: Iterable[Measure], join: Any) -> Measure:
    found = tuple(measures)
    causes = sorted({one.cause for one in found if isinstance(one, Unknown)})
    if causes:
        more = f" (and {len(causes) - 1} other causes)" if len(causes) > 1 else ""
        return Unknown(cause=causes[0] + more)
    known = [one for one in found if isinstance(one, Known)]
    return Known(value=join(one.value for one in known), at_most=any(one.at_most for one in known))
