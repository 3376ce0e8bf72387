"""The planner at work: the verb with the limits of the present, and the names in texts that lack fields."""

from __future__ import annotations

from collections.abc import Mapping

from vigimesh.domain.policy.cards import Cards
from vigimesh.loop.stage import Fetcher, Stage
from vigimesh.planner.plan import Planner


def stage(cards: Cards, fetchers: Mapping[str, Fetcher], lane: str) -> Stage:
    """Return the planner of a lane as the loop runs it; `fetchers` answer needs of kind `limits` and `read`."""
    return Stage(name="planner", lane=lane, verb=Planner(cards), fetchers=fetchers)
