"""The planner: tier and steps of a pass, and what is looked up, within bounds."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.policy_making import ADULT, DOCUMENT, SIGNED, emitted, route_of, routed
from vigimesh.domain.policy.limits import Limits
from vigimesh.events.case import Attachment, Case, Product, Reaction
from vigimesh.events.classes import CasePlanned, Plan
from vigimesh.loop.outcome import Done
from vigimesh.planner.plan import MAX_QUESTION, MAX_QUESTIONS, Planner, questions

#: Of a source that has no box for each criterion.
OPEN = dataclasses.replace(ADULT, criteria_form="open")


def plan(case: Case, tiers: tuple[str, ...] = ("tools",), ceiling: str = "person", **route: Any) -> Plan:
    verb = Planner(SIGNED)
    asked = routed(case, route_of(**route))
    (need,) = verb.needs(asked, {})
    assert (need.kind, need.key) == ("limits", f"{asked.event.route.lane}/{asked.event.route.workflow}")
    answers = {need.name: Limits.below(tiers, ceiling, "the month is nearly spent").plain()}
    assert verb.needs(asked, answers) == ()
    outcome = verb.decide(asked, answers)
    assert isinstance(outcome, Done)
    (emit,) = emitted(outcome, CasePlanned)
    event = emit.event
    assert isinstance(event, CasePlanned)
    assert (event.case, event.route) == (case, asked.event.route)
    assert (emit.topic, emit.key) == (f"vigimesh.retrieve.{event.route.lane}", case.case_id)
    assert (emit.messageid, emit.workflow, emit.lane) == (
        case.message_id,
        event.route.workflow,
        event.route.lane,
    )
    assert outcome.pass_number == event.route.pass_number
    return event.plan


@pytest.mark.parametrize(
    ("number", "tiers", "of", "tier"),
    [
        (1, ("tools",), ADULT, "tools"),
        (1, ("large", "small", "tools"), ADULT, "tools"),
        (1, ("large", "small", "tools"), OPEN, "small"),
        (2, ("tools", "small", "large"), ADULT, "large"),
        (2, ("tools", "small", "large"), OPEN, "large"),
        (2, ("tools", "large"), OPEN, "large"),
        (2, ("tools",), OPEN, "tools"),
        (1, ("tools", "small"), DOCUMENT, "tools"),
        (1, (), OPEN, "person"),
    ],
)
def test_the_cheapest_tier_that_can_read_it_first(
    number: int, tiers: tuple[str, ...], of: Case, tier: str
) -> None:
    found = plan(of, tiers, pass_number=number)
    assert found.tier == tier
    assert ("so that its text is read" in found.reason) == (of is OPEN and "small" in tiers)
    assert f"pass {number}: tier {tier}" in found.reason
    assert found.steps  # the deterministic tools run in any case


@pytest.mark.parametrize(
    ("ceiling", "tier"), [("large", "large"), ("small", "small"), ("tools", "tools"), ("person", "large")]
)
def test_a_ceiling_takes_dearer_tiers_away_and_the_plan_says_so(ceiling: str, tier: str) -> None:
    found = plan(OPEN, ("tools", "small", "large"), ceiling, pass_number=3)
    assert found.tier == tier
    assert ("a ceiling is ordered: the month is nearly spent" in found.reason) == (
        ceiling in ("small", "tools")
    )


def test_a_second_pass_adds_the_steps_of_the_escalation() -> None:
    card = SIGNED.named("literature_scan")
    assert card is not None
    assert (
        plan(DOCUMENT, workflow="literature_scan").steps
        == card.steps
        == ("seriousness_text", "adverse_event")
    )
    second = plan(DOCUMENT, workflow="literature_scan", pass_number=2).steps
    assert second == (*card.steps, "minimum_criteria", "dates", "situations", "extraction")


def test_a_card_that_is_gone_is_planned_by_the_fallback() -> None:
    found = plan(ADULT, workflow="retired")
    assert found.steps == SIGNED.fallback.steps
    assert "not in force any more" in found.reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "not complex"),
        ({"narrative_ref": "f" * 64, "size_bytes": 70_000}, "size 70000 bytes"),
        ({"size_bytes": 65_537}, "size 65537 bytes"),
        ({"attachments": (Attachment(digest="d", media_type="image/png"),)}, "1 attachments (image/png)"),
        ({"products": tuple(Product(name=f"p{n}") for n in range(7))}, "7 products"),
        ({"reactions": tuple(Reaction(text=f"r{n}") for n in range(13))}, "13 reactions"),
    ],
)
def test_what_makes_a_case_complex_is_said(changes: dict[str, Any], words: str) -> None:
    assert words in plan(dataclasses.replace(ADULT, **changes)).reason


def products(*names: str) -> tuple[Product, ...]:
    return tuple(Product(name=name) for name in names)


def reactions(*terms: str) -> tuple[Reaction, ...]:
    return tuple(Reaction(text="as told", term=term) for term in terms)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("Flu vaccine Pain in extremity",)),
        ({"products": products("A", "B"), "reactions": reactions("x", "y")}, ("A x", "B x", "A y", "B y")),
        ({"products": products("A", "a "), "reactions": reactions("x", "X")}, ("A x",)),
        ({"products": (Product(substance="s"),), "reactions": (Reaction(text="itch"),)}, ("s itch",)),
        ({"products": (Product(name="A", role="concomitant"),)}, ()),
        (
            {"products": (Product(name="A\n  B", role="interacting"),), "reactions": reactions("x")},
            ("A B x",),
        ),
        ({"products": products(), "reactions": reactions("x")}, ()),
        ({"products": products("A"), "reactions": ()}, ()),
    ],
)
def test_each_suspect_is_asked_with_each_reaction(changes: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert questions(dataclasses.replace(ADULT, **changes)) == expected


def test_many_products_do_not_crowd_out_the_reactions() -> None:
    case = dataclasses.replace(
        ADULT, products=products(*map(str, range(50))), reactions=reactions("x", "y", "z")
    )
    found = questions(case)
    assert len(found) == MAX_QUESTIONS
    assert {one.rsplit(" ", 1)[1] for one in found} == {"x", "y", "z"}


def test_who_wants_counts_asks_for_their_table_first_and_once() -> None:
    many = dataclasses.replace(ADULT, products=products(*"ABCDEFGHI"), reactions=reactions("x", "y"))
    asked = questions(many, steps=("disproportionality",))
    assert asked[0] == "reports by product and reaction A B C D E F G H I x y"
    assert asked[1:] == questions(many)[: MAX_QUESTIONS - 1]
    assert plan(ADULT, workflow="signal").questions[0].startswith("reports by product and reaction Flu")
    for nothing in (dataclasses.replace(ADULT, products=()), dataclasses.replace(ADULT, reactions=())):
        assert questions(nothing, steps=("disproportionality",)) == ()


def test_a_document_is_asked_by_kind_and_title() -> None:
    assert questions(DOCUMENT) == ("literature A review of nothing", "literature handling")
    assert plan(DOCUMENT, workflow="literature_scan").questions == questions(DOCUMENT)


TEXT = st.text(max_size=300)


@given(
    names=st.lists(TEXT, max_size=40), terms=st.lists(TEXT, max_size=40),
    kind=st.sampled_from(["icsr", "document"]), title=TEXT,
)  # fmt: skip
def test_questions_are_bounded_and_different(
    names: list[str], terms: list[str], kind: str, title: str
) -> None:
    case = dataclasses.replace(
        ADULT, products=products(*names), reactions=reactions(*terms), kind=kind, title=title
    )
    found = questions(case)
    assert len(found) <= MAX_QUESTIONS
    assert len({one.casefold() for one in found}) == len(found)
    assert all(one.strip() and len(one) <= MAX_QUESTION for one in found)
