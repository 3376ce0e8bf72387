"""P3: out of money means a cheaper tier, then waiting if the clock allows, then a person; no serious case waits for it.

A run whose month has money for half of its opinions, and a certificate from its topics: who waits, and what the tools say
of it when they are asked again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tight_fixture import EACH, MONTH_MICRO, Tight, name_of
from vigimesh.domain.budget.waiting import ROOM
from vigimesh.domain.record.money_waits import Audited, Certificate, Known, certify
from vigimesh.domain.safety.grade import SERIOUS_GRADE
from vigimesh.domain.safety.tools import run_steps
from vigimesh.events.classes import (
    AuditRecorded,
    CaseDecided,
    EventParked,
    EvidenceRetrieved,
    ReviewRequested,
    Triage,
)
from vigimesh.events.topics import LANES
from vigimesh.tool_executor.execute import tools_of

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def parked(tight: Tight) -> list[EventParked]:
    """Return what waits, parked."""
    found: list[EventParked] = tight.mesh.events("parked")
    return found


def triaged(tight: Tight, parked: EventParked) -> Triage:
    """Ask the tools again about a case that waits."""
    event: EvidenceRetrieved = tight.mesh.codec.decode(parked.resume_topic, parked.value)
    return worked_out(event)


def worked_out(event: EvidenceRetrieved) -> Triage:
    steps, text = tools_of(event.plan.steps), event.case.narrative
    return run_steps(steps, event.case, text, event.passages, event.route.received_at)[1]


def test_the_run_was_short_of_money_and_every_case_is_accounted_for(tight: Tight) -> None:
    found = tight.result
    assert (found["lost"], found["duplicated"], found["torn"], found["in_flight"]) == (0, 0, 0, 0)
    assert found["accepted"] == 3 * EACH
    assert 0 < found["model_calls"] < 2 * EACH, "the money must last for some and not for all"
    assert 0 < found["parked"] <= EACH
    assert 0 < found["spend_micro"] <= MONTH_MICRO


def test_no_case_that_waits_could_be_serious_and_each_comes_back_before_its_clock(
    tight: Tight, parked: list[EventParked]
) -> None:
    assert len(parked) == tight.result["parked"]
    for one in parked:
        result = triaged(tight, one)
        assert (result.valid, result.serious) == (True, "no")
        assert result.grade < SERIOUS_GRADE
        assert result.clock.due_at is not None
        assert one.not_before <= result.clock.due_at - ROOM


def test_every_serious_case_and_every_case_not_known_is_with_a_person(tight: Tight) -> None:
    reviews: list[ReviewRequested] = tight.mesh.events("case.review")
    decided: list[CaseDecided] = tight.mesh.events("case.decided")
    asked = {one.case_id for one in reviews if one.serious != "no"}
    serious, unknown = (
        {f"default/{name_of(number)}" for number in range(3 * EACH) if number % 3 == rest} for rest in (0, 1)
    )
    assert serious <= asked
    # Of the others only an answer that was paid for makes one known.
    concluded: list[CaseDecided | ReviewRequested] = [*decided, *reviews]
    told_no = {one.case_id for one in concluded if settled_by_the_model(one)}
    paid: set[str] = {one.case_id for one in tight.mesh.events("usage") if one.kind == "model_call"}
    assert unknown <= asked | told_no
    assert told_no <= paid
    told = [one for one in reviews if one.serious == "unknown"]
    unasked = [
        one.reason for one in told if "large_model says not asked: the budget has no room" in one.reason
    ]
    assert unasked, (
        "some of those that nobody knows of had no opinion for want of money, and their reasons say so"
    )


def settled_by_the_model(one: CaseDecided | ReviewRequested) -> bool:
    reasons = one.triage.grade_reasons if one.triage else ()
    return one.serious == "no" and reasons[0].startswith("large model: serious no")


def test_every_deferred_case_is_listed_with_its_reason(tight: Tight, parked: list[EventParked]) -> None:
    deferred = tight.result["deferred"]
    assert len(deferred) == len(parked)
    assert all(one["reason"].startswith("waits for money: the budget has no room") for one in deferred)
    assert all(datetime.fromisoformat(one["until"]) > tight.ended_at for one in deferred)
    listed = tight.told("case", "list", "--outcome", "parked", "--limit", "0")["cases"]
    assert {one["message_id"] for one in listed} == {one["message_id"] for one in deferred}
    assert all("waits for money" in one["reason"] for one in listed)


def test_audit_says_of_each_that_waits_who_made_it_wait_and_why(
    tight: Tight, parked: list[EventParked]
) -> None:
    audits: list[AuditRecorded] = [one for one in tight.mesh.events("audit") if one.action == "parked"]
    assert {(one.stage, one.event_id) for one in audits} == {
        ("tool-executor", one.event_id) for one in parked
    }
    reasons: dict[str, Any] = {one.event_id: one.reason for one in parked}
    assert all(one.why == reasons[one.event_id] for one in audits)


def test_the_certificate_of_the_whole_record_holds_and_would_not_had_a_serious_case_waited(
    tight: Tight,
) -> None:
    """From `audit`, and the events that it names: worked out by the tools anew, which the mesh was not asked about."""
    found = certified(tight)
    assert found.holds, found
    assert (found.waits, found.back) == (tight.result["parked"], 0)
    # The same record, of which one event is another than the mesh took it for, or is not there.
    assert certified(tight, serious="yes").serious
    assert len(certified(tight, lose=True).unread) == found.waits


def certified(tight: Tight, *, serious: str = "", lose: bool = False) -> Certificate:
    """Return the certificate of the run; `serious` is put in the place of what the tools find, `lose` takes all events away."""
    codec = tight.mesh.codec
    events: dict[str, EvidenceRetrieved] = {}
    ends: dict[str, CaseDecided | ReviewRequested] = {}
    audit = []
    for row in tight.mesh.rows(
        "audit", *(f"execute.{lane}" for lane in LANES), "case.decided", "case.review"
    ):
        if not row.headers.type or row.value is None:
            continue
        event = codec.decode(row.topic, row.value)
        match event:
            case AuditRecorded():
                audit.append(Audited(at=row.at, record=event))
            case EvidenceRetrieved():
                events[row.headers.id] = event
            case CaseDecided() | ReviewRequested():
                ends[row.headers.id] = event

    def known_of(record: AuditRecorded) -> Known | None:
        event = None if lose else events.get(record.event_id)
        if event is None:
            return None
        triage = worked_out(event)
        triage = replace(triage, serious=serious or triage.serious)
        return Known(triage=triage, lane=event.route.lane, received_at=event.route.received_at)

    return certify(audit, known_of, ends, datetime.now(UTC))
