"""Waiting for the journal: for a call that somebody else makes, for an epoch that somebody else opens. Never for ever."""

from __future__ import annotations

import asyncio
from typing import Protocol

from vigimesh.clock import Deadline
from vigimesh.domain.budget.calls import Answered, Begun, Busy, Doubtful, GivenBack, PaidCall
from vigimesh.domain.budget.values import Shut

#: Seconds between two looks, doubled from the first to the last: a call takes from 0.2 s to minutes. A look is one round trip
#: of 1 ms. LISTEN would hold a connection for each process, and NOTIFY a lock that all commits share.
FIRST_PAUSE_S, LAST_PAUSE_S = 0.01, 0.25


class _Journal(Protocol):
    async def begin(self, call: PaidCall) -> Begun | Answered | Busy | Doubtful | GivenBack | Shut: ...

    async def epoch(self) -> str: ...


class Turns:
    """The two waits of `ports.Journal`, the same over memory and over PostgreSQL."""

    async def begin_in_turn(
        self: _Journal, call: PaidCall, deadline: Deadline
    ) -> Begun | Answered | Busy | Doubtful | GivenBack | Shut:
        """Begin a call, waiting for whoever makes it now; `Busy` when the deadline comes first."""
        pause_s = FIRST_PAUSE_S
        while isinstance(found := await self.begin(call), Busy) and not deadline.passed():
            await asyncio.sleep(min(pause_s, deadline.left_s()))
            pause_s = min(2 * pause_s, LAST_PAUSE_S)
        return found

    async def opened_epoch(self: _Journal, deadline: Deadline) -> str:
        """Return the epoch as soon as one is open; empty when the deadline comes first."""
        pause_s = FIRST_PAUSE_S
        while not (epoch := await self.epoch()) and not deadline.passed():
            await asyncio.sleep(min(pause_s, deadline.left_s()))
            pause_s = min(2 * pause_s, LAST_PAUSE_S)
        return epoch
