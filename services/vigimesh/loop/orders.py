"""The controller's orders as a worker sees them: how much of its time a lane may use, and which workflows must wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order in force for a lane; `workflow` is empty when it is for all of them.

    `share_percent` is the share of its time that the lane may work, 1 to 100; 0 means that records of the workflow wait,
    parked, until `expires_at` at the latest.
    """

    lane: str
    workflow: str
    share_percent: int
    expires_at: datetime
    reason: str = ""


class Orders(Protocol):
    """What is in force now, as far as this process knows; never blocks, never raises."""

    def in_force(self, lane: str, now: datetime) -> Sequence[Order]:
        """Return the orders for a lane that have not expired. The hot lane never has any: cost may not delay it."""
        ...


class NoOrders:
    """Nothing is ordered."""

    def in_force(self, lane: str, now: datetime) -> Sequence[Order]:
        """Return nothing."""
        return ()
