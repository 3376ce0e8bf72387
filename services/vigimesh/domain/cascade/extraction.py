"""Fields in a text: drugs, reactions, doses, ages and times, each with its place, how probable it is, and why.

The tagger only says what is written where. It judges nothing: no seriousness, no cause, no negation ("no rash" has a reaction in it), and
nothing that it finds may lower what the tools found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vigimesh.domain.cascade.extraction_chain import (
    FIELDS,
    FORBIDDEN,
    OUTSIDE,
    Chain,
    Floats,
    Scores,
    Sums,
    allowed,
    best,
    emissions,
    first_of,
    sums,
)
from vigimesh.domain.cascade.extraction_features import (
    ANY,
    MAX_CHARACTERS,
    Buckets,
    Piece,
    buckets,
    pieces,
    told,
)
from vigimesh.domain.cascade.model import TERM_CHARACTERS, Term

#: What is told of one field: the features that weighed most for it, against "outside".
TOP_FEATURES = 4
#: Characters of the texts that are read at once (one text may reach a quarter of it; the arrays of a batch are some 300 bytes for each
#: token), and pieces whose labels are found at once.
_CHARACTERS, _PIECES = 4 * MAX_CHARACTERS, 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field in a text: `text[start:end]`. `probability` is that of exactly this place, as the model sees it.

    `terms` are the features that weighed most for it against "outside", in log-odds; together with the rest and the steps between labels
    they are the whole of its score.
    """

    name: str
    start: int
    end: int
    probability: float
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """The fields of one text in their order; `whole` is false when only its beginning was read. `model` is the tagger's digest."""

    found: tuple[Field, ...]
    whole: bool
    model: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Tagger:
    """A trained tagger; `digest` names all of it (sha256 of its JSON). `seen` are marks of the sentences that it was made from."""

    digest: str
    chain: Chain
    seen: frozenset[int] = frozenset()

    @cached_property
    def steps(self) -> Floats:
        """The steps between labels as log-odds, those that are forbidden as `FORBIDDEN`."""
        return np.where(allowed(), self.chain.steps * self.chain.unit, float(FORBIDDEN))


def extract(tagger: Tagger, text: str) -> Fields:
    """Return the fields of one text. Any text is fine, also an empty one."""
    (found,) = extract_many(tagger, [text])
    return found


def extract_many(tagger: Tagger, texts: Sequence[str]) -> list[Fields]:
    """Return the fields of each text, the same as `extract` alone would give, in their order."""
    made = []
    for some in _batches(texts):
        held = [(number, piece) for number, text in enumerate(some) for piece in pieces(text)]
        fields: list[list[Field]] = [[] for _ in some]
        for number, found in zip(
            (number for number, _ in held), _fields(tagger, [piece for _, piece in held]), strict=True
        ):
            fields[number] += found
        made += [
            Fields(found=tuple(found), whole=len(text) <= MAX_CHARACTERS, model=tagger.digest)
            for text, found in zip(some, fields, strict=True)
        ]
    return made


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yield the texts in batches of at most `_CHARACTERS` that are read."""
    some: list[str] = []
    held = 0
    for text in texts:
        size = min(len(text), MAX_CHARACTERS)
        if held + size > _CHARACTERS:
            yield some
            some, held = [], 0
        some.append(text)
        held += size
    if some:
        yield some


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Pieces of about one length: their scores (pieces, longest, labels), sizes, labels and sums."""

    scores: Scores
    labels: NDArray[np.int64]
    sums: Sums


def _fields(tagger: Tagger, given: Sequence[Piece]) -> list[list[Field]]:
    found: list[list[Field]] = [[] for _ in given]
    if not given:
        return found
    columns = buckets(given)
    scores = emissions(tagger.chain, columns)
    sizes = np.array([len(piece.words) for piece in given], dtype=np.int64)
    begins = np.cumsum(sizes) - sizes
    order = np.argsort(sizes, kind="stable")
    for at in range(0, len(order), _PIECES):
        mine = order[at : at + _PIECES]
        group = _group(tagger, scores, begins[mine], sizes[mine])
        for row, number in enumerate(mine.tolist()):
            begin = int(begins[number])
            rows = columns[begin : begin + int(sizes[number])]
            found[number] = [
                _field(tagger, group, row, given[number], rows, span)
                for span in _spans(group.labels[row, : sizes[number]].tolist())
            ]
    return found


def _group(tagger: Tagger, scores: Scores, begins: NDArray[np.int64], sizes: NDArray[np.int64]) -> _Group:
    place = np.arange(sizes.max())
    inside = place < sizes[:, None]
    mine = np.where(inside[:, :, None], scores[np.where(inside, begins[:, None] + place, 0)], 0)
    labels = best(tagger.chain, mine, sizes)
    return _Group(mine, labels, sums(tagger.steps, mine * tagger.chain.unit, sizes))


def _spans(labels: list[int]) -> list[tuple[int, int, int]]:
    """Return (field, first token, token after the last) of a sequence of labels."""
    found: list[tuple[int, int, int]] = []
    for at, label in enumerate(labels):
        if label != OUTSIDE and label % 2:
            found.append(((label - 1) // 2, at, at + 1))
        elif label != OUTSIDE:
            found[-1] = (*found[-1][:2], at + 1)
    return found


def _field(
    tagger: Tagger, group: _Group, row: int, piece: Piece, columns: Buckets, span: tuple[int, int, int]
) -> Field:  # fmt: skip
    field, first, last = span
    return Field(
        name=FIELDS[field], start=piece.spans[first][0], end=piece.spans[last - 1][1],
        probability=_probability(tagger, group, row, len(piece.words), span),
        terms=_terms(tagger.chain, piece, columns, span),
    )  # fmt: skip


def _probability(tagger: Tagger, group: _Group, row: int, size: int, span: tuple[int, int, int]) -> float:
    """Return the share of all ways through the piece that have exactly this field here, to four digits."""
    field, first, last = span
    begin, inside = first_of(field), first_of(field) + 1
    unit, steps, found = tagger.chain.unit, tagger.steps, group.sums
    value = float(found.forward[row, first, begin]) - float(found.total[row])
    label = begin
    for at in range(first + 1, last):
        value += float(steps[label, inside]) + float(group.scores[row, at, inside]) * unit
        label = inside
    if last < size:
        ways = steps[label] + group.scores[row, last] * unit + found.backward[row, last]
        ways[inside] = -np.inf
        top = float(ways.max())
        value += top + float(np.log(np.exp(ways - top).sum()))
    return round(min(1.0, float(np.exp(value))), 4)


def _terms(chain: Chain, piece: Piece, columns: Buckets, span: tuple[int, int, int]) -> tuple[Term, ...]:
    field, first, last = span
    labels = np.full(last - first, first_of(field) + 1)
    labels[0] = first_of(field)
    rows = columns[first:last]
    weights = chain.weights[rows, labels[:, None]].astype(np.int64) - chain.weights[rows, OUTSIDE]
    # The feature of every token says nothing of this one.
    weights[:, ANY] = 0
    sums_by_text: dict[str, int] = {}
    for at in np.argsort(-np.abs(weights), axis=None, kind="stable")[: 2 * TOP_FEATURES].tolist():
        token, template = divmod(at, weights.shape[1])
        if weight := int(weights[token, template]):
            text = told(piece, first + token, template)[:TERM_CHARACTERS]
            sums_by_text[text] = sums_by_text.get(text, 0) + weight
    heaviest = sorted(sums_by_text.items(), key=lambda one: -abs(one[1]))[:TOP_FEATURES]
    return tuple(Term(text, weight * chain.unit) for text, weight in heaviest)
