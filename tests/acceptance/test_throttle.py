"""An order on the real `throttle` topic holds one workflow of a lane, and nothing else."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import confluent_kafka as ck
import pytest

from parking import Parking, Wall
from vigimesh.adapters.kafka.consumer import KafkaConsumer
from vigimesh.adapters.kafka.orders import OrderReader
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.app.devstack import Stack
from vigimesh.app.in_force.cards import load_cards
from vigimesh.app.workers.limits import LimitsNow
from vigimesh.background.resumer.run import run as resume
from vigimesh.clock import SystemClock
from vigimesh.events import ids
from vigimesh.events.classes import CaseRouted, Route, ThrottleOrdered
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope, from_headers, to_headers
from vigimesh.events.topics import lane_topic, topic
from vigimesh.loop.broker import Write
from vigimesh.loop.health import Health
from vigimesh.loop.run import run
from vigimesh.loop.worker import Worker
from vigimesh.planner import worker as planner
from waiting import WAIT_S, until, until_async
from worlds import KafkaWorld, Silent

PLAN, RETRIEVE, PARKED, THROTTLE = (
    lane_topic("plan", "cold"), lane_topic("retrieve", "cold"), topic("parked"), topic("throttle")
)  # fmt: skip
HELD, FREE = "literature_scan", "drafting"
#: Cases of each workflow.
CASES = 20
#: Seconds that an order holds, by a clock that stands still until the test moves it.
HOLD_S = 12.0


@dataclass(frozen=True, slots=True)
class Lane:
    """A planner of the cold lane with a group of its own on the shared topics, and the real orders."""

    world: KafkaWorld
    orders: OrderReader
    wall: Wall

    def worker(self) -> Worker:
        world, group = self.world, f"{self.world.group}.planner"
        asking = ck.Consumer({**world.base, "group.id": group, "enable.auto.commit": False})
        begin = [ck.TopicPartition(n, p, o) for (n, p), o in world.starts.items() if n == PLAN]
        asking.commit(offsets=begin, asynchronous=False)
        asking.close()
        limits = LimitsNow(tiers=("tools", "person"), orders=self.orders, clock=self.wall)
        return Worker(
            stage=planner.stage(load_cards(None), {"limits": limits.fetch}, "cold"), group=group, topics=(PLAN,), instance="0",
            consumer=KafkaConsumer(world.base, group, (PLAN,), copartitioned=False),
            producers=(world.producer(f"{group}.a"), world.producer(f"{group}.b")), codec=world.codec, spill=ids.digest,
            telemetry=Silent(), health=Health(SystemClock()), clock=self.wall, orders=self.orders,
        )  # fmt: skip

    def order(self, lane: str, workflow: str, share: int) -> datetime:
        """Write an order as the controller does; return when it ends."""
        now = self.wall.now()
        ordered = ThrottleOrdered(
            workflow=workflow, lane=lane, term=10**9, expires_at=now + timedelta(seconds=HOLD_S), tier_ceiling="person",
            calls_per_minute=0, yields=True, share_percent=share, reason="the test says so",
        )  # fmt: skip
        value = self.world.codec.encode(THROTTLE, ordered)
        self.world.append(Write(topic=THROTTLE, key=f"{lane}/{workflow}".encode(), value=value))
        return ordered.expires_at

    def send(self, number: int, workflow: str) -> None:
        """Put a case into the lane. All lie in one partition, as if all cases had one key's hash."""
        case = self.world.case(number)
        route = Route(workflow=workflow, lane="cold", rule="r", reason="r", card_digest="", version=("", ""),
                      received_at=datetime.now(UTC))  # fmt: skip
        head = Envelope(id=case.message_id, source="/test", type="vigimesh.CaseRouted", time=datetime.now(UTC),
                        subject=case.case_id, messageid=case.message_id, workflow=workflow, lane="cold")  # fmt: skip
        value = self.world.codec.encode(PLAN, CaseRouted(case=case, route=route))
        self.world.append(
            Write(topic=PLAN, key=case.case_id.encode(), value=value, headers=to_headers(head)), partition=0
        )

    def count(self, name: str) -> Counter[str]:
        """Return how many of this test's records lie on a topic, by workflow; tombstones are none."""
        return Counter(from_headers(r.headers, "").workflow for r in self.world.mine(name) if r.value)


