"""Make the tagger of fields: fit, and measure it on sentences that chose nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from vigimesh.app.train.assess import interval, weights
from vigimesh.app.train.assess_spans import Spanning, found_by
from vigimesh.app.train.fit_chain import ChainRecipe, fit_chain
from vigimesh.app.train.spans import Marked, SpanPart
from vigimesh.domain.cascade.calibration import expected_calibration_error
from vigimesh.domain.cascade.extraction import Tagger, extract_many
from vigimesh.domain.cascade.extraction_chain import FIELDS
from vigimesh.domain.cascade.extraction_files import read_tagger, write_chain, write_tagger_header
from vigimesh.domain.cascade.shipped import EXTRACTION

#: Chosen on `tune` by micro-averaged F1 of exact places.
RECIPE = ChainRecipe(penalty=1.0, steps=80, tokens=1)
LIMITS = (
    "Single sentences of case reports in the literature (PHEE, from MEDLINE); no narrative of a report form, no patient's words, no other language.",
    (
        "It finds what those annotators marked: drugs as part of a treatment, effects of adverse events, doses, ages, durations and times elapsed. "
        "Its fields are places in a text. It reads no negation and no cause: `no rash` holds a reaction."
    ),
    "Tokens carry one field: where one span lies in another, one of them is missed.",
    "Doses and times are few in the source, so that their figures are wide; the tools read dates, durations, ages and doses by rule besides.",
    "It is a hint: nothing that it finds or misses lowers what the tools found.",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeTagger:
    """The files of the tagger, and the tagger as those files give it."""

    header: bytes
    tables: bytes
    tagger: Tagger
    card: Mapping[str, Any]


def make_tagger(parts: Mapping[SpanPart, Sequence[Marked]], recipe: ChainRecipe = RECIPE) -> MadeTagger:
    """Return the tagger of these parts: the same files for the same sentences in the same order.

    Raises `Misconfigured` VM-2204 without scikit-learn, `ValueError` when nothing is marked in the part train.
    """
    chain = fit_chain(parts["train"], recipe)
    seen = frozenset(one.group for part in ("train", "tune") for one in parts[part])
    data = write_chain(chain, seen)
    bare = Tagger(digest="", chain=chain)
    card = {
        "question": "where does the sentence name drugs, reactions, doses, ages and times?",
        "sources": ["PHEE"], "language": "en", "product_class": "drug", "recipe": asdict(recipe),
        "parts": {part: _part(held) for part, held in parts.items()},
        "tune": {"f1_micro": round(Spanning(found_by(bare, parts["tune"]), _marked(parts["tune"])).f1(), 4)},
        "held_out": figures(bare, parts["held_out"]),
        "limits": list(LIMITS),
    }  # fmt: skip
    header = write_tagger_header(EXTRACTION, data, card)
    return MadeTagger(header=header, tables=data, tagger=read_tagger(header, data), card=card)


def figures(tagger: Tagger, examples: Sequence[Marked]) -> dict[str, Any]:
    """Return what a tagger is worth on sentences that it has not seen, as JSON values."""
    spanning = Spanning(found_by(tagger, examples), _marked(examples))
    drawn = weights(len(examples))
    groups = {**{name: (name,) for name in FIELDS}, "all": FIELDS}
    found: dict[str, Any] = {"sentences": len(examples)}
    for name, fields in groups.items():
        exact = interval(partial(spanning.f1, fields), drawn)
        found[name] = {
            "marked": sum(spanning.marked(field) for field in fields),
            **{key: _rounded(value) for key, value in asdict(exact).items()},
            "touching": _rounded(spanning.f1(fields, touching=True)),
        }
    pairs = [
        (field.probability, (field.name, field.start, field.end) in one.spans)
        for one, told in zip(examples, extract_many(tagger, [one.text for one in examples]), strict=True)
        for field in told.found
    ]
    if pairs:
        probabilities, right = zip(*pairs, strict=True)
        found["ece"] = round(expected_calibration_error(probabilities, right), 4)
    return found


def tagger_card_text(made: MadeTagger) -> str:
    """Return the card of the tagger as Markdown."""
    card, held = made.card, made.card["held_out"]
    spans = ", ".join(FIELDS)
    lines = [
        f"# Small model `{EXTRACTION}`", "",
        f"Made by `vigimesh train`, not by hand. Asks: {card['question']}", "",
        f"Digest `{made.tagger.digest}`.", "",
        f"Made from {', '.join(card['sources'])}; product class {card['product_class']}, language {card['language']}.", "",
        f"| part | use | sentences | {' | '.join(FIELDS)} |", f"|---|---|---{'|---' * len(FIELDS)}|",
        *(
            f"| {part} | {use} | {card['parts'][part]['sentences']} | "
            + " | ".join(str(card["parts"][part]["spans"][name]) for name in FIELDS) + " |"
            for part, use in _USES.items()
        ), "",
        "## On the part held out", "",
        (f"F1 of {spans}: micro-averaged over spans, a span is right when its field, first and last character are those of a marked one; "
        "*touching* asks for one common character alone."), "",
        "| field | marked | F1, exact | 95 % interval | F1, touching |", "|---|---|---|---|---|",
        *(
            f"| {name} | {held[name]['marked']} | {held[name]['value']} | {held[name]['low']} to {held[name]['high']} | {held[name]['touching']} |"
            for name in (*FIELDS, "all")
        ), "",
        f"Expected calibration error of a found field's probability, ten bins: {held.get('ece')}.", "",
        "## Limits", "", *(f"- {limit}" for limit in card["limits"]), "",
    ]  # fmt: skip
    return "\n".join(lines)


_USES = {"train": "weights", "tune": "choice of the recipe", "held_out": "the figures below"}


def _marked(examples: Sequence[Marked]) -> list[frozenset[tuple[str, int, int]]]:
    return [one.spans for one in examples]


def _part(held: Sequence[Marked]) -> dict[str, Any]:
    spans = {name: sum(span[0] == name for one in held for span in one.spans) for name in FIELDS}
    return {"sentences": len(held), "spans": spans}


def _rounded(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None
