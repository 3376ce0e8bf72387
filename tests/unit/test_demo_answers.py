"""The demo's stand-in is asked what it was told, and the gate of the demo opens the place of its calls about vaccines, no other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from unit.verb_path import AT, path
from vigimesh.adapters.kafka.gates import GateBook
from vigimesh.app.demo.answers import LABELLED, WHY, gate, gold
from vigimesh.app.demo.builder import Calendar
from vigimesh.app.demo.line_cases import calls
from vigimesh.domain.cascade.certify import recall_bound
from vigimesh.domain.cascade.question import prompt_digest
from vigimesh.domain.cascade.shipped import SERIOUS, shipped_model
from vigimesh.domain.cascade.small import Asked, said, tell
from vigimesh.domain.policy.shipped import shipped_cards
from vigimesh.events.case import Case
from vigimesh.events.sampling import GateMoved

CALENDAR = Calendar(today=AT.date())
CARDS = shipped_cards(True)
MODEL = shipped_model(SERIOUS)
UNKNOWN = '{"serious": "unknown", "grade": 3, "evidence": []}'


def call(number: int) -> Case:
    return replace(
        calls(CALENDAR)[number - 1], source_format="jsonl", case_id=f"demo/{number}", message_id="m" * 32
    )


def opened() -> GateMoved:
    card = CARDS.named("vaccine_triage")
    assert card is not None
    found = gate(MODEL, card, AT)
    assert found is not None
    return found


@pytest.mark.parametrize(("number", "serious"), [(2, "no"), (10, "no"), (11, "yes")])
def test_what_is_asked_about_a_call_is_what_the_stand_in_was_told(number: int, serious: str) -> None:
    (purchase,) = path(call(number), UNKNOWN).purchases
    question = purchase.question
    row = gold(CALENDAR).find(
        prompt_digest(question), [(message.role, message.text) for message in question.messages]
    )
    assert row is not None
    assert row.gold["serious"] == serious


def test_the_gate_says_that_its_labels_are_invented_and_bears_out_the_card() -> None:
    found, card = opened(), CARDS.named("vaccine_triage")
    assert card is not None
    assert (found.reason, found.by) == (WHY, "demonstration")
    assert recall_bound(LABELLED, 0, 1 - card.cascade.confidence) >= card.cascade.recall
    assert recall_bound(LABELLED - 1, 0, 1 - card.cascade.confidence) < card.cascade.recall


@pytest.mark.parametrize(("number", "verdict"), [(8, "not_serious"), (9, "not_serious"), (10, "handed_on")])
def test_with_it_the_small_model_settles_the_calls_about_vaccines_alone(number: int, verdict: str) -> None:
    book = GateBook(read=True)
    of, card = call(number), CARDS.card_for(call(number))
    asked = [Asked(case=of, text=of.narrative, rule=card.cascade)]
    assert said(tell(MODEL, asked, book.standing)[0], card.cascade).verdict == "handed_on"
    book.take(opened())
    assert said(tell(MODEL, asked, book.standing)[0], card.cascade).verdict == verdict
