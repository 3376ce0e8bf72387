"""Each call of the budget's store fails once, before or after it took effect: nothing stays unreserved and unsettled."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from budgets import memory_rig
from journals import MemoryBench
from spending import WIDE, Process, Shop, purchase, question, shop
from vigimesh.background.books.keep import Books
from vigimesh.domain.budget.values import SHUT, Lapsed, Shut
from vigimesh.errors import Transient
from vigimesh.ports import Budget
from vigimesh.tool_executor.purchase import Paid, Unpaid

OPERATIONS = ("reserve", "settle", "release", "expired", "rebuild", "run_id")
#: Whether an operation is needed depends on how the call ends; these always are.
MUST_FAIL = {
    ("reserve", ""), ("reserve", "429"), ("reserve", "500"), ("settle", ""), ("release", "429"),
    ("expired", ""), ("expired", "429"), ("expired", "500"), ("rebuild", ""), ("run_id", ""),
}  # fmt: skip
AWAY = Transient("VM-1910", what="Valkey or Redis: reset", where="test")


class FailsOnce:
    """A budget one of whose operations fails the first time, as the adapter of a store that breaks off does."""

    def __init__(self, inner: Budget, operation: str, when: str) -> None:
        self._inner, self._operation, self._when = inner, operation, when
        self.failed = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name != self._operation or self.failed:
            return found

        async def failing(*args: Any, **named: Any) -> Any:
            self.failed = True
            if self._when == "after":
                await found(*args, **named)
            return _said(name, args)

        return failing


def _said(operation: str, args: tuple[Any, ...]) -> Any:
    """Say what `RedisBudget` says when its store does not answer."""
    if operation == "reserve":
        return [Shut(one.call_id, SHUT["away"]) for one in args[0]]
    if operation in ("settle", "release"):
        return Shut(args[0], SHUT["away"])
    raise AWAY


async def pays_while_it_fails(
    made: Shop, operation: str, when: str, fault: str, books: type[Books] = Books
) -> tuple[bool, Any]:
    """Let a process pay for one thing while an operation fails; return whether it was asked at all, and what came of it."""
    made.headers = {"x-standin-fault": fault} if fault else {}
    process: Process = made.process(books=books)
    failing = FailsOnce(process.payer.budget, operation, when)
    process.payer.budget = process.books.budget = cast(Budget, failing)
    told = await process.pay(purchase())
    await process.end()
    made.headers = {}
    return failing.failed, told


@pytest.mark.parametrize("fault", ["", "429", "500"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_failure_29_an_error_of_the_store_leaves_nothing_both_unreserved_and_unsettled(
    operation: str, when: str, fault: str
) -> None:
    """litellm #30039: the error was swallowed, and the amount was written nowhere."""

    async def story() -> None:
        async with shop(memory_rig(), MemoryBench()) as made:
            if operation == "expired":
                await made.standing()  # asked of a budget that was built before
            failed, told = await pays_while_it_fails(made, operation, when, fault)
            assert failed or (operation, fault) not in MUST_FAIL, "the operation was never asked"
            assert isinstance(told, Paid | Unpaid)
            asked = made.world.calls(question())
            recorded, held = await made.agreed(question())
            # What the endpoint may bill is in the books: settled at its cost, or held at its worst case.
            assert bool(recorded or held) == (asked == 1 and fault != "429")
            if isinstance(told, Paid):
                assert (recorded, held) == (told.cost_micro, 0)
            assert (await made.standing(WIDE)).holds

    asyncio.run(asyncio.wait_for(story(), 60))


class BelievesTheError(Books):
    """Takes what the store did not answer for done: the sweep looks at nothing."""

    async def _close(self, lapsed: Lapsed, what: object) -> str:
        return "kept"


def test_a_planted_error_that_is_swallowed_is_found() -> None:
    async def story() -> None:
        async with shop(memory_rig(), MemoryBench()) as made:
            planted = made.process(books=BelievesTheError)
            planted.books.clock = made.auditor.books.clock
            made._auditor = planted
            failed, told = await pays_while_it_fails(made, "settle", "before", "", BelievesTheError)
            assert failed
            assert isinstance(told, Paid)
            with pytest.raises(AssertionError):
                await made.agreed(question())

    asyncio.run(asyncio.wait_for(story(), 60))
