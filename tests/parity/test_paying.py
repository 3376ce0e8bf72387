"""One suite on memory and on Valkey, PostgreSQL and the stand-in over HTTP: paid once, whatever stops whom, wherever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta

import pytest

from budget_fixture import new_valkey_rig
from budgets import memory_rig
from journals import MemoryBench, PgBench, database
from spending import (
    AWAY,
    LEASES_S,
    WIDE,
    Death,
    Gate,
    Place,
    Shop,
    away,
    dying_at,
    losing,
    purchase,
    question,
    shop,
    worst_of,
)
from vigimesh.background.books.keep import Swept
from vigimesh.domain.budget.prices import PriceBook
from vigimesh.domain.budget.rule import SWEPT
from vigimesh.domain.budget.values import Caps
from vigimesh.tool_executor.purchase import Paid, Unpaid, lease_s
from waiting import until_async

PLACES = ("memory", pytest.param("real", marks=pytest.mark.real))
#: Every await of a call that is answered, in order.
STEPS = tuple(
    f"{port}.{when}" for port in ("reserve", "begin_in_turn", "ask", "answer", "settle") for when in ("before", "after")
)  # fmt: skip
#: What goes on when the answer is out: nobody waits for it.
SETTLING = ("settle.before", "settle.after")
#: Dead at one of these, nobody can know whether the call was made.
DOUBTFUL = STEPS[STEPS.index("begin_in_turn.after") : STEPS.index("answer.after")]


@pytest.fixture(scope="module")
def uri(request: pytest.FixtureRequest) -> Iterator[str]:
    with database(request.getfixturevalue("stack").urls.postgres, "paying_parity") as made:
        yield made


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "memory":
        return Place(lambda: shop(memory_rig(), MemoryBench()))
    server, uri = request.getfixturevalue("budget_valkey"), request.getfixturevalue("uri")

    def real() -> AbstractAsyncContextManager[Shop]:
        bench = PgBench(uri)
        bench.empty()
        return shop(new_valkey_rig(server), bench)

    return Place(real)


async def check_paid_once(place: Place) -> None:
    """An answer is paid for, and given again to whoever asks the same in the same pass; another pass is another call."""
    async with place.open() as made:
        first, other = place.process(made), place.process(made)
        paid = await first.pay(purchase())
        assert isinstance(paid, Paid), paid
        assert paid.answer.text
        assert 0 < paid.cost_micro < worst_of(purchase())
        assert await first.pay(purchase()) == paid == await other.pay(purchase())
        assert await made.agreed(question()) == (paid.cost_micro, 0)
        again = await other.pay(purchase(pass_number=3))
        assert isinstance(again, Paid)
        assert again.call_id != paid.call_id
        assert made.world.calls(question()) == 2


async def check_crash(place: Place) -> None:
    """Dead at any await: made at most once, nothing leaks, and budget and journal say the same."""
    async with place.open() as made:
        for order in ("redo, sweep", "sweep, redo", "at once"):
            for step in STEPS:
                if order == "at once" and step in DOUBTFUL:
                    continue  # the row is its owner's until the lease ends
                text = f"{order} {step}"
                dead = place.process(made, dying_at(step))
                ended = await dead.pay(purchase(text))
                await dead.end()
                assert (type(ended), dead.dead) == (Paid if step in SETTLING else Death, True), step
                if order != "at once":
                    made.let_pass(LEASES_S)
                if order == "sweep, redo":
                    await made.agreed(question(text))
                redo = await place.pays(made, purchase(text))
                await made.agreed(question(text))
                last = await place.pays(made, purchase(text))
                if step in DOUBTFUL:
                    assert isinstance(last, Unpaid)
                    assert last.reason == "in_doubt"
                else:
                    assert isinstance(last, Paid), (text, last)
                    assert isinstance(redo, Paid) or redo.reason == "not_made", (text, redo)
                assert made.world.calls(question(text)) == (step not in STEPS[3:5])
                await made.agreed(question(text))


async def check_cancelled(place: Place) -> None:
    """Cancelled at any await (failure 24): what it leaves is reserved or settled; a reply that came is stored and settled."""
    async with place.open() as made:
        for step in STEPS:
            gate = Gate(step)
            left = place.process(made, gate)
            task = asyncio.ensure_future(left.payer.pay(purchase(step)))
            await gate.reached.wait()
            if step in SETTLING:
                assert isinstance(await task, Paid), "its answer waits for the settling"
            else:
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            gate.opened.set()
            await left.end()
            made.let_pass(LEASES_S)
            await made.agreed(question(step))
            last = await place.pays(made, purchase(step))
            if step in STEPS[STEPS.index("answer.before") :]:
                assert isinstance(last, Paid)
            await made.agreed(question(step))
            assert isinstance(last, Paid) or (step in STEPS[3:6] and last.reason == "in_doubt"), (step, last)


async def check_window(place: Place) -> None:
    """64 tasks of eight processes on a window for ten (failure 23): ten are made, the others told why."""
    async with place.open() as made:
        most = worst_of(purchase("task 10"))
        caps = replace(WIDE, day_micro=10 * most)
        gate = Gate("ask.before")
        processes = [place.process(made, gate) for _ in range(8)]
        tasks = [
            asyncio.ensure_future(processes[n % 8].payer.pay(purchase(f"task {n + 10}", caps=caps)))
            for n in range(64)
        ]
        await until_async(lambda: sum(task.done() for task in tasks) == 54, within_s=60, what="54 told no")
        day = (await made.standing(caps)).windows[1]
        assert (day.recorded_micro, day.open_micro, day.enforced_micro) == (0, 10 * most, 10 * most)
        gate.opened.set()
        ended = await asyncio.gather(*tasks)
        paid = [one for one in ended if isinstance(one, Paid)]
        denied = [one for one in ended if isinstance(one, Unpaid)]
        assert (len(paid), len(denied)) == (10, 54)
        assert {one.reason for one in denied} == {"denied"}
        assert "left of the day while calls under way hold" in denied[0].why
        soon = max(one.retry_at for one in denied if one.retry_at is not None)
        assert {one.retry_at is None for one in denied} == {False}
        assert timedelta(0) < soon - made.clock.at < timedelta(seconds=lease_s(question())) + 2 * SWEPT
        assert made.standin.account()["calls"] == 10
        assert await made.agreed() == (sum(one.cost_micro for one in paid), 0)
        # Settled, the ten leave room of the same day.
        made.let_pass((soon - made.clock.at).total_seconds())
        turned_away = next(n for n, one in enumerate(ended) if isinstance(one, Unpaid))
        assert isinstance(await place.pays(made, purchase(f"task {turned_away + 10}", caps=caps)), Paid)


async def check_flushed(place: Place) -> None:
    """The budget's store is emptied, or started again, at any step of a call (failure 28): nothing is lost of what was paid."""
    async with place.open() as made:
        for what in (made.rig.flush, made.rig.restart):
            for step in STEPS:
                text = f"{what.__name__} {step}"
                paid = await place.pays(made, purchase(text), losing(step, what))
                assert isinstance(paid, Paid), (text, paid)
                await made.agreed(question(text))


