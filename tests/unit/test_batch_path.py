"""The batch path: a record without needs has no task of its own, and those with needs of a fetcher's kind share one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.events.codec import Codec
from vigimesh.loop.outcome import Need
from vigimesh.loop.stage import Stage
from worlds import MemoryWorld, copier, hand_on, work

RECORDS = 1_000
#: Tasks of a run beside those of records: a poll a turn, some for each transaction, the test's own. Some ten were seen.
OTHERS = 90


def tasks_for(stage: Stage) -> int:
    """Return how many tasks are made while a stage works on `RECORDS` records."""
    world, made = MemoryWorld(Codec(MemorySchemas())), 0

    def count(loop: asyncio.AbstractEventLoop, task: Any) -> asyncio.Task[Any]:
        nonlocal made
        made += 1
        return asyncio.Task(task, loop=loop)

    async def whole() -> None:
        asyncio.get_running_loop().set_task_factory(count)
        await work(world.worker(stage), until=lambda: len(world.handed_on()) >= RECORDS)

    for number in range(RECORDS):
        world.send(number)
    asyncio.run(whole())
    assert len(world.handed_on()) == RECORDS
    return made


def test_records_without_needs_have_no_task_each() -> None:
    assert tasks_for(copier()) < OTHERS


def test_records_whose_needs_are_fetched_together_have_no_task_each() -> None:
    async def fetch(needs: Sequence[Need]) -> Sequence[str]:
        await asyncio.sleep(0)
        return [need.key for need in needs]

    stage = copier(
        wants=lambda case, answers: () if answers else (Need(kind="search", key=case.event.case.message_id),),
        fetchers={"search": fetch},
    )
    assert tasks_for(stage) < OTHERS


def test_each_place_for_calls_is_a_task_which_shows_that_they_are_counted() -> None:
    async def call(need: Need) -> str:
        await asyncio.sleep(0)
        return need.key

    stage = copier(
        lambda case, answers: hand_on(case),
        lambda case, answers: () if answers else (Need(kind="model", key=case.event.case.message_id),),
        callers={"model": call},
    )
    assert OTHERS < stage.concurrency <= tasks_for(stage)
