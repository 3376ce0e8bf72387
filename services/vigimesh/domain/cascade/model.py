"""A linear model over hashed features: a margin, a calibrated probability, and the words that made it.

The margin is the bias plus the sum of every occurrence's part, so the explanation is the whole of the score and no guess about it: the parts
of a text's terms, the facts' and the bias add up to the margin.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from vigimesh.domain.cascade.calibration import Curve
from vigimesh.domain.cascade.certify import Certificate
from vigimesh.domain.cascade.drift import Reference
from vigimesh.domain.cascade.features import BATCH, Batch, read
from vigimesh.domain.cascade.vectors import Floats, Tables, Vectors, weighed

#: What is told of one score: the terms that weighed most, for or against.
TOP_TERMS = 8
#: Characters of one term that are kept; a word in a text may be as long as the text.
TERM_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Term:
    """Words of the text, or a fact, with what they add to the margin: above 0 for yes, below for no."""

    text: str
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The answer of a small model about one text. `terms` are those that weighed most, heaviest first.

    `whole` is false when only the beginning of the text was read: then no threshold may be relied on. `model` is its digest.
    """

    probability: float
    margin: float
    terms: tuple[Term, ...]
    whole: bool
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """There is no small model to ask: the tier counts as absent and a case goes on to the next one. `why` is for the record."""

    why: str
    outcome: Literal["tier small absent"] = "tier small absent"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model:
    """A trained model. `digest` names all of it (sha256 of its JSON), `tables_digest` what makes a margin (sha256 of its npz).

    `certificates` stand in falling order of recall. `reference` are the margins of the cases that they were made from, in bins; None where nobody knows.
    """

    name: str
    digest: str
    tables_digest: str
    tables: Tables
    curve: Curve
    certificates: tuple[Certificate, ...] = ()
    reference: Reference | None = None


def score(model: Model, text: str, facts: Sequence[str] = ()) -> Score:
    """Return the score of one text with the facts of its case (`facts.facts_of`). Any text is fine, also an empty one."""
    (found,) = score_many(model, [text], [facts])
    return found


def score_many(model: Model, texts: Sequence[str], facts: Sequence[Sequence[str]]) -> list[Score]:
    """Return a score for each text, the same as `score` alone would give, in their order; `facts` has one sequence a text."""
    scores: list[Score] = []
    for batch in batches(texts, facts):
        margins, found, parts = _margins(model, batch)
        probabilities = model.curve.read(margins)
        terms = _terms(batch, found, parts)
        scores += [
            Score(probability=p, margin=m, terms=told, whole=not cut, model=model.digest)
            for p, m, told, cut in zip(
                probabilities.tolist(), margins.tolist(), terms, batch.cut, strict=True
            )
        ]
    return scores


def margins_of(model: Model, texts: Sequence[str], facts: Sequence[Sequence[str]]) -> Floats:
    """Return the margins alone, for calibration and for figures over many texts."""
    found = [_margins(model, batch)[0] for batch in batches(texts, facts)]
    return np.concatenate(found) if found else np.empty(0)


def batches(texts: Sequence[str], facts: Sequence[Sequence[str]]) -> Iterator[Batch]:
    """Yield the features of texts in batches. Raises `ValueError` when there are not as many sequences of facts as texts."""
    if len(texts) != len(facts):
        raise ValueError(f"{len(texts)} texts and {len(facts)} sequences of facts")
    for at in range(0, len(texts), BATCH):
        yield read(texts[at : at + BATCH], facts[at : at + BATCH])


def _margins(model: Model, batch: Batch) -> tuple[Floats, Vectors, Floats]:
    """Return the margin of each text, its features, and what each of those adds to the margin."""
    found = weighed(batch, model.tables.idf, model.tables.blocks)
    parts = found.value * model.tables.weights[found.bucket]
    # In the order of the buckets of each text, so that a text's sum does not depend on its neighbours in the batch.
    sums = np.bincount(found.doc, weights=parts, minlength=len(batch.cut))
    margins: Floats = (model.tables.bias + sums).astype(np.float64)
    return margins, found, parts


def _terms(batch: Batch, found: Vectors, parts: Floats) -> list[tuple[Term, ...]]:
    """Return the heaviest terms of each text: a word with the letters in it, two neighbours, or a fact; equal ones as one."""
    grams = batch.grams
    # The place of a run of letters is that of its word: words stand first in the grams, in their own order.
    place = found.at.copy()
    letters = slice(batch.letters, batch.facts_at)
    place[letters] = found.at[grams.word[letters]]
    weight = np.bincount(place, weights=(parts / found.times)[found.at], minlength=len(parts))
    shown = np.empty(len(parts), dtype=np.int64)
    shown[found.at[::-1]] = np.arange(len(found.at) - 1, -1, -1)
    told = np.flatnonzero(np.bincount(place, minlength=len(parts)))
    told = told[np.argsort(-np.abs(weight[told]), kind="stable")]
    # Sixteen bits, because the stable sort of those is a radix sort.
    order = told[np.argsort(found.doc[told].astype(np.int16), kind="stable")]
    begins = np.searchsorted(found.doc[order], np.arange(len(batch.cut) + 1))
    terms = []
    for begin, end in pairwise(begins.tolist()):
        heaviest = order[begin : min(end, begin + TOP_TERMS)]
        texts = (batch.term(at)[:TERM_CHARACTERS] for at in shown[heaviest].tolist())
        terms.append(tuple(map(Term, texts, weight[heaviest].tolist())))
    return terms
