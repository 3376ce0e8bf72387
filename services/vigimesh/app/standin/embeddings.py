"""Vectors that stand in for embeddings: hashed n-grams of characters, the same for the same text, of length 1."""

from __future__ import annotations

import base64
import math
import zlib
from array import array
from collections.abc import Iterator

#: The name under which they are asked for.
EMBED_MODEL = "standin-embed-1"
#: Numbers of a vector when a request names none, and at most (what the largest public model has).
DIMENSIONS, MAX_DIMENSIONS = 256, 4_096
#: Texts of one request (OpenAI's bound).
MAX_INPUTS = 2_048
#: Characters of an n-gram: words share their beginnings, endings and stems.
SHORTEST, LONGEST = 3, 5


def embedded(text: str, dimensions: int, seed: int) -> list[float]:
    """Return a vector of length 1 for a text, a function of its arguments alone.

    Case and the width of blanks make no difference. Texts that share many n-grams are near; that is all it knows.
    """
    vector = [0.0] * dimensions
    for gram in _grams(" ".join(text.lower().split())):
        hashed = zlib.crc32(gram.encode("utf-8", errors="replace"), seed & 0xFFFFFFFF)
        vector[(hashed >> 1) % dimensions] += 1.0 if hashed & 1 else -1.0
    length = math.sqrt(sum(one * one for one in vector))
    if length == 0.0:  # all grams cancelled out
        vector[0], length = 1.0, 1.0
    return [one / length for one in vector]


def packed(vector: list[float]) -> str:
    """Return a vector as `encoding_format` `base64` has it: 32-bit floats, little-endian."""
    return base64.b64encode(array("f", vector).tobytes()).decode()


def _grams(text: str) -> Iterator[str]:
    framed = f" {text} "
    for size in range(SHORTEST, LONGEST + 1):
        for at in range(len(framed) - size + 1):
            yield framed[at : at + size]
