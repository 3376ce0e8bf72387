"""The retriever at work: the verb with the look-up that answers its questions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from vigimesh.domain.knowledge.freshness import Ages
from vigimesh.loop.outcome import Need
from vigimesh.loop.stage import Fetcher, Stage
from vigimesh.retriever.lookup import Lookup
from vigimesh.retriever.retrieve import Retriever


def stage(lookup: Lookup, lane: str, ages: Mapping[str, Ages] | None = None) -> Stage:
    """Return the retriever of a lane as the loop runs it; `ages` are those of workflow cards that shorten them."""
    verb = Retriever(ages=ages or {})
    return Stage(name="retriever", lane=lane, verb=verb, fetchers={"search": search_fetcher(lookup)})


def search_fetcher(lookup: Lookup) -> Fetcher:
    """Return the fetcher of needs of kind `search`: answers as `answering.handed` writes them.

    A whole batch's questions are looked up together, each once. Raises `Transient` VM-1501 when the base is away.
    """

    async def fetch(needs: Sequence[Need]) -> Sequence[dict[str, Any]]:
        # In a thread: a database or cache that is slow must not keep the loop from polling.
        return await asyncio.to_thread(lookup.answers, needs)

    return fetch
