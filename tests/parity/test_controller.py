"""The controller leads alone, orders cold to give way while hot is late, and hands its reign on: in memory and on Kafka."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import isnan
from typing import Any

import confluent_kafka as ck
import pytest

from parking import Wall
from vigimesh import names
from vigimesh.adapters.kafka.consumer import KafkaConsumer
from vigimesh.adapters.memory.broker import MemoryBroker, MemoryConsumer
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.background.controller.reign import HOLD_S, NO_MONEY, REPEAT_S, Reign, succeeded
from vigimesh.background.controller.run import THROTTLE, TOTALS, Controller, run
from vigimesh.clock import SystemClock
from vigimesh.domain.control.lag import PLACES, LagRow
from vigimesh.domain.control.measure import NONE, Known, Measure, Unknown
from vigimesh.domain.control.yields import CALM_FOR_S, NEXT_AFTER_S, SHARES, Yield
from vigimesh.errors import Fenced, Transient
from vigimesh.events.classes import FlowTotalled, ThrottleOrdered
from vigimesh.events.codec import Codec
from vigimesh.events.topics import TOPICS
from vigimesh.loop.broker import InDoubt, Part, Write
from vigimesh.loop.health import Health
from waiting import WAIT_S, until_async
from worlds import (
    WORLDS,
    Fault,
    FaultyProducer,
    KafkaWorld,
    MemoryWorld,
    Silent,
    World,
    drive,
    once,
    world_of,
)

AWAY = Unknown(cause="the broker does not answer")
LATE, CALM = Known(value=60), Known(value=0)


@dataclass
class Told:
    """A lag that a test sets. `looks` counts how often it was asked for."""

    hot: Measure = CALM
    looks: int = 0
    kept: tuple[FlowTotalled, ...] = ()

    def look(self, flow_within_s: float) -> tuple[LagRow, ...]:
        self.looks += 1
        return tuple(
            LagRow(stage=stage, lane=lane, workflow="", records=NONE,
                   seconds=self.hot if (stage, lane) == ("planner", "hot") else NONE)
            for stage, lane in PLACES
        )  # fmt: skip

    def totals(self) -> tuple[FlowTotalled, ...]:
        return self.kept

    def close(self) -> None: ...


class Levels(Silent):
    """Telemetry that keeps the newest value of each gauge."""

    def __init__(self) -> None:
        super().__init__()
        self.levels: dict[tuple[Any, ...], float] = {}

    def level(self, metric: Any, value: float, labels: Any) -> None:
        self.levels[metric.name, *labels.values()] = value


@dataclass
class Realm:
    """One test's throttle group. The topic is shared, so that orders are those written since the test began."""

    world: World
    wall: Wall = field(default_factory=Wall)
    lag: Told = field(default_factory=Told)

    def __post_init__(self) -> None:
        if isinstance(self.world, MemoryWorld):
            # One partition, as on a cluster.
            self.world.broker = MemoryBroker([t.name for t in TOPICS], SystemClock(), partitions=1)
            self.world.broker.init_group(self.group, (THROTTLE,))
            return
        assert isinstance(self.world, KafkaWorld)
        asking = ck.Consumer({**self.world.base, "group.id": self.group, "enable.auto.commit": False})
        end = self.world.starts[THROTTLE, 0]
        asking.commit(offsets=[ck.TopicPartition(THROTTLE, 0, end)], asynchronous=False)
        asking.close()

    @property
    def group(self) -> str:
        return f"{self.world.group}.controller"

    def controller(self, *, fault: Fault = lambda step: None, **parts: Any) -> Controller:
        consumer: Any
        if isinstance(self.world, MemoryWorld):
            consumer = MemoryConsumer(self.world.broker, self.group, (THROTTLE,))
        else:
            assert isinstance(self.world, KafkaWorld)
            consumer = KafkaConsumer(self.world.base, self.group, (THROTTLE,), copartitioned=False)
        chosen: dict[str, Any] = {
            "consumer": consumer, "producer": FaultyProducer(self.world.producer(self.group), fault), "lag": self.lag,
            "objectives": {"triage": 10.0}, "codec": self.world.codec, "telemetry": Levels(),
            "health": Health(SystemClock()), "clock": self.wall, "turn_s": 0.02,
        }  # fmt: skip
        return Controller(**(chosen | parts))

    @property
    def orders(self) -> list[ThrottleOrdered]:
        return [self.world.codec.decode(THROTTLE, r.value) for r in self.world.records(THROTTLE)]

    @property
    def shares(self) -> list[tuple[str, int]]:
        return [(order.lane, order.share_percent) for order in self.orders]


