"""What two arms came to on the same cases: tokens, recall, persons. Pure arithmetic."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from vigimesh.app.train.assess import Figure, interval, weights
from vigimesh.domain.cascade.certify import recall_bound
from vigimesh.domain.policy.tiers import TIERS

#: Of every bound here: 95 %.
DELTA = Fraction(1, 20)
#: The two-sided 95 % quantile of the normal distribution.
_Z = 1.959963984540054
#: Halvings of the interval in which a bound is searched: far below any digit that is shown.
_HALVINGS = 60
#: The points by which all-large may find more (the margin was fixed beforehand).
MARGIN = -0.005
#: Persons beside all-large's that still count as equal (2 points).
EQUAL = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A case that was offered to both arms: its id and day of receipt, and whether a box of its form, or that of death, is ticked."""

    case_id: str
    day: str
    serious: bool
    death: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a case ended in one arm.

    `found_by` is the tier that stated it serious (grade 3 or more), empty when none did. `by` is the tier after which nothing came, `person` when
    somebody has to look at it, empty when it did not end. `tokens` are prompt and completion of all its large calls. `passes` says of each pass how many
    large calls it made, `stated` after how many of them the first statement stood of whether it is serious; `None` when none did. `lane` is that of the end.
    """

    found_by: str
    by: str
    tokens: int = 0
    passes: tuple[int, ...] = ()
    stated: int | None = None
    lane: str = ""

    @property
    def calls(self) -> int:
        """Its large calls."""
        return sum(self.passes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """Serious cases offered and found; `low` is the one-sided exact 95 % bound (Clopper and Pearson)."""

    serious: int
    found: int

    @property
    def value(self) -> float:
        """The share that was found; 0 of nothing."""
        return self.found / self.serious if self.serious else 0.0

    @property
    def low(self) -> float:
        """The lower bound."""
        return recall_bound(self.serious, self.serious - self.found, DELTA)


def recall(offered: Sequence[Offered], ended: Sequence[Ended]) -> Recall:
    """Return `recall_machine`: of every gold-serious case offered, those that a machine stated to be serious."""
    found = [bool(end.found_by) for one, end in zip(offered, ended, strict=True) if one.serious]
    return Recall(serious=len(found), found=sum(found))


def recall_small_unknown(offered: Sequence[Offered], ended: Sequence[Ended]) -> Recall:
    """Return the stricter reading of `recall_machine`: what the small tier alone calls serious, from a card's `serious_at` on, is taken for *unknown*.

    Recall counts a grade of 3 or more for a stated reason by the small tier, and does not say from which probability on a reason is one.
    """
    found = [
        end.found_by not in ("", "small") for one, end in zip(offered, ended, strict=True) if one.serious
    ]
    return Recall(serious=len(found), found=sum(found))


def recall_system(offered: Sequence[Offered], ended: Sequence[Ended]) -> Recall:
    """Return `recall_system`: found by a machine, or with a person; no clock passes while nothing waits."""
    found = [
        bool(end.found_by) or end.by == "person"
        for one, end in zip(offered, ended, strict=True)
        if one.serious
    ]
    return Recall(serious=len(found), found=sum(found))


def misses(offered: Sequence[Offered], ended: Sequence[Ended]) -> list[Offered]:
    """Return the serious cases that no machine stated to be serious, in the order of their ids."""
    missed = [one for one, end in zip(offered, ended, strict=True) if one.serious and not end.found_by]
    return sorted(missed, key=lambda one: one.case_id)


def discordant(
    offered: Sequence[Offered], ours: Sequence[Ended], other: Sequence[Ended]
) -> tuple[int, int, int]:
    """Return how many serious cases only ours found, how many only the other found, and how many there are."""
    rows = [
        (bool(one.found_by), bool(two.found_by))
        for case, one, two in zip(offered, ours, other, strict=True)
        if case.serious
    ]
    return rows.count((True, False)), rows.count((False, True)), len(rows)


def differences(
    offered: Sequence[Offered], seeds: Sequence[tuple[Sequence[Ended], Sequence[Ended]]]
) -> list[float]:
    """Return for each serious case the share of the seeds in which ours found it less that in which the other did; `seeds` are (ours, other)."""
    found = [0] * len(offered)
    for ours, other in seeds:
        for at, (one, two) in enumerate(zip(ours, other, strict=True)):
            found[at] += bool(one.found_by) - bool(two.found_by)
    return [found[at] / len(seeds) for at, one in enumerate(offered) if one.serious]


def paired_mean(found: Sequence[float]) -> Figure:
    """Return the mean of paired differences with its 95 % percentile bootstrap interval over the cases (Efron, 1979), as `small_model.py` has it.

    What the stand-in happens to say is averaged over the seeds, and the interval is of the cases alone. Where no case differs it has no width.
    """
    each = np.array(found)
    share = lambda drawn: float(each.mean() if drawn is None else (drawn * each).sum() / drawn.sum())  # noqa: E731
    return interval(share, weights(len(each)))


def paired_interval(only_ours: int, only_other: int, cases: int) -> tuple[float, float]:
    """Return the 95 % score interval of a difference of two shares of the same cases (Tango, Statistics in Medicine 17, 1998).

    Unlike Wald's, and unlike a bootstrap over cases, it has a width where no case differs: none among n does not show that none ever will.
    Raises `ValueError` for counts that are none.
    """
    if not (cases > 0 and min(only_ours, only_other) >= 0 and only_ours + only_other <= cases):
        raise ValueError(f"{only_ours} and {only_other} of {cases}")
    return _bound(only_ours, only_other, cases), -_bound(only_other, only_ours, cases)


def _bound(only_ours: int, only_other: int, cases: int) -> float:
    low, high = -1.0, (only_ours - only_other) / cases
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _score(only_ours, only_other, cases, middle) > _Z:
            low = middle
        else:
            high = middle
    return low


def _score(only_ours: int, only_other: int, cases: int, difference: float) -> float:
    """Return by how many standard errors the counts lie above a difference, with the share of the other's at its likeliest under it."""
    square = 2 * cases
    linear = -only_ours - only_other + (2 * cases - only_ours + only_other) * difference
    constant = -only_other * difference * (1 - difference)
    root = math.sqrt(max(0.0, linear * linear - 4 * square * constant))
    share = (root - linear) / (2 * square)
    variance = cases * (2 * share + difference * (1 - difference))
    above = only_ours - only_other - cases * difference
    if variance <= 0:
        return math.inf if above > 0 else 0.0
    return above / math.sqrt(variance)


