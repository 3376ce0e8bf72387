"""A text as it is read before anything is looked for in it: look-alikes made plain, and what cannot be trusted refused.

Whoever hides a name writes it so that a reader sees it and a rule does not: other alphabets, invisible characters, letters
with blanks between. What has one plain meaning gets it (full-width digits, no-break spaces, zero-width characters); everything
else is a reason not to send the text at all.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from vigimesh.domain.language import TELLING_WORDS, counts

#: Characters of one text: the narrative that an event carries by itself is 64 KiB at most.
MAX_CHARACTERS = 65_536
#: Letters from which a text without small or without capital letters hides its names.
_TELLING_LETTERS = 60

#: Shown as nothing, and taken out: soft hyphen, joiners, word joiner, byte order mark, variation selectors.
_INVISIBLE = frozenset("\u00ad\u034f\u180e\u200b\u200c\u200d\u2060\u2061\u2062\u2063\u2064\ufeff") | {
    chr(code) for code in range(0xFE00, 0xFE10)
}
#: Compatibility forms with one plain meaning (Unicode Standard Annex 15); superscripts and fractions keep theirs: 10⁹ is not 109.
_PLAIN_FORMS = ("<wide>", "<narrow>", "<font>", "<circle>", "<compat>", "<square>", "<noBreak>", "<small>")
_PUNCTUATION = str.maketrans(
    dict.fromkeys("\u2018\u2019\u02bc`", "'")
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-")
    | {"\uff0e": "."}
)

#: Greek that medicine writes: single letters by themselves, at an abbreviation (interferon gamma), and micro before a unit.
_GREEK = "αβγδεκλμχωΔΩ"
_GREEK_ABBREVIATION = re.compile(
    rf"(?:[{_GREEK}](?:-?(?:GT|HCG|hCG|lactam|block\w{{1,6}}|agonist\w?|[0-9]{{1,3}}))?|(?:IFN|TNF|IL|TGF|PPAR|GABA|ER|HIF)[A-Z0-9]{{0,2}}-?[{_GREEK}]"
    r"|μ(?:g|l|L|m|M|mol|s|U|IU|Gy|Sv|V|A|kat))"
)
_WORD = re.compile(r"\w{1,200}")
_SPACED = re.compile(r"(?<!\w)(?:[^\W\d_][ .\-_*]{1,2}){4}[^\W\d_](?!\w)")
_SUPERSCRIPTS = re.compile(r"[²³¹⁰-₎]{4}")


class Unreadable(Exception):
    """A text is not understood well enough to say that nothing personal is left in it; `str()` says why."""


def plain(text: str) -> str:
    """Return `text` with look-alikes made plain and invisible characters taken out.

    Raises `Unreadable` for a text that is too long, not decoded, written in other alphabets than Latin, in mixed ones, with
    characters that change the direction of reading, or in a way that hides where names are.
    """
    if len(text) > MAX_CHARACTERS:
        raise Unreadable(f"it has {len(text)} characters, more than {MAX_CHARACTERS}")
    made = text if text.isascii() else "".join(map(_plain_character, unicodedata.normalize("NFC", text)))
    made = unicodedata.normalize("NFC", made).translate(_PUNCTUATION)
    for character in set(made):
        if character < " " and character not in "\t\n\r":
            raise Unreadable("it holds control characters")
    if not made.isascii():
        _refuse_mixed(made)
    if _SPACED.search(made) or _SUPERSCRIPTS.search(made):
        raise Unreadable("it is spelled in single letters or raised digits")
    _refuse_caseless(made)
    _refuse_other_languages(made)
    return made


@lru_cache(maxsize=4_096)
def _plain_character(character: str) -> str:
    if character.isascii():
        return character
    if character in _INVISIBLE:
        return ""
    category = unicodedata.category(character)
    if character == "\ufffd" or category in ("Cs", "Co", "Cn"):
        raise Unreadable("it holds characters that were not decoded")
    if category in ("Cf", "Cc"):
        raise Unreadable("it holds characters that change how it is read")
    if category == "Nd":
        return str(unicodedata.decimal(character))
    form = unicodedata.decomposition(character)
    if form.startswith(_PLAIN_FORMS):
        return unicodedata.normalize("NFKC", character)
    if category == "So" and "LATIN" in unicodedata.name(character, ""):
        raise Unreadable("it is written in letters that are pictures")
    return " " if category in ("Zl", "Zp", "Zs") else character


def _refuse_mixed(text: str) -> None:
    for found in _WORD.finditer(text):
        word = found.group()
        if word.isascii():
            continue
        scripts = {_script(letter) for letter in word if letter.isalpha()}
        if scripts <= {"LATIN"}:
            continue
        if scripts <= {"LATIN", "GREEK"} and _GREEK_ABBREVIATION.fullmatch(word):
            continue
        raise Unreadable("it is written in more alphabets than Latin")
    if re.search(r"[\u0300-\u036f]", text):
        raise Unreadable("it has accents that belong to no letter")


@lru_cache(maxsize=4_096)
def _script(letter: str) -> str:
    """Return the first word of a letter's name in the Unicode database, which is its alphabet; the ordinal signs are Latin."""
    if letter in "ªº":
        return "LATIN"
    name = unicodedata.name(letter, "")
    return "GREEK" if letter == "µ" else name.partition(" ")[0]


def _refuse_caseless(text: str) -> None:
    """Refuse a text in which capitals do not tell names from words: all capitals, or none."""
    letters = sum(map(str.isalpha, text))
    if letters < _TELLING_LETTERS:
        return
    capitals = sum(map(str.isupper, text))
    if capitals * 2 > letters:
        raise Unreadable("it is written in capitals, which hide its names")
    if capitals == 0:
        raise Unreadable("it is written without capitals, which hides its names")


def _refuse_other_languages(text: str) -> None:
    """Refuse a text with more function words of another language than of English: its names have other neighbours."""
    found = counts(text)
    foreign, english = found.foreign, found.english
    if found.words >= TELLING_WORDS and (foreign > english or (foreign > 3 and foreign * 3 > english)):
        raise Unreadable("it is not in English")
