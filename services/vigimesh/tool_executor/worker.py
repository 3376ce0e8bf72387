"""The tool-executor at work: the verb with the objects it reads narratives from."""

from __future__ import annotations

from collections.abc import Sequence

from vigimesh.loop.outcome import Need
from vigimesh.loop.stage import Fetcher, Stage
from vigimesh.ports import Objects
from vigimesh.tool_executor.execute import Executor


def stage(objects: Objects, lane: str) -> Stage:
    """Return the tool-executor of a lane as the loop runs it."""
    return Stage(name="tool-executor", lane=lane, verb=Executor(), fetchers={"object": text_fetcher(objects)})


def text_fetcher(objects: Objects) -> Fetcher:
    """Return the fetcher of needs of kind `object`: the text under a digest.

    Raises `Refused` when the store has no such object, `Transient` when it is away.
    """

    async def fetch(needs: Sequence[Need]) -> Sequence[str]:
        return [objects.get(need.key).decode("utf-8", "replace") for need in needs]

    return fetch
