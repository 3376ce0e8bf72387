"""Batches that are lost, over the stand-in's batches by HTTP: never sent, never seen, forgotten or refused by the endpoint; each call has its end."""

from __future__ import annotations

from datetime import timedelta

import pytest

from depots import DONE_S, MEMORY, Depot, gather, gathered, told
from spending import away
from vigimesh.app.standin.chat import FAULT
from vigimesh.domain.budget.batching import GIVE_UP_S, LEASE_S, LOOK_S
from vigimesh.domain.budget.calls import Busy, Doubtful
from vigimesh.errors import Transient
from vigimesh.names import BATCH_CALLS, BATCHES

GONE = Transient("VM-2402", what="away", where="test")


def test_a_batch_that_cannot_be_sent_is_given_up_when_its_calls_are_over() -> None:
    async def check(made: Depot) -> None:
        one = gathered(made, "rash", not_after=made.clock.now() + timedelta(days=1))
        await gather(made, one)
        batcher = made.batcher(away("upload.before", error=GONE))
        await batcher.round()
        made.let_pass(LEASE_S + 1)
        await batcher.round()
        assert (told(batcher, BATCH_CALLS, outcome="expired"), told(batcher, BATCHES, state="empty")) == (
            1,
            1,
        )
        assert await made.shop.agreed() == (0, 0)

    MEMORY.run(check)


def test_a_batch_that_was_asked_for_and_never_seen_is_in_doubt_and_counted() -> None:
    async def check(made: Depot) -> None:
        one = gathered(made, "rash")
        await gather(made, one)
        batcher = made.batcher(away("create.before", "find.before", error=GONE))
        await batcher.round()
        made.let_pass(LEASE_S + 1)
        batcher = made.batcher()
        await batcher.round()
        found = await made.shop.bench.process().begin(made.call(one))
        assert isinstance(found, Doubtful)
        recorded, held = await made.shop.agreed()
        assert (recorded, held) == (0, found.counted_micro)
        assert held > 0

    MEMORY.run(check)


def test_a_batch_that_the_endpoint_forgot_is_in_doubt_once_no_list_shows_it() -> None:
    async def check(made: Depot) -> None:
        one = gathered(made, "rash")
        await gather(made, one)
        batcher = made.batcher()
        await batcher.round()
        made.routes.desk.batches.clear()
        await batcher.round()
        # A list may lag: it may have been made a moment ago.
        assert isinstance(await made.shop.bench.process().begin(made.call(one)), Busy)
        made.let_pass(LOOK_S + 1)
        await batcher.round()
        found = await made.shop.bench.process().begin(made.call(one))
        assert isinstance(found, Doubtful)
        assert "does not know" in found.why
        (line,) = await made.journal().lines(9)
        assert line.ended_at is not None
        assert line.why == found.why
        assert await made.shop.agreed() == (0, found.counted_micro)
        assert await made.journal().state(one.call_id) == "ended"

    MEMORY.run(check)


@pytest.mark.parametrize("gone", ["its results", "all, under another address"])
def test_what_is_not_found_of_a_batch_that_is_listed_is_waited_for_till_it_is_given_up(gone: str) -> None:
    async def check(made: Depot) -> None:
        one = gathered(made, "rash")
        await gather(made, one)
        await made.batcher().round()
        made.let_pass(DONE_S)
        batcher = made.batcher(headers={FAULT: "404"} if gone != "its results" else None)
        for batch in list(made.routes.desk.batches):
            made.routes.desk.files.pop(made.routes.desk.batch(batch).output_id or "")
        await batcher.round()
        assert isinstance(await made.shop.bench.process().begin(made.call(one)), Busy)
        made.let_pass(GIVE_UP_S)
        await made.batcher().round()
        found = await made.shop.bench.process().begin(made.call(one))
        assert isinstance(found, Doubtful)
        assert not await made.journal().open_batches()

    MEMORY.run(check)


def test_a_batch_that_the_endpoint_refuses_whole_was_not_made_and_costs_nothing() -> None:
    async def check(made: Depot) -> None:
        waiting = [gathered(made, text) for text in ("rash", "fever")]
        await gather(made, *waiting)
        batcher = made.batcher()
        await batcher.round()
        (batch,) = made.routes.desk.batches.values()
        batch.lines, batch.ended = [], "failed"
        batch.problems = [{"code": "token_limit_exceeded", "message": "Enqueued too much.", "line": None}]
        await batcher.round()
        (line,) = await made.journal().lines(9)
        assert (line.answered, line.why) == (0, "the endpoint refused its batch (token_limit_exceeded)")
        assert told(batcher, BATCH_CALLS, outcome="failed") == 2
        await made.finished(batcher)
        assert [(await made.answered(one)).cost_micro > 0 for one in waiting] == [True, True]
        recorded, held = await made.shop.agreed()
        assert (recorded, held, made.billed()) == (
            sum([(await made.answered(one)).cost_micro for one in waiting]),
            0,
            2,
        )

    MEMORY.run(check)
