"""The supervisor: exactly one conclusion per version, in any order of arrival; nothing is merged or nullified unseen."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest

from unit.policy_making import (
    ADULT,
    AT,
    CALM,
    DOCUMENT,
    QUIET_DOCUMENT,
    SIGNED,
    conclusion,
    emitted,
    executed,
    route_of,
    supervised,
)
from vigimesh.events.case import Case, Patient
from vigimesh.events.classes import (
    CaseDecided,
    CaseRouted,
    Clock,
    HeadMoved,
    ReviewRequested,
    SeenMessage,
    ToolsExecuted,
    Triage,
)
from vigimesh.events.knowledge import Passage
from vigimesh.loop.outcome import Input
from vigimesh.supervisor.supervise import Supervisor
from vigimesh.supervisor.versions import MAX_SEEN, Version, moved, order, place

V1, V2, V3 = ("2026-02-20", "2026-02-21"), ("2026-02-22", "2026-02-23"), ("2026-02-24", "2026-02-25")


def version(
    message: str, ordinal: Version = V1, amendment: str = "none", triage: Triage = CALM
) -> ToolsExecuted:
    case = dataclasses.replace(ADULT, message_id=message, amendment=amendment)
    return executed(case, triage, route=route_of(version=ordinal))


def told(event: ToolsExecuted, head: HeadMoved | None) -> tuple[str, HeadMoved | None]:
    """Return the outcome in a word (decision, or rule for a person; empty for none), and the head after it."""
    done = supervised(event, head)
    if not done.events:
        return "", head
    found = conclusion(done)
    (after,) = emitted(done, HeadMoved)
    assert isinstance(after.event, HeadMoved)
    assert (after.topic, after.key) == ("vigimesh.case.head", event.case.case_id)
    return (found.decision if isinstance(found, CaseDecided) else found.rule), after.event


def test_needs_are_the_head_and_the_limits() -> None:
    given = Input(topic="t", event=version("a"), event_id="e", key="k", at=AT)
    needs = Supervisor(SIGNED).needs(given, {})
    assert [need.name for need in needs] == ["head:default/DE-ACME-1", "limits:cold/vaccine_triage"]
    assert Supervisor(SIGNED).needs(given, {need.name: {} for need in needs}) == ()


A, B, C = version("a", V1), version("b", V2), version("c", V3)
NULL = version("n", V3, "nullification")
TWIN = version("twin", V1)

#: messages in the order of their arrival -> what each ends as ("" = a repeat, nothing).
ARRIVALS: list[tuple[tuple[ToolsExecuted, ...], tuple[str, ...]]] = [
    ((A, B, C), ("auto_accepted", "auto_accepted", "auto_accepted")),
    ((A, C, B), ("auto_accepted", "auto_accepted", "superseded")),
    ((C, B, A), ("auto_accepted", "superseded", "superseded")),
    ((B, A, C), ("auto_accepted", "superseded", "auto_accepted")),
    ((A, A), ("auto_accepted", "")),
    ((B, A, A, B), ("auto_accepted", "superseded", "", "")),
    ((A, TWIN), ("auto_accepted", "conflict")),
    ((TWIN, A), ("auto_accepted", "conflict")),
    ((B, A, TWIN), ("auto_accepted", "superseded", "conflict")),
    ((A, TWIN, TWIN, A), ("auto_accepted", "conflict", "", "")),
    ((A, B, NULL), ("auto_accepted", "auto_accepted", "nullification")),
    ((A, NULL, B), ("auto_accepted", "nullification", "nullified")),
    ((NULL, A, B), ("nullification_first", "nullified", "nullified")),
    ((NULL, NULL, A), ("nullification_first", "", "nullified")),
    ((A, NULL, version("late", ("2026-02-26", "x"))), ("auto_accepted", "nullification", "after_nullification")),
    ((A, C, version("n2", V2, "nullification")), ("auto_accepted", "auto_accepted", "nullification_overtaken")),
    ((A, version("n3", V1, "nullification")), ("auto_accepted", "conflict")),
    ((A, B, version("n3", V1, "nullification"), C), ("auto_accepted", "auto_accepted", "conflict", "auto_accepted")),
    ((B, version("month", ("2026-02", ""))), ("auto_accepted", "order_unknown")),
    ((version("none", ("", "")), A), ("auto_accepted", "order_unknown")),
    ((version("none", ("", "")), version("none too", ("", ""))), ("auto_accepted", "conflict")),
    ((version("x", ("", "2026-01-01")), version("y", ("", "2026-01-02"))), ("auto_accepted", "auto_accepted")),
    ((A, version("amended", V2, "amendment")), ("auto_accepted", "auto_accepted")),
]  # fmt: skip


@pytest.mark.parametrize(("messages", "expected"), ARRIVALS)
def test_versions_end_by_their_order_of_arrival(
    messages: tuple[ToolsExecuted, ...], expected: tuple[str, ...]
) -> None:
    head: HeadMoved | None = None
    outcomes = []
    for message in messages:
        outcome, head = told(message, head)
        outcomes.append(outcome)
    assert tuple(outcomes) == expected


@pytest.mark.parametrize("last", [C, NULL, TWIN])
def test_every_message_has_exactly_one_outcome_in_any_order(last: ToolsExecuted) -> None:
    messages = (A, B, last)
    for arrival in set(itertools.permutations((*messages, *messages))):
        head: HeadMoved | None = None
        outcomes: dict[str, list[str]] = {}
        for message in arrival:
            outcome, head = told(message, head)
            outcomes.setdefault(message.case.message_id, []).append(outcome)
        assert head is not None
        for seen in outcomes.values():
            assert len([one for one in seen if one]) == 1
            assert seen[0]  # the first arrival concludes, repeats do not
        assert {one.message_id for one in head.seen} == {message.case.message_id for message in messages}
        assert head.newest == max(message.route.version for message in messages)
        assert head.nullified is (last is NULL)
        newest = outcomes[max(messages, key=lambda one: one.route.version).case.message_id]
        assert "superseded" not in newest


def test_a_conflict_keeps_both_and_names_the_other() -> None:
    _, head = told(A, None)
    found = conclusion(supervised(TWIN, head))
    assert isinstance(found, ReviewRequested)
    assert found.conflict_with == "a"
    assert found.case == TWIN.case
    assert "same version" in found.reason


def test_a_serious_newer_version_is_never_superseded_by_a_date_that_is_too_coarse() -> None:
    _, head = told(B, None)
    serious = dataclasses.replace(CALM, serious="yes", grade=5)
    assert told(version("late", ("2026", ""), triage=serious), head)[0] == "order_unknown"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (V1, V2, "before"), (V2, V1, "after"), (V1, V1, "same"),
        (("2026-02-20", "a"), ("2026-02-20", "b"), "before"),
        (("2026-02-20", ""), ("2026-02-20", "b"), "unknown"),
        (("2026-02", "a"), ("2026-02-20", "b"), "unknown"),
        (("2026-02-20", "a"), ("2026-02-20T10:00:00Z", "b"), "unknown"),
        (("2026-02", "a"), ("2026-03-01", "b"), "before"),
        (("", "a"), ("2026", "b"), "unknown"),
        ((), ("2026", "b"), "unknown"),
    ],
)  # fmt: skip
def test_order_is_said_only_where_it_is_known(one: Version, other: Version, expected: str) -> None:
    assert order(one, other) == expected
    mirrored = {"before": "after", "after": "before"}.get(expected, expected)
    assert order(other, one) == mirrored


def test_what_is_remembered_is_bounded() -> None:
    head: HeadMoved | None = None
    for number in range(MAX_SEEN + 10):
        seen = SeenMessage(message_id=str(number), version=(f"{number:04}", ""), outcome="decided")
        head = moved(head, "c", seen, nullified=False)
    assert head is not None
    assert len(head.seen) == MAX_SEEN
    assert head.newest_message_id == str(MAX_SEEN + 9)
    assert place(str(MAX_SEEN + 9), ("x", ""), head).standing == "repeat"
    assert place("new", ("0003", "z"), head).standing == "overtaken"


def test_the_newest_version_stays_known_when_it_is_remembered_no_more() -> None:
    seen = SeenMessage(message_id="old", version=V1, outcome="decided")
    head = HeadMoved(case_id="c", newest=V3, newest_message_id="newest", seen=(seen,))
    found = place("other", V3, head)
    assert (found.standing, found.against) == ("conflict", "newest")


def escalating(**changes: Any) -> ToolsExecuted:
    told_of = dataclasses.replace(QUIET_DOCUMENT, grade=3, serious="unknown", flags=("event_in_document",))
    event = executed(DOCUMENT, told_of, route=route_of("literature_scan", **changes))
    steps = SIGNED.named("literature_scan")
    assert steps is not None
    planned = dataclasses.replace(event.plan, steps=steps.steps_of(event.route.pass_number))
    return dataclasses.replace(event, plan=planned)


def test_an_escalation_is_the_plan_event_with_its_pass_and_moves_no_head() -> None:
    event = escalating()
    done = supervised(event)
    (emit,) = done.events
    assert isinstance(emit.event, CaseRouted)
    again = emit.event.route
    assert emit.topic == "vigimesh.plan.cold"
    assert (emit.messageid, emit.workflow, emit.lane) == (DOCUMENT.message_id, "literature_scan", "cold")
    assert again.pass_number == 2
    assert "steps minimum_criteria, dates, situations" in again.escalation
    assert (again.version, again.received_at, again.workflow) == (V1, AT, "literature_scan")
    second = conclusion(supervised(escalating(pass_number=2)))
    assert isinstance(second, ReviewRequested)
    assert second.pass_number == 2
    assert second.rule == "escalation"


def test_a_person_is_told_that_an_order_kept_a_tier_from_a_case() -> None:
    event = escalating(pass_number=2)
    card = SIGNED.named("literature_scan")
    assert card is not None
    told = [
        conclusion(supervised(event, ceiling=ceiling)).reason
        for ceiling in ("", "its month has 0.05 EUR left: cold may ask up to small")
    ]
    assert "no further pass would bring anything new." in told[0]
    assert (
        "anything new (a ceiling is ordered: its month has 0.05 EUR left: cold may ask up to small)"
        in told[1]
    )


def test_a_newer_version_overtakes_one_that_is_on_its_second_pass() -> None:
    _, head = told(dataclasses.replace(B, case=dataclasses.replace(DOCUMENT, message_id="b")), None)
    found = conclusion(supervised(escalating(pass_number=2), head))
    assert isinstance(found, CaseDecided)
    assert found.decision == "superseded"
    assert "floor" not in found.reason


def test_what_a_decision_carries() -> None:
    passage = Passage(document_id="D", version="3", section="s", start=0, end=1, text="x", score=1.0)
    due = Clock(rule="eu_non_serious_90d", source="law", due_at=AT)
    event = dataclasses.replace(
        version("a", triage=dataclasses.replace(CALM, clock=due)), passages=(passage, passage), cost_micro=77
    )
    done = supervised(event)
    found = conclusion(done)
    assert isinstance(found, CaseDecided)
    assert (found.case_id, found.message_id, found.version) == (event.case.case_id, "a", V1)
    assert (found.workflow, found.lane, found.tier) == ("vaccine_triage", "cold", "tools")
    assert (found.decision, found.rule) == ("auto_accepted", "routine")
    assert (found.labels, found.cost_micro, found.due_at) == (("D@3",), 77, AT)
    assert found.triage == event.triage
    card = SIGNED.named("vaccine_triage")
    assert card is not None
    assert found.card_digest == card.digest
    for emit in done.events:
        assert (emit.key, emit.messageid) == (event.case.case_id, "a")
        assert (emit.workflow, emit.lane) == ("vaccine_triage", "cold")
    assert [emit.topic for emit in done.events] == ["vigimesh.case.decided", "vigimesh.case.head"]


def test_what_a_person_is_given() -> None:
    serious = dataclasses.replace(CALM, serious="yes", grade=3, grade_reasons=("hospitalisation (flag)",))
    event = version("a", triage=serious)
    found = conclusion(supervised(event))
    assert isinstance(found, ReviewRequested)
    assert (found.rule, found.case, found.findings) == ("serious", event.case, event.findings)
    assert found.question
    assert "hospitalisation (flag)" in found.reason


@pytest.mark.parametrize(
    ("case", "rule", "due"),
    [
        (ADULT, "non_valid", None),
        (dataclasses.replace(ADULT, patient=Patient(died_on="2026-02-27")), "non_valid_death", AT),
    ],
)
def test_a_non_valid_report_is_followed_up_and_a_death_at_once(case: Case, rule: str, due: Any) -> None:
    triage = dataclasses.replace(CALM, valid=False, missing=("reporter",))
    found = conclusion(supervised(executed(case, triage)))
    assert isinstance(found, ReviewRequested)
    assert (found.rule, found.due_at) == (rule, due)
    assert "reporter" in found.question


def test_a_workflow_whose_card_is_gone_is_for_a_person() -> None:
    found = conclusion(supervised(executed(route=route_of("retired"))))
    assert isinstance(found, ReviewRequested)
    assert (found.rule, found.workflow) == ("card_unknown", "retired")
