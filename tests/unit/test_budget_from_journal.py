"""What the call journal lets begin, answer or resolve, the budget can be rebuilt from: one row must never stop a rebuild."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journals import NOW, USAGE, MemoryBench, begun, call_of, opened
from vigimesh.adapters.memory.budget import MemoryBudget, MemoryStore
from vigimesh.domain.budget.money import MAX_MICRO
from vigimesh.domain.budget.values import Caps, Standing
from vigimesh.errors import Refused

AMOUNTS = st.integers(-1, 2_000) | st.sampled_from([MAX_MICRO - 1, MAX_MICRO, MAX_MICRO + 1, 2**53, 2**63])
ENDS = st.tuples(st.sampled_from(["answer", "not_made", "in_doubt", "made", "dies"]), AMOUNTS)
WIDE = Caps("EUR", MAX_MICRO, MAX_MICRO, MAX_MICRO, MAX_MICRO)


async def end(bench: MemoryBench, journal: Any, name: str, how: str, cost: int) -> tuple[int, int]:
    """Let a call end; return what must be recorded of it, and what open."""
    if how == "answer":
        await journal.answer(name, b"yes", cost, USAGE)
        return cost, 0
    if how == "not_made":
        await journal.not_made(name, "429")
        return 0, 0
    if how in ("in_doubt", "made"):
        await journal.in_doubt(name, "500")
    if how == "made":
        await journal.resolve(name, cost, "invoice")
        return cost, 0
    return 0, bench.calls.rows[name].call.worst_micro


@given(st.lists(st.tuples(AMOUNTS, ENDS), max_size=8))
def test_every_row_of_the_journal_can_be_booked(calls: list[tuple[int, tuple[str, int]]]) -> None:
    async def story() -> None:
        bench = MemoryBench()
        journal = bench.process()
        epoch = await opened(journal)
        recorded = held = 0
        for number, (worst, (how, cost)) in enumerate(calls):
            try:
                call = await begun(journal, call_of(str(number), epoch, worst_micro=worst))
            except Refused:
                assert not 0 <= worst <= MAX_MICRO
                continue
            try:
                more, left = await end(bench, journal, call.call_id, how, cost)
            except (Refused, ValueError):
                assert not 0 <= cost <= MAX_MICRO
                more, left = 0, worst
            recorded, held = recorded + more, held + left
        bench.let_pass(61)
        budget = MemoryBudget(MemoryStore())
        await budget.rebuild(epoch, await journal.booked())
        found = await budget.standing("triage", WIDE, NOW)
        assert isinstance(found, Standing)
        assert found.holds
        month = found.windows[-1]
        assert (month.recorded_micro, month.open_micro) == (recorded, held)

    asyncio.run(story())


@pytest.mark.parametrize("workflow", ["Triage", "", "a" * 65, "tri age"])
def test_a_workflow_that_no_card_could_have_never_begins(workflow: str) -> None:
    with pytest.raises(Refused, match="VM-1902"):
        call_of("a", "e", workflow=workflow)
