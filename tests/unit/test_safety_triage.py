"""The triage result: validity, seriousness, grade, flags, situations, listedness; and that nothing lowers a flag."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.safety_making import AT, PLAIN, STEPS, case, findings, passage, triage
from vigimesh.domain.safety.grade import GRADE_OF
from vigimesh.domain.safety.tools import MANDATORY, TOOLS, run_steps
from vigimesh.errors import Refused
from vigimesh.events.case import CRITERIA, Case, Patient, Product, Reaction, Reporter

HEADACHE = Reaction(text="headache", term="Headache")


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({}, ()),
        ({"patient": Patient()}, ("patient",)),
        ({"patient": Patient(sex="male")}, ()),
        ({"reporters": ()}, ("reporter",)),
        ({"reporters": (Reporter(),)}, ("reporter",)),
        ({"reporters": (Reporter(identified=True),)}, ()),
        ({"reporters": (Reporter(qualification="consumer"),)}, ()),
        ({"products": ()}, ("product",)),
        ({"products": (Product(name="A", role="concomitant"),)}, ("product",)),
        ({"products": (Product(name=" "),)}, ("product",)),
        ({"products": (Product(name="A", role="interacting"),)}, ()),
        ({"reactions": ()}, ("reaction",)),
        ({"reactions": (Reaction(),)}, ("reaction",)),
        ({"reactions": (Reaction(code="10019211"),)}, ()),
        ({"patient": Patient(), "products": ()}, ("patient", "product")),
    ],
)
def test_the_four_minimum_criteria(changes: dict[str, Any], missing: tuple[str, ...]) -> None:
    found = triage(case(**changes))
    assert found.missing == missing
    assert found.valid == (not missing)


def test_an_event_in_the_narrative_alone_is_not_coded_but_flagged() -> None:
    assert "reaction_in_text_only" in triage(case(reactions=())).flags
    assert "reaction_in_text_only" not in triage(case(reactions=(), narrative=" ")).flags


@pytest.mark.parametrize(
    ("changes", "serious", "grade"),
    [
        # The form: nothing ticked and a text that tells of nothing.
        ({}, "no", 2),
        ({"narrative": "see attached"}, "unknown", 3),
        ({"narrative": ""}, "unknown", 3),
        # A form's tick.
        *(({"criteria": (name,)}, "yes", GRADE_OF[name]) for name in CRITERIA),
        ({"criteria": ("hospitalisation", "death")}, "yes", 5),
        ({"criteria": ("a_new_one",)}, "yes", 3),
        ({"reactions": (HEADACHE, Reaction(term="Rash", criteria=("disability",)))}, "yes", 4),
        ({"reactions": (replace(HEADACHE, outcome="fatal"),)}, "yes", 5),
        ({"patient": Patient(sex="male", died_on="2026")}, "yes", 5),
        ({"patient": Patient(sex="male", died_on="MSK")}, "yes", 5),
        ({"patient": Patient(sex="male", died_on="NI")}, "no", 2),
        # E2B: absent is no information.
        ({"criteria_form": "open"}, "unknown", 3),
        ({"criteria_form": "none"}, "unknown", 3),
        ({"criteria_form": "open", "reactions": (replace(HEADACHE, highlighted="2"),)}, "no", 2),
        ({"criteria_form": "none", "reactions": (replace(HEADACHE, highlighted="1"),)}, "no", 2),
        (
            {"criteria_form": "open", "reactions": (replace(HEADACHE, highlighted="1"), HEADACHE)},
            "unknown",
            3,
        ),
        ({"criteria_form": "open", "reactions": (replace(HEADACHE, highlighted="3"),)}, "yes", 3),
        ({"criteria_form": "open", "reactions": (replace(HEADACHE, highlighted="4"),)}, "yes", 3),
        # The text raises.
        ({"narrative": "The patient was hospitalised for three days."}, "yes", 3),
        ({"narrative": "The patient died two days later."}, "yes", 5),
        ({"criteria": ("hospitalisation",), "narrative": "He died in hospital."}, "yes", 5),
        ({"criteria_form": "open", "narrative": "She went into anaphylactic shock."}, "yes", 4),
        ({"narrative": "The patient had a possible seizure at home."}, "unknown", 3),
        ({"reactions": (Reaction(term="Convulsion"),)}, "yes", 3),
        ({"reactions": (Reaction(text="death", term=""),)}, "yes", 5),
        # What is denied, feared, past or of others does not.
        ({"narrative": PLAIN + " She was not hospitalised."}, "no", 2),
        ({"narrative": PLAIN + " History of seizures."}, "no", 2),
        # A special situation.
        ({"situations": ("overdose",)}, "no", 2),
    ],
)
def test_seriousness_and_grade(changes: dict[str, Any], serious: str, grade: int) -> None:
    found = triage(case(**changes))
    assert (found.serious, found.grade) == (serious, grade)
    assert found.grade_reasons


def test_reasons_name_each_criterion_with_its_sources() -> None:
    found = triage(case(criteria=("hospitalisation",), narrative="Hospitalised. Then the patient died."))
    assert found.grade_reasons == ("hospitalisation (flag, text)", "death (text)")


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        (
            {"reactions": (replace(HEADACHE, highlighted="2", criteria=("disability",)),)},
            "conflict_highlight",
        ),
        ({"criteria": ("death",), "reactions": (replace(HEADACHE, highlighted="1"),)}, "conflict_highlight"),
        ({"criteria": ("hospitalisation",), "narrative": "She was not hospitalised."}, "conflict_flag_text"),
        ({"narrative": "A possible seizure was mentioned."}, "ambiguous_text"),
        ({"narrative": "She was hospitalised for a week."}, "serious_in_text_only"),
        ({"reactions": (Reaction(term="Anaphylactic reaction"),)}, "ime_term"),
        ({"criteria": ("death",)}, "death"),
        ({"created_on": "2027"}, "date_conflict"),
        ({"patient": Patient(sex="male", age_years=17.9)}, "paediatric"),
        ({"patient": Patient(sex="male", age_group="infant")}, "paediatric"),
        ({"patient": Patient(sex="female", pregnant="yes")}, "pregnancy"),
        ({"narrative": "The patient was 12 weeks pregnant when she took it."}, "pregnancy"),
        ({"products": (Product(name="A", blinded=True),)}, "blinded"),
        ({"study_id": "NCT01"}, "study"),
        ({"report_type": "study"}, "study"),
    ],
)
def test_what_keeps_a_case_from_a_machine_is_flagged(changes: dict[str, Any], flag: str) -> None:
    assert flag in triage(case(**changes)).flags


def test_a_plain_case_has_no_flag() -> None:
    assert triage(case()).flags == ()


def test_denied_text_does_not_lower_a_ticked_box() -> None:
    found = triage(case(criteria=("hospitalisation",), narrative="She was not hospitalised."))
    assert (found.serious, found.grade) == ("yes", 3)


def test_a_text_that_no_tool_has_read_says_nothing() -> None:
    unread = triage(case(), steps=("minimum_criteria", "seriousness_flags", "clock"))
    assert (unread.serious, unread.grade) == ("unknown", 3)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("She was pregnant.", "pregnancy"),
        ("exposure during breast-feeding", "breastfeeding"),
        ("took an overdose", "overdose"),
        ("The wrong dose was given", "medication_error"),
        ("received an expired vaccine", "taken_beyond_expiry"),
        ("misuse of the tablets", "misuse"),
        ("drug abuse was reported", "abuse"),
        ("a needle stick at work", "occupational_exposure"),
        ("used off-label for sleep", "off_label_use"),
        ("lack of efficacy", "lack_of_efficacy"),
        ("a counterfeit was suspected by the pharmacy: counterfeit pack", "counterfeit"),
        ("particles in the vial", "quality_complaint"),
    ],
)
def test_a_special_situation_in_the_text_is_found(text: str, name: str) -> None:
    assert name in triage(case(narrative=text)).situations


@pytest.mark.parametrize(
    "text",
    [
        "She was not pregnant.",
        "Pregnancy test negative",
        "no overdose",
        "Mother of the patient, his sister was pregnant",
    ],
)
def test_a_denied_situation_is_none(text: str) -> None:
    assert triage(case(narrative=text)).situations == ()


def test_beyond_the_bound_a_situation_is_unclear_and_not_lost() -> None:
    found = triage(case(narrative="not pregnant. " * 2_001 + "She was pregnant."))
    assert "ambiguous_situation" in found.flags


def test_situations_of_products_are_taken_over() -> None:
    products = (Product(name="A", situations=("overdose", "batch_in_spec")),)
    assert triage(case(products=products)).situations == ("overdose",)


LIST = (
    "Common (at least 1 in 100): Dizziness, Headache, Oedema peripheral. Uncommon: Rash, Injection site pain."
)


@pytest.mark.parametrize(
    ("terms", "passages", "listed"),
    [
        (("Headache",), (passage(LIST),), "yes"),
        (("Headache", "Edema peripheral"), (passage(LIST),), "yes"),
        (("HEADACHE",), (passage(LIST),), "yes"),
        (("Pain",), (passage(LIST),), "no"),
        (("Headache", "Vertigo"), (passage(LIST),), "no"),
        (("Headache",), (), "not_checked"),
        (("Headache",), (passage(LIST, section="Torvexil > Handling and questions"),), "not_checked"),
        (("Headache",), (passage(LIST, question="Torvexilate Headache"),), "not_checked"),
        (("Headache",), (passage(LIST, question="Solmirex Headache"),), "not_checked"),
    ],
)
def test_listedness(terms: tuple[str, ...], passages: tuple[Any, ...], listed: str) -> None:
    reactions = tuple(Reaction(term=term) for term in terms)
    found = triage(case(reactions=reactions), passages)
    assert found.listed == listed
    assert found.grade == (1 if listed == "yes" else 2)


def test_every_suspect_must_list_it() -> None:
    products = (Product(name="DTP"), Product(name="DTP + HIB"), Product(name="Aspirin", role="concomitant"))
    dtp = passage("Headache", question="DTP Headache")
    both = (dtp, passage("Headache, Rash", question="DTP + HIB Headache"))
    assert triage(case(products=products), (dtp,)).listed == "not_checked"
    assert triage(case(products=products), both).listed == "yes"
    assert triage(case(products=products, reactions=(Reaction(term="Rash"),)), both).listed == "no"


def test_listed_lowers_nothing_that_is_serious() -> None:
    serious = case(criteria=("hospitalisation",))
    assert triage(serious, (passage(LIST),)).grade == 3


def test_the_passage_is_cited() -> None:
    found = findings(case(), (passage(LIST),))["listedness"]
    assert found.quotes == (f"product/torvexil@1.0#10-{10 + len(LIST)}",)


@pytest.mark.parametrize(
    ("text", "grade", "flags"),
    [
        ("Amendment 3 changes the visit window from five to seven days.", 0, ()),
        ("", 0, ()),
        ("No adverse events were reported in the period.", 0, ()),
        ("One patient experienced dizziness after the first dose.", 3, ("event_in_document",)),
        ("The customer was hospitalised after the injection.", 3, ("event_in_document",)),
        ("We report a 54-year-old woman with acute hepatitis.", 3, ("event_in_document",)),
        ("A possible adverse reaction is attached.", 3, ("event_in_document",)),
    ],
)
def test_a_document_is_graded_by_whether_it_tells_of_an_event(
    text: str, grade: int, flags: tuple[str, ...]
) -> None:
    found = triage(case(kind="document", document_kind="other", narrative=text, study_id="S-1"))
    assert (found.grade, found.flags) == (grade, flags)
    assert found.serious == ("no" if grade == 0 else "unknown")
    assert (found.valid, found.missing, found.clock.due_at) == (False, (), None)


def test_an_unknown_step_names_the_nearest() -> None:
    with pytest.raises(Refused, match="VM-1103") as caught:
        run_steps(("seriousnes_text",), case(), "", (), AT)
    assert "seriousness_text" in caught.value.todo


def test_mandatory_tools_run_whatever_the_plan_says() -> None:
    found, _ = run_steps(("dates",), case(), "", (), AT)
    assert [finding.step for finding in found] == ["dates", *MANDATORY]


def test_steps_are_those_a_card_may_list() -> None:
    reading = pytest.importorskip("vigimesh.domain.policy.reading")
    assert {*TOOLS, "adverse_event", "extraction", "grave", "draft"} == set(reading.STEPS)


TEXTS = st.one_of(
    st.text(max_size=200),
    st.sampled_from(
        [PLAIN, "She was not hospitalised.", "no seizures", "He could have died.", "possible sepsis", "died"]
    ),
)
SETS = st.lists(st.sampled_from(CRITERIA), max_size=3).map(tuple)


def some_case(text: str, ticked: tuple[str, ...], highlighted: str, form: str) -> Case:
    reaction = replace(HEADACHE, highlighted=highlighted)
    return case(narrative=text, criteria=ticked, reactions=(reaction,), criteria_form=form)


@given(
    TEXTS, SETS, st.sampled_from(["", "1", "2", "3", "4"]), st.sampled_from(["open", "form", "none"]), SETS
)
@settings(max_examples=200, deadline=None)
def test_a_flag_more_never_lowers_the_grade(
    text: str, ticked: tuple[str, ...], highlighted: str, form: str, more: tuple[str, ...]
) -> None:
    few = triage(some_case(text, ticked, highlighted, form))
    many = triage(some_case(text, ticked + more, highlighted, form))
    lowest = max((GRADE_OF[name] for name in ticked + more), default=0)
    assert many.grade >= lowest
    assert many.grade >= few.grade
    assert few.serious != "yes" or many.serious == "yes"


@given(TEXTS, SETS, TEXTS)
@settings(max_examples=150, deadline=None)
def test_no_text_lowers_what_a_field_says(text: str, ticked: tuple[str, ...], other: str) -> None:
    plain = max((GRADE_OF[name] for name in ticked), default=0)
    for told in (text, other):
        found = triage(case(narrative=told, criteria=ticked))
        assert found.grade >= plain
        assert not ticked or found.serious == "yes"


@given(TEXTS)
@settings(max_examples=100, deadline=None)
def test_above_two_is_never_called_not_serious(text: str) -> None:
    found = triage(case(narrative=text))
    assert (found.grade <= 2) == (found.serious == "no")
    assert set(STEPS) == {finding.step for finding in run_steps(STEPS, case(), text, (), AT)[0]}
