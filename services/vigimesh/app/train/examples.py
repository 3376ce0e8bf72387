"""Labelled examples, read from the files of a folder and split so that nothing is judged by what it was made from.

VAERS through the door's own reader: the gold is the form's tick-boxes, which no feature may see (`domain.cascade.facts`). PsyTAR and PHEE:
is a sentence about an adverse event. Files are told by their content; the years are those that are found.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from vigimesh.domain.cascade.facts import facts_of
from vigimesh.domain.cascade.sample import group_of
from vigimesh.domain.plain_form import shown
from vigimesh.domain.safety.text_seriousness import read_term, read_text
from vigimesh.errors import Misconfigured
from vigimesh.events.case import Case
from vigimesh.intake.reading import read_path
from vigimesh.intake.vaers import TICKS, table_of
from vigimesh.intake.values import Accepted

#: train: weights. tune: choices, the table of probabilities, empirical thresholds. certify: certificates alone. held_out: figures alone.
Part = Literal["train", "tune", "certify", "held_out"]
#: The parts of the last year.
LATER: tuple[Part, ...] = ("tune", "certify", "held_out")
_SIXTHS: tuple[Part, ...] = ("tune", "certify", "held_out", "certify", "certify", "held_out")
#: Bytes of one file of sentences that are read; the largest of PHEE has 2.4 MB.
_SENTENCES_BYTES = 64 * 1024 * 1024
#: Criteria that a VAERS form can tick: the gold.
GOLD = frozenset(TICKS.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One labelled text; `group` is the same for repeats of it.

    `day` is an ISO 8601 date or empty, `age_years` the patient's where it is known, `criteria` what made the case serious. `told`: the tools find a
    criterion in its text or terms, clearly or not, so that no model settles it.
    """

    text: str
    facts: tuple[str, ...]
    label: bool
    group: str
    day: str = ""
    age_years: float | None = None
    criteria: tuple[str, ...] = ()
    told: bool = False

    @property
    def year(self) -> int:
        """The year of `day`."""
        return int(self.day[:4])


def read_vaers(folder: Path) -> list[Example]:
    """Return every VAERS report below a folder with its label: one of the seriousness boxes is ticked.

    A report without a whole date of receipt is left out: nobody could say which part it belongs to. Raises `Misconfigured` VM-2203 when there
    is none.
    """
    found = [
        _example(item.case)
        for file in vaers_files(folder)
        for item in read_path(file, tenant="train")
        if isinstance(item, Accepted) and _is_day(item.case.first_received_on)
    ]
    if not found:
        raise nothing_to_train(
            "no VAERS report", folder, "name a folder with YYYYVAERSDATA, VAERSSYMPTOMS and VAERSVAX"
        )
    return found


def _example(case: Case) -> Example:
    hits = read_text(case.narrative)
    # As the small tier reads it: what is seen of it, and the facts of that.
    text = shown(case.narrative)
    facts = facts_of(case, hits) if text == case.narrative else facts_of(replace(case, narrative=text))
    names = {name for one in case.reactions for name in (one.term, one.text) if name}
    told = any(
        hit.polarity in ("stated", "ambiguous") for hits in (hits, *map(read_term, names)) for hit in hits
    )
    return Example(
        text=text, facts=facts, label=bool(GOLD & set(case.criteria)), group=group_of(case.narrative),
        day=case.first_received_on, age_years=case.patient.age_years, criteria=case.criteria, told=told,
    )  # fmt: skip


def vaers_files(folder: Path) -> list[Path]:
    """Return the DATA tables of VAERS below a folder, by their header and not by their name, in the order of their paths."""
    return [
        file
        for file in train_files(folder, (".csv", ".csv.gz"))
        if table_of(_header(file, ","), "") == "DATA"
    ]


def by_year(examples: Iterable[Example], last: int) -> dict[Part, list[Example]]:
    """Split reports: received before the year `last` to train; of that year a sixth to tune, a half to certify, a third held out.

    By the hash of their group. A group that was seen in training is nowhere else, and each group stands once (`one_per_group`). Later years are
    in no part.
    """
    parts: dict[Part, list[Example]] = {"train": [], "tune": [], "certify": [], "held_out": []}
    known = [one for one in examples if one.year <= last]
    parts["train"] = one_per_group(one for one in known if one.year < last)
    seen = {one.group for one in parts["train"]}
    for example in one_per_group(one for one in known if one.year == last and one.group not in seen):
        parts[share_of(example.group)].append(example)
    return parts


