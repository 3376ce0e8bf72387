"""throttle: how many records the next poll may take, and how long a lane that yields stands still."""

from __future__ import annotations

import asyncio
from collections import Counter

from vigimesh.events.topics import lane_of
from vigimesh.loop.broker import Batch
from vigimesh.loop.hand import Hand
from vigimesh.loop.orders import share_percent
from vigimesh.loop.worker import MAX_BATCH, MIN_BATCH, POLL_S, TURN_S, Worker

#: Records of a turn of a lane that yields.
_YIELD_BATCH = 100
#: Seconds a lane that yields stands still at most before it looks again whether it still has to.
_STILL_S = 1.0


async def throttle(worker: Worker, hand: Hand, began_s: float, batch: Batch) -> None:
    """Set the limit of the next poll, and stand still as long as the order of the controller says.

    Finished work that waits for its transaction leaves that much less room. Where urgent and other topics share a worker
    a turn is kept short, so that an urgent record never waits for a large batch of others; and there only the topics of a
    lane that yields rest, while the others go on.
    """
    now_s, records = worker.clock.monotonic_s(), len(batch.records)
    took_s = now_s - began_s
    shares = {topic: _share(worker, lane_of(topic)) for topic in worker.topics}
    yielding = frozenset(topic for topic, share in shares.items() if share < 100)
    if len(worker.topics) == 1:
        hand.limit = _limit(hand, _YIELD_BATCH if yielding else MAX_BATCH)
        if yielding and records:
            await asyncio.sleep(_still_s(took_s, shares[worker.topics[0]]))
        return
    if records >= MIN_BATCH and took_s > 0:
        hand.pace_s = took_s / records
    most = min(MAX_BATCH, max(MIN_BATCH, int(TURN_S / hand.pace_s))) if hand.pace_s else MAX_BATCH
    hand.limit = _limit(hand, MIN_BATCH if yielding else most)
    hand.yielding = yielding
    for topic, count in Counter(record.part.topic for record in batch.records).items():
        if topic in yielding:
            hand.resting[topic] = now_s + _still_s(took_s * count / records, shares[topic])


def rest(worker: Worker, hand: Hand) -> float:
    """Tell the consumer which topics rest now; return how long the next poll may wait, not beyond the first rest's end."""
    now_s = worker.clock.monotonic_s()
    hand.resting = {topic: until_s for topic, until_s in hand.resting.items() if until_s > now_s}
    worker.consumer.rest(frozenset(hand.resting))
    return min([POLL_S, *(until_s - now_s for until_s in hand.resting.values())])


def _limit(hand: Hand, most: int) -> int:
    """Return what a turn may take, and no more than fits into the next transaction beside what waits for it."""
    return max(0, min(most, MAX_BATCH - len(hand.done))) if hand.transactions else most


def _still_s(took_s: float, share: int) -> float:
    return min(_STILL_S, took_s * (100 - share) / share)


def _share(worker: Worker, lane: str) -> int:
    """Return the percentage of its time that work of a lane may take; the hot lane and the urgent door never yield."""
    if lane == "hot":
        return 100
    return share_percent(worker.orders.in_force(lane, worker.clock.now()))
