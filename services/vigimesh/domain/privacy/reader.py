"""The words of a plain text with what stands between them, and whether each can be part of a name. No rule about persons."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vigimesh.domain.privacy.identifiers import Span
from vigimesh.domain.privacy.words import (
    CALENDAR,
    CLINICAL_NEXT,
    COMMON,
    COUNTRIES,
    EPONYMS,
    GIVEN,
    LETTERED,
    MEDICAL,
    PARTICLES,
    PRODUCT_ENDINGS,
    PRODUCTS,
    ROLES,
    SUFFIXES,
    TITLES,
)

#: Words of one name, particles and initials with it.
MAX_WORDS = 6
_TOKEN = re.compile(r"[^\W\d_]\w{0,60}(?:['-][^\W\d_]\w{0,39}){0,4}")
_SENTENCE = re.compile(r"[.!?;:\n\"•*|>]|(?:^|\s)[-\u2014](?:\s|$)")
_CLOSE = re.compile(r"[ \t]{1,3}|[.]?-|\. ?| ?\n|, ")
#: Before a single capital that is a unit: 45 U/L, 39.2 C.
_UNIT = re.compile(r"\d ?$|[/^%-]$")


@dataclass(frozen=True, slots=True)
class Word:
    """One word, with what stands between it and the one before."""

    start: int
    end: int
    text: str
    low: str
    gap: str

    @property
    def capital(self) -> bool:
        """Whether it begins with a capital."""
        return self.text[0].isupper()

    @property
    def initial(self) -> bool:
        """Whether it is a single capital."""
        return len(self.text) == 1 and self.capital

    @property
    def begins(self) -> bool:
        """Whether a sentence, a line or a list begins here."""
        return self.start == 0 or _SENTENCE.search(self.gap) is not None


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the words of one text; `products` are names that stay, in small letters."""

    text: str
    words: tuple[Word, ...]
    products: frozenset[str]
    #: Words that the text has in small letters.
    small: frozenset[str]

    def known(self, word: Word) -> bool:
        """Return whether a word is explained: ordinary, medical, a country, a date, a product."""
        low = word.low.removesuffix("'s").rstrip("'")
        if self._listed(low) or self._listed(word.low):
            return True
        first, *others = word.text.removesuffix("'s").split("-")
        if others and len(first) <= 2 and all(map(str.islower, others)):
            return True  # X-ray, D-dimer
        return bool(others) and all(self._listed(part) or len(part) < 2 for part in low.split("-"))

    def _listed(self, low: str) -> bool:
        return (
            low in COMMON or low in MEDICAL or low in CALENDAR or low in COUNTRIES or self.product(low)
            or low in ROLES or low in TITLES
        )  # fmt: skip

    def product(self, low: str) -> bool:
        """Return whether a word is the name of a product, given or by its ending."""
        return low in self.products or low in PRODUCTS or (len(low) > 6 and low.endswith(PRODUCT_ENDINGS))

    def nameable(self, at: int, *, strict: bool = False) -> bool:
        """Return whether the word at `at` can be part of a name.

        `strict`: behind a title, where an ordinary word can, too.
        """
        word = self.words[at]
        if not word.capital or (word.low in self.products or word.low in PRODUCTS):
            return False
        if (word.initial and self._letter(at)) or self.dated(at):
            return False
        if word.initial or word.low.removesuffix("'s") in GIVEN:
            return not (word.low in {"a", "i"} and self._lower_follows(at))
        if strict:
            return not self.dated(at) and word.low not in {"he", "she", "it", "the", "they", "patient", "pt"}
        if all(part in EPONYMS for part in word.low.removesuffix("'s").split("-")):
            return not self._disease(at)
        return not self.known(word)

    def _letter(self, at: int) -> bool:
        """Return whether a single capital is a unit or a kind of something: 45 U/L, hepatitis B."""
        return _UNIT.search(self.words[at].gap) is not None or (at > 0 and self.words[at - 1].low in LETTERED)

    def _disease(self, at: int) -> bool:
        """Return whether eponyms from `at` on end in the word for a disease: "Wolff Parkinson White syndrome"."""
        for word in self.words[at + 1 : at + 4]:
            if word.low in CLINICAL_NEXT:
                return True
            if word.low.removesuffix("'s") not in EPONYMS:
                return False
        return False

    def dated(self, at: int) -> bool:
        """Return whether the word at `at` is the month of a date."""
        word = self.words[at]
        return (
            word.low in CALENDAR and re.match(r"[.,-]? ?'?\d", self.text[word.end : word.end + 3]) is not None
        )

    def _lower_follows(self, at: int) -> bool:
        return (
            at + 1 < len(self.words)
            and not self.words[at + 1].capital
            and not self.words[at + 1].gap.startswith(".")
        )

    def run(self, at: int, *, strict: bool = False) -> int:
        """Return the index behind the name that begins at word `at`, whose own first word is taken as given."""
        index = at + 1
        while index < len(self.words) and index - at < MAX_WORDS and self.joined(index):
            if self.nameable(index, strict=strict) or self.words[index].low in SUFFIXES:
                index += 1
            elif self._particle(index):
                index += 2 if self.words[index + 1].capital else 3
            else:
                break
        return min(index, len(self.words))

    def joined(self, index: int) -> bool:
        """Return whether the word at `index` stands so close to the one before that both can be one name."""
        word, before = self.words[index], self.words[index - 1]
        if not _CLOSE.fullmatch(word.gap):
            return False
        if word.gap == ", ":
            return word.low in SUFFIXES
        return not word.gap.startswith(".") or before.initial or before.low in TITLES or len(before.text) == 2

    def _particle(self, index: int) -> bool:
        if self.words[index].low not in PARTICLES:
            return False
        for beyond in (index + 1, index + 2):
            if beyond >= len(self.words) or self.words[beyond].gap not in (" ", "-"):
                return False
            if self.words[beyond].capital:
                return self.nameable(beyond) and self.words[index].low not in {"y", "e"}
            if self.words[beyond].low not in PARTICLES:
                return False
        return False

    def span(self, first: int, behind: int, *, sure: bool = True) -> Span:
        """Return the place of words `first` to `behind`, without a genitive."""
        last = self.words[behind - 1]
        while (
            first
            and self.words[first - 1].low in PARTICLES - {"y", "e", "st"}
            and self.words[first].gap == " "
        ):
            first -= 1
        end = last.end - 2 if last.text.endswith("'s") else last.end
        return Span(self.words[first].start, end, "PERSON", sure)


def reader_of(text: str, products: frozenset[str]) -> Reader:
    """Return the words of a plain text; `products` are names that stay, in small letters."""
    words, end = list[Word](), 0
    for found in _TOKEN.finditer(text):
        words.append(
            Word(found.start(), found.end(), found.group(), found.group().lower(), text[end : found.start()])
        )
        end = found.end()
    return Reader(text, tuple(words), products, frozenset(one.text for one in words if one.text.islower()))
