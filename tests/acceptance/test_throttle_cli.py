"""`vigimesh throttle` on a real broker: given, shown and lifted, with who and why; what is refused writes nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from meshes import Mesh, vigimesh
from vigimesh.adapters.kafka.client import common
from vigimesh.adapters.kafka.desks.orders import ORDERING, OrderDesk
from vigimesh.adapters.kafka.history import bounds, scan, settle
from vigimesh.adapters.kafka.producer import KafkaProducer
from vigimesh.adapters.kafka.registry import RegistrySchemas
from vigimesh.app.commands import brakes as brakes_cli
from vigimesh.app.commands import throttle as throttle_cli
from vigimesh.app.devstack import Stack
from vigimesh.app.in_force.cards import load_cards
from vigimesh.app.operators.order_giving import given_now
from vigimesh.app.operators.order_records import STAGE, order_records
from vigimesh.app.operators.ordering import Change, Given, Standing, clearing, setting
from vigimesh.clock import SystemClock
from vigimesh.errors import Fenced, Refused, VigimeshError
from vigimesh.events.classes import AuditRecorded, CaseRouted, Route, ThrottleOrdered
from vigimesh.events.codec import Codec
from vigimesh.events.topics import LANES, lane_topic, topic
from vigimesh.loop.broker import InDoubt, Write
from waiting import WAIT_S
from worlds import FaultyProducer, KafkaWorld, once

pytestmark = pytest.mark.real

THROTTLE, AUDIT = topic("throttle"), topic("audit")
APPS: dict[str, typer.Typer] = {
    "throttle": throttle_cli.app, "lane": brakes_cli.lane_app, "tier": brakes_cli.tier_app,
    "policy": brakes_cli.policy_app,
}  # fmt: skip
COLD = ("--lane", "cold", "--workflow", "all")
COLD_TRIAGE = ("--lane", "cold", "--workflow", "triage")


@dataclass(frozen=True, slots=True)
class Desk:
    """The operator's place at the session's stack."""

    stack: Stack
    codec: Codec

    @property
    def base(self) -> dict[str, Any]:
        return common(self.stack.urls.kafka, {})

    def run(self, command: str, *arguments: str, status: int = 0) -> Any:
        """Run a command with --json and return what it printed."""
        result = self.command(command, *arguments, "--json")
        assert result.exit_code == status, result.output
        return json.loads(result.stdout)

    def command(self, command: str, *arguments: str) -> Any:
        where = ["--data", str(self.stack.data_dir)]
        return CliRunner().invoke(APPS[command], [*arguments, *where], catch_exceptions=False)

    def mine(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return what operators ordered, as `show` tells it."""
        shown = self.run("throttle", "show")["orders"]
        return {(o["lane"], o["workflow"]): o for o in shown if o["by"] != "controller"}

    def events(self, name: str) -> list[Any]:
        """Return what operators wrote to `throttle`, or the audits of their orders, in their order.

        Other tests share the broker, and write by schemas of their own.
        """
        self.settled()
        rows = (
            self.codec.decode(name, row.value)
            for row in scan(self.base, [name])
            if row.value is not None and row.headers.source == f"/vigimesh/{STAGE}"
        )
        return [one for one in rows if not isinstance(one, AuditRecorded) or one.action == "ordered"]

    def ends(self) -> Any:
        """Return where the two topics end: whatever is written moves it."""
        self.settled()
        return bounds(self.base, [THROTTLE, AUDIT])

    def settled(self) -> None:
        """Wait for the ends of transactions: a commit is answered before its markers lie in all partitions."""
        assert settle(self.base, [THROTTLE, AUDIT], within_s=WAIT_S)

    async def give(self, change: Change, order: Given, producer: Any = None) -> None:
        desk = OrderDesk(self.base, self.codec, SystemClock(), producer)

        def make(standing: Standing) -> list[Write]:
            orders = setting(standing, ("cold", "triage"), change, order)
            return order_records(self.codec, orders, standing, order)

        await desk.give(make)

    async def lift_all(self) -> None:
        order = given_now("test", "the test is over")

        def make(standing: Standing) -> list[Write]:
            orders = [one for place in standing for one in clearing(standing, place, order)]
            return order_records(self.codec, orders, standing, order)

        await OrderDesk(self.base, self.codec, SystemClock()).give(make)


@pytest.fixture
def desk(applied_stack: Stack) -> Iterator[Desk]:
    made = Desk(applied_stack, Codec(RegistrySchemas({"url": applied_stack.urls.registry})))
    yield made
    # Other tests of the session read the same orders.
    asyncio.run(made.lift_all())


