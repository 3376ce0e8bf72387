"""What the shipped seriousness model is worth where it was not made: another vaccine, adults, drugs in the literature, patients' words.

    python benchmarks/transfer.py --data ../shared/data --json

Nothing here is a certificate: every figure says what a threshold from elsewhere does. *Recall* is the share of serious cases at or above the
threshold, *saving* the share of all cases below it, which the model would resolve.

- `left_out_*`, worst of the types: a vaccine type is taken out of the parts train and tune of `--train`, the recipe of the shipped model is
  fitted anew, and its threshold is the one that gives a recall of 0.95 on what is left of *tune*; judged on the reports with that type
  that were received in the model's last year or later. `left_out_recall_low` is the one-sided exact 95 % bound. The notes
  give, for the same reports of the part held out, what the shipped model does that knew the type. The types: those with the most serious reports
  in that year.
- `adults_*`: the shipped model and its carried threshold on unseen reports of people from 18 years on.
- `phee_recall`, `psytar_recall`: the shipped model and its carried threshold on single sentences, given as narratives of cases that hold nothing
  else. Neither source has a label of seriousness, so only misses can be counted. PHEE: sentences in which people marked, as an effect or its severity,
  words of death, danger to life or hospital. PsyTAR: sentences labelled ADR whose words name an admission, a danger to life or suicide: a rule of
  ours, no label. The model has seen neither. `phee_below`, `psytar_below`: the share of all sentences below the threshold.

A folder or part that is missing gives `null`. `--card FILE` writes the figures into a model card, between its marks, and its digest into SHA256SUMS.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from measuring import Goal, Report, finish, options, say
from small_model import unseen_of
from vigimesh.app.train.assess import at_threshold, threshold_at_recall
from vigimesh.app.train.card import TRANSFER_BEGIN, TRANSFER_END
from vigimesh.app.train.examples import (
    Example,
    Part,
    by_year,
    one_per_group,
    read_vaers,
    texts_of,
    vaers_files,
)
from vigimesh.app.train.fit import fit
from vigimesh.app.train.make import CARRIED, DELTA
from vigimesh.app.train.subjects import serious
from vigimesh.domain.cascade.artefact import card_of
from vigimesh.domain.cascade.calibration import isotonic
from vigimesh.domain.cascade.certify import recall_bound
from vigimesh.domain.cascade.facts import facts_of
from vigimesh.domain.cascade.model import Model, margins_of
from vigimesh.domain.cascade.sample import group_of
from vigimesh.domain.cascade.shipped import SERIOUS, SUMS, shipped_header, shipped_model, sums_of
from vigimesh.events.case import Case

GOALS = {
    key: Goal(points=(point,) if point else ())
    for key, point in {
        "left_out_recall": "", "left_out_recall_low": "", "left_out_saving": "",
        "adults_recall": "adults", "adults_recall_low": "adults", "adults_saving": "adults",
        "phee_recall": "phee", "phee_below": "phee", "psytar_recall": "psytar", "psytar_below": "psytar",
    }.items()
}  # fmt: skip
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
#: Vaccine types that are left out in turn; each takes a fit of some minutes.
TYPES = 3
#: Serious reports of a type without which its recall says nothing.
LEAST_SERIOUS = 20
#: Bytes of one file of sentences that are read.
_BYTES = 64 * 1024 * 1024
_GRAVE = re.compile(
    r"\b(?:deaths?|died|fatal\w*|lethal\w*|life[- ]threatening|hospitali[sz]\w*|admitted|admission|suicid\w*)\b",
    re.IGNORECASE,
)


def main() -> int:
    """Measure and print."""
    chosen = options(__doc__ or "", _more)
    report = Report("transfer", GOALS)
    model = shipped_model(SERIOUS)
    card = card_of(shipped_header(SERIOUS))
    report.notes |= {"model": model.digest, "threshold_carried": card["carried_threshold"]}
    sentences(report, model, card, chosen.data)
    last = int(card["parts"]["certify"]["last_day"][:4])
    known = read_vaers(chosen.train) if vaers_below(chosen.train) else []
    judged = (
        known if chosen.train == chosen.data else read_vaers(chosen.data) if vaers_below(chosen.data) else []
    )
    say(f"transfer: {len(judged)} reports to judge by")
    adults(report, model, card, unseen_of(known, judged, last))
    if known and judged and not chosen.quick:
        left_out(report, model, card, by_year(known, last), judged, chosen.types)
    done = finish(report, chosen, {"numpy": np.__version__}, shown)
    if chosen.card:
        write_card(chosen.card, report)
    return done


def vaers_below(folder: Path) -> bool:
    """Say whether there is such a folder and a VAERS report may be below it."""
    return folder.is_dir() and bool(vaers_files(folder))


def left_out(
    report: Report,
    model: Model,
    card: Any,
    parts: Mapping[Part, Sequence[Example]],
    judged: Sequence[Example],
    types: int,
) -> None:
    """Take one type after another out of what is learned and tuned, and judge on its reports."""
    last = int(card["parts"]["certify"]["last_day"][:4])
    recent = one_per_group(one for one in judged if one.year >= last)
    for kind in kinds(recent)[:types]:
        train, tune = (
            [one for one in parts[part] if kind not in types_of(one)] for part in ("train", "tune")
        )
        taught = {one.group for one in (*train, *tune)}
        asked = [one for one in recent if kind in types_of(one) and one.group not in taught]
        if sum(one.label for one in asked) < LEAST_SERIOUS:
            continue
        say(f"transfer: fits without {kind}, {len(train)} reports")
        other = Model(
            name=SERIOUS,
            digest="",
            tables_digest="",
            tables=fit(train, serious(parts).recipe),
            curve=isotonic([0.0], [True]),
        )
        threshold = threshold_at_recall(margins_of(other, *texts_of(tune)), _labels(tune), CARRIED)
        told(report, f"without {kind}", "left_out", other, threshold, asked)
        seen = {one.group for part in ("train", "tune", "certify") for one in parts[part]}
        held = [one for one in asked if one.group not in seen]
        say(f"transfer: {report.notes[f'without {kind}']}")
        report.notes[f"without {kind}"] |= {
            "shipped_on_held_out": did(model, card["carried_threshold"]["margin"], held)
        }


def kinds(recent: Sequence[Example]) -> list[str]:
    """Return the vaccine types with the most serious reports, the most first."""
    counts = Counter(kind for one in recent if one.label for kind in types_of(one))
    return [kind for kind, _ in sorted(counts.items(), key=lambda one: (-one[1], one[0]))]


def types_of(one: Example) -> set[str]:
    """Return the vaccine types of a report."""
    return {fact.removeprefix("product:") for fact in one.facts if fact.startswith("product:")}


def adults(report: Report, model: Model, card: Any, unseen: Sequence[Example]) -> None:
    """Judge on people from 18 years on."""
    grown = [one for one in unseen if one.age_years is not None and one.age_years >= 18]
    if any(one.label for one in grown):
        told(report, "adults", "adults", model, card["carried_threshold"]["margin"], grown)


def sentences(report: Report, model: Model, card: Any, data: Path) -> None:
    """Judge on sentences about drugs: misses alone."""
    threshold = card["carried_threshold"]["margin"]
    for name, found in (("phee", phee(data)), ("psytar", psytar(data))):
        every = {group_of(text): (text, grave) for text, grave in found}
        if not any(grave for _, grave in every.values()):
            continue
        examples = [_alone(text, grave) for text, grave in every.values()]
        figures = did(model, threshold, examples)
        report.add(name, f"{name}_recall", figures["recall"])
        report.add(name, f"{name}_below", figures["saving"])
        report.notes[name] = figures


def phee(data: Path) -> Iterator[tuple[str, bool]]:
    """Yield the sentences of PHEE below a folder, and whether a marked effect or severity names something grave."""
    for text in _texts(data, (".json", ".jsonl")):
        for line in text.splitlines():
            try:
                value = json.loads(line)
                events = [event for one in value["annotations"] for event in one["events"]]
                marked = " ; ".join(_words(event) for event in events)
                yield str(value["context"]), bool(_GRAVE.search(marked))
            except (ValueError, KeyError, TypeError, AttributeError):
                break


def _words(event: Any) -> str:
    if event["event_type"] != "Adverse_event":
        return ""
    entities = (event.get(name) or {"text": []} for name in ("Effect", "Severity"))
    return " ; ".join(" ".join(parts) for entity in entities for parts in entity["text"])


def psytar(data: Path) -> Iterator[tuple[str, bool]]:
    """Yield the sentences of PsyTAR below a folder, and whether one that tells of an adverse reaction names something grave."""
    for text in _texts(data, (".csv",)):
        if {"sentences", "ADR"} <= set(text.split("\n", 1)[0].rstrip("\r").split("\t")):
            for row in csv.DictReader(io.StringIO(text), delimiter="\t"):
                yield row["sentences"], row["ADR"].strip() == "1" and bool(_GRAVE.search(row["sentences"]))


def _texts(data: Path, endings: tuple[str, ...]) -> Iterator[str]:
    files = sorted(file for file in data.rglob("*") if file.suffix in endings and file.is_file())
    for file in files:
        with file.open("rb") as stream:
            yield stream.read(_BYTES).decode("utf-8", errors="replace")


def _alone(text: str, grave: bool) -> Example:
    case = Case(message_id="0" * 32, case_id="transfer/1", narrative=text)
    return Example(text=text, facts=facts_of(case), label=grave, group=group_of(text))


def told(
    report: Report, point: str, key: str, model: Model, threshold: float, examples: Sequence[Example]
) -> None:
    """Take recall, its bound and the saving of a threshold."""
    figures = did(model, threshold, examples)
    for name in ("recall", "recall_low", "saving"):
        report.add(point, f"{key}_{name}", figures[name])
    report.notes[point] = figures


def did(model: Model, threshold: float, examples: Sequence[Example]) -> dict[str, Any]:
    """Return what a threshold does to these cases."""
    if not examples:
        return {"cases": 0}
    found = at_threshold(margins_of(model, *texts_of(examples)), _labels(examples), threshold)
    return {
        "cases": len(examples), "serious": found.serious, "missed": found.missed, "recall": round(found.recall, 4),
        "recall_low": round(recall_bound(found.serious, found.missed, DELTA), 4) if found.serious else 0.0,
        "saving": round(found.resolved, 4),
    }  # fmt: skip


def write_card(file: Path, report: Report) -> None:
    """Write the figures into a card, and the card's digest into the list beside it."""
    text = file.read_text(encoding="utf-8")
    before, begin, rest = text.partition(TRANSFER_BEGIN)
    _, end, after = rest.partition(TRANSFER_END)
    if not begin or not end:
        raise ValueError(f"{file} has no place for these figures")
    file.write_text(f"{before}{begin}\n{card_lines(report)}\n{end}{after}", encoding="utf-8")
    others = [one for one in file.parent.iterdir() if one.is_file() and one.name != SUMS]
    (file.parent / SUMS).write_bytes(sums_of({one.name: one.read_bytes() for one in others}))


