"""How a question is put to the documents: its words, and whose documents may answer it. Pure, shared by all adapters.

A question reads `PRODUCT REACTION` or is free text. When it *begins* with a name or alias of a document, only that
document answers: what is known of one product is never shown for another. A name followed by `+`, `/`, `&`, `and` or
`with` is part of a combination that the document does not speak of, and does not count. Otherwise only documents that speak
of no product answer, and those whose distinctive *name* the question has somewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from vigimesh.domain.knowledge.chunks import Document
from vigimesh.events.ids import ID_DIGITS, digest

#: Longest question in characters that is looked at; the planner writes at most 200.
QUESTION_CHARACTERS = 400
#: Questions whose key is remembered: as many as answers are kept in memory.
_KEYS = 4_096
#: Words of a question that are looked for; a title seldom has 30.
MAX_WORDS = 32
#: Documents whose names one question may have; three products in one title are rare.
MAX_NAMED = 4
#: Longest name in words that is looked for.
NAME_WORDS = 8

_TOKEN = re.compile(r"[^\W_]+|[+/&]")
_JOINERS = {"+": "plus", "/": "plus", "&": "plus", "and": "plus", "with": "plus"}
_PLUS = "plus"
_SIGNS = frozenset("+/&")
#: Characters of a word that are kept: an index word of PostgreSQL holds at most 2,046 bytes, a real one 30.
WORD_CHARACTERS = 64
#: Words that say nothing about what a passage is about.
_STOP = frozenset(
    "a an and are as at be by for from has have in is it its of on or plus that the their this to was were which with".split()
)
_UNITS = frozenset("mg g kg mcg ug ml l iu units microgram micrograms percent".split())
_PARENTHESES = re.compile(r"\s*\([^()]*\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which documents answer which name, built once per state of the document set."""

    starts: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    anywhere: Mapping[tuple[str, ...], str] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[tuple[str, Iterable[str], Iterable[str]]]) -> Scope:
        """Return the scope of (document id, names, aliases); of two documents with one name the first by id has it."""
        starts: dict[tuple[str, ...], str] = {}
        anywhere: dict[tuple[str, ...], str] = {}
        for document_id, names, aliases in sorted(rows, key=lambda row: row[0]):
            for name in names:
                anywhere.setdefault(_name_key(name), document_id)
                starts.setdefault(_name_key(name), document_id)
            for alias in aliases:
                starts.setdefault(_name_key(alias), document_id)
        starts.pop((), None)
        anywhere.pop((), None)
        return cls(starts=starts, anywhere=anywhere)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question as the index understands it.

    `only` is the one document that may answer, or empty; then `named` are documents besides the general ones.
    `words` are looked for singly, `phrase` as they stand.
    """

    only: str
    named: tuple[str, ...]
    words: tuple[str, ...]
    phrase: tuple[str, ...]


def normal(question: str) -> str:
    """Return the form under which two questions are the same: case and white space do not count."""
    return " ".join(question[:QUESTION_CHARACTERS].casefold().split())


@lru_cache(maxsize=_KEYS)
def key(question: str) -> str:
    """Return the question's key (32 hexadecimal digits); its scope is part of its text."""
    return digest(normal(question).encode())[:ID_DIGITS]


def words(text: str) -> list[str]:
    """Return the words of `text` that are indexed, in order: lower case, no stop words, plural endings folded."""
    return [_folded(token[:WORD_CHARACTERS]) for token in _tokens(text) if token not in _STOP | _SIGNS]


def index_words(document: Document, section: str, text: str) -> list[str]:
    """Return the words under which a passage is found: its document's title, its headings, itself."""
    headings = section if section.startswith(document.title) else f"{document.title} {section}"
    return words(headings) + words(text)


def understand(question: str, scope: Scope) -> Query:
    """Return how `question` is looked up; the same for every adapter."""
    text = normal(question)
    found, rest = _leading_name(text, scope)
    asked = words(rest)[:MAX_WORDS] if found else words(text)[:MAX_WORDS]
    named = () if found else _named(text, scope)
    return Query(only=found, named=named, words=tuple(dict.fromkeys(asked)), phrase=tuple(asked))


def _leading_name(text: str, scope: Scope) -> tuple[str, str]:
    """Return (document, rest of the question) for the longest name that the question begins with."""
    places = list(_TOKEN.finditer(text))
    tokens = [_joined(place.group()) for place in places]
    for length in range(min(NAME_WORDS, len(tokens)), 0, -1):
        found = scope.starts.get(tuple(tokens[:length]))
        if not found:
            continue
        rest = _without_brackets(text[places[length - 1].end() :])
        follower = _TOKEN.match(rest.lstrip())
        if not follower or _joined(follower.group()) != _PLUS:
            return found, _without_strength(rest)
    return "", text


def _without_brackets(rest: str) -> str:
    """Drop the brackets behind a product's name: brand, season, "no brand name"."""
    rest = rest.removeprefix(")")
    while bracket := _PARENTHESES.match(rest):
        rest = rest[bracket.end() :]
    return rest


def _without_strength(rest: str) -> str:
    """Drop the strength behind a product's name: `10 mg`."""
    tokens = _tokens(rest)
    while tokens and (tokens[0] in _UNITS or tokens[0].rstrip("mg").isdecimal()):
        tokens = tokens[1:]
    return " ".join(tokens)


def _named(text: str, scope: Scope) -> tuple[str, ...]:
    tokens = _TOKEN.findall(_PARENTHESES.sub(" ", text))
    found: dict[str, None] = {}
    for at in range(len(tokens)):
        for length in range(1, min(NAME_WORDS, len(tokens) - at) + 1):
            document = scope.anywhere.get(tuple(_joined(token) for token in tokens[at : at + length]))
            beside = (*tokens[max(0, at - 1) : at], *tokens[at + length : at + length + 1])
            if document and not _SIGNS.intersection(beside):
                found[document] = None
    return tuple(found)[:MAX_NAMED]


def _name_key(name: str) -> tuple[str, ...]:
    return tuple(_joined(token) for token in _tokens(name))[:NAME_WORDS]


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text.casefold())


def _joined(token: str) -> str:
    return _JOINERS.get(token, token)


def _folded(word: str) -> str:
    """Fold an English plural: `tablets` and `tablet` are one word; short words and `-ss`, `-is`, `-us` stay."""
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "is", "us")):
        return word[:-1]
    return word
