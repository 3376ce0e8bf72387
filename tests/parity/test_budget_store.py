"""The budget's store away, full, in the hands of two builders, or answering for another call."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
import redis

from budget_fixture import new_valkey_rig
from budgets import CAPS, EPOCH, NOON, Rig, ask, booked, figures, raised
from valkeys import OwnValkey
from vigimesh.adapters.redis import budget as redis_budget
from vigimesh.adapters.redis import scripts as redis_scripts
from vigimesh.adapters.redis.budget import RedisBudget
from vigimesh.adapters.redis.scripts import Order, Scripts
from vigimesh.domain.budget.rule import rebuilt
from vigimesh.domain.budget.values import SHUT, Released, Reserved, Settled, Shut
from vigimesh.errors import Broken, Transient
from vigimesh.ports import Budget

pytestmark = pytest.mark.real


@pytest.fixture
def rig(budget_valkey: OwnValkey) -> Iterator[Rig]:
    yield new_valkey_rig(budget_valkey)
    if budget_valkey.process is None:
        budget_valkey.start()


def redis_of(budget: Budget) -> RedisBudget:
    assert isinstance(budget, RedisBudget)
    return budget


async def refused(budget: Budget) -> None:
    """What moves money is shut, what a person asks is told to try again."""
    for answer in (
        *(await budget.reserve([ask("x", 1), ask("y", 1)])),
        await budget.settle("a", "triage", 1),
        await budget.release("a", "triage"),
    ):
        assert isinstance(answer, Shut), answer
        assert answer.why.startswith(SHUT["away"])
    for work in (
        budget.standing("triage", CAPS, NOON),
        budget.raise_cap(raised(600)),
        budget.expired(NOON),
        budget.rebuild("epoch-2", []),
    ):
        with pytest.raises(Transient, match="VM-1910"):
            await work
    budget.adopt(EPOCH)


def test_with_the_store_away_nothing_is_paid_and_nothing_hangs(rig: Rig, budget_valkey: OwnValkey) -> None:
    async def scenario(rig: Rig) -> None:
        budget = await rig.built()
        await budget.reserve([ask("a", 10)])
        await asyncio.to_thread(budget_valkey.stop, keep=True)
        await refused(budget)
        await asyncio.to_thread(budget_valkey.start)
        # It is back, as another process: still nothing, until the journal has had its say.
        (answer,) = await budget.reserve([ask("x", 1)])
        assert answer == Shut("x", SHUT["restarted"])
        await budget.rebuild("epoch-2", [booked("a", 10, "open")])
        assert await figures(budget) == (0, 10)

    rig.run(scenario)


def test_a_full_store_refuses_whole_operations_and_never_half(rig: Rig, budget_valkey: OwnValkey) -> None:
    async def scenario(rig: Rig) -> None:
        budget = await rig.built()
        await budget.reserve([ask("a", 10)])
        with redis.Redis.from_url(budget_valkey.url) as own:
            own.config_set("maxmemory", "1")
            own.config_set("maxmemory-policy", "noeviction")
            try:
                (answer,) = await budget.reserve([ask("x", 1)])
                assert isinstance(answer, Shut)
                assert answer.why.startswith(SHUT["away"])
                assert isinstance(await budget.settle("a", "triage", 10), Shut)
            finally:
                own.config_set("maxmemory", "0")
        assert await figures(budget) == (0, 10)
        assert await budget.settle("a", "triage", 10) == Settled("a", 10, 0)

    rig.run(scenario)


def test_who_waits_for_a_connection_of_a_busy_process_is_not_told_that_the_store_is_away(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one burst would shut the budget for every call of the process."""
    monkeypatch.setattr(redis_scripts, "ANSWER_S", 0.2)

    async def scenario(rig: Rig) -> None:
        await rig.built()
        # One that has no connection yet.
        budget = rig.adopted()
        pool = redis_of(budget)._scripts._client.connection_pool
        lent = [
            await pool.get_connection()  # type: ignore[no-untyped-call]  # redis has no types for it
            for _ in range(redis_scripts.CONNECTIONS)
        ]
        asked = asyncio.ensure_future(budget.reserve([ask("a", 10)]))
        # Twice as long as an answer may take.
        done, _ = await asyncio.wait({asked}, timeout=0.4)
        assert not done, asked.result()
        for one in lent:
            await pool.release(one)
        (answer,) = await asked
        assert isinstance(answer, Reserved)

    rig.run(scenario)


class Forgetful(Scripts):
    """A server that forgets a script between any two uses of it, as one does that was started again."""

    __slots__ = ()

    async def run(self, orders: Sequence[Order], *, at_once: bool = True) -> list[Any]:
        await self._client.script_flush()
        return await super().run(orders, at_once=at_once)


