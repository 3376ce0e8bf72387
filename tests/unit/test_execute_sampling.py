"""A drawn case in a pass: noted with its score, kept from a machine in every pass, paid where a machine would have ended it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from unit.safety_making import case
from vigimesh.domain.cascade.live import spent
from vigimesh.domain.cascade.sample import FLAG, price_micro
from vigimesh.domain.cascade.shipped import SERIOUS, shipped_model
from vigimesh.domain.cascade.small import Asked, tell
from vigimesh.domain.policy.floor import floor
from vigimesh.domain.policy.shipped import shipped_cards
from vigimesh.events.classes import EvidenceRetrieved, Plan, Route, Triage
from vigimesh.tool_executor.sampling import audited

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CARD = shipped_cards(signed_for_demo=True).fallback
assert CARD.cascade.audit is not None
AUDIT = CARD.cascade.audit
ALL = replace(CARD, cascade=replace(CARD.cascade, audit=replace(AUDIT, permille=1_000)))
NONE = replace(CARD, cascade=replace(CARD.cascade, audit=replace(AUDIT, permille=0)))
TEXT = "Sore arm and mild fever the day after the injection, gone the next morning."
CASE = case(narrative=TEXT)
EVENT = EvidenceRetrieved(
    case=CASE, plan=Plan(tier="small", steps=()),
    route=Route(workflow="triage", lane="cold", rule="r", reason="r", card_digest="d", version=("1",), received_at=AT),
)  # fmt: skip
UNKNOWN = Triage(valid=True, serious="unknown")
NO = replace(UNKNOWN, serious="no", grade=1)


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    (found,) = tell(shipped_model(SERIOUS), [Asked(case=CASE, text=TEXT, rule=CARD.cascade)])
    return found


def test_a_case_that_is_not_drawn_is_left_as_it_was(told: dict[str, Any]) -> None:
    found = audited(EVENT, NONE, TEXT, told, (UNKNOWN, NO))
    assert (found.triage, found.note, found.usage) == (NO, None, None)


def test_a_drawn_case_is_noted_and_kept_from_a_machine(told: dict[str, Any]) -> None:
    found = audited(EVENT, ALL, TEXT, told, (UNKNOWN, NO))
    assert found.note is not None
    assert (found.note.margin, found.note.threshold) == (told["margin"], told["threshold"])
    assert (found.note.resolved, found.note.place.certified) == (True, False)
    assert found.triage.flags == (FLAG,)
    assert "flagged" in {one.name for one in floor(CASE, found.triage, ALL, hold=False, tier="small")}
    assert found.usage is not None
    assert found.usage.cost_micro == found.note.price_micro == price_micro(AUDIT)
    assert spent([found.note, found.note]) == 2 * found.usage.cost_micro


def test_in_shadow_nobody_is_paid(told: dict[str, Any]) -> None:
    found = audited(EVENT, ALL, TEXT, told, (UNKNOWN, UNKNOWN))
    assert found.note is not None
    assert not found.note.resolved
    assert found.usage is None
    assert (spent([found.note]), found.note.price_micro) == (0, price_micro(AUDIT))


def test_what_the_large_model_settles_is_kept_and_paid_too() -> None:
    found = audited(EVENT, ALL, TEXT, None, (UNKNOWN, NO))
    assert (found.note, found.triage.flags) == (None, (FLAG,))
    assert found.usage is not None


@pytest.mark.parametrize("change", [{"why": "tier small absent"}, {"place": None}, {"threshold": None}])
def test_without_a_score_or_a_certificate_nothing_is_noted(
    told: dict[str, Any], change: dict[str, Any]
) -> None:
    found = audited(EVENT, ALL, TEXT, {**told, **change}, (UNKNOWN, UNKNOWN))
    assert found.note is None
    assert found.triage.flags == (FLAG,)


def test_a_pass_of_the_tools_alone_has_no_model_to_audit() -> None:
    """A form with a box for each criterion is read by the tools: a person would look at it for no statistic, and unpaid."""
    alone = replace(EVENT, plan=replace(EVENT.plan, tier="tools"))
    for after in (NO, UNKNOWN):
        found = audited(alone, ALL, TEXT, None, (after, after))
        assert (found.triage, found.note, found.usage) == (after, None, None)