def card_lines(report: Report) -> str:
    """Return the table of a card."""
    rows = [
        f"| {point} | {one['cases']} | {one['serious']} | {one['missed']} | {one['recall']} | {one['recall_low']} | {one['saving']} |"
        for point, one in report.notes.items()
        if isinstance(one, dict) and "saving" in one
    ]
    head = (
        "| where | cases | serious | missed | recall | at least, 95 % | resolved |",
        "|---|---|---|---|---|---|---|",
    )
    margin = report.notes.get("threshold_carried", {}).get("margin")
    note = (
        f"At the margin {margin:.3f} carried from the part tune; a model without a type at its own."
        if margin
        else ""
    )
    return "\n".join([*head, *rows, "", note] if note else [*head, *rows])


def shown(made: dict[str, Any]) -> dict[str, Any]:
    """Add what could not be measured as null."""
    return {**dict.fromkeys(GOALS), **made}


def _labels(examples: Iterable[Example]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.array([one.label for one in examples], dtype=np.bool_)


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, default=DATA, help="folder with what is judged (default ../shared/data)"
    )
    parser.add_argument(
        "--train",
        type=Path,
        default=DATA,
        help="folder with the reports that the model was made from (same default)",
    )
    parser.add_argument(
        "--types", type=int, default=TYPES, help=f"vaccine types left out in turn (default {TYPES})"
    )
    parser.add_argument("--card", type=Path, help="also write the figures into this model card")


if __name__ == "__main__":
    raise SystemExit(main())
