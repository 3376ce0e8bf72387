"""Any sequence of deaths, losses and waits: made once at most, and budget and journal say the same at the end."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from budgets import memory_rig
from journals import MemoryBench
from spending import LEASES_S, dying_at, nothing, purchase, question, shop
from vigimesh.tool_executor.purchase import Paid

STEPS = tuple(
    f"{port}.{when}"
    for port in (
        "epoch",
        "claim_epoch",
        "booked",
        "rebuild",
        "open_epoch",
        "reserve",
        "begin_in_turn",
        "ask",
        "answer",
        "not_made",
        "in_doubt",
        "release",
        "settle",
    )
    for when in ("before", "after")
)
TEXTS = ("a", "b", "c")
EVENTS = st.one_of(
    st.tuples(st.just("pay"), st.sampled_from(TEXTS), st.sampled_from(STEPS), st.sampled_from(("", "429", "500"))),
    st.tuples(st.sampled_from(("flush", "restart", "sweep")), st.just(""), st.just(""), st.just("")),
)  # fmt: skip


@settings(max_examples=60)
@given(st.lists(EVENTS, max_size=10))
def test_whatever_happens_in_whatever_order(events: list[tuple[str, str, str, str]]) -> None:
    async def story() -> None:
        async with shop(memory_rig(), MemoryBench()) as made:
            refused = 0
            for what, text, step, fault in events:
                if what == "pay":
                    made.headers = {"x-standin-fault": fault} if fault else {}
                    process = made.process(dying_at(step))
                    told = await process.pay(purchase(text))
                    await process.end()
                    refused += not isinstance(told, Paid)
                elif what == "sweep":
                    await made.agreed()
                else:
                    {"flush": made.rig.flush, "restart": made.rig.restart}[what]()
                # The dead are waited for no longer than their leases.
                made.let_pass(LEASES_S)
            made.headers = {}
            await made.agreed()
            for text in TEXTS:
                process = made.process(nothing)
                told = await process.pay(purchase(text))
                assert isinstance(told, Paid) or told.reason in {"in_doubt", "not_made"}, told
                tally = made.standin.by_digest
                billed = sum(one.billed for one in tally.values())
                rows = await made.booked()
                assert billed <= len(rows), "billed and in no book"
                await process.end()
            for text in TEXTS:
                found = made.standin.by_digest.get(made_digest(text))
                assert found is None or found.billed <= 1, "paid twice"
            await made.agreed()

    asyncio.run(asyncio.wait_for(story(), 60))


def made_digest(text: str) -> str:
    """Return the digest under which the stand-in counts a question."""
    from vigimesh.domain.cascade.question import prompt_digest

    return prompt_digest(question(text))
