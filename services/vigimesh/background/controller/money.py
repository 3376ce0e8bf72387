"""What the controller knows of money: how accounts stand, what a case costs, which lanes are lowered; and how it is told."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil, nan
from typing import Protocol

from vigimesh import names
from vigimesh.domain.control.costs import Learned, expected_micro, learn, prior_micro
from vigimesh.domain.control.lag import LagRow
from vigimesh.domain.control.measure import NONE, Known, Measure, Unknown, total
from vigimesh.domain.control.pricing import (
    ALL,
    PAID,
    Account,
    Backlog,
    Ceiling,
    InForce,
    LaneBacklog,
    Means,
    MoneyRuling,
    alarm_percent,
    is_closed,
    price,
)
from vigimesh.domain.policy.cards import Card
from vigimesh.domain.policy.tiers import TIERS
from vigimesh.events.classes import FlowTotalled
from vigimesh.events.topics import LANE_STAGES, LANES
from vigimesh.loop.telemetry import Telemetry

_log = logging.getLogger(__name__)

#: The stage that pays: what it has taken is paid for, what stands before it or in it is not.
PAYER = "tool-executor"
#: Where a case stands whose tiers are planned and that has not been paid for.
PLANNED = ("retriever", PAYER)
#: How long after a ceiling what stands there was planned without it: workers obey within 2 s, most of them within one look.
OBEYED = timedelta(seconds=1.5)
#: Seconds that a case is taken to have from its append in a lane to its legal clock: a serious one, which is hot, 15 days as
#: in most rules of domain/safety/clocks.toml, others 90. Assumed, since no record that the controller reads tells due dates:
#: it puts hot work before other, and what has waited longest first.
ASSUMED_CLOCK_S: Mapping[str, float] = {
    "hot": 15 * 86_400.0,
    "warm": 90 * 86_400.0,
    "cold": 90 * 86_400.0,
}


class Accounts(Protocol):
    """Knows how the workflows' budgets stand."""

    async def look(self, now: datetime) -> Mapping[str, Account]:
        """Return the account of each workflow, or why it is not known, within a few seconds; never raises for a store away.

        Reading changes nothing: a budget that is shut stays shut until somebody who pays rebuilds it.
        """
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...


@dataclass(frozen=True, slots=True)
class NoAccounts:
    """No budget store is configured."""

    workflows: tuple[str, ...]

    async def look(self, now: datetime) -> Mapping[str, Account]:
        """Return that every account is unknown."""
        return dict.fromkeys(self.workflows, Unknown(cause="no store of budgets and calls is configured"))

    async def close(self) -> None:
        """Hold nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one look showed: the lag, the totals of `flow` as of it, and the accounts."""

    rows: Sequence[LagRow]
    totals: Sequence[FlowTotalled]
    accounts: Mapping[str, Account]


