"""The shipped tagger of fields against a dictionary with rules and against token-wise logistic regression, on sentences of PHEE.

    python benchmarks/extraction.py --data ../shared/data --json

Judged are the sentences in PHEE's form below `--data`, whatever their files are called, but for those that the tagger's weights or its recipe
were chosen from (it carries their marks): of PHEE's own train and dev files that leaves one half of dev. Both peers learn from the sentences below
`--train` that the tagger learned from.

`f1` (worst field; `points` has each): micro-averaged over spans; a found span is right when its field, its first and its last character are those
of a marked one. `drug` is Treatment.Drug, `reaction` the Effect of an Adverse_event, `dose` Treatment.Dosage, `age` Subject.Age, `time`
Treatment.Duration and Time_elapsed; a span that several events mark counts once, each piece of a broken one by itself. `f1_touching`: one common character
is enough. `f1_micro`: all fields together; `peer_gain_low` and `floor_gain_low`: lower ends of the paired 95 % bootstrap intervals of its gain over both.
`texts_per_second`: one core; text to fields with their probabilities and reasons. What cannot be measured is `null`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from extraction_peers import floor, peer
from measuring import Goal, Report, finish, options, say
from vigimesh.app.train.assess import Figure, interval, weights
from vigimesh.app.train.assess_spans import Spanning, Spans, found_by
from vigimesh.app.train.examples import part_named
from vigimesh.app.train.spans import Marked, sentences
from vigimesh.domain.cascade.extraction import Tagger, extract_many
from vigimesh.domain.cascade.extraction_chain import FIELDS
from vigimesh.domain.cascade.extraction_files import mark_of
from vigimesh.domain.cascade.shipped import shipped_tagger

GOALS = {
    "f1": Goal(points=FIELDS),
    "f1_touching": Goal(points=FIELDS),
    "f1_micro": Goal(),
    "peer_gain_low": Goal(bound=">", value=0),
    "floor_gain_low": Goal(bound=">", value=0),
    "texts_per_second": Goal(bound=">=", value=500),
}
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
#: Texts of one round of the speed.
TEXTS, QUICK_TEXTS = 4_000, 400


def main() -> int:
    """Measure and print."""
    chosen = options(__doc__ or "", _more)
    report = Report("extraction", GOALS)
    tagger = shipped_tagger()
    unseen, train = read(tagger, chosen.data, chosen.train)
    report.notes |= {
        "model": tagger.digest, "sentences": len(unseen),
        "marked": {name: sum(span[0] == name for one in unseen for span in one.spans) for name in FIELDS},
    }  # fmt: skip
    if unseen:
        ours = accuracy(report, tagger, unseen)
        if train and not chosen.quick:
            for name, other in (("floor", floor), ("peer", peer)):
                say(f"extraction: {name} learns from {len(train)} sentences")
                against(report, name, ours, other(train, unseen), unseen)
        speed(report, tagger, unseen, chosen)
    return finish(report, chosen, {name: _version(name) for name in ("numpy", "scikit-learn")}, shown)


def read(tagger: Tagger, data: Path, train: Path) -> tuple[list[Marked], list[Marked]]:
    """Return the sentences to judge by, and those that the peers may learn from; empty where a folder is missing.

    A sentence counts once, however many files hold it. Peers learn from files named *train* that hold what the tagger has seen.
    """
    unseen = {one.group: one for one in _below(data) if mark_of(one.group) not in tagger.seen}
    learned = {one.group: one for one in _below(train, "train") if mark_of(one.group) in tagger.seen}
    return list(unseen.values()), list(learned.values())


def _below(folder: Path, named: str = "") -> list[Marked]:
    files = sorted(
        file for file in folder.rglob("*") if file.suffix in (".json", ".jsonl") and file.is_file()
    )
    return [one for file in files if not named or part_named(file) == named for one in sentences(file)]


def accuracy(report: Report, tagger: Tagger, unseen: Sequence[Marked]) -> Spanning:
    """Measure the tagger alone."""
    ours = Spanning(found_by(tagger, unseen), gold(unseen))
    drawn = weights(len(unseen))
    for name in FIELDS:
        if ours.marked(name):
            add(report, name, "f1", interval(partial(ours.f1, (name,)), drawn))
            report.add(name, "f1_touching", ours.f1((name,), touching=True))
    add(report, "all", "f1_micro", interval(partial(ours.f1, FIELDS), drawn))
    report.notes["f1_micro_touching"] = round(ours.f1(touching=True), 4)
    return ours


def against(
    report: Report, name: str, ours: Spanning, found: Sequence[Spans], unseen: Sequence[Marked]
) -> None:
    """Compare with what another finds in the same sentences, paired."""
    other = Spanning(found, gold(unseen))
    drawn = weights(len(unseen))
    gain = interval(lambda given: ours.f1(FIELDS, given) - other.f1(FIELDS, given), drawn)
    report.add("all", f"{name}_gain_low", gain.low)
    report.notes[name] = {
        "f1_micro": round(other.f1(), 4), "gain": [round(gain.value, 4), round(gain.low, 4), round(gain.high, 4)],
        "f1": {field: _number(other.f1((field,))) for field in FIELDS},
        "f1_touching": {field: _number(other.f1((field,), touching=True)) for field in FIELDS},
    }  # fmt: skip


def speed(report: Report, tagger: Tagger, unseen: Sequence[Marked], chosen: argparse.Namespace) -> None:
    """Measure texts a second of processor time, so that a neighbour on the machine does not count."""
    count = QUICK_TEXTS if chosen.quick else TEXTS
    texts = [unseen[at % len(unseen)].text for at in range(count)]
    extract_many(tagger, texts[:QUICK_TEXTS])
    for _ in range(chosen.rounds):
        began = time.process_time()
        extract_many(tagger, texts)
        report.add("all", "texts_per_second", count / (time.process_time() - began))


def add(report: Report, point: str, key: str, found: Figure) -> None:
    """Take a figure, and its interval into the notes."""
    report.add(point, key, found.value)
    report.notes[f"{key}_interval_{point}"] = [round(found.low, 4), round(found.high, 4)]


def gold(examples: Sequence[Marked]) -> list[Spans]:
    """Return what is marked in each sentence."""
    return [one.spans for one in examples]


def shown(made: dict[str, Any]) -> dict[str, Any]:
    """Add what could not be measured as null."""
    return {**dict.fromkeys(GOALS), **made}


def _number(found: float) -> float | None:
    return round(found, 4) if np.isfinite(found) else None


def _version(name: str) -> str:
    from importlib.metadata import version

    return version(name)


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        default=DATA,
        help="folder with the sentences to judge by (default ../shared/data)",
    )
    parser.add_argument(
        "--train",
        type=Path,
        default=DATA,
        help="folder with the sentences that peers learn from (same default)",
    )


if __name__ == "__main__":
    raise SystemExit(main())
