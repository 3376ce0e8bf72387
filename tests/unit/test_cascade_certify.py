"""The certified threshold: exact numbers, a guarantee that a simulation bears out, and a gate that is closed outside of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from math import comb, inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigimesh.domain.cascade.certify import (
    MAX_GROUPS,
    Certificate,
    Domain,
    Facts,
    Seen,
    allowed_misses,
    certify,
    lowest_by_group,
    opens,
    read,
    recall_bound,
    written,
)

R99, R95, D05 = Fraction(99, 100), Fraction(95, 100), Fraction(1, 20)
PLACE = Domain(
    product_class="vaccine", source="vaers", language="en", first_day="1997-01-02", last_day="1997-12-31"
)
HERE = Facts(
    product_class="vaccine", source="vaers", language="en", received_on="1997-06-01T10:00:00Z", model="m"
)


def cdf(k: int, n: int, p: Fraction) -> Fraction:
    """The definition, term by term."""
    return sum((comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1)), Fraction(0))


@given(st.integers(0, 120), st.fractions(Fraction(1, 2), Fraction(199, 200), max_denominator=200),
       st.fractions(Fraction(1, 100), Fraction(1, 2), max_denominator=100))  # fmt: skip
def test_k_is_the_largest_that_the_definition_allows(n: int, recall: Fraction, delta: Fraction) -> None:
    k = allowed_misses(n, recall, delta)
    if k is None:
        assert cdf(0, n, 1 - recall) > delta
    else:
        assert cdf(k, n, 1 - recall) <= delta < cdf(k + 1, n, 1 - recall)


@pytest.mark.parametrize(
    ("n", "recall", "k"), [(298, R99, None), (299, R99, 0), (473, R99, 1), (58, R95, None), (59, R95, 0), (0, R95, None)]
)  # fmt: skip
def test_known_sample_sizes(n: int, recall: Fraction, k: int | None) -> None:
    """299 and 473 for 0.99 at 95 %, 59 for 0.95: the tables of Wilks and of attribute sampling."""
    assert allowed_misses(n, recall, D05) == k


@given(st.integers(1, 400), st.data())
def test_the_bound_of_recall_is_that_of_clopper_and_pearson(n: int, data: st.DataObject) -> None:
    misses = data.draw(st.integers(0, n))
    bound = Fraction(recall_bound(n, misses, D05))
    step = Fraction(1, 2**32)
    if misses == n:
        assert bound == 0
        return
    assert cdf(misses, n, 1 - bound) <= D05 < cdf(misses, n, 1 - bound - step)


def test_bounds_that_are_in_every_table() -> None:
    assert recall_bound(299, 0, D05) >= 0.99 > recall_bound(298, 0, D05)
    assert recall_bound(0, 0, D05) == 0.0
    # One minus the 95 % upper limit of 5 in 100: 10.225 % (Clopper and Pearson).
    assert recall_bound(100, 5, D05) == pytest.approx(1 - 0.1022532, abs=1e-6)


@pytest.mark.parametrize(
    "wrong", [(-1, R95, D05), (MAX_GROUPS + 1, R95, D05), (9, Fraction(1), D05), (9, R95, Fraction(0))]
)
def test_what_is_no_question_is_refused(wrong: tuple[int, Fraction, Fraction]) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        allowed_misses(*wrong)


def test_bound_refuses_more_misses_than_cases() -> None:
    with pytest.raises(ValueError, match="11 misses of 10"):
        recall_bound(10, 11, D05)


def test_repeats_are_one_case_and_its_lowest_score() -> None:
    assert lowest_by_group([("a", 3.0), ("b", 1.0), ("a", 2.0), ("a", 9.0)]) == [1.0, 2.0]
    copies = [("same", 1.0)] * 400
    assert certify(copies, R95, D05, PLACE, "m") is None


def made(scores: list[float], recall: Fraction = R95) -> Certificate | None:
    return certify(((str(at), score) for at, score in enumerate(scores)), recall, D05, PLACE, "m")


@given(st.lists(st.floats(-9, 9), min_size=59, max_size=200))
def test_at_most_k_of_those_that_were_seen_lie_below(scores: list[float]) -> None:
    found = made(scores)
    assert found is not None
    assert sum(score < found.threshold for score in scores) <= found.k
    assert found.n == len(scores)
    assert found == made(scores[::-1])


def test_too_few_cases_certify_nothing() -> None:
    assert made([1.0] * 58) is None
    with pytest.raises(ValueError, match="not a number"):
        made([float("nan")] * 60)
    with pytest.raises(ValueError, match="minus infinity"):
        made([-inf] * 60)


def test_what_the_tools_tell_of_is_a_serious_case_that_no_threshold_misses() -> None:
    """Forty that the model could miss and sixty that it is never asked: the threshold may lie as high as for a hundred."""
    alone, system = made([float(at) for at in range(40)]), made([float(at) for at in range(40)] + [inf] * 60)
    assert alone is None
    assert system is not None
    assert (system.n, system.k, system.threshold) == (100, 1, 1.0)
    assert made([0.0] + [inf] * 99) is None, "a threshold that nothing was seen above"


Threshold = Callable[[list[float]], float]


def ours(scores: list[float]) -> float:
    found = made(scores)
    assert found is not None
    return found.threshold


def one_too_high(scores: list[float]) -> float:
    """The planted bug: the (k+2)-th lowest."""
    found = made(scores)
    assert found is not None
    return sorted(scores)[found.k + 1]


def broken_promises(threshold: Threshold, n: int, trials: int) -> float:
    """Return how often the true recall is below 0.95, over calibration sets of n; scores are uniform, so a threshold is its miss rate."""
    chance = np.random.default_rng(8)
    draws = chance.random((trials, n))
    return sum(threshold(list(row)) > 0.05 for row in draws.tolist()) / trials


#: Of 3,000 trials at a true rate of 0.05 the share is above 0.062 once in a thousand times (three standard deviations are 0.012).
TRIALS, ALLOWED = 3_000, 0.062


@pytest.mark.parametrize("n", [59, 93, 181])
def test_the_promise_is_broken_no_more_often_than_it_says(n: int) -> None:
    assert broken_promises(ours, n, TRIALS) <= ALLOWED


@pytest.mark.parametrize("n", [59, 93, 181])
def test_a_threshold_one_place_too_high_is_found(n: int) -> None:
    assert broken_promises(one_too_high, n, TRIALS) > ALLOWED


CERTIFICATE = Certificate(threshold=-1.5, n=299, k=0, recall=R99, delta=D05, domain=PLACE, model="m")


def test_inside_of_what_it_names_the_gate_is_open() -> None:
    gate = opens(CERTIFICATE, HERE)
    assert gate.open
    assert "recall >= 0.99 at 95% confidence: 299 serious, 0 below" in gate.reason


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (replace(HERE, product_class="drug"), "product class drug, not vaccine"),
        (replace(HERE, source="faers"), "source faers, not vaers"),
        (replace(HERE, language=""), "language unknown, not en"),
        (replace(HERE, received_on="1998-01-01"), "received 1998-01-01, not 1997-01-02 to 1997-12-31"),
        (replace(HERE, received_on="1997"), "received 1997"),
        (replace(HERE, received_on=""), "received on an unknown day"),
        (replace(HERE, model="other"), "another model"),
    ],
)
def test_outside_it_starts_closed_and_says_why(facts: Facts, told: str) -> None:
    gate = opens(CERTIFICATE, facts)
    assert not gate.open
    assert told in gate.reason


@pytest.mark.parametrize(
    ("serious", "missed", "open_"), [(298, 0, False), (299, 0, True), (299, 1, False), (473, 1, True)]
)
def test_labels_open_it_elsewhere(serious: int, missed: int, open_: bool) -> None:
    elsewhere = replace(HERE, product_class="drug", seen=Seen(serious=serious, missed=missed))
    assert opens(CERTIFICATE, elsewhere).open is open_


@pytest.mark.parametrize(("serious", "missed", "open_"), [(58, 0, False), (59, 0, True), (59, 1, False)])
def test_labels_are_held_to_what_is_wanted_where_that_is_less_than_certified(
    serious: int, missed: int, open_: bool
) -> None:
    seen = Seen(serious=serious, missed=missed)
    elsewhere = replace(HERE, product_class="drug", seen=seen, wanted=Fraction(19, 20))
    gate = opens(CERTIFICATE, elsewhere)
    assert gate.open is open_
    assert gate.reason.endswith("of 0.95")


def test_labels_do_not_help_another_model() -> None:
    assert not opens(CERTIFICATE, replace(HERE, model="other", seen=Seen(serious=9_999))).open


def test_a_certificate_is_read_as_it_was_written() -> None:
    assert read(written(CERTIFICATE)) == CERTIFICATE


@pytest.mark.parametrize(
    "change", [{"k": 1}, {"n": 298}, {"recall": "1"}, {"threshold": "x"}, {"domain": {}}, {"domain": None}, {"delta": "a"}]
)  # fmt: skip
def test_a_certificate_that_does_not_add_up_is_refused(change: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        read({**written(CERTIFICATE), **change})
