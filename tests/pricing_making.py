"""Backlogs, accounts and ceilings from which the tests of the priced backlog start. A case costs 10 micro-units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from vigimesh.domain.budget.values import Standing, WindowStanding
from vigimesh.domain.control.measure import Known, Measure, Unknown
from vigimesh.domain.control.pricing import (
    Account,
    Backlog,
    Ceiling,
    InForce,
    LaneBacklog,
    Means,
    MoneyRuling,
    price,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
AWAY = Unknown(cause="the store does not answer")
ALL = ("tools", "small", "large")
#: The rule under test: the real one, or one with a bug planted in it.
Rule = Callable[[Sequence[Backlog], Means, InForce, datetime], MoneyRuling]


def backlog(
    waits: Sequence[float | Measure], *, workflow: str = "triage", tiers: tuple[str, ...] = ALL, cost: int = 10,
    calls: int = 60, slack: Measure | None = None,
) -> Backlog:  # fmt: skip
    """Return a backlog of so many records in hot, warm and cold; `slack` is that of the hot lane."""
    known = [one if isinstance(one, Known | Unknown) else Known(value=one) for one in waits]
    lanes = tuple(
        LaneBacklog(lane=lane, records=records, case_micro=cost, slack_s=slack if lane == "hot" else None)
        for lane, records in zip(("hot", "warm", "cold"), known, strict=True)
    )
    return Backlog(workflow=workflow, currency="EUR", tiers=tiers, calls_per_minute=calls, lanes=lanes)


def account(
    left: int = 0, *, day_left: int | None = None, month_left: int | None = None, closed: bool = False,
    month_cap: int | None = None, recorded: int = 0, workflow: str = "triage",
) -> Standing:  # fmt: skip
    """Return an account with `left` a day and a hundred times as much a month, or as much as is said."""
    day = left if day_left is None else day_left
    month = 100 * left if month_left is None else month_left
    cap = month + recorded if month_cap is None else month_cap
    return Standing(workflow, "epoch", (
        WindowStanding("minute", "2026-11-24T12:00", 60, 0, 0, 0, 0, False),
        WindowStanding("day", "2026-11-24", day, 0, 0, 0, 0, closed),
        WindowStanding("month", "2026-11", cap, recorded, 0, recorded, 0, False),
    ))  # fmt: skip


def means(purse: Account, workflow: str = "triage") -> Means:
    """Return the means of one workflow, without a limit of calls."""
    return Means(accounts={workflow: purse})


def cold(workflow: str = "triage", lane: str = "cold") -> Ceiling:
    """Return a ceiling of an hour ago."""
    return Ceiling(
        workflow=workflow, lane=lane, tier="small", since=NOW - timedelta(hours=1), price_micro=2_000,
        left_micro=1_000, window="day", currency="EUR",
    )  # fmt: skip


def warm(workflow: str = "triage") -> Ceiling:
    """Return the same for warm."""
    return cold(workflow, "warm")


def lowered(ruling: MoneyRuling) -> list[str]:
    """Return the lanes that are lowered."""
    return [one.lane for one in ruling.in_force.ceilings]


def calm_run(
    script: Sequence[tuple[float, Sequence[float | Measure]]], left: int = 1_000, rule: Rule = price
) -> list[list[str]]:
    """Run the rule over (seconds from the start, records per lane) and return what is lowered after each look."""
    held = InForce()
    seen = []
    for at_s, waits in script:
        ruling = rule([backlog(waits)], means(account(left)), held, NOW + timedelta(seconds=at_s))
        held = ruling.in_force
        seen.append(lowered(ruling))
    return seen
