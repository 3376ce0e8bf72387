"""Lag on a real broker: markers of transactions are no lag, and what is not known is not 0."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import confluent_kafka as ck
import pytest
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner, Result

from mesh_fixture import DemoRun
from meshes import Mesh, vigimesh
from parking import Wall
from stack_fixture import new_stack
from vigimesh.adapters.kafka.client import common
from vigimesh.adapters.kafka.cluster import topics
from vigimesh.adapters.kafka.cluster.lag import LagReader
from vigimesh.adapters.kafka.cluster.positions import HIDDEN
from vigimesh.adapters.kafka.consumer import KafkaConsumer
from vigimesh.adapters.kafka.history import scan
from vigimesh.adapters.kafka.orders import OrderReader
from vigimesh.adapters.kafka.producer import KafkaProducer
from vigimesh.adapters.kafka.registry import RegistrySchemas
from vigimesh.app.cli import app
from vigimesh.app.devstack import Stack
from vigimesh.app.workers.controller import CONTROLLER_ID
from vigimesh.background.controller.run import THROTTLE, Controller, run
from vigimesh.clock import Deadline, SystemClock
from vigimesh.domain.control.lag import PLACES, LagRow
from vigimesh.domain.control.measure import NONE, Known, Unknown
from vigimesh.domain.control.yields import SHARES
from vigimesh.events.classes import FlowCounted
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope, to_headers
from vigimesh.events.topics import LANES, lane_topic, topic
from vigimesh.loop.health import Health
from waiting import until, until_async
from worlds import Silent

pytestmark = pytest.mark.real

#: Seconds for a look on a machine that does other things too.
LOOK_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A stack with topics and groups on which nobody works, and a reader of its lag."""

    stack: Stack
    codec: Codec
    reader: LagReader

    def rows(self) -> tuple[LagRow, ...]:
        return self.reader.look(LOOK_S)

    def row(self, stage: str, lane: str, workflow: str = "") -> LagRow:
        return next(
            one for one in self.rows() if (one.stage, one.lane, one.workflow) == (stage, lane, workflow)
        )

    def command(self) -> Result:
        urls = self.stack.urls
        settings = {"VIGIMESH_KAFKA_BOOTSTRAP": urls.kafka, "VIGIMESH_REGISTRY_URL": urls.registry}
        return CliRunner().invoke(app, ["lag", "--json"], env=settings)

    def transact(self, *records: tuple[str, int, str, bytes]) -> None:
        """Write (topic, partition, workflow, value) in one transaction, whose markers take an offset in each partition."""
        producer = ck.Producer({**common(self.stack.urls.kafka, {}), "transactional.id": "vigimesh.test"})
        producer.init_transactions(LOOK_S)
        producer.begin_transaction()
        for name, partition, workflow, value in records:
            at = datetime.now(UTC)
            head = Envelope(id="e", source="/test", type="test", time=at, subject="c", workflow=workflow)
            producer.produce(name, value, key=b"c", partition=partition, headers=dict(to_headers(head)))
        producer.commit_transaction(LOOK_S)

    def commit(self, group: str, name: str, partition: int, offset: int) -> None:
        """Put a group's position, as a worker does."""
        client = ck.Consumer(
            {**common(self.stack.urls.kafka, {}), "group.id": group, "enable.auto.commit": False}
        )
        client.commit(offsets=[ck.TopicPartition(name, partition, offset)], asynchronous=False)
        client.close()


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """A stack of its own, since one test stops its broker."""
    with new_stack() as stack:
        clock = SystemClock()
        topics.apply({"bootstrap.servers": stack.urls.kafka}, topics.Shape(), Deadline.after(clock, 30))
        schemas = RegistrySchemas({"url": stack.urls.registry})
        schemas.register_all()
        codec = Codec(schemas)
        reader = LagReader(common(stack.urls.kafka, {}), codec, ("triage", "signal"), clock)
        yield Bench(stack=stack, codec=codec, reader=reader)
        reader.close()


def test_lag_is_0_when_all_is_done(mesh: Mesh, demo_run: DemoRun) -> None:
    assert demo_run.status == 0
    found: list[dict[str, Any]] = []

    def told() -> set[tuple[Any, ...]]:
        found[:] = vigimesh("lag", "--json", "--data", mesh.data).json["lag"]
        return {(row["records"], row["seconds"], row["state"]) for row in found}

    until(lambda: told() == {(0, 0, "done")}, within_s=60, what=f"the end of all work: {found}")
    assert {row["workflow"] for row in found} >= {"", "triage", "drafting"}


