"""The model of embeddings that comes with the package: words and the letters within them, hashed. No file, no training, no network.

A preferred term and a label's wording mostly share letters where they do not share words (anaemia, anemic; hypersensitivity,
hypersensitive; Latin and Greek roots). Each word counts, and each 3, 4 and 5 neighbouring letters of it with its edges; how often, as
1 + ln. They are added into `DIMENSIONS` numbers by hash, with a sign by hash, so that collisions cancel on average (Weinberger et al.,
*Feature Hashing for Large Scale Multitask Learning*, 2009). It knows no synonyms: what shares no letters is not near.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from vigimesh.domain.knowledge.vectors import on_grid
from vigimesh.events.ids import digest

if TYPE_CHECKING:
    from vigimesh.domain.knowledge.vectors import Rows

#: What it is called, with a number that grows when anything in this module changes what it gives.
NAME = "letters-1"
#: Numbers of one vector: see decision 0049 for what fewer cost.
DIMENSIONS = 1_024
#: Neighbouring letters of a word that are one feature, and the longest word whose letters are looked at.
LETTERS = (3, 4, 5)
WORD_LETTERS = 64
#: Words whose features are kept: a year of questions has fewer.
_WORDS = 32_768

_WORD = re.compile(r"[^\W\d_]+")


class LocalEmbeddings:
    """`ports.Embedder` without a model file; the digest is that of its name and its vector of a fixed text."""

    name = NAME
    dimensions = DIMENSIONS
    leaves = False

    def __init__(self) -> None:
        """Take the digest from what it gives, so that a change of the code is another model."""
        given = self.embed(["Injection site anaphylactoid reaction, 3 of 100"])
        self.digest = digest(NAME.encode() + given.tobytes())

    def embed(self, texts: Sequence[str]) -> Rows:
        """Return a row for each text; see the port. It is never away."""
        rows = np.zeros((len(texts), DIMENSIONS), np.float32)
        for row, text in zip(rows, texts, strict=True):
            words = Counter(_WORD.findall(text.casefold()))
            found: Counter[int] = Counter()
            for word, times in words.items():
                for feature in _features(word[:WORD_LETTERS]):
                    found[feature] += times
            for feature, times in found.items():
                sign = 1.0 if feature & 1 else -1.0
                row[(feature >> 1) % DIMENSIONS] += sign * (1.0 + math.log(times))
        return on_grid(rows)


@lru_cache(maxsize=_WORDS)
def _features(word: str) -> tuple[int, ...]:
    return tuple(_hashed(part) for part in _parts(word))


def _parts(word: str) -> Iterator[str]:
    yield f"w{word}"
    if len(word) > LETTERS[0]:
        edged = f" {word} "
        for letters in LETTERS:
            yield from (f"c{edged[at : at + letters]}" for at in range(len(edged) - letters + 1))


def _hashed(part: str) -> int:
    """Return 32 bits; CRC-32 alone is linear, so its bits are mixed as MurmurHash3 ends."""
    mixed = zlib.crc32(part.encode())
    mixed = ((mixed ^ (mixed >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
    return mixed ^ (mixed >> 16)
