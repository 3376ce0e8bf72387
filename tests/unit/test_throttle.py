"""What rests while a lane yields, where urgent and other topics share a worker, and what of it waits for whose transaction."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

import clocks
from vigimesh.adapters.kafka.orders import OrderBook
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.events.classes import ThrottleOrdered
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope
from vigimesh.loop.broker import Batch, Part, Position, Record
from vigimesh.loop.gather import gather
from vigimesh.loop.hand import Hand, Transaction
from vigimesh.loop.progress import Progress
from vigimesh.loop.throttle import rest, throttle
from vigimesh.loop.worker import MAX_BATCH, MIN_BATCH, POLL_S, Bundle, Ended, Work, Worker
from worlds import INPUT, URGENT, MemoryWorld, copier, drive


def hand_of(*topics: str) -> Hand:
    """Return a hand that owns partition 0 of some topics."""
    hand = Hand(room=asyncio.Semaphore(1), most_calls=1)
    for epoch, name in enumerate(topics):
        part = Part(name, 0)
        hand.places[part] = Progress.resumed(part, epoch, Position(offset=0, metadata=""))
    return hand


def finished(hand: Hand, name: str, offset: int) -> Work:
    """Return finished work of one record, which wrote nothing."""
    part, now = Part(name, 0), datetime.now(UTC)
    key = f"{name}|{offset}"
    envelope = Envelope(id=key, source="/test", type="vigimesh.CaseReceived", time=now, subject=key)
    return Work(
        record=Record(part, offset, key.encode(), b"v", [], now), key=(0, key.encode()), envelope=envelope, place=hand.places[part],
        taken_s=0.0, trace_id="", span_id="", writes=(), ended=Ended(action="done", label=("", "")),
    )  # fmt: skip


def timed() -> tuple[Worker, clocks.Hand]:
    """Return a worker of both doors and its clock."""
    clock = clocks.Hand()
    worker = MemoryWorld(Codec(MemorySchemas())).worker(copier())
    return replace(worker, topics=(URGENT, INPUT), clock=clock), clock


@pytest.mark.parametrize(("ordered", "rests"), [("warm", True), ("cold", False)])
def test_only_the_normal_door_rests_and_only_when_warm_work_yields(ordered: str, rests: bool) -> None:
    """The urgent door never rests; the router goes on with it in small turns meanwhile."""
    urgent, now = URGENT, datetime.now(UTC)
    orders = OrderBook()
    orders.take(
        ThrottleOrdered(
            workflow="", lane=ordered, term=1, expires_at=now + timedelta(minutes=1), tier_ceiling="person",
            calls_per_minute=1, yields=True, share_percent=10, reason="planted",
        ),
        now,
    )  # fmt: skip
    worker = replace(
        MemoryWorld(Codec(MemorySchemas())).worker(copier()), topics=(urgent, INPUT), orders=orders
    )
    hand = Hand(room=asyncio.Semaphore(1), most_calls=1)
    records = tuple(
        Record(Part(name, 0), offset, b"k", b"v", [], now)
        for name in (urgent, INPUT)
        for offset in range(100)
    )
    began_s = worker.clock.monotonic_s() - 0.02
    drive(throttle(worker, hand, began_s, Batch(records=records)))
    assert set(hand.resting) == ({INPUT} if rests else set())
    if rests:
        # Half of 20 ms was its own, of which 10 % of its time is left to it.
        assert hand.resting[INPUT] - began_s > 0.02 + 0.09
    assert (hand.limit == MIN_BATCH) is rests


def test_a_poll_waits_no_longer_than_ever_while_a_topic_rests_for_long() -> None:
    worker = MemoryWorld(Codec(MemorySchemas())).worker(copier())
    hand = Hand(room=asyncio.Semaphore(1), most_calls=1)
    hand.resting[INPUT] = worker.clock.monotonic_s() + 60
    assert rest(worker, hand) == POLL_S
    assert set(hand.resting) == {INPUT}
    hand.resting[INPUT] = worker.clock.monotonic_s()
    assert rest(worker, hand) == POLL_S
    assert hand.resting == {}


def test_what_yields_goes_with_the_transaction_of_others() -> None:
    """One of its own for each short turn would be one that the next urgent record has to wait for."""
    worker, clock = timed()
    hand = hand_of(URGENT, INPUT)
    hand.yielding, hand.committed_s = frozenset((INPUT,)), clock.monotonic_s()
    hand.done = [finished(hand, INPUT, 0)]
    assert gather(worker, hand) is None
    hand.done.append(finished(hand, URGENT, 0))
    bundle = gather(worker, hand)
    assert bundle is not None
    assert [work.record.part.topic for work in bundle.works] == [INPUT, URGENT]
    assert hand.done == []


@pytest.mark.parametrize("why", ["nobody came", "it leaves", "it yields no longer"])
def test_what_yields_has_a_transaction_of_its_own_when_it_need_not_wait(why: str) -> None:
    worker, clock = timed()
    hand = hand_of(URGENT, INPUT)
    hand.yielding, hand.committed_s = frozenset((INPUT,)), clock.monotonic_s()
    hand.done = [finished(hand, INPUT, 0)]
    assert gather(worker, hand) is None
    if why == "nobody came":
        clock.at_s += 0.1
    elif why == "it leaves":
        hand.leaving = frozenset((Part(INPUT, 0),))
    else:
        hand.yielding = frozenset()
    bundle = gather(worker, hand)
    assert bundle is not None
    assert len(bundle.works) == 1


@pytest.mark.parametrize("waiting", [0, MIN_BATCH, MAX_BATCH - 1, MAX_BATCH])
def test_what_waits_for_a_transaction_stops_the_door_only_when_the_next_one_is_full(waiting: int) -> None:
    """Work of a lane that yields may wait for long: an urgent record behind it must still be taken."""
    worker, _ = timed()
    hand = hand_of(URGENT, INPUT)
    hand.pace_s = 1.0  # so slow that a turn has the fewest records
    hand.done = [finished(hand, INPUT, offset) for offset in range(waiting)]

    async def nothing() -> None: ...

    async def told() -> None:
        end = asyncio.ensure_future(nothing())
        bundle = Bundle(works=(), writes=(), ended={}, places={}, started_s=0.0)
        hand.transactions.append(Transaction(bundle, worker.producers[0], 0.0, end))
        await throttle(worker, hand, 0.0, Batch())
        await end

    drive(told())
    assert hand.limit == min(MIN_BATCH, MAX_BATCH - waiting)
