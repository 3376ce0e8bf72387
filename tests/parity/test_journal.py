"""One suite on the call journal in memory and in PostgreSQL: paid once, answered before use, in doubt rather than forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from journals import (
    BENCHES,
    NOW,
    USAGE,
    Bench,
    begun,
    bench_of,
    call_of,
    database,
    processes,
    run,
)
from vigimesh.clock import Deadline, SystemClock
from vigimesh.domain.budget.calls import (
    MAX_ANSWER_BYTES,
    Answered,
    Begun,
    Busy,
    ByDigest,
    Doubtful,
    GivenBack,
    Kept,
    Overtaken,
)
from vigimesh.domain.budget.values import Booked, Shut
from vigimesh.errors import Refused
from vigimesh.ports import Journal


@pytest.fixture(scope="module")
def uri(request: pytest.FixtureRequest) -> Iterator[str]:
    with database(request.getfixturevalue("stack").urls.postgres, "journal_parity") as made:
        yield made


@pytest.fixture(params=BENCHES)
def bench(request: pytest.FixtureRequest) -> Bench:
    return bench_of(request)


def test_a_call_is_paid_once_and_its_answer_given_again(bench: Bench) -> None:
    async def story() -> None:
        async with processes(bench) as (epoch, (one, other)):
            call = call_of("a", epoch)
            found = await one.begin(call)
            assert isinstance(found, Begun)
            assert found.until > NOW
            assert await one.answer(call.call_id, b"yes\0", 700, USAGE) == Kept(
                call_id=call.call_id, state="answered"
            )
            same = Answered(call_id=call.call_id, at=call.at, answer=b"yes\0", cost_micro=700, usage=USAGE)
            assert await one.begin(call) == same
            assert await other.begin(call) == same

    run(story())


@pytest.mark.parametrize(
    "change",
    [{"version": "2"}, {"step": "again"}, {"pass_number": 2}, {"prompt_digest": "e" * 64}, {"case_id": "b"}],
)
def test_another_version_step_pass_prompt_or_case_is_another_call(
    bench: Bench, change: dict[str, Any]
) -> None:
    async def story() -> None:
        async with processes(bench) as (epoch, (one, other)):
            await begun(one, call_of("a", epoch))
            await begun(other, call_of("a", epoch, **change))

    run(story())


def test_of_many_at_once_one_begins_and_the_others_are_given_its_answer(bench: Bench) -> None:
    async def story() -> None:
        async with processes(bench, 4) as (epoch, journals):
            call = call_of("a", epoch)
            made = 0

            async def worker(journal: Journal) -> Any:
                nonlocal made
                found = await journal.begin_in_turn(call, Deadline.after(SystemClock(), 20))
                if isinstance(found, Begun):
                    made += 1
                    await asyncio.sleep(0)
                    await journal.answer(call.call_id, b"yes", 700, USAGE)
                    return b"yes"
                assert isinstance(found, Answered)
                return found.answer

            assert await asyncio.gather(*(worker(one) for one in journals * 4)) == [b"yes"] * 16
            assert made == 1

    run(story())


def test_who_waits_for_a_call_waits_until_a_deadline(bench: Bench) -> None:
    async def story() -> None:
        async with processes(bench) as (epoch, (one, other)):
            call = await begun(one, call_of("a", epoch))
            found = await other.begin(call)
            assert isinstance(found, Busy)
            assert found.until > NOW
            assert await other.begin_in_turn(call, Deadline.after(SystemClock(), 0.05)) == found
            assert isinstance(await one.begin(call), Busy), "a second task of the same process waits, too"

    run(story())


def test_what_was_not_made_may_begin_again_and_costs_nothing(bench: Bench) -> None:
    async def story() -> None:
        async with processes(bench) as (epoch, (one, other)):
            call = await begun(one, call_of("a", epoch))
            assert await one.not_made(call.call_id, "429") == Kept(call_id=call.call_id, state="not_made")
            assert list(await one.booked()) == []
            await begun(other, call_of("a", epoch, worst_micro=2_000))
            assert [b.amount_micro for b in await one.booked()] == [2_000]
            # What the first says again comes too late to say anything about the second's.
            assert await one.not_made(call.call_id, "429") == Overtaken(call_id=call.call_id, state="begun")
            assert isinstance(await one.begin(call), Busy)

    run(story())


def test_a_dead_owners_call_is_in_doubt_and_counted_and_never_made_again(bench: Bench) -> None:
    async def story() -> None:
        async with processes(bench) as (epoch, (one, other)):
            call = await begun(one, call_of("a", epoch))
            bench.let_pass(61)
            assert [(b.state, b.amount_micro) for b in await other.booked()] == [("in_doubt", 1_000)]
            assert [line.call_id for line in await other.calls("in_doubt")] == [call.call_id]
            found = await other.begin(call)
            assert isinstance(found, Doubtful)
            assert found.counted_micro == 1_000
            assert "lease" in found.why
            assert await other.begin(call) == found
            assert await one.begin(call) == found

    run(story())


def test_an_answer_that_is_lost_counts_as_the_worst_case_until_the_truth_comes(bench: Bench) -> None:
    # litellm #37558, #13245
    async def story() -> None:
        async with processes(bench) as (epoch, (one, other)):
            for name, cost in (("a", 300), ("b", None), ("c", 5_000)):
                call = await begun(one, call_of(name, epoch))
                await one.in_doubt(call.call_id, "cut in mid-answer")
                assert (await other.booked_of([call.call_id]))[call.call_id].amount_micro == 1_000
                assert await other.begin(call) == Doubtful(
                    call_id=call.call_id, why="cut in mid-answer", counted_micro=1_000
                )
                for _ in range(2):  # said twice, it counts once
                    told = await other.resolve(call.call_id, cost, "invoice 17")
                    assert (told.before_micro, told.after_micro) == (1_000, cost or 0)
                with pytest.raises(Refused, match="VM-2003"):
                    await other.resolve(call.call_id, 17, "another story")
            assert [(b.case_id, b.state, b.amount_micro) for b in await one.booked()] == [
                ("a", "settled", 300),
                ("c", "settled", 5_000),
            ]
            assert isinstance(await other.begin(call_of("a", epoch)), Doubtful), (
                "made: not again in this pass"
            )
            assert isinstance(await other.begin(call_of("b", epoch)), Begun), "not made: it may begin"

    run(story())


def test_a_late_answer_is_the_truth(bench: Bench) -> None:
    async def story() -> None:
        async with processes(bench) as (epoch, (one, other)):
            call = await begun(one, call_of("a", epoch))
            bench.let_pass(61)
            assert isinstance(await other.begin(call), Doubtful)
            assert isinstance(await one.answer(call.call_id, b"late", 400, USAGE), Kept)
            assert [(b.state, b.amount_micro) for b in await other.booked()] == [("settled", 400)]
            assert isinstance(await other.begin(call), Answered)

    run(story())


def test_the_first_answer_stays_and_nobody_else_can_give_one(bench: Bench) -> None:
    async def story() -> None:
        async with processes(bench) as (epoch, (one, other)):
            call = await begun(one, call_of("a", epoch))
            assert await other.answer(call.call_id, b"x", 1, USAGE) == Overtaken(
                call_id=call.call_id, state="begun"
            )
            assert await other.in_doubt("unknown", "x") == Overtaken(call_id="unknown", state="")
            assert isinstance(await one.answer(call.call_id, b"yes", 700, USAGE), Kept)
            assert isinstance(await one.answer(call.call_id, b"no", 900, USAGE), Kept)
            for end in (one.not_made, one.in_doubt):
                assert await end(call.call_id, "x") == Overtaken(call_id=call.call_id, state="answered")
            found = await other.begin(call)
            assert isinstance(found, Answered)
            assert (found.answer, found.cost_micro) == (b"yes", 700)

    run(story())


def test_a_large_answer_goes_by_reference(bench: Bench) -> None:
    async def story() -> None:
        async with processes(bench) as (epoch, (one, other)):
            small, large = [await begun(one, call_of(name, epoch)) for name in "ab"]
            with pytest.raises(Refused, match="VM-2001"):
                await one.answer(large.call_id, b"x" * (MAX_ANSWER_BYTES + 1), 1, USAGE)
            for cost in (-1, 10**15 + 1):
                with pytest.raises(ValueError, match="no amount"):
                    await one.answer(small.call_id, b"x", cost, USAGE)
            await one.answer(small.call_id, b"x" * MAX_ANSWER_BYTES, 1, USAGE)
            await one.answer(large.call_id, ByDigest(digest="f" * 64), 1, USAGE)
            for call, answer in ((small, b"x" * MAX_ANSWER_BYTES), (large, ByDigest(digest="f" * 64))):
                found = await other.begin(call)
                assert isinstance(found, Answered)
                assert found.answer == answer

    run(story())


def test_booked_is_what_the_windows_still_open_must_hold(bench: Bench) -> None:
    async def story() -> None:
        async with processes(bench) as (epoch, (one, _)):
            for name in ("gone", "case"):
                call = await begun(one, call_of(name, epoch))
                await one.answer(call.call_id, b"", 10, USAGE)
            bench.date_back(390)  # another month
            assert [b.case_id for b in await one.booked()] == ["gone", "case"], (
                "a case stays open for 400 days"
            )
            bench.date_back(11)
            assert list(await one.booked()) == []
            at = datetime.now(UTC).replace(microsecond=0)
            new = [
                await begun(one, call_of("case", epoch, step="2")),
                await begun(one, call_of("d", epoch, at=at, lease_s=900, workflow="signal", worst_micro=7)),
                await begun(one, call_of("e", epoch)),
                await begun(one, call_of("f", epoch)),
            ]
            await one.answer(new[0].call_id, b"", 1_200, USAGE)  # an overrun counts as what it was
            await one.not_made(new[2].call_id, "503")
            await one.in_doubt(new[3].call_id, "500")
            booked = list(await one.booked())
            assert booked[0].at < NOW - timedelta(days=400)
            assert [(b.case_id, b.state, b.amount_micro) for b in booked] == [
                ("case", "settled", 10), ("case", "settled", 1_200), ("d", "open", 7), ("f", "in_doubt", 1_000),
            ]  # fmt: skip
            assert booked[2] == Booked(
                call_id=new[1].call_id, workflow="signal", case_id="d", at=at, amount_micro=7, state="open"
            )
            assert await one.booked_of([new[2].call_id, "unknown"]) == {}

    run(story())


def test_the_listing_shows_what_each_call_counts_for(bench: Bench) -> None:
    async def story() -> None:
        async with processes(bench) as (epoch, (one, _)):
            a, b = [await begun(one, call_of(name, epoch)) for name in "ab"]
            await one.answer(a.call_id, b"", 10, USAGE)
            await one.in_doubt(b.call_id, "x" * 900)
            lines = await one.calls()
            assert [(line.case_id, line.state, line.counted_micro) for line in lines] == [
                ("a", "answered", 10),
                ("b", "in_doubt", 1_000),
            ]
            assert len(lines[1].why) == 500
            assert list(await one.calls("answered")) == [lines[0]]
            assert list(await one.calls("in_doubt")) == [lines[1]]
            assert list(await one.calls("begun")) == []
            with pytest.raises(ValueError, match="no state"):
                await one.calls("doubtful")

    run(story())


@pytest.mark.parametrize(
    ("cost", "reason", "code"),
    [
        (1, " ", "VM-2005"),
        (-1, "invoice", "VM-2005"),
        (10**15 + 1, "invoice", "VM-2005"),
        (1, "invoice", "VM-2003"),
    ],
)
def test_a_resolution_says_what_it_lacks(bench: Bench, cost: int, reason: str, code: str) -> None:
    async def story() -> None:
        async with processes(bench) as (epoch, (one, _)):
            call = await begun(one, call_of("a", epoch))
            with pytest.raises(Refused, match=code):
                await one.resolve(call.call_id, cost, reason)
            with pytest.raises(Refused, match="VM-2002"):
                await one.resolve("0" * 32, 1, "invoice")

    run(story())


@pytest.mark.parametrize(
    "change",
    [{"worst_micro": -1}, {"worst_micro": 10**15 + 1}, {"at": NOW.replace(tzinfo=None)}, {"workflow": "Triage"},
     {"case_id": ""}, {"lease_s": 0}, {"lease_s": 1e9}],
)  # fmt: skip
def test_a_call_that_no_budget_could_book_is_refused_before_it_is_made(change: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="VM-1902"):
        call_of("a", "e", **change)


def test_a_call_under_the_id_of_another_is_refused() -> None:
    with pytest.raises(Refused, match="made from what it names"):
        replace(call_of("a", "e"), case_id="b")


def test_what_was_not_made_begins_again_on_a_reservation_of_one_s_own_alone(bench: Bench) -> None:
    """On another's it would count for a moment, or for good if its owner died, where the budget has given it back."""

    async def story() -> None:
        async with processes(bench) as (epoch, (one, other)):
            call = call_of("a", epoch)
            borrowed = replace(call, own=False)
            await begun(one, borrowed)
            assert isinstance(await other.begin(borrowed), Busy)
            await one.not_made(call.call_id, "429")
            assert await other.begin(borrowed) == GivenBack(call_id=call.call_id)
            assert list(await other.booked()) == []
            await begun(other, call)

    run(story())


