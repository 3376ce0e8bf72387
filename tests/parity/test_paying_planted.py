"""Bugs planted in the payer and the books: the check of the suite that is there for each fails on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from budgets import memory_rig
from journals import MemoryBench
from parity.test_paying import CHECKS
from planted import ForgetsTheEpoch, SettlesTwice
from spending import Place, shop
from vigimesh.domain.budget.calls import PaidCall
from vigimesh.domain.budget.prices import Price
from vigimesh.domain.cascade.question import Answer
from vigimesh.tool_executor.paying import Payer
from vigimesh.tool_executor.purchase import Paid, Unpaid

PLACE = Place(lambda: shop(memory_rig(), MemoryBench()))


class SkipsARelease(Payer):
    """What was not made stays reserved."""

    async def _release(self, call: PaidCall, held: Any) -> None:
        del call, held


class UsesBeforeItStores(Payer):
    """Hands the answer out and stores it afterwards."""

    async def _answered(self, call: PaidCall, answer: Answer, price: Price) -> Paid | Unpaid:
        self._alone(super()._answered(call, answer, price))
        return Paid(call_id=call.call_id, at=call.at, answer=answer, cost_micro=0, currency=price.currency)


class GoesWithoutLeave(Payer):
    """Makes the call as soon as it is ready, while the journal may still refuse it."""

    async def _made(self, wanted: Any, call: PaidCall, price: Price, held: Any, leave: Any) -> Paid | Unpaid:
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        given.set_result(None)
        del leave
        return await super()._made(wanted, call, price, held, given)


class CallsOnWhatItFinds(Payer):
    """Takes another's reservation for its own."""

    async def _begin(self, wanted: Any, call: PaidCall, price: Price, held: Any) -> Paid | Unpaid | None:
        own = replace(call, own=True)
        return await super()._begin(wanted, own, price, replace(held, mine=True))


class SettlesBehindTheNext(Payer):
    """Does something else first, so that the next call is reserved before the last one is settled."""

    async def _settle(self, call: PaidCall, amount: int) -> None:
        await asyncio.to_thread(int)
        await super()._settle(call, amount)


#: What is planted, and the check that must see it.
PLANTED: dict[str, tuple[Place, str]] = {
    "skip one release": (replace(PLACE, payer=SkipsARelease), "not made"),
    "settle twice": (replace(PLACE, payer=SettlesTwice), "counted once"),
    "forget the epoch": (replace(PLACE, books=ForgetsTheEpoch), "epoch"),
    "use before it is stored": (replace(PLACE, payer=UsesBeforeItStores), "stored first"),
    "settle behind the next": (replace(PLACE, payer=SettlesBehindTheNext), "next of the case"),
    "go without leave": (replace(PLACE, payer=GoesWithoutLeave), "crash"),
    "call on another's reservation": (replace(PLACE, payer=CallsOnWhatItFinds), "lapsed"),
}


def failed(place: Place, check: Callable[[Place], Awaitable[None]]) -> bool:
    try:
        place.run(check)
    except (TimeoutError, AssertionError):
        return True
    return False


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found(bug: str) -> None:
    place, check = PLANTED[bug]
    assert failed(place, CHECKS[check]), f"{check} did not see: {bug}"
