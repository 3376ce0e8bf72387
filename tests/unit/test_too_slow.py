"""A tier whose last calls took longer than its card tolerates is passed over, and the plan says so; what nobody measured is in time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from clocks import Hand
from unit.policy_making import ADULT, SIGNED, route_of, routed
from vigimesh.adapters.postgres.call_times import KEPT_S, LEAST, WITHIN_S, CallTimes
from vigimesh.app.workers.limits import LimitsNow
from vigimesh.domain.policy.limits import Limits, limits_of
from vigimesh.domain.policy.tiers import TIERS, too_slow
from vigimesh.errors import Transient
from vigimesh.events.classes import CasePlanned, Plan
from vigimesh.loop.orders import NoOrders
from vigimesh.loop.outcome import Done, Need
from vigimesh.planner.plan import Planner

CARD = SIGNED.named("triage")
assert CARD is not None
LIMIT_MS = CARD.latency_tolerance_s * 1_000


@pytest.mark.parametrize(
    ("taken", "slow"),
    [
        ({}, ()),
        ({"large": 5_000}, ()),
        ({"large": 5_001}, ("large",)),
        ({"small": 10**6, "large": 10**6}, ("small", "large")),
        ({"person": 10**9}, ()),
    ],
)
def test_a_tier_is_too_slow_from_the_first_millisecond_above_what_is_tolerated(
    taken: Mapping[str, int], slow: tuple[str, ...]
) -> None:
    assert too_slow(reversed(TIERS), taken, 5) == slow
    assert too_slow((), taken, 5) == ()


def plan(taken: Mapping[str, int], answers: Mapping[str, Any] | None = None) -> Plan:
    asked = routed(ADULT, route_of(pass_number=2))
    (need,) = Planner(SIGNED).needs(asked, {})
    told = Limits(tiers=("tools", "large", "person"), taken_ms=taken).plain() if answers is None else answers
    outcome = Planner(SIGNED).decide(asked, {need.name: told})
    assert isinstance(outcome, Done)
    event = outcome.events[0].event
    assert isinstance(event, CasePlanned)
    return event.plan


def test_the_planner_passes_over_a_slow_tier_and_says_what_it_took() -> None:
    quick, slow = plan({"large": LIMIT_MS}), plan({"large": LIMIT_MS + 100})
    assert (quick.tier, "too slow" in quick.reason) == ("large", False)
    assert slow.tier == "tools"
    assert (
        f"tier large is too slow: its last calls took up to {LIMIT_MS / 1000 + 0.1:.1f} s, the card tolerates {LIMIT_MS // 1000} s"
        in slow.reason
    )


def test_a_plan_replays_from_what_was_told_also_from_before_it_was() -> None:
    told = Limits(tiers=("tools", "large", "person"), taken_ms={"large": LIMIT_MS + 1}).plain()
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(told))
    assert plan({}, kept) == plan({"large": LIMIT_MS + 1})
    old = {"tiers": ["tools", "large", "person"], "ceiling": "", "held": ""}
    assert plan({}, old) == plan({})
    assert Limits(tiers=("tools", "large", "person")).plain() == old


def test_limits_tell_what_calls_take() -> None:
    now = LimitsNow(tiers=TIERS, orders=NoOrders(), clock=Hand(), taken=lambda: {"large": 7})
    (found,) = asyncio.run(now.fetch([Need(kind="limits", key="hot/triage")]))
    assert limits_of(found).taken_ms == {"large": 7}


class Link:
    """A journal that answers with these rows in turn, or is away where one is `None`."""

    def __init__(self, *rows: tuple[int, int | None] | None) -> None:
        self.rows, self.asked = list(rows), 0

    async def ask(self, _statement: str, _parameters: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        self.asked += 1
        row = self.rows.pop(0)
        if row is None:
            raise Transient("VM-1501", what="PostgreSQL is away", where="test")
        return [{"calls": row[0], "ms": row[1]}]

    async def close(self) -> None: ...


async def seen(times: CallTimes, clock: Hand, *after_s: float) -> list[int | None]:
    """Look, let what is read come, and look again after each of these seconds."""
    found = []
    for seconds in after_s:
        clock.at_s += seconds
        times.now()
        if times._reading is not None:
            await times._reading
        found.append(times.now().get("large"))
    return found


def test_a_figure_is_kept_renewed_and_forgotten_when_it_is_old() -> None:
    clock = Hand()
    times = CallTimes("postgresql://nobody@127.0.0.1:9/x", "m", clock)
    link = Link((LEAST - 1, 9_000), (LEAST, 9_000), (200, 4_000), None, None)
    times._link = link  # type: ignore[assignment]  # the rows of a journal, without a server
    looks = asyncio.run(seen(times, clock, 0, KEPT_S, KEPT_S - 1, 1, KEPT_S, WITHIN_S))
    assert looks == [None, 9_000, 9_000, 4_000, 4_000, None]
    assert link.asked == 5