@pytest.fixture(params=WORLDS)
def realm(request: pytest.FixtureRequest) -> Iterator[Realm]:
    for world in world_of(request):
        yield Realm(world)


class Reigning:
    """Controllers that run while the block runs; what one of them raises comes out at its end."""

    def __init__(self, *controllers: Controller) -> None:
        self._stops = [threading.Event() for _ in controllers]
        self._controllers = controllers
        self.tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Reigning:
        pairs = zip(self._controllers, self._stops, strict=True)
        self.tasks = [asyncio.ensure_future(run(one, stop)) for one, stop in pairs]
        return self

    async def stop(self, index: int) -> None:
        self._stops[index].set()
        await self.tasks[index]

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        await until_async(lambda: condition() or any(t.done() and t.exception() for t in self.tasks),
                          within_s=WAIT_S, what=what)  # fmt: skip

    async def __aexit__(self, kind: object, *_: object) -> None:
        for stop in self._stops:
            stop.set()
        ended = await asyncio.gather(*self.tasks, return_exceptions=True)
        for one in ended:
            if isinstance(one, BaseException) and kind is None:
                raise one


def test_cold_and_then_warm_are_ordered_to_yield_while_hot_is_late_and_let_go_when_it_is_calm(
    realm: Realm,
) -> None:
    async def play() -> None:
        realm.lag.hot = LATE
        async with Reigning(realm.controller()) as reigning:
            await reigning.until(lambda: realm.shares == [SHARES[0]], "cold's order")
            realm.wall.move(NEXT_AFTER_S)
            await reigning.until(lambda: realm.shares[1:] == list(SHARES), "warm's order")
            realm.lag.hot = CALM
            looks = realm.lag.looks
            await reigning.until(lambda: realm.lag.looks > looks + 2, "a calm look")
            realm.wall.move(CALM_FOR_S)
            await reigning.until(lambda: ("warm", 100) in realm.shares, "warm let go")
            realm.wall.move(CALM_FOR_S)
            await reigning.until(lambda: ("cold", 100) in realm.shares, "cold let go")
            looks = realm.lag.looks
            realm.wall.move(REPEAT_S)
            await reigning.until(lambda: realm.lag.looks > looks + 2, "further looks")
            assert realm.shares[-1] == ("cold", 100), "nothing is in force, nothing is repeated"

    drive(play())
    first = realm.orders[0]
    assert (first.workflow, first.yields, first.term) == ("", True, 1)
    assert first.expires_at == Wall().at + timedelta(seconds=HOLD_S)
    assert "hot waits 60.0 s" in first.reason
    assert {order.term for order in realm.orders} == {1}


