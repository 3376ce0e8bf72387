"""Seriousness as a text tells it: each criterion with its place, and how it is meant.

A form's tick comes first; this reads what the form left out. It can raise a grade and never lowers one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from vigimesh.domain.language import is_foreign
from vigimesh.domain.safety.context import Polarity, polarity
from vigimesh.domain.safety.seriousness_terms import (
    ANY_TERM,
    STOCK_BEFORE,
    TERMS_BY_LETTER,
    VACCINE_FOLLOWS,
    Term,
)

#: Words judged in one text. A narrative of 8 MiB that tells of ten thousand of them is not read by rule any further:
#: what is left is ambiguous, so that a person reads it. Bounds the time to about a second.
MAX_JUDGED = 10_000
#: Hits kept per criterion and meaning: enough for a reviewer, and an event stays small.
MAX_KEPT = 4
#: Characters of a quote (Finding.quotes), the word included.
QUOTE_CHARACTERS = 120
#: Characters of context on each side of the word in a quote.
_MARGIN = 40
#: Characters looked at before "expired" for the name of a product.
_STOCK_WINDOW = 60
#: Distinct reaction terms remembered: a year of VAERS has fewer than 3,000.
_TERM_MEMORY = 8_192
#: A word of ours that is the article of every German sentence: in a foreign text it tells of no death for certain.
_ARTICLE = "die"

_WORD_START = re.compile(r"(?<![a-z])[a-z]")
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A place in a text that tells of a criterion. `start` and `end` are characters of that text."""

    criterion: str
    polarity: Polarity
    start: int
    end: int
    quote: str

    @property
    def place(self) -> str:
        """The place as `Finding.quotes` has it: `start-end:text`."""
        return f"{self.start}-{self.end}:{self.quote}"


def lowered(text: str) -> str:
    """Return `text` in lower case with every character at its place, also where a capital has a longer lower case."""
    low = text.lower()
    return low if len(low) == len(text) else text.translate(_ASCII_LOWER)


def read_text(text: str) -> tuple[Hit, ...]:
    """Return what `text` tells of seriousness, in the order of the text; any text is fine, also an empty one."""
    low = lowered(text)
    article = _ARTICLE in low and is_foreign(low)
    kept: dict[tuple[str, Polarity], int] = {}
    hits: list[Hit] = []
    judged = 0
    for found in ANY_TERM.finditer(low):
        start = found.start()
        term, end = _term_at(low, start)
        if term is None or _is_product(low, start, end, term):
            continue
        if term.unsure:
            term, start, end = _surer(low, start, end, term)
        judged += 1
        if judged > MAX_JUDGED:
            hits.append(_hit(text, (term.criterion, "ambiguous"), start, end))
            break
        if kept.get((term.criterion, "stated"), 0) >= MAX_KEPT:
            continue
        meant = _meant(low, start, end, term)
        key = (term.criterion, "ambiguous" if article and low[start:end] == _ARTICLE else meant)
        kept[key] = kept.get(key, 0) + 1
        if kept[key] <= MAX_KEPT:
            hits.append(_hit(text, key, start, end))
    return tuple(hits)


@lru_cache(maxsize=_TERM_MEMORY)
def read_term(term: str) -> tuple[Hit, ...]:
    """Return what a coded term's name tells ("Death", "Convulsion"): the same rules, remembered."""
    return read_text(term)


def stated(hits: Iterable[Hit]) -> tuple[str, ...]:
    """Return the criteria that are stated, each once, in the order of the text."""
    return tuple(dict.fromkeys(hit.criterion for hit in hits if hit.polarity == "stated"))


def ambiguous(hits: Iterable[Hit]) -> tuple[str, ...]:
    """Return the criteria that are told of but not clearly, each once."""
    return tuple(dict.fromkeys(hit.criterion for hit in hits if hit.polarity == "ambiguous"))


def _term_at(low: str, start: int) -> tuple[Term | None, int]:
    for term in TERMS_BY_LETTER.get(low[start], ()):
        found = term.pattern.match(low, start)
        if found is not None:
            return term, found.end()
    return None, start


def _surer(low: str, start: int, end: int, unsure: Term) -> tuple[Term, int, int]:
    """Return the sure way of telling that begins inside an unsure one ("pt adm to hosp x 3 days"), else the unsure one."""
    for word in _WORD_START.finditer(low, start + 1, end):
        term, after = _term_at(low, word.start())
        if term is not None and not term.unsure and term.criterion == unsure.criterion:
            return term, word.start(), after
    return unsure, start, end


def _is_product(low: str, start: int, end: int, term: Term) -> bool:
    """Tell whether the words name a vaccine ("meningitis vaccine") or old stock ("the vaccine had expired")."""
    if term.product:
        return VACCINE_FOLLOWS.match(low[end : end + _STOCK_WINDOW]) is not None
    if term.criterion == "death" and low.startswith("expired", start):
        return STOCK_BEFORE.search(low[max(0, start - _STOCK_WINDOW) : start]) is not None
    return False


def _meant(low: str, start: int, end: int, term: Term) -> Polarity:
    if term.inert:
        return "stated"
    if low.startswith(("non-fatal", "nonfatal"), start):
        return "negated"
    meant = polarity(low, start, end, verb=term.verb)
    if meant == "stated" and term.unsure:
        return "ambiguous"
    # Nobody has a history of their own death: the cue belongs to something else, or to somebody else.
    return "ambiguous" if meant == "history" and term.criterion == "death" else meant


def _hit(text: str, key: tuple[str, Polarity], start: int, end: int) -> Hit:
    left = max(0, start - _MARGIN)
    quote = text[left : min(len(text), end + _MARGIN)][:QUOTE_CHARACTERS]
    return Hit(criterion=key[0], polarity=key[1], start=start, end=end, quote=quote)
