"""Which model of the endpoint a purchase is paid to: the first that takes the call, in the order of the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from vigimesh.clock import Clock
from vigimesh.tool_executor.purchase import Paid, Purchase, Reason, Unpaid

#: Nothing was worked out and nothing is owed: another model may be asked.
NOT_TAKEN: frozenset[Reason] = frozenset({"not_made", "breaker_open", "asked_to_wait"})


class Pays(Protocol):
    """Pays for one purchase (`paying.Payer`)."""

    clock: Clock

    async def pay(self, wanted: Purchase) -> Paid | Unpaid:
        """Return the answer, or why there is none."""
        ...

    async def found(self, wanted: Purchase) -> Paid | Unpaid | None:
        """Return what an earlier try of it came to; `None` when there was none, or it was not made."""
        ...


async def pay_to_one(payer: Pays, wanted: Purchase) -> Paid | Unpaid:
    """Return what came of a purchase with its model, else with a fallback; raises what `payer` raises.

    1. What an earlier try got from a fallback is used, or is in doubt: nothing is asked beside it.
    2. Each model is asked in turn, as long as the one before did not take the call.
    3. When none did, the call waits once for the first that takes calls again, if that is within its patience.
    Else it goes on without: what is said is why the first did not take it.
    """
    each = [wanted, *(_of(wanted, model) for model in wanted.fallbacks)]
    # 1.
    for one in each[1:]:
        if (found := await payer.found(one)) is not None:
            return found
    # 2.
    refused = list[tuple[Unpaid, Purchase]]()
    for one in each:
        told = await payer.pay(one)
        if isinstance(told, Paid) or not _not_taken(told, fallback=one is not wanted):
            return told
        refused.append((told, one))
    # 3.
    waiting = _soonest(refused)
    if waiting is None:
        return refused[0][0]
    wait_s = waiting[0] - payer.clock.now().timestamp()
    if wait_s > min(wanted.patience_s, wanted.question.deadline_s):
        return refused[0][0]
    await asyncio.sleep(max(0.0, wait_s))
    return await payer.pay(waiting[1])


def _of(wanted: Purchase, model: str) -> Purchase:
    return replace(wanted, question=replace(wanted.question, model=model), fallbacks=())


def _not_taken(told: Unpaid, *, fallback: bool) -> bool:
    """Return whether the next model may be asked; a fallback without a price in force is passed over."""
    return told.reason in NOT_TAKEN or (fallback and told.reason == "unpriced")


def _soonest(refused: Sequence[tuple[Unpaid, Purchase]]) -> tuple[float, Purchase] | None:
    """Return when (seconds since the epoch) the first model takes calls again because it said so, and what is asked of it."""
    said = [
        (told.retry_at.timestamp(), one)
        for told, one in refused
        if told.retry_at is not None and told.reason in {"not_made", "asked_to_wait"}
    ]
    return min(said, key=lambda one: one[0], default=None)