async def check_epoch(place: Place) -> None:
    """Reserved in what was lost since, a call does not begin: it would be held by nothing."""
    async with place.open() as made:
        early, gate = Gate("reserve.after"), Gate("ask.before")

        async def hook(step: str) -> None:
            await early(step)
            await gate(step)

        task = asyncio.ensure_future(place.process(made, hook).payer.pay(purchase()))
        await early.reached.wait()
        await asyncio.to_thread(made.rig.flush)
        assert await place.process(made).books.epoch()
        early.opened.set()
        await until_async(lambda: gate.reached.is_set() or task.done(), what="asked, or refused")
        month = (await made.standing()).windows[-1]
        rows = await made.booked()
        assert month.open_micro == sum(row.amount_micro for row in rows)
        gate.opened.set()
        assert isinstance(await task, Paid)
        await made.agreed(question())


async def check_stored_first(place: Place) -> None:
    """The answer is in the journal before anybody has it."""
    async with place.open() as made:
        gate = Gate("answer.before")
        task = asyncio.ensure_future(place.process(made, gate).payer.pay(purchase()))
        await gate.reached.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not task.done()
        gate.opened.set()
        assert isinstance(await task, Paid)


async def check_not_made(place: Place) -> None:
    """429, 503 and no connection: given back at once, the next try may make it."""
    async with place.open() as made:
        for fault in ("429", "503"):
            made.headers = {"x-standin-fault": fault, "x-standin-retry-after": "7"}
            told = await place.pays(made, purchase(fault))
            assert isinstance(told, Unpaid)
            assert told.reason == "not_made"
            assert told.counted_micro == 0
            assert told.retry_at is not None
            assert timedelta(seconds=6) < told.retry_at - made.clock.at <= timedelta(seconds=8)
            assert (await made.standing()).windows[-1].open_micro == 0
            made.headers = {}
            assert isinstance(await place.pays(made, purchase(fault)), Paid)
        told = await place.process(made, models=made.world.away()).pay(purchase("away"))
        assert (told.reason, told.counted_micro) == ("not_made", 0)
        assert (await made.standing()).windows[-1].open_micro == 0
        await made.agreed()


