"""The one loop: poll → handle → gather → commit → unpause → throttle."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress

from vigimesh import names
from vigimesh.clock import Deadline
from vigimesh.errors import Transient
from vigimesh.loop.broker import DRAIN_S, Batch, Part
from vigimesh.loop.commit import commit, settle
from vigimesh.loop.gather import gather
from vigimesh.loop.hand import Hand
from vigimesh.loop.handle import handle
from vigimesh.loop.progress import Progress
from vigimesh.loop.strays import keeps
from vigimesh.loop.throttle import rest, throttle
from vigimesh.loop.worker import BACKOFF_S, MAX_BACKOFF_S, MAX_OPEN, POLL_S, STOP_S, Worker

_log = logging.getLogger(__name__)


async def run(worker: Worker, stop: threading.Event) -> None:
    """Work until `stop` is set, then finish what is in hand within `STOP_S` and leave the group.

    Raises `Fenced` when a newer process with the same instance name took over, `Broken` when going on would lose
    something (no committed offset, dead letter not writable): the process ends and is started again by its keeper.
    """
    most = worker.stage.concurrency
    hand = Hand(most_calls=most, room=asyncio.Semaphore(most))
    wait_s = BACKOFF_S
    beside = asyncio.ensure_future(worker.stage.beside()) if worker.stage.beside is not None else None
    try:
        while not stop.is_set():
            if beside is not None and beside.done():
                beside.result()
            try:
                await turn(worker, hand)
                wait_s = BACKOFF_S
            except Transient as error:
                worker.health.ready, worker.health.trouble = False, str(error)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, MAX_BACKOFF_S)
            worker.health.beat()
        await drain(worker, hand)
    finally:
        worker.health.ready = False
        await let_go(worker, hand, beside)


async def turn(worker: Worker, hand: Hand) -> None:
    """Go round once. Raises `Transient` when the broker is away or a transaction failed: nothing is lost by it."""
    # First of all: see how transactions ended; fences a dead predecessor, whose open transaction ends.
    await settle(worker, hand)
    batch = await poll(worker, hand)
    began_s = worker.clock.monotonic_s()
    await handle(worker, hand, batch)
    if hand.ended:
        await settle(worker, hand)  # what ended meanwhile makes room for the next
    bundle = gather(worker, hand)
    if bundle is not None:
        commit(worker, hand, bundle)
        if hand.woken.is_set():  # else its thread would want Python's lock while the rest of the turn has it
            await asyncio.sleep(0)
    unpause(worker, hand)
    await throttle(worker, hand, began_s, batch)
    trouble = next(iter(hand.away.values()), "")
    worker.health.ready = hand.group is not None and not (trouble or hand.failing or hand.doubt)
    worker.health.standby = not hand.places
    if worker.health.ready or trouble:
        worker.health.trouble = trouble


async def poll(worker: Worker, hand: Hand) -> Batch:
    """Wait for records, for answers or for the end of a transaction; a poll goes on while work is done."""

    async def leave(parts: frozenset[Part]) -> None:
        hand.leaving |= parts
        hand.woken.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while hand.busy(parts):
                    await hand.turned()
        # What is not under way to the broker by now never will be; what is, ends before anybody may read the positions.
        lose(worker, hand, parts)
        while hand.doubt or not parts.isdisjoint(hand.ending()):
            await hand.turned()

    async def polled(limit: int, left_s: float) -> Batch:
        try:
            batch = await worker.consumer.poll(limit, left_s, leave, hand.ending())
            hand.more = len(batch.records) >= limit
            return batch
        finally:
            hand.woken.set()  # here, not by a callback: that would take another round of the event loop

    def begin() -> None:
        if hand.polling is None and hand.limit > 0 and not _few_are_ending(worker, hand):
            hand.polling = asyncio.ensure_future(polled(hand.limit, rest(worker, hand)))

    begin()
    timer = asyncio.get_running_loop().call_later(POLL_S, hand.woken.set)
    await hand.woken.wait()
    timer.cancel()
    hand.woken.clear()
    if hand.ended:
        await settle(worker, hand)
        begin()
    if hand.polling is None or not hand.polling.done():
        return Batch()
    polling, hand.polling = hand.polling, None
    batch = polling.result()
    receive(worker, hand, batch)
    return batch


def _few_are_ending(worker: Worker, hand: Hand) -> bool:
    """Return whether all that is in hand is a few records whose transaction is ending, and no more of them waited to be taken.

    What comes meanwhile waits for that end anyway (`gather`): it is taken in one turn then, instead of one for each record.
    """
    works = sum(len(transaction.bundle.works) for transaction in hand.transactions)
    return 0 < works < worker.overlap and hand.count() <= works and not hand.more


def receive(worker: Worker, hand: Hand, batch: Batch) -> None:
    """Let go of what was taken away and begin with what was given; state is keyed by assignment."""
    hand.group = batch.group
    if not hand.stopping:
        hand.leaving &= batch.revoked  # whatever was asked to leave and has not left stays
    if not (batch.assigned or batch.revoked):
        return
    parts = batch.revoked | batch.assigned.keys()
    lose(worker, hand, parts)
    if worker.table is not None:
        worker.table.forget({part.partition for part in parts})
    for part, position in batch.assigned.items():
        hand.epoch += 1
        place = hand.places[part] = Progress.resumed(part, hand.epoch, position)
        if place.trouble:
            told = "%s-%s, offset %s: its map is %s; what it may have said is done again, never skipped"
            _log.warning(told, part.topic, part.partition, position.offset, place.trouble)
    labels = {"stage": worker.stage.name, "lane": worker.lane}
    worker.telemetry.level(names.OWNED_PARTITIONS, len(hand.places), labels)


def lose(worker: Worker, hand: Hand, parts: frozenset[Part]) -> None:
    """Let go of partitions with all that is in hand of them; what waited for it alone goes on at once."""
    if keeps(worker.stage):
        hand.stray(parts, worker.clock.monotonic_s())
    for job in hand.lose(parts):
        hand.later.append((float("-inf"), job))


def unpause(worker: Worker, hand: Hand) -> None:
    """Stop fetching what has no room in hand or in the map of its position; fetch again once half of it is free."""
    hand.settled.set()
    count = hand.count()
    for part, place in hand.places.items():
        much = place.full or count >= MAX_OPEN or part in hand.sour
        if part not in hand.held and much:
            hand.held.add(part)
            worker.consumer.hold(part)
        elif part in hand.held and not much and count < MAX_OPEN // 2:
            hand.held.discard(part)
            worker.consumer.unhold(part, place.unpause())


async def drain(worker: Worker, hand: Hand) -> None:
    """Finish what is under way, begin nothing more."""
    hand.stopping, hand.leaving = True, frozenset(hand.places)
    deadline = Deadline.after(worker.clock, STOP_S)
    while hand.busy(hand.places) and not deadline.passed():
        try:
            await turn(worker, hand)
        except Transient:
            await asyncio.sleep(BACKOFF_S)


async def let_go(worker: Worker, hand: Hand, beside: asyncio.Future[None] | None = None) -> None:
    """Leave the group; what is not committed is done again by whoever gets its partitions."""
    tasks = [*hand.flights, *hand.calls, *(transaction.end for transaction in hand.transactions)]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    hand.abandon()
    if hand.polling is not None:
        await asyncio.wait({hand.polling}, timeout=DRAIN_S + POLL_S)
        if hand.polling.done() and not hand.polling.cancelled():
            hand.polling.exception()  # of no interest any more
    await worker.consumer.close()
    for producer in worker.producers:
        await producer.close()
    if beside is not None:
        beside.cancel()
        await asyncio.gather(beside, return_exceptions=True)
