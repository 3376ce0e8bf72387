"""What the backlog would cost, and what that asks of the least urgent lanes. One pure rule for controller, tests and forecast."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil

from vigimesh.domain.budget.money import amount_text
from vigimesh.domain.budget.values import RAISABLE, Standing, WindowStanding
from vigimesh.domain.control.calls import Caller, Share, deal
from vigimesh.domain.control.measure import Known, Measure, Unknown
from vigimesh.domain.policy.tiers import TIERS

#: The lanes whose ceiling may be lowered, the least urgent first. Hot never is.
LOWERED = ("cold", "warm")
#: The tier that always costs money by the call. A ceiling lies below it, and leaves what is free alone: the shipped small model too,
#: and not an endpoint in its place that is paid for.
PAID = "large"
#: Percent of what is left below which the backlog counts as paid for. Between this and all of it nothing changes.
CALM_PERCENT = 80
#: Seconds that it must stay below before the lane lowered last gets its tier back, and then the one before it.
CALM_FOR_S = 60.0
#: The alarm level that says that the money has run out.
ALL = 100

#: How a workflow's budget stands, or why that is not known.
Account = Standing | Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneBacklog:
    """What waits in a lane: records, the expected cost of one (micro-units), and the least slack to a legal clock.

    `slack_s` are seconds, negative past the due date; `None` where nothing waits that has a clock.
    """

    lane: str
    records: Measure
    case_micro: int
    slack_s: Measure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits of a workflow, with what its card says: currency, permitted tiers, calls a minute."""

    workflow: str
    currency: str
    tiers: tuple[str, ...]
    calls_per_minute: int
    lanes: tuple[LaneBacklog, ...]

    @property
    def below(self) -> str:
        """The dearest permitted tier below `PAID`; the cheapest of all where none is, so that a person is left."""
        cheaper = [tier for tier in TIERS[: TIERS.index(PAID)] if tier in self.tiers]
        return cheaper[-1] if cheaper else TIERS[0]

    @property
    def slack_s(self) -> Measure | None:
        """The least slack over all lanes; unknown when any is, `None` where no clock runs."""
        slacks = [lane.slack_s for lane in self.lanes if lane.slack_s is not None]
        doubt = next((one for one in slacks if isinstance(one, Unknown)), None)
        known = [one for one in slacks if isinstance(one, Known)]
        return doubt or min(known, key=lambda one: one.value, default=None)

    @property
    def unknown(self) -> Unknown | None:
        """Why the backlog of any of its lanes is not known."""
        return next((lane.records for lane in self.lanes if isinstance(lane.records, Unknown)), None)

    def price(self, without: Collection[str] = ()) -> int:
        """Return the micro-units that what is known to wait would cost, lanes in `without` left out: those ask nothing paid."""
        return sum(
            ceil(lane.records.value) * lane.case_micro
            for lane in self.lanes
            if lane.lane not in without and isinstance(lane.records, Known)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What there is to pay with: an account for each workflow, and the endpoint's calls a minute (`None`: no limit).

    `paid` are the tiers whose calls cost money here.
    """

    accounts: Mapping[str, Account]
    calls_per_minute: int | None = None
    paid: tuple[str, ...] = (PAID,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """A lane of a workflow that may ask no tier above `tier`, and the figures it was ordered on (micro-units)."""

    workflow: str
    lane: str
    tier: str
    since: datetime
    price_micro: int
    left_micro: int
    window: str
    currency: str
    calm_since: datetime | None = None

    @property
    def reason(self) -> str:
        """Why, in words with the figures."""
        would, left = (amount_text(micro, self.currency) for micro in (self.price_micro, self.left_micro))
        return (
            f"the backlog of {self.workflow} would cost {would} and its {self.window} has {left} left: "
            f"{self.lane} may ask up to {self.tier}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What is ordered on account of money: ceilings, and what was dealt of the calls."""

    ceilings: tuple[Ceiling, ...] = ()
    shares: tuple[Share, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """What the whole backlog of a workflow would cost without ceilings, and what its tighter window has left; micro-units."""

    workflow: str
    currency: str
    price: Measure
    left: Measure
    window: str = ""

    @property
    def words(self) -> str:
        """The figures in words, what is unknown as such."""
        would, left = (
            amount_text(int(one.value), self.currency) if isinstance(one, Known) else "an unknown amount"
            for one in (self.price, self.left)
        )
        return f"the backlog of {self.workflow} would cost {would} and its {self.window or 'budget'} has {left} left"


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyRuling:
    """What the rule says: the orders from now on, the figures by workflow, and why an account is not known."""

    in_force: InForce
    priced: tuple[Priced, ...]
    unknown: tuple[str, ...] = ()

    def why(self, workflow: str) -> str:
        """Return why a workflow is limited no longer, or less, in words with the figures."""
        words = next(
            (one.words for one in self.priced if one.workflow == workflow), "it pays for no calls now"
        )
        return f"no limit: {words}"


def price(backlogs: Sequence[Backlog], means: Means, in_force: InForce, now: datetime) -> MoneyRuling:
    """Return the ceilings and calls a minute from now on, given those until now. Each workflow is judged by itself.

    1. A workflow that may not ask a paid tier gets no order; one that is no longer there loses those it had.
    2. The account is unknown: what is in force stays.
    3. What is known to wait in the lanes without a ceiling costs more than the tighter of day and month has left: the
       next lane is lowered at once, cold first, then warm, until the rest fits. Before what is unknown, because too dear
       is too dear whatever the rest adds. The hot lane is never lowered, even when it alone does not fit.
    4. The backlog of any lane is unknown: what is in force stays. Before calm, because unknown must never read as none.
    5. With the lane lowered last given back, the backlog would cost at most `CALM_PERCENT` of what is left, and so would
       one case: after `CALM_FOR_S` it is given back, warm before cold, one at a time.
    6. In between: what is in force stays.

    Calls are dealt by `calls.deal`. A number of records that may be lower is taken as it is: money is not risked on it.
    """
    paying = [one for one in backlogs if not set(means.paid).isdisjoint(one.tiers)]  # 1.
    ceilings: list[Ceiling] = []
    priced, causes = [], set()
    for work in sorted(paying, key=lambda one: one.workflow):
        window = _tighter(means.accounts.get(work.workflow, Unknown(cause="nobody asked for its account")))
        held = [one for lane in LOWERED for one in in_force.ceilings if one.workflow == work.workflow
                and one.lane == lane]  # fmt: skip
        if isinstance(window, Unknown):  # 2.
            causes.add(window.cause)
            ceilings += (replace(one, calm_since=None) for one in held)
        else:
            ceilings += _ceilings(work, window, held, now)
        priced.append(_priced(work, window))
    callers = [
        Caller(
            workflow=one.workflow, calls_per_minute=one.calls_per_minute, slack_s=one.slack_s,
            known=one.unknown is None,
        )
        for one in paying
    ]  # fmt: skip
    shares = deal(callers, means.calls_per_minute, in_force.shares, now)
    return MoneyRuling(
        in_force=InForce(ceilings=tuple(ceilings), shares=shares),
        priced=tuple(priced),
        unknown=tuple(sorted(causes)),
    )


def is_closed(account: Account) -> bool:
    """Return whether an overrun closed the month: nothing more is spent until it ends or a person raises its cap."""
    month = None if isinstance(account, Unknown) else _month(account)
    return month is not None and month.closed


def alarm_percent(account: Account, levels: Sequence[int], case_micro: int) -> int:
    """Return the highest of a card's alarm levels that its month has reached, 0 below all of them.

    A level is reached by what is recorded: what is reserved falls back when the answer is cheaper. 100 would never be, since a
    reservation that does not fit is refused before: it is reached as soon as a case can be refused, when less is left beside what is
    recorded and open than one case may cost by its card (`case_micro`). So nobody is refused by the month before it rings. A month
    that an overrun closed has nothing left whatever is recorded: all levels are reached. A month without a cap to spend has none to
    alarm about, and an unknown account says nothing.
    """
    if isinstance(account, Unknown):
        return 0
    month = _month(account)
    if month is None or month.cap_micro == 0:
        return 0
    out = month.left_micro < case_micro
    reached = (
        level
        for level in levels
        if month.closed or (level == ALL and out) or month.recorded_micro * 100 >= level * month.cap_micro
    )
    return max(reached, default=0)


def _month(account: Standing) -> WindowStanding | None:
    return next((one for one in account.windows if one.window == "month"), None)


def _ceilings(work: Backlog, window: WindowStanding, held: Sequence[Ceiling], now: datetime) -> list[Ceiling]:
    """Return the ceilings of a workflow whose account is known; see `price`, 3 to 6."""
    left = window.left_micro
    standing = [replace(one, tier=work.below) for one in held]
    lowered = [one.lane for one in standing]
    dear = False
    while (cost := work.price(lowered)) > left and len(lowered) < len(LOWERED):  # 3.
        dear = True
        lane = next(lane for lane in LOWERED if lane not in lowered)
        lowered.append(lane)
        standing.append(Ceiling(
            workflow=work.workflow, lane=lane, tier=work.below, since=now, price_micro=cost, left_micro=left,
            window=window.window, currency=work.currency,
        ))  # fmt: skip
    still = [replace(one, calm_since=None) for one in standing]
    if dear or work.unknown is not None or not standing:  # 4.
        return still
    last = standing[-1]
    one_case = max((lane.case_micro for lane in work.lanes if lane.lane == last.lane), default=0)
    if max(work.price(lowered[:-1]), one_case) * 100 > left * CALM_PERCENT:  # 6.
        return still
    calm_since = last.calm_since or now  # 5.
    if now - calm_since >= timedelta(seconds=CALM_FOR_S):
        return still[:-1]
    return [*still[:-1], replace(last, calm_since=calm_since)]


def _priced(work: Backlog, window: WindowStanding | Unknown) -> Priced:
    """Return the figures of a workflow for metrics: unknown as soon as a part of them is."""
    cost = work.unknown or Known(value=work.price())
    if isinstance(window, Unknown):
        return Priced(workflow=work.workflow, currency=work.currency, price=cost, left=window)
    left = Known(value=window.left_micro)
    return Priced(workflow=work.workflow, currency=work.currency, price=cost, left=left, window=window.window)


def _tighter(account: Account) -> WindowStanding | Unknown:
    """Return the day or month, whichever has less left; the day of two that have the same."""
    if isinstance(account, Unknown):
        return account
    money = [one for name in RAISABLE for one in account.windows if one.window == name]
    return min(
        money, key=lambda one: one.left_micro, default=Unknown(cause="its account shows no day and month")
    )
