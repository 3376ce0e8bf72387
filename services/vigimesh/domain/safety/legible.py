"""Whether our readers of a narrative can read its words. They know English in Latin letters, and look-alikes hide words."""

from __future__ import annotations

import re

from vigimesh.domain.language import is_foreign

#: Words in which a letter of another script may stand: one Greek letter at an end, as medicine writes it (TNF-alpha).
_WORD = re.compile(r"[^\W\d_]{1,100}")
#: A letter of Latin script, of the signs between letters and their accents: blocks of the Unicode standard.
_LATIN = re.compile(r"[A-Za-z\u00aa\u00b5\u00ba\u00c0-\u02ff\u0300-\u036f\u1e00-\u1eff]*")
_GREEK_END = re.compile(r"[\u0370-\u03ff]?[A-Za-z\u00c0-\u02ff]*[\u0370-\u03ff]?")
#: What is not seen and parts a word: soft hyphen, zero width, direction.
_UNSEEN = re.compile(r"(?<=\w)[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff](?=\w)")


def legible(text: str) -> bool:
    """Return whether no word of `text` is written, or hidden, in letters that our readers do not know.

    "hospital" with one Cyrillic letter in it is no such word for a rule, and a narrative in another script is none at all:
    that nothing was found there says nothing.
    """
    if text.isascii():
        return True
    if _UNSEEN.search(text):
        return False
    return all(
        word.isascii() or _LATIN.fullmatch(word) or _GREEK_END.fullmatch(word) for word in _WORD.findall(text)
    )


def readable(text: str) -> bool:
    """Return whether our readers can read `text`: its letters, and its language, as far as that can be told."""
    return legible(text) and not is_foreign(text)
