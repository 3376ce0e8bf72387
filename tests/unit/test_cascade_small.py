"""The small tier hands on whatever it may not resolve, and says why."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from vigimesh.domain.cascade.certify import Facts, Seen
from vigimesh.domain.cascade.model import Absent, Score, score
from vigimesh.domain.cascade.shipped import ADVERSE_EVENT, SERIOUS, shipped_model
from vigimesh.domain.cascade.small import certified, said

MODEL = shipped_model(SERIOUS)
HERE = Facts(
    product_class="vaccine",
    source="vaers",
    language="en",
    received_on="1997-06-01",
    model=MODEL.tables_digest,
)
R95, R98 = Fraction(19, 20), Fraction(49, 50)


def scored(margin: float) -> Score:
    return replace(score(MODEL, "sore arm"), margin=margin)


def threshold(recall: Fraction) -> float:
    found = certified(MODEL, recall)
    assert found is not None
    return found.threshold


def test_below_the_threshold_it_resolves_and_at_it_it_does_not() -> None:
    below = said(MODEL, scored(threshold(R95) - 1e-9), HERE, R95)
    assert below.resolved
    assert "arm" in below.reason
    assert "recall >= 0.95" in below.reason
    at = said(MODEL, scored(threshold(R95)), HERE, R95)
    assert not at.resolved
    assert at.reason.startswith("not below the certified threshold")


def test_a_higher_recall_resolves_less() -> None:
    between = scored((threshold(R95) + threshold(R98)) / 2)
    assert (said(MODEL, between, HERE, R95).resolved, said(MODEL, between, HERE, R98).resolved) == (
        True,
        False,
    )


@pytest.mark.parametrize(
    ("asked", "used"),
    [("0.9", "19/20"), ("0.95", "19/20"), ("0.96", "49/50"), ("0.99", "99/100"), ("0.995", None)],
)
def test_the_certificate_is_the_next_one_that_is_strict_enough(asked: str, used: str | None) -> None:
    found = certified(MODEL, Fraction(asked))
    assert (None if found is None else str(found.recall)) == used


@pytest.mark.parametrize(
    ("facts", "recall"),
    [
        (replace(HERE, received_on="2026-11-29"), R95),
        (replace(HERE, product_class="drug", seen=Seen(serious=58)), R95),
        (replace(HERE, model="other"), R95),
        (HERE, Fraction(999, 1000)),
    ],
)
def test_where_the_gate_is_closed_the_lowest_score_is_handed_on(facts: Facts, recall: Fraction) -> None:
    assert not said(MODEL, scored(-1e9), facts, recall).resolved


def test_labels_from_people_open_it_elsewhere() -> None:
    assert said(MODEL, scored(-1e9), replace(HERE, product_class="drug", seen=Seen(serious=59)), R95).resolved


def test_what_was_not_read_whole_or_is_of_another_model_is_handed_on() -> None:
    assert not said(MODEL, replace(scored(-1e9), whole=False), HERE, R95).resolved
    assert not said(MODEL, score(shipped_model(ADVERSE_EVENT), "sore arm"), HERE, R95).resolved
    assert not said(MODEL, None, HERE, R95).resolved
    absent = said(Absent(why="VM-2202 it is not installed"), None, HERE, R95)
    assert absent.reason == "tier small absent: VM-2202 it is not installed"
    assert not absent.resolved
