"""The small tier hands on whatever it may not settle, says why, and unsays nothing."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.safety_making import AT, case, triage
from vigimesh.domain.cascade.certify import Certificate, Facts, Seen
from vigimesh.domain.cascade.model import Absent
from vigimesh.domain.cascade.shipped import SERIOUS, shipped_model
from vigimesh.domain.cascade.small import Asked, Said, Standing, certified, place_of, said, tell, triaged
from vigimesh.domain.policy.cards import Cascade
from vigimesh.events.case import Case, Product

MODEL = shipped_model(SERIOUS)
R95, R98 = Cascade(recall=Fraction(19, 20)), Cascade(recall=Fraction(49, 50))
#: A report as the certificate has them: of a vaccine, from VAERS, in English, of 1997.
HERE: dict[str, Any] = {
    "products": (Product(name="flu3", role="suspect", kind="vaccine"),),
    "source_format": "vaers",
    "first_received_on": "1997-06-01",
    "criteria_form": "none",
}
MILD = "Pt had a sore arm and slight redness after the injection, it went away within a day."


def report(text: str = MILD, **changes: Any) -> Case:
    return case(narrative=text, **HERE | changes)


def told(of: Case, rule: Cascade = R95, seen: int = 0, closed: str = "", **changes: Any) -> dict[str, Any]:
    """Return what the shipped model tells of a case, with `changes`, where people labelled `seen` serious cases."""

    def standing(_place: Facts, _certificate: Certificate) -> Standing:
        return Standing(seen=Seen(serious=seen), closed=closed)

    (found,) = tell(MODEL, [Asked(case=of, text=of.narrative, rule=rule)], standing)
    return found | changes


def threshold(rule: Cascade) -> float:
    found = certified(MODEL, rule)
    assert found is not None
    return found.threshold


def test_below_the_threshold_it_settles_and_at_it_it_does_not() -> None:
    below = said(told(report(), margin=threshold(R95) - 1e-9), R95)
    assert below.verdict == "not_serious"
    assert "recall >= 0.95" in below.reason
    assert len(below.terms) == len({term.rsplit(" ", 1)[0] for term in below.terms}) > 3
    at = said(told(report(), margin=threshold(R95)), R95)
    assert (at.verdict, "not below the certified threshold" in at.reason) == ("handed_on", True)


def test_a_mild_report_of_1997_is_settled_by_the_shipped_model() -> None:
    found = said(told(report()), R95)
    assert found.verdict == "not_serious", found
    before = triage(report())
    after = triaged(report(), before, found, AT)
    assert (before.serious, after.serious, after.grade) == ("unknown", "no", 2)
    assert after.grade_reasons[0].startswith("small model: probability 0.0")


def test_a_higher_recall_settles_less() -> None:
    between = (threshold(R95) + threshold(R98)) / 2
    verdicts = [said(told(report(), rule, margin=between), rule).verdict for rule in (R95, R98)]
    assert verdicts == ["not_serious", "handed_on"]


@pytest.mark.parametrize(
    ("asked", "confidence", "used"),
    [
        ("0.9", "0.95", "19/20"), ("0.95", "0.95", "19/20"), ("0.96", "0.95", "24/25"), ("0.975", "0.95", "49/50"), ("0.99", "0.95", "99/100"),
        ("0.995", "0.95", None), ("0.95", "0.99", None),
    ],
)  # fmt: skip
def test_the_certificate_is_the_next_one_that_is_strict_enough(
    asked: str, confidence: str, used: str | None
) -> None:
    found = certified(MODEL, Cascade(recall=Fraction(asked), confidence=Fraction(confidence)))
    assert (None if found is None else str(found.recall)) == used


def test_the_threshold_may_be_of_a_higher_recall_than_labels_are_held_to() -> None:
    rule = Cascade(recall=Fraction(19, 20), threshold_recall=Fraction(99, 100))
    assert threshold(rule) == threshold(Cascade(recall=Fraction(99, 100))) < threshold(R95)
    inside = told(report(), rule)
    assert (inside["open"], inside["place"]["wanted"]) == (True, "")
    for seen, open_ in ((58, False), (59, True)):
        outside = told(report(first_received_on="2026-11-29"), rule, seen=seen)
        assert (outside["open"], outside["place"]["recall"], outside["place"]["wanted"]) == (
            open_,
            "99/100",
            "19/20",
        )
    between = (threshold(R98) + threshold(R95)) / 2
    assert said(inside | {"margin": between}, rule).verdict == "handed_on"


def test_a_recall_that_the_model_has_no_certificate_for_is_said_with_those_that_it_has() -> None:
    rule = Cascade(recall=Fraction(19, 20), threshold_recall=Fraction(995, 1000))
    found = said(told(report(), rule, seen=9_999, margin=-1e9), rule)
    assert found.verdict == "handed_on"
    assert "no certificate of recall >= 0.995 at 95%; it has 0.99 at 95%, " in found.reason


DRUG = (Product(name="Torvexil", role="suspect", kind="drug"),)


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({"first_received_on": "2026-11-29"}, 0),
        ({"first_received_on": "1997-06"}, 0),
        ({"first_received_on": ""}, 58),
        ({"products": DRUG}, 58),
        ({"products": (*DRUG, *HERE["products"])}, 0),
        ({"source_format": "e2b_r3"}, 0),
        ({"text": "Der Patient hatte nach der Impfung einen leichten Schmerz im Arm und es ging ihm am Abend wieder gut."}, 0),
        ({"text": "Patientin verstorben"}, 0),
    ],
)  # fmt: skip
def test_where_the_gate_is_closed_the_lowest_score_is_handed_on(changes: dict[str, Any], seen: int) -> None:
    assert said(told(report(**changes), seen=seen, margin=-1e9), R95).verdict == "handed_on"


def test_labels_from_people_open_it_elsewhere_and_drift_closes_it_anywhere() -> None:
    elsewhere = report(products=DRUG, first_received_on="2026-11-29")
    assert said(told(elsewhere, seen=59, margin=-1e9), R95).verdict == "not_serious"
    closed = said(told(report(), closed="the scores have drifted", margin=-1e9), R95)
    assert (closed.verdict, "drifted" in closed.reason) == ("handed_on", True)


def test_what_was_not_read_whole_is_handed_on_and_so_is_everything_without_a_model() -> None:
    assert said(told(report(), whole=False, margin=-1e9), R95).verdict == "handed_on"
    (absent,) = tell(Absent(why="VM-2202 it is not installed"), [Asked(case=report(), text=MILD, rule=R95)])
    assert said(absent, R95) == Said(
        verdict="handed_on", reason="tier small absent: VM-2202 it is not installed"
    )


def test_from_the_cards_probability_on_it_is_serious_without_a_large_model() -> None:
    rule = Cascade(recall=Fraction(19, 20), serious_at=Fraction(3, 5))
    assert said(told(report(), probability=0.61), rule).verdict == "serious"
    assert said(told(report(), probability=0.6, margin=0.0), R95).verdict == "handed_on"
    heard = said(told(report(), probability=0.8), rule)
    after = triaged(report(), triage(report()), heard, AT)
    assert (after.serious, after.grade, after.clock.rule) == ("yes", 3, triage(report()).clock.rule)


@given(
    margin=st.floats(-20, 20), probability=st.floats(0, 1),
    text=st.sampled_from([MILD, "The patient was hospitalized for two days.", "A possible seizure was mentioned."]),
    criteria=st.sampled_from([(), ("death",), ("hospitalisation",)]),
)  # fmt: skip
def test_no_score_unsays_what_a_field_or_a_text_says(
    margin: float, probability: float, text: str, criteria: tuple[str, ...]
) -> None:
    of = report(text, criteria=criteria)
    before = triage(of)
    rule = Cascade(recall=Fraction(19, 20), serious_at=Fraction(3, 5))
    after = triaged(of, before, said(told(of, margin=margin, probability=probability), rule), AT)
    if before.serious == "yes":
        assert after is before
    elif text is not MILD:
        assert (after.serious, after.grade, after.clock) in (
            (serious, before.grade, before.clock) for serious in ("unknown", "yes")
        )
    assert set(before.flags) <= set(after.flags)


def test_what_is_told_is_plain_and_whole_so_that_it_replays() -> None:
    of = report()
    (found,) = tell(MODEL, [Asked(case=of, text=of.narrative, rule=R95)])
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(found))
    assert said(kept, R95) == said(found, R95)
    assert found["model"] == MODEL.digest


def test_many_cases_are_told_as_each_alone() -> None:
    cases = [report(), report("seizures and coma, ER, admitted"), report(products=DRUG)]
    asked = [Asked(case=of, text=of.narrative, rule=R95) for of in cases]
    assert tell(MODEL, asked) == [tell(MODEL, [one])[0] for one in asked]


def test_a_narrative_from_the_object_store_is_read_as_one_in_the_case() -> None:
    stored = report("", narrative_ref="d" * 64)
    inside, outside = (tell(MODEL, [Asked(case=one, text=MILD, rule=R95)])[0] for one in (report(), stored))
    assert inside == outside


def test_a_place_names_one_class_one_source_one_language_and_a_day() -> None:
    place = place_of(report(), MILD, "m")
    assert (place.product_class, place.source, place.language, place.received_on) == (
        "vaccine", "vaers", "en", "1997-06-01",
    )  # fmt: skip
    assert place_of(report(products=(*DRUG, *HERE["products"])), MILD, "m").product_class == ""
