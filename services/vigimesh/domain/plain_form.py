"""A text as its reader sees it: what is not seen made visible or taken out, look-alikes made plain; and whether it hides anything. Pure.

Unlike `privacy.plain_text`, which refuses what it does not understand before a text leaves, this refuses nothing: it is for what is scored and
looked through inside. Whoever hides words is found out, and the words are read all the same.
"""

from __future__ import annotations

import re
import unicodedata

#: Letters of other alphabets that are drawn like Latin ones (confusables of Unicode Technical Standard 39, single letters alone):
#: Cyrillic, Greek, Armenian, then a few of Latin script itself.
_LOOKALIKES = str.maketrans(
    "\u0410\u0412\u0415\u0405\u0417\u0406\u0408\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425"
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0455\u0456\u0458\u0501\u04bb\u051b\u051d\u04cf\u0475"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf\u03b1"
    "\u03bd\u03c1\u03c5\u03b9"
    "\u0585\u057d\u0578\u0581\u0570\u0531\u0555\u054f"
    "\u2113\u0131\u0237\u0261\u0251",
    "ABES3IJKMHOPCTYXaeopcyxsijdhqwlvABEZHIKMNOPTYXoavpuiouoghUOSlijga",
)
#: Tag characters repeat ASCII, unseen, this far above it (Unicode Standard, 23.9).
_TAGS = range(0xE0020, 0xE007F)
_TAG_OFFSET = 0xE0000
#: Five single letters or more with a sign or two between.
_SPACED = re.compile(r"(?<!\w)(?:[^\W\d_][ .\-_*]{1,2}){4}[^\W\d_](?!\w)")
#: A word of letters in Latin script beside those of another; Greek is written at an abbreviation (`safety.legible`).
_WORD = re.compile(r"[^\W\d_]{2,100}")
#: Categories of what is not seen: format, private use, unassigned, half a pair.
_UNSEEN = frozenset({"Cf", "Co", "Cn", "Cs"})
#: Selectors of a form of the letter before, and the joiner of marks: unseen, and of the category of accents.
_SELECTORS = frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0), 0x034F)))


def shown(text: str) -> str:
    """Return `text` with compatibility forms, look-alikes and tag characters as plain letters, without what is not seen; ASCII as it is."""
    if text.isascii():
        return text
    made = unicodedata.normalize("NFKC", "".join(map(_seen, text))).translate(_LOOKALIKES)
    return "".join(letter for letter in made if unicodedata.category(letter) != "Mn")


def hides(text: str) -> bool:
    """Return whether words in `text` are written so that a rule would pass over them.

    Unseen characters, letters that are pictures or of several alphabets in one word, letters one by one.
    """
    if _SPACED.search(shown(text)):
        return True
    if text.isascii():
        return False
    body = text.removeprefix("\ufeff")
    return any(map(_is_hidden, set(body) - _ASCII)) or any(map(_is_mixed, _WORD.findall(body)))


_ASCII = frozenset(map(chr, range(128)))


def _seen(character: str) -> str:
    if ord(character) in _TAGS:
        return chr(ord(character) - _TAG_OFFSET)
    unseen = unicodedata.category(character) in _UNSEEN or character in _SELECTORS
    return "" if unseen else _letter_of(character)


def _letter_of(character: str) -> str:
    """Return the letter that a picture shows (a regional indicator, a squared letter), else the character."""
    if unicodedata.category(character) != "So":
        return character
    name = unicodedata.name(character, "")
    last = name.rpartition(" ")[2]
    is_letter = "LETTER" in name and ("LATIN" in name or "REGIONAL" in name) and len(last) == 1
    return last.lower() if is_letter else character


def _is_hidden(character: str) -> bool:
    picture = unicodedata.category(character) == "So" and _letter_of(character) != character
    # Mathematical and full-width letters have a plain form of their own, and no narrative has them.
    styled = character.isalpha() and unicodedata.decomposition(character).startswith(
        ("<font>", "<wide>", "<circle>")
    )
    return picture or styled or character in _SELECTORS or unicodedata.category(character) in _UNSEEN


def _is_mixed(word: str) -> bool:
    scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in word if not letter.isascii()}
    scripts -= {"LATIN", "GREEK", "MICRO", "FEMININE", "MASCULINE", "MODIFIER", "COMBINING"}
    return bool(scripts) and (len(scripts) > 1 or any(letter.isascii() for letter in word))
