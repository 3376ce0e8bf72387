"""How many of the reactions that people found in a label our rule finds there, and how many others it claims to find.

Gold: 101 US labels whose adverse reactions were annotated by hand with preferred terms (`spl_labels`, TAC 2017 ADR, its
training half). Each section is read as one passage. `recall` counts (label, preferred term). `false_listed` asks each
label for 100 terms of the other labels that nobody found in it, drawn anew in every round. A term that stands there but
tells of no reaction of the product (a heading, an indication) counts as false. A place with a slip of the pen does not count
as listed, here as in a case: `shown_recall` is with those that are only shown to the reader. `exact` is the peer in the same run: the
term's words as they stand, spelling as given.

The words that mean the same were written looking at one half of the labels only (`tuned`, by the hash of the label's
name); `held_out` is the other half, `whole` both.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import Goal, Report, finish, options, say
from vigimesh.domain.safety.listed_terms import SURE, Reference

GOALS = {
    "recall": Goal(bound=">=", value=0.88, points=("whole",)),
    "held_out_recall": Goal(bound=">=", value=0.88, points=("held_out",)),
    "false_listed": Goal(bound="<=", value=0.01, points=("whole", "tuned", "held_out")),
    "shown_recall": Goal(points=("whole",)),
    "exact_recall": Goal(points=("whole",)),
}
FILE = Path("spl_labels") / "demner-fushman-train-labels.json"
#: Terms of other labels asked of each label in a round.
OTHERS = 100
#: Where the data lies beside a checkout.
BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
#: Place of the preferred term in an annotation.
PREFERRED = 1

_NOT_A_WORD = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A label: the preferred terms that people found in it, and its sections read by our rule and as bare words."""

    name: str
    terms: frozenset[str]
    sections: tuple[Reference, ...]
    words: str

    @property
    def half(self) -> str:
        """Whether the rule's words were written looking at it."""
        return "held_out" if hashlib.sha256(self.name.encode()).digest()[0] % 2 else "tuned"

    def lists(self, term: str) -> bool:
        """Return whether `term` counts as listed by our rule."""
        return any(found.how in SURE for section in self.sections if (found := section.find(term)))

    def shows(self, term: str) -> bool:
        """Return whether our rule finds `term`, also with a slip of the pen."""
        return any(section.find(term) is not None for section in self.sections)

    def has(self, term: str) -> bool:
        """Return whether the words of `term` stand there as they are."""
        return bare(term) in self.words


def bare(text: str) -> str:
    """Return lower-case words between single blanks, one at both ends."""
    return f" {_NOT_A_WORD.sub(' ', text.lower()).strip()} "


def labels_of(rows: Sequence[Mapping[str, Any]]) -> tuple[Label, ...]:
    """Return the labels of an annotation file, in the order of their names."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_name.setdefault(row["label_id"], []).append(row)
    return tuple(
        Label(
            name=name,
            terms=frozenset(
                said[PREFERRED] for row in rows for said in row["adverse_events"] if said[PREFERRED]
            ),
            sections=tuple(Reference(row["section_text"]) for row in rows),
            words="".join(bare(row["section_text"]) for row in rows),
        )
        for name, rows in sorted(by_name.items())
    )


def share(
    labels: Sequence[Label], asked: Mapping[str, Sequence[str]], found: Callable[[Label, str], bool]
) -> float:
    """Return the share of what is `asked` of each label, by name, that is `found`."""
    answers = [found(label, term) for label in labels for term in asked[label.name]]
    return sum(answers) / len(answers)


def others(labels: Sequence[Label], seed: int) -> dict[str, list[str]]:
    """Return, by label, terms of other labels that nobody found in it."""
    chance = random.Random(seed)
    every = sorted(set().union(*(label.terms for label in labels)))
    return {
        label.name: chance.sample(free, min(OTHERS, len(free)))
        for label in labels
        for free in [[term for term in every if term not in label.terms]]
    }


def measure(report: Report, labels: Sequence[Label], rounds: int) -> None:
    """Add the figures: recall is the same in every round, the terms of others are drawn anew."""
    own = {label.name: sorted(label.terms) for label in labels}
    points = {half: [label for label in labels if label.half == half] for half in ("tuned", "held_out")}
    recall = {}
    for point, some in (*points.items(), ("whole", list(labels))):
        recall[point] = tuple(share(some, own, found) for found in (Label.lists, Label.shows, Label.has))
        report.notes[f"pairs_{point}"] = sum(len(label.terms) for label in some)
    for number in range(rounds):
        foreign = others(labels, number)
        for point, some in (*points.items(), ("whole", list(labels))):
            ours, shown, exact = recall[point]
            report.add(point, "recall", ours)
            report.add(point, "shown_recall", shown)
            report.add(point, "exact_recall", exact)
            report.add(point, "false_listed", share(some, foreign, Label.lists))
            report.add(point, "exact_false_listed", share(some, foreign, Label.has))
            if point == "held_out":
                report.add(point, "held_out_recall", ours)
        say(f"round {number + 1} of {rounds}")


def more(parser: argparse.ArgumentParser) -> None:
    """Add where the data lies."""
    parser.add_argument("--data", type=Path, default=BESIDE, help="folder that holds spl_labels/")


def main() -> int:
    """Measure and print."""
    chosen = options((__doc__ or "").split("\n\n", maxsplit=1)[0], more)
    file = chosen.data / FILE
    if not file.is_file():
        say(f"no labels: {file} is not there; name the folder with --data")
        return 1
    report = Report("listedness", GOALS)
    measure(report, labels_of(json.loads(file.read_text(encoding="utf-8"))), chosen.rounds)
    report.notes["gold"] = "101 US labels, TAC 2017 ADR, training half; MedDRA preferred terms as annotated"
    return finish(report, chosen, {})


if __name__ == "__main__":
    raise SystemExit(main())
