"""Which points the headline is measured at, by a rule, on the parts that tuned and certified the small model: what `cascade.py` measures chooses nothing.

Every case of both parts is taken to its end once for each thing that the small model can say of it, through the same verbs (`cascade_arms.py`), with the
stand-in right and wrong; after that a point is a count. For each certificate and each `serious_at` of a grid: tokens, the paired difference of recall, and persons over
all-large's, medians over the seeds. A is the cheapest at whose share of misses `SERIOUS_CASES` serious ones would have a bound of 0.95; B the cheapest whose mean paired difference
is not below 0; both with at most `PERSONS` more persons (decision 0042). A certificate was made from half of these cases, so that its misses here are its own k.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import msgspec

import cascade
import cascade_cases
import cascade_figures as figures
from cascade_arms import Arm, Ends, Oracle, all_large, cards_of
from cascade_cases import Report as Case
from measuring import ROUNDS, say
from vigimesh.app.train.examples import by_year
from vigimesh.domain.cascade import small
from vigimesh.domain.cascade.certify import recall_bound
from vigimesh.domain.cascade.model import Model
from vigimesh.domain.cascade.shipped import SERIOUS, shipped_model
from vigimesh.loop.outcome import Need

#: Probabilities that are tried: finer where a step moves persons by a point.
GRID = (0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.085, 0.09, 0.10, 0.12, 0.15)
#: Persons over all-large's that a chosen point may have: half a point within the goal, for what differs from one set of cases to the next.
PERSONS = 0.015
#: Serious cases of the part held out, for which A's bound must hold, and that bound.
SERIOUS_CASES, BOUND = 360, 0.95
#: What the small model can say, as its answers: why, margin against a threshold of 0, and probability.
_SAID: Mapping[str, small.Told] = {
    "handed_on": small.Told(why="counted as handed on"),
    "serious": small.Told(model="m", probability=1.0, margin=1.0, whole=True),
    "not_serious": small.Told(
        model="m", probability=0.0, margin=-1.0, whole=True, recall="1/2", threshold=0.0, open=True, gate="open"
    ),
}  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Forced(Arm):
    """Our arm where the small model says the same of every case."""

    verdict: str = field(default="handed_on")

    def _answer(self, need: Need, serious: bool, spent: list[Any]) -> Any:
        if need.kind == "score":
            return msgspec.to_builtins(_SAID[self.verdict])
        # Named, because a class with slots is made anew and `super()` would be of the first one.
        return Arm._answer(self, need, serious, spent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Cases of the parts `tune` and `certify` with their margins and probabilities, and their ends for every verdict."""

    cases: Sequence[Case]
    offered: Sequence[figures.Offered]
    margins: Sequence[float]
    chances: Sequence[float]
    ends: Ends

    def at(self, threshold: float, serious_at: float, seeds: Sequence[Oracle]) -> dict[str, float]:
        """Return the figures of a point, medians over the seeds; `recall_difference` is their mean."""
        said = [
            "serious" if chance >= serious_at else "not_serious" if margin < threshold else "handed_on"
            for margin, chance in zip(self.margins, self.chances, strict=True)
        ]
        every = ["asked"] * len(self.cases)
        rounds = [
            figures.compared(
                self.offered,
                self.ends.of(self.cases, said, one, ""),
                self.ends.of(self.cases, every, one, ""),
            )
            for one in seeds
        ]
        found = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        found["recall_difference"] = statistics.mean(one["recall_difference"] for one in rounds)
        return found


def main() -> int:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=cascade.DATA, help="folder with the reports that the model was made from")  # fmt: skip
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), help="processes that work the cases out")  # fmt: skip
    parser.add_argument("--limit", type=int, help="cases at most, for a try")
    chosen = parser.parse_args()
    model = shipped_model(SERIOUS)
    parts = by_year(cascade_cases.read(chosen.data).reports, cascade.last_year())
    cases = [one for part in ("tune", "certify") for one in parts[part] if isinstance(one, Case)]
    seeds = [Oracle(accuracy=cascade.ACCURACY, seed=number + 1) for number in range(ROUNDS)]
    count = counted(model, cases[: chosen.limit], seeds, chosen.processes)
    rows = grid(model, count, seeds)
    print(
        json.dumps(
            {"cases": len(count.cases), "points": rows, "A": chosen_a(rows), "B": chosen_b(rows)}, indent=1
        )
    )
    return 0


def counted(model: Model, cases: Sequence[Case], seeds: Sequence[Oracle], processes: int) -> Count:
    """Return these cases with every end that a point can bring about."""
    arms: dict[str, Arm] = {"asked": all_large(model)}
    tiers = ("tools", "small", "large", "person")
    arms |= {
        verdict: Forced(cards=cards_of(cascade.A), tiers=tiers, scorer=model, verdict=verdict)
        for verdict in _SAID
    }
    ends = Ends(arms=arms)
    heard = {(one.case.case_id, seed.says(one)): one for seed in seeds for one in cases}
    say(f"cascade_points: {len(heard)} answers on {len(cases)} cases")
    ends.work_out(
        [(one, verdict, said, verdict) for verdict in arms for (_, said), one in heard.items()], processes
    )
    told = small.tell(
        model, [small.Asked(case=one.case, text=one.case.narrative, rule=cascade.A.rule) for one in cases]
    )
    return Count(
        cases=cases, offered=[cascade_cases.offered(one) for one in cases], ends=ends,
        # What has no score, or was not read whole, is handed on at every point.
        margins=[one["margin"] if one["whole"] else inf for one in told],
        chances=[one["probability"] if one["whole"] else 0.0 for one in told],
    )  # fmt: skip


_KEYS = (
    "tokens_vs_all_large",
    "recall_machine",
    "recall_difference",
    "person_share_over_all_large",
    "resolved_by_small",
)


def grid(model: Model, count: Count, seeds: Sequence[Oracle]) -> list[dict[str, float]]:
    """Return the figures of every certificate with every probability of the grid."""
    return [
        {"recall": float(one.recall), "serious_at": serious_at} | {key: round(found[key], 4) for key in _KEYS}
        for one in model.certificates
        for serious_at in GRID
        for found in [count.at(one.threshold, serious_at, seeds)]
    ]


def chosen_a(rows: Sequence[Mapping[str, float]]) -> Mapping[str, float] | None:
    """Return the cheapest point at whose share of misses the bound would hold; None when there is none."""

    def bound(row: Mapping[str, float]) -> float:
        missed = round((1 - row["recall_machine"]) * SERIOUS_CASES)
        return recall_bound(SERIOUS_CASES, missed, figures.DELTA)

    return _cheapest([row for row in rows if bound(row) >= BOUND])


def chosen_b(rows: Sequence[Mapping[str, float]]) -> Mapping[str, float] | None:
    """Return the cheapest point whose paired difference is not below 0; None when there is none."""
    return _cheapest([row for row in rows if row["recall_difference"] >= 0])


def _cheapest(rows: Sequence[Mapping[str, float]]) -> Mapping[str, float] | None:
    fitting = [row for row in rows if row["person_share_over_all_large"] <= PERSONS]
    return min(fitting, key=lambda row: row["tokens_vs_all_large"], default=None)


if __name__ == "__main__":
    raise SystemExit(main())
