"""An endpoint that fails is left alone: no case waits for it, nothing is held for what is not asked, what was paid is given."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

import pytest

from budgets import memory_rig
from journals import MemoryBench
from spending import Door, Gate, Process, Shop, Stepping, purchase, question, shop
from vigimesh.domain.budget.values import Caps
from vigimesh.domain.cascade.breaker import FAILURES, PAUSE_S
from vigimesh.domain.cascade.question import NotMade, Question
from vigimesh.tool_executor.purchase import Paid, Unpaid, lease_s

FAULT, RETRY_AFTER = "x-standin-fault", "x-standin-retry-after"


@dataclass(frozen=True)
class Says:
    """An endpoint that replies the same to everybody."""

    reply: NotMade

    async def ask(self, question: Question, leave: Awaitable[None] | None = None) -> NotMade:
        return self.reply

    async def close(self) -> None: ...


class Ahead(Stepping):
    """A clock whose seconds a test moves on, too."""

    ahead_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.ahead_s


def in_a_shop(story: Callable[[Shop, Process, Ahead, list[str]], Awaitable[None]]) -> None:
    """Tell a story of one process, with what was told of its breaker."""

    async def whole() -> None:
        async with shop(memory_rig(), MemoryBench()) as made:
            made.clock = clock = Ahead()
            states: list[str] = []
            process = made.process()
            process.payer.tell = lambda state, mend: states.append(f"{state}; {mend}" if mend else state)
            await story(made, process, clock, states)
            await made.agreed()

    asyncio.run(asyncio.wait_for(whole(), 60))


async def failing(made: Shop, process: Process, fault: str) -> None:
    """Let as many calls fail as open the breaker."""
    answering(made, process, fault)
    for number in range(FAILURES):
        told = await process.pay(purchase(f"fails {number}"))
        assert isinstance(told, Unpaid)
        assert told.reason in {"not_made", "in_doubt"}


async def due(made: Shop, process: Process, clock: Ahead) -> None:
    """Open the breaker and let its pause pass: the endpoint answers again, and the next call is the one that tries it."""
    await failing(made, process, "429")
    answering(made, process)
    clock.ahead_s += PAUSE_S


async def begun(process: Process, text: str, at: str) -> tuple[Gate, asyncio.Future[Any]]:
    """Pay for a question and return when it has come to a step, where its gate holds it."""
    gate = Gate(at)
    process.hook = gate
    paying = asyncio.ensure_future(process.pay(purchase(text)))
    await gate.reached.wait()
    return gate, paying


def answering(made: Shop, process: Process, fault: str = "") -> None:
    """Let the endpoint answer the process so from now on."""
    wishes = {FAULT: fault, RETRY_AFTER: "0"} if fault else {}
    cast(Door, process.payer.models).inner = made.world.models(wishes)


async def reason(process: Process, text: str, **changes: object) -> str:
    told = await process.pay(purchase(text, **changes))  # type: ignore[arg-type]  # whatever a test changes
    return told.reason if isinstance(told, Unpaid) else "paid"


@pytest.mark.parametrize("fault", ["429", "500", "cut"])
def test_after_failures_in_a_row_nothing_is_asked_or_held_and_what_was_paid_is_given(fault: str) -> None:
    async def story(made: Shop, process: Process, clock: Ahead, states: list[str]) -> None:
        paid = await process.pay(purchase("before"))
        assert isinstance(paid, Paid)
        await failing(made, process, fault)
        open_before = (await made.standing()).windows[-1].open_micro
        told = await process.pay(purchase("next"))
        assert isinstance(told, Unpaid)
        assert told.reason == "breaker_open"
        assert told.retry_at is not None
        assert 0 < (told.retry_at - clock.at).total_seconds() <= PAUSE_S + 1
        assert made.world.calls(question("next")) == 0
        assert (await made.standing()).windows[-1].open_micro == open_before
        assert await process.pay(purchase("before")) == paid
        assert states == ["open"]

    in_a_shop(story)


def test_after_a_pause_one_call_tries_it_and_an_answer_lets_all_through() -> None:
    async def story(made: Shop, process: Process, clock: Ahead, states: list[str]) -> None:
        await due(made, process, clock)
        gate, trying = await begun(process, "tries", "ask.before")
        assert await reason(process, "meanwhile") == "breaker_open"
        assert states[-1] == "half_open"
        gate.opened.set()
        assert isinstance(await trying, Paid)
        assert [await reason(process, text) for text in ("a", "b")] == ["paid", "paid"]
        assert states == ["open", "half_open", "closed"]

    in_a_shop(story)


def test_one_that_tries_in_vain_opens_it_for_twice_as_long() -> None:
    async def story(made: Shop, process: Process, clock: Ahead, states: list[str]) -> None:
        await failing(made, process, "500")
        clock.ahead_s += PAUSE_S
        assert await reason(process, "tries") == "in_doubt"
        clock.ahead_s += 2 * PAUSE_S - 1
        assert await reason(process, "too early") == "breaker_open"
        answering(made, process)
        clock.ahead_s += 1
        assert await reason(process, "in time") == "paid"
        assert states == ["open", "half_open", "open", "half_open", "closed"]

    in_a_shop(story)


def test_one_that_was_to_try_it_and_has_no_money_leaves_it_to_the_next() -> None:
    async def story(made: Shop, process: Process, clock: Ahead, states: list[str]) -> None:
        await due(made, process, clock)
        assert await reason(process, "poor", caps=Caps("EUR", 0, 0, 0, 10)) == "denied"
        assert await reason(process, "rich") == "paid"

    in_a_shop(story)


def test_one_that_is_cancelled_before_it_asks_leaves_it_to_the_next() -> None:
    async def story(made: Shop, process: Process, clock: Ahead, states: list[str]) -> None:
        await due(made, process, clock)
        gate, trying = await begun(process, "gone", "reserve.before")
        trying.cancel()
        await asyncio.gather(trying, return_exceptions=True)
        gate.opened.set()
        assert await reason(process, "next") == "paid"

    in_a_shop(story)


def test_one_that_is_cancelled_while_it_asks_still_decides() -> None:
    async def story(made: Shop, process: Process, clock: Ahead, states: list[str]) -> None:
        await due(made, process, clock)
        gate, trying = await begun(process, "goes on", "ask.before")
        trying.cancel()
        await asyncio.gather(trying, return_exceptions=True)
        assert await reason(process, "meanwhile") == "breaker_open"
        gate.opened.set()
        await process.payer.close()
        assert await reason(process, "next") == "paid"

    in_a_shop(story)


def test_one_that_never_says_how_it_ended_stands_in_nobodys_way() -> None:
    async def story(made: Shop, process: Process, clock: Ahead, states: list[str]) -> None:
        await due(made, process, clock)
        gate, trying = await begun(process, "stuck", "ask.before")
        clock.ahead_s += lease_s(question())
        gate.at = ""
        assert await reason(process, "next") == "paid"
        gate.opened.set()
        await trying

    in_a_shop(story)


def test_what_a_person_must_change_is_told_at_the_first_refusal_and_until_an_answer() -> None:
    async def story(made: Shop, process: Process, clock: Ahead, states: list[str]) -> None:
        refusing = NotMade(why="the endpoint answered 401", mend="correct the key")
        process.payer.models = Says(refusing)
        for text in ("one", "two"):
            told = await process.pay(purchase(text))
            assert isinstance(told, Unpaid)
            assert told.reason == "not_made"
        assert states == ["closed; correct the key"]
        process.payer.models = Says(NotMade(why="too many", retry_after_s=0.0))
        await process.pay(purchase("three"))
        assert states == ["closed; correct the key"], "a busy endpoint says nothing of the key"
        process.payer.models = made.world.models({})
        assert isinstance(await process.pay(purchase("four")), Paid)
        assert states == ["closed; correct the key", "closed"]

    in_a_shop(story)
