"""The verb of the tool-executor: what it asks for, what it hands on, and that a lane only gets hotter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from unit.safety_making import AT, STEPS, case
from vigimesh.events.case import Case
from vigimesh.events.classes import EvidenceRetrieved, Plan, Route, ToolsExecuted, UsageRecorded
from vigimesh.events.ids import digest
from vigimesh.events.topics import lane_topic, topic
from vigimesh.loop.outcome import Done, Input, Need, Reject
from vigimesh.tool_executor.execute import Executor

LONG = "The patient felt well. " * 4_000 + "He was hospitalised."


def given(of: Case, *, lane: str = "cold", steps: tuple[str, ...] = STEPS) -> Input:
    route = Route(
        workflow="triage",
        lane=lane,
        rule="default",
        reason="nothing else matched",
        card_digest="c" * 64,
        version=("2026-03-02", "2026-03-09"),
        received_at=AT,
        pass_number=2,
    )
    event = EvidenceRetrieved(case=of, route=route, plan=Plan(tier="tools", steps=steps))
    return Input(topic=lane_topic("execute", lane), event=event, event_id="e" * 32, key=of.case_id, at=AT)


def decided(record: Input, answers: dict[str, Any] | None = None) -> Done:
    outcome = Executor(price_micro=3).decide(record, answers or {})
    assert isinstance(outcome, Done)
    return outcome


def executed(done: Done) -> ToolsExecuted:
    event = done.events[0].event
    assert isinstance(event, ToolsExecuted)
    return event


def test_a_short_narrative_needs_nothing() -> None:
    assert Executor().needs(given(case()), {}) == ()


@pytest.mark.parametrize("answer", [LONG, LONG.encode()])
def test_a_long_narrative_is_asked_for_once_and_read(answer: str | bytes) -> None:
    far = case(narrative="", narrative_ref=digest(LONG.encode()))
    need = Need(kind="object", key=far.narrative_ref)
    assert Executor().needs(given(far), {}) == (need,)
    assert Executor().needs(given(far), {need.name: answer}) == ()
    assert executed(decided(given(far), {need.name: answer})).triage.grade == 3


def test_triage_and_usage_are_handed_on() -> None:
    record = given(case())
    done = decided(record)
    assert [emit.topic for emit in done.events] == [lane_topic("supervise", "cold"), topic("usage")]
    assert {(emit.key, emit.messageid, emit.workflow, emit.lane) for emit in done.events} == {
        (record.key, record.event.case.message_id, "triage", "cold")
    }
    event = executed(done)
    assert event.case is record.event.case
    assert event.route == record.event.route
    assert [finding.step for finding in event.findings] == list(STEPS)
    usage = done.events[1].event
    assert isinstance(usage, UsageRecorded)
    assert (usage.quantity, usage.cost_micro, event.cost_micro) == (16, 48, 48)
    assert (usage.kind, usage.stage, usage.pass_number, done.pass_number) == (
        "tool_run",
        "tool-executor",
        2,
        2,
    )


@pytest.mark.parametrize("lane", ["cold", "warm", "hot"])
def test_a_serious_text_makes_the_lane_hot(lane: str) -> None:
    done = decided(given(case(narrative="She was hospitalised for a week."), lane=lane))
    assert {emit.lane for emit in done.events} == {"hot"}
    assert done.events[0].topic == lane_topic("supervise", "hot")
    assert executed(done).route.lane == "hot"
    assert (f"raised from {lane} to hot" in done.why) == (lane != "hot")


@pytest.mark.parametrize("lane", ["cold", "warm", "hot"])
@pytest.mark.parametrize(
    "narrative", ["She was not hospitalised, only tired.", "A possible seizure at home, no more."]
)
def test_what_is_not_stated_leaves_the_lane(lane: str, narrative: str) -> None:
    assert executed(decided(given(case(narrative=narrative), lane=lane))).route.lane == lane


def test_an_unknown_step_is_rejected_with_the_nearest_name() -> None:
    outcome = Executor().decide(given(case(), steps=("situation",)), {})
    assert isinstance(outcome, Reject)
    assert outcome.code == "VM-1103"
    assert "did you mean 'situations'" in outcome.why


def test_the_reason_holds_no_text_of_the_case() -> None:
    told = case(
        narrative="Xylophone-Smith was hospitalised.", patient=replace(case().patient, died_on="2026-01-05")
    )
    why = decided(given(told)).why
    assert "Xylophone" not in why
    assert "2026-01-05" not in why
    assert "death (flag)" in why


def test_the_same_input_gives_the_same_outcome() -> None:
    record = given(case(narrative="Possible seizure; no fever."))
    assert decided(record) == decided(record)
