"""Accounts are read under the journal's epoch; whatever is away or shut is unknown, and nothing is ever rebuilt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from budgets import CAPS, NOON, ask
from vigimesh.adapters.memory.budget import MemoryBudget, MemoryStore
from vigimesh.adapters.memory.journal import MemoryCalls, MemoryJournal
from vigimesh.background.controller import accounts as module
from vigimesh.background.controller.accounts import AGAIN_S, BudgetAccounts
from vigimesh.background.controller.money import Accounts
from vigimesh.clock import SystemClock
from vigimesh.domain.budget.calls import Claimed
from vigimesh.domain.budget.values import Caps, Shut, Standing
from vigimesh.domain.control.measure import Unknown
from vigimesh.domain.control.pricing import Account
from vigimesh.errors import Transient


class Hands(SystemClock):
    """A clock whose seconds a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 3, 2, 12, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic_s(self) -> float:
        return self.seconds


class Shop:
    """A budget built from a journal, as a process that pays would have left it."""

    def __init__(self) -> None:
        self.clock = Hands()
        self.store, self.calls = MemoryStore(), MemoryCalls(self.clock)
        self.budget, self.journal = MemoryBudget(self.store), MemoryJournal(self.calls)
        self.closed = 0

    async def build(self) -> str:
        claimed = await self.journal.claim_epoch("1")
        assert isinstance(claimed, Claimed)
        await MemoryBudget(self.store).rebuild(claimed.epoch, ())
        await self.journal.open_epoch(claimed.epoch)
        return claimed.epoch

    def reader(self, budget: Any = None, journal: Any = None) -> BudgetAccounts:
        async def close() -> None:
            self.closed += 1

        return BudgetAccounts(
            budget or MemoryBudget(self.store), journal or MemoryJournal(self.calls), {"triage": CAPS}, self.clock,
            (close,),
        )  # fmt: skip


def cause(found: Mapping[str, Account]) -> str:
    assert isinstance(found["triage"], Unknown)
    return found["triage"].cause


def play(story: Callable[[Shop], Any]) -> None:
    asyncio.run(story(Shop()))


def test_what_is_left_is_told() -> None:
    async def story(shop: Shop) -> None:
        epoch = await shop.build()
        shop.budget.adopt(epoch)
        await shop.budget.reserve([ask("a", 30)])
        reader: Accounts = shop.reader()
        found = (await reader.look(NOON))["triage"]
        assert isinstance(found, Standing)
        assert found.epoch == epoch
        day = next(one for one in found.windows if one.window == "day")
        assert (day.open_micro, day.left_micro) == (30, CAPS.day_micro - 30)
        await reader.close()
        assert shop.closed == 1

    play(story)


def test_a_shut_budget_is_unknown_and_stays_as_it_is() -> None:
    async def story(shop: Shop) -> None:
        reader = shop.reader()
        assert "no epoch in force" in cause(await reader.look(NOON))
        assert shop.store.held is None
        await shop.build()
        held, before = shop.store.held, shop.calls.epoch.number
        shop.store.restart()
        assert "started again" in cause(await reader.look(NOON))
        shop.store.run -= 1
        assert isinstance((await reader.look(NOON))["triage"], Standing)
        shop.store.flush()
        assert "holds nothing" in cause(await reader.look(NOON))
        shop.store.held = held
        # The budget of another epoch than the journal's: an old snapshot.
        await shop.journal.epoch()
        claimed = await shop.journal.claim_epoch("2")
        assert isinstance(claimed, Claimed)
        assert "no epoch in force" in cause(await reader.look(NOON))
        await shop.journal.open_epoch(claimed.epoch)
        assert "another epoch" in cause(await reader.look(NOON))
        assert shop.store.held is held, "nothing was rebuilt"
        assert shop.calls.epoch.number == before + 1, "nothing was claimed but by the test"

    play(story)


class Away(MemoryBudget):
    """A store that does not answer, or only when it is let; how often it was asked."""

    def __init__(self, gate: asyncio.Event | None = None) -> None:
        super().__init__()
        self.gate, self.asked = gate, 0

    async def standing(self, workflow: str, caps: Caps, at: datetime) -> Standing | Shut:
        self.asked += 1
        if self.gate is None:
            raise Transient("VM-1910", what="Valkey or Redis is away", where="budget")
        await self.gate.wait()
        return Shut("", "it answered at last")


def test_a_store_that_is_away_is_unknown_and_asked_again_only_after_a_while() -> None:
    async def story(shop: Shop) -> None:
        await shop.build()
        away = Away()
        reader = shop.reader(budget=away)
        for _ in range(3):
            assert "VM-1910" in cause(await reader.look(NOON))
        assert away.asked == 1
        shop.clock.seconds += AGAIN_S
        assert "VM-1910" in cause(await reader.look(NOON))
        assert away.asked == 2
        await reader.close()

    play(story)


def test_a_store_that_is_slow_holds_nobody_up_and_is_not_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.02)

    async def story(shop: Shop) -> None:
        await shop.build()
        gate = asyncio.Event()
        slow = Away(gate)
        reader = shop.reader(budget=slow)
        for _ in range(3):
            assert "has not answered" in cause(await reader.look(NOON))
        assert slow.asked == 1
        gate.set()
        assert cause(await reader.look(NOON)) == "it answered at last"
        gate.clear()
        assert "has not answered" in cause(await reader.look(NOON))
        await reader.close()
        assert shop.closed == 1

    play(story)