def test_orders_in_force_are_repeated_and_held_while_the_lag_is_unknown(realm: Realm) -> None:
    async def play() -> None:
        realm.lag.hot = LATE
        controller = realm.controller()
        telemetry: Levels = controller.telemetry  # type: ignore[assignment]
        async with Reigning(controller) as reigning:
            await reigning.until(lambda: len(realm.shares) == 1, "cold's order")
            realm.lag.hot = AWAY
            for repeats in range(2, 5):
                realm.wall.move(REPEAT_S)
                await reigning.until(lambda n=repeats: len(realm.shares) == n, "a repeat")  # type: ignore[misc]
            assert set(realm.shares) == {SHARES[0]}
            assert telemetry.levels[names.LAG_UNKNOWN.name, "planner", "hot", "all"] == 1
            assert isnan(telemetry.levels[names.LAG_SECONDS.name, "planner", "hot", "all"])
            assert telemetry.levels[names.ORDERED_SHARE.name, "cold"] == SHARES[0][1]
            assert "does not answer" in controller.health.trouble

    drive(play())
    ends = [order.expires_at for order in realm.orders]
    assert ends == sorted(ends)
    assert len(set(ends)) == 4, "a repeat holds longer"


def test_one_leads_and_the_next_goes_on_with_what_is_in_force_in_a_higher_term(realm: Realm) -> None:
    async def play() -> None:
        realm.lag.hot = LATE
        async with Reigning(realm.controller()) as first:
            await first.until(lambda: len(realm.shares) == 1, "cold's order")
            two = realm.controller()  # only now: one that is there is a member, and might be given the seat
            told: Levels = two.telemetry  # type: ignore[assignment]
            async with Reigning(two) as second:
                await second.until(lambda: (names.LEADING.name,) in told.levels, "a look of the second")
                assert told.levels[names.LEADING.name,] == 0
                await second.until(lambda: two.health.ready, "ready, though it does not lead")
                assert two.health.standby
                await first.stop(0)
                realm.wall.move(REPEAT_S)
                await second.until(lambda: len(realm.shares) == 2, "the second's order")
                assert told.levels[names.LEADING.name,] == 1
                assert not two.health.standby

    drive(play())
    assert [order.term for order in realm.orders] == [1, 2]
    assert set(realm.shares) == {SHARES[0]}


def test_a_stale_leader_is_fenced(realm: Realm) -> None:
    async def play() -> None:
        realm.lag.hot = LATE
        async with Reigning(realm.controller()) as reigning:
            await reigning.until(lambda: len(realm.shares) == 1, "cold's order")
            newer = realm.world.producer(realm.group)
            await newer.renew()
            realm.wall.move(REPEAT_S)
            await reigning.until(lambda: False, "its end")

    with pytest.raises(Fenced):
        drive(play())
    assert len(realm.shares) == 1, "what it wrote after is not committed"


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("begin", Transient("VM-1301", what="away")),
        ("write", Transient("VM-1301", what="away")),
        ("offsets.before", Transient("VM-1301", what="away")),
        ("commit.before", Transient("VM-1301", what="away")),
        ("commit.before", InDoubt("VM-1302", what="in doubt")),
        ("commit.after", InDoubt("VM-1302", what="in doubt")),
        ("renew", Transient("VM-1301", what="away")),
    ],
)
def test_a_failed_transaction_is_made_again(realm: Realm, step: str, error: Exception) -> None:
    async def play() -> None:
        realm.lag.hot = LATE
        async with Reigning(realm.controller(fault=once(step, error))) as reigning:
            await reigning.until(lambda: bool(realm.shares), "cold's order")
            before = len(realm.shares)
            realm.wall.move(REPEAT_S)
            await reigning.until(lambda: len(realm.shares) > before, "a repeat")

    drive(play())
    assert set(realm.shares) == {SHARES[0]}


def test_a_person_who_orders_under_a_higher_term_is_followed(realm: Realm) -> None:
    async def play() -> None:
        order = ThrottleOrdered(
            workflow="triage", lane="cold", term=40, expires_at=realm.wall.at, tier_ceiling="person",
            calls_per_minute=0, yields=True, share_percent=0, reason="by hand",
        )  # fmt: skip
        realm.world.append(
            Write(topic=THROTTLE, key=b"cold/triage", value=realm.world.codec.encode(THROTTLE, order))
        )
        realm.lag.hot = LATE
        async with Reigning(realm.controller()) as reigning:
            await reigning.until(lambda: len(realm.shares) == 2, "cold's order")

    drive(play())
    assert [order.term for order in realm.orders] == [40, 40]


