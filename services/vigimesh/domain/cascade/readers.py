"""The small models that read for the steps of `reading.py`: whole batches of texts at once, answers as plain values. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vigimesh.domain.cascade.extraction import Fields, extract_many
from vigimesh.domain.cascade.facts import facts_of
from vigimesh.domain.cascade.model import Absent, Model, score_many
from vigimesh.domain.cascade.opinion import term_of
from vigimesh.domain.cascade.padding import MAX_PARTS, parts_of
from vigimesh.domain.cascade.reading import EVENT_STEP, FIELDS_STEP, GRAVE_STEP, MAX_FIELDS, MAX_NAMES, NAMES
from vigimesh.domain.cascade.shipped import ADVERSE_EVENT, GRAVE, shipped_or_absent, shipped_tagger
from vigimesh.domain.language import is_english
from vigimesh.domain.plain_form import shown
from vigimesh.domain.privacy.redaction import Known, Redacted, redact
from vigimesh.errors import Misconfigured
from vigimesh.events.case import Case

#: Characters of a sentence that are quoted.
MAX_QUOTE = 200


def read(asked: Sequence[tuple[str, Any]]) -> list[dict[str, Any]]:
    """Return for each (key, what is read) what was found, as plain values, in their order; each model reads all of its texts at once.

    What is read is a text; of `GRAVE_STEP` the case with its text in it.
    """
    told: list[dict[str, Any]] = [{} for _ in asked]
    for key, reader in _READERS.items():
        places = [place for place, (of, _) in enumerate(asked) if of == key]
        for place, said in zip(places, reader([asked[place][1] for place in places]), strict=True):
            told[place] = said
    return told


def _events(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return the highest probability over the sentences of each text, by runs of one and two, and its place."""
    model = shipped_or_absent(ADVERSE_EVENT) if texts else Absent(why="")
    return [{"why": model.why} if isinstance(model, Absent) else _highest(model, text) for text in texts]


def _highest(model: Model, text: str) -> dict[str, Any]:
    parts = parts_of(text)
    runs = parts[:MAX_PARTS] or (text,)
    scores = score_many(model, runs, [()] * len(runs))
    best = max(range(len(runs)), key=lambda at: scores[at].probability)
    return {
        "probability": round(scores[best].probability, 4), "place": _place(text, runs[best]),
        "whole": len(parts) <= MAX_PARTS and all(one.whole for one in scores), "model": model.digest,
    }  # fmt: skip


def _place(text: str, run: str) -> str:
    """Return where a run of sentences stands; line ends between two sentences are blanks in a run."""
    found = re.search(r"\s{1,200}".join(map(re.escape, run.split(" "))), text)
    start, end = found.span() if found else (0, 0)
    return f"{start}-{end}:{run[:MAX_QUOTE]}"


def _tagged(texts: Sequence[str]) -> list[Fields] | str:
    if not texts:
        return []
    try:
        return extract_many(shipped_tagger(), texts)
    except Misconfigured as error:
        return f"{error.code} {error.what}"


def _fields(texts: Sequence[str]) -> list[dict[str, Any]]:
    read_all = _tagged(texts)
    if isinstance(read_all, str):
        return [{"why": read_all} for _ in texts]
    return [
        {
            "found": [
                {"name": one.name, "start": one.start, "end": one.end, "probability": one.probability, "text": text[one.start : one.end][:80]}
                for one in said.found[: 4 * MAX_FIELDS]
            ],
            "whole": said.whole, "model": said.model,
        }
        for text, said in zip(texts, read_all, strict=True)
    ]  # fmt: skip


def _names(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return drugs and reactions in each text, read after personal data were taken out; nothing of a text that is not safe."""
    safe = [made.text if isinstance(made := redact(text, Known()), Redacted) else "" for text in texts]
    read_all = _tagged(safe)
    if isinstance(read_all, str):
        return [{} for _ in texts]
    return [
        {kind: _terms(text, said, kind) for kind in ("drug", "reaction")}
        for text, said in zip(safe, read_all, strict=True)
    ]


def _terms(text: str, said: Fields, kind: str) -> list[str]:
    found = [term_of(text[one.start : one.end]) for one in said.found if one.name == kind]
    return list({one.casefold(): one for one in found if one}.values())[:MAX_NAMES]


def _grave(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """Return how likely each case is graded 4 or 5, with what weighed most; of one without a text in English why not."""
    model = shipped_or_absent(GRAVE) if cases else Absent(why="")
    if isinstance(model, Absent):
        return [{"why": model.why} for _ in cases]
    texts = [shown(case.narrative) for case in cases]
    given = [replace(case, narrative=text) for case, text in zip(cases, texts, strict=True)]
    scores = score_many(model, texts, [facts_of(case) for case in given])
    return [
        {
            "probability": round(score.probability, 4), "whole": score.whole, "model": score.model,
            "terms": [f"{term.text} {term.weight:+.2f}" for term in score.terms],
        }
        if text.strip() and is_english(text)
        else {"why": "there is no narrative in English to read"}
        for text, score in zip(texts, scores, strict=True)
    ]  # fmt: skip


_READERS: Mapping[str, Callable[[Sequence[Any]], list[dict[str, Any]]]] = {
    EVENT_STEP: _events, FIELDS_STEP: _fields, GRAVE_STEP: _grave, NAMES: _names,
}  # fmt: skip
