"""Calls a minute, dealt to the workflows: who has the least slack to a legal clock comes first, and nobody gets none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from vigimesh.domain.control.measure import Measure, Unknown

#: Seconds that a dealing stands: calls are counted by the minute, and whose clock is nearest changes with every case.
REDEAL_S = 60.0
#: Calls a minute that every workflow gets, whatever the limit: none is starved.
FLOOR = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A workflow that pays for calls: its card's calls a minute, and its least slack to a legal clock in seconds.

    `slack_s` is `None` where no case waits that has a clock. `known` is false when its backlog is not.
    """

    workflow: str
    calls_per_minute: int
    slack_s: Measure | None = None
    known: bool = True

    @property
    def certain(self) -> bool:
        """Whether it is known how urgent its work is."""
        return self.known and not isinstance(self.slack_s, Unknown)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one workflow may call a minute; `wanted` is its card's number, `limit` the endpoint's, `None` without one."""

    workflow: str
    calls: int
    wanted: int
    limit: int | None
    since: datetime

    @property
    def limited(self) -> bool:
        """Whether it is less than the card allows: only then an order is needed, since the budget holds the card's."""
        return self.calls < self.wanted

    @property
    def reason(self) -> str:
        """Why, in words with the figures."""
        return (
            f"the endpoint takes {self.limit} calls a minute, dealt by the least slack to a legal clock: "
            f"{self.workflow} gets {self.calls} of the {self.wanted} of its card"
        )


def deal(
    callers: Sequence[Caller], limit: int | None, in_force: Sequence[Share], now: datetime
) -> tuple[Share, ...]:
    """Return what each workflow may call a minute, by name.

    1. The same workflows, caps and limit: what was dealt stands for `REDEAL_S`, and as long as it is not known how urgent
       any of them is: an unknown slack is neither none nor near.
    2. Everybody gets `FLOOR`.
    3. What is left goes to the least slack first, up to its card's number. One that is not known is taken as due now
       where nothing was dealt before; one without a clock comes last; equal ones go by name.

    The sum is at most `limit`, unless the floors alone exceed it.
    """
    standing = {one.workflow: one for one in in_force}
    same = {one.workflow: max(FLOOR, one.calls_per_minute) for one in callers} == {
        one.workflow: one.wanted for one in in_force
    } and all(one.limit == limit for one in in_force)
    if same and in_force:  # 1.
        # A clock that was set back deals early rather than late.
        fresh = all(timedelta() <= now - one.since < timedelta(seconds=REDEAL_S) for one in in_force)
        if fresh or not all(one.certain for one in callers):
            return tuple(standing[name] for name in sorted(standing))
    left = None if limit is None else max(0, limit - FLOOR * len(callers))
    dealt = []
    for caller in sorted(callers, key=lambda one: (_urgency_s(one), one.workflow)):
        wanted = max(FLOOR, caller.calls_per_minute)
        more = wanted - FLOOR if left is None else min(wanted - FLOOR, left)  # 2. and 3.
        left = None if left is None else left - more
        dealt.append(
            Share(workflow=caller.workflow, calls=FLOOR + more, wanted=wanted, limit=limit, since=now)
        )
    return tuple(sorted(dealt, key=lambda one: one.workflow))


def _urgency_s(caller: Caller) -> float:
    if isinstance(caller.slack_s, Unknown):
        return float("-inf")
    return float("inf") if caller.slack_s is None else caller.slack_s.value
