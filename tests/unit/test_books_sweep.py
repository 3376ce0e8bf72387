"""The sweep of the books sees past calls in doubt, however many there are; what it cannot do costs opinions, not work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from budgets import memory_rig
from journals import MemoryBench
from spending import AWAY, LEASES_S, away, dying_at, nothing, purchase, shop, worst_of
from vigimesh.adapters.memory import budget as memory_budget
from vigimesh.domain.budget.lapse import GRACE_S
from vigimesh.errors import Misconfigured, Transient, said
from vigimesh.tool_executor.purchase import Paid, lease_s
from waiting import until_async

#: Reservations of one page in this test, and calls in doubt before the one that leaks.
PAGE, DOUBTS = 3, 7


def test_many_calls_in_doubt_hide_no_reservation_that_nobody_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_budget, "MAX_LAPSED", PAGE)

    async def story() -> None:
        async with shop(memory_rig(), MemoryBench()) as made:
            made.headers = {"x-standin-fault": "500"}
            for number in range(DOUBTS):
                told = await made.process().pay(purchase(f"doubt {number}"))
                assert told.reason == "in_doubt"
            made.headers = {}
            for number in range(PAGE + 1):
                await made.process(dying_at("begin_in_turn.before")).pay(purchase(f"leak {number}"))
            made.let_pass(LEASES_S)
            recorded, held = await made.agreed()
            assert recorded == 0
            assert held > 0

    asyncio.run(asyncio.wait_for(story(), 60))


def test_an_error_that_nobody_expected_shuts_the_budget_and_ends_nothing() -> None:
    async def story() -> None:
        async with shop(memory_rig(), MemoryBench()) as made:
            process = made.process()
            fails = [True]

            async def paid_at() -> None:
                if fails[0]:
                    raise Misconfigured("VM-1506", what="the user lacks a right")

            process.books.paid_at = paid_at
            told = await process.pay(purchase())
            assert told.reason == "shut"
            assert "VM-1506" in process.books.trouble
            fails[0] = False
            process.books._failed_s = None
            assert isinstance(await process.pay(purchase()), Paid)

    asyncio.run(asyncio.wait_for(story(), 60))


def test_a_loss_is_remembered_though_another_call_had_doubts_before() -> None:
    async def story() -> None:
        async with shop(memory_rig(), MemoryBench()) as made:
            books = made.process().books
            before = await books.epoch()
            books.doubt(before)
            books.doubt(before, lost=True)
            assert await books.epoch() not in ("", before), "rebuilt under another epoch"

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("cost", [300, None])
def test_a_call_that_a_person_resolves_is_held_until_the_sweep_after_its_lease(cost: int | None) -> None:
    async def story() -> None:
        async with shop(memory_rig(), MemoryBench()) as made:
            made.headers = {"x-standin-fault": "500"}
            wanted = purchase()
            told = await made.process().pay(wanted)
            assert told.reason == "in_doubt"
            await made.auditor.payer.journal.resolve(told.call_id, cost, "invoice 17")

            async def month() -> tuple[int, int]:
                found = (await made.standing()).windows[-1]
                return found.recorded_micro, found.open_micro

            early = made.process().books
            await early.sweep()
            assert await month() == (0, worst_of(wanted)), "its lease still runs"
            made.clock.at += timedelta(seconds=lease_s(wanted.question) + GRACE_S + 1)
            swept = await early.sweep()
            assert (swept.settled, swept.released) == ((0, 1) if cost is None else (1, 0))
            assert await month() == (cost or 0, 0)

    asyncio.run(asyncio.wait_for(story(), 60))


def test_what_stops_paid_calls_is_told_and_that_it_is_over() -> None:
    """The journal is away when the epoch is asked for, or at a sweep under an epoch that still holds."""

    async def story() -> None:
        async with shop(memory_rig(), MemoryBench()) as made:
            process = made.process()
            told: list[str] = []
            process.books.tell = told.append

            async def kept_until(done: Callable[[], bool]) -> None:
                keeping = asyncio.ensure_future(process.books.keep())
                await until_async(done, what="what is told")
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)

            process.hook = away("epoch.before", error=AWAY)
            await kept_until(lambda: bool(told))
            assert set(told) == {said(AWAY)}
            process.hook, process.books._failed_s = nothing, None
            await kept_until(lambda: told[-1] == "")
            process.hook = away("expired.before", error=Transient("VM-1910", what="the store is away"))
            await kept_until(lambda: "VM-1910" in told[-1])
            assert "VM-1910" in process.books.trouble
            process.hook = nothing
            await kept_until(lambda: told[-1] == "")
            assert process.books.trouble == ""

    asyncio.run(asyncio.wait_for(story(), 60))
