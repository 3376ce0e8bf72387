"""A linear chain over tokens: the best sequence of labels, and how probable each field in it is.

Scores are whole numbers (units of `Chain.unit` of a log-odds), so that the best sequence is the same on every machine; of two equally good
ones the one whose later labels come first in `LABELS`. Lafferty et al., *Conditional Random Fields*, 2001; decoding by Viterbi (1967).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Fields that are looked for, and the labels of tokens: outside, first of a field, a further one of it.
FIELDS = ("drug", "reaction", "dose", "age", "time")
LABELS = ("O", *(f"{mark}-{field}" for field in FIELDS for mark in "BI"))
OUTSIDE = 0
#: What forbids a step: beyond any sum of scores of one piece.
FORBIDDEN = -(10**8)

Floats = NDArray[np.float64]
Scores = NDArray[np.int64]


def first_of(field: int) -> int:
    """Return the label of the first token of a field."""
    return 1 + 2 * field


def allowed() -> NDArray[np.bool_]:
    """Return which label may follow which (row before, column after; the last row is the beginning of a piece)."""
    found = np.ones((len(LABELS) + 1, len(LABELS)), dtype=np.bool_)
    for field in range(len(FIELDS)):
        inside = first_of(field) + 1
        found[:, inside] = False
        found[[inside - 1, inside], inside] = True
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """The numbers of a tagger: `weights` (bucket, label) and `steps` (label before or beginning, label) in units of `unit`.

    Raises `ValueError` for other shapes or kinds.
    """

    weights: NDArray[np.int8]
    steps: NDArray[np.int16]
    unit: float

    def __post_init__(self) -> None:
        """Refuse numbers that do not fit."""
        wide = len(LABELS)
        if self.weights.ndim != 2 or self.weights.shape[1] != wide or self.weights.dtype != np.int8:
            raise ValueError(f"weights are {self.weights.dtype} {self.weights.shape}")
        if self.steps.shape != (wide + 1, wide) or self.steps.dtype != np.int16:
            raise ValueError(f"steps are {self.steps.dtype} {self.steps.shape}")
        if not (np.isfinite(self.unit) and self.unit > 0):
            raise ValueError(f"the unit is {self.unit}")


def emissions(chain: Chain, buckets: NDArray[np.int32]) -> Scores:
    """Return what each token scores for each label, (tokens, labels)."""
    found = np.zeros((len(buckets), len(LABELS)), dtype=np.int64)
    for column in buckets.T:
        found += chain.weights[column]
    return found


def best(chain: Chain, scores: Scores, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the best label of each token: `scores` is (pieces, longest, labels), `sizes` the tokens of each piece; -1 beyond them."""
    steps = np.where(allowed(), chain.steps.astype(np.int64), FORBIDDEN)
    pieces, longest, wide = scores.shape
    back = np.zeros((longest, pieces, wide), dtype=np.int64)
    value = steps[-1] + scores[:, 0]
    last = value.copy()
    for at in range(1, longest):
        ways = value[:, :, None] + steps[None, :-1]
        back[at] = ways.argmax(axis=1)
        value = ways.max(axis=1) + scores[:, at]
        last[sizes > at] = value[sizes > at]
    labels = np.full((pieces, longest), -1, dtype=np.int64)
    now = last.argmax(axis=1)
    rows = np.arange(pieces)
    for at in range(longest - 1, -1, -1):
        inside = sizes > at
        labels[inside, at] = now[inside]
        if at:
            now = np.where(inside, back[at, rows, now], now)
    return labels


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Logarithms of the sums over all ways to a label (`forward`) and from it to the end (`backward`), and of all ways (`total`)."""

    forward: Floats
    backward: Floats
    total: Floats


def sums(steps: Floats, scores: Floats, sizes: NDArray[np.int64]) -> Sums:
    """Return the sums of pieces with these `scores` (pieces, longest, labels) and `steps` (as in `Chain`, as log-odds, forbidden included)."""
    forward, backward = np.zeros_like(scores), np.zeros_like(scores)
    forward[:, 0] = steps[-1] + scores[:, 0]
    longest = scores.shape[1]
    inner = np.exp(steps[:-1])
    for at in range(1, longest):
        forward[:, at] = _product(forward[:, at - 1], inner) + scores[:, at]
    for at in range(longest - 2, -1, -1):
        further = _product(scores[:, at + 1] + backward[:, at + 1], inner.T)
        backward[:, at] = np.where((sizes > at + 1)[:, None], further, 0.0)
    ends = forward[np.arange(len(sizes)), sizes - 1]
    top = ends.max(axis=1)
    return Sums(forward, backward, top + np.log(np.exp(ends - top[:, None]).sum(axis=1)))


def _product(logs: Floats, inner: Floats) -> Floats:
    top = logs.max(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        found: Floats = np.log(np.exp(logs - top) @ inner) + top
    return found
