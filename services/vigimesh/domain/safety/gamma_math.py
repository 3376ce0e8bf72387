"""Three functions of the gamma distribution that the standard library lacks, in double precision.

Formulas: NIST Digital Library of Mathematical Functions, 8.7.1 (series), 8.9.2 (continued fraction), 5.5.2 and 5.11.2
(digamma). The fraction is summed by the modified Lentz method. Each loop has a bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable

#: Steps of a series or fraction. It needs about the square root of the shape; a shape is a number of reports.
MAX_STEPS = 100_000
#: Halvings of an interval: beyond them a double changes no more.
MAX_HALVINGS = 200
_SMALL, _TINY = 1e-15, 1e-300
#: From here on the digamma series has more digits than a double.
_ASYMPTOTIC_FROM = 8.0
#: Bernoulli numbers B(2k) / 2k of the digamma series, k from 1.
_DIGAMMA_TERMS = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32_760)


def digamma(x: float) -> float:
    """Return the derivative of ln gamma at `x` > 0."""
    below = 0.0
    while x < _ASYMPTOTIC_FROM:
        below -= 1.0 / x
        x += 1.0
    square = 1.0 / (x * x)
    tail = 0.0
    for term in reversed(_DIGAMMA_TERMS):
        tail = square * (term + tail)
    return below + math.log(x) - 0.5 / x - tail


def gamma_below(shape: float, x: float) -> float:
    """Return the probability that a gamma variable of `shape` and rate 1 is below `x`."""
    if x <= 0.0:
        return 0.0
    weight = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1.0:
        return min(1.0, weight * _series(shape, x))
    return max(0.0, 1.0 - weight * _fraction(shape, x))


def _series(shape: float, x: float) -> float:
    term = total = 1.0 / shape
    for step in range(1, MAX_STEPS):
        term *= x / (shape + step)
        total += term
        if term < total * _SMALL:
            break
    return total


def _fraction(shape: float, x: float) -> float:
    b = x + 1.0 - shape
    c, d = 1.0 / _TINY, 1.0 / b
    value = d
    for step in range(1, MAX_STEPS):
        a = -step * (step - shape)
        b += 2.0
        d = 1.0 / _not_zero(a * d + b)
        c = _not_zero(b + a / c)
        value *= c * d
        if abs(c * d - 1.0) < _SMALL:
            break
    return value


def _not_zero(x: float) -> float:
    return x if abs(x) > _TINY else _TINY


def quantile_of(below: Callable[[float], float], probability: float, start: float) -> float:
    """Return the positive x at which the distribution function `below` reaches `probability`; `start` > 0 is a guess."""
    high = start
    for _ in range(MAX_HALVINGS):
        if below(high) >= probability:
            break
        high *= 2.0
    low = 0.0
    for _ in range(MAX_HALVINGS):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if below(middle) < probability:
            low = middle
        else:
            high = middle
    return high
