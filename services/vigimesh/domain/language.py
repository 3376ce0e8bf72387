"""In which language a text is, as far as its function words tell: all that is read by rule here is read in English."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Words from which a text tells in which language it is.
TELLING_WORDS = 12


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


#: Words that every text of the language has, and hardly one of another.
ENGLISH = _words(
    "the and of to in was with on for her his she he that had is as at by after were patient no not from which been who it",
    "has this but all or an be are then following reported him two days",
)
FOREIGN = _words(
    "der die das und mit dem den des ein eine einer wurde ist nicht nach bei sich auf war hat wegen seit zum zur patientin",
    "le les des une est dans pour avec qui sur pas été patiente après chez aux cette elle ses traitement",
    "el los las una por con para fue que del paciente tras desde muy pero sus está presentó años después",
    "il gli della con una per è stato paziente dopo nel alla che non sono più dei anni",
    "o os uma com não foi do da paciente após ao dos pelo mais",
    "het een van met niet zijn heeft voor naar aan werd bij patiënt ook maar",
    "nie się jest przez oraz pacjent pacjentka och att som med inte hon han var det ikke til av",
)

_WORD = re.compile(r"[^\W\d_]{1,20}")
#: A letter by itself is an abbreviation as well ("c/o").
_TELLING = frozenset(word for word in FOREIGN - ENGLISH if len(word) > 1)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many words a text has, and how many of them are function words of English and of other languages alone."""

    words: int
    english: int
    foreign: int


def counts(text: str) -> Counts:
    """Return the counts of a text."""
    words = _WORD.findall(text.lower())
    english = sum(word in ENGLISH for word in words)
    return Counts(len(words), english, sum(word in FOREIGN and word not in ENGLISH for word in words))


def is_english(text: str) -> bool:
    """Return whether nothing says that a text is in another language; a short one may hold no word and no letter of another."""
    found = counts(text)
    if found.words < TELLING_WORDS:
        return found.foreign == 0 and text.isascii()
    return found.foreign <= found.english and (found.foreign <= 3 or found.foreign * 3 <= found.english)


def is_foreign(text: str) -> bool:
    """Return whether a text is in another language for certain: two different function words of others, and more of them than English ones.

    A single word of another language, and a language that is not listed, are not seen.
    """
    words = _WORD.findall(text.lower())
    foreign = [word for word in words if word in _TELLING]
    return len(set(foreign)) >= 2 and len(foreign) > sum(word in ENGLISH for word in words)
