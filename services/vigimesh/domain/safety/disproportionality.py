"""Is a reaction reported with a product more often than with others: PRR, ROR, IC and EBGM, each with its interval.

A statistic of reporting and no rate of reactions: it says where to look. Thresholds are the workflow's, not ours.

PRR and chi-squared: Evans SJW, Waller PC, Davis S. Pharmacoepidemiol Drug Saf 2001;10:483-486. ROR: van Puijenbroek EP,
Bate A, Leufkens HGM, et al. Pharmacoepidemiol Drug Saf 2002;11:3-10. IC: Noren GN, Hopstadius J, Bate A. Stat Methods Med
Res 2013;22:57-69. EBGM, EB05, EB95: DuMouchel W. Am Stat 1999;53:177-190.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vigimesh.domain.safety.gamma_math import digamma, gamma_below, quantile_of
from vigimesh.errors import Refused

#: Standard normal quantile of 97.5 %: the two-sided 95 % interval of PRR and ROR.
Z_975 = 1.959963984540054
#: Added to observed and expected in the IC: shrinks it towards 0 when both are small (Noren 2013).
IC_SHRINKAGE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Reports by product and reaction: `a` both, `b` the product alone, `c` the reaction alone, `d` neither."""

    a: int
    b: int
    c: int
    d: int

    def __post_init__(self) -> None:
        """Raise `Refused` VM-1108 for counts that are negative or all zero."""
        if min(self.a, self.b, self.c, self.d) < 0 or self.total == 0:
            raise Refused(
                "VM-1108", what=f"counts {self.a}, {self.b}, {self.c}, {self.d}", where="table of reports",
                todo="give four numbers of reports, none below 0, not all 0",
            )  # fmt: skip

    @property
    def total(self) -> int:
        """All reports."""
        return self.a + self.b + self.c + self.d

    @property
    def expected(self) -> float:
        """Reports with both that would be expected if product and reaction had nothing to do with each other."""
        return (self.a + self.b) * (self.a + self.c) / self.total


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A figure with the limits of its interval; `None` where the counts define none (a zero in the way)."""

    value: float | None
    low: float | None
    high: float | None


_UNDEFINED = Measure(value=None, low=None, high=None)


def prr(counts: Counts) -> Measure:
    """Return the proportional reporting ratio with its 95 % interval."""
    a, with_product, c, without = counts.a, counts.a + counts.b, counts.c, counts.c + counts.d
    if with_product == 0 or c == 0:
        return _UNDEFINED
    value = (a / with_product) / (c / without)
    if a == 0:
        return Measure(value=value, low=None, high=None)
    return _log_interval(value, 1 / a - 1 / with_product + 1 / c - 1 / without)


def ror(counts: Counts) -> Measure:
    """Return the reporting odds ratio with its 95 % interval."""
    a, b, c, d = counts.a, counts.b, counts.c, counts.d
    if b == 0 or c == 0:
        return _UNDEFINED
    if a == 0 or d == 0:
        return Measure(value=a * d / (b * c), low=None, high=None)
    return _log_interval(a * d / (b * c), 1 / a + 1 / b + 1 / c + 1 / d)


def chi_squared(counts: Counts, *, yates: bool = False) -> float | None:
    """Return Pearson's chi-squared (one degree of freedom), with Yates' correction where asked; `None` if undefined."""
    a, b, c, d, n = counts.a, counts.b, counts.c, counts.d, counts.total
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    if margins == 0:
        return None
    apart = abs(a * d - b * c)
    return n * max(0.0, apart - n / 2 if yates else apart) ** 2 / margins


def information_component(counts: Counts) -> Measure:
    """Return the IC (a binary logarithm) with its 95 % credibility interval (IC025, IC975), exact by the gamma posterior."""
    return information_component_of(counts.a, counts.expected)


def information_component_of(observed: int, expected: float) -> Measure:
    """Return the IC of `observed` reports where `expected` > 0 were expected, however that was worked out."""
    if expected <= 0:
        return _UNDEFINED
    shape, rate = observed + IC_SHRINKAGE, expected + IC_SHRINKAGE

    def limit(probability: float) -> float:
        return math.log2(quantile_of(lambda x: gamma_below(shape, x), probability, shape) / rate)

    return Measure(value=math.log2(shape / rate), low=limit(0.025), high=limit(0.975))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """Mixture of two gamma distributions that the ratios of all pairs come from; `share` is that of the first."""

    shape1: float
    rate1: float
    shape2: float
    rate2: float
    share: float

    def log_likelihood(self, observed: int, expected: float) -> tuple[float, float]:
        """Return ln(share x density) of a count under each part: two negative binomials (DuMouchel 1999, equation 4)."""
        return (
            math.log(self.share) + _log_negative_binomial(observed, expected, self.shape1, self.rate1),
            math.log1p(-self.share) + _log_negative_binomial(observed, expected, self.shape2, self.rate2),
        )


def first_share(observed: int, expected: float, prior: Prior) -> float:
    """Return the posterior probability that a pair belongs to the first part of the prior (Q, equation 6)."""
    first, second = prior.log_likelihood(observed, expected)
    return 1.0 / (1.0 + math.exp(min(700.0, second - first)))


def ebgm(observed: int, expected: float, prior: Prior) -> Measure:
    """Return EBGM with EB05 and EB95, the 5 % and 95 % quantiles of the posterior (a two-sided 90 % interval).

    `expected` > 0, by margins or by strata.
    """
    if expected <= 0:
        return _UNDEFINED
    q = first_share(observed, expected, prior)
    shapes = prior.shape1 + observed, prior.shape2 + observed
    rates = prior.rate1 + expected, prior.rate2 + expected
    logs = [digamma(shape) - math.log(rate) for shape, rate in zip(shapes, rates, strict=True)]
    value = math.exp(q * logs[0] + (1.0 - q) * logs[1])

    def below(x: float) -> float:
        return q * gamma_below(shapes[0], rates[0] * x) + (1.0 - q) * gamma_below(shapes[1], rates[1] * x)

    return Measure(value=value, low=quantile_of(below, 0.05, value), high=quantile_of(below, 0.95, value))


def fit_negative_log_likelihood(pairs: Sequence[tuple[int, float, int]], prior: Prior) -> float:
    """Return the negative log-likelihood of (observed, expected, how many such pairs) under `prior`.

    Only pairs with a report are given, as a reporting database has no others: each count is conditional on being > 0.
    """
    parts = (
        (math.log(prior.share), prior.shape1, prior.rate1),
        (math.log1p(-prior.share), prior.shape2, prior.rate2),
    )
    # What depends on the count alone is worked out once per count: most of the time goes into it.
    rising = {
        observed: [
            math.lgamma(shape + observed) - math.lgamma(shape) - math.lgamma(observed + 1)
            for _, shape, _ in parts
        ]
        for observed in {observed for observed, _, _ in pairs}
    }
    total = 0.0
    for observed, expected, times in pairs:
        density = 0.0
        for (share, shape, rate), risen in zip(parts, rising[observed], strict=True):
            none = -shape * math.log1p(expected / rate)
            some = risen + none - observed * math.log1p(rate / expected)
            density += math.exp(share + some) / -math.expm1(none)
        total -= times * math.log(max(density, 1e-300))
    return total


def _log_negative_binomial(observed: int, expected: float, shape: float, rate: float) -> float:
    return (
        math.lgamma(shape + observed) - math.lgamma(shape) - math.lgamma(observed + 1)
        - shape * math.log1p(expected / rate) - observed * math.log1p(rate / expected)
    )  # fmt: skip


def _log_interval(value: float, variance: float) -> Measure:
    half = Z_975 * math.sqrt(variance)
    return Measure(value=value, low=value * math.exp(-half), high=value * math.exp(half))