def test_scripts_that_the_server_forgot_are_loaded_again(budget_valkey: OwnValkey) -> None:
    async def scenario(rig: Rig) -> None:
        budget = await rig.built()
        real = redis_of(budget)
        real._scripts = Forgetful(real._scripts._client, real._scripts.key)
        answers = await budget.reserve([ask(f"a{n}", 10) for n in range(10)])
        assert all(isinstance(one, Reserved) for one in answers)
        assert await budget.release("a0", "triage") == Released("a0", 10)
        assert await figures(budget) == (0, 90)

    new_valkey_rig(budget_valkey).run(scenario)


class Mixed(Scripts):
    """A connection whose answers have slipped by one."""

    __slots__ = ()

    async def _send(self, orders: Sequence[Order]) -> list[Any]:
        replies = await super()._send(orders)
        return replies[1:] + replies[:1]


def test_an_answer_of_another_call_is_not_believed(rig: Rig) -> None:
    async def scenario(rig: Rig) -> None:
        budget = await rig.built()
        await budget.reserve([ask("warm", 1)])
        real = redis_of(budget)
        real._scripts = Mixed(real._scripts._client, real._scripts.key)
        with pytest.raises(Broken, match="VM-1911"):
            await budget.reserve([ask("a", 10), ask("b", 20)])

    rig.run(scenario)


def test_a_builder_that_was_overtaken_swaps_nothing_in(rig: Rig) -> None:
    async def scenario(rig: Rig) -> None:
        slow = redis_of(await rig.built())
        begun = await slow._scripts.one("begin", "epoch-2", "slow", "3600")
        _, _, seen, run, _ = begun
        # While it reads rows, another one rebuilds with a newer epoch.
        quick = await rig.built([booked("a", 100, "settled")], "epoch-3")
        assert (await slow._scripts.one("swap", "epoch-2", "slow", seen, run))[0] == "lost"
        assert await figures(quick) == (100, 0)

    rig.run(scenario)


def test_a_builder_that_died_is_given_up_and_can_never_swap_in_what_was_deleted(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_budget, "BUILD_S", 0)

    async def scenario(rig: Rig) -> None:
        dead = redis_of(await rig.built())
        _, _, seen, run, _ = await dead._scripts.one("begin", "epoch-2", "dead", "3600")
        (part,) = redis_budget._parts(rebuilt([booked("a", 100, "settled")]))
        assert (await dead._scripts.one("stage", "dead", part))[0] == "staged"
        await dead.rebuild("epoch-2", [booked("a", 100, "settled")])
        assert (await dead._scripts.one("stage", "dead", part))[0] == "lost"
        assert (await dead._scripts.one("swap", "epoch-9", "dead", seen, run))[0] == "lost"
        assert await figures(dead) == (100, 0)

    rig.run(scenario)


def test_a_server_that_restarts_while_a_rebuild_is_staged_gets_a_whole_one(
    rig: Rig, budget_valkey: OwnValkey
) -> None:
    async def scenario(rig: Rig) -> None:
        budget = redis_of(await rig.built())
        _, _, seen, run, _ = await budget._scripts.one("begin", "epoch-2", "half", "3600")
        await asyncio.to_thread(budget_valkey.restart)
        # What was staged may have been lost in part: only a generation of one process may come into force.
        assert (await budget._scripts.one("swap", "epoch-2", "half", seen, run))[0] == "lost"
        await budget.rebuild("epoch-2", [booked("a", 100, "settled")])
        assert await figures(budget) == (100, 0)

    rig.run(scenario)


def test_builders_of_two_epochs_at_once_end_with_one_of_them_whole(rig: Rig) -> None:
    async def scenario(rig: Rig) -> None:
        rows = {
            "epoch-2": [booked("a", 100, "settled")],
            "epoch-3": [booked("a", 100, "settled"), booked("b", 7, "open")],
        }
        budgets = [(rig.new(), epoch) for epoch in rows]
        await asyncio.gather(*(budget.rebuild(epoch, rows[epoch]) for budget, epoch in budgets))
        found = await rig.new().standing("triage", CAPS, NOON)
        assert not isinstance(found, Shut)
        assert found.epoch in rows
        held = {"epoch-2": 0, "epoch-3": 7}[found.epoch]
        assert await figures(rig.new()) == (100, held)
        # The other one is told so, and spends nothing.
        for budget, epoch in budgets:
            (answer,) = await budget.reserve([ask("x", 1, at=NOON + timedelta(days=1))])
            assert isinstance(answer, Reserved) is (epoch == found.epoch)

    rig.run(scenario)
