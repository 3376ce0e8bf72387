"""What planner and supervisor are told of the present: tiers under the ceiling in force, and an operator's hold."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from clocks import Hand
from vigimesh.adapters.kafka.orders import OPERATOR_S, ORDER_S, OrderBook
from vigimesh.app.workers.limits import LimitsNow
from vigimesh.domain.policy.limits import Limits, limits_of
from vigimesh.events.classes import ThrottleOrdered
from vigimesh.loop.orders import ANY_CALLS, Order, calls_per_minute
from vigimesh.loop.outcome import Need

NOW = Hand().now()
ALL = ("tools", "small", "large", "person")


def ordered(
    lane: str, workflow: str = "", *, tier: str = "person", calls: int = ANY_CALLS, share: int = 100, hold: bool = False,
    by: str = "", term: int = 1, for_s: float = 30,
) -> ThrottleOrdered:  # fmt: skip
    return ThrottleOrdered(
        workflow=workflow, lane=lane, term=term, expires_at=NOW + timedelta(seconds=for_s), tier_ceiling=tier,
        calls_per_minute=calls, yields=share < 100, share_percent=share, reason=f"{lane} {tier}", by=by,
        holds_acceptance=hold,
    )  # fmt: skip


@dataclass(frozen=True)
class Told:
    """Orders as a test states them."""

    book: OrderBook

    def in_force(self, lane: str, now: datetime) -> Sequence[Order]:
        return self.book.in_force(lane, now)


def book_of(*orders: ThrottleOrdered) -> OrderBook:
    book = OrderBook()
    for order in orders:
        book.take(order, NOW)
    return book


def limits(*orders: ThrottleOrdered, key: str = "cold/triage", hold: bool = False) -> Limits:
    now = LimitsNow(tiers=ALL, orders=Told(book_of(*orders)), clock=Hand(), hold=hold)
    (found,) = asyncio.run(now.fetch([Need(kind="limits", key=key)]))
    return limits_of(found)


def test_without_orders_all_that_is_configured_is_there() -> None:
    assert limits() == Limits(tiers=ALL)


@pytest.mark.parametrize(
    ("orders", "key", "tiers"),
    [
        ((ordered("cold", tier="tools"),), "cold/triage", ("tools", "person")),
        ((ordered("cold", tier="tools"),), "warm/triage", ALL),
        ((ordered("cold", "triage", tier="small"),), "cold/triage", ("tools", "small", "person")),
        ((ordered("cold", "triage", tier="small"),), "cold/signal", ALL),
        (
            (ordered("cold", "triage", tier="small"), ordered("cold", tier="tools")),
            "cold/triage",
            ("tools", "person"),
        ),
        ((ordered("hot", tier="small", by="ada"),), "hot/triage", ("tools", "small", "person")),
        ((ordered("cold", tier="best"),), "cold/triage", ALL),
    ],
)
def test_the_lowest_ceiling_of_lane_and_workflow_counts(
    orders: tuple[ThrottleOrdered, ...], key: str, tiers: tuple[str, ...]
) -> None:
    found = limits(*orders, key=key)
    assert found.tiers == tiers
    assert bool(found.ceiling) == (tiers != ALL)


def test_an_operator_and_the_controller_lift_only_their_own() -> None:
    both = (ordered("cold", tier="small", by="ada", term=0), ordered("cold", tier="tools", term=7))
    assert limits(*both).tiers == ("tools", "person")
    assert limits(*both, ordered("cold", term=7)).tiers == ("tools", "small", "person")
    assert limits(*both, ordered("cold", by="ada", term=0)).tiers == ("tools", "person")


@pytest.mark.parametrize("lane", ["hot", "warm", "cold"])
def test_acceptance_is_held_by_an_order_or_a_setting(lane: str) -> None:
    key = f"{lane}/triage"
    assert limits(key=key).held == ""
    assert limits(ordered(lane, hold=True, by="ada"), key=key).held
    assert limits(ordered(lane, "signal", hold=True, by="ada"), key=key).held == ""
    assert limits(key=key, hold=True).held


def test_an_order_never_makes_the_hot_lane_wait() -> None:
    book = book_of(
        ordered("hot", share=0, tier="tools", workflow="triage", by="ada"), ordered("hot", share=1)
    )
    assert [order.share_percent for order in book.in_force("hot", NOW)] == [100]


def test_an_operators_order_outlives_the_controllers() -> None:
    long = 10**7
    book = book_of(
        ordered("cold", tier="tools", for_s=long), ordered("cold", tier="small", for_s=long, by="ada")
    )
    for after_s, tiers in ((ORDER_S - 1, ["tools", "small"]), (ORDER_S, ["small"]), (OPERATOR_S, [])):
        there = book.in_force("cold", NOW + timedelta(seconds=after_s))
        assert [order.tier_ceiling for order in there] == tiers


def test_the_fewest_calls_count() -> None:
    book = book_of(
        ordered("cold", calls=30), ordered("cold", "triage", calls=7), ordered("cold", "signal", calls=-1)
    )
    there = book.in_force("cold", NOW)
    assert {name: calls_per_minute(there, name) for name in ("triage", "signal", "drafting")} == {
        "triage": 7, "signal": 0, "drafting": 30,
    }  # fmt: skip
    assert calls_per_minute((), "triage") == ANY_CALLS
