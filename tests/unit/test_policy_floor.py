"""The floor: what no card can lower, one by one, and for any triage result and any card at once."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.policy_making import (
    ADULT,
    CALM,
    DOCUMENT,
    QUIET_DOCUMENT,
    SIGNED,
    UNSIGNED,
    accepting,
    conclusion,
    executed,
    route_of,
    supervised,
)
from vigimesh.domain.policy import facts
from vigimesh.domain.policy.cel import compile_rule
from vigimesh.domain.policy.floor import floor
from vigimesh.events.case import Case, Patient, Product, Reaction
from vigimesh.events.classes import CaseDecided, CaseRouted, Clock, ReviewRequested, Triage
from vigimesh.supervisor.supervise import Supervisor

VACCINES = SIGNED.named("vaccine_triage")
assert VACCINES is not None
ALWAYS = compile_rule("true", "test", facts.samples(facts.POLICY))
YIELDING = dataclasses.replace(
    SIGNED,
    cards=tuple(accepting(card, ALWAYS) for card in SIGNED.cards),
    origin="cards that accept everything",
)


def replaced(value: Any, **changes: Any) -> Any:
    return dataclasses.replace(value, **changes)


CHILD = Patient(identified_by=("age",), age_years=4.0)
TOUCHED: list[tuple[str, Case, Triage]] = [
    ("grade", ADULT, replaced(CALM, grade=3)),
    ("grade", ADULT, replaced(CALM, grade=5)),
    ("seriousness", ADULT, replaced(CALM, serious="yes")),
    ("seriousness", ADULT, replaced(CALM, serious="unknown")),
    ("seriousness", ADULT, replaced(CALM, serious="")),
    ("non_valid", ADULT, replaced(CALM, valid=False, missing=("patient",))),
    ("death", replaced(ADULT, criteria=("death",)), CALM),
    ("death", replaced(ADULT, patient=Patient(died_on="2026")), CALM),
    ("death", replaced(ADULT, reactions=(Reaction(text="x", outcome="fatal"),)), CALM),
    ("death", ADULT, replaced(CALM, flags=("death",))),
    ("pregnancy", replaced(ADULT, patient=Patient(pregnant="yes")), CALM),
    ("pregnancy", replaced(ADULT, situations=("breastfeeding",)), CALM),
    ("pregnancy", ADULT, replaced(CALM, situations=("pregnancy",))),
    ("pregnancy", ADULT, replaced(CALM, flags=("pregnancy",))),
    ("blinded", replaced(ADULT, products=(Product(name="x", blinded=True),)), CALM),
    ("blinded", ADULT, replaced(CALM, flags=("blinded",))),
    ("study", replaced(ADULT, study_id="S-1"), CALM),
    ("study", replaced(ADULT, report_type="study"), CALM),
    ("study", ADULT, replaced(CALM, flags=("study",))),
    ("special_situation", replaced(ADULT, situations=("overdose",)), CALM),
    ("special_situation", replaced(ADULT, products=(Product(name="x", situations=("misuse",)),)), CALM),
    ("special_situation", ADULT, replaced(CALM, situations=("off_label_use",))),
    ("nullification", replaced(ADULT, amendment="nullification"), CALM),
    ("new_product", ADULT, replaced(CALM, flags=("new_product",))),
    ("clock", ADULT, replaced(CALM, clock=Clock(person_needed=True))),
    *[
        ("flagged", ADULT, replaced(CALM, flags=(flag,)))
        for flag in ("ime_term", "conflict_flag_text", "conflict_highlight", "ambiguous_text", "date_conflict", "anything")
    ],
    ("flagged", DOCUMENT, replaced(QUIET_DOCUMENT, flags=("event_in_document",))),
    ("grade", DOCUMENT, replaced(QUIET_DOCUMENT, grade=3)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "case", "triage"), TOUCHED)
def test_no_card_lowers_a_point_of_the_floor(name: str, case: Case, triage: Triage) -> None:
    breaches = floor(case, triage, YIELDING.cards[0], hold=False, tier="tools")
    assert name in [breach.name for breach in breaches]
    event = executed(case, triage, route=route_of("triage"))
    found = conclusion(supervised(event, supervisor=Supervisor(YIELDING)))
    assert isinstance(found, ReviewRequested)
    assert found.question
    assert found.triage == triage


def test_above_the_floor_a_signed_card_accepts() -> None:
    for case, triage, workflow in (
        (ADULT, CALM, "vaccine_triage"), (DOCUMENT, QUIET_DOCUMENT, "literature_scan"),
        (ADULT, replaced(CALM, grade=2, listed="no"), "triage"),
    ):  # fmt: skip
        found = conclusion(supervised(executed(case, triage, route=route_of(workflow))))
        assert isinstance(found, CaseDecided)
        assert found.decision == "auto_accepted"
        assert "signed since 2026-01-05" in found.reason


@pytest.mark.parametrize("workflow", ["vaccine_triage", "triage"])
@pytest.mark.parametrize(
    ("patient", "flags"),
    [(CHILD, ()), (CHILD, ("paediatric",)), (Patient(age_group="infant"), ()), (Patient(), ("paediatric",))],
)
def test_children_are_accepted_where_the_signature_allows_them(
    workflow: str, patient: Patient, flags: tuple[str, ...]
) -> None:
    case = replaced(ADULT, patient=patient)
    event = executed(case, replaced(CALM, flags=flags), route=route_of(workflow))
    found = conclusion(supervised(event, supervisor=Supervisor(YIELDING)))
    assert isinstance(found, CaseDecided) is (workflow == "vaccine_triage")
    if isinstance(found, ReviewRequested):
        assert found.rule == "floor.paediatric"


def test_the_vaccine_card_as_it_ships_accepts_a_child_and_the_others_do_not() -> None:
    event = executed(replaced(ADULT, patient=CHILD), replaced(CALM, flags=("paediatric",)))
    assert isinstance(conclusion(supervised(event)), CaseDecided)
    elsewhere = conclusion(supervised(replaced(event, route=route_of("triage"))))
    assert (type(elsewhere), elsewhere.rule) == (ReviewRequested, "floor.paediatric")


def test_a_protocol_belongs_to_a_study_and_is_no_case_of_it() -> None:
    protocol = replaced(DOCUMENT, document_kind="protocol_amendment", study_id="S-1")
    event = executed(protocol, QUIET_DOCUMENT, route=route_of("clinical_ops"))
    assert isinstance(conclusion(supervised(event)), CaseDecided)


def test_a_forged_allowance_lifts_nothing_else() -> None:
    assert VACCINES is not None
    assert VACCINES.auto_accept is not None
    forged = replaced(
        VACCINES, auto_accept=replaced(VACCINES.auto_accept, allows=("grade", "death", "flagged"))
    )
    found = floor(ADULT, replaced(CALM, grade=5, flags=("death", "x")), forged, hold=False, tier="tools")
    assert {breach.name for breach in found} == {"grade", "death", "flagged"}


@pytest.mark.parametrize(
    ("supervisor", "hold", "tier", "rule"),
    [
        (Supervisor(UNSIGNED), False, "tools", "floor.unsigned"),
        (Supervisor(SIGNED), True, "tools", "floor.hold"),
        (Supervisor(SIGNED), False, "person", "floor.no_tier"),
    ],
)
def test_nothing_is_accepted_unsigned_held_or_without_a_tier(
    supervisor: Supervisor, hold: bool, tier: str, rule: str
) -> None:
    event = executed(route=route_of("triage"))
    event = replaced(event, plan=replaced(event.plan, tier=tier))
    found = conclusion(supervised(event, supervisor=supervisor, hold=hold))
    assert isinstance(found, ReviewRequested)
    assert found.rule == rule


WORDS = st.sampled_from(["paediatric", "pregnancy", "study", "blinded", "overdose", "ime_term", "death", "x"])
TRIAGES = st.builds(
    Triage,
    valid=st.booleans(),
    missing=st.lists(st.sampled_from(["patient", "reporter"]), max_size=2).map(tuple),
    serious=st.sampled_from(["yes", "no", "unknown", "?"]),
    grade=st.integers(min_value=0, max_value=9),
    listed=st.sampled_from(["yes", "no", "not_checked"]),
    situations=st.lists(WORDS, max_size=2).map(tuple),
    flags=st.lists(WORDS, max_size=2).map(tuple),
    clock=st.builds(Clock, person_needed=st.booleans()),
)
RULES = st.sampled_from(
    ["true", "grade > 2", "serious == 'yes'", "grade >= 0 && valid || !valid", "size(flags) < 99"]
)
CASES = st.sampled_from([case for _, case, _ in TOUCHED] + [ADULT, DOCUMENT, replaced(ADULT, patient=CHILD)])


@given(triage=TRIAGES, source=RULES, case=CASES, card=st.sampled_from(SIGNED.cards), hold=st.booleans())
def test_no_triage_above_grade_two_is_ever_accepted(
    triage: Triage, source: str, case: Case, card: Any, hold: bool
) -> None:
    rule = compile_rule(source, "test", facts.samples(facts.POLICY))
    cards = replaced(SIGNED, cards=tuple(accepting(one, rule) for one in SIGNED.cards))
    event = executed(case, triage, route=route_of(card.name))
    (first, *_) = supervised(event, supervisor=Supervisor(cards), hold=hold).events
    assert not isinstance(first.event, CaseRouted)
    if isinstance(first.event, CaseDecided):
        assert triage.grade <= 2
        assert triage.serious == "no"
        assert triage.valid or case.kind == "document"
        assert not hold
        assert not triage.situations
        assert set(triage.flags) <= {"paediatric", "study"}
        assert not case.situations
        assert case.amendment == "none"
        assert case.criteria == ()
        assert not triage.clock.person_needed
