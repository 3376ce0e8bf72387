"""Cheap first against a large model for everything: the same cases, tokens saved and serious cases lost in one run.

Cases: VAERS reports that the shipped model has not seen, what the form says of seriousness hidden (`cascade_cases.py`). Arms: `cascade_arms.py`, the mesh's own
verbs. The large model is a stand-in, always: its accuracy and latency are parameters, and nothing here compares us with a real one.

A round is one seed of the stand-in. Point A: the cheapest with a recall bound of 0.95; point B: the paired difference to all-large held. Both were chosen by a rule
on the parts `tune` and `certify` of 1997, the last time after other points had been measured here: later years alone are a clean test (decision 0042). `tokens_vs_all_large`: prompt and completion of every large call of ours
÷ those of all-large. `recall_*`: by a machine, for a stated reason; `*_low` of recall one-sided exact, 95 %; `recall_difference_low`: of the mean over the seeds, lower end
of the paired 95 % bootstrap interval over the cases; that of Tango's score interval is in `points`. `recall_machine_small_unknown`: the same where what only the small model calls serious counts as unknown, since nothing
names no probability from which on that is a stated reason. `certified_recall`: of the serious cases here, the share that the small tier did not resolve, to be held against its certificate.
`first_triage_vs_all_large`: median time to the first statement that stands, simulated (`cascade_waiting.py`). `cost_per_1000_calls`: of the small tier, dollars.
What cannot be measured is `null`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import cascade_cases
import cascade_figures as figures
import cascade_waiting
from cascade_arms import Ends, Oracle, Point, all_large, cards_of, ours, verdicts
from cascade_cases import Report as Case
from cascade_gate import gate_of
from measuring import Goal, Report, finish, options, say
from vigimesh.app.train.assess import Figure
from vigimesh.domain.cascade.artefact import card_of
from vigimesh.domain.cascade.model import Model
from vigimesh.domain.cascade.shipped import SERIOUS, shipped_header, shipped_model
from vigimesh.domain.cascade.small import Asked, tell
from vigimesh.domain.policy.tiers import TIERS

#: The operating points: by figures of `tune` and `certify` (decisions 0067 and 0071; `cascade_points.py`).
A = Point(recall="0.97", serious_at="0.06")
B = Point(recall="0.9875", serious_at="0.085")
#: Of the curve: one for each recall that is certified, with the probability of A.
CURVE = {bound: Point(recall=bound, serious_at=A.serious_at) for bound in ("0.95", "0.98", "0.99")}
#: Accuracy of the stand-in: of the headline, and of the points beside it.
ACCURACY, BESIDE = 0.97, (0.90, 0.95, 0.99)
#: Dollars of a core for an hour, and minutes of a person for one case: stated, not measured. Public clouds sell a shared core for about this.
CORE_HOUR, MINUTES = 0.05, 10.0
#: Texts of one round of the small tier's speed; reports of a try.
TEXTS, QUICK = 5_000, 200
GOALS = {
    "tokens_vs_all_large": Goal(bound="<=", value=0.30, points=("A",)),
    "tokens_vs_all_large_paired": Goal(bound="<=", value=0.50, points=("B",)),
    "first_triage_vs_all_large": Goal(bound="<=", value=0.50, points=("load_30%", "load_70%")),
    "recall_machine": Goal(points=("A",)),
    "recall_machine_low": Goal(bound=">=", value=0.95, points=("A",)),
    "recall_machine_small_unknown": Goal(points=("A",)),
    "recall_machine_small_unknown_low": Goal(points=("A",)),
    "recall_all_large": Goal(points=("A",)),
    "recall_difference_low": Goal(bound=">=", value=figures.MARGIN, points=("B",)),
    "person_share_over_all_large": Goal(bound="<=", value=figures.EQUAL, points=("A", "B")),
    "certified_recall": Goal(bound=">=", value=float(A.recall), points=("A",)),
    "serious_misses": Goal(points=("A",)),
    **{f"resolved_by_{tier}": Goal(points=("A",)) for tier in TIERS},
    "cost_per_1000_calls": Goal(bound="<=", value=0.05),
}
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What is measured, worked out once: the cases, what the small model says at each point, and the ends of both arms."""

    cases: Sequence[Case]
    offered: Sequence[figures.Offered]
    verdicts: Mapping[str, Sequence[str]]
    ends: Ends

    def ended(self, name: str, oracle: Oracle) -> list[figures.Ended]:
        """Return how every case ends at a point, or in the arm `all_large`."""
        return self.ends.of(self.cases, self.verdicts[name], oracle, name)

    def work_out(self, oracles: Sequence[Oracle], processes: int) -> None:
        """Work out the ends that these oracles bring about, once each: those of the first before the others', which mostly are the same."""
        for some in (oracles[:1], oracles[1:]):
            jobs = [
                (one, verdict, oracle.says(one), name)
                for oracle in some
                for name, said in self.verdicts.items()
                for one, verdict in zip(self.cases, said, strict=True)
            ]
            self.ends.work_out(jobs, processes)

    def compared(self, name: str, oracle: Oracle) -> Mapping[str, float]:
        """Return the figures of a point beside all-large's."""
        return figures.compared(self.offered, self.ended(name, oracle), self.ended("all_large", oracle))