def shares(ended: Sequence[Ended]) -> dict[str, float]:
    """Return the share of all cases that each tier resolved, the last of them `person`; the unfinished are in none."""
    by = Counter(end.by for end in ended)
    return {tier: by[tier] / len(ended) for tier in TIERS}


def person_share(ended: Sequence[Ended]) -> float:
    """Return the share of cases that somebody has to look at."""
    return sum(end.by == "person" for end in ended) / len(ended)


def tokens(ended: Sequence[Ended]) -> int:
    """Return the tokens of every large call of an arm."""
    return sum(end.tokens for end in ended)


def compared(
    offered: Sequence[Offered], ours: Sequence[Ended], other: Sequence[Ended]
) -> Mapping[str, float]:
    """Return the figures of ours beside all-large's on the same cases. Raises `ValueError` when there is no case, or no token."""
    if not offered or not tokens(other):
        raise ValueError("no case was offered, or the other arm asked nothing")
    mine, theirs = recall(offered, ours), recall(offered, other)
    strict = recall_small_unknown(offered, ours)
    low, high = paired_interval(*discordant(offered, ours, other)) if mine.serious else (math.nan, math.nan)
    by = shares(ours)
    return {
        "tokens_vs_all_large": tokens(ours) / tokens(other),
        "calls_vs_all_large": sum(one.calls for one in ours) / sum(one.calls for one in other),
        "recall_machine": mine.value, "recall_machine_low": mine.low,
        "recall_machine_small_unknown": strict.value, "recall_machine_small_unknown_low": strict.low,
        "recall_all_large": theirs.value, "recall_all_large_low": theirs.low,
        "recall_difference": mine.value - theirs.value, "recall_difference_score_low": low, "recall_difference_score_high": high,
        "person_share": person_share(ours), "person_share_all_large": person_share(other),
        "person_share_over_all_large": person_share(ours) - person_share(other),
        "serious_misses": float(mine.serious - mine.found),
        "serious_misses_all_large": float(theirs.serious - theirs.found),
        "deaths_missed": float(sum(one.death for one in misses(offered, ours))),
        **{f"resolved_by_{tier}": share for tier, share in by.items()},
        "unfinished": float(sum(not one.by for one in ours)),
    }  # fmt: skip


def holds(figures: Mapping[str, Any], *, paired: bool) -> bool:
    """Return whether a point may be a headline: persons equal, and the paired difference within its margin where that is asked."""
    equal = abs(figures["person_share_over_all_large"]) <= EQUAL
    return equal and (not paired or figures["recall_difference_low"] >= MARGIN)