@dataclass(slots=True)
class Watch:
    """What was seen last of each workflow, to learn from what is added. State of one reign, of which `learned` is handed on."""

    learned: dict[str, Learned] = field(default_factory=dict)
    #: The highest alarm level of each workflow's month so far, in percent.
    alarms: dict[str, int] = field(default_factory=dict)
    #: By workflow: the month with what is recorded in it, and the records taken in each lane of the stage that pays.
    _recorded: dict[str, tuple[str, int]] = field(default_factory=dict)
    _taken: dict[str, dict[str, int]] = field(default_factory=dict)
    #: By workflow and lane with a ceiling: the records taken when all that was planned before the ceiling is.
    _planned: dict[tuple[str, str], int] = field(default_factory=dict)

    def lowered(self, seen: Seen, ceilings: Iterable[Ceiling], now: datetime) -> dict[str, dict[str, int]]:
        """Return the lanes that are lowered, by workflow, and up to how many records taken what they take may have asked.

        What was planned for the large tier before its ceiling is paid for after it: of a burst, hundreds of cases.
        """
        taken = {one.workflow: one.totals for one in seen.totals}
        found: dict[str, dict[str, int]] = {}
        for one in ceilings:
            key = one.workflow, one.lane
            ahead = total(
                row.records for row in seen.rows if (row.workflow, row.lane) == key and row.stage in PLANNED
            )
            if now - one.since <= OBEYED and isinstance(ahead, Known):
                before = taken.get(one.workflow, {}).get(f"{PAYER}.{one.lane}.consumed", 0)
                self._planned[key] = before + ceil(ahead.value)
            found.setdefault(one.workflow, {})[one.lane] = self._planned.get(key, 0)
        return found

    def add(
        self,
        accounts: Mapping[str, Account],
        totals: Sequence[FlowTotalled],
        lowered: Mapping[str, Mapping[str, int]],
    ) -> None:
        """Learn from what was recorded and taken since the last look; nothing where either is not known, or a month began.

        Of what was taken in a lane that is lowered only that counts which may have asked (`lowered`); see `costs.learn`.
        """
        for one in totals:
            account, name = accounts.get(one.workflow), one.workflow
            if account is None or isinstance(account, Unknown):
                continue
            month = next((row for row in account.windows if row.window == "month"), None)
            if month is None:
                continue
            taken = {lane: one.totals.get(f"{PAYER}.{lane}.consumed", 0) for lane in LANES}
            before, was = self._recorded.get(name), self._taken.get(name)
            self._recorded[name], self._taken[name] = (month.name, month.recorded_micro), taken
            if before is None or was is None or before[0] != month.name:
                continue
            last = {**taken, **lowered.get(name, {})}
            cases = sum(min(taken[lane], max(last[lane], was[lane])) - was[lane] for lane in LANES)
            known = self.learned.get(name, Learned())
            self.learned[name] = learn(known, month.recorded_micro - before[1], cases)


