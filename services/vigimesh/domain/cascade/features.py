"""What a small model sees of a text: hashed words, pairs of words, letters within words; and of a case's facts, as words.

The tokeniser is our own, whole batches at a time in numpy, and the same everywhere: lower case, UTF-8; a word is a run of letters and
digits (every byte of a character outside ASCII is a letter); all digits count as the same one, so that a date, a dose or a number of a
report is seen as its shape. No vocabulary is kept: what a term was is read off the text that is scored.

- *words*: each word and each two neighbours. The hash of a word is its bytes as a polynomial modulo 2^64.
- *letters*: 3, 4 and 5 neighbouring bytes within a word, its edges counted as a blank.
- *facts*: words such as `sex:female` that the caller makes of structured fields, and *pairs* of those, which hold ` & `.

Hashing trick: Weinberger et al., *Feature Hashing for Large Scale Multitask Learning*, 2009. Here without signs: collisions in 2^18
buckets of words are rare enough.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

#: Bytes of one text that are looked at. The longest narrative of eight years of VAERS has 3,259 characters; a text beyond it is
#: marked as not read whole, so that nobody takes its score for a judgement of all of it.
MAX_TEXT_BYTES = 65_536
#: Facts of one case that are looked at, and distinct ones remembered: a year of VAERS has some 3,000.
MAX_FACTS, _FACT_MEMORY = 256, 16_384
#: Texts scored at once. The arrays of a batch are some 200 bytes for each byte of text.
BATCH = 512
#: Neighbouring bytes of a word that are one feature.
LETTERS = (3, 4, 5)
#: Buckets of each block, as powers of two, and where each begins in the table of weights.
BITS = (18, 18, 14, 16)
WORDS, CHARS, FACTS, FACT_PAIRS = range(4)
STARTS = tuple(sum(1 << bits for bits in BITS[:block]) for block in range(len(BITS)))
BUCKETS = sum(1 << bits for bits in BITS)
#: What stands between two facts that are one feature.
PAIR = " & "

_U = np.uint64
#: Odd, so that its powers have inverses modulo 2^64: the multiplier of Knuth's MMIX.
_BASE = 6_364_136_223_846_793_005
_INVERSE = pow(_BASE, -1, 1 << 64)
#: Multipliers of the 64-bit finaliser of MurmurHash3.
_MIX_1, _MIX_2 = _U(0xFF51AFD7ED558CCD), _U(0xC4CEB9FE1A85EC53)
#: Told apart: single words, pairs, letters, facts.
_SALT_WORD, _SALT_PAIR, _SALT_LETTERS, _SALT_SECOND = (
    _U(0x9E3779B97F4A7C15), _U(0xD1B54A32D192ED03), _U(0x8CB92BA72F3D8DD7), _U(0xAEF17502108EF2D9),
)  # fmt: skip
_BLANK = 32

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Bytes = NDArray[np.uint8]


def _table() -> tuple[Bytes, NDArray[np.bool_]]:
    seen = np.arange(256, dtype=np.uint8)
    seen[ord("0") : ord("9") + 1] = ord("0")
    is_word = np.zeros(256, dtype=np.bool_)
    is_word[ord("a") : ord("z") + 1] = is_word[ord("0") : ord("9") + 1] = is_word[128:] = True
    return seen, is_word


_SEEN, _IS_WORD = _table()


@dataclass(frozen=True, slots=True)
class Grams:
    """Occurrences of features in a batch, equally long arrays: every word in the order of the batch, then pairs, letters, facts.

    `doc` is the text's number in the batch, `bucket` the row of the table of weights, `word` the number of the word that it is or begins
    with or lies in; for a fact its place in its case.
    """

    doc: Ints
    bucket: Ints
    word: Ints


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts made ready: their bytes in a row, where each word begins and ends, the facts, and which texts were cut.

    `pairs` is where the pairs begin in `grams`, `letters` and `facts_at` likewise.
    """

    data: bytes
    starts: Ints
    ends: Ints
    facts: tuple[tuple[str, ...], ...]
    cut: tuple[bool, ...]
    grams: Grams
    pairs: int
    letters: int
    facts_at: int

    def term(self, occurrence: int) -> str:
        """Return what an occurrence is: a word or two as the text has them, in lower case, or a fact."""
        word = int(self.grams.word[occurrence])
        if occurrence >= self.facts_at:
            return self.facts[int(self.grams.doc[occurrence])][word]
        last = word + (self.pairs <= occurrence < self.letters)
        found: bytes = self.data[int(self.starts[word]) : int(self.ends[last])]
        return found.decode("utf-8", errors="replace")


def read(texts: Sequence[str], facts: Sequence[Sequence[str]]) -> Batch:
    """Return the features of at most `BATCH` texts; `facts` has one sequence for each text, empty when there are none.

    Any text is fine. Raises `ValueError` when there are not as many of one as of the other, or more than `BATCH`.
    """
    if len(texts) != len(facts) or len(texts) > BATCH:
        raise ValueError(f"{len(texts)} texts and {len(facts)} sequences of facts, at most {BATCH}")
    parts, cut = [], []
    for text in texts:
        part = _bytes_of(text)
        cut.append(is_cut(text, part))
        parts.append(part[:MAX_TEXT_BYTES])
    data = b" ".join([*parts, b""])
    raw = np.frombuffer(data, dtype=np.uint8)
    sizes = np.fromiter((len(part) + 1 for part in parts), dtype=np.int64, count=len(parts))
    begins = np.cumsum(sizes) - sizes
    seen = _SEEN[raw]
    inside = np.concatenate((np.array([False]), _IS_WORD[raw], np.array([False])))
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    starts, ends = edges[0::2], edges[1::2]
    owner = np.searchsorted(begins, starts, side="right") - 1
    held = tuple(tuple(dict.fromkeys(one))[:MAX_FACTS] for one in facts)
    found = [*_words(seen, begins, starts, ends, owner), _letters(seen, starts, ends, owner), _facts(held)]
    pairs, letters, facts_at = np.cumsum([len(doc) for doc, _, _ in found[:3]]).tolist()
    grams = Grams(*(np.concatenate(column) for column in zip(*found, strict=True)))
    return Batch(data, starts, ends, held, tuple(cut), grams, pairs, letters, facts_at)


