"""Epochs of the budget, on the journal in memory and in PostgreSQL: one process rebuilds, an old copy is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from journals import BENCHES, USAGE, Bench, begun, bench_of, call_of, database, opened, processes, run
from vigimesh.clock import Deadline, SystemClock
from vigimesh.domain.budget.calls import Answered, Claimed, Current, Kept, Overtaken, Rebuilding
from vigimesh.domain.budget.values import Shut
from vigimesh.ports import Journal


@pytest.fixture(scope="module")
def uri(request: pytest.FixtureRequest) -> Iterator[str]:
    with database(request.getfixturevalue("stack").urls.postgres, "journal_epochs") as made:
        yield made


@pytest.fixture(params=BENCHES)
def bench(request: pytest.FixtureRequest) -> Bench:
    return bench_of(request)


def test_nothing_begins_outside_the_current_epoch_and_answers_that_are_there_are_given(bench: Bench) -> None:
    async def story() -> None:
        try:
            one = bench.process()
            assert await one.epoch() == ""
            assert isinstance(await one.begin(call_of("a", "")), Shut)
            old = await opened(one)
            answered, under_way = [await begun(one, call_of(name, old)) for name in "ab"]
            await one.answer(answered.call_id, b"yes", 700, USAGE)
            await one.epoch()
            claimed = await one.claim_epoch("run")
            assert isinstance(claimed, Claimed)
            assert claimed.epoch > old
            for epoch in (old, claimed.epoch):
                assert isinstance(await one.begin(call_of("c", epoch)), Shut), (
                    "nothing begins before it is open"
                )
            assert isinstance(await one.begin(answered), Answered)
            await one.answer(under_way.call_id, b"yes", 600, USAGE)  # what is paid is paid
            await one.open_epoch(claimed.epoch)
            assert isinstance(await one.begin(call_of("c", old)), Shut)
            await begun(one, call_of("c", claimed.epoch))
            assert sum(b.amount_micro for b in await one.booked()) == 2_300
        finally:
            await bench.close()

    run(story())


def test_of_eight_processes_one_rebuilds_and_the_others_wait_for_it(bench: Bench) -> None:
    async def story() -> None:
        try:
            journals = [bench.process() for _ in range(8)]
            rebuilt = []

            async def start(journal: Journal) -> str:
                if epoch := await journal.epoch():
                    return epoch
                claimed = await journal.claim_epoch("run")
                if isinstance(claimed, Claimed):
                    rebuilt.append(list(await journal.booked()))
                    assert isinstance(await journal.open_epoch(claimed.epoch), Kept)
                return await journal.opened_epoch(Deadline.after(SystemClock(), 20))

            assert len({await epoch for epoch in asyncio.as_completed([start(one) for one in journals])}) == 1
            assert len(rebuilt) == 1
        finally:
            await bench.close()

    run(story())


def test_a_rebuild_whose_owner_died_is_taken_over_and_waiting_has_a_deadline(bench: Bench) -> None:
    async def story() -> None:
        try:
            dead, next_one = bench.process(), bench.process()
            claimed = await dead.claim_epoch("run")
            assert isinstance(claimed, Claimed)
            found = await next_one.claim_epoch("run")
            assert found == Rebuilding(epoch=claimed.epoch, until=claimed.until)
            assert await next_one.opened_epoch(Deadline.after(SystemClock(), 0.05)) == ""
            bench.let_pass(31)
            taken = await next_one.claim_epoch("run")
            assert isinstance(taken, Claimed)
            assert isinstance(await dead.open_epoch(claimed.epoch), Overtaken)
            assert await next_one.epoch() == ""
            await next_one.open_epoch(taken.epoch)
            assert isinstance(await dead.claim_epoch("older run"), Current), "it has not looked since"
            assert await dead.epoch() == taken.epoch
        finally:
            await bench.close()

    run(story())


def test_a_journal_restored_from_an_old_copy_is_refused(bench: Bench) -> None:
    async def story() -> None:
        async with processes(bench) as (epoch, (one, other)):
            early = await begun(one, call_of("a", epoch))
            put_back = bench.copy()
            late = await begun(one, call_of("b", epoch, at=early.at + timedelta(seconds=5)))
            await one.answer(late.call_id, b"yes", 700, USAGE)
            put_back()
            # Who has begun the call knows that it is gone; who has not learns it from `usage`.
            assert isinstance(await one.begin(late), Shut), "it would be paid twice"
            assert await one.epoch() == ""
            assert isinstance(await one.claim_epoch("run"), Shut)
            assert await other.epoch(early.at) == epoch
            assert await other.epoch(late.at) == ""
            assert isinstance(await other.begin(late), Shut)
            assert isinstance(await other.claim_epoch("run"), Shut)

    run(story())


def test_an_epoch_that_was_opened_since_one_looked_is_not_claimed_again(bench: Bench) -> None:
    async def story() -> None:
        try:
            one, other, new = (bench.process() for _ in range(3))
            claimed = await one.claim_epoch("run")
            assert isinstance(claimed, Claimed)
            assert await other.epoch() == ""
            await one.open_epoch(claimed.epoch)
            assert await other.claim_epoch("run") == Current(epoch=claimed.epoch)
            assert await new.claim_epoch("run") == Current(epoch=claimed.epoch), "it has looked at none"
            # The server was emptied: its run is the same, the epoch must be another.
            assert await other.epoch() == claimed.epoch
            again = await other.claim_epoch("run")
            assert isinstance(again, Claimed)
            assert again.epoch > claimed.epoch
        finally:
            await bench.close()

    run(story())
