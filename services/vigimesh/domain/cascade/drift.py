"""Whether what a small model sees today is what it was certified on: by its scores, and by what people said of the sample. Pure.

*Scores.* The margins of drawn cases, in the order of their draw, fall into windows of `WINDOW`. Each window is held against the reference: the same bins,
with the counts of the cases that the certificate was made from. Pearson's test of two samples (chi-square of the 2 x `BINS` table) gives the chance of such a
difference where there is none; below `WINDOW_ALPHA` the window has drifted. Windows share no case, so that of a thousand without drift one is called drifted.
PSI, which many look at, is the same comparison without its chance (B. Yurdakul, *Statistical properties of population stability index*, 2018); it is printed.

*Labels.* n labelled serious cases, k of them missed, contradict a certified recall r once the mean of the likelihood ratios of the miss rates `WORSE` x (1 - r)
against 1 - r is at least 1 / `CONTRADICTION_ALPHA`. Where the recall is r or better such a mean is a supermartingale that begins at 1, so that it gets there
with a chance of at most `CONTRADICTION_ALPHA`, however often one looks (Ville's inequality, 1939).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import exp, inf, isfinite, log, log1p
from statistics import quantiles

#: Scores of one window: forty-five in a bin, so that the test's chance is right; at a rate of 5 % it is ten thousand cases.
WINDOW = 500
#: Bins of equal counts in the reference; one more than an even number, so that the chance is a finite sum.
BINS = 11
#: Chance that a window without drift is called drifted.
WINDOW_ALPHA = 0.001
#: Chance that a certificate which holds is ever contradicted by labels.
CONTRADICTION_ALPHA = 0.01
#: How many times worse than certified the miss rates are that are looked for.
WORSE = (2, 4, 8, 16)


@dataclass(frozen=True, slots=True)
class Reference:
    """Bins of a distribution of margins: `edges` rising, `counts` one more than edges. Raises `ValueError` for what is none."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse bins that are none."""
        rising = all(a < b for a, b in zip(self.edges, self.edges[1:], strict=False))
        if not (rising and all(map(isfinite, self.edges)) and len(self.counts) == len(self.edges) + 1):
            raise ValueError("bins have rising edges and one count more than edges")
        if min(self.counts) < 0 or not sum(self.counts):
            raise ValueError("a reference without cases")


def reference_of(margins: Sequence[float]) -> Reference:
    """Return the bins of these margins, some `BINS` of equal counts. Raises `ValueError` for fewer margins than bins."""
    if len(margins) < BINS:
        raise ValueError(f"{len(margins)} margins for {BINS} bins")
    edges = tuple(sorted(set(quantiles(margins, n=BINS, method="inclusive"))))
    return Reference(edges, counted(edges, margins))


def counted(edges: Sequence[float], margins: Iterable[float]) -> tuple[int, ...]:
    """Return how many margins fall into each bin; one on an edge falls above it."""
    found = Counter(bisect_right(edges, margin) for margin in margins)
    return tuple(found[place] for place in range(len(edges) + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How one window compares: `chance` of a difference like it without drift, `psi` as people print it."""

    number: int
    chance: float
    psi: float

    @property
    def drifted(self) -> bool:
        """Whether it differs from the reference."""
        return self.chance < WINDOW_ALPHA

    @property
    def words(self) -> str:
        """The comparison in one line."""
        return f"scores of window {self.number} ({WINDOW} cases): PSI {self.psi:.3f}, chance {self.chance:.2g} without drift"


def windows(reference: Reference, margins: Sequence[float]) -> tuple[Window, ...]:
    """Return a comparison of each whole window of margins, given in the order of their draw."""
    whole = len(margins) // WINDOW
    return tuple(
        _compared(reference, at + 1, margins[at * WINDOW : (at + 1) * WINDOW]) for at in range(whole)
    )


def contradicted(serious: int, missed: int, recall: Fraction) -> bool:
    """Return whether labels contradict a certified recall. Raises `ValueError` for misses that are not 0 to `serious`."""
    return evidence(serious, missed, recall) >= 1 / CONTRADICTION_ALPHA


def evidence(serious: int, missed: int, recall: Fraction) -> float:
    """Return the mean likelihood ratio against a recall of at least `recall`; 1 says nothing, infinity is beyond what a float holds."""
    if not 0 <= missed <= serious or not 0 < recall < 1:
        raise ValueError(f"{missed} misses of {serious} at a recall of {recall}")
    base = float(1 - recall)
    ratios = [
        missed * log(worse) + (serious - missed) * (log1p(-worse * base) - log1p(-base))
        for worse in WORSE
        if worse * base < 1
    ]
    return sum(inf if ratio > 700 else exp(ratio) for ratio in ratios) / len(WORSE)


def _compared(reference: Reference, number: int, margins: Sequence[float]) -> Window:
    here = counted(reference.edges, margins)
    known, seen = sum(reference.counts), len(margins)
    told = (seen / known) ** 0.5
    held = [(there, now) for there, now in zip(reference.counts, here, strict=True) if there or now]
    statistic = sum((there * told - now / told) ** 2 / (there + now) for there, now in held)
    # Half a case keeps an empty bin from an endless PSI; the test needs no such help.
    shares = [((there + 0.5) / (known + 1), (now + 0.5) / (seen + 1)) for there, now in held]
    psi = sum((now - there) * log(now / there) for there, now in shares)
    return Window(number=number, chance=_beyond(statistic, len(held) - 1), psi=psi)


def _beyond(statistic: float, freedom: int) -> float:
    """Return the chance that chi-square with this many degrees of freedom exceeds a statistic; odd ones are taken as one more, the safer way.

    For an even number 2m it is exp(-x/2) times the first m terms of exp(x/2) (Abramowitz and Stegun, 26.4.5).
    """
    half, term, total = statistic / 2, 1.0, 1.0
    for at in range(1, (freedom + 1) // 2):
        term *= half / at
        total += term
    return min(1.0, exp(-half) * total)


def written(reference: Reference) -> dict[str, list[float] | list[int]]:
    """Return a reference as JSON values."""
    return {"edges": list(reference.edges), "counts": list(reference.counts)}


def read(value: Mapping[str, Sequence[float]]) -> Reference:
    """Return the reference that `written` wrote. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
    return Reference(tuple(map(float, value["edges"])), tuple(map(int, value["counts"])))
