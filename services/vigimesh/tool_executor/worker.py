"""The tool-executor at work: the verb with the objects it reads narratives from, the small model, and the till that pays for opinions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from vigimesh.domain.cascade.readers import read
from vigimesh.domain.cascade.reading import KIND as READ
from vigimesh.loop.outcome import Need
from vigimesh.loop.stage import Caller, Fetcher, Stage
from vigimesh.ports import Objects
from vigimesh.tool_executor.added import KIND as TOOL
from vigimesh.tool_executor.added import AddedToolCalls
from vigimesh.tool_executor.execute import STAGE, Executor
from vigimesh.tool_executor.scoring import KIND
from vigimesh.tool_executor.till import Till

Keep = Callable[[], Coroutine[Any, Any, None]]


def stage(
    objects: Objects,
    lane: str,
    verb: Executor,
    scores: Fetcher,
    till: Till | None = None,
    tools: AddedToolCalls | None = None,
) -> Stage:
    """Return the tool-executor of a lane as the loop runs it.

    `scores` answers for the small tier, `till` where opinions are asked, `tools` where tools of others are.
    """
    callers: dict[str, Caller] = {}
    keeps: list[Keep] = []
    if till is not None:
        callers["model"] = till.pay
        keeps.append(till.keep)
    if tools is not None:
        callers[TOOL] = tools.call
        keeps.append(tools.keep)
    return Stage(
        name=STAGE, lane=lane, verb=verb, callers=callers, beside=_together(keeps),
        fetchers={"object": text_fetcher(objects), KIND: scores, READ: read_fetcher},
    )  # fmt: skip


def _together(keeps: Sequence[Keep]) -> Keep | None:
    """Return what goes on beside the loop: all of them, ended together."""
    if len(keeps) < 2:
        return keeps[0] if keeps else None

    async def keep() -> None:
        async with asyncio.TaskGroup() as group:
            for one in keeps:
                group.create_task(one())

    return keep


async def read_fetcher(needs: Sequence[Need]) -> Sequence[dict[str, Any]]:
    """Answer needs of kind `read`; the models are read when they are first asked. Never raises: an absent model is an answer."""
    return read([(need.key, need.asked) for need in needs])


def text_fetcher(objects: Objects) -> Fetcher:
    """Return the fetcher of needs of kind `object`: the text under a digest.

    Raises `Refused` when the store has no such object, `Transient` when it is away.
    """

    async def fetch(needs: Sequence[Need]) -> Sequence[str]:
        return [objects.get(need.key).decode("utf-8", "replace") for need in needs]

    return fetch
