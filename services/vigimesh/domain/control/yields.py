"""Which lanes give way to the hot one, and to what share of their time. One pure rule for controller, tests and forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from vigimesh.domain.control.lag import LagRow
from vigimesh.domain.control.measure import Known, Unknown

#: The lanes that may yield, the least urgent first, each with the percent of its time that it keeps. Measured on two
#: cores: with 12 % of its time cold work does a fifth of what it does alone (it must keep a quarter). The
#: order for warm holds for the normal door too, whose cases nobody has looked at yet: they are never slowed below that.
SHARES: tuple[tuple[str, int], ...] = (("cold", 12), ("warm", 25))
#: Seconds that hot stays late after one lane has yielded before the next one has to: what a lane has in hand ends first.
NEXT_AFTER_S = 15.0
#: Seconds that hot must be calm before the last lane that yielded gets its time back, and then the one before it.
CALM_FOR_S = 15.0
#: Share of the objective below which hot counts as calm. Between this and the objective nothing changes: no flapping.
CALM_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Yield:
    """A lane that gives way: its share of time, since when, and since when hot has been calm (`None`: it is not)."""

    lane: str
    share_percent: int
    since: datetime
    reason: str
    calm_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What the rule says: the lanes that yield from now on, how long a hot case waits, and what is not known of it."""

    yields: tuple[Yield, ...]
    hot_s: float
    unknown: tuple[str, ...] = ()


def yields(
    lag: Sequence[LagRow], objectives: Mapping[str, float], in_force: Sequence[Yield], now: datetime
) -> Ruling:
    """Return which lanes yield, given what did until now.

    `objectives` are the seconds of each card for its hot lane. What a hot case waits is the sum of the oldest ages of the
    hot lane over all stages and of the urgent door: a case that comes now waits about that long, stage after stage.

    1. The hot lane never yields: it is in no order.
    2. Late by what is known alone: the next lane yields, cold first, `NEXT_AFTER_S` after the last. Before what is
       unknown, because late is late whatever the rest adds.
    3. Part of it unknown: what is in force stays, nothing is added and nothing given back. Before calm, because an
       unknown lag must never read as none.
    4. Calm (below `CALM_SHARE` of the objective) for `CALM_FOR_S`: the last lane that yielded gets its time back, warm
       before cold, one lane at a time.
    5. In between: what is in force stays.
    """
    hot_s, unknown = hot_wait(lag)
    objective_s = _objective(lag, objectives)
    standing = tuple(one for lane, _ in SHARES for one in in_force if one.lane == lane)  # 1.
    if hot_s > objective_s:  # 2.
        standing = tuple(replace(one, calm_since=None) for one in standing)
        reason = f"hot waits {hot_s:.1f} s, objective {objective_s:g} s"
        return Ruling(yields=_one_more(standing, reason, now), hot_s=hot_s, unknown=unknown)
    if unknown:  # 3.
        standing = tuple(replace(one, calm_since=None) for one in standing)
        return Ruling(yields=standing, hot_s=hot_s, unknown=unknown)
    if hot_s < objective_s * CALM_SHARE:  # 4.
        return Ruling(yields=_one_less(standing, now), hot_s=hot_s)
    return Ruling(yields=tuple(replace(one, calm_since=None) for one in standing), hot_s=hot_s)  # 5.


def hot_wait(lag: Sequence[LagRow]) -> tuple[float, tuple[str, ...]]:
    """Return the seconds that a hot case waits by what is known, and the causes of what is not."""
    hot = [row.seconds for row in lag if not row.workflow and row.lane in ("hot", "urgent")]
    causes = {one.cause for one in hot if isinstance(one, Unknown)}
    if not hot:
        causes.add("nothing was measured")
    return sum(one.value for one in hot if isinstance(one, Known)), tuple(sorted(causes))


def _objective(lag: Sequence[LagRow], objectives: Mapping[str, float]) -> float:
    """Return the strictest objective of the workflows that have hot work, or may have: then of all."""
    door = any(_may_wait(row) for row in lag if row.lane == "urgent")
    named = {row.workflow for row in lag if row.workflow and row.lane == "hot" and _may_wait(row)}
    strict = [seconds for name, seconds in objectives.items() if door or name in named]
    return min(strict or objectives.values(), default=float("inf"))


def _may_wait(row: LagRow) -> bool:
    return isinstance(row.records, Unknown) or row.records.value > 0


def _one_more(standing: tuple[Yield, ...], reason: str, now: datetime) -> tuple[Yield, ...]:
    """Let the next lane yield, unless the last one has only just begun."""
    latest = max((one.since for one in standing), default=None)
    if latest is not None and now - latest < timedelta(seconds=NEXT_AFTER_S):
        return standing
    there = {one.lane for one in standing}
    fresh = next(((lane, share) for lane, share in SHARES if lane not in there), None)
    if fresh is None:
        return standing
    lane, share = fresh
    return (*standing, Yield(lane=lane, share_percent=share, since=now, reason=reason))


def _one_less(standing: tuple[Yield, ...], now: datetime) -> tuple[Yield, ...]:
    """Give the last lane its time back once hot has been calm long enough; the one before it begins to wait anew."""
    calm = tuple(replace(one, calm_since=one.calm_since or now) for one in standing)
    if not calm or now - (calm[-1].calm_since or now) < timedelta(seconds=CALM_FOR_S):
        return calm
    return tuple(replace(one, calm_since=now) for one in calm[:-1])
