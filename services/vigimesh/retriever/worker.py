"""The retriever at work: the verb with the index it searches."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec

from vigimesh.loop.outcome import Need
from vigimesh.loop.stage import Fetcher, Stage
from vigimesh.ports import Search
from vigimesh.retriever.retrieve import Retriever


def stage(search: Search, lane: str) -> Stage:
    """Return the retriever of a lane as the loop runs it."""
    return Stage(name="retriever", lane=lane, verb=Retriever(), fetchers={"search": search_fetcher(search)})


def search_fetcher(search: Search) -> Fetcher:
    """Return the fetcher of needs of kind `search`: passages as plain values, best first.

    A whole batch's questions go in one call per limit, each once. Raises `Transient` VM-1501 when the base is away.
    """

    async def fetch(needs: Sequence[Need]) -> Sequence[list[dict[str, Any]]]:
        # In a thread: a database that is slow must not keep the loop from polling.
        return await asyncio.to_thread(_answers, search, needs)

    return fetch


def _answers(search: Search, needs: Sequence[Need]) -> list[list[dict[str, Any]]]:
    by_limit: defaultdict[int, dict[str, None]] = defaultdict(dict)
    for need in needs:
        by_limit[need.limit][need.key] = None
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for limit, questions in by_limit.items():
        for question, passages in zip(questions, search.search(tuple(questions), limit), strict=True):
            found[question, limit] = msgspec.to_builtins(list(passages))
    # Needs with the same answer share one list: a verb only reads it.
    return [found[need.key, need.limit] for need in needs]
