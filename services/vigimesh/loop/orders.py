"""Orders as a worker sees them: what of its time a lane may use, which workflows must wait, and what they may ask for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

#: Neutral values: the highest tier, and more calls than a minute can hold.
ANY_TIER, ANY_CALLS = "person", 2**31 - 1
#: Highest term that is believed: a controller a second for sixty years. An order from beyond would shut out every controller.
TERM_MAX = 2**31 - 1
#: What each field of an order says when nothing is ordered.
NEUTRAL: Mapping[str, int | str | bool] = {
    "share_percent": 100,
    "tier_ceiling": ANY_TIER,
    "calls_per_minute": ANY_CALLS,
    "holds_acceptance": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order in force for a lane; `workflow` is empty when it is for all of them, `by` when it is the controller's.

    `share_percent` is the share of its time that the lane may work, 1 to 100; 0 means that records of the workflow wait,
    parked, until `expires_at` at the latest. `tier_ceiling` is the highest tier that may be asked, `calls_per_minute` how
    many paid calls the workflow may make. `holds_acceptance`: nothing may be accepted by machine.
    """

    lane: str
    workflow: str
    share_percent: int
    expires_at: datetime
    reason: str = ""
    tier_ceiling: str = ANY_TIER
    calls_per_minute: int = ANY_CALLS
    holds_acceptance: bool = False
    by: str = ""

    def concerns(self, workflow: str) -> bool:
        """Return whether it is an order for a workflow."""
        return self.workflow in ("", workflow)


def lifts(order: Order) -> bool:
    """Return whether an order holds nobody, so that it lifts what stood in its place."""
    return all(getattr(order, name) == neutral for name, neutral in NEUTRAL.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """An order by which records of a workflow wait in a lane, parked until `until`.

    Without a lane it is for whatever of the workflow waits for money, in any lane and until any moment, and counts as lifted: its budget was raised.
    """

    lane: str
    workflow: str
    until: datetime


class Orders(Protocol):
    """What is in force now, as far as this process knows; never blocks, never raises."""

    def in_force(self, lane: str, now: datetime) -> Sequence[Order]:
        """Return the orders for a lane that have not expired. Those for the hot lane never make it yield or wait."""
        ...


class Pauses(Protocol):
    """Which pauses hold nobody any more, as far as this process knows; never blocks, never raises."""

    def lifted(self, now: datetime) -> Collection[Pause]:
        """Return the pauses that were ordered, would not have ended yet, and whose workflow waits no longer; and raised budgets."""
        ...


class NoOrders:
    """Nothing is ordered."""

    def in_force(self, lane: str, now: datetime) -> Sequence[Order]:
        """Return nothing."""
        return ()

    def lifted(self, now: datetime) -> Collection[Pause]:
        """Return nothing."""
        return ()


def calls_per_minute(orders: Sequence[Order], workflow: str) -> int:
    """Return how many paid calls a minute the strictest order lets a workflow make."""
    return min((order.calls_per_minute for order in orders if order.concerns(workflow)), default=ANY_CALLS)


def share_percent(orders: Sequence[Order]) -> int:
    """Return the share of its time that the strictest order for all of its workflows leaves a lane."""
    return min((o.share_percent for o in orders if not o.workflow and o.share_percent > 0), default=100)


def slows(orders: Sequence[Order], workflow: str) -> bool:
    """Return whether orders slow a workflow down: it waits, its lane has a share of its time, or its calls are limited."""
    return any(
        order.concerns(workflow) and (order.share_percent < 100 or order.calls_per_minute < ANY_CALLS)
        for order in orders
    )


def acceptance_held(orders: Sequence[Order], workflow: str) -> str:
    """Return why nothing of a workflow may be accepted by machine, or nothing when it may."""
    return next((o.reason for o in orders if o.holds_acceptance and o.concerns(workflow)), "")