def one_per_group(examples: Iterable[Example]) -> list[Example]:
    """Return one example of each group, its first positive one, else its first, by day of receipt: repeats count once."""
    groups: dict[str, Example] = {}
    for example in sorted(examples, key=lambda one: one.day):
        first = groups.setdefault(example.group, example)
        if example.label and not first.label:
            groups[example.group] = example
    return list(groups.values())


def share_of(group: str) -> Part:
    """Return which share of the last year a group belongs to: certificates are as strong as they are many, a table of probabilities needs few."""
    return _SIXTHS[int(group[:8], 16) % len(_SIXTHS)]


def read_sentences(folder: Path) -> dict[Part, list[Example]]:
    """Return the sentences of PsyTAR and PHEE below a folder: files named *train* to train, those named *dev* to the other parts by the same shares.

    Files with *test* in their name are never read. Raises `Misconfigured` VM-2203 when a part is empty.
    """
    parts: dict[Part, list[Example]] = {"train": [], "tune": [], "certify": [], "held_out": []}
    seen: set[str] = set()
    files = [(part_named(file), file) for file in train_files(folder, (".csv", ".json", ".jsonl"))]
    for named, file in sorted(files, key=lambda one: (one[0] != "train", one[1])):
        if named is None:
            continue
        for text, label in _sentences(file):
            group = group_of(text)
            if group in seen:
                continue
            seen.add(group)
            example = Example(text=text, facts=(), label=label, group=group)
            parts["train" if named == "train" else share_of(group)].append(example)
    if not all(parts.values()):
        raise nothing_to_train(
            "no sentences of PsyTAR or PHEE", folder, "name a folder with their train and dev files"
        )
    return parts


def part_named(file: Path) -> Literal["train", "dev"] | None:
    """Return what a file of sentences is for, by its name; `None` when nobody may learn from it."""
    name = file.name.lower()
    if "test" in name:
        return None
    return "train" if "train" in name else "dev" if "dev" in name else None


def _sentences(file: Path) -> Iterator[tuple[str, bool]]:
    """Yield the sentences of a file with whether they tell of an adverse event; nothing of a file of another kind."""
    with file.open("rb") as stream:
        text = stream.read(_SENTENCES_BYTES).decode("utf-8", errors="replace")
    if file.suffix == ".csv":
        if {"sentences", "ADR"} <= set(_header(file, "\t")):
            for row in csv.DictReader(io.StringIO(text), delimiter="\t"):
                yield row["sentences"], row["ADR"].strip() == "1"
        return
    for line in text.splitlines():
        try:
            value = json.loads(line)
            events = [event for one in value["annotations"] for event in one["events"]]
            yield str(value["context"]), any(event["event_type"] == "Adverse_event" for event in events)
        except (ValueError, KeyError, TypeError):
            return


def train_files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """Return the files below a folder with these endings, by path. Raises `Misconfigured` VM-2203 when there is no such folder."""
    if not folder.is_dir():
        raise nothing_to_train("no such folder", folder, "name the folder of the labelled data with --data")
    return sorted(
        file for file in folder.rglob("*") if file.is_file() and file.name.lower().endswith(endings)
    )


def _header(file: Path, delimiter: str) -> list[str]:
    """Return the columns of a table, packed or not; empty when its first line cannot be read."""
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            line = stream.readline(65_536).decode("latin-1")
    except (OSError, EOFError):
        return []
    return next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter), [])


def _is_day(text: str) -> bool:
    return len(text) >= 10 and text[:4].isdecimal() and text[4] == text[7] == "-"


def nothing_to_train(what: str, folder: Path, todo: str) -> Misconfigured:
    """Return the error of a folder that lacks what is needed."""
    return Misconfigured("VM-2203", what=f"{what} to train from", where=str(folder), todo=todo)


def texts_of(examples: Sequence[Example]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return the texts and the facts of examples, as a model takes them."""
    return [one.text for one in examples], [one.facts for one in examples]