def main() -> int:
    """Measure and print."""
    chosen = options(__doc__ or "", _more)
    report = Report("cascade", GOALS)
    model, last = shipped_model(SERIOUS), last_year()
    given = cascade_cases.read(chosen.data)
    made_from = given if chosen.train == chosen.data else cascade_cases.read(chosen.train)
    cases = cascade_cases.unseen(given.reports, made_from.reports, last)
    if chosen.quick:
        cases = cases[:QUICK]
    report.notes |= told(cases, given.refused, model, last)
    curve: list[dict[str, Any]] = []
    if any(one.label for one in cases):
        course = prepared(model, cases, report)
        seeds = range(1, chosen.rounds + 1)
        course.work_out(
            [Oracle(accuracy=one, seed=seed) for one in (ACCURACY, *BESIDE) for seed in seeds],
            chosen.processes,
        )
        for number in range(chosen.rounds):
            measured(report, course, Oracle(accuracy=ACCURACY, seed=number + 1))
            say(f"cascade: seed {number + 1} of {chosen.rounds}")
        curve = curve_of(course, seeds)
        for name in ("A", "B"):
            low_of(report, course, name, chosen.rounds)
        report.notes |= losses(course)
        cost(report, model, cases, chosen)
        waiting(report, course, chosen)
    return finish(report, chosen, {}, lambda made: {**dict.fromkeys(GOALS), **made, "curve": curve})


def last_year() -> int:
    """Return the last year that the shipped model was made from."""
    return int(card_of(shipped_header(SERIOUS))["parts"]["certify"]["last_day"][:4])


def prepared(model: Model, cases: Sequence[Case], report: Report) -> Course:
    """Return the course of these cases; what opened the gate outside of the certificate's domain is noted."""
    points: dict[str, Point] = {"A": A, "B": B, **{f"bound_{bound}": one for bound, one in CURVE.items()}}
    arms, said = {"all_large": all_large(model)}, {"all_large": ["asked"] * len(cases)}
    for name, point in points.items():
        gate = gate_of(model, cases, point.rule, cards_of(point))
        report.notes.setdefault("gate", {})[name] = gate.words
        arms[name] = ours(model, point, gate.standing)
        said[name] = verdicts(model, cases, point, gate.standing)
    return Course(
        cases=cases, offered=[cascade_cases.offered(one) for one in cases], verdicts=said, ends=Ends(arms=arms)
    )  # fmt: skip


def measured(report: Report, course: Course, oracle: Oracle) -> None:
    """Take the figures of one seed of the stand-in, at both points and at every accuracy."""
    for name in ("A", "B"):
        for key, figure in course.compared(name, oracle).items():
            report.add(name, key, figure)
        # Settled as not serious: no other tier was asked, and none stated it.
        at = [
            verdict == "not_serious" and not end.calls and not end.found_by
            for verdict, end in zip(course.verdicts[name], course.ended(name, oracle), strict=True)
        ]
        lost = sum(one.serious and gone for one, gone in zip(course.offered, at, strict=True))
        report.add(name, "certified_recall", 1 - lost / sum(one.serious for one in course.offered))
        if name == "B":
            report.add("B", "tokens_vs_all_large_paired", report.found["B"]["tokens_vs_all_large"][-1])
    for accuracy in BESIDE:
        other = Oracle(accuracy=accuracy, seed=oracle.seed)
        for name in ("A", "B"):
            for key, figure in course.compared(name, other).items():
                report.add(f"{name}_standin_{accuracy:g}", key, figure)


def paired(course: Course, name: str, rounds: int) -> Figure:
    """Return the paired difference of recall at a point, of all seeds together."""
    oracles = [Oracle(accuracy=ACCURACY, seed=number + 1) for number in range(rounds)]
    seeds = [(course.ended(name, one), course.ended("all_large", one)) for one in oracles]
    return figures.paired_mean(figures.differences(course.offered, seeds))


def low_of(report: Report, course: Course, name: str, rounds: int) -> None:
    """Take the paired difference of a point with both ends of its interval."""
    found = paired(course, name, rounds)
    report.add(name, "recall_difference_low", found.low)
    report.notes[f"recall_difference_{name}"] = [
        round(end, 4) for end in (found.value, found.low, found.high)
    ]


