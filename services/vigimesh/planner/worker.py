"""The planner at work: the verb with the tiers that are there."""

from __future__ import annotations

from collections.abc import Sequence

from vigimesh.domain.policy.cards import Cards
from vigimesh.loop.outcome import Need
from vigimesh.loop.stage import Fetcher, Stage
from vigimesh.planner.plan import Planner


def stage(cards: Cards, tiers: Sequence[str], lane: str) -> Stage:
    """Return the planner of a lane as the loop runs it."""
    return Stage(name="planner", lane=lane, verb=Planner(cards), fetchers={"tiers": tiers_fetcher(tiers)})


def tiers_fetcher(tiers: Sequence[str]) -> Fetcher:
    """Return the fetcher of needs of kind `tiers`: which model tiers are configured and in use now."""

    async def fetch(needs: Sequence[Need]) -> Sequence[list[str]]:
        return [list(tiers) for _ in needs]

    return fetch
