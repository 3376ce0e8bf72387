"""Answers what the planner and the supervisor ask of the present: tiers, their ceiling, what they take, and whether a machine may accept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vigimesh.clock import Clock
from vigimesh.domain.policy.limits import Limits, place_of
from vigimesh.domain.policy.tiers import lowest
from vigimesh.loop.orders import Order, Orders, acceptance_held
from vigimesh.loop.outcome import Need


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsNow:
    """The fetcher of needs of kind `limits`, whose key is LANE/WORKFLOW: what is configured, under the orders in force.

    `hold` is the setting by which an operator stops every acceptance by machine; `taken` says what the last calls of a tier took, milliseconds.
    """

    tiers: tuple[str, ...]
    orders: Orders
    clock: Clock
    hold: bool = False
    taken: Callable[[], Mapping[str, int]] = dict

    async def fetch(self, needs: Sequence[Need]) -> Sequence[dict[str, Any]]:
        """Return `Limits.plain` for each need, all of the same moment."""
        found: dict[str, dict[str, Any]] = {}
        for key in {need.key for need in needs}:
            found[key] = self._limits(*place_of(key)).plain()
        return [found[need.key] for need in needs]

    def _limits(self, lane: str, workflow: str) -> Limits:
        there = [one for one in self.orders.in_force(lane, self.clock.now()) if one.concerns(workflow)]
        ceiling, why = ceiling_in(there, workflow)
        held = acceptance_held(there, workflow) or ("by a setting of this process" if self.hold else "")
        return replace(Limits.below(self.tiers, ceiling, why, held), taken_ms=self.taken())


def ceiling_in(orders: Sequence[Order], workflow: str) -> tuple[str, str]:
    """Return the lowest tier that orders let a workflow ask at most, and why; `ANY_TIER` without one."""
    there = [order for order in orders if order.concerns(workflow)]
    ceiling = lowest(order.tier_ceiling for order in there)
    return ceiling, next((order.reason for order in there if order.tier_ceiling == ceiling), "")
