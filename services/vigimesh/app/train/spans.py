"""Sentences with the fields that people marked in them (PHEE), split so that nothing is judged by what it was made from.

`drug` is Treatment.Drug, `reaction` the Effect of an Adverse_event, `dose` Treatment.Dosage, `age` Subject.Age, `time` Treatment.Duration
and Time_elapsed. Each continuous piece of a marked entity is a span of its own; a span that several events mark counts once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vigimesh.app.train.examples import nothing_to_train, part_named, train_files
from vigimesh.domain.cascade.extraction_chain import FIELDS
from vigimesh.domain.cascade.sample import group_of

#: train: weights. tune: choices of the recipe. held_out: figures alone.
SpanPart = Literal["train", "tune", "held_out"]
#: (field, first character, character after the last).
Span = tuple[str, int, int]
#: Where each field stands in an event.
_PLACES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "drug": (("Treatment", "Drug"),),
    "dose": (("Treatment", "Dosage"),),
    "age": (("Subject", "Age"),),
    "time": (("Treatment", "Duration"), ("Treatment", "Time_elapsed")),
}


@dataclass(frozen=True, slots=True)
class Marked:
    """A sentence with its spans; `group` is the same for repeats of it (`sample.group_of`)."""

    text: str
    spans: frozenset[Span]
    group: str


def read_spans(folder: Path) -> dict[SpanPart, list[Marked]]:
    """Return PHEE below a folder: files named *train* to train, of those named *dev* one half by hash to tune and the other held out.

    Files with *test* in their name are never read. Raises `Misconfigured` VM-2203 when a part is empty.
    """
    parts: dict[SpanPart, list[Marked]] = {"train": [], "tune": [], "held_out": []}
    seen: set[str] = set()
    named = [(part_named(file), file) for file in train_files(folder, (".json", ".jsonl"))]
    for name, file in sorted(named, key=lambda one: (one[0] != "train", one[1])):
        for sentence in sentences(file) if name else ():
            if sentence.group not in seen:
                seen.add(sentence.group)
                half: SpanPart = "tune" if int(sentence.group[:8], 16) % 2 else "held_out"
                parts["train" if name == "train" else half].append(sentence)
    if not all(parts.values()):
        raise nothing_to_train(
            "no sentences of PHEE", folder, "name a folder with its train.json and dev.json"
        )
    return parts


def sentences(file: Path) -> Iterator[Marked]:
    """Yield the marked sentences of a file of JSON lines; it ends at the first line that is none of PHEE."""
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            value = json.loads(line)
            text = str(value["context"])
            events = [event for one in value["annotations"] for event in one["events"]]
            spans = frozenset(span for event in events for span in _spans(event, text))
        except (ValueError, KeyError, TypeError, AttributeError):
            return
        yield Marked(text, spans, group_of(text))


def _spans(event: Mapping[str, Any], text: str) -> Iterator[Span]:
    for field, places in _PLACES.items():
        for outer, inner in places:
            yield from _pieces(field, (event.get(outer) or {}).get(inner), text)
    if event["event_type"] == "Adverse_event":
        yield from _pieces("reaction", event.get("Effect"), text)


def _pieces(field: str, entity: Mapping[str, Any] | None, text: str) -> Iterator[Span]:
    for words, starts in zip(*((entity or {}).get(key, ()) for key in ("text", "start")), strict=True):
        for word, start in zip(words, starts, strict=True):
            first, last = start + len(word) - len(word.lstrip()), start + len(word.rstrip())
            if 0 <= first < last <= len(text):
                yield field, first, last


def labels_of(spans: frozenset[Span], tokens: Sequence[tuple[int, int]]) -> list[int]:
    """Return the label of each token: a field's tokens are those that its span touches; of two spans the longer one has them."""
    found = [0] * len(tokens)
    for field, first, last in sorted(spans, key=lambda one: (one[1] - one[2], one)):
        inside = [at for at, (begin, end) in enumerate(tokens) if begin < last and first < end]
        if inside and not any(found[at] for at in inside):
            label = 1 + 2 * FIELDS.index(field)
            for at in inside:
                found[at] = label if at == inside[0] else label + 1
    return found