async def check_in_doubt(place: Place) -> None:
    """500, a cut and a hang (failure 25): counted as the worst case, and never called again in this pass."""
    async with place.open() as made:
        held = 0
        for count, fault in enumerate(("500", "cut", "close", "no-usage"), start=1):
            made.headers = {"x-standin-fault": fault}
            told = await place.pays(made, purchase(fault))
            made.headers = {}
            assert isinstance(told, Unpaid)
            assert (told.reason, told.counted_micro) == ("in_doubt", worst_of(purchase(fault)))
            again = await place.pays(made, purchase(fault))
            assert (again.reason, again.counted_micro) == ("in_doubt", worst_of(purchase(fault)))
            recorded, held = await made.agreed(question(fault))
            assert recorded == 0
            assert made.standin.account()["billed"] == count
        assert held == sum(worst_of(purchase(fault)) for fault in ("500", "cut", "close", "no-usage"))


async def check_paid_is_used(place: Place) -> None:
    """What was paid for is used although there is no room, no price or no agreement any more."""
    async with place.open() as made:
        paid = await place.process(made).pay(purchase())
        nothing = Caps("EUR", 0, 0, 0, 0)
        assert await place.process(made).pay(purchase(caps=nothing)) == paid
        none = PriceBook((), "nowhere")
        assert await place.process(made, prices=none).pay(purchase()) == paid
        unpriced = await place.process(made, prices=none).pay(purchase("new"))
        assert (unpriced.reason, made.world.calls(question("new"))) == ("unpriced", 0)
        shut = place.process(made, away("run_id.before", "expired.before", error=AWAY))
        assert await shut.pay(purchase()) == paid
        told = await shut.pay(purchase("new"))
        assert (told.reason, made.world.calls(question("new"))) == ("shut", 0)
        await made.agreed(question())


async def check_journal_away(place: Place) -> None:
    """The journal is away at each of its steps, before and after it did it (failure 29): the call is made once at most."""
    async with place.open() as made:
        for step in ("begin_in_turn.before", "begin_in_turn.after", "epoch.before", "claim_epoch.before"):
            told = await place.pays(made, purchase(step), away(step, error=AWAY))
            assert isinstance(told, Paid if step.startswith("claim") else Unpaid), (step, told)
            made.let_pass(LEASES_S)
            await made.agreed(question(step))
        for step in ("answer.before", "answer.after"):
            told = await place.pays(made, purchase(step), away(step, error=AWAY, times=1))
            assert isinstance(told, Paid)
            await made.agreed(question(step))


async def check_duplicates(place: Place) -> None:
    """Eight tasks ask the same at once: one call, the others get its answer."""
    async with place.open() as made:
        ended = await asyncio.gather(*(place.process(made).payer.pay(purchase()) for _ in range(8)))
        assert len(set(ended)) == 1
        assert isinstance(ended[0], Paid)
        assert await made.agreed(question()) == (ended[0].cost_micro, 0)


async def check_counted_once(place: Place) -> None:
    """Asked again when the budget has forgotten the call, which was counted long ago (failure 27): counted once all the same."""
    async with place.open() as made:
        paid = await place.process(made).pay(purchase())
        made.bench.date_back(2 / 24)
        assert isinstance(await place.process(made).pay(purchase("newer")), Paid)
        await asyncio.to_thread(made.rig.flush)
        before = await made.agreed()
        assert await place.process(made).pay(purchase()) == replace(paid, at=paid.at - timedelta(hours=2))
        assert await made.agreed(question()) == before
        # Dead before it could give back what it had reserved for nothing: the sweep must not settle that.
        died = place.process(made, dying_at("release.before"))
        assert isinstance(await died.pay(purchase()), Death)
        made.let_pass(LEASES_S)
        assert await made.agreed(question()) == before


