"""A raised budget calls back what waits for money, on the broker in memory and on Kafka."""

from __future__ import annotations

import pytest

from parking import Parking, drive, serve
from vigimesh.adapters.kafka.orders import OrderBook
from vigimesh.domain.budget.waiting import WAITS
from vigimesh.events.classes import AuditRecorded, ThrottleOrdered
from vigimesh.events.topics import topic
from worlds import WORLDS, World, world_of

world = pytest.fixture(params=WORLDS)(world_of)


@pytest.fixture
def parking(world: World) -> Parking:
    return Parking(world)


def test_what_waits_for_money_comes_back_when_its_budget_is_raised(parking: Parking) -> None:
    money = f"{WAITS['denied']}: the budget has no room"
    parking.park(
        parking.event(1, in_s=86_400, reason=money),
        parking.event(2, in_s=86_400),
        parking.event(3, in_s=86_400, reason=money, workflow="signal"),
    )
    book = OrderBook()
    raised = ThrottleOrdered(
        workflow="triage", lane="", term=0, expires_at=parking.wall.at, tier_ceiling="person", calls_per_minute=0,
        yields=False, reason="late", by="ann", money_raised=True,
    )  # fmt: skip
    book.take(raised, parking.wall.at)
    drive(serve(parking.resumer(pauses=book), until=lambda: bool(parking.resumed())))
    assert parking.resumed() == [parking.body(1)]
    (record,) = parking.world.mine(topic("audit"))
    audit: AuditRecorded = parking.world.codec.decode(topic("audit"), record.value)
    assert audit.why.startswith("called back, since its budget was raised, before ")