def test_a_new_cluster_has_no_lag(bench: Bench) -> None:
    assert {(row.stage, row.lane) for row in bench.rows()} == set(PLACES)
    assert {(row.state, row.records, row.seconds) for row in bench.rows()} == {("done", NONE, NONE)}


def test_commit_markers_leave_no_lag_behind(bench: Bench) -> None:
    plan = lane_topic("plan", "hot")
    bench.transact((plan, 0, "triage", b"1"), (plan, 0, "signal", b"2"))
    bench.transact((plan, 0, "signal", b"3"))
    waiting = bench.row("planner", "hot")
    assert waiting.records == Known(value=3), "two markers lie between"
    assert isinstance(waiting.seconds, Known)
    assert 0 < waiting.seconds.value < LOOK_S

    # Offsets 0, 1, marker, 3, marker: all records are taken, and the group stands before the last marker.
    bench.commit("vigimesh.planner.hot", plan, 0, 4)
    done = bench.row("planner", "hot")
    assert (done.records, done.seconds, done.state) == (NONE, NONE, "done")
    answer = bench.command()
    assert answer.exit_code == 0
    assert json.loads(answer.stdout)["unknown"] == 0


def test_more_records_than_are_counted_are_an_upper_bound_with_the_age_of_the_oldest(bench: Bench) -> None:
    retrieve = lane_topic("retrieve", "cold")
    bench.transact(*((retrieve, 1, "triage", b"x") for _ in range(600)))
    row = bench.row("retriever", "cold")
    assert row.records == Known(value=601, at_most=True)
    assert isinstance(row.seconds, Known)
    assert row.seconds.value > 0
    bench.commit("vigimesh.retriever.cold", retrieve, 1, 600)
    assert bench.row("retriever", "cold").state == "done"


def test_what_waits_of_a_workflow_comes_from_the_flow(bench: Bench) -> None:
    flow, plan = topic("flow"), lane_topic("plan", "warm")
    sent = FlowCounted(stage="router", workflow="signal", lane="warm", consumed=2, produced=2, sent={plan: 2})
    taken = FlowCounted(stage="planner", workflow="signal", lane="warm", consumed=1, produced=1)
    bench.transact(
        (plan, 0, "signal", b"1"),
        (plan, 0, "signal", b"2"),
        (flow, 2, "signal", bench.codec.encode(flow, sent)),
    )
    assert bench.row("planner", "warm", "signal").records == Known(value=2)
    assert bench.row("planner", "warm", "signal").state == "waiting"
    assert bench.row("planner", "warm", "triage").state == "done"
    bench.transact((flow, 2, "signal", bench.codec.encode(flow, taken)))
    bench.commit("vigimesh.planner.warm", plan, 0, 1)
    assert bench.row("planner", "warm", "signal").records == Known(value=1)
    assert bench.row("planner", "warm").records == Known(value=1)

    # Kept totals are what the next reader counts on from.
    kept = bench.reader.totals()
    assert kept
    bench.transact(
        *(
            (topic("flow.totals"), 3, one.workflow, bench.codec.encode(topic("flow.totals"), one))
            for one in kept
        )
    )
    again = LagReader(common(bench.stack.urls.kafka, {}), bench.codec, ("triage", "signal"), SystemClock())
    again.look(LOOK_S)
    assert again.totals() == kept
    again.close()
    bench.commit("vigimesh.planner.warm", plan, 0, 2)


