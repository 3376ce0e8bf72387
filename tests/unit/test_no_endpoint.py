"""Without an endpoint for a large model: what nobody can tell reaches a person, through all five verbs, and nothing is paid for."""

from __future__ import annotations

from dataclasses import replace

import pytest

import cascade_arms as arms
from unit.test_cascade_benchmark import SILENT, TOLD, report
from vigimesh.domain.cascade.shipped import SERIOUS, shipped_model
from vigimesh.domain.policy.shipped import shipped_cards
from vigimesh.domain.safety.text_seriousness import read_text

#: What is there without one; the small model may be missing, too.
WITHOUT = (("tools", "small", "person"), ("tools", "person"))
AMBIGUOUS = "It could not be ruled out that the patient was admitted."


def arm(tiers: tuple[str, ...]) -> arms.Arm:
    return arms.Arm(cards=shipped_cards(True), tiers=tiers, scorer=shipped_model(SERIOUS))


def ended(text: str, tiers: tuple[str, ...], day: str = "1997-06-01") -> tuple[str, int]:
    made = report(text, label=True)
    made = replace(made, case=replace(made.case, first_received_on=day))
    end = arm(tiers).end(made, serious=True)
    return end.by, end.calls


def test_the_text_is_an_ambiguous_one() -> None:
    assert {hit.polarity for hit in read_text(AMBIGUOUS)} == {"ambiguous"}


@pytest.mark.parametrize("tiers", WITHOUT)
@pytest.mark.parametrize(
    "text", [AMBIGUOUS, TOLD, "", "Пациент чувствовал себя хорошо после прививки в руку."]
)
def test_what_nobody_can_tell_reaches_a_person(text: str, tiers: tuple[str, ...]) -> None:
    assert ended(text, tiers) == ("person", 0)


def test_a_silent_case_is_settled_by_a_certificate_or_reaches_a_person() -> None:
    assert ended(SILENT, WITHOUT[0]) == ("small", 0)
    assert ended(SILENT, WITHOUT[0], day="2026-03-01") == ("person", 0)
    assert ended(SILENT, WITHOUT[1]) == ("person", 0)


def test_with_an_endpoint_it_is_asked() -> None:
    """Else the above would prove nothing: the same silent case costs a call where there is somebody to call."""
    assert ended(SILENT, ("tools", "large", "person")) == ("person", 1)
