"""The shipped small model of seriousness against TF-IDF and logistic regression, on reports that neither has seen.

Unseen: received after the last year that the model was made from; of that year only the third that was held out from it. Reports with a
narrative that the model was made from are left out, repeats count once. The baseline trains on the same reports as the model did, those of
`--train`: words and pairs of words of the narrative with sublinear TF-IDF, logistic regression of scikit-learn with its defaults. A second
baseline has besides the coded terms of the reactions, age, sex and products as words of its text.

`auc`, `ap`, `ece` (ten bins): of the model. `sensitivity_at_threshold`, `auto_resolved_at_recall_95`: recall, and the share of all cases below it,
at the threshold that gave a recall of 0.95 on the part `tune`; it is carried over, not chosen here. `certified_*`: the same at the
certificate of 0.95. `auc_gain_low`, `ap_gain_low`: lower ends of the paired 95 % bootstrap intervals against the first baseline.
`texts_per_second`: one core; text and facts to probability with the terms that explain it. What cannot be measured is `null`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from measuring import Goal, Report, finish, options, say
from vigimesh.app.train.assess import Figure, Ranking, at_threshold, gain, interval, weights
from vigimesh.app.train.examples import Example, by_year, one_per_group, read_vaers, texts_of
from vigimesh.app.train.fit import needed
from vigimesh.domain.cascade.artefact import card_of
from vigimesh.domain.cascade.calibration import expected_calibration_error
from vigimesh.domain.cascade.certify import recall_bound
from vigimesh.domain.cascade.model import Model, margins_of, score_many
from vigimesh.domain.cascade.padding import worst_of
from vigimesh.domain.cascade.shipped import SERIOUS, shipped_header, shipped_model

GOALS = {
    "auc": Goal(bound=">=", value=0.94),
    "ap": Goal(bound=">=", value=0.78),
    "ece": Goal(),
    "sensitivity_at_threshold": Goal(),
    "auto_resolved_at_recall_95": Goal(bound=">=", value=0.62),
    "texts_per_second": Goal(bound=">=", value=5_000),
    "auc_gain_low": Goal(bound=">", value=0),
    "ap_gain_low": Goal(bound=">", value=0),
}
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
#: Texts of one round of the speed.
TEXTS, QUICK_TEXTS = 10_000, 1_000
#: The baseline's steps: enough for its solver to end by itself.
_STEPS = 1_000


def main() -> int:
    """Measure and print."""
    chosen = options(__doc__ or "", _more)
    report = Report("small_model", GOALS)
    model = shipped_model(SERIOUS)
    card = card_of(shipped_header(SERIOUS))
    last = int(card["parts"]["certify"]["last_day"][:4])
    unseen, train = read(chosen.data, chosen.train, last)
    report.notes |= {"model": model.digest, "made_from_years_up_to": last, "unseen": told(unseen)}
    if unseen:
        accuracy(report, model, card, unseen)
        if train and not chosen.quick:
            against(report, model, train, unseen)
        speed(report, model, unseen, chosen)
    return finish(report, chosen, {name: _version(name) for name in ("numpy", "scikit-learn")}, shown)


def read(data: Path, train: Path, last: int) -> tuple[list[Example], list[Example]]:
    """Return the unseen reports and those to train the baseline on; empty where a folder is missing.

    Without `train` nobody can say which narratives the model has seen: then only later years are taken.
    """
    given = {folder: read_vaers(folder) if folder.is_dir() else [] for folder in {data, train}}
    return unseen_of(given[train], given[data], last), by_year(given[train], last)["train"]


def unseen_of(known: Sequence[Example], judged: Sequence[Example], last: int) -> list[Example]:
    """Return those of `judged` that a model made from `known` up to the year `last` has not seen; repeats count once."""
    parts = by_year(known, last)
    seen = {one.group for part in ("train", "tune", "certify") for one in parts[part]}
    of_last = by_year([*known, *judged], last)["held_out"] if known else []
    later = [one for one in judged if one.year > last]
    mine = {one.group for one in judged}
    return [one for one in one_per_group([*of_last, *later]) if one.group in mine and one.group not in seen]


def accuracy(report: Report, model: Model, card: Any, unseen: Sequence[Example]) -> None:
    """Measure the model alone."""
    margins, labels, drawn = margins_of(model, *texts_of(unseen)), _labels(unseen), weights(len(unseen))
    ranking = Ranking(margins, labels)
    for key, measure in (("auc", ranking.auc), ("ap", ranking.ap)):
        found = interval(measure, drawn)
        report.add("unseen", key, found.value)
        report.notes[f"{key}_interval"] = [round(found.low, 4), round(found.high, 4)]
    probabilities = model.curve.read(margins).tolist()
    report.add("unseen", "ece", expected_calibration_error(probabilities, labels.tolist()))
    carried = at_threshold(margins, labels, card["carried_threshold"]["margin"])
    report.add("unseen", "sensitivity_at_threshold", carried.recall)
    report.add("unseen", "auto_resolved_at_recall_95", carried.resolved)
    # A certificate is held against the highest margin over a text and its parts.
    worst = worst_of(model, *texts_of(unseen)).highest
    for one in model.certificates:
        did = at_threshold(worst, labels, one.threshold)
        report.notes[f"certified_{float(one.recall):g}"] = {
            "resolved": round(did.resolved, 4), "recall": round(did.recall, 4), "missed": did.missed,
            "recall_low": round(recall_bound(did.serious, did.missed, one.delta), 4),
        }  # fmt: skip
    by_year_: dict[str, Any] = {}
    for year in sorted({one.year for one in unseen}):
        at = np.array([one.year == year for one in unseen])
        if labels[at].any() and not labels[at].all():
            by_year_[str(year)] = round(Ranking(margins[at], labels[at]).auc(), 4)
    report.notes["auc_by_year"] = by_year_


def against(report: Report, model: Model, train: Sequence[Example], unseen: Sequence[Example]) -> None:
    """Train the baselines and compare on the same cases, paired."""
    labels, drawn = _labels(unseen), weights(len(unseen))
    ours = Ranking(margins_of(model, *texts_of(unseen)), labels)
    for name, text_of in BASELINES.items():
        say(f"small_model: training the baseline {name} on {len(train)} reports")
        other = Ranking(baseline(train, unseen, text_of), labels)
        gains: dict[str, Figure] = {key: gain(ours, other, key, drawn) for key in ("auc", "ap")}
        report.notes[f"baseline_{name}"] = {
            "auc": round(other.auc(), 4), "ap": round(other.ap(), 4),
            **{f"{key}_gain": [round(one.value, 4), round(one.low, 4), round(one.high, 4)] for key, one in gains.items()},
        }  # fmt: skip
        if name == "narrative":
            for key, one in gains.items():
                report.add("unseen", f"{key}_gain_low", one.low)


def baseline(
    train: Sequence[Example], unseen: Sequence[Example], text_of: Callable[[Example], str]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the scores of TF-IDF and logistic regression trained on `train`."""
    vectors = needed("sklearn.feature_extraction.text:TfidfVectorizer")(
        ngram_range=(1, 2), sublinear_tf=True, min_df=2
    )
    there = vectors.fit_transform([text_of(one) for one in train])
    regression = needed("sklearn.linear_model:LogisticRegression")(max_iter=_STEPS)
    regression.fit(there, _labels(train))
    found: np.ndarray[Any, np.dtype[np.float64]] = regression.decision_function(
        vectors.transform([text_of(one) for one in unseen])
    )
    return found


