"""The controller and money: a ceiling while the backlog is too dear, repeated, lifted when calm, handed on. In memory."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import isnan, nan
from typing import Any

import pytest

from parity.test_controller import Levels, Realm, Reigning, Told
from parking import Wall
from pricing_making import account
from vigimesh import names
from vigimesh.adapters.kafka.orders import OrderBook
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.background.controller.money import Money, NoAccounts
from vigimesh.background.controller.reign import HOLD_S, REPEAT_S
from vigimesh.background.controller.run import Controller
from vigimesh.domain.control.costs import prior_micro
from vigimesh.domain.control.lag import LagRow
from vigimesh.domain.control.measure import NONE, Known, Measure, Unknown
from vigimesh.domain.control.pricing import CALM_FOR_S, Account
from vigimesh.domain.control.yields import SHARES
from vigimesh.domain.policy.shipped import shipped_cards
from vigimesh.events.classes import ThrottleOrdered
from vigimesh.events.codec import Codec
from vigimesh.events.topics import LANE_STAGES, LANES
from vigimesh.loop.orders import ANY_CALLS, ANY_TIER
from worlds import MemoryWorld, drive

AWAY = Unknown(cause="the store does not answer")
CARDS = shipped_cards(False)
TRIAGE, DRAFTING = CARDS.named("triage"), CARDS.named("drafting")
assert TRIAGE is not None
assert DRAFTING is not None
#: A case of triage before anything is known of its cost.
CASE = prior_micro(TRIAGE.budget.case_micro)


@dataclass
class Waiting(Told):
    """A lag in which so many cases of triage wait before the planner."""

    cold: Measure = NONE

    def look(self, flow_within_s: float) -> tuple[LagRow, ...]:
        rows = tuple(
            LagRow(stage=stage, lane=lane, workflow=workflow, seconds=NONE,
                   records=self.cold if (stage, lane, workflow) == ("planner", "cold", "triage") else NONE)
            for stage in LANE_STAGES for lane in LANES for workflow in ("triage", "drafting")
        )  # fmt: skip
        return super().look(flow_within_s) + rows


@dataclass
class Purse:
    """Accounts that a test sets."""

    triage: Account = field(default_factory=lambda: account(10 * CASE))
    closed: int = 0

    async def look(self, now: datetime) -> Mapping[str, Account]:
        return {"triage": self.triage, "drafting": account(10**9)}

    async def close(self) -> None:
        self.closed += 1


@dataclass
class Treasury:
    """A realm with money."""

    realm: Realm
    lag: Waiting = field(default_factory=Waiting)
    purse: Purse = field(default_factory=Purse)

    def controller(self, **parts: Any) -> Controller:
        assert TRIAGE is not None
        assert DRAFTING is not None
        money = Money(accounts=self.purse, cards=(TRIAGE, DRAFTING))
        objectives = {card.name: float(card.lane_objectives.hot_s) for card in (TRIAGE, DRAFTING)}
        chosen: dict[str, Any] = {"lag": self.lag, "money": money, "objectives": objectives} | parts
        return self.realm.controller(**chosen)

    @property
    def said(self) -> list[tuple[str, str, str]]:
        return [(one.workflow, one.lane, one.tier_ceiling) for one in self.realm.orders]

    async def looks(self, reigning: Reigning, more: int = 2) -> None:
        before = self.lag.looks
        await reigning.until(lambda: self.lag.looks > before + more, "further looks")


@pytest.fixture
def treasury() -> Treasury:
    return Treasury(Realm(MemoryWorld(Codec(MemorySchemas()))))


LOWERED, FREE = ("triage", "cold", "small"), ("triage", "cold", ANY_TIER)


def test_a_ceiling_is_ordered_repeated_and_lifted_after_calm(treasury: Treasury) -> None:
    async def play() -> None:
        wall = treasury.realm.wall
        treasury.lag.cold = Known(value=10)
        async with Reigning(treasury.controller()) as reigning:
            await treasury.looks(reigning)
            assert treasury.said == [], "it costs just what is left"
            treasury.lag.cold = Known(value=11)
            await reigning.until(lambda: treasury.said == [LOWERED], "the ceiling")
            wall.move(REPEAT_S)
            await reigning.until(lambda: treasury.said == [LOWERED] * 2, "a repeat")
            treasury.lag.cold = Known(value=1)
            await treasury.looks(reigning)
            wall.move(CALM_FOR_S - 1)
            await reigning.until(lambda: treasury.said == [LOWERED] * 3, "a repeat while it is calm")
            await treasury.looks(reigning)
            wall.move(1)
            await reigning.until(lambda: treasury.said[3:] == [FREE], "the end of it")
            wall.move(REPEAT_S)
            await treasury.looks(reigning)
            assert len(treasury.said) == 4, "nothing is in force, nothing is repeated"

    drive(play())
    first, *_, last = treasury.realm.orders
    assert (first.share_percent, first.yields, first.by, first.calls_per_minute) == (
        100,
        False,
        "",
        ANY_CALLS,
    )
    assert first.reason == (
        "the backlog of triage would cost 0.055 EUR and its day has 0.05 EUR left: cold may ask up to small"
    )
    assert last.reason == "no limit: the backlog of triage would cost 0.005 EUR and its day has 0.05 EUR left"
    assert last.calls_per_minute == ANY_CALLS
    assert treasury.purse.closed == 1


def test_the_next_leader_goes_on_with_the_ceiling_and_its_calm(treasury: Treasury) -> None:
    async def play() -> None:
        wall = treasury.realm.wall
        treasury.lag.cold = Known(value=11)
        async with Reigning(treasury.controller()) as first:
            await first.until(lambda: treasury.said == [LOWERED], "the ceiling")
            treasury.lag.cold = NONE
            await treasury.looks(first)
            wall.move(REPEAT_S)
            await first.until(lambda: len(treasury.said) == 2, "a repeat that keeps the calm")
        # The account is not known to the next one: it would never order this by itself.
        treasury.purse.triage = AWAY
        async with Reigning(treasury.controller()) as second:
            await treasury.looks(second)
            wall.move(REPEAT_S)
            await second.until(lambda: len(treasury.said) == 3, "the second's order")
            treasury.purse.triage = account(10 * CASE)
            await treasury.looks(second)
            wall.move(CALM_FOR_S)
            await second.until(lambda: FREE in treasury.said, "the end of it")

    drive(play())
    assert [order.term for order in treasury.realm.orders] == [1, 1, 2, 2]
    assert treasury.said == [LOWERED] * 3 + [FREE]


def test_calm_is_handed_on_with_the_reign(treasury: Treasury) -> None:
    async def play() -> None:
        wall = treasury.realm.wall
        treasury.lag.cold = Known(value=11)
        async with Reigning(treasury.controller()) as first:
            await first.until(lambda: treasury.said == [LOWERED], "the ceiling")
            treasury.lag.cold = NONE
            await treasury.looks(first)
            for repeats in range(2, 7):
                wall.move(REPEAT_S)
                await first.until(lambda n=repeats: len(treasury.said) == n, "a repeat")  # type: ignore[misc]
        async with Reigning(treasury.controller()) as second:
            await treasury.looks(second)
            wall.move(CALM_FOR_S - 5 * REPEAT_S)
            await second.until(lambda: FREE in treasury.said, "the end of it")

    drive(play())
    assert treasury.realm.orders[-1].term == 2


def test_while_the_lag_or_the_store_is_away_what_is_ordered_stays_and_it_says_so(treasury: Treasury) -> None:
    async def play() -> None:
        controller = treasury.controller()
        levels = _levels(controller)
        treasury.lag.cold = Known(value=11)
        async with Reigning(controller) as reigning:
            await reigning.until(lambda: treasury.said == [LOWERED], "the ceiling")
            assert levels[names.ORDERED_CEILING.name, "cold", "triage"] == 1
            assert levels[names.BACKLOG_PRICE.name, "triage"] == 11 * CASE
            for cold, purse, said in (
                (Unknown(cause="away"), account(10 * CASE), ""),
                (NONE, AWAY, AWAY.cause),
            ):
                treasury.lag.cold, treasury.purse.triage = cold, purse
                await treasury.looks(reigning)
                treasury.realm.wall.move(3 * CALM_FOR_S)
                await treasury.looks(reigning)
                assert said in controller.health.trouble
            assert isnan(levels[names.BUDGET_LEFT.name, "triage"])
            assert levels[names.ORDERED_CEILING.name, "cold", "triage"] == 1
        assert FREE not in treasury.said

    drive(play())


def test_without_a_store_nothing_is_ordered_and_it_says_so(treasury: Treasury) -> None:
    async def play() -> None:
        assert TRIAGE is not None
        controller = treasury.controller(money=Money(accounts=NoAccounts(("triage",)), cards=(TRIAGE,)))
        treasury.lag.cold = Known(value=10**6)
        async with Reigning(controller) as reigning:
            await treasury.looks(reigning)
            assert "no store of budgets" in controller.health.trouble
        assert treasury.said == []

    drive(play())


def test_where_nobody_pays_any_more_the_ceiling_is_lifted(treasury: Treasury) -> None:
    async def play() -> None:
        treasury.lag.cold = Known(value=11)
        async with Reigning(treasury.controller()) as first:
            await first.until(lambda: treasury.said == [LOWERED], "the ceiling")
        async with Reigning(treasury.controller(money=None)) as second:
            await second.until(lambda: treasury.said == [LOWERED, FREE], "the end of it")

    drive(play())
    assert "pays for no calls now" in treasury.realm.orders[-1].reason


def test_the_endpoints_calls_are_dealt_and_a_limited_lane_says_that_it_is_throttled(
    treasury: Treasury,
) -> None:
    async def play() -> None:
        assert TRIAGE is not None
        assert DRAFTING is not None
        money = Money(accounts=treasury.purse, cards=(TRIAGE, DRAFTING), calls_per_minute=40)
        controller = treasury.controller(money=money)
        levels = _levels(controller)
        treasury.lag.cold = Known(value=5)
        async with Reigning(controller) as reigning:
            await reigning.until(lambda: len(treasury.said) == 6, "an order for each lane of both")
            await treasury.looks(reigning)
            shown = {name: levels[names.ORDERED_CALLS.name, name] for name in ("triage", "drafting")}
            assert shown == {"triage": 39, "drafting": 1}, "only triage has a case that waits"
            assert levels[names.THROTTLED.name, "hot", "triage"] == 1
            treasury.lag.cold = Known(value=11)
            await reigning.until(lambda: LOWERED in treasury.said, "the ceiling beside the calls")

    drive(play())
    book = OrderBook()
    for order in treasury.realm.orders:
        book.take(order, treasury.realm.wall.at)
    (cold,) = (one for one in book.in_force("cold", treasury.realm.wall.at) if one.workflow == "triage")
    assert (cold.tier_ceiling, cold.calls_per_minute) == ("small", 39)
    (hot,) = (one for one in book.in_force("hot", treasury.realm.wall.at) if one.workflow == "triage")
    assert (hot.tier_ceiling, hot.calls_per_minute) == (ANY_TIER, 39)


def test_a_lane_that_yields_and_has_a_ceiling_has_both_orders(treasury: Treasury) -> None:
    async def play() -> None:
        controller = treasury.controller()
        treasury.lag.cold, treasury.lag.hot = Known(value=11), Known(value=60)
        async with Reigning(controller) as reigning:
            await reigning.until(lambda: len(treasury.said) == 2, "both orders")
            await treasury.looks(reigning)
            assert _levels(controller)[names.THROTTLED.name, "cold", "drafting"] == 1

    drive(play())
    book, at = OrderBook(), treasury.realm.wall.at
    for order in treasury.realm.orders:
        book.take(order, at)
    found = {one.workflow: (one.share_percent, one.tier_ceiling) for one in book.in_force("cold", at)}
    assert found == {"": (SHARES[0][1], ANY_TIER), "triage": (100, "small")}
    assert book.in_force("cold", at + timedelta(seconds=HOLD_S)) == ()


def test_what_an_operator_slows_says_so_apart_from_load(treasury: Treasury) -> None:
    """Whoever adds replicas where lag grows must not do so where somebody ordered it: this controller or a person."""
    book, triage = OrderBook(), ("cold", "triage")

    async def play() -> None:
        controller = treasury.controller(money=None, orders=book)
        levels, wall = _levels(controller), treasury.realm.wall

        def told() -> tuple[float, float]:
            return (
                levels.get((names.ORDERED_SHARE.name, "cold"), nan),
                levels.get((names.THROTTLED.name, *triage), nan),
            )

        async with Reigning(controller) as reigning:
            await reigning.until(lambda: told() == (100, 0), "a look before")
            book.take(by_operator(share_percent=25), wall.at)
            await reigning.until(lambda: told() == (25, 1), "the lane's share")
            assert levels[names.THROTTLED.name, "warm", "triage"] == 0
            book.take(by_operator(workflow="triage", share_percent=0), wall.at)
            book.take(by_operator(), wall.at)
            await reigning.until(lambda: told() == (100, 1), "the pause of the workflow alone")
            wall.move(HOLD_S)
            await reigning.until(lambda: told() == (100, 0), "the end of all")
            assert treasury.said == [], "it follows none of them"

    drive(play())


def by_operator(*, workflow: str = "", share_percent: int = 100) -> ThrottleOrdered:
    return ThrottleOrdered(
        workflow=workflow, lane="cold", term=0, expires_at=Wall().at + timedelta(seconds=HOLD_S), tier_ceiling=ANY_TIER,
        calls_per_minute=ANY_CALLS, yields=share_percent < 100, share_percent=share_percent, reason="test", by="ops",
    )  # fmt: skip


def test_an_alarm_is_shown_and_told_once_when_it_rises(
    treasury: Treasury, caplog: pytest.LogCaptureFixture
) -> None:
    async def play() -> None:
        controller = treasury.controller()
        levels = _levels(controller)
        async with Reigning(controller) as reigning:
            # Of a month as the card has it: 100 is reached where less is left than one of its cases may cost, 50,000.
            million = 10**6
            for recorded, level in ((0, 0), (500, 50), (790, 50), (800, 80)):
                treasury.purse.triage = account(10, month_cap=1_000 * million, recorded=recorded * million)
                await treasury.looks(reigning)
                assert levels[names.BUDGET_ALARM.name, "triage"] == level
            treasury.purse.triage = AWAY
            await treasury.looks(reigning)
            assert levels[names.BUDGET_ALARM.name, "triage"] == 80, "unknown is not below all levels"
            there = account(10, month_cap=1_000 * million, recorded=800 * million)
            treasury.purse.triage = account(10, month_cap=1_000 * million, recorded=1_000 * million - 49_999)
            await treasury.looks(reigning)
            assert levels[names.BUDGET_ALARM.name, "triage"] == 100
            treasury.purse.triage = there
            await treasury.looks(reigning)
            treasury.purse.triage = replace(
                there, windows=(*there.windows[:-1], replace(there.windows[-1], closed=True))
            )
            await treasury.looks(reigning)
            assert levels[names.BUDGET_ALARM.name, "triage"] == 100

    with caplog.at_level(logging.WARNING):
        drive(play())
    told = [one.getMessage() for one in caplog.records if "budget" in one.getMessage()]
    assert told == [
        "triage has spent 50 % of its month's budget: safety-triage",
        "triage has spent 80 % of its month's budget: safety-triage",
        "triage has less of its month's budget left than one case may cost: safety-triage",
        "triage may spend nothing: an overrun closed its month's budget: safety-triage",
    ]


def _levels(controller: Controller) -> dict[tuple[Any, ...], float]:
    telemetry: Levels = controller.telemetry  # type: ignore[assignment]
    return telemetry.levels
