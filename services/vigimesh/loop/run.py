"""The one loop: poll → handle → gather → commit → unpause → throttle."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace

from vigimesh import names
from vigimesh.errors import Transient
from vigimesh.loop.broker import Batch, Part, Position
from vigimesh.loop.commit import commit, rewind
from vigimesh.loop.gather import gather
from vigimesh.loop.handle import handle
from vigimesh.loop.outcome import Reject, Retry
from vigimesh.loop.report import report
from vigimesh.loop.worker import (
    BACKOFF_S,
    MAX_ATTEMPTS,
    MAX_BACKOFF_S,
    MAX_BATCH,
    POLL_S,
    Progress,
    Work,
    Worker,
)


async def run(worker: Worker, stop: threading.Event) -> None:
    """Work until `stop` is set, then finish the batch in hand and leave the group.

    Raises `Fenced` when a newer process with the same instance name took over, `Broken` when going on would lose
    something (no committed offset, dead letter not writable): the process ends and is started again by its keeper.
    """
    progress = Progress()
    limit = MAX_BATCH
    try:
        while not stop.is_set():
            try:
                # First of all: fences a dead predecessor, whose open transaction ends.
                await worker.producer.renew()
                batch = await poll(worker, progress, limit)
                started_s = worker.clock.monotonic_s()
                works = count(worker, progress, await handle(worker, batch.records))
                bundle = gather(worker, works, started_s)
                if await commit(worker, bundle, batch.owned, batch.group):
                    report(worker, bundle)
                    unpause(worker, progress, works)
                    worker.health.ready, worker.health.trouble = True, ""
                limit = throttle()
                worker.health.beat()
            except Transient as error:
                await again(worker, progress.owned, error, stop)
    finally:
        worker.health.ready = False
        await worker.consumer.close()
        await worker.producer.close()


async def poll(worker: Worker, progress: Progress, limit: int) -> Batch:
    """Take records, most urgent topic first; state of partitions gained or lost is brought up to date before."""
    batch = await worker.consumer.poll(limit, POLL_S)
    progress.owned = batch.owned
    if batch.assigned or batch.revoked:
        progress.forget(batch)
        labels = {"stage": worker.stage.name, "lane": worker.lane}
        worker.telemetry.level(names.OWNED_PARTITIONS, len(batch.owned), labels)
        if worker.table is not None:
            worker.table.forget({p.partition for p in batch.revoked} - {p.partition for p in batch.owned})
            worker.table.stale({p.partition for p in batch.assigned})
    if worker.table is not None:
        await worker.table.refresh(worker.consumer)
    urgency = {topic: at for at, topic in enumerate(worker.topics)}
    return replace(batch, records=tuple(sorted(batch.records, key=lambda r: urgency[r.part.topic])))


def count(worker: Worker, progress: Progress, works: Sequence[Work]) -> tuple[Work, ...]:
    """Count the tries of a record that asks for another; after `MAX_ATTEMPTS` it is given up.

    A stage with a table starts its whole batch over, since what later records added rests on the earlier ones.
    """
    counted = list(works)
    for at, work in enumerate(works):
        if isinstance(work.outcome, Retry):
            where = (work.record.part, work.record.offset)
            tries = progress.attempts[where] = progress.attempts.get(where, 0) + 1
            if tries >= MAX_ATTEMPTS:
                del progress.attempts[where]
                why = f"given up after {tries} tries: {work.outcome.why}"
                counted[at] = replace(work, outcome=Reject(code="VM-1310", why=why), attempt=tries)
            elif worker.table is not None:
                raise Transient("VM-1310", what=work.outcome.why, where=work.record.part.topic)
        elif progress.attempts:
            progress.attempts.pop((work.record.part, work.record.offset), None)
    return tuple(counted)


def unpause(worker: Worker, progress: Progress, works: Sequence[Work]) -> None:
    """Hold partitions whose first record must be tried again later; let those go on whose time has come.

    Only after a commit: the held position stands behind records that would be skipped if they had not been committed.
    """
    now_s = worker.clock.monotonic_s()
    for work in works:
        part = work.record.part
        if isinstance(work.outcome, Retry) and part not in progress.held:
            progress.held[part] = (now_s + work.outcome.after_s, Position(offset=work.record.offset))
            worker.consumer.hold(part)
    for part, (until_s, position) in list(progress.held.items()):
        if until_s <= now_s:
            del progress.held[part]
            worker.consumer.unhold(part, position)


def throttle() -> int:
    """Return how many records the next poll may take. The controller's orders come in here (DESIGN part 6)."""
    return MAX_BATCH


async def again(worker: Worker, owned: Iterable[Part], error: Transient, stop: threading.Event) -> None:
    """Nothing of the batch counts: wait, then read again from the committed offsets, however long that takes."""
    wait_s = BACKOFF_S
    while not stop.is_set():
        worker.health.ready, worker.health.trouble = False, str(error)
        worker.health.beat()
        if worker.table is not None:
            worker.table.drop()
        await asyncio.sleep(wait_s)
        try:
            await worker.producer.renew()  # a producer in doubt is fenced before the offsets are believed
            await rewind(worker, owned)
            return
        except Transient as now:
            error, wait_s = now, min(2 * wait_s, MAX_BACKOFF_S)
