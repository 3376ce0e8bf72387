"""Which model is paid: the first that takes the call; nobody is called before the time it asked for; in doubt is in doubt."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from budgets import memory_rig
from journals import MemoryBench
from spending import Door, Process, Shop, Stepping, purchase, question, shop
from vigimesh.app.config.model_settings import LargeModelSettings
from vigimesh.app.in_force.large_model import fallbacks_of
from vigimesh.app.standin.chat import FAULT, MODEL, RETRY_AFTER
from vigimesh.domain.budget.prices import PriceBook, shipped_prices
from vigimesh.domain.cascade.breaker import FAILURES
from vigimesh.errors import Misconfigured
from vigimesh.tool_executor.choosing import pay_to_one
from vigimesh.tool_executor.purchase import Paid, Purchase, Unpaid

#: A model that the stand-in does not have: it answers 404, before any work.
GONE = "standin-9"


class Ahead(Stepping):
    """A clock whose seconds a test moves on, too."""

    ahead_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.ahead_s


def prices() -> PriceBook:
    """Return the shipped prices, and the same price for the model that is not there."""
    book = shipped_prices()
    (known,) = (one for one in book.prices if one.model == MODEL)
    return PriceBook((*book.prices, replace(known, model=GONE)), "test")


def wanted(
    text: str, *, first: str = GONE, fallbacks: tuple[str, ...] = (MODEL,), **changes: Any
) -> Purchase:
    made = purchase(text, **changes)
    return replace(made, question=replace(made.question, model=first), fallbacks=fallbacks)


def in_a_shop(story: Callable[[Shop, Process, Ahead], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with shop(memory_rig(), MemoryBench()) as made:
            made.clock = clock = Ahead()
            await story(made, made.process(prices=prices()), clock)
            made.headers = {}
            await made.agreed()

    asyncio.run(asyncio.wait_for(whole(), 60))


def endpoint(made: Shop, process: Process, **wishes: str) -> None:
    """Let the endpoint answer the process as the headers wish."""
    cast(Door, process.payer.models).inner = made.world.models(
        {{"fault": FAULT, "retry_after": RETRY_AFTER}[name]: value for name, value in wishes.items()}
    )


def test_a_model_that_takes_no_call_gives_way_to_the_next_which_alone_is_paid() -> None:
    async def story(made: Shop, process: Process, clock: Ahead) -> None:
        del clock
        told = await pay_to_one(process.payer, wanted("a"))
        assert isinstance(told, Paid)
        assert told.answer.model == MODEL
        (row,) = await made.booked()
        assert row.amount_micro == told.cost_micro
        alone = await pay_to_one(process.payer, wanted("b", fallbacks=()))
        assert cast(Unpaid, alone).reason == "not_made"

    in_a_shop(story)


def test_what_a_fallback_answered_before_a_crash_is_used_and_nobody_else_is_asked() -> None:
    async def story(made: Shop, process: Process, clock: Ahead) -> None:
        del clock
        paid = await pay_to_one(process.payer, wanted("a"))
        other = made.process(prices=prices())
        refused = made.standin.refused[404]
        assert await pay_to_one(other.payer, wanted("a")) == paid
        assert made.standin.refused[404] == refused, "the first model is not asked beside it"
        assert made.world.calls(question("a")) == 1

    in_a_shop(story)


@pytest.mark.parametrize("fault", ["500", "cut", "truncated"])
def test_a_call_that_may_have_been_billed_has_no_fallback(fault: str) -> None:
    async def story(made: Shop, process: Process, clock: Ahead) -> None:
        del clock
        endpoint(made, process, fault=fault)
        told = await pay_to_one(process.payer, wanted("a", first=MODEL, fallbacks=(GONE,)))
        assert isinstance(told, Unpaid)
        assert told.reason == "in_doubt"
        assert made.standin.refused[404] == 0

    in_a_shop(story)


def test_a_fallback_that_is_in_doubt_is_not_asked_beside() -> None:
    async def story(made: Shop, process: Process, clock: Ahead) -> None:
        del clock
        endpoint(made, process, fault="500")
        assert cast(Unpaid, await pay_to_one(process.payer, wanted("a"))).reason == "in_doubt"
        endpoint(made, process)
        again = await pay_to_one(process.payer, wanted("a"))
        assert cast(Unpaid, again).reason == "in_doubt"
        assert made.world.calls(question("a")) == 1

    in_a_shop(story)


def test_a_fallback_without_a_price_is_passed_over() -> None:
    async def story(made: Shop, process: Process, clock: Ahead) -> None:
        del made, clock
        told = await pay_to_one(process.payer, wanted("a", fallbacks=("unpriced-1", MODEL)))
        assert isinstance(told, Paid)

    in_a_shop(story)


def test_nobody_is_called_before_the_time_that_was_asked_for() -> None:
    async def story(made: Shop, process: Process, clock: Ahead) -> None:
        endpoint(made, process, fault="429", retry_after="300")
        first = await process.payer.pay(purchase("a"))
        assert cast(Unpaid, first).reason == "not_made"
        endpoint(made, process)
        told = await process.payer.pay(purchase("b"))
        assert isinstance(told, Unpaid)
        assert told.reason == "asked_to_wait"
        assert told.retry_at is not None
        assert 0 < (told.retry_at - clock.at).total_seconds() <= 301
        assert made.world.calls(question("b")) == 0
        clock.ahead_s += 300
        assert isinstance(await process.payer.pay(purchase("b")), Paid)

    in_a_shop(story)


def test_whoever_has_the_patience_waits_and_is_answered() -> None:
    async def story(made: Shop, process: Process, clock: Ahead) -> None:
        del clock

        async def mend(step: str) -> None:
            if step == "ask.after":
                endpoint(made, process)

        endpoint(made, process, fault="429", retry_after="0.02")
        process.hook = mend
        assert isinstance(await pay_to_one(process.payer, purchase("a")), Paid)
        assert made.world.calls(question("a")) == 2

    in_a_shop(story)


def test_beyond_its_patience_a_case_goes_on_without() -> None:
    async def story(made: Shop, process: Process, clock: Ahead) -> None:
        del clock
        endpoint(made, process, fault="429", retry_after="300")
        told = await pay_to_one(process.payer, purchase("a", patience_s=5.0))
        assert isinstance(told, Unpaid)
        assert told.reason == "not_made"
        assert made.world.calls(question("a")) == 1

    in_a_shop(story)


def test_a_model_that_fails_is_left_alone_and_the_other_is_asked() -> None:
    async def story(made: Shop, process: Process, clock: Ahead) -> None:
        del clock
        for number in range(FAILURES + 2):
            assert isinstance(await pay_to_one(process.payer, wanted(f"case {number}")), Paid)
        assert made.standin.refused[404] == FAILURES

    in_a_shop(story)


def test_the_list_of_the_settings_is_checked() -> None:
    def of(names: str) -> LargeModelSettings:
        return LargeModelSettings(base_url="http://127.0.0.1:9/v1", name="m", fallbacks=names)

    assert fallbacks_of(of("")) == ()
    assert fallbacks_of(of(" a, b,c ,")) == ("a", "b", "c")
    for names in ("a,a", "m", "a,b,c,d"):
        with pytest.raises(Misconfigured, match=r"VM-1102.*FALLBACKS"):
            fallbacks_of(of(names))
    with pytest.raises(Misconfigured, match="VM-1102"):
        fallbacks_of(LargeModelSettings(fallbacks="a"))
