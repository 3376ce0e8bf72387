"""How the budgets stand, for whoever only wants to know: read under the journal's epoch, never rebuilt."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

from vigimesh.clock import Clock
from vigimesh.domain.budget.values import Caps, Shut
from vigimesh.domain.control.measure import Unknown
from vigimesh.domain.control.pricing import Account
from vigimesh.errors import VigimeshError
from vigimesh.ports import Budget, Journal

#: Seconds one look waits for budget and journal, which answer in milliseconds; then the accounts are unknown.
LOOK_S = 2.0
#: Seconds after a failure in which nobody is asked again.
AGAIN_S = 5.0

_CLOSED = Unknown(
    cause="the call journal has no epoch in force: the budget is being rebuilt, or the journal is old"
)
_SLOW = Unknown(cause=f"budget or call journal has not answered for {LOOK_S:g} s")


class BudgetAccounts:
    """`money.Accounts` from a budget and the journal that it must agree with. For one event loop."""

    def __init__(
        self,
        budget: Budget,
        journal: Journal,
        caps: Mapping[str, Caps],
        clock: Clock,
        closing: Sequence[Callable[[], Awaitable[None]]] = (),
    ) -> None:
        """Ask nothing yet. `caps` are those of the cards, by workflow; `closing` lets go of the connections."""
        self._budget = budget
        self._journal = journal
        self._caps = caps
        self._clock = clock
        self._closing = closing
        self._asking: asyncio.Task[Mapping[str, Account]] | None = None
        self._failed: tuple[float, Unknown] | None = None

    async def look(self, now: datetime) -> Mapping[str, Account]:
        """Return the account of each workflow, or why it is not known, within `LOOK_S`."""
        if self._asking is None:
            if self._failed is not None and self._clock.monotonic_s() - self._failed[0] < AGAIN_S:
                return self._all(self._failed[1])
            self._asking = asyncio.ensure_future(self._ask(now))
        # Not cancelled when it takes too long: its answer would still come, and meet the next question.
        done, _ = await asyncio.wait({self._asking}, timeout=LOOK_S)
        if not done:
            return self._all(_SLOW)
        told, self._asking = self._asking, None
        return told.result()

    async def close(self) -> None:
        """Wait for what was asked last, then let go of the connections."""
        if self._asking is not None:
            await asyncio.wait({self._asking}, timeout=LOOK_S)
            self._asking.cancel()
        for close in self._closing:
            await close()

    async def _ask(self, now: datetime) -> Mapping[str, Account]:
        self._failed = None
        try:
            epoch = await self._journal.epoch()
            if not epoch:
                return self._all(_CLOSED)
            self._budget.adopt(epoch)
            return {name: await self._account(name, caps, now) for name, caps in self._caps.items()}
        except VigimeshError as error:
            away = Unknown(cause=f"{error.code} {error.what}")
            self._failed = self._clock.monotonic_s(), away
            return self._all(away)

    async def _account(self, workflow: str, caps: Caps, now: datetime) -> Account:
        told = await self._budget.standing(workflow, caps, now)
        return Unknown(cause=told.why) if isinstance(told, Shut) else told

    def _all(self, cause: Unknown) -> Mapping[str, Account]:
        return dict.fromkeys(self._caps, cause)
