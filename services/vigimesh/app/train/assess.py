"""What a score is worth: ranking, precision, calibration and thresholds, each with a bootstrap interval over cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: Resamples of an interval: its ends move by less than a tenth of its width from seed to seed.
RESAMPLES = 1_000
#: What the resamples are drawn from.
SEED = 20_261_129


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its 95 % percentile bootstrap interval (Efron, 1979)."""

    value: float
    low: float
    high: float


class Ranking:
    """Scores and labels, sorted once; a weight for each case makes a resample of it.

    Raises `ValueError` unless there is a case of each kind.
    """

    def __init__(self, scores: Floats, labels: Flags) -> None:
        if len(scores) != len(labels) or not (labels.any() and not labels.all()):
            raise ValueError("a ranking needs serious cases and others")
        _, at = np.unique(-scores, return_inverse=True)
        self.at, self.labels, self.places = at, labels, int(at.max()) + 1

    def _counts(self, weights: Floats | None) -> tuple[Floats, Floats]:
        """Return how many of each kind stand at each distinct score, from the highest down."""
        given: Floats = np.ones(len(self.at)) if weights is None else weights
        yes = np.bincount(self.at, weights=given * self.labels, minlength=self.places).astype(np.float64)
        every = np.bincount(self.at, weights=given, minlength=self.places).astype(np.float64)
        return yes, every - yes

    def auc(self, weights: Floats | None = None) -> float:
        """Return the area under the ROC curve: the chance that a serious case scores higher than another, ties counted half."""
        yes, no = self._counts(weights)
        above = np.cumsum(yes) - yes / 2
        return float((above * no).sum() / (yes.sum() * no.sum()))

    def ap(self, weights: Floats | None = None) -> float:
        """Return the average precision: precision at each serious case, from the highest score down, ties as one step."""
        yes, no = self._counts(weights)
        taken = np.cumsum(yes + no)
        return float((yes * np.cumsum(yes) / np.maximum(taken, 1e-300)).sum() / yes.sum())


def weights(cases: int, resamples: int = RESAMPLES, seed: int = SEED) -> list[Floats]:
    """Return how often each case is drawn in each resample: the same draws for everything that is compared."""
    chance = np.random.default_rng(seed)
    return [
        np.bincount(chance.integers(0, cases, cases), minlength=cases).astype(np.float64)
        for _ in range(resamples)
    ]


def interval(measure: Callable[[Floats | None], float], drawn: Sequence[Floats]) -> Figure:
    """Return a measure of all cases with its interval over the resamples; resamples without a case of each kind are left out."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.array([measure(one) for one in drawn])
    found = found[np.isfinite(found)]
    low, high = np.percentile(found, [2.5, 97.5])
    return Figure(measure(None), float(low), float(high))


def gain(ours: Ranking, other: Ranking, measure: str, drawn: Sequence[Floats]) -> Figure:
    """Return by how much `measure` (`auc` or `ap`) of one is above that of the other on the same cases, paired in each resample."""
    one, two = getattr(ours, measure), getattr(other, measure)
    return interval(lambda weights: one(weights) - two(weights), drawn)


def threshold_at_recall(scores: Floats, labels: Flags, recall: float) -> float:
    """Return the highest threshold at or above which at least this share of the serious cases lies. No confidence: see `certify`.

    Raises `ValueError` when there is no serious case.
    """
    serious = np.sort(scores[labels])
    if not len(serious):
        raise ValueError("no serious case")
    # Rounded, because 0.05 * 20 must be 1.
    return float(serious[int(np.floor(round(len(serious) * (1 - recall), 9)))])


@dataclass(frozen=True, slots=True)
class AtThreshold:
    """What a threshold does: cases below it are resolved by the model; serious ones among those are misses."""

    resolved: float
    recall: float
    serious: int
    missed: int


def at_threshold(scores: Floats, labels: Flags, threshold: float) -> AtThreshold:
    """Return what a threshold does to these cases. Raises `ValueError` when there is no case."""
    if not len(scores):
        raise ValueError("no case")
    below = scores < threshold
    serious, missed = int(labels.sum()), int((labels & below).sum())
    return AtThreshold(
        resolved=float(below.mean()),
        recall=1 - missed / serious if serious else 1.0,
        serious=serious,
        missed=missed,
    )
