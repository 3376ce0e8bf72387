"""Cases, routes and triage results from which the tests of cards, router, planner and supervisor start."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from vigimesh.domain.policy.cards import Card, Cards
from vigimesh.domain.policy.limits import Limits
from vigimesh.domain.policy.shipped import shipped_cards
from vigimesh.events.case import Case, Patient, Product, Reaction, Reporter
from vigimesh.events.classes import (
    CaseDecided,
    CaseReceived,
    CaseRouted,
    Finding,
    HeadMoved,
    Plan,
    ReviewRequested,
    Route,
    ToolsExecuted,
    Triage,
)
from vigimesh.loop.outcome import Done, Emit, Input
from vigimesh.supervisor.supervise import Supervisor

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SIGNED: Cards = shipped_cards(True)
UNSIGNED: Cards = shipped_cards(False)

ADULT = Case(
    message_id="0" * 31 + "1",
    case_id="default/DE-ACME-1",
    source_format="vaers",
    criteria_form="form",
    first_received_on="2026-02-20",
    most_recent_on="2026-02-20",
    created_on="2026-02-21",
    country="US",
    reporters=(Reporter(qualification="physician", identified=True),),
    patient=Patient(identified_by=("age", "sex"), age_years=44.0, sex="female"),
    products=(Product(name="Flu vaccine", kind="vaccine", role="suspect"),),
    reactions=(Reaction(text="sore arm", term="Pain in extremity"),),
)
DOCUMENT = Case(
    message_id="0" * 31 + "2", case_id="default/DOC-1", kind="document", document_kind="literature",
    title="A review of nothing",
)  # fmt: skip
CALM = Triage(
    valid=True, serious="no", grade=1, grade_reasons=("no criterion: flag",), listed="yes",
)  # fmt: skip
QUIET_DOCUMENT = Triage(valid=True, serious="no", grade=0)


def received(case: Case) -> Input:
    """Return the router's input."""
    return Input(
        topic="vigimesh.case.received.normal",
        event=CaseReceived(case=case),
        event_id="e",
        key=case.case_id,
        at=AT,
    )


def route_of(workflow: str = "vaccine_triage", **changes: Any) -> Route:
    """Return a route of the first pass in the cold lane."""
    first = Route(
        workflow=workflow, lane="cold", rule="routine", reason="", card_digest="", version=("2026-02-20", "2026-02-21"),
        received_at=AT,
    )  # fmt: skip
    return dataclasses.replace(first, **changes)


def routed(case: Case, route: Route) -> Input:
    """Return the planner's input."""
    event = CaseRouted(case=case, route=route)
    return Input(topic=f"vigimesh.plan.{route.lane}", event=event, event_id="e", key=case.case_id, at=AT)


def executed(case: Case = ADULT, triage: Triage = CALM, **changes: Any) -> ToolsExecuted:
    """Return a triaged case whose tools ran on the tier `tools`."""
    first = ToolsExecuted(
        case=case,
        route=route_of(),
        plan=Plan(tier="tools", steps=SIGNED.fallback.steps),
        findings=(Finding(step="minimum_criteria", result="valid", quotes=("patient.age_years=44",)),),
        triage=triage,
        cost_micro=120,
    )
    return dataclasses.replace(first, **changes)


def supervised(
    event: ToolsExecuted,
    head: HeadMoved | Mapping[str, Any] | None = None,
    *,
    supervisor: Supervisor | None = None,
    tiers: tuple[str, ...] = ("tools",),
    hold: bool = False,
    ceiling: str = "",
) -> Done:
    """Return what the supervisor makes of an event."""
    verb = supervisor or Supervisor(SIGNED)
    given = Input(
        topic=f"vigimesh.supervise.{event.route.lane}",
        event=event,
        event_id="e",
        key=event.case.case_id,
        at=AT,
    )
    answers = {
        f"head:{event.case.case_id}": None if head is None else msgspec.to_builtins(head),
        f"limits:{event.route.lane}/{event.route.workflow}": Limits(
            tiers=tiers, ceiling=ceiling, held="planted" if hold else ""
        ).plain(),
    }
    assert verb.needs(given, answers) == ()
    outcome = verb.decide(given, answers)
    assert isinstance(outcome, Done)
    return outcome


def conclusion(done: Done) -> CaseDecided | ReviewRequested:
    """Return the one conclusion among the events."""
    (found,) = [one.event for one in done.events if isinstance(one.event, CaseDecided | ReviewRequested)]
    assert isinstance(found, CaseDecided | ReviewRequested)
    return found


def emitted(done: Done, cls: type) -> list[Emit]:
    """Return the events of a class."""
    return [one for one in done.events if isinstance(one.event, cls)]


def accepting(card: Card, when: Any) -> Card:
    """Return a card whose only policy rule accepts, and which never escalates."""
    rule = dataclasses.replace(card.policy[-1], name="all", when=when, then="accept", question="")
    never = dataclasses.replace(card.escalation, max_passes=1)
    return dataclasses.replace(card, policy=(rule,), escalation=never)
