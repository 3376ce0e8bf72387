"""The router: workflow and lane with rule and reason, the floor under the lane, provisional clock and version."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.policy_making import ADULT, AT, DOCUMENT, SIGNED, UNSIGNED, emitted, received
from vigimesh.domain.policy.cards import Cards
from vigimesh.domain.policy.facts import serious_signs
from vigimesh.domain.policy.shipped import with_overlay
from vigimesh.events.case import CRITERIA, Case, Patient, Product, Reaction
from vigimesh.events.classes import CaseRouted, Route
from vigimesh.loop.outcome import Done
from vigimesh.router.route import Router, provisional_seriousness

E2B = dataclasses.replace(
    ADULT, criteria_form="open", products=(Product(name="x", kind="drug"),), country="DE"
)
DRUG = dataclasses.replace(ADULT, products=(Product(name="x", kind="drug"),))
#: A card that never says hot.
COLD = with_overlay(
    {
        "triage.toml": b"extends = 'triage'\n[[lanes]]\nname = 'all'\nwhen = 'true'\nlane = 'cold'\nreason = 'cold is enough'",
        "old.toml": b"extends = 'triage'\nname = 'old'\npriority = 500\nmatch = '1 / (suspects - 2) > 7'",
    },
    "test",
)  # fmt: skip


def route(case: Case, cards: Cards = SIGNED) -> Route:
    verb = Router(cards)
    given_ = received(case)
    assert verb.needs(given_, {}) == ()
    outcome = verb.decide(given_, {})
    assert isinstance(outcome, Done)
    (emit,) = emitted(outcome, CaseRouted)
    event = emit.event
    assert isinstance(event, CaseRouted)
    assert event.case == case
    assert (emit.topic, emit.key) == (f"vigimesh.plan.{event.route.lane}", case.case_id)
    assert (emit.messageid, emit.workflow, emit.lane) == (
        case.message_id,
        event.route.workflow,
        event.route.lane,
    )
    assert event.route.rule in outcome.why
    return event.route


def changed(case: Case, **changes: Any) -> Case:
    return dataclasses.replace(case, **changes)


@pytest.mark.parametrize(
    ("case", "lane", "rule"),
    [
        (ADULT, "cold", "routine"),
        (changed(ADULT, first_received_on="1990-01-01", most_recent_on="1990-01-01"), "cold", "routine"),
        (changed(ADULT, criteria=("hospitalisation",)), "hot", "serious_flag"),
        (changed(ADULT, urgent=True), "hot", "serious_flag"),
        (changed(ADULT, patient=Patient(died_on="2026-02-01")), "hot", "serious_flag"),
        (changed(ADULT, reactions=(Reaction(text="x", outcome="fatal"),)), "hot", "serious_flag"),
        (changed(ADULT, reactions=(Reaction(text="x", highlighted="3"),)), "hot", "serious_flag"),
        (changed(ADULT, reactions=(Reaction(text="x", criteria=("disability",)),)), "hot", "serious_flag"),
        (changed(DRUG, patient=Patient(pregnant="yes")), "warm", "special_situation"),
        (changed(DRUG, situations=("overdose",)), "warm", "special_situation"),
        (E2B, "hot", "clock_near"),  # day 0 is 9 days ago, 15 days run as if serious
        (
            changed(E2B, most_recent_on="2026-02-28", first_received_on="2026-02-28"),
            "warm",
            "seriousness_open",
        ),
        (changed(E2B, most_recent_on="2020-01-01", first_received_on="2020-01-01"), "hot", "clock_near"),
        (DOCUMENT, "cold", "routine"),
        (changed(DOCUMENT, urgent=True), "hot", "urgent"),
        (changed(DOCUMENT, document_kind="regulatory_question"), "warm", "question"),
        (changed(DOCUMENT, document_kind="protocol_amendment", study_id="S-1"), "cold", "protocol"),
        (changed(DOCUMENT, document_kind="quality_complaint"), "warm", "quality"),
        (changed(ADULT, study_id="S-1"), "warm", "study_case"),
    ],
)
def test_each_case_gets_its_lane(case: Case, lane: str, rule: str) -> None:
    found = route(case)
    assert (found.lane, found.rule) == (lane, rule)
    assert route(case, UNSIGNED).lane == lane


def test_reason_clock_version_and_card_travel_with_the_case() -> None:
    found = route(changed(E2B, criteria=("death", "hospitalisation")))
    assert found.version == ("2026-02-20", "2026-02-21")
    assert found.received_at == AT
    assert found.card_digest == SIGNED.fallback.digest
    assert found.clock.rule == "eu_serious_15d"
    assert "death hospitalisation" in found.reason
    assert "eu_serious_15d" in found.reason
    assert (found.pass_number, found.escalation) == (1, "")


def test_the_reason_holds_no_text_of_the_case() -> None:
    case = changed(
        ADULT, narrative="Mrs Miller", title="Mrs Miller", study_id="Miller", report_id="Miller",
        products=(Product(name="Miller"),), reactions=(Reaction(text="Miller", highlighted="4"),),
    )  # fmt: skip
    assert "Miller" not in route(case).reason


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_serious_flag_is_hot_whatever_the_card_says(criterion: str) -> None:
    assert (route(DRUG, COLD).lane, route(DRUG, COLD).rule) == ("cold", "all")
    for serious in (changed(DRUG, criteria=(criterion,)), changed(DRUG, urgent=True)):
        assert (route(serious, COLD).lane, route(serious, COLD).rule) == ("hot", "floor.serious_flag")


@pytest.mark.parametrize(
    ("case", "serious"),
    [
        (ADULT, "no"),
        (changed(ADULT, criteria=("death",)), "yes"),
        (changed(ADULT, criteria=("a new word",)), "yes"),
        (E2B, "unknown"),
        (changed(E2B, reactions=(Reaction(text="x", highlighted="1"),)), "no"),
        (changed(E2B, reactions=(Reaction(text="x", highlighted="1"), Reaction(text="y"))), "unknown"),
        (changed(E2B, reactions=()), "unknown"),
        (changed(E2B, criteria_form="none"), "unknown"),
    ],
)
def test_provisional_seriousness(case: Case, serious: str) -> None:
    assert provisional_seriousness(case, serious_signs(case)) == serious


def test_a_case_on_which_a_rule_failed_is_hot() -> None:
    found = route(changed(DRUG, products=DRUG.products * 2), COLD)
    assert (found.workflow, found.lane, found.rule) == ("triage", "hot", "rule_failed")
    assert "old.toml: match" in found.reason


TEXT = st.text(max_size=12)
CASES = st.builds(
    Case,
    message_id=st.just("m"),
    case_id=st.just("default/x"),
    kind=st.sampled_from(["icsr", "document"]),
    document_kind=TEXT,
    country=st.sampled_from(["DE", "US", "", "ZZ"]),
    most_recent_on=TEXT | st.sampled_from(["2026", "2026-02-28", "UNK"]),
    criteria=st.lists(st.sampled_from(CRITERIA) | TEXT, max_size=2).map(tuple),
    urgent=st.booleans(),
    criteria_form=st.sampled_from(["open", "form", "none"]),
    reactions=st.lists(
        st.builds(Reaction, text=TEXT, highlighted=st.sampled_from(["", "1", "4"])), max_size=2
    ).map(tuple),
    products=st.lists(st.builds(Product, name=TEXT, kind=TEXT), max_size=2).map(tuple),
)


@given(case=CASES, cards=st.sampled_from([SIGNED, UNSIGNED, COLD]))
def test_every_case_is_routed_and_a_flag_is_always_hot(case: Case, cards: Cards) -> None:
    found = route(case, cards)
    assert found == route(case, cards)
    if case.urgent or case.criteria or any(one.highlighted == "4" for one in case.reactions):
        assert found.lane == "hot"
