"""The form under which two spellings, endings or names of one thing are the same: stems of words, and what phrases mean."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from vigimesh.domain.safety.medical_words import SAME

#: Distinct words remembered; a year of VAERS and the labels of a hundred products have fewer than 30,000.
_MEMORY = 32_768
#: A word is a run of letters, or of digits.
WORD = re.compile(r"[^\W\d_]+|\d+")

_BRITISH = (
    ("ooe", "oe"), ("ae", "e"), ("oe", "e"), ("tumour", "tumor"), ("behaviour", "behavior"), ("colour", "color"),
    ("odour", "odor"), ("isation", "ization"), ("ised", "ized"), ("ising", "izing"), ("yse", "yze"), ("sulph", "sulf"),
    ("leuco", "leuko"), ("licence", "license"), ("fibre", "fiber"), ("titre", "titer"), ("centre", "center"),
)  # fmt: skip
#: Endings and what is left instead, longest first; each asks for four letters to be left, a plural s for three.
_ENDINGS = (
    ("ations", "at"), ("ation", "at"), ("ating", "at"), ("ated", "at"), ("ical", ""), ("ions", ""), ("ing", ""),
    ("ion", ""), ("ies", "y"), ("oses", "osis"), ("eses", "esis"), ("yses", "ysis"),
    ("tases", "tasis"), ("ed", ""), ("ia", ""), ("ic", ""), ("al", ""), ("es", "e"), ("s", ""),
)  # fmt: skip
_STEM_LETTERS = 4


@lru_cache(maxsize=_MEMORY)
def stem(word: str) -> str:
    """Return the form under which spellings and endings of a lower-case word are one: "haematomas", "hematoma"."""
    for british, american in _BRITISH:
        word = word.replace(british, american)
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) + len(instead) >= _STEM_LETTERS - (
            ending == "s"
        ):
            if ending == "s" and word.endswith(("ss", "us", "is")):
                return word
            word = word[: -len(ending)] + instead
            break
    return word[:-1] if word.endswith("e") and len(word) > _STEM_LETTERS else word


def stems(text: str) -> tuple[str, ...]:
    """Return the stems of the words of `text`."""
    return tuple(stem(word) for word in WORD.findall(text.lower()))


def _table() -> Mapping[tuple[str, ...], tuple[str, ...]]:
    """Map each way of saying a thing to the one that stands for it, in stems."""
    table: dict[tuple[str, ...], tuple[str, ...]] = {}
    for line in SAME.strip().splitlines():
        one, _, others = line.partition(":")
        for other in others.split(","):
            table[stems(other)] = stems(one)
    return MappingProxyType(table)


def _closed(table: Mapping[tuple[str, ...], tuple[str, ...]]) -> Mapping[tuple[str, ...], tuple[str, ...]]:
    """Write each meaning in the words that stand for its own words ("reflux disease" -> "reflux disorder")."""
    return {
        said: tuple(
            part
            for word in meaning
            for part in (table.get((word,), (word,)) if len(meaning) > 1 else (word,))
        )
        for said, meaning in table.items()
    }


_MEANINGS = _closed(_table())
_BY_FIRST: Mapping[str, tuple[tuple[str, ...], ...]] = MappingProxyType(
    {
        first: tuple(sorted((words for words in _MEANINGS if words[0] == first), key=len, reverse=True))
        for first in {words[0] for words in _MEANINGS}
    }
)
#: Times a replacement is looked up again: "thromboembolic" -> "embolism"; two lines never make a circle longer.
_ROUNDS = 3


def concepts(words: Sequence[str]) -> tuple[tuple[str, int, int], ...]:
    """Return what a run of stems means: (concept, first word, word after the last), the longest phrase first."""
    found = tuple((word, place, place + 1) for place, word in enumerate(words))
    for _ in range(_ROUNDS):
        after = tuple(_replaced(found))
        if after == found:
            break
        found = after
    return found


def _replaced(found: Sequence[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    made: list[tuple[str, int, int]] = []
    place = 0
    while place < len(found):
        for phrase in _BY_FIRST.get(found[place][0], ()):
            part = found[place : place + len(phrase)]
            if tuple(word for word, _, _ in part) == phrase and not _stands(found, place, _MEANINGS[phrase]):
                made += [(word, part[0][1], part[-1][2]) for word in _MEANINGS[phrase]]
                place += len(phrase)
                break
        else:
            made.append(found[place])
            place += 1
    return made


def _stands(found: Sequence[tuple[str, int, int]], place: int, meaning: tuple[str, ...]) -> bool:
    """Tell whether the whole meaning stands there already: "angina" before "pectoris"."""
    return tuple(word for word, _, _ in found[place : place + len(meaning)]) == meaning
