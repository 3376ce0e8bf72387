"""From examples to the tables of a linear model: features counted, logistic regression on them, the same bytes for the same data.

scikit-learn and scipy are needed here and nowhere else, so they are imported when a model is made; what was learned is scored without
them. Columns are scaled by how unevenly the two kinds use them before the regression, and the scale is multiplied into the weights after it
(Wang and Manning, *Baselines and Bigrams*, 2012: naive Bayes as a prior for a linear model).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vigimesh.app.lazy import load
from vigimesh.app.train.examples import Example, texts_of
from vigimesh.domain.cascade.features import BITS, BUCKETS
from vigimesh.domain.cascade.model import batches
from vigimesh.domain.cascade.vectors import Floats, Table, Tables, counted, idf_of, weighed
from vigimesh.errors import Misconfigured

#: Steps of the solver; it ends by its own tolerance after 60 to 120.
_STEPS = 400
#: Tolerance of the solver: ten times less moves no figure in its fourth digit.
_TOLERANCE = 2e-5
#: Added to the evenness of a column, so that one used evenly may still weigh.
_EVEN = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a model is made; chosen on 1996 after training on 1990-1995, never on a later year.

    The inverse strength of its penalty, the length of each block (see `features.BITS`), and in how many different texts a feature must
    occur to count.
    """

    inverse_penalty: float
    blocks: tuple[float, ...]
    documents: int


def fit(examples: Sequence[Example], recipe: Recipe, idf: Table | None = None) -> Tables:
    """Return the tables of a model of these examples, with the `idf` that is given, else their own.

    Raises `Misconfigured` VM-2203 when all are of one kind, VM-2204 without scikit-learn.
    """
    labels = np.array([one.label for one in examples], dtype=np.bool_)
    if not labels.any() or labels.all():
        raise Misconfigured(
            "VM-2203", what="all examples to train from are of one kind", where=f"{len(examples)} examples",
            todo="name a folder with reports of both kinds, of more than one year",
        )  # fmt: skip
    limited: AbstractContextManager[Any] = needed("threadpoolctl:threadpool_limits")(1)
    # One thread, because a sum over several depends on how many there are.
    with limited:
        texts, facts = texts_of(examples)
        if idf is None:
            documents = _documents(texts, facts, recipe.documents)
            # As the file will hold it, so that what is learned is what is scored.
            idf = idf_of(documents, len(examples)).astype(np.float16).astype(np.float32)
        blocks = np.array(recipe.blocks, dtype=np.float64)
        matrix = _matrix(texts, facts, idf, blocks)
        scale = _unevenness(matrix, labels)
        scaled = matrix @ needed("scipy.sparse:diags")(scale)
        regression = needed("sklearn.linear_model:LogisticRegression")(
            C=recipe.inverse_penalty, max_iter=_STEPS, tol=_TOLERANCE
        ).fit(scaled.tocsr(), labels)
    weights = (regression.coef_[0] * scale).astype(np.float32)
    return Tables(weights=weights, idf=idf, blocks=blocks, bias=float(regression.intercept_[0]))


def _documents(texts: Sequence[str], facts: Sequence[Sequence[str]], least: int) -> NDArray[np.int64]:
    """Return in how many texts each bucket occurs; 0 where those are fewer than `least`."""
    documents = np.zeros(BUCKETS, dtype=np.int64)
    for batch in batches(texts, facts):
        documents += np.bincount(counted(batch).bucket, minlength=BUCKETS)
    return np.where(documents >= least, documents, 0)


def _matrix(texts: Sequence[str], facts: Sequence[Sequence[str]], idf: Any, blocks: Floats) -> Any:
    """Return the features of all texts as a sparse matrix, a row for each text."""
    rows, columns, values, before = [], [], [], 0
    for batch in batches(texts, facts):
        found = weighed(batch, idf, blocks)
        there = found.value != 0.0
        rows.append((found.doc[there] + before).astype(np.int32))
        columns.append(found.bucket[there].astype(np.int32))
        values.append(found.value[there].astype(np.float32))
        before += len(batch.cut)
    parts = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return needed("scipy.sparse:csr_matrix")(parts, shape=(before, BUCKETS), dtype=np.float32)


def _unevenness(matrix: Any, labels: NDArray[np.bool_]) -> Floats:
    """Return for each column how far the log of its share among one kind is from that among the other, and a little more."""
    yes, no = (np.asarray(matrix[kind].sum(axis=0)).ravel() + 1.0 for kind in (labels, ~labels))
    found: Floats = np.abs(np.log(yes / yes.sum()) - np.log(no / no.sum())) + _EVEN
    return found


def needed(target: str) -> Any:
    """Return `module:attribute` of a package that only training needs. Raises `Misconfigured` VM-2204 when it is not installed."""
    try:
        return load(target)
    except ModuleNotFoundError as error:
        raise Misconfigured(
            "VM-2204", what=f"training needs scikit-learn, and {error.name} is not installed", where="vigimesh train",
            todo="install scikit-learn 1.9 (pip install 'scikit-learn>=1.9,<2'); the shipped models need none of it",
        ) from None  # fmt: skip


assert len(BITS) == 4, "a recipe gives a length for each block"
