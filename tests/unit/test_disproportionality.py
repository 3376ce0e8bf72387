"""Disproportionality against published worked examples, to the digits that were published."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigimesh.domain.safety.disproportionality import (
    Counts,
    Prior,
    chi_squared,
    ebgm,
    first_share,
    fit_negative_log_likelihood,
    information_component,
    information_component_of,
    prr,
    ror,
)
from vigimesh.domain.safety.gamma_math import digamma, gamma_below, quantile_of
from vigimesh.domain.safety.gamma_poisson import MIN_PAIRS, fit_prior
from vigimesh.errors import Refused

#: Evans, Waller, Davis 2001, the table of rifabutin and uveitis: PRR 586, chi-squared 22,740.
RIFABUTIN = Counts(a=41, b=14, c=754, d=591_958)
#: Canida and Ihrie, R Journal 2017;9(2):499-519, and the vignette of their package openEBGM: the fitted prior, and of six
#: pairs with one report each the expected count, Q, EBGM, EB05 and EB95. (Two of the six are alike.)
CAERS = Prior(shape1=3.25379356, rate1=0.39988854, shape2=2.02612692, rate2=1.90807970, share=0.06534557)
CAERS_PAIRS = [
    (0.0360548272, 0.2819737, 2.23, 0.49, 13.85),
    (0.0038736591, 0.3409653, 2.58, 0.52, 15.78),
    (0.0002979738, 0.3482317, 2.63, 0.52, 16.02),
    (0.0765792610, 0.2226356, 1.92, 0.47, 11.77),
    (0.0527413588, 0.2556670, 2.09, 0.48, 12.95),
]


def test_prr_and_chi_squared_of_rifabutin_and_uveitis() -> None:
    found, squared = prr(RIFABUTIN), chi_squared(RIFABUTIN)
    assert found.value is not None
    assert squared is not None
    assert (round(found.value), round(squared, -1)) == (586, 22_740)


def test_ic025_of_twelve_where_five_were_expected() -> None:
    # The example in the reference of the package vigicaen (`ic_tail`), which works out Noren 2013 by the gamma posterior.
    low = information_component_of(12, 5).low
    assert low is not None
    assert round(low, 7) == 0.2542334


@pytest.mark.parametrize(("expected", "q", "value", "low", "high"), CAERS_PAIRS)
def test_ebgm_of_the_published_pairs(
    expected: float, q: float, value: float, low: float, high: float
) -> None:
    found = ebgm(1, expected, CAERS)
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert round(first_share(1, expected, CAERS), 7) == q
    assert (round(found.value, 2), round(found.low, 2)) == (value, low)
    # Their search ends within a hundredth; ours goes on to the last bit.
    assert abs(found.high - high) < 0.01


def test_the_ratios_agree_where_the_reaction_is_rare() -> None:
    counts = Counts(a=20, b=980, c=200, d=99_800)
    first, second = prr(counts), ror(counts)
    assert first.value == pytest.approx(10.0)
    assert second.value == pytest.approx(20 * 99_800 / (980 * 200))
    for found in (first, second):
        assert found.low is not None
        assert found.high is not None
        assert found.value is not None
        assert found.low * found.high == pytest.approx(found.value**2)
    assert second.low == pytest.approx(
        math.exp(
            math.log(20 * 99_800 / (980 * 200))
            - 1.959964 * math.sqrt(1 / 20 + 1 / 980 + 1 / 200 + 1 / 99_800)
        ),
        rel=1e-6,
    )


def test_nothing_to_do_with_each_other_is_one_and_zero() -> None:
    counts = Counts(a=100, b=900, c=1_000, d=9_000)
    assert prr(counts).value == pytest.approx(1.0)
    assert ror(counts).value == pytest.approx(1.0)
    assert information_component(counts).value == pytest.approx(0.0)
    assert chi_squared(counts) == pytest.approx(0.0)
    assert chi_squared(counts, yates=True) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("counts", "value"),
    [
        (Counts(a=3, b=5, c=0, d=7), None),
        (Counts(a=0, b=0, c=4, d=7), None),
        (Counts(a=0, b=5, c=4, d=7), 0.0),
    ],
)
def test_a_zero_in_the_way_leaves_a_limit_open(counts: Counts, value: float | None) -> None:
    assert (prr(counts).value, prr(counts).low) == (value, None)
    assert (ror(counts).value, ror(counts).low) == (value, None)


def test_what_cannot_be_is_refused() -> None:
    for numbers in ((-1, 2, 3, 4), (0, 0, 0, 0)):
        with pytest.raises(Refused, match="VM-1108"):
            Counts(a=numbers[0], b=numbers[1], c=numbers[2], d=numbers[3])
    with pytest.raises(Refused, match="too few"):
        fit_prior([(1, 0.5)] * (MIN_PAIRS - 1))
    with pytest.raises(Refused, match="above 0"):
        fit_prior([(0, 0.5)] * MIN_PAIRS)
    assert information_component_of(3, 0).value is None
    assert ebgm(3, 0, CAERS).value is None


@given(st.integers(0, 5_000), st.floats(1e-3, 1e4))
@settings(max_examples=150, deadline=None)
def test_every_interval_holds_its_figure_and_shrinks(observed: int, expected: float) -> None:
    for found, plain in (
        (information_component_of(observed, expected), math.log2(max(observed, 1e-9) / expected)),
        (ebgm(observed, expected, CAERS), observed / expected),
    ):
        assert found.low is not None
        assert found.value is not None
        assert found.high is not None
        assert found.low < found.value < found.high
        assert found.value < plain or observed < 3 * expected + 3


@pytest.mark.parametrize(
    ("found", "known"),
    [
        (digamma(1.0), -0.5772156649015329),
        (digamma(0.5), -1.9635100260214235),
        (digamma(10.0), 2.2517525890667211),
        (gamma_below(1.0, 2.0), 1 - math.exp(-2.0)),
        (gamma_below(0.5, 0.2), math.erf(math.sqrt(0.2))),
        (gamma_below(3.0, 2.0), 1 - 5 * math.exp(-2.0)),
        (gamma_below(2.0, 30.0), 1 - 31 * math.exp(-30.0)),
        (gamma_below(7.0, 0.0), 0.0),
    ],
)
def test_the_gamma_functions_where_they_are_known(found: float, known: float) -> None:
    assert found == pytest.approx(known, abs=1e-12)


@pytest.mark.parametrize("shape", [0.05, 0.5, 3.0, 400.0, 50_000.0])
@pytest.mark.parametrize("probability", [0.025, 0.05, 0.5, 0.95, 0.975])
def test_a_quantile_is_where_the_distribution_reaches_it(shape: float, probability: float) -> None:
    found = quantile_of(lambda x: gamma_below(shape, x), probability, shape)
    assert gamma_below(shape, found) == pytest.approx(probability, abs=1e-9)


def drawn(prior: Prior, how_many: int, seed: int) -> list[tuple[int, float]]:
    """Draw pairs from a prior; those without a report are not in a database."""
    chance = random.Random(seed)
    pairs: list[tuple[int, float]] = []
    while len(pairs) < how_many:
        expected = math.exp(chance.uniform(-3.0, 3.0))
        shape, rate = (
            (prior.shape1, prior.rate1) if chance.random() < prior.share else (prior.shape2, prior.rate2)
        )
        mean, count = chance.gammavariate(shape, 1 / rate) * expected, 0
        left = chance.expovariate(1.0)
        while left < mean:
            count += 1
            left += chance.expovariate(1.0)
        if count:
            pairs.append((count, expected))
    return pairs


def test_a_fitted_prior_is_at_least_as_likely_as_the_true_one_and_scores_alike() -> None:
    true = Prior(shape1=2.0, rate1=0.4, shape2=4.0, rate2=4.0, share=0.15)
    pairs = drawn(true, 800, seed=7)
    fitted = fit_prior(pairs)
    rows = [(observed, expected, 1) for observed, expected in pairs]
    assert fit_negative_log_likelihood(rows, fitted) <= fit_negative_log_likelihood(rows, true) + 0.05
    for observed, expected in ((1, 0.2), (5, 1.0), (30, 4.0), (40, 40.0)):
        ours, theirs = ebgm(observed, expected, fitted).value, ebgm(observed, expected, true).value
        assert ours is not None
        assert ours == pytest.approx(theirs, rel=0.25)


def test_the_order_of_the_pairs_changes_nothing() -> None:
    pairs = drawn(CAERS, 60, seed=11)
    start = (Prior(shape1=1.0, rate1=0.5, shape2=2.0, rate2=2.0, share=0.1),)
    assert fit_prior(pairs, start) == fit_prior(sorted(pairs), start)