def test_an_order_is_given_shown_and_lifted(desk: Desk) -> None:
    done = desk.run("throttle", "set", *COLD, "--share", "25", "--tier", "small", "--calls", "4",
                    "--reason", "hot is late", "--until", "2h", "--by", "ops@example")  # fmt: skip
    (order,) = done["orders"]
    shown = desk.mine()
    assert shown == {("cold", ""): order}
    assert (order["share_percent"], order["tier_ceiling"], order["calls_per_minute"]) == (25, "small", 4)
    assert (order["by"], order["reason"], order["holds_acceptance"]) == ("ops@example", "hot is late", False)
    (line,) = desk.command("throttle", "show").stdout.splitlines()
    assert line.startswith("cold/all  share 25 %, no tier above small, 4 calls a minute, until 20")
    assert line.endswith("  by ops@example: hot is late")
    lifted = desk.run("throttle", "clear", *COLD, "--reason", "hot is calm", "--by", "qa")
    assert [one["lifted"] for one in lifted["orders"]] == [True]
    assert desk.mine() == {}
    again = desk.run("throttle", "clear", *COLD, "--reason", "hot is calm")
    assert again["count"] == 0, "nothing to lift, nothing written"


def test_the_audit_says_who_and_why_and_what_it_was_before(desk: Desk) -> None:
    before = {one.event_id for one in desk.events(AUDIT)}
    desk.run(
        "throttle",
        "set",
        *COLD,
        "--share",
        "25",
        "--reason",
        "hot is late",
        "--until",
        "2h",
        "--by",
        "ops",
    )
    desk.run("throttle", "clear", *COLD, "--reason", "hot is calm", "--by", "qa")
    given, lifted = [one for one in desk.events(AUDIT) if one.event_id not in before]
    assert (given.stage, given.actor, given.why, given.earlier) == (
        "operator",
        "ops",
        "hot is late",
        "nothing ordered",
    )
    assert given.new.startswith("share 25 %, until ")
    assert (lifted.actor, lifted.why, lifted.earlier, lifted.new) == (
        "qa",
        "hot is calm",
        given.new,
        "lifted",
    )
    event: ThrottleOrdered = desk.events(THROTTLE)[-2]
    assert (event.term, event.by, event.lane, event.workflow) == (0, "ops", "cold", "")


def test_a_second_order_keeps_what_the_first_one_said(desk: Desk) -> None:
    desk.run("throttle", "set", *COLD, "--share", "25", "--reason", "late", "--until", "2h")
    desk.run("throttle", "set", *COLD, "--calls", "1", "--reason", "bill", "--until", "1h")
    order = desk.mine()["cold", ""]
    assert (order["share_percent"], order["calls_per_minute"], order["reason"]) == (25, 1, "bill; late")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--reason", " ", "--until", "1h", "--share", "50"), "VM-1732"),
        (("--reason", "a\x07b", "--until", "1h", "--share", "50"), "VM-1732"),
        (("--reason", "x", "--until", "2020-01-01T00:00:00Z", "--share", "50"), "VM-1733"),
        (("--reason", "x", "--until", "25h", "--share", "50"), "VM-1733"),
        (("--reason", "x", "--until", "1h", "--share", "200"), "VM-1734"),
        (("--reason", "x", "--until", "1h", "--share", "50"), "VM-1734"),
        (("--reason", "x", "--until", "1h"), "VM-1734"),
        (("--reason", "x", "--until", "1h", "--tier", "lagre"), "VM-1730"),
        (("--reason", "x", "--until", "1h", "--share", "5", "--workflow", "triaje"), "VM-1730"),
        (("--reason", "x", "--until", "1h", "--share", "5", "--lane", "clod"), "VM-1730"),
        (("--reason", "x", "--until", "1h", "--share", "50", "--lane", "hot"), "VM-1731"),
    ],
)
def test_what_is_refused_writes_nothing(desk: Desk, arguments: tuple[str, ...], code: str) -> None:
    before = desk.ends()
    with pytest.raises(Refused, match=code) as refused:
        desk.command("throttle", "set", *COLD_TRIAGE, *arguments)
    assert refused.value.todo
    assert desk.ends() == before


def test_without_a_reason_or_an_end_nothing_is_ordered(desk: Desk) -> None:
    before = desk.ends()
    assert desk.command("throttle", "set", *COLD_TRIAGE, "--share", "5", "--until", "1h").exit_code == 2
    assert desk.command("throttle", "set", *COLD_TRIAGE, "--share", "5", "--reason", "x").exit_code == 2
    assert desk.command("throttle", "clear", *COLD_TRIAGE).exit_code == 2
    assert desk.ends() == before


def test_two_operators_at_once_never_lift_what_the_other_ordered(desk: Desk) -> None:
    orders = [Change(share_percent=0), Change(calls_per_minute=7), Change(tier_ceiling="tools")]
    order = given_now("ops", "test", "1h")

    async def all_at_once() -> list[BaseException | None]:
        return await asyncio.gather(
            *(asyncio.to_thread(asyncio.run, desk.give(change, order)) for change in orders),
            return_exceptions=True,
        )

    ended = asyncio.run(all_at_once())
    assert all(one is None or isinstance(one, Fenced | InDoubt) for one in ended), ended
    stands = desk.mine().get(("cold", "triage"), {})
    for change, error in zip(orders, ended, strict=True):
        for name, value in change.said.items():
            assert error is not None or stands[name] == value, (name, ended)


