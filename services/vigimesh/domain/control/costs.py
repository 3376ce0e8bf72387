"""What a case is expected to cost, learned from what was spent on those taken so far. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from vigimesh.domain.budget.money import divide_up

#: Before anything was spent, one case in `PRIOR_ONE_IN` is taken to need the large model, at its card's whole cap for a
#: case. Deliberately dear: a first backlog is taken for larger than it is, never for free.
PRIOR_ONE_IN = 10
#: Cases that the prior weighs as much as: after some hundred real ones it hardly counts.
PRIOR_CASES = 20
#: Cases after which what was learned is halved, so that new prices and new kinds of cases are noticed.
REMEMBERED_CASES = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What was spent (micro-units) on how many cases, as far as it is remembered."""

    spent_micro: int = 0
    cases: int = 0


def prior_micro(case_cap_micro: int) -> int:
    """Return what a case is taken to cost before anything is known, in micro-units; from the card's cap for a case."""
    return divide_up(case_cap_micro, PRIOR_ONE_IN)


def learn(before: Learned, spent_micro: int, cases: int) -> Learned:
    """Return what is known after `cases` more were taken and `spent_micro` more was spent; older ones weigh less and less.

    Only cases of lanes without a ceiling may be told: a lane that may not ask is no proof that asking is cheap. What went
    down (a new month, totals made anew) is no news and changes nothing.
    """
    if spent_micro < 0 or cases < 0:
        return before
    spent, taken = before.spent_micro + spent_micro, before.cases + cases
    if taken > REMEMBERED_CASES:
        spent, taken = divide_up(spent, 2), taken // 2
    return Learned(spent_micro=spent, cases=taken)


def expected_micro(learned: Learned, prior: int) -> int:
    """Return the expected cost of one case, micro-units, rounded up: the mean so far and `prior` as `PRIOR_CASES` cases."""
    return divide_up(learned.spent_micro + prior * PRIOR_CASES, learned.cases + PRIOR_CASES)
