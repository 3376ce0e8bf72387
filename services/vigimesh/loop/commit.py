"""commit: one transaction per bundle, two producers in turn, and the rules for one whose end is in doubt (docs/decisions 0001, 0026)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from vigimesh import names
from vigimesh.errors import Broken, Transient
from vigimesh.loop.broker import DOUBT_S, InDoubt, Part, Producer, TooLarge, require
from vigimesh.loop.hand import Hand, Transaction
from vigimesh.loop.progress import holds
from vigimesh.loop.report import report
from vigimesh.loop.worker import BACKOFF_S, MAX_BACKOFF_S, REFUSED, STUCK_S, Bundle, Work, Worker


def commit(worker: Worker, hand: Hand, bundle: Bundle) -> None:
    """Write a bundle exactly once, while the transaction before may still be ending.

    1. begin a transaction with the producer whose turn it is
    2. write outputs, audit, usage, dead letters and flow
    3. wait until the transaction before has ended for certain: positions that pass an aborted one would lose its records
    4. add the positions of partitions owned at the newest poll, with the group metadata captured then
    5. commit; after an error, or slower than half the time-out, nothing is believed, also not a success

    1 and 2 happen at once, 3 to 5 in a task that `settle` looks after. Raises `Fenced` when a newer process took over,
    `Transient` when the broker is away, `Broken` VM-1304 when a record does not fit its topic; then `settle` does it again.
    """
    before = hand.transactions[-1] if hand.transactions else None
    first, second = worker.producers
    producer = second if before is not None and before.producer is first else first
    now_s = worker.clock.monotonic_s()
    try:
        producer.begin()  # 1.
        for write in bundle.writes:  # 2.
            producer.write(write)
    except TooLarge as error:
        raise Broken("VM-1304", what=error.what, where=error.where, todo=error.todo) from error
    except Transient as error:
        hand.done[:0] = bundle.works
        hand.doubt = str(error)
        raise
    end = asyncio.ensure_future(_ended(worker, hand, bundle, (producer, before, now_s)))
    hand.transactions.append(Transaction(bundle, producer, now_s, end))


_Turn = tuple[Producer, Transaction | None, float]


async def _ended(worker: Worker, hand: Hand, bundle: Bundle, turn: _Turn) -> None:
    try:
        await _end(worker, hand, bundle, turn)
    finally:
        hand.woken.set()


async def _end(worker: Worker, hand: Hand, bundle: Bundle, turn: _Turn) -> None:
    """Take steps 3 to 5; when it returns, the bundle is committed for certain."""
    producer, before, begun_s = turn
    if before is not None:  # 3.
        await asyncio.wait({before.end})
        if before.end.cancelled() or before.end.exception() is not None:
            raise Transient("VM-1301", what="the transaction before was not committed", where=worker.group)
    if any(place.lost for place in bundle.places.values()):
        raise Transient("VM-1312", what="a partition went before its work was committed", where=worker.group)
    offsets = _offsets(bundle.works)
    positions = {part: place.position(offsets.get(part, ())) for part, place in bundle.places.items()}
    await producer.send_offsets(positions, hand.group)  # 4.
    await producer.commit()  # 5.
    took_s = worker.clock.monotonic_s() - begun_s
    labels = {"stage": worker.stage.name, "lane": worker.lane}
    worker.telemetry.observe(names.COMMIT_DURATION, took_s, labels)
    if took_s > DOUBT_S:
        raise InDoubt("VM-1302", what=f"commit took {took_s:.1f} s", where=worker.group)
    for part, done in offsets.items():
        bundle.places[part].finish(done)


def _offsets(works: Iterable[Work]) -> dict[Part, list[int]]:
    found: defaultdict[Part, list[int]] = defaultdict(list)
    for work in works:
        found[work.record.part].append(work.record.offset)
    return found


async def settle(worker: Worker, hand: Hand) -> None:
    """See how transactions have ended. What did not commit for certain is kept and committed again, never worked on again.

    Raises what `commit` raises; `Broken` VM-1313 when a transaction does not end at all: the process must be replaced.
    """
    while hand.transactions and hand.transactions[0].end.done():
        error = hand.transactions[0].end.exception()
        if error is not None:
            await _gather_up(worker, hand, error)
        else:
            _committed(worker, hand, hand.transactions.popleft().bundle)
    if hand.transactions and worker.clock.monotonic_s() - hand.transactions[0].begun_s > STUCK_S:
        raise _stuck()
    if hand.doubt and not hand.transactions:
        await _resolve(worker, hand)
    for producer in worker.producers:
        await producer.renew()


def _committed(worker: Worker, hand: Hand, bundle: Bundle) -> None:
    report(worker, bundle)
    hand.suspects -= bundle.places.keys()
    for part in bundle.places:
        hand.sour.pop(part, None)
    hand.aborts, hand.failing = 0, False
    if not hand.sour:
        hand.away.pop("refused", None)


async def _gather_up(worker: Worker, hand: Hand, error: BaseException) -> None:
    """Take back the work of a transaction that failed, and of the one that waited for it; raise why."""
    failed = tuple(hand.transactions)
    await asyncio.wait({transaction.end for transaction in failed}, timeout=STUCK_S)
    hand.transactions.clear()
    hand.failing = True
    works = [work for transaction in failed for work in transaction.bundle.works]
    errors = [t.end.exception() if t.end.done() else _stuck() for t in failed]
    for one in errors:
        if one is not None and not isinstance(one, Transient):
            raise one
    if any(isinstance(one, InDoubt) for one in errors):
        hand.doubtful, hand.doubt = works, str(error)
        raise error
    try:
        for transaction in failed:
            await transaction.producer.abort()
    except Transient as worse:
        hand.doubtful, hand.doubt = works, str(worse)
        raise error from worse
    kept = [work for work in works if hand.owns(work.place)]
    hand.done[:0] = kept
    _suspect(worker, hand, {work.record.part for work in kept}, str(error))
    raise error


def _suspect(worker: Worker, hand: Hand, parts: set[Part], why: str) -> None:
    """After transactions were refused in a row, have each partition tried alone; one that is refused alone stands still."""
    hand.aborts += 1
    first = min(parts, default=None)
    if first is not None and len(parts) == 1 and (first in hand.suspects or first in hand.sour):
        wait_s = min(MAX_BACKOFF_S, 2 * hand.sour.get(first, (0.0, BACKOFF_S))[1])
        hand.sour[first] = (worker.clock.monotonic_s() + wait_s, wait_s)
        hand.suspects.discard(first)
        hand.away["refused"] = f"{first.topic}-{first.partition} stands still: {why}"
    elif hand.aborts >= REFUSED:
        hand.suspects |= parts


def _stuck() -> Broken:
    return Broken("VM-1313", what=f"a transaction has not ended in {STUCK_S:g} s", where="coordinator",
                  todo="the keeper starts the worker again; look at the broker")  # fmt: skip


async def _resolve(worker: Worker, hand: Hand) -> None:
    """Renew both producers, which fences late requests of the old ones, then believe only the committed positions."""
    worker.health.ready, worker.health.trouble = False, f"transaction in doubt: {hand.doubt}"
    worker.telemetry.add(names.DOUBTS, 1, {"stage": worker.stage.name, "lane": worker.lane})
    for producer in worker.producers:
        producer.expire()
    for producer in worker.producers:
        await producer.renew()
    parts = {work.record.part for work in hand.doubtful if hand.owns(work.place)}
    positions = dict(await worker.consumer.committed(sorted(parts))) if parts else {}
    require(parts, positions)
    works = [work for work in hand.doubtful if hand.owns(work.place) and work.record.part in parts]
    written = [work for work in works if holds(positions[work.record.part], work.record.offset)]
    for part, offsets in _offsets(written).items():
        hand.places[part].finish(offsets)
    done = {id(work) for work in written}
    hand.done[:0] = [work for work in works if id(work) not in done]
    hand.doubtful, hand.doubt = [], ""
