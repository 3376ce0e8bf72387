"""Features as numbers: sublinear term frequency times inverse document frequency, each block of a text of length 1.

The same function serves training and scoring, so that the two cannot drift apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vigimesh.domain.cascade.features import BUCKETS, STARTS, Batch, Ints

Floats = NDArray[np.float64]
Table = NDArray[np.float32]

#: The block of a bucket is how many of these it has reached.
_EDGES = np.array(STARTS[1:])


@dataclass(frozen=True, slots=True)
class Vectors:
    """Distinct features of a batch: the text `doc`, the row `bucket`, its `value`; ordered by text, then bucket.

    `at` gives for each occurrence in the batch's grams its place here, `times` how often each occurs.
    """

    doc: Ints
    bucket: Ints
    value: Floats
    at: Ints
    times: Ints


def counted(batch: Batch) -> Vectors:
    """Return the features of a batch with 1 + ln(times) as their values: the sublinear term frequency alone."""
    grams = batch.grams
    keys, at, times = np.unique(grams.doc * BUCKETS + grams.bucket, return_inverse=True, return_counts=True)
    return Vectors(keys // BUCKETS, keys % BUCKETS, 1.0 + np.log(times), at, times)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tables:
    """The numbers of a linear model.

    `weights` and `idf` have one for each bucket (`idf` 0 where training never saw it), `blocks` the length of words, letters, facts and pairs
    of facts. Raises `ValueError` for another size, or numbers that are not finite.
    """

    weights: Table
    idf: Table
    blocks: Floats
    bias: float

    def __post_init__(self) -> None:
        """Refuse tables that do not fit."""
        for table, size in ((self.weights, BUCKETS), (self.idf, BUCKETS), (self.blocks, len(STARTS))):
            if table.shape != (size,) or not np.isfinite(table).all():
                raise ValueError(f"a table of {table.shape} numbers, not {size} finite ones")
        if not np.isfinite(self.bias):
            raise ValueError("the bias is not finite")


def weighed(batch: Batch, idf: Table, blocks: Floats) -> Vectors:
    """Return the features of a batch as a model with these tables takes them."""
    found = counted(batch)
    value = found.value * idf[found.bucket]
    block = found.doc * len(STARTS) + np.searchsorted(_EDGES, found.bucket, side="right")
    lengths = np.sqrt(np.bincount(block, weights=value * value))
    lengths[lengths == 0.0] = 1.0
    value *= blocks[block % len(STARTS)] / lengths[block]
    return Vectors(found.doc, found.bucket, value, found.at, found.times)


def idf_of(documents: Ints, texts: int) -> Table:
    """Return the smoothed inverse document frequency, ln((1 + texts) / (1 + documents)) + 1; 0 where no document has it."""
    idf = np.log((1.0 + texts) / (1.0 + documents)) + 1.0
    return np.where(documents > 0, idf, 0.0).astype(np.float32)
