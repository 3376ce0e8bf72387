"""The duty that lets go of what was served, when nothing may ask for it any more."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

from vigimesh.clock import Clock
from vigimesh.domain.knowledge.recalling import changes
from vigimesh.ports.recalls import Recalls

#: Days that a use is kept at least, and where nothing else is set: data about a product is kept for ten years after its authorisation ended
#: (Commission Implementing Regulation (EU) 520/2012, article 12(2)). The record itself, on the topics, is not touched here.
LEAST_DAYS = 3_653
#: Rows of one transaction: some 0.1 s, in which a booking waits for none of them.
PIECE = 1_000
#: Pieces of one step, after which other duties have their turn.
MAX_PIECES = 20


@dataclass(slots=True, kw_only=True)
class Forget:
    """Removes passages that fed a case, when their version has been stale, recalled and announced for `keep` and they are older than that.

    What a current version gave is kept whatever its age: it may be superseded tomorrow, and then its cases must be found.
    """

    recalls: Recalls
    clock: Clock
    keep: timedelta
    name: str = field(default="forget", init=False)
    every_s: float = field(default=3_600.0, init=False)

    async def step(self) -> int:
        """Remove at most `MAX_PIECES` pieces; return how many rows. Raises `Transient` VM-1501 when the base is away."""
        now = self.clock.now()
        before = now - self.keep
        found = changes(await asyncio.to_thread(self.recalls.versions), now)
        # A change within the time kept may still be looked at again.
        old = [one for one in found if one.known_at < before]
        gone = 0
        for _ in range(MAX_PIECES if old else 0):
            piece = await asyncio.to_thread(self.recalls.forget_used, old, before, PIECE)
            gone += piece
            if piece < PIECE:
                break
        return gone
