"""Which points the headline is measured at, by a rule, on the parts that tuned and certified the small model: what `cascade.py` measures chooses nothing.

Every case of both parts is taken to its end once for each thing that the small model can say of it, through the same verbs (`cascade_arms.py`), with the
stand-in right and wrong; after that a point, which is a certificate and a `serious_at` of a grid, is a count, means over the seeds. The rule (decision 0071): `DRAWS` sets as large as the
part held out are drawn, each from a population that could have given these cases; a point may be chosen when its goals hold together in a share of `SURE` of them, and of those the
cheapest is. Goals of A: a recall bound of 0.95, and persons; of B: the lower end of the paired difference, and persons. Where none is so sure, the surest is named with its share.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

import cascade
import cascade_cases
import cascade_figures as figures
from cascade_arms import Arm, Ends, Oracle, all_large, cards_of
from cascade_cases import Report as Case
from measuring import ROUNDS, say
from vigimesh.app.train.assess import Flags, Floats, weights
from vigimesh.app.train.examples import by_year
from vigimesh.domain.cascade import small
from vigimesh.domain.cascade.certify import allowed_misses
from vigimesh.domain.cascade.model import Model
from vigimesh.domain.cascade.shipped import SERIOUS, shipped_model
from vigimesh.loop.outcome import Need

#: Probabilities that are tried: finer where a step moves persons by a point.
GRID = (0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.085, 0.09, 0.10, 0.12, 0.15, 0.20, 0.30)
#: Share of the draws in which a chosen point's goals hold together; how many draws, and their seed.
SURE, DRAWS, SEED = 0.90, 1_000, 20_261_130
#: The bound that A's recall must have.
BOUND = Fraction(95, 100)
#: Cases of the part held out for each of the two parts that are counted (`examples.by_year`: two sixths of a year, and four).
HELD_OUT = 1 / 2
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
class Counted:
    """A point, of each case: whether ours found it less whether all-large did, persons likewise, and whether ours missed it; shares of the seeds."""

    tokens_vs_all_large: float
    gained: Floats
    persons: Floats
    missed: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Cases with their margins and probabilities, and for all-large (`asked`) and every verdict a row of tokens, found and person for each case."""

    serious: Flags
    margins: Floats
    chances: Floats
    ends: Mapping[str, Floats]

    def at(self, threshold: float, serious_at: float) -> Counted:
        """Return what a point comes to.

        The case at a threshold counts as below it: it is the serious one of *certify* that made the threshold, and of n others (k + 1) / (n + 1) are expected below, not k / n.
        """
        said = [self.chances >= serious_at, self.margins <= threshold]
        tokens, found, person = np.select(
            said, [self.ends["serious"], self.ends["not_serious"]], self.ends["handed_on"]
        )
        all_tokens, all_found, all_person = self.ends["asked"]
        return Counted(
            tokens_vs_all_large=float(tokens.sum() / all_tokens.sum()), gained=found - all_found,
            persons=person - all_person, missed=1 - found,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Sets of cases by their places, one a row: `serious` and `others` of them."""

    serious: NDArray[np.intp]
    others: NDArray[np.intp]

    def hold(self, point: Counted) -> dict[str, float]:
        """Return the share of the sets in which the goals of A, and those of B, hold at a point."""
        cases = self.serious.shape[1] + self.others.shape[1]
        over = point.persons[self.serious].sum(axis=1) + point.persons[self.others].sum(axis=1)
        equal = over / cases <= figures.EQUAL
        # The bound of n serious cases reaches `BOUND` with as many misses as would certify it.
        allowed = allowed_misses(self.serious.shape[1], BOUND, figures.DELTA)
        few = point.missed[self.serious].sum(axis=1).round() <= (-1 if allowed is None else allowed)
        # Of each set what `figures.paired_mean` gives as its lower end, for all of them at once.
        resampled = np.array(weights(self.serious.shape[1])).T / self.serious.shape[1]
        low = np.percentile(point.gained[self.serious] @ resampled, 2.5, axis=1)
        return {
            "A_holds": float((few & equal).mean()),
            "B_holds": float(((low >= figures.MARGIN) & equal).mean()),
        }


def drawn(serious: Flags) -> Drawn:
    """Draw sets as large as the part held out: a population that could have given these cases (Rubin, *The Bayesian Bootstrap*, 1981), and of it a set.

    Drawn from the cases themselves a set would differ as if their own share of misses were the true one.
    """
    chance = np.random.default_rng(SEED)

    def sets(of: NDArray[np.intp]) -> NDArray[np.intp]:
        size = round(len(of) * HELD_OUT)
        rows = [chance.choice(of, size, p=chance.dirichlet(np.ones(len(of)))) for _ in range(DRAWS)]
        return np.array(rows)

    return Drawn(serious=sets(np.flatnonzero(serious)), others=sets(np.flatnonzero(~serious)))


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
    cases = cases[: chosen.limit]
    rows = grid(model, counted(model, cases, worked_out(cases, seeds, chosen.processes), seeds))
    found = {"cases": len(cases), "points": rows, "A": chosen_by(rows, "A"), "B": chosen_by(rows, "B")}
    print(json.dumps(found, indent=1))
    return 0


def worked_out(cases: Sequence[Case], seeds: Sequence[Oracle], processes: int) -> Ends:
    """Return every end of these cases that a point can bring about."""
    model = shipped_model(SERIOUS)
    tiers = ("tools", "small", "large", "person")
    arms: dict[str, Arm] = {"asked": all_large(model)}
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
    return ends


def counted(model: Model, cases: Sequence[Case], ends: Ends, seeds: Sequence[Oracle]) -> Count:
    """Return these cases as a model scores them, with their ends as means over the seeds."""
    told = small.tell(
        model, [small.Asked(case=one.case, text=one.case.narrative, rule=cascade.A.rule) for one in cases]
    )
    rows = {
        verdict: np.mean(
            [
                [(end.tokens, bool(end.found_by), end.by == "person") for end in ends.of(cases, [verdict] * len(cases), seed, verdict)]
                for seed in seeds
            ],
            axis=0,
        ).T
        for verdict in ends.arms
    }  # fmt: skip
    return Count(
        serious=np.array([one.label for one in cases]), ends=rows,
        # What has no score, or was not read whole, is handed on at every point.
        margins=np.array([one["margin"] if one["whole"] else inf for one in told]),
        chances=np.array([one["probability"] if one["whole"] else 0.0 for one in told]),
    )  # fmt: skip


def grid(model: Model, count: Count) -> list[dict[str, float]]:
    """Return the figures of every certificate with every probability of the grid."""
    sets = drawn(count.serious)
    return [
        {
            "recall": float(certificate.recall), "serious_at": serious_at, "tokens_vs_all_large": found.tokens_vs_all_large,
            "recall_machine": 1 - float(found.missed[count.serious].mean()), "recall_difference": float(found.gained[count.serious].mean()),
            "person_share_over_all_large": float(found.persons.mean()), **sets.hold(found),
        }
        for certificate in model.certificates
        for serious_at in GRID
        for found in [count.at(certificate.threshold, serious_at)]
    ]  # fmt: skip


def chosen_by(rows: Sequence[Mapping[str, float]], name: str) -> Mapping[str, float]:
    """Return the cheapest point whose goals hold in `SURE` of the draws, else the one in most of whose draws they do."""
    holds = f"{name}_holds"
    sure = [row for row in rows if row[holds] >= SURE]
    if sure:
        return min(sure, key=lambda row: row["tokens_vs_all_large"])
    return max(rows, key=lambda row: row[holds])


if __name__ == "__main__":
    raise SystemExit(main())
