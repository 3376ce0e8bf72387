"""A process that ends while it pays."""

from __future__ import annotations

import asyncio

import pytest

from budgets import memory_rig
from journals import MemoryBench
from spending import LEASES_S, Gate, Place, purchase, question, shop
from vigimesh.tool_executor import paying
from vigimesh.tool_executor.purchase import Paid, Unpaid
from waiting import WAIT_S


def test_what_was_begun_and_not_made_when_its_process_ends_is_in_no_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> None:
        place = Place(lambda: shop(memory_rig(), MemoryBench()))
        async with place.open() as made, asyncio.timeout(WAIT_S):
            gate = Gate("begin_in_turn.after")
            ending = place.process(made, gate)
            task = asyncio.ensure_future(ending.payer.pay(purchase()))
            await gate.reached.wait()
            monkeypatch.setattr(paying, "CLOSE_S", 0.0)
            await ending.payer.close()
            gate.opened.set()
            told = await task
            assert isinstance(told, Unpaid)
            assert (told.reason, made.world.calls(question())) == ("not_made", 0)
            made.let_pass(LEASES_S)
            assert await made.agreed(question()) == (0, 0)
            assert isinstance(await place.pays(made, purchase()), Paid)

    asyncio.run(run())