def test_the_controller_orders_cold_to_yield_while_hot_is_really_late_and_lets_go(bench: Bench) -> None:
    base, clock = common(bench.stack.urls.kafka, {}), Wall(datetime.now(UTC))
    controller = Controller(
        consumer=KafkaConsumer(base, CONTROLLER_ID, (THROTTLE,), copartitioned=False),
        producer=KafkaProducer(base, CONTROLLER_ID), lag=LagReader(base, bench.codec, ("triage",), clock),
        objectives={"triage": 10.0}, codec=bench.codec, telemetry=Silent(), health=Health(clock), clock=clock, turn_s=0.1,
    )  # fmt: skip
    orders = OrderReader(base, bench.codec, clock).start()
    plan, stop = lane_topic("plan", "hot"), threading.Event()
    bench.transact((plan, 2, "triage", b"1"))

    def shares() -> dict[str, int]:
        return {lane: o.share_percent for lane in LANES for o in orders.in_force(lane, clock.now())}

    def lifted() -> bool:
        """Let time pass, and tell whether the order was taken back by one that follows it."""
        clock.move(5.0)
        rows = scan(bench.stack.urls.kafka, (THROTTLE,))
        written = [bench.codec.decode(THROTTLE, row.value or b"") for row in rows]
        return [(one.lane, one.share_percent) for one in written][-1] == ("cold", 100)

    async def play() -> None:
        reign = asyncio.ensure_future(run(controller, stop))
        try:
            await until_async(lambda: controller.health.ready, within_s=LOOK_S, what="the leader")
            assert shares() == {}, "a hot record that has just come is not late"
            # More than the objective by as much as the clock was read before the record was written.
            clock.move(10.0 + LOOK_S)
            await until_async(lambda: shares() == dict(SHARES[:1]), within_s=LOOK_S, what="the order")
            shown = json.loads((await asyncio.to_thread(bench.command)).stdout)["orders"]
            assert [(one["lane"], one["share_percent"]) for one in shown] == [SHARES[0]]
            await asyncio.to_thread(bench.commit, "vigimesh.planner.hot", plan, 2, 1)
            await until_async(lifted, within_s=LOOK_S, what="the end of the order")
            await until_async(lambda: shares() == {}, within_s=LOOK_S, what="the workers' view of it")
        finally:
            stop.set()
            await reign

    asyncio.run(play())
    orders.close()


def test_what_an_open_transaction_hides_is_unknown_and_not_0(bench: Bench) -> None:
    """The records behind it are committed, and nobody is given them until it ends."""
    name = topic("case.received.normal")
    settings = common(bench.stack.urls.kafka, {})
    opened = ck.Producer(
        {**settings, "transactional.id": "vigimesh.test.open", "transaction.timeout.ms": 600_000}
    )
    opened.init_transactions(LOOK_S)
    opened.begin_transaction()
    opened.produce(name, b"x", key=b"c", partition=3)
    assert opened.flush(LOOK_S) == 0
    behind = ck.Producer(settings)
    behind.produce(name, b"y", key=b"c", partition=3)
    assert behind.flush(LOOK_S) == 0

    def row() -> LagRow:
        return bench.row("router", "normal")

    until(
        lambda: row().records == row().seconds == Unknown(cause=HIDDEN),
        within_s=LOOK_S,
        what="what is hidden",
    )
    opened.abort_transaction(LOOK_S)
    until(lambda: row().records == Known(value=1), within_s=LOOK_S, what="what was hidden")


def test_a_group_without_an_offset_is_unknown_and_not_0(bench: Bench) -> None:
    admin = AdminClient(common(bench.stack.urls.kafka, {}))
    for future in admin.delete_consumer_groups(["vigimesh.tool-executor.warm"]).values():
        future.result(LOOK_S)
    row = bench.row("tool-executor", "warm")
    assert isinstance(row.records, Unknown)
    assert isinstance(row.seconds, Unknown)
    assert "no committed offset" in row.records.cause
    assert bench.row("tool-executor", "cold").state == "done", "others are known"
    answer = bench.command()
    assert answer.exit_code == 1
    (found,) = [
        one
        for one in json.loads(answer.stdout)["lag"]
        if (one["stage"], one["lane"], one["workflow"]) == ("tool-executor", "warm", "")
    ]
    assert (found["records"], found["seconds"], found["unknown"]) == (None, None, True)
    assert "no committed offset" in found["cause"]


def test_lag_is_unknown_and_not_0_while_the_broker_is_down(bench: Bench) -> None:
    os.kill(bench.stack.pids["kafka"], signal.SIGSTOP)
    try:
        answer = bench.command()
        rows = bench.rows()
    finally:
        os.kill(bench.stack.pids["kafka"], signal.SIGCONT)
    assert {row.state for row in rows} == {"unknown"}
    assert {(row.stage, row.lane) for row in rows} == set(PLACES)
    assert answer.exit_code == 1
    found = json.loads(answer.stdout)["lag"]
    assert len(found) >= len(PLACES)
    assert {(one["records"], one["seconds"], one["unknown"]) for one in found} == {(None, None, True)}
