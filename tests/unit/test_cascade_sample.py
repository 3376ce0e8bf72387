"""The draw of the live sample: seeded, at one rate, blind to what the tier says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.safety_making import case
from vigimesh.domain.cascade.certify import Certificate, Domain, Facts
from vigimesh.domain.cascade.sample import (
    USAGE,
    Scored,
    drawn,
    key_of,
    place_in,
    sampled,
    usage_of,
)
from vigimesh.domain.policy.cards import AuditSample
from vigimesh.domain.policy.shipped import shipped_cards
from vigimesh.events.case import Case
from vigimesh.events.classes import Route, Triage
from vigimesh.events.sampling import CaseSampled

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ROUTE = Route(
    workflow="triage", lane="cold", rule="r", reason="r", card_digest="d", version=("1",), received_at=AT
)
AUDIT = AuditSample(permille=1_000, seed="s", minutes=3, minute_micro=1_000_000, month_micro=0)
FACTS = Facts(
    product_class="vaccine", source="vaers", language="en", received_on="1997-05-01", model="f" * 64
)
CERTIFICATE = Certificate(
    threshold=-3.0, n=350, k=10, recall=Fraction(19, 20), delta=Fraction(1, 20), model="f" * 64,
    domain=Domain(product_class="vaccine", source="vaers", language="en", first_day="1997-01-02", last_day="1997-12-30"),
)  # fmt: skip
CARD = shipped_cards(signed_for_demo=False).fallback
SILENT = Triage(valid=True, serious="unknown")
TEXT = "Sore arm and fever the day after the injection."


def record(
    made: Case, before: Triage = SILENT, *, permille: int = 1_000, text: str = TEXT, **scored: bool
) -> CaseSampled | None:
    place = place_in(FACTS, CERTIFICATE)
    found = Scored(place=place, margin=-4.0, threshold=CERTIFICATE.threshold, **scored)
    audit = replace(AUDIT, permille=permille)
    card = replace(CARD, cascade=replace(CARD.cascade, audit=audit))
    return sampled(made, before, text, ROUTE, found, card)


@pytest.mark.parametrize("permille", [10, 50, 300])
def test_the_draw_keeps_its_rate(permille: int) -> None:
    audit = replace(AUDIT, permille=permille)
    found = sum(drawn(f"t/{number}", audit) for number in range(20_000))
    share = permille / 1_000
    assert abs(found / 20_000 - share) <= 4 * (share * (1 - share) / 20_000) ** 0.5


@given(st.text(min_size=1), st.integers(0, 1_000), st.integers(0, 1_000))
def test_a_higher_rate_draws_whom_a_lower_one_did(case_id: str, one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert drawn(case_id, replace(AUDIT, permille=low)) <= drawn(case_id, replace(AUDIT, permille=high))
    assert drawn(case_id, AUDIT)
    assert not drawn(case_id, replace(AUDIT, permille=0))


def test_another_seed_draws_others() -> None:
    ids = [f"t/{number}" for number in range(2_000)]
    audits = [replace(AUDIT, permille=100, seed=seed) for seed in ("a", "b")]
    found = [{one for one in ids if drawn(one, audit)} for audit in audits]
    assert len(found[0] & found[1]) < len(found[0]) / 2


@pytest.mark.parametrize(
    ("before", "made", "stated"),
    [
        pytest.param(SILENT, case(), "", id="silent"),
        pytest.param(replace(SILENT, flags=("ambiguous_text",)), case(), "text", id="ambiguous"),
        pytest.param(replace(SILENT, serious="yes"), case(), "text", id="the text says so"),
        pytest.param(replace(SILENT, serious="yes"), case(criteria=("death",)), "field", id="a field says so"),
    ],
)  # fmt: skip
def test_what_spoke_before_the_model_is_noted(before: Triage, made: Case, stated: str) -> None:
    found = record(made, before)
    assert found is not None
    assert found.stated == stated
    assert (found.margin, found.threshold, found.drawn_at) == (-4.0, -3.0, AT)


@pytest.mark.parametrize(
    ("before", "made", "permille"),
    [
        pytest.param(SILENT, case(), 0, id="not drawn"),
        pytest.param(SILENT, case(kind="document"), 1_000, id="a document"),
        pytest.param(replace(SILENT, serious="no"), case(), 1_000, id="not serious without a model"),
    ],
)
def test_who_is_not_in_the_sample(before: Triage, made: Case, permille: int) -> None:
    assert record(made, before, permille=permille) is None


def test_a_person_is_paid_where_a_machine_could_end_the_case() -> None:
    silent, stated = record(case()), record(case(), replace(SILENT, serious="yes"))
    assert silent is not None
    assert stated is not None
    assert (silent.price_micro, stated.price_micro) == (3_000_000, 0)
    card = replace(CARD, cascade=replace(CARD.cascade, audit=AUDIT))
    used = usage_of(case(), ROUTE, card, "tool-executor")
    assert used is not None
    assert (used.kind, used.cost_micro, used.quantity, used.unit, used.tier) == (
        USAGE, 3_000_000, 180, "seconds", "person",
    )  # fmt: skip
    none = replace(CARD, cascade=replace(CARD.cascade, audit=replace(AUDIT, permille=0)))
    assert usage_of(case(), ROUTE, none, "tool-executor") is None


def test_repeats_share_a_group_and_those_that_say_nothing_do_not() -> None:
    def group(case_id: str, text: str) -> str:
        found = record(case(case_id=case_id), text=text)
        assert found is not None
        return found.group

    assert group("t/1", TEXT) == group("t/2", f" {TEXT.upper()} ")
    assert group("t/1", "") != group("t/2", "")
    assert group("t/1", "see attached") != group("t/2", "see attached")


def test_a_place_says_whether_the_certificate_holds_there() -> None:
    assert place_in(FACTS, CERTIFICATE).certified
    assert key_of(place_in(FACTS, CERTIFICATE)) == "vaccine/vaers/en/ffffffffffff/0.95/certified"
    for other in (
        replace(FACTS, received_on="2026-01-01"),
        replace(FACTS, source=""),
        replace(FACTS, model="0"),
    ):
        assert not place_in(other, CERTIFICATE).certified


def test_a_place_says_what_labels_are_held_to_where_that_is_not_what_is_certified() -> None:
    outside = replace(FACTS, received_on="2026-01-01")
    lower = place_in(replace(outside, wanted=Fraction(9, 10)), CERTIFICATE)
    assert (lower.wanted, key_of(lower)) == ("9/10", "vaccine/vaers/en/ffffffffffff/0.9@0.95/outside")
    # The same twice is one place; and where the certificate holds, labels are held to what it promises.
    assert place_in(replace(outside, wanted=Fraction(19, 20)), CERTIFICATE) == place_in(outside, CERTIFICATE)
    assert place_in(replace(FACTS, wanted=Fraction(9, 10)), CERTIFICATE) == place_in(FACTS, CERTIFICATE)


def test_a_text_that_was_not_read_whole_is_no_miss_of_the_tier() -> None:
    cut = record(case(), whole=False)
    assert cut is not None
    assert cut.stated == "cut"


def test_a_card_without_a_sample_draws_nobody() -> None:
    scored = Scored(place=place_in(FACTS, CERTIFICATE), margin=-4.0, threshold=-3.0)
    card = replace(CARD, cascade=replace(CARD.cascade, audit=None))
    assert sampled(case(), SILENT, TEXT, ROUTE, scored, card) is None
