"""Budgets under test: in memory, on Valkey, and on a Valkey to which everything is sent twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from redis.exceptions import NoScriptError

from valkeys import OwnValkey
from vigimesh.adapters.memory.budget import Held, MemoryBudget, MemoryStore
from vigimesh.adapters.redis.budget import RedisBudget
from vigimesh.adapters.redis.scripts import Order, Scripts, client_of
from vigimesh.domain.budget.values import Ask, Booked, Caps, Raisable, Raise, Standing, State, WindowStanding
from vigimesh.ports import Budget

T = TypeVar("T")

NOON = datetime(2026, 11, 28, 12, 0, 30, tzinfo=UTC)
CAPS = Caps("EUR", month_micro=1_000, day_micro=500, case_micro=200, calls_per_minute=10)
#: Room for every call of a test that is about something else.
WIDE = Caps("EUR", month_micro=10**9, day_micro=10**9, case_micro=10**9, calls_per_minute=10**6)
EPOCH = "epoch-1"


@dataclass
class Rig:
    """A store and the budgets on it, as processes would share it."""

    name: str
    new: Callable[[], Budget]
    flush: Callable[[], None]
    restart: Callable[[], None]
    snapshot: Callable[[], Any]
    restore: Callable[[Any], None]
    _open: list[RedisBudget] = field(default_factory=list)

    def run(self, scenario: Callable[[Rig], Awaitable[T]]) -> T:
        """Run a scenario in a loop of its own and close what it opened."""

        async def whole() -> T:
            try:
                return await scenario(self)
            finally:
                await self.close()

        return asyncio.run(whole())

    async def close(self) -> None:
        """Close what was opened in the loop that runs."""
        for budget in self._open:
            await budget.close()
        self._open.clear()

    async def built(self, rows: Iterable[Booked] = (), epoch: str = EPOCH) -> Budget:
        """Return a budget that was rebuilt from rows."""
        budget = self.new()
        await budget.rebuild(epoch, rows)
        return budget

    def adopted(self, epoch: str = EPOCH) -> Budget:
        """Return another process' budget that knows the epoch."""
        budget = self.new()
        budget.adopt(epoch)
        return budget


class TwiceScripts(Scripts):
    """Sends every script twice and gives the second answer, as a client does whose first answer was lost."""

    __slots__ = ()

    async def _send(self, orders: Sequence[Order]) -> list[Any]:
        first = await super()._send(orders)
        # Where the server did not know the script, nothing has run yet: it is loaded, and sent twice then.
        if any(isinstance(reply, NoScriptError) for reply in first):
            return first
        return await super()._send(orders)


def memory_rig() -> Rig:
    store = MemoryStore()

    def restore(held: Held | None) -> None:
        store.restore(held)

    return Rig("memory", lambda: MemoryBudget(store), store.flush, store.restart, store.snapshot, restore)


def valkey_rig(server: OwnValkey, key: str, scripts: type[Scripts] = Scripts) -> Rig:
    """Return a rig on a server; each has keys of its own, though a flush takes all."""

    def new() -> Budget:
        budget = RedisBudget.open(server.url, key)
        budget._scripts = scripts(client_of(server.url), key)
        rig._open.append(budget)
        return budget

    rig = Rig("valkey", new, server.flush, server.restart, server.snapshot, server.restore)
    return rig


def ask(
    call_id: str,
    worst_micro: int,
    *,
    at: datetime = NOON,
    caps: Caps = CAPS,
    case_id: str = "",
    lease_s: float = 60,
) -> Ask:
    """Return an ask of the workflow `triage`; each call has a case of its own unless one is named."""
    return Ask(call_id, "triage", case_id or f"case of {call_id}", worst_micro, at, caps, lease_s)


def booked(
    call_id: str, amount_micro: int, state: State, *, at: datetime = NOON, case_id: str = ""
) -> Booked:
    return Booked(call_id, "triage", case_id or f"case of {call_id}", at, amount_micro, state)


def raised(
    to_micro: int, *, at: datetime = NOON, window: Raisable = "day", until: timedelta = timedelta(hours=1)
) -> Raise:
    return Raise("triage", window, to_micro, "a batch of reports came late", at, at + until)


async def standing(budget: Budget, *, at: datetime = NOON, caps: Caps = CAPS) -> Standing:
    """Return how the workflow stands; it must not be shut, and enforced must be recorded + open."""
    found = await budget.standing("triage", caps, at)
    assert isinstance(found, Standing), found
    assert found.holds, found
    return found


async def window(budget: Budget, of: str, *, at: datetime = NOON, caps: Caps = CAPS) -> WindowStanding:
    found = await standing(budget, at=at, caps=caps)
    return next(one for one in found.windows if one.window == of)


async def figures(budget: Budget, of: str = "day", *, at: datetime = NOON) -> tuple[int, int]:
    """Return what is recorded and what is open."""
    found = await window(budget, of, at=at)
    return found.recorded_micro, found.open_micro
