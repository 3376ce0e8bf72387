"""Steps by which small models read: fields for a person, events in documents, names to look up. They add, and lower nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from unit.safety_making import AT, case
from unit.test_drafting import mail
from unit.verb_path import path
from vigimesh.domain.cascade import readers
from vigimesh.domain.cascade.model import Absent
from vigimesh.domain.cascade.reading import (
    EVENT_AT,
    EVENT_STEP,
    FIELDS_STEP,
    GRAVE_STEP,
    MAX_FIELDS,
    NAMES,
    PLACED_STEPS,
    STEPS,
    UNREAD_FLAG,
    estimate_in,
    fields_finding,
    grave_finding,
    needed,
    questions_from,
    read_into,
    screened,
)
from vigimesh.domain.policy.shipped import shipped_cards
from vigimesh.errors import Misconfigured
from vigimesh.events.case import Product
from vigimesh.events.classes import CaseDecided, EvidenceRetrieved, Plan, ReviewRequested, Route, Triage
from vigimesh.events.topics import lane_topic
from vigimesh.loop.outcome import Input
from vigimesh.planner.plan import MAX_QUESTIONS, questions
from vigimesh.tool_executor.execute import Executor

CALM = Triage(valid=False, serious="no", grade=0, grade_reasons=("the document tells of no event (text)",))
#: An event in words that no tool looks for.
HIDDEN = "Myoclonus induced by lithium is described. It resolved when lithium was withdrawn."
VACCINE = case(
    products=(Product(name="Ocellivax", role="suspect", kind="vaccine", started_on="2026-02-20"),), criteria_form="none",
    narrative="The arm was sore and a little red for a day.",
)  # fmt: skip
STORY = "A rash appeared after amoxicillin 500 mg was given to a 34-year-old woman."


def given(of: Any, *steps: str) -> Input:
    route = Route(
        workflow="literature_scan", lane="cold", rule="routine", reason="", card_digest="c" * 64, received_at=AT,
        version=("2026-03-02", "2026-03-09"),
    )  # fmt: skip
    event = EvidenceRetrieved(case=of, route=route, plan=Plan(tier="tools", steps=steps))
    return Input(topic=lane_topic("execute", "cold"), event=event, event_id="e" * 32, key=of.case_id, at=AT)


def event_of(probability: float, *, whole: bool = True) -> dict[str, Any]:
    return {"probability": probability, "place": "0-4:rash", "whole": whole, "model": "d"}


def test_a_document_in_which_a_model_sees_an_event_goes_to_a_person() -> None:
    finding, after = screened(CALM, event_of(EVENT_AT))
    assert (finding.result, finding.quotes) == ("tells_of_event", ("0-4:rash",))
    assert (after.serious, after.grade, after.flags) == ("unknown", 3, ("event_in_document",))
    assert after.grade_reasons[1:] == CALM.grade_reasons


def test_below_its_threshold_it_changes_nothing_and_claims_nothing() -> None:
    finding, after = screened(CALM, event_of(EVENT_AT - 0.01))
    assert after == CALM
    assert finding.result == "no_event_seen"
    assert "no certificate" in finding.detail


@pytest.mark.parametrize("told", [{"why": "VM-2201 altered"}, event_of(0.1, whole=False)])
def test_what_was_not_read_whole_is_for_a_person(told: dict[str, Any]) -> None:
    _, after = screened(CALM, told)
    assert after.flags == (UNREAD_FLAG,)
    assert (after.serious, after.grade) == ("no", 0)


@pytest.mark.parametrize("told", [event_of(0.0), event_of(1.0), {"why": "gone"}, event_of(0.0, whole=False)])
@pytest.mark.parametrize("grade", [3, 4, 5])
def test_nothing_that_the_tools_found_is_lowered(grade: int, told: dict[str, Any]) -> None:
    found = Triage(
        valid=False, serious="unknown", grade=grade, grade_reasons=("so",), flags=("event_in_document",)
    )
    _, after = screened(found, told)
    assert (after.serious, after.grade, after.grade_reasons) == (
        found.serious,
        found.grade,
        found.grade_reasons,
    )
    assert set(after.flags) >= set(found.flags)


def test_an_article_with_an_event_that_no_tool_sees_reaches_a_person_by_the_shipped_card() -> None:
    article = mail(HIDDEN, document_kind="literature", title="Lithium")
    found = path(article, "")
    assert isinstance(found.end, ReviewRequested)
    assert "event_in_document" in (found.end.triage.flags if found.end.triage else ())
    assert {one.step for one in found.end.findings} >= {EVENT_STEP, FIELDS_STEP}
    calm = path(mail("Deposition was measured by imaging.", document_kind="literature", title="Dogs"), "")
    assert isinstance(calm.end, CaseDecided)


def test_fields_are_told_by_place_and_their_words_stand_in_the_quotes_alone() -> None:
    (told,) = readers.read([(FIELDS_STEP, STORY)])
    finding = fields_finding(told)
    assert finding.result == "read"
    assert {"0-6:A rash", "20-31:amoxicillin", "2-6:rash"} & set(finding.quotes)
    assert any(quote.endswith(":amoxicillin") for quote in finding.quotes)
    assert "amoxicillin" not in finding.detail
    for quote in finding.quotes:
        place, _, words = quote.partition(":")
        start, end = map(int, place.split("-"))
        assert STORY[start:end].startswith(words)


def test_texts_read_together_are_read_as_each_alone() -> None:
    asked = [
        (EVENT_STEP, HIDDEN),
        (FIELDS_STEP, STORY),
        (NAMES, STORY),
        (EVENT_STEP, STORY),
        (FIELDS_STEP, ""),
        (EVENT_STEP, ""),
    ]
    assert readers.read(asked) == [readers.read([one])[0] for one in asked]
    assert readers.read([]) == []


def test_many_fields_are_cut_for_the_person() -> None:
    one = {"name": "drug", "start": 0, "end": 1, "probability": 1.0, "text": "x"}
    finding = fields_finding({"found": [one] * 40, "whole": False, "model": "d"})
    assert len(finding.quotes) == MAX_FIELDS
    assert finding.detail.startswith("40 drug: ")
    assert "only the beginning was read" in finding.detail


def test_names_are_read_without_personal_data_and_asked_for_in_pairs() -> None:
    (told,) = readers.read([(NAMES, f"Mr. Peter Miller, peter.miller@example.org, writes: {STORY}")])
    assert "amoxicillin" in told["drug"]
    assert not any("iller" in name or "[" in name for names in told.values() for name in names)
    pairs = questions_from({"drug": ["a", "b"], "reaction": ["x"]})
    assert pairs == ("a x", "b x")
    assert questions_from({"drug": ["a"], "reaction": []}) == ("a",)
    assert questions_from({}) == ()
    assert len(questions(case(), [f"drug {number}" for number in range(20)])) == MAX_QUESTIONS


def test_a_case_without_products_is_looked_up_by_what_its_text_names() -> None:
    found = path(case(products=(), reactions=(), narrative=STORY), "")
    (asked,) = {one.plan.questions for one in found.planned}
    assert any("amoxicillin" in question for question in asked)
    assert "names in the text are looked up" in found.planned[0].plan.reason
    assert FIELDS_STEP in {one.step for one in found.executed[0].findings}
    complete = path(case(narrative=STORY), "")
    assert "names in the text" not in complete.planned[0].plan.reason
    assert FIELDS_STEP not in {one.step for one in complete.executed[0].findings}


def test_what_is_needed_follows_from_the_structure() -> None:
    assert [needed(case(), step) for step in STEPS] == [False, False, False]
    assert [needed(case(products=()), step) for step in STEPS] == [False, True, False]
    assert [needed(mail(), step) for step in STEPS] == [True, True, False]
    assert [needed(VACCINE, step) for step in STEPS] == [False, False, True]
    # A form says itself which box is ticked, and the model has learned from reports of vaccines alone.
    assert not needed(replace(VACCINE, criteria_form="form"), GRAVE_STEP)
    assert not needed(replace(VACCINE, products=(*VACCINE.products, *case().products)), GRAVE_STEP)


def test_a_step_that_was_read_is_not_asked_for_again_and_replays_without_models() -> None:
    record = given(mail(STORY), "seriousness_text", EVENT_STEP, FIELDS_STEP)
    needs = Executor().needs(record, {})
    assert [need.name for need in needs] == [f"read:{step}" for step in PLACED_STEPS]
    answers = {need.name: readers.read([(need.key, need.asked)])[0] for need in needs}
    assert Executor().needs(record, answers) == ()
    assert Executor().decide(record, answers) == Executor().decide(record, answers)


def test_a_model_that_is_missing_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        raise Misconfigured("VM-2202", what="not installed", where="models", todo="install")

    monkeypatch.setattr(readers, "shipped_tagger", gone)
    monkeypatch.setattr(readers, "shipped_or_absent", lambda name: Absent(why="VM-2202 not installed"))
    events, fields, names = readers.read([(EVENT_STEP, STORY), (FIELDS_STEP, STORY), (NAMES, STORY)])
    assert (events, fields, names) == ({"why": "VM-2202 not installed"}, {"why": "VM-2202 not installed"}, {})
    assert fields_finding(fields).result == "not_read"
    (grave,) = readers.read([(GRAVE_STEP, VACCINE)])
    assert (grave_finding(grave).result, estimate_in([grave_finding(grave)])) == ("not_read", None)


def test_what_is_grave_is_estimated_higher_and_the_finding_says_by_which_words() -> None:
    grave = replace(
        VACCINE, narrative="The infant stopped breathing, had a cardiac arrest and was put on life support."
    )
    one, two = readers.read([(GRAVE_STEP, grave), (GRAVE_STEP, VACCINE)])
    assert one["probability"] > 0.3 > 0.05 > two["probability"]
    assert [one, two] == [readers.read([(GRAVE_STEP, each)])[0] for each in (grave, VACCINE)]
    finding = grave_finding(one)
    assert estimate_in([finding]) == pytest.approx(one["probability"], abs=0.001)
    assert any("breathing" in quote or "arrest" in quote or "life" in quote for quote in finding.quotes)
    assert "decides nothing" in finding.detail


@pytest.mark.parametrize(
    "text",
    ["", "   ", "Der Patient wurde nach der Impfung mit dem Notarzt in die Klinik gebracht und starb dort."],
)
def test_nothing_is_estimated_of_a_text_that_the_model_cannot_read(text: str) -> None:
    (told,) = readers.read([(GRAVE_STEP, replace(VACCINE, narrative=text))])
    assert grave_finding(told).result == "not_read"


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(
    "triage", [CALM, Triage(valid=True, serious="yes", grade=5), Triage(valid=True, serious="unknown")]
)
def test_an_estimate_changes_no_triage_result(probability: float, triage: Triage) -> None:
    told = {"probability": probability, "terms": ["seizure +1.20"], "whole": True, "model": "d"}
    findings, after = read_into((), triage, {f"read:{GRAVE_STEP}": told})
    assert after == triage
    assert estimate_in(findings) == probability


def test_a_review_of_a_report_of_vaccines_without_a_form_has_an_estimate_and_a_drug_s_has_none() -> None:
    found = path(replace(VACCINE, narrative="He had a seizure and was admitted to hospital."), "")
    assert isinstance(found.end, ReviewRequested)
    assert estimate_in(found.end.findings) is not None
    assert f"{GRAVE_STEP} says 0." in found.end.reason
    drug = path(case(criteria_form="none", narrative="He had a seizure and was admitted to hospital."), "")
    assert isinstance(drug.end, ReviewRequested)
    assert estimate_in(drug.end.findings) is None


def test_the_cards_that_screen_documents_ask_for_it() -> None:
    asks = {card.name for card in shipped_cards(True).cards if EVENT_STEP in card.steps}
    assert asks == {"drafting", "literature_scan", "clinical_ops"}
    assert replace(CALM, grade=0) == CALM
