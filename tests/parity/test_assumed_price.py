"""An address, a name and a key are enough: a model that no book names is asked over HTTP, at the assumed ceiling."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from budgets import memory_rig
from journals import MemoryBench
from spending import purchase, shop
from standins import KEY, STILL, served
from vigimesh.app.config.settings import read_settings
from vigimesh.app.in_force.large_model import large_model, prices_of
from vigimesh.app.standin.chat import StandIn
from vigimesh.clock import SystemClock
from vigimesh.domain.budget.prices import PriceBook, cost
from vigimesh.domain.budget.values import CASES_A_DAY, Caps
from vigimesh.domain.cascade.narrative import MAX_SENT
from vigimesh.domain.cascade.prompts import shipped_prompt
from vigimesh.domain.cascade.question import Message, Question
from vigimesh.domain.policy.shipped import shipped_cards
from vigimesh.tool_executor.purchase import Paid, Purchase, Unpaid

NAME = "standin-of-no-book"
AT = datetime(2026, 3, 10, 12, tzinfo=UTC)


def longest(model: str, workflow: str) -> Purchase:
    """Return the longest question that a shipped card has asked: the prompt, all of a narrative, and its facts."""
    prompt = shipped_prompt("triage")
    card = shipped_cards(False).named(workflow)
    assert card is not None
    text = (Message("system", prompt.system), Message("user", "x" * (MAX_SENT + 1_000)))
    asked = Question(model=model, messages=text, max_tokens=120, deadline_s=20)
    return purchase(question=asked, workflow=workflow, caps=Caps.of(card))


def paid_for(prices: PriceBook | None, workflow: str = "triage") -> tuple[Paid | Unpaid, PriceBook, int]:
    """Ask with nothing set but the three; return what came of it, the book, and the calls that arrived."""
    standin = StandIn(STILL, name=NAME)

    async def run(url: str) -> tuple[Paid | Unpaid, PriceBook]:
        settings = read_settings(
            {
                "VIGIMESH_LARGE_MODEL__BASE_URL": url,
                "VIGIMESH_LARGE_MODEL__NAME": NAME,
                "VIGIMESH_LARGE_MODEL__KEY": KEY,
            }
        ).large_model
        book = prices_of(settings, AT) if prices is None else prices
        async with shop(memory_rig(), MemoryBench()) as made:
            models = large_model(settings, SystemClock())
            told = await made.process(prices=book, models=models).pay(longest(NAME, workflow))
            await models.close()
        return told, book

    with served(standin) as url:
        told, book = asyncio.run(run(url))
    return told, book, standin.account()["calls"]


@pytest.mark.parametrize("workflow", ["triage", "clinical_ops", "signal", "regulatory_prep"])
def test_a_model_of_no_book_is_asked_and_paid_at_the_ceiling(workflow: str) -> None:
    told, book, calls = paid_for(None, workflow)
    assert isinstance(told, Paid), told
    assert calls == 1
    assert told.cost_micro == cost(book.price(NAME, AT), told.answer.tokens)


def test_a_book_without_it_refuses_before_the_call() -> None:
    told, _, calls = paid_for(PriceBook((), "nowhere"))
    assert isinstance(told, Unpaid)
    assert (told.reason, calls) == ("unpriced", 0)


def test_month_and_day_hold_at_the_ceiling_and_a_case_has_a_quarter_of_the_day() -> None:
    caps = Caps("EUR", month_micro=90, day_micro=80, case_micro=5, calls_per_minute=3)
    assert caps.at_assumed_price() == replace(caps, case_micro=20)
    # A card that gives a case more keeps it.
    assert replace(caps, case_micro=30).at_assumed_price() == replace(caps, case_micro=30)


def test_a_case_that_runs_away_leaves_the_day_to_the_others() -> None:
    """Each pass asks anew; at the ceiling the case is stopped, and another of the same day is still asked."""
    standin = StandIn(STILL, name=NAME)

    async def run(url: str) -> tuple[list[Paid | Unpaid], Paid | Unpaid]:
        settings = read_settings(
            {"VIGIMESH_LARGE_MODEL__BASE_URL": url, "VIGIMESH_LARGE_MODEL__NAME": NAME}
        ).large_model
        one = longest(NAME, "signal")
        async with shop(memory_rig(), MemoryBench()) as made:
            models = large_model(settings, SystemClock())
            process = made.process(prices=prices_of(settings, AT), models=models)
            runaway = [await process.pay(replace(one, pass_number=number)) for number in range(1, 21)]
            other = await process.pay(replace(one, case_id="t/another"))
            await models.close()
        return runaway, other

    with served(standin) as url:
        runaway, other = asyncio.run(run(url))
    spent = sum(one.cost_micro for one in runaway if isinstance(one, Paid))
    day = longest(NAME, "signal").caps.day_micro
    assert isinstance(runaway[-1], Unpaid)
    assert "left of the case" in runaway[-1].why
    assert spent <= day // CASES_A_DAY
    assert isinstance(other, Paid), other
