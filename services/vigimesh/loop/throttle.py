"""throttle: how many records the next poll may take, and how long a lane that yields stands still."""

from __future__ import annotations

import asyncio

from vigimesh.loop.hand import Hand
from vigimesh.loop.worker import MAX_BATCH, MIN_BATCH, TURN_S, Worker

#: Seconds a lane that yields stands still at most before it looks again whether it still has to.
_STILL_S = 1.0


async def throttle(worker: Worker, hand: Hand, began_s: float, records: int) -> None:
    """Set the limit of the next poll, and stand still as long as the order of the controller says.

    Finished work that waits for its transaction leaves that much less room. Where urgent and other topics share a worker
    a turn is kept short, so that an urgent record never waits for a large batch of others.
    """
    took_s = worker.clock.monotonic_s() - began_s
    most = MAX_BATCH
    if len(worker.topics) > 1 and records >= MIN_BATCH and took_s > 0:
        hand.pace_s = took_s / records
    if len(worker.topics) > 1 and hand.pace_s:
        most = min(MAX_BATCH, max(MIN_BATCH, int(TURN_S / hand.pace_s)))
    hand.limit = max(0, most - len(hand.done)) if hand.transactions else most
    share = _share(worker)
    if share < 100 and records:
        await asyncio.sleep(min(_STILL_S, took_s * (100 - share) / share))


def _share(worker: Worker) -> int:
    """Return the percentage of its time that this lane may work; the hot lane, and what all lanes share, never yields."""
    if worker.lane not in ("warm", "cold"):
        return 100
    orders = worker.orders.in_force(worker.lane, worker.clock.now())
    return min((o.share_percent for o in orders if not o.workflow and o.share_percent > 0), default=100)