@pytest.mark.parametrize("step", ["write", "commit.before", "commit.after"])
def test_an_order_in_doubt_is_given_again_without_harm(desk: Desk, step: str) -> None:
    order = given_now("ops", "test", "1h")
    planted = once(step, InDoubt("VM-1302", what="planted"))
    with pytest.raises(VigimeshError, match="throttle show"):
        asyncio.run(
            desk.give(
                Change(share_percent=0), order, FaultyProducer(KafkaProducer(desk.base, ORDERING), planted)
            )
        )
    asyncio.run(desk.give(Change(calls_per_minute=7), order))
    stands = desk.mine()["cold", "triage"]
    assert (stands["share_percent"], stands["calls_per_minute"]) == (0 if step == "commit.after" else 100, 7)


def test_a_lane_is_paused_by_workflow_and_unpaused(desk: Desk) -> None:
    desk.run("throttle", "set", *COLD_TRIAGE, "--calls", "3", "--reason", "bill", "--until", "1h")
    paused = desk.run("lane", "pause", "cold", "--reason", "broker move", "--by", "ops")["orders"]
    names = sorted(card.name for card in load_cards(None).cards)
    assert [(o["lane"], o["workflow"], o["share_percent"]) for o in paused] == [
        ("cold", name, 0) for name in names
    ]
    audits = [audit for audit in desk.events(AUDIT) if audit.why == "broker move"]
    assert [audit.actor for audit in audits] == ["ops"] * len(names)
    assert desk.mine()["cold", "triage"]["calls_per_minute"] == 3
    desk.run("lane", "unpause", "cold", "--reason", "moved")
    (left,) = desk.mine().values()
    assert (left["workflow"], left["share_percent"], left["calls_per_minute"]) == ("triage", 100, 3)
    assert desk.run("lane", "unpause", "cold", "--reason", "moved")["count"] == 0


@pytest.mark.parametrize("command", ["pause", "drain"])
def test_the_hot_lane_is_never_held_up(desk: Desk, command: str) -> None:
    before = desk.ends()
    with pytest.raises(Refused, match="VM-1731 the hot lane never waits"):
        desk.command("lane", command, "hot", "--reason", "x")
    assert desk.ends() == before


def test_a_tier_and_acceptance_are_held_side_by_side(desk: Desk) -> None:
    held = desk.run("policy", "hold", "--reason", "recall", "--until", "8h", "--by", "qa")["orders"]
    closed = desk.run("tier", "disable", "large", "--reason", "bill", "--until", "1h")["orders"]
    assert [o["lane"] for o in held] == [o["lane"] for o in closed] == list(LANES)
    both = desk.mine().values()
    assert {(o["holds_acceptance"], o["tier_ceiling"], o["workflow"]) for o in both} == {(True, "small", "")}
    desk.run("tier", "enable", "large")
    after = desk.mine().values()
    assert {(o["holds_acceptance"], o["tier_ceiling"]) for o in after} == {(True, "person")}
    assert {o["reason"] for o in after} == {"bill; recall"}
    assert {o["until"] for o in after} == {o["until"] for o in held}
    one = desk.run("policy", "hold", "--workflow", "triage", "--reason", "label change")
    released = desk.run("policy", "release")
    assert released["still_held"] == [f"{lane}/triage" for lane in sorted(LANES)]
    assert {place[1] for place in desk.mine()} == {"triage"}
    assert desk.run("policy", "release", "--workflow", "triage")["count"] == one["count"]
    assert desk.mine() == {}


def test_a_lane_that_nobody_works_on_does_not_drain(desk: Desk) -> None:
    world = KafkaWorld(desk.codec, bootstrap=desk.stack.urls.kafka)
    case = world.case(1)
    route = Route(workflow="triage", lane="warm", rule="r", reason="r", card_digest="", version=("", ""),
                  received_at=datetime.now(UTC))  # fmt: skip
    value = desk.codec.encode(lane_topic("plan", "warm"), CaseRouted(case=case, route=route))
    world.append(Write(topic=lane_topic("plan", "warm"), key=case.case_id.encode(), value=value))
    world.close()
    told = desk.run("lane", "drain", "warm", "--within", "0", "--reason", "move", status=1)
    assert told["drained"] is False
    assert ("planner", "warm") in {(row["stage"], row["lane"]) for row in told["left"]}
    assert desk.mine()["warm", "triage"]["share_percent"] == 0, "the pause stands all the same"


def test_a_lane_of_a_running_mesh_drains_and_goes_on(mesh: Mesh) -> None:
    def run(*arguments: str) -> Any:
        answer = vigimesh(*arguments, "--data", mesh.data, "--json")
        assert answer.status == 0, answer.err
        return answer.json

    told = run("lane", "drain", "cold", "--within", "60", "--reason", "move")
    assert (told["drained"], told["left"]) == (True, [])
    assert run("lane", "unpause", "cold", "--reason", "moved")["count"] == told["count"]
    assert [order for order in run("throttle", "show")["orders"] if order["by"] != "controller"] == []
