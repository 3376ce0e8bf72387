"""The watch on drift: it calls false alarms as rarely as it says, and sees what matters."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigimesh.domain.cascade import drift
from vigimesh.domain.cascade.drift import (
    BINS,
    CONTRADICTION_ALPHA,
    WINDOW,
    WINDOW_ALPHA,
    Reference,
    contradicted,
    counted,
    evidence,
    reference_of,
    windows,
)

RECALL = Fraction(19, 20)


def test_windows_without_drift_are_called_drifted_as_rarely_as_stated() -> None:
    rng = np.random.default_rng(11)
    alarms = looked = 0
    for _ in range(40):
        reference = reference_of(rng.gumbel(size=3_600).tolist())
        found = windows(reference, rng.gumbel(size=WINDOW * 100).tolist())
        looked += len(found)
        alarms += sum(one.drifted for one in found)
    assert looked == 4_000
    # Four are expected; ten or more come with a chance of one in a hundred.
    assert alarms <= 10
    assert 4 / looked == WINDOW_ALPHA


@pytest.mark.parametrize("shift", [0.4, -0.4])
def test_a_shift_of_the_scores_is_seen_in_one_window(shift: float) -> None:
    rng = np.random.default_rng(5)
    reference = reference_of(rng.normal(size=3_600).tolist())
    seen = [one.drifted for one in windows(reference, (rng.normal(size=WINDOW * 50) + shift).tolist())]
    assert sum(seen) >= 48


def test_a_window_is_judged_when_it_is_whole() -> None:
    reference = reference_of([float(at) for at in range(1_000)])
    assert windows(reference, [0.0] * (WINDOW - 1)) == ()
    (one,) = windows(reference, [0.0] * (2 * WINDOW - 1))
    assert one.drifted
    assert "window 1" in one.words


def test_scores_that_nobody_knew_and_bins_that_nobody_meets_are_no_error() -> None:
    reference = Reference((0.0, 1.0), (10, 0, 10))
    same = windows(reference, [-1.0, 2.0] * (WINDOW // 2))[0]
    assert not same.drifted
    other = windows(reference, [0.5] * WINDOW)[0]
    assert other.drifted
    assert other.psi > 1


def test_the_chance_is_that_of_chi_square() -> None:
    # Quantiles of published tables: chi-square with 10 degrees of freedom at 0.05 and 0.001, with 2 at 0.01.
    for statistic, freedom, chance in ((18.307, 10, 0.05), (29.588, 10, 0.001), (9.210, 2, 0.01)):
        assert drift._beyond(statistic, freedom) == pytest.approx(chance, rel=1e-3)


@given(st.lists(st.floats(-1e6, 1e6), min_size=BINS, max_size=200))
def test_every_margin_is_in_one_bin(margins: list[float]) -> None:
    reference = reference_of(margins)
    assert sum(reference.counts) == len(margins)
    assert reference == drift.read(drift.written(reference))
    assert counted(reference.edges, margins) == reference.counts


@pytest.mark.parametrize(
    ("edges", "counts"),
    [((1.0, 1.0), (1, 1, 1)), ((1.0,), (1,)), ((float("nan"),), (1, 1)), ((1.0,), (-1, 2)), ((1.0,), (0, 0))],
)
def test_bins_that_are_none_are_refused(edges: tuple[float, ...], counts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError):
        Reference(edges, counts)


def ends_contradicted(misses: np.ndarray, recall: Fraction) -> float:
    """Return the share of rows that are contradicted at any point, looking after each label."""
    found = 0
    for row in misses:
        total = np.cumsum(row)
        found += any(
            contradicted(at + 1, int(missed), recall) for at, missed in enumerate(total.tolist()) if row[at]
        )
    return found / len(misses)


def test_a_certificate_that_holds_is_contradicted_as_rarely_as_stated() -> None:
    rng = np.random.default_rng(4)
    share = ends_contradicted(rng.random((2_000, 600)) < float(1 - RECALL), RECALL)
    assert share <= CONTRADICTION_ALPHA + 3 * (CONTRADICTION_ALPHA / 2_000) ** 0.5


def test_a_recall_that_fell_is_seen_soon() -> None:
    rng = np.random.default_rng(4)
    share = ends_contradicted(rng.random((200, 100)) < 4 * float(1 - RECALL), RECALL)
    assert share >= 0.9


@given(st.integers(0, 2_000), st.integers(0, 2_000))
def test_a_miss_speaks_against_and_a_hit_for(serious: int, missed: int) -> None:
    missed = min(missed, serious)
    assert evidence(serious + 1, missed, RECALL) <= evidence(serious, missed, RECALL)
    assert evidence(serious + 1, missed + 1, RECALL) >= evidence(serious, missed, RECALL)


@pytest.mark.parametrize(("serious", "missed"), [(-1, 0), (1, 2), (1, -1)])
def test_misses_that_cannot_be_are_refused(serious: int, missed: int) -> None:
    with pytest.raises(ValueError):
        contradicted(serious, missed, RECALL)
