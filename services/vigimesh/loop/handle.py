"""handle: records in, finished work out. In order per key; what must wait waits in a task, and nothing waits for it.

A record without needs never gets a task. Needs of a fetcher's kind are fetched together for all records that came in one
turn; a record with a need of a caller's kind has a task of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from vigimesh.errors import Fenced, Misconfigured, Refused, Transient, VigimeshError
from vigimesh.events import ids
from vigimesh.events.envelope import from_headers, of_event
from vigimesh.loop.broker import Batch
from vigimesh.loop.finish import finish, reject
from vigimesh.loop.hand import Hand
from vigimesh.loop.orders import Order
from vigimesh.loop.outcome import Input, Need, Outcome, Park, Reject, Retry
from vigimesh.loop.progress import Progress
from vigimesh.loop.stage import MAX_ROUNDS
from vigimesh.loop.worker import BACKOFF_S, MAX_ATTEMPTS, MAX_BACKOFF_S, POLL_S, Job, Work, Worker

#: Jobs worked on at once before other tasks have their turn, some 5 ms: a transaction that is ending would wait for a whole
#: batch with each of its steps.
SLICE = 25
#: Seconds until finished work whose payload could not be stored is tried again; its answers are kept.
STORE_AGAIN_S = 0.5
#: Stages that an order of the controller may make wait: the others see every version of a case in order.
_MAY_WAIT = frozenset({"planner", "retriever", "tool-executor"})


async def handle(worker: Worker, hand: Hand, batch: Batch) -> None:
    """Take records in hand, and work on all that can go on: new ones, those whose answers are here, those due again.

    What is answered without waiting is gone on with at once: another turn of the loop would take as long as the work.
    Raises `Misconfigured` or `Fenced` when a source says so, `Broken` VM-1304 when a dead letter does not fit.
    """
    ready = [*_landed(hand), *_due(worker, hand), *_taken(worker, hand, batch)]
    if hand.strays:
        hand.strays.forget(worker.clock.monotonic_s())
        hand.cut_off()
    _call(worker, hand)  # where a call was cancelled, its place is free
    while ready:
        asked = await _work(worker, hand, ready)
        if asked is None:
            return
        await asyncio.sleep(0)
        if not asked.done():
            return
        ready = hand.flights.pop(asked, [])
        if not asked.cancelled():
            asked.result()


async def _work(worker: Worker, hand: Hand, ready: Sequence[Job]) -> asyncio.Task[None] | None:
    """Work on jobs as far as they can go; return the task, if there is one, that fetches what may be there without waiting."""
    orders = () if worker.stage.name not in _MAY_WAIT else _waits(worker)
    waiting: list[Job] = []
    todo = deque(ready)
    while todo:
        some = [todo.popleft() for _ in range(min(SLICE, len(todo)))]
        some = [job for job in some if _may_begin(worker, hand, job)]
        now = worker.clock.now()
        # All of them, then what became of all: each half's code is met again while the processor still has it at hand.
        for job, outcome in [(job, _outcome(worker, job, orders)) for job in some]:
            if outcome is None:
                waiting.append(job)
            elif following := _conclude(worker, hand, job, (outcome, now)):
                todo.append(following)
        if todo:
            await asyncio.sleep(0)  # a transaction that is ending takes its next step meanwhile
    return _depart(worker, hand, waiting)


def _may_begin(worker: Worker, hand: Hand, job: Job) -> bool:
    """Return whether a job can be worked on now; one whose partition stays, or is restored, is looked at again then."""
    if job.place.lost:
        return False
    if hand.leaving and not job.begun and job.record.part in hand.leaving:
        hand.later.append((worker.clock.monotonic_s() + POLL_S, job))  # should it stay after all
        return False
    if worker.table is not None and not worker.table.fresh(job.record.part.partition):
        _restore(worker, hand, job)
        return False
    return True


def _taken(worker: Worker, hand: Hand, batch: Batch) -> list[Job]:
    """Return the new records that wait for no other of their key."""
    now_s = worker.clock.monotonic_s()
    first: list[Job] = []
    for record in batch.records:
        part = record.part
        place = hand.places.get(part)
        if place is None or part in hand.held or part in hand.leaving:
            continue
        taken = place.take(record.offset)
        if taken == "full":
            hand.held.add(part)
            worker.consumer.hold(part)
        if taken != "new":
            continue
        key = (part.partition, record.key)
        if hand.strays and key not in hand.keys and (stray := hand.strays.pop(record)) is not None:
            first += _gone_on_with(hand, stray, place)
            continue
        envelope = from_headers(record.headers, f"{part.topic}-{part.partition}-{record.offset}")
        job = Job(record=record, key=key, place=place, envelope=envelope, taken_s=now_s)
        queue = hand.keys.get(key)
        if queue is None:
            hand.keys[key] = [job]
            first.append(job)
        else:
            queue.append(job)
    for part, end in batch.ends.items():
        if part in hand.places and part not in hand.held and part not in hand.leaving:
            hand.places[part].reached(end)
    return first


def _gone_on_with(hand: Hand, stray: Job | Work, place: Progress) -> list[Job]:
    """Take in hand what was kept of a record that is here again; return the job if what it waited for has come meanwhile."""
    stray.place = place
    if isinstance(stray, Work):
        hand.done.append(stray)
        return []
    hand.keys[stray.key] = [stray]
    return [] if hand.under_way(stray) else [stray]


def _landed(hand: Hand) -> list[Job]:
    """Return the jobs whose answers have come; raises what stopped a task for good.

    Without those of partitions that went: such a job is kept, and goes on once, when its record is handed out again.
    """
    for task in hand.stopped:
        task.result()
    jobs, hand.landed = hand.landed, []
    return [job for job in jobs if hand.owns(job.place)]


def _due(worker: Worker, hand: Hand) -> list[Job]:
    """Return the jobs to be tried again now."""
    if not hand.later:
        return []
    now_s = worker.clock.monotonic_s()
    due = [job for due_s, job in hand.later if due_s <= now_s]
    hand.later = [(due_s, job) for due_s, job in hand.later if due_s > now_s]
    return due


def _waits(worker: Worker) -> tuple[Order, ...]:
    """Return the orders that make workflows of this lane wait; never any in the hot lane."""
    if worker.lane == "hot":
        return ()
    found = worker.orders.in_force(worker.lane, worker.clock.now())
    return tuple(order for order in found if order.share_percent == 0 and order.workflow)


def _outcome(worker: Worker, job: Job, orders: Sequence[Order]) -> Outcome | None:
    """Return what becomes of a record, or `None` while it needs something more."""
    if job.refused is not None:
        return job.refused
    for order in orders:
        if order.workflow == job.envelope.workflow and not job.rounds:
            return Park(not_before=order.expires_at, why=f"its workflow waits by order: {order.reason}")
    try:
        if job.input is None:
            job.input = _read(worker, job)
        job.needs = _needs(worker, job)
        if job.needs:
            job.rounds += 1
            return None
        return worker.stage.verb.decide(job.input, job.answers)
    except Exception as error:  # noqa: BLE001  whatever a verb's defect raises, the record must not be lost
        return reject(error)


def _read(worker: Worker, job: Job) -> Input:
    """Decode a record, and settle what its event is called, so that none takes another's place in what is made of it.

    What can be read goes by the name that the contract gives it, what cannot by its name and its bytes.
    """
    record, envelope = job.record, job.envelope
    try:
        event = worker.codec.decode(record.part.topic, record.value, job.carried)
    except Exception:
        unread = ids.unread_id(envelope.id, record.key, record.value)
        job.envelope = msgspec.structs.replace(envelope, id=unread)
        raise
    envelope = job.envelope = of_event(envelope, event)
    key = record.key.decode("utf-8", "replace")
    return Input(topic=record.part.topic, event=event, event_id=envelope.id, key=key, at=record.at)


def _needs(worker: Worker, job: Job) -> tuple[Need, ...]:
    """Return what must be fetched for a record next; what is asked of the state is answered at once."""
    assert job.input is not None
    for _ in range(MAX_ROUNDS + 1 - job.rounds):
        needs = worker.stage.verb.needs(job.input, job.answers)
        if not needs:
            return ()
        needs = tuple(need for need in needs if need.name not in job.answers)
        heads = [need for need in needs if need.kind == "head"] if worker.table is not None else []
        if not heads:
            break
        for need in heads:
            assert worker.table is not None
            job.answers[need.name] = worker.table.get(job.record.part.partition, need.key.encode())
    else:
        needs = (Need(kind="head", key=""),)
    if needs and job.rounds >= MAX_ROUNDS:
        raise Refused("VM-1308", what=f"more than {MAX_ROUNDS} rounds of needs", where=worker.stage.name)
    return needs


def _conclude(worker: Worker, hand: Hand, job: Job, concluded: tuple[Outcome, datetime]) -> Job | None:
    """Keep finished work for the next transaction; return the next record of the key."""
    outcome, now = concluded
    if isinstance(outcome, Retry) and job.attempt >= MAX_ATTEMPTS:
        why = f"given up after {job.attempt} tries: {outcome.why}"
        outcome = Reject(code="VM-1310", why=why)
    if isinstance(outcome, Retry):
        job.attempt += 1
        job.answers, job.rounds, job.refused = {}, 0, None
        hand.later.append((worker.clock.monotonic_s() + outcome.after_s, job))
        return None
    try:
        work = finish(worker, job, outcome, now)
    except Transient as error:
        hand.away["store"] = str(error)
        hand.later.append((worker.clock.monotonic_s() + STORE_AGAIN_S, job))
        return None
    hand.away.pop("store", None)
    hand.done.append(work)
    key = job.key
    queue = hand.keys[key]
    del queue[0]
    if queue:
        return queue[0]
    del hand.keys[key]
    return None


def _restore(worker: Worker, hand: Hand, job: Job) -> None:
    """Let a job wait until the state of its partition has been read; other partitions go on."""
    partition = job.record.part.partition
    if partition in hand.restoring:
        hand.restoring[partition].append(job)
        return
    jobs = hand.restoring[partition] = [job]
    table = worker.table
    assert table is not None

    async def restore() -> None:
        values = await _patiently(worker, hand, lambda: table.restore(partition, worker.consumer))
        if hand.restoring.get(partition) is jobs:
            del hand.restoring[partition]
            table.fill(partition, values)

    hand.fly(restore(), jobs)


def _depart(worker: Worker, hand: Hand, waiting: list[Job]) -> asyncio.Task[None] | None:
    """Queue the jobs that call; begin the task that fetches what the others need, all of one turn together, and return it."""
    together: list[Job] = []
    callers = worker.stage.callers
    for job in waiting:
        calls = any(need.kind in callers for need in job.needs)
        (hand.queued if calls else together).append(job)
    _call(worker, hand)
    return hand.fly(_fetch_in_room(worker, hand, together), together) if together else None


def _call(worker: Worker, hand: Hand) -> None:
    """Begin calls of queued jobs, as far as there is room."""
    if hand.queued:
        hand.call(lambda job: _fetch(worker, hand, [job]))


async def _fetch_in_room(worker: Worker, hand: Hand, jobs: list[Job]) -> None:
    async with hand.room:
        await _fetch(worker, hand, jobs)


async def _fetch(worker: Worker, hand: Hand, jobs: list[Job]) -> None:
    """Get one round of answers for some jobs."""
    wanted: dict[str, list[tuple[Job, Need]]] = {}
    for job in jobs:
        for need in job.needs:
            wanted.setdefault(need.kind, []).append((job, need))
    for kind, pairs in wanted.items():
        await _fetch_kind(worker, hand, kind, pairs)


async def _fetch_kind(worker: Worker, hand: Hand, kind: str, pairs: list[tuple[Job, Need]]) -> None:
    caller, fetcher = worker.stage.callers.get(kind), worker.stage.fetchers.get(kind)
    needs = [need for _, need in pairs]
    try:
        if caller is not None:
            found: Sequence[Any] = [await _patiently(worker, hand, partial(caller, need)) for need in needs]
        elif fetcher is not None:
            found = await _patiently(worker, hand, partial(fetcher, needs))
        else:
            raise Refused("VM-1309", what=f"no fetcher for needs of kind {kind!r}", where=worker.stage.name)
    except (Misconfigured, Fenced):
        raise  # no fault of the record: given up now, every record would be
    except VigimeshError as error:
        if len(pairs) == 1:
            pairs[0][0].refused = reject(error)
            return
        for pair in pairs:  # one of them can't be met: ask one by one, so that only that one is given up
            await _fetch_kind(worker, hand, kind, [pair])
        return
    except Exception as error:  # noqa: BLE001  a defect of a fetcher: each of its records is kept with its cause
        for job, _ in pairs:
            job.refused = reject(error)
        return
    for (job, need), answer in zip(pairs, found, strict=True):
        job.answers[need.name] = answer


async def _patiently(worker: Worker, hand: Hand, ask: Callable[[], Awaitable[Any]]) -> Any:
    """Ask a source until it answers, with growing pauses, however long it is away; the worker says so meanwhile."""
    wait_s, mark = BACKOFF_S, object()
    try:
        while True:
            try:
                return await ask()
            except Transient as error:
                hand.away[mark] = str(error)
                worker.health.ready, worker.health.trouble = False, str(error)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, MAX_BACKOFF_S)
    finally:
        hand.away.pop(mark, None)