def test_nothing_begins_on_a_reservation_that_has_lapsed_and_what_was_begun_before_is_found(
    bench: Bench,
) -> None:
    """A process stood still after its last look at the clock: the sweep may have given back what it would begin on."""

    async def story() -> None:
        async with processes(bench) as (epoch, (one, other)):
            late = call_of("a", epoch, at=bench.now() - timedelta(seconds=61))
            for _ in ("never begun", "begun and not made"):
                found = await one.begin(late)
                assert isinstance(found, Shut)
                assert "lapsed" in found.why
                assert list(await other.booked()) == [], "dead now, it leaves nothing that counts"
                fresh = await begun(other, replace(late, at=bench.now()))
                assert isinstance(await one.begin(late), Busy), "looking up is no beginning"
                await other.not_made(fresh.call_id, "429")
            fresh = await begun(other, replace(late, at=bench.now()))
            await other.answer(fresh.call_id, b"yes", 700, USAGE)
            assert isinstance(await one.begin(late), Answered)

    run(story())


def test_a_beginning_that_is_cancelled_at_any_moment_holds_nothing(bench: Bench) -> None:
    # litellm #30519
    async def story() -> None:
        async with processes(bench) as (epoch, (one, other)):
            calls = [call_of(f"{turns}", epoch) for turns in range(0, 240, 3)]
            cancelled = 0
            for turns, call in enumerate(calls):
                beginning = asyncio.ensure_future(one.begin(call))
                for _ in range(3 * turns):
                    await asyncio.sleep(0)
                if not beginning.cancel():
                    await one.not_made(call.call_id, "in time")
                    continue
                cancelled += 1
                with pytest.raises(asyncio.CancelledError):
                    await beginning
            await one.close()
            assert cancelled > 0
            assert list(await other.booked()) == []
            for call in calls:
                assert isinstance(await other.begin(call), Begun)

    run(story())