def paid_tiers(small_micro: int, *, large: bool) -> tuple[str, ...]:
    """Return the tiers whose calls cost money: the small one where a call of an endpoint in its place costs any, the large one if there is one."""
    return (*(("small",) if small_micro else ()), *((PAID,) if large else ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """What the controller needs to price the backlog: the cards that pay, and the endpoint's calls a minute, `None` without.

    Only where a model is paid for: without one there is nothing to order. `small_micro` is what one call of an endpoint in the small tier's
    place may cost; 0 where there is none, or it is free. `large` says whether there is a large model.
    """

    accounts: Accounts
    cards: tuple[Card, ...]
    calls_per_minute: int | None = None
    small_micro: int = 0
    large: bool = True

    @property
    def paid(self) -> tuple[str, ...]:
        """The tiers whose calls cost money."""
        return paid_tiers(self.small_micro, large=self.large)

    def prior(self, card: Card) -> int:
        """Return what a case of a card is taken to cost before anything is known: the dearer of what its tiers may cost."""
        large = prior_micro(card.budget.case_micro) if self.large and PAID in card.tiers else 0
        return max(large, self.small_micro if "small" in card.tiers else 0)


def rule(money: Money, watch: Watch, seen: Seen, in_force: InForce, now: datetime) -> MoneyRuling:
    """Return what is ordered on account of money from now on; learns what a case costs on the way."""
    watch.add(seen.accounts, seen.totals, watch.lowered(seen, in_force.ceilings, now))
    costs = {
        card.name: expected_micro(watch.learned.get(card.name, Learned()), money.prior(card))
        for card in money.cards
    }
    backlogs = [backlog_of(card, seen.rows, costs[card.name]) for card in money.cards]
    means = Means(accounts=seen.accounts, calls_per_minute=money.calls_per_minute, paid=money.paid)
    return price(backlogs, means, in_force, now)


def alarms(money: Money, watch: Watch, accounts: Mapping[str, Account]) -> Mapping[str, int]:
    """Return the highest alarm level, in percent, that each workflow has reached; one line is logged when it rises.

    An account that is not known keeps its level. A new leader tells a level that stands once more.
    """
    for card in money.cards:
        account, before = accounts.get(card.name), watch.alarms.get(card.name, 0)
        if account is None or isinstance(account, Unknown):
            continue
        level = alarm_percent(account, card.alarms.budget_percent, card.budget.case_micro)
        if level > before and is_closed(account):
            _log.warning(
                "%s may spend nothing: an overrun closed its month's budget: %s", card.name, card.owner
            )
        elif level > before and level == ALL:
            _log.warning(
                "%s has less of its month's budget left than one case may cost: %s", card.name, card.owner
            )
        elif level > before:
            _log.warning("%s has spent %d %% of its month's budget: %s", card.name, level, card.owner)
        watch.alarms[card.name] = level
    return watch.alarms


def backlog_of(card: Card, rows: Sequence[LagRow], case_micro: int) -> Backlog:
    """Return what waits of a workflow before or in the stage that pays, a record a case that is expected to cost `case_micro`.

    What stands at the door belongs to no workflow yet and is priced once it is routed; the supervisor's work is paid for.
    A lane without a row is unknown.
    """
    lanes = []
    for lane in LANES:
        here = [
            row for row in rows if row.workflow == card.name and row.lane == lane and row.stage in LANE_STAGES
        ]
        nothing = Unknown(cause="nothing was measured")
        missing = len({row.stage for row in here}) < len(LANE_STAGES)
        lanes.append(LaneBacklog(
            lane=lane, records=nothing if missing else total(row.records for row in here), case_micro=case_micro,
            slack_s=nothing if missing else _slack(lane, here),
        ))  # fmt: skip
    return Backlog(
        workflow=card.name, currency=card.budget.currency, tiers=card.tiers,
        calls_per_minute=card.calls_per_minute, lanes=tuple(lanes),
    )  # fmt: skip


def _slack(lane: str, rows: Iterable[LagRow]) -> Measure | None:
    """Return the slack of a lane, from how long its oldest record has waited; `None` where nothing waits."""
    waits = [row for row in rows if isinstance(row.records, Unknown) or row.records.value > 0]
    if not waits:
        return None
    doubt = next((m for row in waits for m in (row.records, row.seconds) if isinstance(m, Unknown)), None)
    oldest = max((row.seconds.value for row in waits if isinstance(row.seconds, Known)), default=NONE.value)
    return doubt or Known(value=ASSUMED_CLOCK_S[lane] - oldest)


def show(telemetry: Telemetry, ruling: MoneyRuling, levels: Mapping[str, int]) -> None:
    """Show the figures as metrics; what is unknown is NaN, a gauge that is not there."""
    shares = {one.workflow: one for one in ruling.in_force.shares}
    tiers = {(one.workflow, one.lane): one.tier for one in ruling.in_force.ceilings}
    for one in ruling.priced:
        labels = {"workflow": one.workflow}
        share = shares[one.workflow]
        telemetry.level(names.BACKLOG_PRICE, _number(one.price), labels)
        telemetry.level(names.BUDGET_LEFT, _number(one.left), labels)
        telemetry.level(names.BUDGET_ALARM, levels.get(one.workflow, 0), labels)
        telemetry.level(names.ORDERED_CALLS, share.calls, labels)
        for lane in LANES:
            place = {"lane": lane, "workflow": one.workflow}
            tier = tiers.get((one.workflow, lane), TIERS[-1])
            telemetry.level(names.ORDERED_CEILING, TIERS.index(tier), place)


def hide(telemetry: Telemetry, cards: Iterable[Card]) -> None:
    """Take the figures back: those of a former leader would be read as if they still held."""
    for card in cards:
        for metric in (names.BACKLOG_PRICE, names.BUDGET_LEFT, names.BUDGET_ALARM, names.ORDERED_CALLS):
            telemetry.level(metric, nan, {"workflow": card.name})
        for lane in LANES:
            telemetry.level(names.ORDERED_CEILING, nan, {"lane": lane, "workflow": card.name})


def _number(measure: Measure) -> float:
    return measure.value if isinstance(measure, Known) else nan