def _with_facts(one: Example) -> str:
    """Return a narrative with the structured facts of the case as words; what was read from the text itself is left out."""
    kept = (fact for fact in one.facts if " & " not in fact and not fact.startswith("text:"))
    return " ".join([one.text, *(fact.replace(":", "_").replace(" ", "_") for fact in kept)])


BASELINES: dict[str, Callable[[Example], str]] = {
    "narrative": lambda one: one.text,
    "narrative_and_facts": _with_facts,
}


def speed(report: Report, model: Model, unseen: Sequence[Example], chosen: argparse.Namespace) -> None:
    """Measure texts a second of processor time, so that a neighbour on the machine does not count."""
    count = QUICK_TEXTS if chosen.quick else TEXTS
    texts, facts = texts_of([unseen[at % len(unseen)] for at in range(count)])
    score_many(model, texts[:QUICK_TEXTS], facts[:QUICK_TEXTS])
    for _ in range(chosen.rounds):
        began = time.process_time()
        score_many(model, texts, facts)
        report.add("unseen", "texts_per_second", count / (time.process_time() - began))


def shown(made: dict[str, Any]) -> dict[str, Any]:
    """Add what could not be measured as null."""
    return {**dict.fromkeys(GOALS), **made}


def told(unseen: Sequence[Example]) -> dict[str, Any]:
    """Return how many reports are judged, and of which years."""
    years = sorted({one.year for one in unseen})
    return {"reports": len(unseen), "serious": sum(one.label for one in unseen), "years": years}


def _labels(examples: Sequence[Example]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.array([one.label for one in examples], dtype=np.bool_)


def _version(name: str) -> str:
    from importlib.metadata import version

    return version(name)


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, default=DATA, help="folder with the reports to judge by (default ../shared/data)"
    )
    parser.add_argument(
        "--train",
        type=Path,
        default=DATA,
        help="folder with the reports that the model was made from (same default)",
    )


if __name__ == "__main__":
    raise SystemExit(main())
