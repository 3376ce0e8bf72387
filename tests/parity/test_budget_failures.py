"""What others lost money by (docs/failures.md, 23 to 31), each a test by its number, on every budget."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from budgets import CAPS, EPOCH, NOON, WIDE, Rig, ask, booked, figures, raised, standing, window
from vigimesh.domain.budget.values import (
    SHUT,
    Booked,
    Denied,
    Lapsed,
    NotReserved,
    Released,
    Reserved,
    Settled,
    Shut,
    Standing,
)
from vigimesh.ports import Budget

Loss = Callable[[Rig], object]


async def check_nothing_overspent(rig: Rig) -> None:
    """64 tasks of eight processes ask at once on an empty window; what is admitted fits, and no room is left unused."""
    caps = replace(WIDE, day_micro=500)
    budgets = [await rig.built()] + [rig.adopted() for _ in range(7)]
    asks = [ask(f"a{n}", 7 + n % 13, caps=caps) for n in range(64)]
    answers = await asyncio.gather(*(budgets[n % 8].reserve([one]) for n, one in enumerate(asks)))
    admitted = [answer[0].amount_micro for answer in answers if isinstance(answer[0], Reserved)]
    denied = [answer[0] for answer in answers if isinstance(answer[0], Denied)]
    assert len(admitted) + len(denied) == 64
    assert sum(admitted) <= 500
    assert await figures(budgets[3]) == (0, sum(admitted))
    # No false refusal: at the time of each there was less room than it asked for.
    assert denied
    for one in denied:
        assert one.recorded_micro + one.open_micro + one.asked_micro > 500
        assert one.window == "day"


def test_failure_23_64_tasks_on_an_empty_window_spend_no_more_than_the_cap(rig: Rig) -> None:
    rig.run(check_nothing_overspent)


def test_failure_23_tasks_that_settle_below_the_worst_case_fill_the_cap_to_the_micro_unit(rig: Rig) -> None:
    async def scenario(rig: Rig) -> None:
        caps = replace(WIDE, day_micro=200)
        budget = await rig.built()

        async def spend(name: str) -> int:
            spent = 0
            for n in range(8):
                (answer,) = await budget.reserve([ask(f"{name}.{n}", 9, caps=caps)])
                if isinstance(answer, Reserved):
                    assert isinstance(await budget.settle(answer.call_id, "triage", 4), Settled)
                    spent += 4
            return spent

        spent = sum(await asyncio.gather(*(spend(name) for name in "abcdefgh")))
        # Whoever was refused while others held their worst case comes again, one at a time.
        for n in range(8):
            spent += await spend(f"again{n}")
        assert await figures(budget) == (spent, 0)
        # 192 is the last sum at which a worst case of 9 is refused: 48 calls, whoever made them.
        assert spent == 192

    rig.run(scenario)


async def check_no_reservation_leaks(rig: Rig) -> None:
    """Cancel a call at every await between reserve and settle; whoever is cancelled releases, and nothing stays held."""
    budget = await rig.built()

    async def call(name: str) -> None:
        try:
            await budget.reserve([ask(name, 10, caps=WIDE)])
            await asyncio.sleep(0)
            await budget.settle(name, "triage", 10)
        except asyncio.CancelledError:
            await budget.release(name, "triage")
            raise

    for steps in range(40):
        task = asyncio.create_task(call(f"a{steps}"))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    # One whose connection was cut could be held after its release: the journal knows no call of it, and it lapses.
    late = await budget.expired(NOON + timedelta(days=1))
    assert not isinstance(late, Shut)
    for one in late:
        await budget.release(one.call_id, one.workflow)
    recorded, held = await figures(budget)
    assert held == 0
    assert recorded % 10 == 0


def test_failure_24_cancelled_at_any_await_nothing_stays_reserved(rig: Rig) -> None:
    rig.run(check_no_reservation_leaks)


ROWS = [
    booked("a", 100, "settled"),
    booked("b", 50, "open"),
    booked("c", 30, "in_doubt"),
    booked("old", 70, "settled", at=NOON - timedelta(days=10)),
    booked("case", 20, "settled", case_id="case of a"),
]


async def check_rebuild(rig: Rig) -> None:
    """Eight processes rebuild at once from the same rows; what is enforced is what the rows say, once."""
    budgets = [rig.new() for _ in range(8)]
    await asyncio.gather(*(budget.rebuild(EPOCH, ROWS) for budget in budgets))
    found = await standing(budgets[0])
    assert found.epoch == EPOCH
    assert [(one.recorded_micro, one.open_micro) for one in found.windows] == [(2, 2), (120, 80), (190, 80)]
    # Whoever comes late with the same epoch changes nothing, above all not what was reserved since.
    assert isinstance((await budgets[1].reserve([ask("new", 40)]))[0], Reserved)
    await budgets[2].rebuild(EPOCH, [])
    await rig.new().rebuild(EPOCH, ROWS)
    assert await figures(budgets[3]) == (120, 120)


def test_failure_27_eight_processes_rebuild_at_once(rig: Rig) -> None:
    rig.run(check_rebuild)


def test_failure_27_rows_may_come_twice_in_any_order_and_a_settled_one_counts(rig: Rig) -> None:
    async def scenario(rig: Rig) -> None:
        rows = [*ROWS, booked("b", 45, "settled"), *reversed(ROWS)]
        budget = await rig.built(rows)
        assert await figures(budget) == (165, 30)
        # A call the journal had settled is not settled again, one it had not is; one long ago is not known any more.
        assert await budget.settle("b", "triage", 45) == Settled("b", 45, 0)
        assert await budget.settle("c", "triage", 25) == Settled("c", 25, 0)
        assert await budget.settle("old", "triage", 70) == NotReserved("old")
        assert await figures(budget) == (190, 0)

    rig.run(scenario)


def test_a_rebuild_counts_each_row_in_the_windows_of_its_time_and_case(rig: Rig) -> None:
    async def scenario(rig: Rig) -> None:
        budget = await rig.built(ROWS)
        (no,) = await budget.reserve([ask("d", 81, case_id="case of a")])
        assert isinstance(no, Denied)
        assert (no.window, no.recorded_micro) == ("case", 120)
        assert await figures(budget, "day", at=NOON - timedelta(days=10)) == (70, 0)
        # The leases of what is open are over: the journal is asked at once.
        assert await budget.expired(NOON) == [Lapsed("b", "triage", NOON), Lapsed("c", "triage", NOON)]
        assert await budget.release("b", "triage") == Released("b", 50)

    rig.run(scenario)


def test_a_rebuild_of_many_rows_is_whole(rig: Rig) -> None:
    rows = [
        Booked(f"call-{n}", ("triage", "signal")[n % 2], f"case-{n % 450}", NOON - timedelta(hours=n % 500), n, "settled")
        if n % 7
        else booked(f"call-{n}", n, "open")
        for n in range(1_500)
    ]  # fmt: skip

    async def scenario(rig: Rig) -> None:
        budget = await rig.built(rows)
        mine = [row for row in rows if row.workflow == "triage" and row.at.month == NOON.month]
        recorded = sum(row.amount_micro for row in mine if row.state == "settled")
        held = sum(row.amount_micro for row in mine if row.state == "open")
        assert await figures(budget, "month") == (recorded, held)

    rig.run(scenario)


async def all_shut(budget: Budget, why: str) -> None:
    """Every operation that moves or tells money is refused, for the reason given."""
    answers: Sequence[object] = [
        *(await budget.reserve([ask("x", 1), ask("y", 1)])),
        await budget.settle("a", "triage", 1),
        await budget.release("a", "triage"),
        await budget.standing("triage", CAPS, NOON),
        await budget.raise_cap(raised(600)),
        await budget.expired(NOON),
    ]
    assert [type(answer) for answer in answers] == [Shut] * 7, answers
    assert {answer.why for answer in answers if isinstance(answer, Shut)} == {SHUT[why]}


async def spend(rig: Rig) -> Budget:
    """Return a budget with 100 recorded and 50 open."""
    budget = await rig.built()
    await budget.reserve([ask("a", 100), ask("b", 50)])
    await budget.settle("a", "triage", 100)
    return budget


def losing(loss: Loss, why: str) -> Callable[[Rig], Awaitable[None]]:
    """Return the check that after a loss all is shut, and that a rebuild brings back what the journal has."""

    async def check(rig: Rig) -> None:
        budget = await spend(rig)
        await asyncio.to_thread(loss, rig)
        await all_shut(budget, why)
        await budget.rebuild("epoch-2", [booked("a", 100, "settled"), booked("b", 50, "open")])
        assert await figures(budget) == (100, 50)
        assert await budget.settle("b", "triage", 40) == Settled("b", 40, 0)
        assert await figures(budget) == (140, 0)
        # A process that has not heard of it names the old epoch, and spends nothing.
        await all_shut(rig.adopted(EPOCH), "epoch")

    return check


check_flushed = losing(lambda rig: rig.flush(), "empty")
check_restarted = losing(lambda rig: rig.restart(), "restarted")


def test_failure_28_after_a_flush_nothing_is_paid_until_rebuilt(rig: Rig) -> None:
    rig.run(check_flushed)


def test_failure_28_after_a_restart_nothing_is_paid_until_rebuilt(rig: Rig) -> None:
    rig.run(check_restarted)


def test_failure_28_an_old_snapshot_is_not_believed_even_when_its_process_lives(rig: Rig) -> None:
    async def scenario(rig: Rig) -> None:
        budget = await spend(rig)
        old = await asyncio.to_thread(rig.snapshot)
        await budget.rebuild("epoch-2", [booked("a", 100, "settled"), booked("b", 50, "settled")])
        assert await figures(budget) == (150, 0)
        await asyncio.to_thread(rig.restore, old)
        await all_shut(budget, "restarted")
        # Its own epoch does not help it: the process is another one.
        await all_shut(rig.adopted(EPOCH), "restarted")
        await budget.rebuild("epoch-3", [booked("a", 100, "settled"), booked("b", 50, "settled")])
        assert await figures(budget) == (150, 0)

    rig.run(scenario)


async def check_epoch(rig: Rig) -> None:
    """Whoever names another epoch than the one in force, or none, is refused."""
    budget = await spend(rig)
    await all_shut(rig.adopted("epoch-2"), "epoch")
    unnamed = rig.new()
    for answer in (
        *(await unnamed.reserve([ask("x", 1)])),
        await unnamed.settle("b", "triage", 1),
        await unnamed.release("b", "triage"),
    ):
        assert answer == Shut(answer.call_id, SHUT["epoch"])
    # To look, and to raise a cap, a person need not know the epoch.
    assert isinstance(await unnamed.standing("triage", CAPS, NOON), Standing)
    assert await figures(budget) == (100, 50)


def test_failure_28_another_epoch_or_none_is_refused(rig: Rig) -> None:
    rig.run(check_epoch)


def test_an_empty_epoch_is_none(rig: Rig) -> None:
    async def scenario(rig: Rig) -> None:
        with pytest.raises(ValueError, match="epoch"):
            await rig.new().rebuild("", [])

    rig.run(scenario)


def test_a_rebuild_forgets_raises_so_that_the_cap_falls_back_to_the_cards(rig: Rig) -> None:
    async def scenario(rig: Rig) -> None:
        budget = await rig.built()
        await budget.raise_cap(raised(600))
        await budget.rebuild("epoch-2", [])
        assert (await window(budget, "day")).cap_micro == CAPS.day_micro

    rig.run(scenario)
