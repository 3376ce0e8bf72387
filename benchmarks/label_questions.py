"""Questions whose answers people marked: a label, a reaction, and the passages that hold the marks.

101 US labels in which people marked each adverse reaction with its place and its preferred term (`spl_labels`, TAC 2017 ADR,
training half). A question asks a label for a preferred term, which is seldom the label's own wording. Right are the passages
that hold a marked place of it: no search has a part in that. The file marks one place of each wording, so a
passage that tells the same elsewhere counts as wrong, for every search alike.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vigimesh.domain.knowledge.cutting import cut
from vigimesh.domain.knowledge.sections import Sectioned
from vigimesh.domain.knowledge.texts import Identity, read_text

FILE = Path("spl_labels") / "demner-fushman-train-labels.json"
#: Places of preferred term, starts and lengths in an annotation.
_PREFERRED, _STARTS, _LENGTHS = 1, 5, 6


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelQuestion:
    """A preferred term asked of a label; `right` are the places (first character) of the passages that hold a mark of it."""

    label: str
    document: str
    term: str
    right: frozenset[int]

    @property
    def text(self) -> str:
        """The question as the planner puts it."""
        return f"{self.label} {self.term}"

    @property
    def half(self) -> str:
        """The half of the labels that it belongs to, by the hash of the label's name: a model is made from `tuned` only."""
        return half_of(self.label)


def half_of(label: str) -> str:
    """Return `tuned` or `held_out`, as `listedness.py` parts the labels."""
    return "held_out" if hashlib.sha256(label.encode()).digest()[0] % 2 else "tuned"


def read_labels(data: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the sections of each label, in the order of their names. Raises `OSError` when the file is not there."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in json.loads((data / FILE).read_text(encoding="utf-8")):
        rows.setdefault(row["label_id"], []).append(row)
    return dict(sorted(rows.items()))


def document_of(
    label: str, rows: Sequence[Mapping[str, Any]], *, general: bool
) -> tuple[Sectioned, list[int]]:
    """Return a label as a document, and where in its text each of its sections begins.

    A `general` one answers any question; the other only those that begin with its name.
    """
    text, begins = "", []
    for row in rows:
        begins.append(len(text))
        text += row["section_text"] + "\n\n"
    identity = Identity(
        id=f"label/{label.lower()}",
        version="1.0",
        title=label,
        kind="reference",
        names=() if general else (label,),
    )
    return read_text(text.encode(), f"{label}.txt", identity), begins


def questions_of(labels: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[LabelQuestion, ...]:
    """Return every question that has at least one marked passage."""
    found: dict[tuple[str, str], set[int]] = {}
    for label, rows in labels.items():
        source, begins = document_of(label, rows, general=False)
        passages = [(one.place.start, one.place.end) for one in cut(source).passages]
        for row, begin in zip(rows, begins, strict=True):
            for said in row["adverse_events"]:
                for first in _places(said):
                    held = [start for start, end in passages if start <= begin + first < end]
                    if held and said[_PREFERRED]:
                        found.setdefault((label, said[_PREFERRED]), set()).update(held)
    return tuple(
        LabelQuestion(label=label, document=f"label/{label.lower()}", term=term, right=frozenset(right))
        for (label, term), right in sorted(found.items())
    )


def _places(said: Sequence[Any]) -> list[int]:
    """Return the first characters of the marks of an annotation; of a mark in several parts, that of the first."""
    if said[_STARTS] in (None, "None") or said[_LENGTHS] in (None, "None"):
        return []
    return [int(str(said[_STARTS]).split(",")[0])]
