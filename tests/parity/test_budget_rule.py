"""The scripts in Lua and the rule in Python are one rule: whatever is asked in whatever order, they answer alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from budget_fixture import new_valkey_rig
from budgets import CAPS, EPOCH, NOON, WIDE, Rig, TwiceScripts, ask, booked, memory_rig, raised
from valkeys import OwnValkey
from vigimesh.adapters.redis.budget import KEEP_S, REMEMBER_S, RedisBudget
from vigimesh.domain.budget.values import Standing
from vigimesh.domain.budget.windows import WINDOWS
from vigimesh.ports import Budget

pytestmark = pytest.mark.real

#: Few calls, cases and times, so that they meet: around a minute's, a day's and a month's end.
CALLS = st.sampled_from([f"call-{n}" for n in range(8)])
TIMES = st.sampled_from([0, 40, 43_200, 2 * 86_400 + 43_169, 2 * 86_400 + 43_170, 3 * 86_400])
AMOUNTS = st.integers(0, 260)
STEP = st.one_of(
    st.tuples(st.just("reserve"), CALLS, AMOUNTS, TIMES, st.sampled_from("xyz"), st.integers(0, 3)),
    st.tuples(st.just("settle"), CALLS, AMOUNTS),
    st.tuples(st.just("release"), CALLS),
    st.tuples(st.just("raise"), st.sampled_from(["day", "month"]), st.integers(0, 2_000), TIMES),
    st.tuples(st.just("rebuild"), st.lists(st.tuples(CALLS, AMOUNTS, st.sampled_from(["open", "settled", "in_doubt"])))),
)  # fmt: skip
LOTS = [CAPS, replace(CAPS, calls_per_minute=2), replace(CAPS, day_micro=0), replace(CAPS, case_micro=1_000)]


async def do(budget: Budget, step: tuple[Any, ...], number: int) -> Any:
    word, *rest = step
    if word == "reserve":
        call, amount, seconds, case, caps = rest
        at = NOON + timedelta(seconds=seconds)
        return await budget.reserve([ask(call, amount, at=at, case_id=case, caps=LOTS[caps], lease_s=50)])
    if word == "settle":
        return await budget.settle(rest[0], "triage", rest[1])
    if word == "release":
        return await budget.release(rest[0], "triage")
    if word == "raise":
        window, to_micro, seconds = rest
        return await budget.raise_cap(raised(to_micro, window=window, at=NOON + timedelta(seconds=seconds)))
    rows = [booked(call, amount, state) for call, amount, state in rest[0]]
    return await budget.rebuild(f"{EPOCH}.{number}", rows)


async def told(budget: Budget) -> list[Any]:
    """Return all that can be asked, at each of the times; every window must hold."""
    found: list[Any] = []
    for seconds in (0, 40, 43_200, 2 * 86_400 + 43_170, 3 * 86_400):
        at = NOON + timedelta(seconds=seconds)
        here = await budget.standing("triage", CAPS, at)
        assert isinstance(here, Standing)
        assert here.holds, here
        found += [here, await budget.expired(at)]
    return found


async def check_alike(rig: Rig, steps: list[tuple[Any, ...]]) -> None:
    """Do the same on a budget and on the rule in memory, and compare every answer."""
    budget, twin = await rig.built(), await memory_rig().built()
    for number, step in enumerate(steps):
        assert await do(budget, step, number) == await do(twin, step, number), step
    assert await told(budget) == await told(twin)


@pytest.mark.parametrize("scripts", [(), (TwiceScripts,)], ids=["once", "twice"])
def test_valkey_answers_as_the_rule_does(
    budget_valkey: OwnValkey, scripts: tuple[type[TwiceScripts], ...]
) -> None:
    @settings(max_examples=60)
    @given(st.lists(STEP, max_size=25))
    def alike(steps: list[tuple[Any, ...]]) -> None:
        new_valkey_rig(budget_valkey, *scripts).run(lambda rig: check_alike(rig, steps))

    alike()


def test_the_largest_amounts_are_counted_to_the_micro_unit(budget_valkey: OwnValkey) -> None:
    most = 10**15
    caps = replace(WIDE, month_micro=most, day_micro=most, case_micro=most)

    async def scenario(rig: Rig) -> None:
        budget, twin = await rig.built(), await memory_rig().built()
        for each in (budget, twin):
            await each.reserve(
                [ask("a", most - 1, caps=caps), ask("b", 2, caps=caps), ask("c", 1, caps=caps)]
            )
            await each.settle("a", "triage", most)
            await each.settle("c", "triage", most)
        mine, other = await budget.standing("triage", caps, NOON), await twin.standing("triage", caps, NOON)
        assert mine == other
        assert isinstance(mine, Standing)
        assert mine.windows[1].recorded_micro == 2 * most

    new_valkey_rig(budget_valkey).run(scenario)


def test_failure_31_no_expiry_resets_a_window_under_load_nor_drops_what_is_open(
    budget_valkey: OwnValkey,
) -> None:
    async def scenario(rig: Rig) -> None:
        # Long ago by the caller's clock: what is kept does not hang on when the call was asked for.
        past = NOON - timedelta(days=400)
        budget = await rig.built([booked("row", 1, "open", at=past)])
        assert isinstance(budget, RedisBudget)
        await budget.reserve([ask("open", 1, at=past), ask("done", 1, at=past), ask("back", 1, at=past)])
        await budget.settle("done", "triage", 1)
        await budget.release("back", "triage")
        with redis.Redis.from_url(budget_valkey.url, decode_responses=True) as own:
            left = {key: own.ttl(key) for key in own.scan_iter(f"{budget._scripts.key}:*")}
        for window in WINDOWS:
            kept = [ttl for key, ttl in left.items() if f":w:triage:{window}:" in key]
            assert kept
            assert all(KEEP_S[window] - 60 < ttl <= KEEP_S[window] for ttl in kept)
        calls = {key.rsplit(":", 1)[1]: ttl for key, ttl in left.items() if ":call:" in key}
        assert (calls["open"], calls["row"]) == (-1, -1)
        assert 0 < calls["done"] <= REMEMBER_S
        assert 0 < calls["back"] <= REMEMBER_S
        # A call that was given back and is asked for again is open again, and does not expire either.
        await budget.reserve([ask("back", 1, at=past)])
        with redis.Redis.from_url(budget_valkey.url, decode_responses=True) as own:
            again = [own.ttl(key) for key in own.scan_iter(f"{budget._scripts.key}:*:call:triage:back")]
        assert again == [-1]

    new_valkey_rig(budget_valkey).run(scenario)


def test_only_the_generation_in_force_is_left_after_rebuilds(budget_valkey: OwnValkey) -> None:
    async def scenario(rig: Rig) -> None:
        budget = await rig.built([booked("a", 1, "open")])
        for number in range(2, 5):
            await budget.rebuild(f"epoch-{number}", [booked("a", 1, "open")])
        assert isinstance(budget, RedisBudget)
        with redis.Redis.from_url(budget_valkey.url, decode_responses=True) as own:
            keys = list(own.scan_iter(f"{budget._scripts.key}:*"))
            in_force = own.hget(budget._scripts.key, "gen")
        assert {key.split(":")[1] for key in keys} == {in_force}

    new_valkey_rig(budget_valkey).run(scenario)