def is_cut(text: str, part: bytes | None = None) -> bool:
    """Return whether only the beginning of a text is looked at; `part` is what was made of it, where the caller has it."""
    return len(text) > MAX_TEXT_BYTES or len(_bytes_of(text) if part is None else part) > MAX_TEXT_BYTES


def _bytes_of(text: str) -> bytes:
    return text[:MAX_TEXT_BYTES].lower().encode("utf-8", errors="replace")


_Columns = tuple[Ints, Ints, Ints]


def _words(seen: Bytes, begins: Ints, starts: Ints, ends: Ints, owner: Ints) -> list[_Columns]:
    """Return single words and pairs of neighbours in the same text."""
    powers, inverses = _powers()
    place = np.arange(len(seen), dtype=np.int64)
    if len(begins):
        place -= np.repeat(begins, np.diff(np.append(begins, len(seen))))
    sums = np.zeros(len(seen) + 1, dtype=np.uint64)
    np.cumsum((seen.astype(np.uint64) + _U(1)) * powers[place], out=sums[1:])
    hashes = (sums[ends] - sums[starts]) * inverses[place[starts]]
    number = np.arange(len(starts), dtype=np.int64)
    pairs = np.flatnonzero(owner[1:] == owner[:-1])
    both = hashes[pairs] * _SALT_PAIR + hashes[pairs + 1] * _SALT_SECOND
    return [
        (owner, _bucket(hashes ^ _SALT_WORD, WORDS), number),
        (owner[pairs], _bucket(both, WORDS), pairs),
    ]


def _letters(seen: Bytes, starts: Ints, ends: Ints, owner: Ints) -> _Columns:
    """Return runs of bytes within words. The words stand in a row of their own, each with one blank before and after it."""
    sizes = ends - starts
    word = np.repeat(np.arange(len(starts), dtype=np.int64), sizes)
    at = np.arange(len(word), dtype=np.int64) + word + 1
    row = np.full(len(word) + len(starts) + 1, _BLANK, dtype=np.uint64)
    if len(word):
        shift = starts - (np.cumsum(sizes) - sizes)
        row[at] = seen[np.arange(len(word), dtype=np.int64) + np.repeat(shift, sizes)]
    blanks = np.cumsum(row == _U(_BLANK))
    whose = np.empty(len(row), dtype=np.int64)
    whose[at] = word
    found: list[tuple[Ints, Hashes]] = []
    packed = row[:-1] | row[1:] << _U(8) if len(row) > 1 else row
    for size in LETTERS:
        count = len(row) - size + 1
        if count <= 0:
            break
        packed = packed[:count] | row[size - 1 :] << _U(8 * (size - 1))
        # No blank inside: it may stand first or last only.
        whole = np.flatnonzero(blanks[size - 2 : size - 2 + count] == blanks[:count])
        found.append((whose[whole + 1], packed[whole] * _SALT_SECOND + _U(size)))
    if not found:
        none = np.empty(0, dtype=np.int64)
        return none, none, none
    of = np.concatenate([words for words, _ in found])
    hashes = np.concatenate([values for _, values in found])
    return owner[of], _bucket(hashes ^ _SALT_LETTERS, CHARS), of


def _facts(held: Sequence[Sequence[str]]) -> _Columns:
    count = sum(map(len, held))
    doc = np.fromiter((at for at, one in enumerate(held) for _ in one), dtype=np.int64, count=count)
    bucket = np.fromiter((_fact(fact) for one in held for fact in one), dtype=np.int64, count=count)
    place = np.fromiter((at for one in held for at in range(len(one))), dtype=np.int64, count=count)
    return doc, bucket, place


@lru_cache(maxsize=_FACT_MEMORY)
def _fact(fact: str) -> int:
    digest = hashlib.blake2b(fact.encode("utf-8", errors="replace"), digest_size=8).digest()
    block = FACT_PAIRS if PAIR in fact else FACTS
    return STARTS[block] + (int.from_bytes(digest, "big") >> (64 - BITS[block]))


def _bucket(hashes: Hashes, block: int) -> Ints:
    mixed = hashes ^ (hashes >> _U(33))
    mixed *= _MIX_1
    mixed ^= mixed >> _U(33)
    mixed *= _MIX_2
    mixed >>= _U(64 - BITS[block])
    return mixed.astype(np.int64) + STARTS[block]


@cache
def _powers() -> tuple[Hashes, Hashes]:
    """Return the powers of the base and of its inverse modulo 2^64, up to the longest text with its blank."""
    size = MAX_TEXT_BYTES + 1
    made = []
    for base in (_BASE, _INVERSE):
        steps = np.full(size, base, dtype=np.uint64)
        steps[0] = 1
        made.append(np.cumprod(steps, dtype=np.uint64))
    return made[0], made[1]
