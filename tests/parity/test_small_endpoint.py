"""An endpoint in the small tier's place over HTTP: asked, paid and journalled as any call; while it is away the shipped model reads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from budgets import memory_rig
from journals import MemoryBench
from spending import shop
from standins import KEY, STILL, served
from unit.test_execute_scoring import CARDS, given, report
from unit.test_small_endpoint import VERB
from vigimesh.app.config.settings import Settings, read_settings
from vigimesh.app.in_force.small_model import book_of, endpoint_of, models_of
from vigimesh.app.standin.chat import StandIn
from vigimesh.clock import SystemClock
from vigimesh.domain.budget.prices import cost
from vigimesh.domain.cascade.breaker import FAILURES
from vigimesh.domain.cascade.shipped import SERIOUS, shipped_model
from vigimesh.events.classes import ToolsExecuted
from vigimesh.loop.outcome import Done, Input
from vigimesh.loop.stage import MAX_ROUNDS
from vigimesh.tool_executor.choosing import pay_to_one
from vigimesh.tool_executor.execute import Executor
from vigimesh.tool_executor.paying import Payer
from vigimesh.tool_executor.purchase import Paid, Unpaid, plain, told_of
from vigimesh.tool_executor.scoring import Scoring, score_fetcher

NAME = "standin-small"


def set_to(url: str, large: str = "") -> Settings:
    small = {"BASE_URL": url, "NAME": NAME, "KEY": KEY}
    values = {f"VIGIMESH_SMALL_MODEL__{name}": value for name, value in small.items()}
    if large:
        values |= {"VIGIMESH_LARGE_MODEL__BASE_URL": large, "VIGIMESH_LARGE_MODEL__NAME": "standin-large"}
    return read_settings(values)


async def worked(settings: Settings, records: Sequence[Input]) -> list[tuple[ToolsExecuted, Paid | Unpaid]]:
    """Take cases through the verb as the worker does, one after the other, with one payer; return what came of each."""
    verb = replace(VERB, scoring=Scoring(cards=CARDS, endpoint=endpoint_of(settings)))
    models = models_of(settings, SystemClock())
    try:
        async with shop(memory_rig(), MemoryBench()) as made:
            payer = made.process(prices=book_of(settings, made.clock.now()), models=models).payer
            found = [await _one(verb, payer, record) for record in records]
            counted = {
                told.call_id: told.cost_micro if isinstance(told, Paid) else told.counted_micro
                for _, told in found
            }
            booked = [row.amount_micro for row in await made.booked()]
            assert booked == [amount for amount in counted.values() if amount]
    finally:
        await models.close()
    return found


async def _one(verb: Executor, payer: Payer, record: Input) -> tuple[ToolsExecuted, Paid | Unpaid]:
    answers: dict[str, Any] = {}
    for _ in range(MAX_ROUNDS):
        needs = verb.needs(record, answers)
        if not needs:
            break
        (need,) = needs
        if need.kind == "model":
            answers[need.name] = plain(await pay_to_one(payer, need.asked), need.asked)
        else:
            (answers[need.name],) = await score_fetcher(lambda: shipped_model(SERIOUS))([need])
    outcome = verb.decide(record, answers)
    assert isinstance(outcome, Done)
    event = outcome.events[0].event
    assert isinstance(event, ToolsExecuted)
    (told,) = (told_of(value) for name, value in answers.items() if name.startswith("model:"))
    return event, told


def test_address_name_and_key_are_enough_and_each_call_is_paid_once() -> None:
    standin = StandIn(STILL, name=NAME)
    with served(standin) as url:
        settings = set_to(url)
        # The same version again is the same call.
        (event, told), (again, same) = asyncio.run(worked(settings, [given(report()), given(report())]))
    assert isinstance(told, Paid), told
    assert told.cost_micro == cost(book_of(settings, told.at).price(NAME, told.at), told.answer.tokens)
    assert (standin.account()["calls"], same) == (1, told)
    assert event.triage.serious == "unknown"
    assert "no certificate names" in event.findings[-1].detail
    assert again == event


def test_while_it_is_away_the_shipped_model_reads_and_after_some_failures_it_is_left_alone() -> None:
    with served(StandIn(STILL)) as url:
        gone = url
    records = [given(report(case_id=f"t/{number}")) for number in range(FAILURES + 1)]
    found = asyncio.run(worked(set_to(gone), records))
    assert [told.reason for _, told in found if isinstance(told, Unpaid)] == [
        *["not_made"] * FAILURES, "breaker_open",
    ]  # fmt: skip
    assert {event.triage.serious for event, _ in found} == {"no"}


def test_an_answer_after_its_deadline_is_in_doubt_and_the_shipped_model_reads() -> None:
    slow = replace(STILL, latency_ms=60_000)
    with served(StandIn(slow, name=NAME)) as url:
        settings = set_to(url)
        late = replace(settings, small_model=replace(settings.small_model, deadline_s=1))
        ((event, told),) = asyncio.run(worked(late, [given(report())]))
    assert isinstance(told, Unpaid)
    assert (told.reason, told.counted_micro > 0) == ("in_doubt", True)
    assert event.triage.serious == "no"


def test_each_tier_is_asked_at_its_own_endpoint() -> None:
    small, large = StandIn(STILL, name=NAME), StandIn(STILL, name="standin-large")
    with served(small) as url, served(large) as other:
        ((_, told),) = asyncio.run(worked(set_to(url, other), [given(report())]))
    assert isinstance(told, Paid)
    assert (small.account()["calls"], large.account()["calls"]) == (1, 0)
