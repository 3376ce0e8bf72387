"""What happens to a triaged case: rules in order, escalation only for something new, the safe side when a rule fails."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from unit.policy_making import ADULT, AT, CALM, DOCUMENT, QUIET_DOCUMENT, SIGNED, executed, route_of
from vigimesh.domain.policy import facts
from vigimesh.domain.policy.cards import Card, Verdict
from vigimesh.domain.policy.cel import Rule, compile_rule
from vigimesh.domain.policy.facts import Known
from vigimesh.domain.policy.tiers import dearer, ladder, tier_for, usable
from vigimesh.domain.policy.verdict import judge
from vigimesh.events.classes import Plan, Triage

CARD = SIGNED.fallback


def rule(source: str) -> Rule:
    return compile_rule(source, "card.toml: x", facts.samples(facts.POLICY))


def card(
    policy: dict[str, Verdict], *, when: str = "false", steps: tuple[str, ...] = (), passes: int = 3
) -> Card:
    """Return the fallback card with policy rules (`when: then`, in order) and an escalation."""
    rules = tuple(
        dataclasses.replace(
            CARD.policy[0], name=f"rule_{place}", when=rule(source), then=then,
            question="" if then == "accept" else "What now?",
        )
        for place, (source, then) in enumerate(policy.items())
    )  # fmt: skip
    escalation = dataclasses.replace(CARD.escalation, when=rule(when), steps=steps, max_passes=passes)
    return dataclasses.replace(CARD, policy=rules, escalation=escalation, steps=("clock",))


def known(
    triage: Triage = CALM, *, number: int = 1, tiers: tuple[str, ...] = ("tools",), **plan: Any
) -> Known:
    event = executed(triage=triage, route=route_of("triage", pass_number=number))
    planned = Plan(**{"tier": "tools", "steps": ("clock",), **plan})
    return Known(
        case=ADULT, clock=triage.clock, at=AT, route=event.route, plan=planned, triage=triage, tiers=tiers
    )


def test_the_first_rule_that_holds_decides() -> None:
    found = judge(
        known(), card({"grade > 1": "review", "grade == 1": "accept", "true": "review"}), hold=False
    )
    assert (found.then, found.rule) == ("accept", "rule_1")


def test_no_rule_or_a_failing_rule_is_for_a_person() -> None:
    assert judge(known(), card({"grade > 1": "accept"}), hold=False).rule == "no_rule"
    failed = judge(known(number=2), card({"1 / (2 - pass_number) > 5": "accept"}), hold=False)
    assert (failed.then, failed.rule) == ("review", "rule_failed")
    assert "VM-1105" in failed.reason
    unsure = judge(known(number=2), card({"true": "accept"}, when="1 / (2 - pass_number) > 5"), hold=False)
    assert (unsure.then, unsure.rule) == ("review", "rule_failed")


@pytest.mark.parametrize(
    ("tiers", "number", "plan", "steps", "passes", "then"),
    [
        (("tools",), 1, {}, (), 3, "review"),  # nothing new
        (("tools", "large"), 1, {}, (), 3, "escalate"),  # a dearer tier
        (("tools", "small"), 1, {}, (), 3, "review"),  # a form needs no reading
        (("tools", "small"), 2, {"tier": "small"}, (), 3, "review"),  # used already
        (("tools", "small", "large"), 2, {"tier": "small"}, (), 3, "escalate"),
        (("tools", "small", "large"), 3, {"tier": "small"}, (), 3, "review"),  # passes used up
        (("tools",), 1, {}, ("dates",), 2, "escalate"),  # a further step
        (("tools",), 2, {"steps": ("clock", "dates")}, ("dates",), 3, "review"),  # run already
        (("tools",), 1, {}, ("dates",), 1, "review"),
        (("tools", "person"), 1, {}, (), 3, "review"),
    ],
)
def test_escalation_needs_something_new(
    tiers: tuple[str, ...], number: int, plan: dict[str, Any], steps: tuple[str, ...], passes: int, then: str
) -> None:
    by_rule = card({"true": "accept"}, when="grade == 1", steps=steps, passes=passes)
    by_policy = card({"true": "escalate"}, steps=steps, passes=passes)
    for which in (by_rule, by_policy):
        found = judge(known(number=number, tiers=tiers, **plan), which, hold=False)
        assert found.then == then
        assert found.question if then == "review" else "the next pass brings" in found.reason


@pytest.mark.parametrize(
    ("policy", "question"),
    [
        ({"grade > 1": "review", "true": "review"}, "rule_1?"),
        ({"grade == 1": "accept", "true": "review"}, "confirm the triage result"),
        ({"grade > 1": "review"}, "confirm the triage result"),
        ({"1 / (2 - pass_number) > 5": "review", "true": "review"}, "confirm the triage result"),
    ],
)
def test_where_no_pass_brings_anything_new_a_person_is_asked_what_the_policy_asks(
    policy: dict[str, Verdict], question: str
) -> None:
    """A rule that would accept asks nothing, and does not accept what was to be looked at again."""
    made = card(policy, when="true", passes=1)
    rules = tuple(
        dataclasses.replace(one, question=f"{one.name}?" if one.question else "") for one in made.policy
    )
    found = judge(known(number=2), dataclasses.replace(made, policy=rules), hold=False)
    assert (found.then, found.rule) == ("review", "escalation")
    assert question in found.question


EVENT = dataclasses.replace(QUIET_DOCUMENT, serious="unknown", grade=3, flags=("event_in_document",))


@pytest.mark.parametrize(
    ("kind", "question"),
    [
        ("literature", "Does this article describe an identifiable patient"),
        ("protocol_amendment", "Does this amendment change reporting duties"),
        ("regulatory_question", "Answer the regulator"),
        ("label", "Which reference safety information changes"),
        ("vendor_mail", "Does this mail tell of an adverse event?"),
        ("quality_complaint", "Hand this to quality assurance"),
    ],
)
def test_a_document_that_was_looked_at_twice_ends_with_the_question_of_its_kind(
    kind: str, question: str
) -> None:
    """By the shipped cards, after the last pass that they permit."""
    document = dataclasses.replace(DOCUMENT, document_kind=kind)
    one = Known(case=document, clock=EVENT.clock, at=AT, route=route_of(), triage=EVENT, tiers=("tools",))
    shipped = next(one_card for one_card in SIGNED.cards if one_card.match.holds(facts.Readings(one)))
    last = shipped.escalation.max_passes
    plan = Plan(tier="tools", steps=shipped.steps_of(last))
    after = dataclasses.replace(one, plan=plan, route=route_of(shipped.name, pass_number=last))
    found = judge(after, shipped, hold=False)
    assert found.then == "review"
    assert question in found.question


@pytest.mark.parametrize("missing", [("patient",), ("reporter", "product")])
def test_a_non_valid_case_is_chased(missing: tuple[str, ...]) -> None:
    triage = dataclasses.replace(CALM, valid=False, missing=missing)
    found = judge(known(triage, tiers=("tools", "small")), card({"true": "accept"}, when="true"), hold=False)
    assert (found.then, found.rule) == ("review", "non_valid")
    for name in missing:
        assert name in found.question
    dead = judge(known(dataclasses.replace(triage, flags=("death",))), card({"true": "accept"}), hold=False)
    assert dead.rule == "non_valid_death"
    assert "at once" in dead.question


ALL = ("tools", "small", "large")


@pytest.mark.parametrize(
    ("permitted", "available", "form", "climb"),
    [
        (ALL, ("tools", "person"), True, ("tools",)),
        (ALL, ("tools", "person"), False, ("tools",)),
        (ALL, (*ALL, "person"), True, ("tools", "large")),
        (ALL, (*ALL, "person"), False, ("small", "large")),
        (("large", "small", "tools"), ("tools", "small"), False, ("small",)),
        (("small", "large"), ALL, True, ("small", "large")),
        (("large",), ("tools",), True, ()),
        (("tools", "person"), ("person",), False, ()),
        ((), ("tools",), False, ()),
    ],
)
def test_a_case_climbs_from_what_reads_it_to_the_large_model(
    permitted: tuple[str, ...], available: tuple[str, ...], *, form: bool, climb: tuple[str, ...]
) -> None:
    assert ladder(permitted, available, told_by_form=form) == climb


@pytest.mark.parametrize(
    ("number", "climb", "tier"),
    [
        (1, ("tools",), "tools"),
        (2, ("tools",), "tools"),
        (2, ("small", "large"), "large"),
        (9, ("small", "large"), "large"),
        (1, (), "person"),
    ],
)
def test_the_tier_of_a_pass(number: int, climb: tuple[str, ...], tier: str) -> None:
    assert tier_for(number, climb) == tier


def test_the_dearer_tier_is_one_of_the_ladder() -> None:
    assert dearer("tools", ("tools", "large")) == "large"
    assert dearer("large", ("tools", "large")) == ""
    assert dearer("person", ("tools",)) == ""
    assert usable(("person", "large", "tools"), ("tools", "large", "person")) == ("tools", "large")
