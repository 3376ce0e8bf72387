"""The till: whatever keeps an opinion from being paid for costs the opinion, never the work of its lane."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import pytest

from spending import WIDE, purchase
from vigimesh.app.workers.paying import Sign, held_by
from vigimesh.clock import SystemClock
from vigimesh.domain.cascade.endpoint import ASKED
from vigimesh.errors import Broken, Misconfigured, Refused, Transient
from vigimesh.loop.health import Health
from vigimesh.loop.orders import Order
from vigimesh.loop.outcome import Need
from vigimesh.names import MODEL_BREAKER, PAYING_SHUT, Metric
from vigimesh.tool_executor import till as tills
from vigimesh.tool_executor.paying import Payer
from vigimesh.tool_executor.purchase import Purchase, Unpaid, name_of, told_of
from vigimesh.tool_executor.till import Keeper, Till
from waiting import until_async
from worlds import Silent

NEED = Need(kind="model", key=name_of(purchase()), asked=purchase())


@dataclass
class Payers:
    """What a till opens: fails as told, then pays as told, and keeps what it was asked for."""

    failing: list[Exception] = field(default_factory=list)
    raising: Exception | None = None
    before: Unpaid | None = None
    asked: list[Purchase] = field(default_factory=list)
    closed: int = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[Payer, Keeper]]:
        if self.failing:
            raise self.failing.pop()
        yield cast(Payer, self), self

    async def pay(self, wanted: Purchase) -> Unpaid:
        self.asked.append(wanted)
        if self.raising is not None:
            raise self.raising
        return Unpaid(call_id=name_of(wanted), reason="denied")

    async def found(self, wanted: Purchase) -> Unpaid | None:
        return self.before

    async def keep(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        self.closed += 1


def with_till(payers: Payers, scenario: Callable[[Till], Awaitable[None]], **parts: Any) -> None:
    """Run a scenario with a till that is kept beside it."""

    async def whole() -> None:
        till = Till(payers.open, **parts)
        kept = asyncio.ensure_future(till.keep())
        try:
            await scenario(till)
        finally:
            kept.cancel()
            await asyncio.gather(kept, return_exceptions=True)

    asyncio.run(asyncio.wait_for(whole(), 60))


@pytest.mark.parametrize(
    "error",
    [
        Refused("VM-1902", what="no id"), Broken("VM-2105", what="torn"), Misconfigured("VM-1506", what="no right"),
        Transient("VM-1501", what="away"), ValueError("Maria Huber"), KeyError("x"),
    ],
)  # fmt: skip
def test_whatever_paying_raises_the_case_goes_on_and_no_foreign_text_is_told(error: Exception) -> None:
    payers = Payers(raising=error)

    async def scenario(till: Till) -> None:
        told = told_of(await till.pay(NEED))
        assert isinstance(told, Unpaid)
        assert told.reason == "lost"
        assert "Maria" not in told.why
        assert type(error).__name__ in told.why or getattr(error, "code", "-") in told.why

    with_till(payers, scenario)
    assert payers.closed == 1


def test_a_till_that_cannot_be_opened_holds_nobody_up_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tills, "AGAIN_S", 0.05)
    payers = Payers(failing=[Misconfigured("VM-1102", what="no address"), OSError("no such file")])

    async def scenario(till: Till) -> None:
        first = told_of(await till.pay(NEED))
        assert isinstance(first, Unpaid)
        assert first.reason == "away"
        await until_async(lambda: till._payer is not None, what="an open till")
        second = told_of(await till.pay(NEED))
        assert isinstance(second, Unpaid)
        assert second.reason == "denied"

    told: list[str] = []
    with_till(payers, scenario, tell=told.append)
    assert [why.split()[0] for why in told] == ["OSError", "VM-1102"]


class Gauges(Silent):
    """Keeps what gauges stand at."""

    def __init__(self) -> None:
        self.levels: dict[str, float] = {}

    def level(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        assert labels == {"stage": "tool-executor", "lane": "cold"}
        self.levels[metric.name] = value


def test_how_paying_goes_is_a_metric_and_said_beside_readiness() -> None:
    health, gauges = Health(SystemClock()), Gauges()
    health.ready = True
    sign = Sign(telemetry=gauges, health=health, lane="cold")
    sign.shut("VM-1910 away")
    sign.breaker("open")
    assert gauges.levels == {PAYING_SHUT.name: 1, MODEL_BREAKER.name: 2}
    assert health.without == (
        "paid calls are refused: VM-1910 away; the endpoint failed several times in a row and is left alone for a while"
    )
    assert (health.ready, health.trouble) == (True, "")
    sign.breaker("half_open")
    assert gauges.levels[MODEL_BREAKER.name] == 1
    sign.shut("")
    sign.breaker("closed", "correct the key")
    assert health.without == "correct the key"
    sign.breaker("closed")
    assert gauges.levels == {PAYING_SHUT.name: 0, MODEL_BREAKER.name: 0}
    assert health.without == ""


@pytest.mark.parametrize(("ordered", "most"), [(7, 7), (10**9, WIDE.calls_per_minute)])
def test_an_order_lowers_the_calls_of_a_minute_and_raises_none(ordered: int, most: int) -> None:
    payers = Payers()

    async def scenario(till: Till) -> None:
        await till.pay(NEED)

    with_till(payers, scenario, calls=lambda workflow: ordered)
    (asked,) = payers.asked
    assert asked.caps.calls_per_minute == most


@pytest.mark.parametrize("paid_before", [False, True])
def test_what_an_order_holds_is_not_paid_and_what_was_paid_before_is_used(paid_before: bool) -> None:
    """An answer that was paid for and that nobody reads would be in no `usage`."""
    payers = Payers(before=Unpaid(call_id="earlier", reason="in_doubt") if paid_before else None)

    async def scenario(till: Till) -> None:
        told = told_of(await till.pay(NEED))
        assert isinstance(told, Unpaid)
        if paid_before:
            assert told.call_id == "earlier"
        else:
            assert told.why == "an order leaves its lane what is free (the backlog is too dear)"

    with_till(payers, scenario, held=lambda wanted: "the backlog is too dear")
    assert payers.asked == []


@pytest.mark.parametrize(
    ("step", "tier", "workflow", "by", "held"),
    [
        (ASKED, "small", "triage", "", True), (ASKED, "tools", "triage", "", True), (ASKED, "tools", "", "", True),
        (ASKED, "large", "triage", "", False), (ASKED, "small", "signal", "", False), (ASKED, "small", "triage", "A. Hand", False),
        ("second_opinion", "small", "triage", "", False),
    ],
)  # fmt: skip
def test_a_ceiling_ordered_for_money_holds_the_paid_calls_of_the_small_tier(
    step: str, tier: str, workflow: str, by: str, held: bool
) -> None:
    """A person who shuts the large model means that one; a call of the large tier was planned before its ceiling was ordered."""
    later = SystemClock().now() + timedelta(minutes=1)
    order = Order(
        lane="cold",
        workflow=workflow,
        share_percent=100,
        expires_at=later,
        reason="too dear",
        tier_ceiling=tier,
        by=by,
    )
    wanted = purchase(step=step, workflow="triage")
    assert held_by([order], wanted) == ("too dear" if held else "")
    assert held_by([], wanted) == ""
