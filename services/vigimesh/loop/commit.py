"""commit: one transaction per batch, and the rules for one whose end is in doubt (DESIGN part 5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vigimesh import names
from vigimesh.errors import Broken, Transient, VigimeshError
from vigimesh.loop.broker import InDoubt, Part, Position, TooLarge, require
from vigimesh.loop.worker import DOUBT_S, Bundle, Worker


async def commit(worker: Worker, bundle: Bundle, owned: Iterable[Part], group: Any) -> bool:
    """Write a bundle exactly once. Return whether it is committed for certain; after a doubt the records come again.

    1. begin a transaction
    2. write outputs, audit, usage, dead letters and flow
    3. add the positions, with the group metadata captured when the batch was polled
    4. commit
    5. doubt: after an error or a commit slower than half the time-out nothing is believed, also not a success:
       a new producer fences the old one's late requests, and the group's offsets say what really happened

    Raises `Fenced` when a newer process took over; `Transient` when the transaction was aborted, or the broker is away
    while the producer is renewed; `Broken` VM-1304 when a record does not fit its topic.
    """
    if not bundle.positions:
        return True
    started_s = worker.clock.monotonic_s()
    try:
        worker.producer.begin()  # 1.
        for write in bundle.writes:  # 2.
            worker.producer.write(write)
        await worker.producer.send_offsets(bundle.positions, group)  # 3.
        await worker.producer.commit()  # 4.
    except InDoubt as error:
        return await _doubt(worker, owned, str(error))  # 5.
    except Transient as error:
        return await _abort(worker, owned, error)
    except TooLarge as error:
        return await _abort(
            worker, owned, Broken("VM-1304", what=error.what, where=error.where, todo=error.todo)
        )
    took_s = worker.clock.monotonic_s() - started_s
    worker.telemetry.observe(names.COMMIT_DURATION, took_s, {"stage": worker.stage.name, "lane": worker.lane})
    if took_s > DOUBT_S:
        return await _doubt(worker, owned, f"commit took {took_s:.1f} s")  # 5.
    if worker.table is not None:
        worker.table.keep()
    return True


async def _abort(worker: Worker, owned: Iterable[Part], error: VigimeshError) -> bool:
    """Abort and raise `error`, so that the loop waits before it tries again; a failed abort is a doubt."""
    try:
        await worker.producer.abort()
    except Transient:
        await _doubt(worker, owned, str(error))
        if isinstance(error, Transient):
            return False
    raise error


async def _doubt(worker: Worker, owned: Iterable[Part], why: str) -> bool:
    worker.health.trouble = f"transaction in doubt: {why}"
    worker.telemetry.add(names.DOUBTS, 1, {"stage": worker.stage.name, "lane": worker.lane})
    if worker.table is not None:
        worker.table.drop()
        worker.table.stale({part.partition for part in owned})
    worker.producer.expire()
    await worker.producer.renew()
    await rewind(worker, owned)
    return False


async def rewind(worker: Worker, owned: Iterable[Part]) -> None:
    """Go on reading where the group's committed offsets stand; raises `Broken` VM-1305 when one is missing."""
    parts = tuple(owned)
    if parts:
        positions: dict[Part, Position] = dict(await worker.consumer.committed(parts))
        require(parts, positions)
        worker.consumer.seek(positions)
