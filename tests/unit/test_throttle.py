"""What rests while a lane yields, where urgent and other topics share a worker."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from vigimesh.adapters.memory_registry import MemorySchemas
from vigimesh.adapters.orders import OrderBook
from vigimesh.events.classes import ThrottleOrdered
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic
from vigimesh.loop.broker import Batch, Part, Record
from vigimesh.loop.hand import Hand
from vigimesh.loop.throttle import rest, throttle
from vigimesh.loop.worker import MIN_BATCH, POLL_S
from worlds import INPUT, MemoryWorld, copier, drive


@pytest.mark.parametrize(("ordered", "rests"), [("warm", True), ("cold", False)])
def test_only_the_normal_door_rests_and_only_when_warm_work_yields(ordered: str, rests: bool) -> None:
    """The urgent door never rests; the router goes on with it in small turns meanwhile."""
    urgent, now = topic("case.received.urgent"), datetime.now(UTC)
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
