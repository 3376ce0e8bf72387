"""What every vector of a text is like, whichever model made it: of unit length, on a grid, from the same words. Pure.

On the grid each product of two numbers is a multiple of 2**-22 and each sum of a cosine stays below 2, so that single precision holds it
exactly: in whatever order PostgreSQL or numpy adds, the cosine is the same, and so is the order of the passages.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]

#: Steps of the grid in 1; a coarser one moves ranks, a finer one is no longer exact.
STEPS = 2_048
#: Most numbers of one vector: what pgvector takes at most (`vector`, 16,000) is far more than a model of sentences has.
MAX_DIMENSIONS = 4_096


def on_grid(rows: Rows) -> Rows:
    """Return rows (texts x dimensions) at unit length, rounded to the grid; a row of zeros stays one.

    Raises `ValueError` for numbers that are not finite, or not rows of at most `MAX_DIMENSIONS`.
    """
    if rows.ndim != 2 or not 1 <= rows.shape[1] <= MAX_DIMENSIONS or not np.isfinite(rows).all():
        raise ValueError(
            f"vectors of shape {rows.shape} are not finite rows of up to {MAX_DIMENSIONS} numbers"
        )
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    lengths[lengths == 0.0] = 1.0
    gridded: Rows = (np.rint(rows / lengths * STEPS) / STEPS).astype(np.float32)
    return gridded