@pytest.fixture
def lane(applied_stack: Stack) -> Iterator[Lane]:
    codec = Codec(MemorySchemas())
    world = KafkaWorld(codec, bootstrap=applied_stack.urls.kafka)
    # Of the machine's time, by which the broker dates what is written.
    wall = Wall(datetime.now(UTC))
    orders = OrderReader(world.base, codec, wall).start()
    yield Lane(world, orders, wall)
    orders.close()
    world.close()


@pytest.mark.real
def test_a_throttled_workflow_does_not_stall_another_in_its_lane(lane: Lane) -> None:
    async def play() -> None:
        await asyncio.to_thread(lane.order, "cold", HELD, 0)
        await until_async(
            lambda: lane.orders.in_force("cold", lane.wall.now()), within_s=WAIT_S, what="the order"
        )
        for number in range(CASES):  # the held one stands before the other each time
            lane.send(2 * number, HELD)
            lane.send(2 * number + 1, FREE)
        stop = threading.Event()
        work = [asyncio.ensure_future(run(lane.worker(), stop))]
        try:
            await reach(lane, RETRIEVE, {FREE: CASES})
            await reach(lane, PARKED, {HELD: CASES})
            resumer = Parking(lane.world).resumer(clock=lane.wall)
            work.append(asyncio.ensure_future(resume(resumer, stop)))
            await until_async(
                lambda: resumer.health.ready, within_s=WAIT_S, what="a resumer that has read what is parked"
            )
            assert HELD not in lane.count(RETRIEVE), (
                "the others went on while the order held, and none of its own"
            )
            lane.wall.move(HOLD_S)
            await reach(lane, RETRIEVE, {FREE: CASES, HELD: CASES})
        finally:
            stop.set()
            await asyncio.gather(*work)
        assert lane.count(RETRIEVE) == {FREE: CASES, HELD: CASES}, "each once"

    asyncio.run(play())


@pytest.mark.real
def test_a_worker_learns_of_an_order_that_was_given_before_it_started(lane: Lane) -> None:
    ends = lane.order("warm", "", 50)
    late = OrderReader(lane.world.base, lane.world.codec, lane.wall).start()

    async def play() -> None:
        await until_async(lambda: late.in_force("warm", lane.wall.now()), within_s=WAIT_S, what="the order")

    asyncio.run(play())
    (order,) = late.in_force("warm", lane.wall.now())
    assert (order.workflow, order.share_percent, order.reason) == ("", 50, "the test says so")
    assert abs(order.expires_at - ends) < timedelta(milliseconds=1)
    assert late.in_force("warm", ends) == (), "it ends by itself, whatever becomes of the broker"
    late.close()


@pytest.mark.real
def test_what_is_no_order_is_passed_over_and_told(lane: Lane, caplog: pytest.LogCaptureFixture) -> None:
    for value in (b"no order", b"", b"\x00\x00\x00\x00\x00"):
        lane.world.append(Write(topic=THROTTLE, key=b"warm/x", value=value))
    lane.order("warm", FREE, 50)

    def taken() -> set[str]:
        return {order.workflow for order in lane.orders.in_force("warm", lane.wall.now())}

    until(lambda: FREE in taken(), within_s=WAIT_S, what="the order behind")
    assert taken() <= {FREE, ""}
    assert caplog.text.count("an order that cannot be read") == 3


@pytest.mark.real
def test_orders_for_the_hot_lane_hold_nobody(lane: Lane) -> None:
    lane.order("hot", "", 25)
    lane.order("hot", HELD, 0)
    lane.order("warm", HELD, 0)

    async def play() -> None:
        await until_async(lambda: any(o.workflow == HELD for o in lane.orders.in_force("warm", lane.wall.now())),
                          within_s=WAIT_S, what="the order after them")  # fmt: skip

    asyncio.run(play())
    assert {one.share_percent for one in lane.orders.in_force("hot", lane.wall.now())} == {100}


async def reach(lane: Lane, name: str, expected: dict[str, int]) -> None:
    """Wait until a topic holds at least these records of this test."""
    found: Counter[str] = Counter()

    def there() -> bool:
        found.clear()
        found.update(lane.count(name))
        return all(found[workflow] >= count for workflow, count in expected.items())

    deadline = asyncio.get_running_loop().time() + WAIT_S
    while not await asyncio.to_thread(there):
        assert asyncio.get_running_loop().time() < deadline, f"{name} holds {dict(found)}, not yet {expected}"
