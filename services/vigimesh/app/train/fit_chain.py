"""From marked sentences to the numbers of a tagger: a conditional random field, fitted by L-BFGS, the same numbers for the same data.

scipy is needed here and nowhere else (it comes with scikit-learn).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vigimesh.app.train.fit import needed
from vigimesh.app.train.spans import Marked, labels_of
from vigimesh.domain.cascade.extraction_chain import LABELS, Chain, Floats, allowed, sums
from vigimesh.domain.cascade.extraction_features import BUCKETS, Piece, buckets, pieces

#: Pieces whose sums are worked out at once, of about one length.
_AT_ONCE = 256
#: What stands for a step that is forbidden, as a log-odds: its exponential is 0.
_NEVER = -1e4
#: Corrections that L-BFGS remembers.
_MEMORY = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRecipe:
    """How a tagger is made; chosen on the part `tune`.

    The strength of the penalty (a Gaussian prior of variance 1 / `penalty`), the steps of the solver, and in how many tokens a feature must occur.
    """

    penalty: float
    steps: int
    tokens: int


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Pieces of about one length: rows of their tokens (pieces, longest; padded with 0), their sizes, and which places are tokens."""

    rows: NDArray[np.int64]
    sizes: NDArray[np.int64]
    inside: NDArray[np.bool_]


def fit_chain(examples: Sequence[Marked], recipe: ChainRecipe) -> Chain:
    """Return the tagger of these sentences. Raises `Misconfigured` VM-2204 without scikit-learn, `ValueError` when no token is marked."""
    held = [(piece, labels_of(one.spans, piece.spans)) for one in examples for piece in pieces(one.text)]
    given = [piece for piece, _ in held]
    gold = np.array([label for _, labels in held for label in labels], dtype=np.int64)
    if not gold.any():
        raise ValueError("no token is marked")
    columns = buckets(given)
    used, matrix = _matrix(columns, recipe.tokens)
    limited: AbstractContextManager[Any] = needed("threadpoolctl:threadpool_limits")(1)
    with limited:
        found = _Objective(matrix, gold, _groups(given), recipe.penalty).solve(recipe.steps)
    weights, steps = found
    unit = float(max(np.abs(weights).max(), np.abs(steps).max() / 256) / 127)
    whole = np.zeros((BUCKETS, len(LABELS)), dtype=np.int8)
    whole[used] = np.clip(np.rint(weights / unit), -127, 127)
    return Chain(whole, np.clip(np.rint(steps / unit), -32_000, 32_000).astype(np.int16), unit)


def _matrix(columns: NDArray[np.int32], least: int) -> tuple[NDArray[np.int64], Any]:
    """Return the buckets that occur in enough tokens, and the tokens as sparse rows of them."""
    counts = np.bincount(columns.ravel(), minlength=BUCKETS)
    used = np.flatnonzero(counts >= least)
    place = np.full(BUCKETS, -1, dtype=np.int64)
    place[used] = np.arange(len(used))
    at = place[columns]
    row, _ = there = np.nonzero(at >= 0)
    parts = (np.ones(len(row)), (row, at[there]))
    return used, needed("scipy.sparse:csr_matrix")(parts, shape=(len(columns), len(used)))


def _groups(given: Sequence[Piece]) -> list[_Group]:
    sizes = np.array([len(piece.words) for piece in given], dtype=np.int64)
    begins = np.cumsum(sizes) - sizes
    order = np.argsort(sizes, kind="stable")
    found = []
    for at in range(0, len(order), _AT_ONCE):
        mine = order[at : at + _AT_ONCE]
        place = np.arange(sizes[mine].max())
        inside = place < sizes[mine][:, None]
        found.append(_Group(np.where(inside, begins[mine][:, None] + place, 0), sizes[mine], inside))
    return found


class _Objective:
    """The penalised negative log-likelihood and its gradient, as the solver asks for them: one row of weights and steps."""

    def __init__(
        self, matrix: Any, gold: NDArray[np.int64], groups: Sequence[_Group], penalty: float
    ) -> None:
        self.matrix, self.turned, self.groups, self.penalty = matrix, matrix.T.tocsr(), groups, penalty
        self.wide = len(LABELS)
        self.allowed = allowed()
        self.seen = np.zeros((len(gold), self.wide))
        self.seen[np.arange(len(gold)), gold] = 1.0
        self.seen_steps = np.zeros((self.wide + 1, self.wide))
        for group in groups:
            labels = gold[group.rows]
            self.seen_steps[-1] += np.bincount(labels[:, 0], minlength=self.wide)
            both = group.inside[:, 1:]
            np.add.at(self.seen_steps, (labels[:, :-1][both], labels[:, 1:][both]), 1.0)

    def solve(self, steps: int) -> tuple[Floats, Floats]:
        """Return weights and steps."""
        start = np.zeros((self.matrix.shape[1] + self.wide + 1) * self.wide)
        options = {"maxiter": steps, "maxcor": _MEMORY, "ftol": 1e-9, "gtol": 1e-3}
        found = needed("scipy.optimize:minimize")(
            self.both, start, jac=True, method="L-BFGS-B", options=options
        )
        return self._parts(found.x)

    def _parts(self, row: Floats) -> tuple[Floats, Floats]:
        table = row.reshape(-1, self.wide)
        return table[: -self.wide - 1], table[-self.wide - 1 :]

    def both(self, row: Floats) -> tuple[float, Floats]:
        """Return the value and the gradient."""
        weights, free = self._parts(row)
        steps = np.where(self.allowed, free, _NEVER)
        scores = self.matrix @ weights
        value = self.penalty / 2 * float(row @ row) - float((scores * self.seen).sum())
        value -= float((free * self.seen_steps).sum())
        expected, expected_steps = np.zeros_like(scores), np.zeros_like(steps)
        for group in self.groups:
            value += self._group(group, scores, steps, expected, expected_steps)
        slope = np.concatenate(
            [self.turned @ (expected - self.seen), np.where(self.allowed, expected_steps - self.seen_steps, 0.0)]
        )  # fmt: skip
        return value, slope.ravel() + self.penalty * row

    def _group(
        self, group: _Group, scores: Floats, steps: Floats, expected: Floats, expected_steps: Floats
    ) -> float:
        """Add what a group expects of tokens and of steps; return its log of all ways."""
        mine = scores[group.rows]
        found = sums(steps, mine, group.sizes)
        shares = np.exp(found.forward + found.backward - found.total[:, None, None])
        expected[group.rows[group.inside]] = shares[group.inside]
        expected_steps[-1] += shares[:, 0].sum(axis=0)
        before, after = (
            found.forward[:, :-1],
            (mine + found.backward)[:, 1:] - found.total[:, None, None],
        )
        top = before.max(axis=2, keepdims=True)
        here = group.inside[:, 1:]
        into = np.exp((after + top)[here])
        expected_steps[:-1] += (np.exp((before - top)[here]).T @ into) * np.exp(steps[:-1])
        return float(found.total.sum())
