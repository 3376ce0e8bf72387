"""The tool-executor's verb where the small tier is planned: what it asks, and what becomes of a score."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from unit.safety_making import AT, STEPS, case
from vigimesh.domain.cascade.model import Absent
from vigimesh.domain.cascade.resolved import SMALL_STEP
from vigimesh.domain.cascade.shipped import SERIOUS, shipped_model
from vigimesh.domain.cascade.small import Asked
from vigimesh.domain.policy.cards import Cards
from vigimesh.domain.policy.shipped import shipped_cards
from vigimesh.events.case import Case, Product, Reaction
from vigimesh.events.classes import EvidenceRetrieved, Plan, Route, ToolsExecuted, UsageRecorded
from vigimesh.events.ids import digest
from vigimesh.events.topics import lane_topic
from vigimesh.loop.outcome import Done, Input
from vigimesh.tool_executor.execute import Executor
from vigimesh.tool_executor.scoring import KIND, Scoring, score_fetcher

CARDS = shipped_cards(True)
EXECUTOR = Executor(price_micro=3, scoring=Scoring(cards=CARDS))
MILD = "Pt had a sore arm and slight redness after the injection, it went away within a day."


def report(text: str = MILD, **changes: Any) -> Case:
    """Return a report like those that the shipped model was certified on, of which no field says anything."""
    given = {
        "products": (
            Product(
                name="flu3",
                role="suspect",
                kind="vaccine",
                started_on="1997-05-20",
                manufacturer="CONNAUGHT LABORATORIES",
                dose="1",
                route="IM",
            ),
        ),
        "reactions": (Reaction(term="Headache", onset_on="1997-05-20"),),
        "source_format": "vaers",
        "first_received_on": "1997-06-01",
        "criteria_form": "none",
    }
    return case(narrative=text, **given | changes)


def given(of: Case, *, lane: str = "cold", tier: str = "small", workflow: str = "vaccine_triage") -> Input:
    route = Route(
        workflow=workflow, lane=lane, rule="routine", reason="", card_digest="c" * 64, received_at=AT,
        version=("1997-06-01", "1997-06-02"),
    )  # fmt: skip
    event = EvidenceRetrieved(case=of, route=route, plan=Plan(tier=tier, steps=STEPS))
    return Input(topic=lane_topic("execute", lane), event=event, event_id="e" * 32, key=of.case_id, at=AT)


def fetched(record: Input, model: Any = None) -> dict[str, Any]:
    """Ask the verb and answer it as the worker does."""
    (need,) = EXECUTOR.needs(record, {})
    fetch = score_fetcher(lambda: model or shipped_model(SERIOUS))
    (told,) = asyncio.run(_all(fetch, need))
    assert EXECUTOR.needs(record, {need.name: told}) == ()
    return {need.name: told}


async def _all(fetch: Any, need: Any) -> Any:
    return await fetch([need])


def decided(record: Input, answers: dict[str, Any]) -> tuple[ToolsExecuted, Done]:
    outcome = EXECUTOR.decide(record, answers)
    assert isinstance(outcome, Done)
    event = outcome.events[0].event
    assert isinstance(event, ToolsExecuted)
    return event, outcome


def test_a_planned_pass_asks_for_one_score_with_what_its_card_wants() -> None:
    (need,) = EXECUTOR.needs(given(report()), {})
    assert (need.kind, need.name) == (KIND, "score:serious")
    assert isinstance(need.asked, Asked)
    assert (need.asked.text, need.asked.rule.recall) == (MILD, Fraction(97, 100))


@pytest.mark.parametrize("tier", ["tools", "large", "person"])
def test_nothing_is_asked_where_it_was_not_planned(tier: str) -> None:
    record = given(report(), tier=tier)
    assert EXECUTOR.needs(record, {}) == ()
    if tier != "large":
        assert all(one.step != SMALL_STEP for one in decided(record, {})[0].findings)


def test_a_long_narrative_is_fetched_first_and_then_scored() -> None:
    long = MILD * 1_000
    far = report("", narrative_ref=digest(long.encode()))
    (text,) = EXECUTOR.needs(given(far), {})
    assert text.kind == "object"
    (need,) = EXECUTOR.needs(given(far), {text.name: long})
    assert need.asked.text == long


def test_a_mild_report_is_settled_and_a_person_can_read_why() -> None:
    record = given(report())
    event, outcome = decided(record, fetched(record))
    assert (event.triage.serious, event.triage.grade) == ("no", 2)
    finding = event.findings[-1]
    assert (finding.step, finding.result) == (SMALL_STEP, "not_serious")
    assert "recall >= 0.97" in finding.detail
    assert finding.quotes
    # The reason of the audit holds figures, never words of the case: the terms stand in the finding.
    assert not any(quote.rsplit(" ", 1)[0] in outcome.why for quote in finding.quotes if " " in quote)


def test_the_tools_alone_are_priced_as_runs() -> None:
    record = given(report())
    event, outcome = decided(record, fetched(record))
    (used,) = (one.event for one in outcome.events if isinstance(one.event, UsageRecorded))
    assert (used.quantity, used.cost_micro) == (len(event.findings) - 1, 3 * (len(event.findings) - 1))


def test_what_the_tools_decide_is_not_asked_of_the_model() -> None:
    record = given(report("The patient was hospitalized for two days with a rash after the injection."))
    event, _ = decided(record, fetched(record))
    assert (event.triage.serious, event.findings[-1].result) == ("yes", "not_asked")


def test_a_high_score_makes_a_case_serious_and_hot() -> None:
    record = given(report())
    answers = fetched(record)
    (name,) = answers
    event, outcome = decided(record, {name: answers[name] | {"probability": 0.9, "margin": 3.0}})
    assert (event.triage.serious, event.triage.grade, event.route.lane) == ("yes", 3, "hot")
    assert outcome.events[0].topic == lane_topic("supervise", "hot")


def test_without_a_model_the_case_is_handed_on_with_the_reason() -> None:
    record = given(report())
    event, _ = decided(record, fetched(record, Absent(why="VM-2201 it was altered")))
    assert event.triage.serious == "unknown"
    assert (event.findings[-1].result, "VM-2201" in event.findings[-1].detail) == ("handed_on", True)


def test_a_card_that_is_gone_leaves_what_the_fallback_wants() -> None:
    (need,) = EXECUTOR.needs(given(report(), workflow="gone"), {})
    assert need.asked.rule == CARDS.fallback.cascade


def test_a_stricter_card_settles_less() -> None:
    card = CARDS.named("vaccine_triage")
    assert card is not None
    strict = replace(card, cascade=replace(card.cascade, recall=Fraction(999, 1000)))
    others = tuple(one for one in CARDS.cards if one.name != card.name)
    verb = Executor(scoring=Scoring(cards=Cards(cards=(strict, *others), origin="test")))
    record = given(report())
    (need,) = verb.needs(record, {})
    (told,) = asyncio.run(_all(score_fetcher(lambda: shipped_model(SERIOUS)), need))
    outcome = verb.decide(record, {need.name: told})
    assert isinstance(outcome, Done)
    event: Any = outcome.events[0].event
    assert (event.triage.serious, event.findings[-1].detail.split(";")[0]) == (
        "unknown", "the model has no certificate of recall >= 0.999 at 95%",
    )  # fmt: skip
