"""The tool-executor's verb where an opinion is planned: what it asks, and what becomes of each answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from unit.safety_making import AT, STEPS, case
from vigimesh.domain.budget.waiting import SPREAD, WAITS
from vigimesh.domain.cascade.opinion import Model
from vigimesh.domain.cascade.question import Answer, Tokens
from vigimesh.domain.policy.shipped import shipped_cards
from vigimesh.events.case import Case, Patient
from vigimesh.events.classes import EvidenceRetrieved, Finding, Plan, Route, ToolsExecuted, UsageRecorded
from vigimesh.events.topics import lane_topic, topic
from vigimesh.loop.outcome import Done, Input, Need, Park
from vigimesh.tool_executor.execute import Executor
from vigimesh.tool_executor.opinions import MISSING, Opinions
from vigimesh.tool_executor.purchase import REASONS, Paid, Purchase, Reason, Unpaid, plain, told_of

OPENS = datetime(2026, 4, 1, tzinfo=UTC)
MODEL = Model(name="standin-1", deadline_s=30)
EXECUTOR = Executor(price_micro=3, opinions=Opinions(model=MODEL, cards=shipped_cards(True)))


def given(of: Case, *, lane: str = "cold", workflow: str = "triage", tier: str = "large") -> Input:
    route = Route(
        workflow=workflow, lane=lane, rule="routine", reason="", card_digest="c" * 64, received_at=AT, pass_number=2,
        version=("2026-03-02", "2026-03-09"), cost_micro=21,
    )  # fmt: skip
    event = EvidenceRetrieved(case=of, route=route, plan=Plan(tier=tier, steps=STEPS))
    return Input(topic=lane_topic("execute", lane), event=event, event_id="e" * 32, key=of.case_id, at=AT)


def need_of(record: Input) -> Need:
    (need,) = EXECUTOR.needs(record, {})
    return need


def paid(need: Need, text: str) -> Paid:
    answer = Answer(
        text=text, tokens=Tokens(prompt=300, cached=0, completion=12), finish="stop", model="standin-1"
    )
    return Paid(call_id=need.key, at=AT, answer=answer, cost_micro=870, currency="EUR")


def decide(record: Input, told: Paid | Unpaid) -> Done | Park:
    outcome = EXECUTOR.decide(record, {need_of(record).name: plain(told)})
    assert isinstance(outcome, Done | Park)
    return outcome


def done(record: Input, told: Paid | Unpaid) -> tuple[ToolsExecuted, Finding]:
    """Return what was handed on, and what was found of the opinion."""
    outcome = decide(record, told)
    assert isinstance(outcome, Done), outcome
    event: Any = outcome.events[0].event
    assert event.findings[-1].step == "large_model"
    return event, event.findings[-1]


def test_what_is_asked_names_the_call_and_what_its_card_may_spend() -> None:
    record = given(case())
    need = need_of(record)
    wanted = need.asked
    assert isinstance(wanted, Purchase)
    assert (need.kind, need.key) == ("model", need_of(record).key)
    assert (wanted.workflow, wanted.pass_number, wanted.version) == ("triage", 2, "2026-03-02/2026-03-09")
    assert (wanted.caps.case_micro, wanted.caps.currency) == (50_000, "EUR")
    assert need_of(given(case(criteria=("death",)))).key != need.key
    assert EXECUTOR.needs(record, {need.name: plain(paid(need, ""))}) == ()


@pytest.mark.parametrize("tier", ["tools", "small", "person"])
def test_nothing_is_asked_where_no_opinion_is_planned(tier: str) -> None:
    assert EXECUTOR.needs(given(case(), tier=tier), {}) == ()


@pytest.mark.parametrize(
    ("executor", "record"),
    [
        (Executor(), given(case())),
        (EXECUTOR, given(case(), workflow="gone")),
        (EXECUTOR, given(case(kind="document", document_kind="literature"))),
    ],
)
def test_where_nobody_can_be_asked_the_tier_is_absent_and_the_tools_stand(
    executor: Executor, record: Input
) -> None:
    assert executor.needs(record, {}) == ()
    outcome = executor.decide(record, {})
    assert isinstance(outcome, Done)
    event: Any = outcome.events[0].event
    assert event.findings[-1].result.startswith("not asked: ")
    assert [emit.topic for emit in outcome.events] == [lane_topic("supervise", "cold"), topic("usage")]


def test_an_answer_that_says_serious_raises_the_case_and_its_lane_and_is_paid_for() -> None:
    record = given(case())
    told = paid(need_of(record), '{"serious": "yes", "grade": 4}')
    event, finding = done(record, told)
    assert (event.triage.serious, event.triage.grade, event.route.lane) == ("yes", 4, "hot")
    assert event.cost_micro == 21 + len(STEPS) * 3 + 870
    assert finding.result == "serious yes, grade 4"
    outcome = decide(record, told)
    assert isinstance(outcome, Done)
    used: Any = outcome.events[2].event
    assert isinstance(used, UsageRecorded)
    assert (used.kind, used.tier, used.name, used.quantity, used.unit) == (
        "model_call", "large", "standin-1", 312, "tokens",
    )  # fmt: skip
    assert (used.cost_micro, used.call_id, used.called_at) == (870, told.call_id, told.at)


def test_an_answer_that_says_not_serious_lowers_nothing() -> None:
    record = given(case(narrative="She was hospitalised.", criteria=("hospitalisation",)))
    event, _ = done(record, paid(need_of(record), '{"serious": "no", "grade": 0}'))
    assert (event.triage.serious, event.triage.grade) == ("yes", 3)


@pytest.mark.parametrize("text", ["", "no", '{"serious": "no", "grade": 1, "lane": "cold"}'])
def test_an_answer_out_of_its_schema_is_paid_for_and_changes_nothing(text: str) -> None:
    record = given(case())
    event, finding = done(record, paid(need_of(record), text))
    assert finding.result == "no opinion"
    assert MISSING in event.triage.flags
    assert (event.triage.serious, event.cost_micro) == ("no", 21 + len(STEPS) * 3 + 870)


@pytest.mark.parametrize("reason", sorted(set(REASONS) - set(WAITS)))
def test_without_an_answer_the_tools_stand_and_the_reason_is_told(reason: str) -> None:
    record = given(case())
    told = Unpaid(call_id=need_of(record).key, reason=reason, detail="so", retry_at=OPENS, counted_micro=5)  # type: ignore[arg-type]
    event, finding = done(record, told)
    assert finding.result == f"not asked: {told.why}"
    assert MISSING in event.triage.flags, "no rule may take the absence of the tier for its word"
    assert event.cost_micro == 21 + len(STEPS) * 3


def test_out_of_money_a_case_that_is_not_serious_waits_until_there_is_room() -> None:
    record = given(case())
    denied = Unpaid(
        call_id=need_of(record).key, reason="denied", detail="0.01 asked, 0.00 left", retry_at=OPENS
    )
    outcome = decide(record, denied)
    assert isinstance(outcome, Park)
    assert OPENS <= outcome.not_before < OPENS + SPREAD
    assert "waits for money: the budget has no room for it (0.01 asked, 0.00 left)" in outcome.why


def test_gathered_for_a_batch_a_case_that_is_not_serious_waits_until_its_answer_is_there() -> None:
    need = need_of(given(case()))
    assert isinstance(need.asked, Purchase)
    may = need.asked.may_wait
    assert may is not None
    assert (may.lane, may.received_at, may.triage.serious) == ("cold", AT, "no")
    outcome = decide(given(case()), Unpaid(call_id=need.key, reason="gathered", retry_at=OPENS))
    assert isinstance(outcome, Park)
    assert OPENS <= outcome.not_before < OPENS + SPREAD
    assert outcome.why.startswith("waits for its answer: it waits for a batch, which costs less")


@pytest.mark.parametrize("reason", sorted(WAITS))
@pytest.mark.parametrize(
    ("changes", "lane"),
    [
        ({"criteria": ("hospitalisation",)}, "cold"),
        ({"narrative": "A possible seizure at home, nothing else is known."}, "cold"),
        ({"reporters": ()}, "cold"),
        ({"first_received_on": "2025-12-20", "most_recent_on": "2025-12-20"}, "cold"),
        ({}, "hot"),
    ],
)
def test_whatever_may_not_wait_goes_on_at_once(changes: dict[str, Any], lane: str, reason: Reason) -> None:
    record = given(case(**changes), lane=lane)
    unpaid = Unpaid(call_id=need_of(record).key, reason=reason, retry_at=OPENS)
    _, finding = done(record, unpaid)
    assert finding.result == f"not asked: {REASONS[reason]}"


@pytest.mark.parametrize("age", [float("nan"), float("inf"), -3.0])
def test_a_case_whose_facts_make_no_question_goes_on(age: float) -> None:
    assert EXECUTOR.needs(
        given(case(patient=Patient(identified_by=("age",), age_years=age, sex="female"))), {}
    )
    broken = Executor(opinions=Opinions(model=Model(name="", deadline_s=30), cards=shipped_cards(True)))
    assert broken.needs(given(case()), {}) == ()
    assert isinstance(broken.decide(given(case()), {}), Done)


def test_what_was_told_is_read_again_without_the_model_and_under_another_name() -> None:
    """P7: a replay has the answers, and no endpoint."""
    record = given(case())
    need = need_of(record)
    answers = {need.name: plain(paid(need, '{"serious": "yes", "grade": 4}'))}
    other = replace(
        EXECUTOR, opinions=Opinions(model=Model(name="other", deadline_s=5), cards=shipped_cards(True))
    )
    without = replace(EXECUTOR, opinions=None)
    assert (
        EXECUTOR.decide(record, answers) == other.decide(record, answers) == without.decide(record, answers)
    )
    assert other.needs(record, answers) == without.needs(record, answers) == ()


def test_what_is_told_comes_back_from_plain_values() -> None:
    need = need_of(given(case()))
    for told in (
        paid(need, "text"),
        Unpaid(call_id=need.key, reason="denied", detail="so", retry_at=OPENS, counted_micro=3),
        Unpaid(call_id=need.key, reason="shut"),
    ):
        assert told_of(plain(told)) == told
    assert replace(need, asked=None) == need, (
        "what is asked is no part of the name under which an answer is kept"
    )
