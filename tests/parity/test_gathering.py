"""A payer that gathers, and the batcher's process, on memory and the stand-in's batches over HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from budgets import memory_rig
from depots import QUICK, Depot, depot, gathered
from journals import MemoryBench
from spending import away, purchase
from standins import played
from unit.test_drafting import EXECUTOR, READ, given, mail
from vigimesh.adapters.memory.models import MemoryModels
from vigimesh.background.batcher.run import run
from vigimesh.background.books.keep import Books
from vigimesh.domain.budget.batching import COMPLETION, MAX_TRIES, Gathered
from vigimesh.domain.budget.lapse import MAX_LEASE_S
from vigimesh.domain.budget.prices import shipped_prices
from vigimesh.domain.budget.rule import SWEPT
from vigimesh.domain.budget.waiting import ROOM, SPREAD
from vigimesh.domain.policy.cards import BatchWindow
from vigimesh.errors import Transient
from vigimesh.events.classes import Clock, Triage
from vigimesh.loop.health import Health
from vigimesh.loop.outcome import Done, Park
from vigimesh.tool_executor.gathering import LATER, GatheringPayer
from vigimesh.tool_executor.purchase import MayWait, Paid, Purchase, Unpaid, plain
from waiting import until_async

CALM = Triage(
    valid=True, serious="no", grade=1, clock=Clock(rule="eu_90_days", due_at=datetime(2026, 1, 1, tzinfo=UTC))
)
#: What the clock of a test goes on by itself: a microsecond each time that it is read.
TICKS = timedelta(seconds=1)
GONE = Transient("VM-1501", what="away", where="test")


def wanted(made: Depot, text: str = "rash", *, triage: Triage = CALM, lane: str = "cold") -> Purchase:
    # Closes a minute before now: its window is all day long.
    now = made.clock.now()
    window = BatchWindow(opens_utc=f"{now:%H:%M}", closes_utc=f"{now:%H:%M}")
    clock = replace(triage.clock, due_at=now + timedelta(days=80))
    may = MayWait(triage=replace(triage, clock=clock), lane=lane, received_at=now, window=window)
    return purchase(text, may_wait=may)


def payer(made: Depot, **parts: Any) -> GatheringPayer:
    """Return a payer that gathers, over the stores of a depot and the memory twin of the stand-in."""
    batcher = made.batcher()
    models = MemoryModels(lambda asked: played(made.server.standin, asked, {}), made.clock)
    given: dict[str, Any] = {
        "budget": batcher.budget, "journal": made.shop.bench.process(), "models": models, "objects": made.shop.objects,
        "prices": shipped_prices(), "agreement": batcher.agreement, "clock": made.clock, "gathered": made.journal(),
    } | parts  # fmt: skip
    return GatheringPayer(**given)


def told(story: Callable[[Depot], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with depot(memory_rig(), MemoryBench()) as made:
            await story(made)

    asyncio.run(asyncio.wait_for(whole(), 60))


def test_what_may_wait_is_gathered_and_found_answered_when_its_case_comes_back() -> None:
    async def story(made: Depot) -> None:
        first = wanted(made)
        counted: list[str] = []
        now = made.clock.now()
        waiting = await payer(made, counted=counted.append).pay(first)
        assert isinstance(waiting, Unpaid)
        assert waiting.reason == "gathered"
        assert counted == ["waiting"]
        assert waiting.retry_at is not None
        assert LATER < waiting.retry_at - now < LATER + TICKS
        assert made.billed() == 0
        batcher = made.batcher()
        await batcher.round()
        under_way = await payer(made).pay(first)  # too early: its batch goes on
        assert isinstance(under_way, Unpaid)
        assert under_way.reason == "gathered"
        await made.finished(batcher)
        found = await payer(made).pay(first)
        assert isinstance(found, Paid)
        assert made.billed() == 1
        recorded, held = await made.shop.agreed()
        assert (recorded, held) == (found.cost_micro, 0)

    told(story)


@pytest.mark.parametrize("left", [timedelta(minutes=90), timedelta(minutes=30)])
def test_a_question_that_waits_for_its_window_looks_an_hour_after_it_opens_or_when_it_closes(
    left: timedelta,
) -> None:
    async def story(made: Depot) -> None:
        now = made.clock.now().replace(second=0, microsecond=0)
        opens_at, whole = now + timedelta(hours=5), now + timedelta(hours=5) + left
        first = wanted(made)
        assert first.may_wait is not None
        window = BatchWindow(opens_utc=f"{opens_at:%H:%M}", closes_utc=f"{whole:%H:%M}")
        waiting = await payer(made).pay(replace(first, may_wait=replace(first.may_wait, window=window)))
        assert isinstance(waiting, Unpaid)
        assert waiting.retry_at == opens_at + min(left, LATER)

    told(story)


@pytest.mark.parametrize("is_sent", [True, False])
def test_a_case_whose_batch_goes_on_waits_for_it_though_another_window_would_leave_no_room(
    is_sent: bool,
) -> None:
    async def story(made: Depot) -> None:
        first = wanted(made)
        assert isinstance(await payer(made).pay(first), Unpaid)
        if is_sent:
            await made.batcher().round()
        may = first.may_wait
        assert may is not None
        # Room for one more look, and for nothing beyond it.
        due_at = made.clock.now() + LATER + SPREAD + ROOM
        late = replace(may, triage=replace(may.triage, clock=replace(may.triage.clock, due_at=due_at)))
        now = made.clock.now()
        told = await payer(made).pay(replace(first, may_wait=late))
        if is_sent:
            assert isinstance(told, Unpaid)
            assert told.reason == "gathered"
            assert told.retry_at is not None
            assert LATER < told.retry_at - now < LATER + TICKS
        else:
            assert isinstance(told, Paid)

    told(story)


def test_a_case_that_looks_soon_after_its_batches_expired_waits_for_their_reservation_and_is_paid_once() -> (
    None
):
    async def story() -> None:
        never = replace(QUICK, start_s=500_000)
        async with depot(memory_rig(), MemoryBench(), never) as made:
            first, batcher = wanted(made), made.batcher()
            assert isinstance(await payer(made).pay(first), Unpaid)
            for _ in range(MAX_TRIES):
                made.let_pass(MAX_LEASE_S + SWEPT.total_seconds())
                await made.swept(batcher)
                await batcher.round()
                made.routes.desk.forward(COMPLETION.total_seconds() + 1)
                await batcher.round()
            (place,) = made.batches.places.values()
            assert (place.state, place.tries, made.billed()) == ("ended", MAX_TRIES, 0)
            soon = await payer(made).pay(first)
            assert isinstance(soon, Unpaid)
            assert soon.reason == "gathered"
            assert soon.retry_at is not None
            made.let_pass((soon.retry_at - made.clock.now()).total_seconds())
            await made.swept(batcher)
            assert isinstance(await payer(made).pay(first), Paid)
            assert made.billed() == 1

    asyncio.run(asyncio.wait_for(story(), 60))


def test_what_was_not_sent_while_it_might_be_is_paid_at_once() -> None:
    async def story(made: Depot) -> None:
        first = wanted(made)
        assert isinstance(await payer(made).pay(first), Unpaid)
        made.let_pass(3 * 86_400)
        found = await payer(made).pay(first)
        assert isinstance(found, Paid)
        await made.batcher().round()
        assert (made.billed(), len(made.routes.desk.batches)) == (1, 0)

    told(story)


@pytest.mark.parametrize(
    ("triage", "lane"),
    [
        (CALM, "hot"),
        (CALM, "warm"),
        (replace(CALM, serious="unknown", grade=3), "cold"),
        (replace(CALM, serious="yes", grade=5), "cold"),
    ],
)
def test_nothing_hot_or_untriaged_is_gathered_by_a_payer(triage: Triage, lane: str) -> None:
    async def story(made: Depot) -> None:
        assert isinstance(await payer(made).pay(wanted(made, triage=triage, lane=lane)), Paid)
        assert isinstance(await payer(made).pay(purchase("no word of waiting")), Paid)
        assert not await made.journal().waiting(made.clock.now(), 9)

    told(story)


def test_a_model_that_is_not_sold_in_batches_and_a_journal_that_is_away_cost_no_wait() -> None:
    async def story(made: Depot) -> None:
        book = replace(
            shipped_prices(),
            prices=tuple(replace(one, batch_percent=None) for one in shipped_prices().prices),
        )
        assert isinstance(await payer(made, prices=book).pay(wanted(made, "a")), Paid)

        class Away:
            async def gather(self, one: Gathered) -> str:
                raise GONE

        assert isinstance(await payer(made, gathered=Away()).pay(wanted(made, "b")), Paid)

    told(story)


@pytest.mark.parametrize("is_away", [True, False])
def test_the_process_goes_round_says_what_keeps_it_and_stops_when_it_is_told_to(is_away: bool) -> None:
    async def story(made: Depot) -> None:
        await made.journal().gather(gathered(made, "rash"))
        batcher = made.batcher(away("open_batches.before", error=GONE, times=1_000 if is_away else 0))
        assert isinstance(batcher.agreement, Books)
        health, stop = Health(made.clock), threading.Event()
        going = asyncio.ensure_future(run(batcher, batcher.agreement, health, stop))
        await until_async(lambda: health.ready or health.trouble, what="a round")
        assert (health.ready, "VM-1501" in health.trouble) == (not is_away, is_away)
        stop.set()
        await going
        assert not health.ready
        assert len(made.routes.desk.batches) == (0 if is_away else 1)

    told(story)


def test_the_draft_of_a_cold_mail_by_the_shipped_card_is_gathered_and_billed_once() -> None:
    """From the verb's need through the batch to the review's draft: one line, one bill, and the answer is the draft."""

    async def story(made: Depot) -> None:
        record = given(mail())
        # Received now, so that the wait for the window and a day is within its bound.
        now = made.clock.now()
        record = replace(
            record, event=replace(record.event, route=replace(record.event.route, received_at=now))
        )
        (need,) = EXECUTOR.needs(record, READ)
        wanted = need.asked
        assert wanted.step == "draft"
        first = await payer(made).pay(wanted)
        assert isinstance(first, Unpaid)
        assert first.reason == "gathered"
        parked = EXECUTOR.decide(record, {**READ, need.name: plain(first, wanted)})
        assert isinstance(parked, Park)
        (place,) = made.batches.places.values()
        # An hour after the window has opened, and within half an hour of that.
        looks = parked.not_before - max(now, place.gathered.opens_at)
        assert LATER <= looks < LATER + SPREAD
        made.let_pass(max(0.0, (place.gathered.opens_at - now).total_seconds()))
        await made.finished(made.batcher())
        again = await payer(made).pay(wanted)
        assert isinstance(again, Paid)
        assert await payer(made).pay(wanted) == again
        assert made.billed() == 1
        booked = [(row.state, row.amount_micro) for row in await made.shop.booked()]
        assert booked == [("settled", again.cost_micro)]
        outcome = EXECUTOR.decide(record, {**READ, need.name: plain(again, wanted)})
        assert isinstance(outcome, Done)
        executed: Any = outcome.events[0].event
        assert executed.draft.by.startswith("standin"), executed.findings[-1]
        assert executed.cost_micro == again.cost_micro + 3 * (len(executed.findings) - 1)

    told(story)