def test_what_is_no_order_and_a_term_from_the_future_change_nothing(realm: Realm) -> None:
    def terms() -> set[int]:
        """Return the terms of what a controller wrote; what the test wrote has no headers."""
        mine = [record for record in realm.world.records(THROTTLE) if record.headers]
        return {realm.world.codec.decode(THROTTLE, record.value).term for record in mine}

    async def play() -> None:
        order = ThrottleOrdered(
            workflow="triage", lane="cold", term=2**63 - 1, expires_at=realm.wall.at, tier_ceiling="person",
            calls_per_minute=0, yields=True, share_percent=0, reason="nobody's",
        )  # fmt: skip
        for value in (b"no order", b"", realm.world.codec.encode(THROTTLE, order)):
            realm.world.append(Write(topic=THROTTLE, key=b"cold/triage", value=value))
        realm.lag.hot = LATE
        for term in (1, 2):
            async with Reigning(realm.controller()) as reigning:
                await reigning.until(lambda term=term: term in terms(), "an order of each leader")  # type: ignore[misc]
            # Only now: a turn of this leader that is under way would repeat its order at the new time, and the next leader,
            # for whom nothing is due then, would write none.
            realm.wall.move(60)

    drive(play())
    assert terms() == {1, 2}


def test_totals_of_the_flow_are_kept_with_the_orders(realm: Realm) -> None:
    async def play() -> None:
        total = FlowTotalled(workflow=realm.world.tag, totals={"planner.hot.consumed": 3}, offsets={"0": 7})
        realm.lag.kept = (total,)
        async with Reigning(realm.controller()) as reigning:
            await reigning.until(lambda: bool(realm.world.mine(TOTALS)), "the totals")
        (kept,) = realm.world.mine(TOTALS)
        assert realm.world.codec.decode(TOTALS, kept.value) == total
        assert kept.key == realm.world.tag.encode()

    drive(play())
    assert realm.shares == []


NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
COLD = Yield(lane="cold", share_percent=25, since=NOW, calm_since=NOW, reason="hot waits 11 s \u2265 10 s")


def test_a_reign_is_read_back_in_the_next_term() -> None:
    kept = Reign(term=7, yields=(COLD,), ordered_at=NOW).metadata()
    assert kept.isascii()
    found = succeeded(kept, NOW + timedelta(seconds=HOLD_S - 1))
    assert found.term == 8
    assert [(one.lane, one.share_percent, one.since, one.calm_since) for one in found.yields] == [
        ("cold", 25, NOW, NOW)
    ]
    assert succeeded(kept, NOW + timedelta(seconds=HOLD_S)) == Reign(term=8), (
        "what has expired is not taken up again"
    )


@pytest.mark.parametrize(
    "metadata", ["", "vm1r00000000", "vc2:[1,null,[]]", "vc1:", "vc1:[1,2]", "vc1:{}", 'vc1:["a"']
)
def test_metadata_that_cannot_be_read_is_no_reign(metadata: str) -> None:
    assert succeeded(metadata, NOW) == Reign(term=1)


@pytest.mark.parametrize("lane", ["hot", "tepid"])
def test_no_reign_lets_hot_yield_whatever_its_metadata_says(lane: str) -> None:
    kept = Reign(term=7, yields=(Yield(lane=lane, share_percent=25, since=NOW, reason=""),), ordered_at=NOW)
    assert succeeded(kept.metadata(), NOW).yields == ()


def test_the_topics_and_the_codec_take_what_the_controller_writes() -> None:
    order = Reign(term=1).orders((COLD,), NO_MONEY, NOW)[0]
    codec = Codec(MemorySchemas())
    assert codec.decode(THROTTLE, codec.encode(THROTTLE, order)) == order
    assert Part(THROTTLE, 0).topic in {t.name for t in TOPICS if t.partitions == "one"}
