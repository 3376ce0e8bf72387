"""The comparison on the real mesh, without one: what is sent is what it says, and a run's figures are those of its records."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

import account
import controllers
import controllers_mesh
import mesh_arrivals
import mesh_figures
from controllers_mesh import GATE, shut, yielding
from measuring import Report, spread
from mesh_arrivals import FULL, QUICK, Arrival
from unit.policy_making import received
from vigimesh.adapters.kafka.orders import OrderBook
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.adapters.redis.scripts import sha
from vigimesh.domain.budget.values import Booked
from vigimesh.domain.budget.windows import ASKED, names_of
from vigimesh.domain.control.lag import LagRow
from vigimesh.domain.control.measure import Known, Measure, Unknown
from vigimesh.domain.control.yields import SHARES
from vigimesh.domain.policy.shipped import with_overlay
from vigimesh.domain.record.rows import Row
from vigimesh.domain.safety.tools import run_steps
from vigimesh.events.classes import AuditRecorded, CaseRouted, EventParked, UsageRecorded
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope
from vigimesh.events.topics import LANE_STAGES, LANES, topic
from vigimesh.intake.accept import Admitted, accept
from vigimesh.intake.values import Accepted
from vigimesh.loop.outcome import Done
from vigimesh.router.route import Router
from vigimesh.tool_executor.execute import tools_of
from vigimesh.tool_executor.purchase import Unpaid, plain

TODAY = datetime(2026, 3, 10, 12, tzinfo=UTC)
MONTH = 10_000
CARDS = with_overlay({"triage.toml": mesh_arrivals.card(MONTH).encode()}, "test")


def test_the_same_seed_sends_the_same_and_the_month_pays_for_half_of_what_is_wanted() -> None:
    sent = mesh_arrivals.arrivals(3, FULL)
    assert sent == mesh_arrivals.arrivals(3, FULL) != mesh_arrivals.arrivals(4, FULL)
    assert [one.at_s for one in sent] == sorted(one.at_s for one in sent)
    assert len({one.case_id for one in sent}) == len(sent)
    lanes = Counter(one.lane for one in sent)
    bursts = len(FULL.bursts_at_s)
    assert lanes == {
        "cold": bursts * FULL.cold,
        "warm": bursts * FULL.warm,
        "hot": FULL.seconds * FULL.hot_per_s,
    }
    wanted = sum(one.wants for one in sent)
    assert {one.lane for one in sent if not one.wants} == {"hot"}
    assert mesh_arrivals.month_micro(sent) * 2 == wanted * mesh_arrivals.COST_MICRO


def test_each_case_goes_to_its_lane_and_is_what_it_says(tmp_path: Path) -> None:
    sent = [
        *mesh_arrivals.arrivals(1, QUICK),
        *(replace(one, at_s=99.0) for one in mesh_arrivals.warming_up(0)),
    ]
    by_name = {one.name: one for one in sent}
    seen = Counter[tuple[str, str]]()
    for _, items in mesh_arrivals.moments(sent, tmp_path, TODAY):
        for item in items:
            assert isinstance(item, Accepted)
            admitted = accept(item)
            assert isinstance(admitted, Admitted)
            case, one = admitted.event.case, by_name.pop(item.case.report_id)
            outcome = Router(CARDS).decide(replace(received(case), at=TODAY), {})
            assert isinstance(outcome, Done)
            routed = outcome.events[0].event
            assert isinstance(routed, CaseRouted)
            card = CARDS.named("triage")
            assert card is not None
            _, triage = run_steps(tools_of(card.steps), case, case.narrative, (), TODAY)
            assert (routed.route.workflow, routed.route.lane, triage.serious, triage.valid) == (
                "triage", one.lane, one.serious, True,
            )  # fmt: skip
            seen[one.lane, one.serious] += 1
    assert by_name == {}
    assert set(seen) == {
        ("hot", "yes"),
        ("hot", "unknown"),
        ("warm", "no"),
        ("warm", "unknown"),
        ("cold", "no"),
    }


class Topics:
    """Records of a run, as they would lie on the topics; one second each."""

    def __init__(self) -> None:
        self.codec = Codec(MemorySchemas())
        self.rows: list[Row] = []

    def put(self, name: str, key: str, event: Any = None) -> None:
        at = TODAY + timedelta(seconds=len(self.rows))
        head = Envelope(id=f"{len(self.rows)}", source="", type="", time=at, subject=key)
        value = b"not read" if event is None else self.codec.encode(topic(name), event)
        self.rows.append(Row(topic(name), 0, len(self.rows), at, key, head, value))

    def told(self, one: Arrival, told: dict[str, Any]) -> None:
        answers = msgspec.msgpack.encode({"limits:x": {}, f"model:{told['call_id']}": told})
        self.put("audit", one.case_id, AuditRecorded(
            case_id=one.case_id, message_id="m", event_id="e", stage="tool-executor", actor="a", action="done", why="",
            input_digest="", answers=answers,
        ))  # fmt: skip

    def paid(self, one: Arrival, call_id: str, micro: int) -> None:
        self.told(one, {
            "call_id": call_id, "at": TODAY.isoformat(), "cost_micro": micro, "currency": "EUR", "text": "", "finish": "stop",
            "model": "m", "prompt_tokens": 1, "cached_tokens": 0, "completion_tokens": 1,
        })  # fmt: skip
        self.put("usage", one.case_id, UsageRecorded(
            case_id=one.case_id, message_id="m", workflow="triage", lane=one.lane, stage="tool-executor", kind="model_call",
            name="m", tier="large", quantity=2, unit="tokens", cost_micro=micro, call_id=call_id,
        ))  # fmt: skip

    def parked(self, one: Arrival, reason: str) -> None:
        event = EventParked(
            event_id="e",
            not_before=TODAY,
            resume_topic=topic("execute.cold"),
            reason=reason,
            key=one.case_id.encode(),
        )
        self.put("parked", "e", event)


def booked(call_id: str, micro: int) -> Booked:
    return Booked(call_id, "triage", "default/x", TODAY, micro, "settled")


def asked(call_id: str, micro: int, *, wrote: bool) -> account.Order:
    windows = {window: (names_of(TODAY, call_id)[window], 10**12) for window in ASKED}
    return account.Order(
        word="reserve", call_id=call_id, workflow="triage", micro=micro, windows=windows, wrote=wrote
    )


def arrival(name: str, lane: str, serious: str, at_s: float = 0.0) -> Arrival:
    return Arrival(at_s=at_s, lane=lane, serious=serious, name=name)


HOT, URGENT = arrival("a", "hot", "yes"), arrival("b", "hot", "unknown", 1.0)
WARM, COLD = arrival("c", "warm", "unknown"), arrival("d", "cold", "no")
SENT = (HOT, URGENT, WARM, COLD)


def a_run(*, untriaged: bool = False, waits: Arrival = COLD) -> Topics:
    """Hot is reviewed, urgent pays, warm asks for nothing, and one waits for money."""
    made = Topics()
    for one in SENT:  # seconds 0 to 3
        if not (untriaged and one == waits):
            made.put(f"supervise.{one.lane}", one.case_id)
    made.put("case.review", HOT.case_id)
    made.paid(URGENT, "k1", 3_000)
    for one in (URGENT, WARM, COLD):
        if one == waits:
            no = Unpaid(call_id="k2", reason="denied", detail="5 asked", retry_at=TODAY)
            made.told(one, plain(no))
            made.parked(one, "waits for money: the budget has no room for it")
        else:
            made.put("case.decided", one.case_id)
    return made


def figures(made: Topics, rows: list[Booked], *orders: account.Order) -> dict[str, float]:
    seen = mesh_figures.seen(made.rows, made.codec)
    return mesh_figures.figures(SENT, TODAY, MONTH, seen, (rows, list(orders)))


def test_what_is_in_doubt_is_spent_and_needs_no_record_of_usage() -> None:
    orders = (asked("k1", 6_000, wrote=True), asked("k3", 6_000, wrote=True))
    doubtful = replace(booked("k3", 6_000), state="in_doubt")
    found = figures(a_run(), [booked("k1", 3_000), doubtful], *orders)
    assert (found["spend_micro"], found["in_doubt"]) == (9_000, 1)
    with pytest.raises(RuntimeError, match="9000 micro-units settled, usage 3000"):
        figures(a_run(), [booked("k1", 3_000), booked("k3", 6_000)], *orders)


def test_the_figures_of_a_run_are_those_of_its_records() -> None:
    orders = (asked("k1", 6_000, wrote=True), asked("k2", 6_000, wrote=False))
    found = figures(a_run(), [booked("k1", 3_000)], *orders)
    # The urgent one is due a second after the others; what is late of hot is the later of the two.
    assert (found["hot_triage_p99_s"], found["hot_p99_s"]) == (0.0, 6.0)
    assert (found["spend_micro"], found["overspend_micro"], found["admitted_beyond_micro"]) == (3_000, 0, 0)
    assert (found["refused"], found["never_asked"], found["unpaid_otherwise"]) == (1, 1, 0)
    assert (found["false_refusals"], found["unjudged"]) == (0, 0)
    assert found["serious_or_untriaged_waited_for_money"] == 0
    nested = mesh_figures.nested(found)
    assert nested["wanted"] == {"hot": 1, "warm": 1, "cold": 1}
    assert (nested["opinions"], nested["parked"]) == (
        {"hot": 1, "warm": 0, "cold": 0}, {"hot": 0, "warm": 0, "cold": 1},
    )  # fmt: skip
    assert not [key for key in nested if key.endswith(LANES)]


def test_what_was_spent_beyond_the_month_is_found_whatever_the_card_says() -> None:
    made = a_run()
    made.paid(WARM, "k3", 9_000)
    found = figures(
        made, [booked("k1", 3_000), booked("k3", 9_000)], *(asked(k, 6_000, wrote=True) for k in ("k1", "k3"))
    )
    assert (found["overspend_micro"], found["admitted_beyond_micro"]) == (2_000, 2_000)


def test_a_refusal_with_room_is_found() -> None:
    orders = (asked("k1", 6_000, wrote=True), asked("k2", 4_000, wrote=False))
    assert figures(a_run(), [booked("k1", 3_000)], *orders)["false_refusals"] == 1


@pytest.mark.parametrize("run", [{"untriaged": True}, {"waits": WARM}, {"waits": URGENT}])
def test_a_case_that_may_be_serious_and_waited_for_money_is_found(run: dict[str, Any]) -> None:
    assert figures(a_run(**run), [booked("k1", 3_000)])["serious_or_untriaged_waited_for_money"] == 1


def test_what_waits_for_another_reason_waits_for_no_money() -> None:
    made = a_run(waits=WARM)
    made.rows = [row for row in made.rows if row.topic != topic("parked")]
    made.parked(WARM, "held by an operator")
    assert figures(made, [booked("k1", 3_000)])["serious_or_untriaged_waited_for_money"] == 0


def test_a_run_that_does_not_add_up_has_no_figures() -> None:
    with pytest.raises(RuntimeError, match="usage"):
        figures(a_run(), [booked("k1", 2_999)])
    made = a_run()
    made.rows = [row for row in made.rows if row.topic != topic("case.review")]
    with pytest.raises(RuntimeError, match="no outcome"):
        figures(made, [booked("k1", 3_000)])


def test_an_account_begins_when_the_budget_was_built() -> None:
    def entry(number: int, script: str) -> list[Any]:
        windows = [t for window in ASKED for t in (names_of(TODAY, "k1")[window], "5", "60")]
        parts = ["EVALSHA", sha(script), "1", "{budget}", "epoch", "triage", "k1", "400", "1", "2", *windows]
        return [number, 0, 1, [part.encode() for part in parts], b"", b""]

    assert [
        one.call_id for one in mesh_figures.orders_since_built([entry(5, "reserve"), entry(4, "swap")])
    ] == ["k1"]
    with pytest.raises(RuntimeError, match="rebuilt"):
        mesh_figures.orders_since_built([entry(6, "swap"), entry(5, "reserve")])


def depths(each: Measure) -> list[LagRow]:
    return [
        LagRow(stage=stage, lane=lane, workflow=workflow, records=each, seconds=Known(value=0))
        for stage in LANE_STAGES for lane in LANES for workflow in ("", "triage")
    ]  # fmt: skip


def test_the_gate_closes_on_depth_and_stays_while_it_is_not_known() -> None:
    each = GATE // (len(LANE_STAGES) * len(LANES))
    assert not shut(depths(Known(value=each)), was=True)
    assert shut(depths(Known(value=each + 1)), was=False)
    for was in (True, False):
        assert shut(depths(Unknown(cause="away")), was=was) is was
        assert shut([], was=was) is was


def test_the_gate_s_orders_hold_warm_and_cold_back_and_never_hot() -> None:
    book = OrderBook()

    def shares() -> dict[str, list[int]]:
        return {lane: [order.share_percent for order in book.in_force(lane, TODAY)] for lane in LANES}

    for order in yielding(True, TODAY):
        book.take(order, TODAY)
    assert shares() == {"hot": [], **{lane: [share] for lane, share in SHARES}}
    for order in yielding(False, TODAY):
        book.take(order, TODAY)
    assert shares() == {"hot": [], "warm": [], "cold": []}


def test_the_object_has_the_mesh_only_where_it_ran() -> None:
    points = {name: {"spend_micro": spread([1.0])} for name in controllers.CONTROLLERS}
    assert "mesh" not in controllers.shown({"points": points})
    real = {
        f"mesh_{name}": {f"mesh_{key}_{lane}": spread([2.0, 3.0, 9.0]) for key in ("wanted", "opinions", "parked") for lane in LANES}
        for name in controllers.CONTROLLERS
    }  # fmt: skip
    made = controllers.shown({"points": points | real})
    assert made["ours"] == {"spend_micro": 1.0}
    assert set(made["mesh"]) == set(controllers.CONTROLLERS)
    assert made["mesh"]["ours"]["opinions"] == dict.fromkeys(LANES, 3.0)


def test_once_is_too_often_whatever_the_median_of_the_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = iter([0, 1, 0])

    def measured(name: str, seed: int, size: object, found: dict[str, str]) -> dict[str, float]:
        keys = ("overspend_micro", "serious_or_untriaged_waited_for_money", "hot_p99_s")
        return dict.fromkeys(keys, 0.0) | {"false_refusals": float(next(refusals) if name == "ours" else 0)}

    monkeypatch.setattr(controllers_mesh, "measured", measured)
    report = Report("controllers", controllers.GOALS)
    options = argparse.Namespace(quick=True, mesh_rounds=3, rounds=3)
    controllers.on_the_mesh(report, options, {})
    made = controllers.shown(report.summary(options, {}))
    assert (made["mesh"]["ours"]["false_refusals"], made["mesh_false_refusals"]) == (0, 1)
    assert (made["met"]["mesh_false_refusals"], made["met"]["mesh_overspend_micro"]) == (False, True)