def waiting(report: Report, course: Course, chosen: argparse.Namespace) -> None:
    """Take the times to first triage at point A, by load; only printed where the model is as fast as the stand-in's default."""
    hop = cascade_waiting.hop_s()
    if hop is None:
        return
    report.notes["seconds_of_a_pass"] = hop
    cases = cascade_waiting.QUICK_CASES if chosen.quick else cascade_waiting.CASES
    for number in range(chosen.rounds):
        oracle = Oracle(accuracy=ACCURACY, seed=number + 1)
        arms = course.ended("A", oracle), course.ended("all_large", oracle)
        for call_s, share in product(cascade_waiting.LATENCIES_S, cascade_waiting.LOADS):
            load = cascade_waiting.Load(share=share, call_s=call_s, hop_s=hop, cases=cases)
            head = call_s == cascade_waiting.LATENCIES_S[0]
            point = f"load_{share:.0%}" if head else f"load_{share:.0%}_at_{call_s:g}_s"
            for key, figure in cascade_waiting.compared(*arms, load, oracle.seed).items():
                if figure is not None:
                    report.add(point, key, figure)


def curve_of(course: Course, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Return for each bound of recall the tokens at the point with that certificate, medians over the seeds, and whether the bound was reached."""
    made = []
    for bound in CURVE:
        rounds = [course.compared(f"bound_{bound}", Oracle(accuracy=ACCURACY, seed=seed)) for seed in seeds]
        middle = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        middle["recall_difference_low"] = paired(course, f"bound_{bound}", len(seeds)).low
        made.append(
            {
                "bound": float(bound),
                "reached": middle["recall_machine_low"] >= float(bound),
                "held": figures.holds(middle, paired=True),
                **{key: round(middle[key], 4) for key in _CURVE_KEYS},
            }
        )
    return made


_CURVE_KEYS = (
    "tokens_vs_all_large", "recall_machine", "recall_machine_low", "recall_machine_small_unknown", "recall_all_large", "recall_difference_low",
    "person_share_over_all_large",
)  # fmt: skip


def losses(course: Course) -> dict[str, Any]:
    """Return each serious case that ours missed at A and B, and all-large, by the first seed: id, what was ticked, where it ended."""
    oracle, by_id = Oracle(accuracy=ACCURACY, seed=1), {one.case.case_id: one for one in course.cases}
    found: dict[str, Any] = {}
    for name in ("A", "B", "all_large"):
        ended = course.ended(name, oracle)
        where = {one.case_id: end.by for one, end in zip(course.offered, ended, strict=True)}
        missed = figures.misses(course.offered, ended)
        rows = [
            {
                "case": one.case_id,
                "ticked": list(by_id[one.case_id].criteria),
                "ended_with": where[one.case_id],
            }
            for one in missed
        ]
        deaths = [one.case_id for one in missed if one.death]
        found[name] = {
            "missed": rows, "deaths": deaths, "recall_system": round(figures.recall_system(course.offered, ended).value, 4),
            "person_minutes": round(MINUTES * figures.person_share(ended) * len(ended)),
            "tokens": figures.tokens(ended), "calls": sum(end.calls for end in ended),
        }  # fmt: skip
    return {"of_seed_1": found, "minutes_of_one_review": MINUTES}


def cost(report: Report, model: Model, cases: Sequence[Case], chosen: argparse.Namespace) -> None:
    """Measure what the small tier costs: seconds of a core for a text, its facts read anew, at the stated price of a core."""
    count = QUICK if chosen.quick else TEXTS
    texts = [cases[at % len(cases)] for at in range(count)]
    asked = [Asked(case=one.case, text=one.case.narrative, rule=A.rule) for one in texts]
    tell(model, asked[:QUICK])
    for _ in range(chosen.rounds):
        began = time.process_time()
        tell(model, asked)
        each_s = (time.process_time() - began) / count
        report.add("small_tier", "texts_per_second", 1 / each_s)
        report.add("small_tier", "cost_per_1000_calls", 1_000 * each_s * CORE_HOUR / 3_600)
    report.notes["dollars_of_a_core_hour"] = CORE_HOUR


def told(cases: Sequence[Case], refused: int, model: Model, last: int) -> dict[str, Any]:
    """Return what was measured, and by what."""
    return {
        "model": "stand-in, not a model", "accuracy": ACCURACY, "latency": cascade_waiting.LATENCY_WORDS,
        "tokens": "as the stand-in counts them: UTF-8 bytes / 4 rounded up, three for each message and for the reply; alike in both arms",
        "small_model": model.digest, "made_from_years_up_to": last, "point_A": vars_of(A), "point_B": vars_of(B),
        "cases": len(cases), "serious": sum(one.label for one in cases), "deaths": sum("death" in one.criteria for one in cases),
        "years": sorted({one.year for one in cases}), "refused_at_the_door": refused,
    }  # fmt: skip


def vars_of(point: Point) -> dict[str, str]:
    """Return a point as JSON values."""
    return {"recall": point.recall, "serious_at": point.serious_at}


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), help="processes that work the cases out (default: one a core)")  # fmt: skip
    parser.add_argument("--data", type=Path, default=DATA, help="folder with the reports to measure on (default ../shared/data)")  # fmt: skip
    parser.add_argument("--train", type=Path, default=DATA, help="folder with the reports that the model was made from (same default)")  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
