"""The router at work: the verb with what it needs from outside (nothing)."""

from __future__ import annotations

from vigimesh.domain.policy.cards import Cards
from vigimesh.loop.stage import Stage
from vigimesh.router.route import Router


def stage(cards: Cards) -> Stage:
    """Return the router as the loop runs it: one group over both doors."""
    return Stage(name="router", lane=None, verb=Router(cards))
