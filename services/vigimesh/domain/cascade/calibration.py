"""From a margin to a probability: an isotonic table, made from cases that the model did not train on.

The pool-adjacent-violators algorithm (Ayer et al., 1955) gives the rising step function nearest to the labels; between the middles of its
steps the table is read as a straight line, so that two margins keep their order as far as the labels bear it out.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Steps of one table: some dozens are found for a thousand cases.
MAX_KNOTS = 1_024


@dataclass(frozen=True, slots=True)
class Curve:
    """A rising table: `margins` strictly rising, `probabilities` rising within 0 to 1; flat beyond both ends.

    Raises `ValueError` for a table that is none.
    """

    margins: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        knots = len(self.margins)
        fits = 1 <= knots <= MAX_KNOTS and knots == len(self.probabilities)
        rising = all(a < b for a, b in zip(self.margins, self.margins[1:], strict=False))
        orderly = all(a <= b for a, b in zip(self.probabilities, self.probabilities[1:], strict=False))
        if not (fits and rising and orderly and np.isfinite(self.margins).all()):
            raise ValueError("a calibration table rises in margins and in probabilities")
        if not 0.0 <= self.probabilities[0] <= self.probabilities[-1] <= 1.0:
            raise ValueError("a probability is not within 0 to 1")

    def read(self, margins: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of each margin."""
        return np.interp(margins, self.margins, self.probabilities)


def isotonic(margins: Sequence[float], labels: Sequence[bool]) -> Curve:
    """Return the table of these cases, which the model must not have trained on. Raises `ValueError` when there is none.

    A step that holds no case of one kind is kept off 0 and 1 by half a case (the estimate (hits + 1/2) / (cases + 1)): some hundred cases without
    a serious one do not show that there are none.
    """
    if not margins or len(margins) != len(labels):
        raise ValueError(f"{len(margins)} margins and {len(labels)} labels")
    steps: list[list[float]] = []  # cases, hits, sum of margins
    for margin, label in sorted(zip(margins, labels, strict=True)):
        steps.append([1.0, float(label), margin])
        while len(steps) > 1 and _share(steps[-2]) >= _share(steps[-1]):
            cases, hits, total = steps.pop()
            steps[-1][0] += cases
            steps[-1][1] += hits
            steps[-1][2] += total
    knots: dict[float, float] = {}
    last = 0.0
    for cases, hits, total in steps:
        share = hits / cases if 0 < hits < cases else (hits + 0.5) / (cases + 1)
        last = max(last, share)
        knots[total / cases] = last
    places = sorted(knots)
    return Curve(tuple(places), tuple(knots[place] for place in places))


def _share(step: list[float]) -> float:
    return step[1] / step[0]


def expected_calibration_error(
    probabilities: Sequence[float], labels: Sequence[bool], bins: int = 10
) -> float:
    """Return the mean gap between probability and frequency over `bins` equally wide bins, weighed by cases (Naeini et al., 2015).

    Raises `ValueError` when there is no case.
    """
    if not probabilities or len(probabilities) != len(labels):
        raise ValueError(f"{len(probabilities)} probabilities and {len(labels)} labels")
    edges = [(at + 1) / bins for at in range(bins)]
    sums = [[0.0, 0.0] for _ in range(bins)]
    for probability, label in zip(probabilities, labels, strict=True):
        held = sums[min(bisect_left(edges, probability), bins - 1)]
        held[0] += probability
        held[1] += label
    return sum(abs(told - seen) for told, seen in sums) / len(labels)
