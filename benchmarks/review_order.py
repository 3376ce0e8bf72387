"""The order in which persons get to what waits for them: by arrival, and as `vigimesh case list --order grave` puts it.

The queue: reports of the part that certifies `serious` which the mesh's own verbs send to a person at point A of `cascade.py`, the form's verdict hidden, by day of receipt. That part made no weight and no
probability of `grave`; what is held out for the headline is not read. A case's *waiting rank* is the share of the queue before it, ties shared; means are over those ticked 4 or 5, and over those for death or danger to life.

`rank_arrival`, `rank_grade` (the mesh's grade alone), `rank_serious` and `rank_grave` (the grade, then the probability of either model); `gain`: what `rank_grave` is less than `rank_serious`, as a share of it; `gain_low`:
lower end of the paired 95 % bootstrap interval of the difference. A round is one seed of the stand-in. What cannot be measured is `null`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import cascade_cases
from cascade import ACCURACY, DATA, A
from cascade_arms import Arm, Oracle, ours
from cascade_cases import Report as Case
from measuring import Goal, Report, finish, options
from vigimesh.app.train.examples import by_year
from vigimesh.domain.cascade.artefact import card_of
from vigimesh.domain.cascade.facts import facts_of
from vigimesh.domain.cascade.model import margins_of
from vigimesh.domain.cascade.reading import estimate_in
from vigimesh.domain.cascade.shipped import SERIOUS, shipped_header, shipped_model
from vigimesh.domain.plain_form import shown
from vigimesh.domain.safety.grade import GRADE_OF
from vigimesh.events.classes import ReviewRequested

#: Whose place in the queue counts.
ASKED = {
    "grade_4_or_5": frozenset(name for name, grade in GRADE_OF.items() if grade >= 4),
    "death_or_danger": frozenset({"death", "life_threatening"}),
}
#: The least that the order must gain, set before it was measured (decision 0075).
GOALS = {
    "rank_arrival": Goal(),
    "rank_grade": Goal(),
    "rank_serious": Goal(),
    "rank_grave": Goal(),
    "gain": Goal(bound=">=", value=0.1, points=("grade_4_or_5",)),
    "gain_low": Goal(bound=">", value=0),
}
#: Draws of the bootstrap; cases that a process takes at once; reports of a try.
DRAWS, CHUNK, QUICK = 2_000, 25, 200
#: What an estimate is taken as where none was made, as the list has it.
UNTOLD = 0.06

Ranks = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A case that waits for a person: the grade it has, and the estimate where one was made."""

    case: Case
    grade: int
    grave: float


#: The arm of a process that follows cases.
_ARM: list[Arm] = []


def main() -> int:
    """Measure and print."""
    chosen = options(__doc__ or "", _more)
    report = Report("review_order", GOALS)
    last = int(card_of(shipped_header(SERIOUS))["parts"]["certify"]["last_day"][:4])
    part = by_year(cascade_cases.read(chosen.data).reports, last)["certify"]
    cases = [one for one in part if isinstance(one, Case)][: QUICK if chosen.quick else None]
    report.notes |= {"year": last, "reports": len(cases)}
    for queue in queues(cases, chosen.rounds, chosen.processes) if cases else ():
        measure(report, queue)
    return finish(report, chosen, {})


def queues(cases: Sequence[Case], rounds: int, processes: int) -> list[list[Waiting]]:
    """Return for each seed of the stand-in what goes to a person, by day of receipt."""
    said = [
        [Oracle(accuracy=ACCURACY, seed=seed).says(one) for one in cases] for seed in range(1, rounds + 1)
    ]
    jobs = list({(at, says) for drawn in said for at, says in enumerate(drawn)})
    _ARM[:] = [ours(shipped_model(SERIOUS), A)]
    with get_context("fork").Pool(processes) as pool:
        ended = pool.imap(_followed, ((cases[at], says) for at, says in jobs), CHUNK)
        found = dict(zip(jobs, ended, strict=True))
    ends = [[found[job] for job in enumerate(drawn)] for drawn in said]
    return [sorted((one for one in some if one), key=lambda one: one.case.day) for some in ends]


def _followed(job: tuple[Case, bool]) -> Waiting | None:
    case, says = job
    *_, end = _ARM[0].course(case, says, [])
    if not isinstance(end, ReviewRequested):
        return None
    grave = estimate_in(end.findings)
    return Waiting(case=case, grade=end.grade or 0, grave=UNTOLD if grave is None else grave)


def measure(report: Report, queue: Sequence[Waiting]) -> None:
    """Work out the ranks of each order, and what the last gains."""
    report.add("all", "queue", float(len(queue)))
    grades = np.array([one.grade for one in queue])
    cases = [one.case.case for one in queue]
    texts = [shown(one.narrative) for one in cases]
    serious = margins_of(shipped_model(SERIOUS), texts, [facts_of(one) for one in cases])
    orders = {
        "rank_arrival": ranks(-np.arange(len(queue))),
        "rank_grade": ranks(grades),
        "rank_serious": ranks(grades, serious),
        "rank_grave": ranks(grades, np.array([one.grave for one in queue])),
    }
    for point, criteria in ASKED.items():
        at = np.array([not criteria.isdisjoint(one.case.criteria) for one in queue])
        report.add(point, "cases", float(at.sum()))
        if not at.any():
            continue
        for key, order in orders.items():
            report.add(point, key, float(order[at].mean()))
        gained = (orders["rank_serious"] - orders["rank_grave"])[at]
        draws = np.random.default_rng(1).choice(gained, (DRAWS, len(gained))).mean(axis=1)
        report.add(point, "gain", float(gained.mean() / orders["rank_serious"][at].mean()))
        report.add(point, "gain_low", float(np.percentile(draws, 2.5)))


def ranks(*keys: NDArray[np.generic]) -> Ranks:
    """Return the share of the queue before each case, the largest key first, the next where it is the same; ties share theirs."""
    _, place, many = np.unique(np.stack(keys, axis=1), axis=0, return_inverse=True, return_counts=True)
    before = len(place) - np.cumsum(many) + (many - 1) / 2
    return np.asarray(before[place.ravel()] / max(1, len(place) - 1))


def _more(reader: argparse.ArgumentParser) -> None:
    reader.add_argument(
        "--data", type=Path, default=DATA, help="folder with the reports [default: ../shared/data]"
    )
    reader.add_argument("--processes", type=int, default=2, help="processes that follow cases side by side")


if __name__ == "__main__":
    raise SystemExit(main())
