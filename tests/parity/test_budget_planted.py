"""Bugs planted in the scripts: each check of the suite fails on the one it is there for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from budget_fixture import new_valkey_rig
from budgets import WIDE, Rig, TwiceScripts, ask, figures
from parity.test_budget_failures import (
    check_epoch,
    check_no_reservation_leaks,
    check_nothing_overspent,
    check_rebuild,
    check_restarted,
)
from parity.test_budget_rule import check_alike
from valkeys import OwnValkey
from vigimesh.adapters.redis import scripts as redis_scripts
from vigimesh.adapters.redis.budget import RedisBudget
from vigimesh.domain.budget.values import Ask, Denied, Reserved, Shut, Standing
from vigimesh.errors import Transient
from vigimesh.ports import Budget

pytestmark = pytest.mark.real

Check = Callable[[Rig], Awaitable[None]]


async def check_settled_once(rig: Rig) -> None:
    """Settling again, by the same or another process, records nothing more."""
    budget = await rig.built()
    await budget.reserve([ask("a", 100)])
    for one in (budget, budget, rig.adopted()):
        await one.settle("a", "triage", 60)
    assert await figures(budget) == (60, 0)


async def check_release_once(rig: Rig) -> None:
    """Releasing gives back what was held, once."""
    budget = await rig.built()
    await budget.reserve([ask("a", 100), ask("b", 100)])
    for one in (budget, rig.adopted()):
        await one.release("a", "triage")
    assert await figures(budget) == (0, 100)


async def check_any_order(rig: Rig) -> None:
    """A history that needs each part of the rule."""
    await check_alike(rig, [
        ("reserve", "a", 100, 0, "x", 0), ("settle", "a", 130), ("reserve", "b", 10, 0, "y", 0),
        ("raise", "month", 900, 0), ("raise", "day", 900, 0), ("reserve", "b", 260, 0, "y", 3),
        ("release", "b"), ("settle", "b", 10), ("reserve", "c", 1, 3 * 86_400, "z", 1),
    ])  # fmt: skip


CHECKS: dict[str, Check] = {
    "overspent": check_nothing_overspent, "leaked": check_no_reservation_leaks, "settled once": check_settled_once,
    "released once": check_release_once, "rebuild": check_rebuild, "epoch": check_epoch, "restarted": check_restarted,
    "any order": check_any_order,
}  # fmt: skip

#: What is planted: the script (common: all of them), the text that is there, what stands there instead, and the check that must see it.
PLANTED = {
    "skip one release": (
        "release", "redis.call('HINCRBY', key, 'enforced', whole(-back))", "back = 0", "released once",
    ),
    "skip a release when cancelled": ("release", "redis.call('ZREM'", "local _ = ('ZREM'", "leaked"),
    "release twice": ("release", "'state', 'released'", "'state', 'open'", "released once"),
    "settle twice": ("settle", "if held[1] == 'settled'", "if held[1] == ''", "settled once"),
    "settle and keep the reservation": ("settle", "whole(record - back)", "whole(record)", "settled once"),
    "forget the overrun": ("settle", "if overrun > 0", "if overrun < 0", "any order"),
    "forget the epoch": ("common", "held[2] ~= named", "held[2] == nil", "epoch"),
    "forget the server's process": ("common", "held[1] ~= run_id()", "held[1] == nil", "restarted"),
    "forget the calls that wait": ("reserve", "enforced + asked > cap", "recorded + asked > cap", "overspent"),
    "let a raise lower a cap": ("reserve", "math.max(tonumber(ARGV[5 + 3 * i]),", "math.min(tonumber(ARGV[5 + 3 * i]),", "any order"),
    "seed again on a late rebuild": ("common", "held[2] == ARGV[1] and held[3]", "held[2] == ''", "rebuild"),
}  # fmt: skip


def plant(monkeypatch: pytest.MonkeyPatch, place: str, old: str, new: str) -> None:
    """Change the text of a script as it is sent; the text must be there."""
    clean = redis_scripts.script.__wrapped__
    assert old in (clean(place) if place != "common" else clean("begin"))

    def planted(name: str) -> str:
        return clean(name).replace(old, new) if place in ("common", name) else clean(name)

    monkeypatch.setattr(redis_scripts, "script", planted)
    monkeypatch.setattr(redis_scripts, "sha", redis_scripts.sha.__wrapped__)


def failed(check: Check, rig: Rig) -> bool:
    try:
        rig.run(check)
    except (AssertionError, ValueError, Transient):
        return True
    return False


@pytest.mark.parametrize("check", CHECKS)
def test_without_a_bug_every_check_passes(budget_valkey: OwnValkey, check: str) -> None:
    new_valkey_rig(budget_valkey).run(CHECKS[check])


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found(budget_valkey: OwnValkey, monkeypatch: pytest.MonkeyPatch, bug: str) -> None:
    place, old, new, check = PLANTED[bug]
    plant(monkeypatch, place, old, new)
    assert failed(CHECKS[check], new_valkey_rig(budget_valkey)), f"{check} did not see: {bug}"


def test_a_swap_that_is_sent_twice_does_not_delete_what_is_in_force(
    budget_valkey: OwnValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_valkey_rig(budget_valkey, TwiceScripts).run(check_rebuild)
    plant(monkeypatch, "swap", "if held[1] == run_id() and held[3] == ARGV[2]", "if held[1] == ''")
    assert failed(check_rebuild, new_valkey_rig(budget_valkey, TwiceScripts))


class ReadThenWrite(RedisBudget):
    """Reads how the day stands, decides here, and writes what it decided: right for one caller alone."""

    __slots__ = ()

    async def reserve(self, asks: Sequence[Ask]) -> Sequence[Reserved | Denied | Shut]:
        answers: list[Reserved | Denied | Shut] = []
        for one in asks:
            found = await self.standing(one.workflow, one.caps, one.at)
            assert isinstance(found, Standing)
            day = next(row for row in found.windows if row.window == "day")
            room = day.left_micro >= one.worst_micro
            # The caps it writes with let everything through, or nothing.
            answers += await super().reserve([replace(one, caps=WIDE) if room else one])
        return answers


def test_reading_first_and_writing_then_is_found(budget_valkey: OwnValkey) -> None:
    rig = new_valkey_rig(budget_valkey)

    def new() -> Budget:
        budget = ReadThenWrite.open(budget_valkey.url, "{read.then.write}")
        rig._open.append(budget)
        return budget

    rig.new = new
    assert failed(check_nothing_overspent, rig)
