"""What found spans are worth: F1 of exact places and of touching ones, micro-averaged, with a bootstrap interval over sentences.

*exact*: a span is right when field, first and last character are those of a marked one. *touching*: precision counts found spans that
share a character with a marked one of their field, recall marked ones that share one with a found one; F1 is the harmonic mean of both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from vigimesh.app.train.assess import Floats
from vigimesh.app.train.spans import Marked, Span
from vigimesh.domain.cascade.extraction import Tagger, extract_many
from vigimesh.domain.cascade.extraction_chain import FIELDS

Spans = frozenset[Span]


def found_by(tagger: Tagger, examples: Sequence[Marked]) -> list[Spans]:
    """Return what a tagger finds in each sentence."""
    return [
        frozenset((field.name, field.start, field.end) for field in one.found)
        for one in extract_many(tagger, [one.text for one in examples])
    ]


class Spanning:
    """Found and marked spans of sentences, counted once; a weight for each sentence makes a resample of them."""

    def __init__(self, found: Sequence[Spans], marked: Sequence[Spans]) -> None:
        if len(found) != len(marked):
            raise ValueError(f"{len(found)} answers for {len(marked)} sentences")
        #: (sentences, fields, [found, marked, exact, found that touch, marked that are touched]).
        self.counts: Floats = np.zeros((len(found), len(FIELDS), 5))
        for at, (ours, theirs) in enumerate(zip(found, marked, strict=True)):
            for field, name in enumerate(FIELDS):
                mine, gold = ([span for span in spans if span[0] == name] for spans in (ours, theirs))
                self.counts[at, field] = (
                    len(mine), len(gold), len(set(mine) & set(gold)), _touching(mine, gold), _touching(gold, mine),
                )  # fmt: skip

    def f1(
        self, fields: Iterable[str] = FIELDS, weights: Floats | None = None, *, touching: bool = False
    ) -> float:
        """Return F1 over these fields together; not a number when nothing is marked and nothing found."""
        mine = self.counts[:, [FIELDS.index(name) for name in fields]].sum(axis=1)
        found, marked, exact, right, reached = (mine.T if weights is None else mine.T * weights).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            if not touching:
                return float(2 * exact / (found + marked))
            precision, recall = right / found, reached / marked
            return float(2 * precision * recall / (precision + recall))

    def marked(self, field: str) -> int:
        """Return how many spans of a field are marked."""
        return int(self.counts[:, FIELDS.index(field), 1].sum())


def _touching(some: Sequence[Span], others: Sequence[Span]) -> int:
    return sum(any(a < end and begin < b for _, begin, end in others) for _, a, b in some)
