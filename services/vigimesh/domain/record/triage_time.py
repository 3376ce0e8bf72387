"""Time to first triage: from the append of the accepted record to the first statement that stands."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

#: How urgent a lane is; a lane that is not known is the least urgent.
URGENCY = {"hot": 3, "warm": 2, "cold": 1}

#: Stands where no lane is known: the record could not be read, or has not reached the router.
UNKNOWN_LANE = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class TriageTime:
    """Seconds to first triage of a group of cases. A quantile that falls among the censored is `None`."""

    triaged: int
    censored: int
    median_s: float | None
    p99_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TriageTimes:
    """All cases together, and by lane (the lane of the statement; of the unfinished, the last lane known)."""

    overall: TriageTime
    by_lane: Mapping[str, TriageTime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A record that states the triage of a message: when it was appended, and its lane."""

    at: datetime
    lane: str


def first_standing(statements: Sequence[Statement]) -> Statement | None:
    """Return the first statement whose lane no later one raises.

    A statement that is raised later for the same version was not yet the triage of it. Headers show a raise of the lane;
    a grade raised within its lane is not seen here.
    """
    ordered = sorted(statements, key=lambda one: one.at)
    found: Statement | None = None
    highest = 0
    for one in reversed(ordered):
        urgency = URGENCY.get(one.lane, 0)
        if urgency >= highest:
            found, highest = one, urgency
    return found


def times(samples: Iterable[tuple[str, float | None]]) -> TriageTimes:
    """Return the times of (lane, seconds or `None` for a censored case) pairs."""
    everything: list[float | None] = []
    lanes: dict[str, list[float | None]] = {}
    for lane, seconds in samples:
        everything.append(seconds)
        lanes.setdefault(lane or UNKNOWN_LANE, []).append(seconds)
    return TriageTimes(
        overall=_summary(everything), by_lane={lane: _summary(lanes[lane]) for lane in sorted(lanes)}
    )


def quantile(values: Sequence[float | None], share: float) -> float | None:
    """Return the nearest-rank quantile, the censored standing after every value; `None` among them or of nothing."""
    known = sorted(value for value in values if value is not None)
    rank = math.ceil(share * len(values))
    return known[rank - 1] if 0 < rank <= len(known) else None


def _summary(values: Sequence[float | None]) -> TriageTime:
    censored = sum(value is None for value in values)
    return TriageTime(
        triaged=len(values) - censored,
        censored=censored,
        median_s=quantile(values, 0.5),
        p99_s=quantile(values, 0.99),
    )