async def check_lapsed(place: Place) -> None:
    """Nobody makes a call on a reservation that is being given back: not on one that lapsed, nor on another's.

    That the payer looks at the clock itself is not what holds it: the journal lets nobody begin.
    """
    async with place.open() as made:
        slow = Gate("begin_in_turn.before")
        task = asyncio.ensure_future(place.process(made, slow).payer.pay(purchase()))
        await slow.reached.wait()
        made.let_pass(LEASES_S)
        lapsed_at = made.clock.at
        await made.swept()
        assert (await made.standing()).windows[-1].open_micro == 0
        slow.opened.set()
        ended = await task
        # On the one that lapsed it was refused; what it cost stands on one that was made since.
        assert isinstance(ended, Paid)
        assert ended.at >= lapsed_at
        assert await made.agreed(question()) == (ended.cost_micro, 0)
        # Stood still before it began: it does not begin at all, so that dying now leaves nothing in the journal.
        still = Gate("reserve.after")
        frozen = place.process(made, still)
        task = asyncio.ensure_future(frozen.payer.pay(purchase("still")))
        await still.reached.wait()
        made.let_pass(LEASES_S)
        await made.swept()
        still.opened.set()
        ended = await task
        assert isinstance(ended, Unpaid)
        assert ended.reason == "not_made"
        assert "begin_in_turn.before" not in frozen.steps
        # Another's that was not made, and which its owner is about to give back.
        made.headers = {"x-standin-fault": "429"}
        owner = Gate("release.before")
        late = asyncio.ensure_future(place.process(made, owner).payer.pay(purchase("b")))
        await owner.reached.wait()
        made.headers = {}
        told = await place.process(made).pay(purchase("b"))
        assert isinstance(told, Unpaid), "made on another's reservation"
        assert (told.reason, made.world.calls(question("b"))) == ("not_made", 1)
        owner.opened.set()
        await late
        assert isinstance(await place.process(made).pay(purchase("b")), Paid)
        assert made.world.calls(question("b")) == 2
        await made.agreed(question())


async def check_next_of_the_case(place: Place) -> None:
    """The next call of a case finds the room that the last one gave back, though nobody waited until it was settled."""
    async with place.open() as made:
        paying = place.process(made)
        first = await paying.pay(purchase("how much"))
        room = replace(WIDE, case_micro=worst_of(purchase("how much")) + first.cost_micro)
        for case in range(5):
            for number in (2, 3):
                paid = await paying.pay(
                    purchase("how much", case_id=f"case {case}", pass_number=number, caps=room)
                )
                assert isinstance(paid, Paid), (case, number, paid)


async def check_rebuilds(place: Place) -> None:
    """Eight processes find the store empty at once: one rebuilds, all agree, what was spent still counts."""
    async with place.open() as made:
        paid = await place.process(made).pay(purchase())
        await asyncio.to_thread(made.rig.flush)
        processes = [place.process(made) for _ in range(8)]
        epochs = await asyncio.gather(*(one.books.epoch() for one in processes))
        await until_async(lambda: all(one.books._epoch for one in processes), what="all agree")
        assert len({one.books._epoch for one in processes}) == 1, epochs
        assert sum(one.steps.count("rebuild.after") for one in processes) == 1
        assert await made.agreed() == (paid.cost_micro, 0)
        assert await processes[0].books.sweep() == Swept()


CHECKS = {
    "paid once": check_paid_once, "crash": check_crash, "cancelled": check_cancelled, "window": check_window,
    "flushed": check_flushed, "epoch": check_epoch, "stored first": check_stored_first, "not made": check_not_made,
    "in doubt": check_in_doubt, "paid is used": check_paid_is_used, "journal away": check_journal_away,
    "duplicates": check_duplicates, "counted once": check_counted_once, "lapsed": check_lapsed, "rebuilds": check_rebuilds,
    "next of the case": check_next_of_the_case,
}  # fmt: skip


@pytest.mark.parametrize("check", CHECKS)
def test_paying(place: Place, check: str) -> None:
    place.run(CHECKS[check])
