"""Fits the prior of the gamma-Poisson shrinker to all pairs of a database (DuMouchel 1999, section 3).

The five parameters are found by the simplex search of Nelder and Mead (Comput J 1965;7:308-313) on their logarithms (the
share on its logit), from several starts; the likelihood has more than one maximum, so the best end is taken. No chance:
the same pairs give the same prior.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from vigimesh.domain.safety.disproportionality import Prior, fit_negative_log_likelihood
from vigimesh.errors import Refused

#: Starts of the search: DuMouchel's own (1999, section 3), and two further apart.
STARTS = (
    Prior(shape1=0.2, rate1=0.1, shape2=2.0, rate2=4.0, share=1 / 3),
    Prior(shape1=1.0, rate1=0.5, shape2=2.0, rate2=2.0, share=0.1),
    Prior(shape1=3.0, rate1=0.5, shape2=5.0, rate2=5.0, share=0.5),
)
#: Steps of one search; a fit of five parameters needs a few hundred.
MAX_STEPS = 2_000
#: Two ends of the simplex count as one when their likelihoods differ by less.
TOLERANCE = 1e-8
#: Fewer pairs than parameters say nothing.
MIN_PAIRS = 10
#: Significant digits of an expected count under which pairs with as many reports are put together, at their mean.
_DIGITS = 2
#: Bound on a parameter's logarithm: beyond it the likelihood is flat.
_FAR = 12.0
#: How near to that bound a search ends that would have gone beyond it.
_NEAR_EDGE = 0.5

Point = tuple[float, ...]


def fit_prior(pairs: Iterable[tuple[int, float]], starts: Sequence[Prior] = STARTS) -> Prior:
    """Return the prior under which the pairs (observed > 0, expected > 0) are likeliest.

    Raises `Refused` VM-1108 for a pair without report or expectation, or for fewer than `MIN_PAIRS`.
    """
    rows = _grouped(pairs)
    if sum(times for _, _, times in rows) < MIN_PAIRS:
        raise _wrong("too few pairs", f"give at least {MIN_PAIRS}")
    ends = [_search(lambda point: _cost(rows, point), _point_of(start)) for start in starts]
    return _prior_of(min(ends, key=lambda point: _cost(rows, point)))


def at_the_edge(prior: Prior) -> bool:
    """Tell whether a fitted prior lies where the search ends: the pairs were too few, or too alike, to tell it."""
    return max(map(abs, _point_of(prior))) > _FAR - _NEAR_EDGE


def _grouped(pairs: Iterable[tuple[int, float]]) -> list[tuple[int, float, int]]:
    alike: dict[tuple[int, str], list[float]] = {}
    for observed, expected in pairs:
        if observed < 1 or not 0 < expected < math.inf:
            raise _wrong(f"pair of {observed} observed and {expected} expected", "give both above 0")
        alike.setdefault((observed, f"{expected:.{_DIGITS}g}"), []).append(expected)
    return [
        (observed, math.fsum(some) / len(some), len(some)) for (observed, _), some in sorted(alike.items())
    ]


def _cost(rows: Sequence[tuple[int, float, int]], point: Point) -> float:
    if max(map(abs, point)) > _FAR:
        return math.inf
    return fit_negative_log_likelihood(rows, _prior_of(point))


def _prior_of(point: Point) -> Prior:
    shape1, rate1, shape2, rate2 = (math.exp(part) for part in point[:4])
    return Prior(shape1=shape1, rate1=rate1, shape2=shape2, rate2=rate2, share=1 / (1 + math.exp(-point[4])))


def _point_of(prior: Prior) -> Point:
    logs = [math.log(part) for part in (prior.shape1, prior.rate1, prior.shape2, prior.rate2)]
    return (*logs, math.log(prior.share / (1 - prior.share)))


def _search(cost: Callable[[Point], float], start: Point) -> Point:
    """Return the lowest point that the simplex comes to from `start`."""
    corners = [start] + [
        tuple(part + (0.5 if place == moved else 0.0) for place, part in enumerate(start))
        for moved in range(len(start))
    ]
    simplex = sorted((cost(corner), corner) for corner in corners)
    for _ in range(MAX_STEPS):
        if simplex[-1][0] - simplex[0][0] < TOLERANCE:
            break
        simplex = _step(cost, simplex)
    return simplex[0][1]


def _step(cost: Callable[[Point], float], simplex: list[tuple[float, Point]]) -> list[tuple[float, Point]]:
    """Move the worst corner: reflect it, and expand or contract; else shrink all towards the best."""
    *kept, worst = simplex
    centre = tuple(sum(parts) / len(kept) for parts in zip(*(corner for _, corner in kept), strict=True))

    def at(reach: float) -> tuple[float, Point]:
        point = tuple(c + reach * (w - c) for c, w in zip(centre, worst[1], strict=True))
        return cost(point), point

    reflected = at(-1.0)
    if reflected[0] < kept[0][0]:
        return sorted([*kept, min(at(-2.0), reflected)])
    if reflected[0] < kept[-1][0]:
        return sorted([*kept, reflected])
    contracted = at(-0.5) if reflected[0] < worst[0] else at(0.5)
    if contracted[0] < min(reflected[0], worst[0]):
        return sorted([*kept, contracted])
    best = simplex[0][1]
    nearer = [tuple((b + p) / 2 for b, p in zip(best, corner, strict=True)) for _, corner in simplex[1:]]
    return sorted([simplex[0], *((cost(point), point) for point in nearer)])


def _wrong(what: str, todo: str) -> Refused:
    return Refused("VM-1108", what=what, where="pairs that the prior is fitted to", todo=todo)
