"""The tool-executor at work: the verb with the objects it reads narratives from, the small model, and the till that pays for opinions."""

from __future__ import annotations

from collections.abc import Sequence

from vigimesh.loop.outcome import Need
from vigimesh.loop.stage import Fetcher, Stage
from vigimesh.ports import Objects
from vigimesh.tool_executor.execute import STAGE, Executor
from vigimesh.tool_executor.scoring import KIND
from vigimesh.tool_executor.till import Till


def stage(
    objects: Objects,
    lane: str,
    verb: Executor,
    scores: Fetcher,
    till: Till | None = None,
) -> Stage:
    """Return the tool-executor of a lane as the loop runs it; `scores` answers for the small tier, `till` where opinions are asked."""
    return Stage(
        name=STAGE, lane=lane, verb=verb, fetchers={"object": text_fetcher(objects), KIND: scores},
        callers={} if till is None else {"model": till.pay}, beside=None if till is None else till.keep,
    )  # fmt: skip


def text_fetcher(objects: Objects) -> Fetcher:
    """Return the fetcher of needs of kind `object`: the text under a digest.

    Raises `Refused` when the store has no such object, `Transient` when it is away.
    """

    async def fetch(needs: Sequence[Need]) -> Sequence[str]:
        return [objects.get(need.key).decode("utf-8", "replace") for need in needs]

    return fetch
