"""What the tagger sees of a token: hashed words, beginnings and endings, shapes, and neighbours, each at its place.

A text is cut into pieces (sentences, at most `MAX_PIECE` tokens each) and those into tokens: a run of letters, a number, or any other single
character. Digits count as the same one, case is kept in the shape alone. As in `features`, no vocabulary is kept: what a bucket stands for is read
off the text. `TEMPLATES` is the whole list; a change of it is another layout of the artefact.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vigimesh.domain.cascade.features import MAX_TEXT_BYTES

#: Characters of one text that are looked at, as for the other small models.
MAX_CHARACTERS = MAX_TEXT_BYTES
#: Tokens of one piece: the longest sentence of PHEE has some 150.
MAX_PIECE = 256
#: Characters of one token that are hashed, and distinct tokens remembered.
_WORD_CHARACTERS, _WORD_MEMORY = 64, 32_768
#: Buckets, as a power of two.
BITS = 18
BUCKETS = 1 << BITS
#: Tokens to either side that a template may look at.
_REACH = 3

_TOKEN = re.compile(r"[^\W\d_]+|\d+(?:[.,]\d+)*|[^\w\s]|_")
_ENDING = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|\n+")
_EDGE = "\N{SYMBOL FOR NULL}"

#: What of one token is hashed, in the order of `_parts`.
LOWER, SHAPE, RUNS, FIRST_2, FIRST_3, FIRST_4, LAST_2, LAST_3, LAST_4, LAST_5 = range(10)
_NAMES = ("", "shape", "shape", "begins", "begins", "begins", "ends", "ends", "ends", "ends")

#: Parts of tokens (offset, what) that are one feature together; `ANY` is every token's.
ANY = 0
TEMPLATES: tuple[tuple[tuple[int, int], ...], ...] = (
    (),
    *(((0, what),) for what in range(10)),
    *(((at, what),) for at in (-1, 1) for what in (LOWER, RUNS, FIRST_3, LAST_3)),
    *(((at, LOWER),) for at in (-3, -2, 2, 3)),
    *(((at, RUNS),) for at in (-2, 2)),
    ((-1, LOWER), (0, LOWER)), ((0, LOWER), (1, LOWER)), ((-2, LOWER), (-1, LOWER)), ((1, LOWER), (2, LOWER)),
    ((-1, LOWER), (0, LAST_3)), ((0, LAST_3), (1, LOWER)), ((-1, LOWER), (1, LOWER)), ((-1, RUNS), (0, RUNS), (1, RUNS)),
    ((0, RUNS), (0, LAST_3)), ((-1, LAST_3), (0, LAST_3)), ((0, LAST_3), (1, LAST_3)),
)  # fmt: skip

_U = np.uint64
_STEP, _MIX = _U(0x9E3779B97F4A7C15), _U(0xFF51AFD7ED558CCD)

Hashes = NDArray[np.uint64]
Buckets = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text: its tokens as (first character, character after the last) of the whole text, and what they are."""

    spans: tuple[tuple[int, int], ...]
    words: tuple[str, ...]


def pieces(text: str) -> list[Piece]:
    """Return the pieces of a text that hold a token, in its order; beyond `MAX_CHARACTERS` nothing is read."""
    text = text[:MAX_CHARACTERS]
    ends = [0, *(found.end() for found in _ENDING.finditer(text)), len(text)]
    made = []
    for begin, end in pairwise(ends):
        spans = [found.span() for found in _TOKEN.finditer(text, begin, end)]
        for at in range(0, len(spans), MAX_PIECE):
            held = tuple(spans[at : at + MAX_PIECE])
            made.append(Piece(held, tuple(text[first:last] for first, last in held)))
    return made


def buckets(given: Sequence[Piece]) -> Buckets:
    """Return the buckets of all tokens of these pieces, one after another: a row for each token, a column for each template."""
    edge = [_parts(_EDGE)] * _REACH
    rows: list[tuple[int, ...]] = list(edge)
    places: list[int] = []
    for piece in given:
        places.extend(range(len(rows), len(rows) + len(piece.words)))
        rows.extend(map(_parts, piece.words))
        rows.extend(edge)
    table = np.array(rows, dtype=np.uint64).reshape(len(rows), len(_NAMES))
    at = np.array(places, dtype=np.int64)
    found = np.empty((len(at), len(TEMPLATES)), dtype=np.int32)
    for number, template in enumerate(TEMPLATES):
        hashes = np.full(len(at), number + 1, dtype=np.uint64) * _STEP
        for offset, what in template:
            hashes = (hashes ^ table[at + offset, what]) * _MIX
            hashes ^= hashes >> _U(29)
        found[:, number] = (hashes * _STEP) >> _U(64 - BITS)
    return found


def told(piece: Piece, token: int, template: int) -> str:
    """Return in words what a template sees at a token, such as `due to`, `ends xine`, `+1 therapy`."""
    found = []
    for offset, what in TEMPLATES[template]:
        at = token + offset
        word = piece.words[at] if 0 <= at < len(piece.words) else "(edge)"
        part = word if word == "(edge)" else _texts(word)[what]
        found.append(" ".join(filter(None, (f"{offset:+d}" if offset else "", _NAMES[what], part))))
    return ", ".join(found) or "any word"


@lru_cache(maxsize=_WORD_MEMORY)
def _parts(word: str) -> tuple[int, ...]:
    return tuple(
        int.from_bytes(hashlib.blake2b(f"{what} {text}".encode("utf-8", "replace"), digest_size=8).digest(), "big")
        for what, text in enumerate(_texts(word))
    )  # fmt: skip


def _texts(word: str) -> tuple[str, ...]:
    word = word[:_WORD_CHARACTERS]
    lower = re.sub(r"\d", "0", word.lower())
    shape = "".join(_shapes(word))
    runs = re.sub(r"(.)\1+", r"\1", shape)
    return (
        lower,
        shape[:10],
        runs,
        lower[:2],
        lower[:3],
        lower[:4],
        lower[-2:],
        lower[-3:],
        lower[-4:],
        lower[-5:],
    )


def _shapes(word: str) -> Iterator[str]:
    for character in word:
        yield (
            "9"
            if character.isdigit()
            else "A"
            if character.isupper()
            else "a"
            if character.isalpha()
            else character
        )
