"""What a question says, facet by facet, so that two questions can be compared without trusting their similarity.

Readers of `domain.safety` read doses, quantities, ages and denials; closed tables (`question_words`) the routes, the
populations and the words that only ask. Every other word must be the same in both questions. In a *plain* question
(`question_parts`) the order of the parts and the small words do not count; in any other all words stay at their place,
since "A on B" and "B on A" differ by their order alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from vigimesh.domain.knowledge.question_parts import (
    CONTENT,
    Item,
    Kind,
    is_plain,
    objects,
    without_cues,
    words_left,
)
from vigimesh.domain.knowledge.question_words import (
    ASKING,
    ASKING_PHRASES,
    ASPECTS,
    BACKWARD,
    BOUND,
    EMPTY,
    FORWARD,
    LINKS,
    MEDICAL,
    NEGATIONS,
    PEOPLE,
    PHRASE_WORDS,
    POPULATIONS,
    ROUTES,
    WITHOUT,
)
from vigimesh.domain.knowledge.questions import NAME_WORDS, QUESTION_CHARACTERS, Scope
from vigimesh.domain.safety.ages import Age, ages
from vigimesh.domain.safety.context import polarity
from vigimesh.domain.safety.doses import Dose, doses
from vigimesh.domain.safety.legible import readable
from vigimesh.domain.safety.numerals import NUMBER, number
from vigimesh.domain.safety.quantities import Quantity, quantities
from vigimesh.domain.safety.spans import Span, apart
from vigimesh.domain.safety.text_seriousness import lowered
from vigimesh.domain.safety.unit_names import AMBIGUOUS
from vigimesh.domain.safety.units import convert
from vigimesh.domain.safety.word_forms import concepts, stem

#: The guards, in the order in which they are told.
Guard = Literal[
    "legible", "version", "drug", "strength", "unit", "schedule", "route", "number", "negation", "with_without",
    "population", "words",
]  # fmt: skip
_TOKEN = re.compile(r"[^\W_]+|[^\s\w]|_")
_ABBREVIATED = re.compile(r"\b(?:[A-Za-z]\.){2,4}(?![A-Za-z0-9])")
_SHORT_NOT = re.compile(r"\b(ca|[a-z]{2,8})n't\b", re.IGNORECASE)
_SPELLINGS = (
    (re.compile(r"[\u2018\u2019]"), "'"),
    (_ABBREVIATED, lambda found: found[0].replace(".", "") + " "),
    (_SHORT_NOT, lambda found: ("can" if found[1].lower() == "ca" else found[1]) + " not"),
    (re.compile(r"\bcannot\b", re.IGNORECASE), "can not"),
    (re.compile(r"(?<!\w)w/o\b", re.IGNORECASE), "without"),
    (re.compile(r"(?<!\w)w/(?=[\sA-Za-z])", re.IGNORECASE), "with "),
    (re.compile(r"(?<=\w)'s\b", re.IGNORECASE), ""),
)  # fmt: skip
_QUIET = frozenset(".,;:?!\"'()[]")
#: Bases in which equal is the same: mass, volume, length, concentration.
_CONVERTED = frozenset(("g", "m3", "m", "g.m-3"))
_ANNOTATION = re.compile(r"\{[^{}]*\}")
_NUMBER = re.compile(NUMBER, re.IGNORECASE)
#: Signs that a name's table writes as one word (`questions`).
_PLUS = {"+": "plus", "/": "plus", "&": "plus", "and": "plus", "with": "plus"}
#: What may stand before an article.
_BEFORE_ARTICLE = frozenset(
    ("start", "link", "empty", "asking", "forward", "backward", "negation", "without")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A quantity: `value` (to `upto`) in the unit `base`, exactly, and the number as it is written, in its own unit."""

    value: Fraction
    upto: Fraction | None
    base: str
    written: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """What a question says. Tuples are in the question's order; `unsure` names the guards that cannot tell.

    `schedules` are (times, every, unit) as of ICH E2B(R3) G.k.4.r.2-3. `negated` and `without` say what stands behind each
    such word, `denied` which reactions `safety.context` takes for denied. `words` is what is left, see the module.
    """

    drugs: tuple[str, ...]
    strengths: tuple[Measure, ...]
    schedules: tuple[tuple[int, Decimal | None, str], ...]
    routes: tuple[str, ...]
    numbers: tuple[str, ...]
    negated: tuple[str, ...]
    denied: frozenset[str]
    without: tuple[str, ...]
    populations: tuple[str, ...]
    words: tuple[str, ...]
    plain: bool
    version: str
    unsure: frozenset[Guard]


def facets(question: str, names: Scope, version: str) -> Facets:
    """Return what `question` says; `names` are the products' names, `version` that of the label it is asked of.

    A question longer than `QUESTION_CHARACTERS`, not in English, in letters that are not read or without content makes the
    guard `legible` unsure; an empty version `version`; a quantity, age, number or interval without one value its own.
    """
    text = _spelled(question[: QUESTION_CHARACTERS + 1])
    unsure: set[Guard] = set()
    if len(question) > QUESTION_CHARACTERS or not text.isprintable() or not readable(text):
        unsure.add("legible")
    if not version:
        unsure.add("version")
    return _Reading(text, names, version, unsure).facets()


def _spelled(question: str) -> str:
    text = " ".join(question.split())
    for pattern, instead in _SPELLINGS:
        text = pattern.sub(instead, text)
    return text


class _Reading:
    """Reads one question: names first, then what has a number, then words."""

    def __init__(self, text: str, names: Scope, version: str, unsure: set[Guard]) -> None:
        self.text, self.low, self.names = text, lowered(text), names
        self.version, self.unsure = version, unsure
        self.strengths: list[Measure] = []
        self.schedules: list[tuple[int, Decimal | None, str]] = []

    def facets(self) -> Facets:
        """Return what was read."""
        taken = list(self._drugs())
        taken += self._measured(taken)
        taken += self._numbers(taken)
        items = self._items(taken)
        if not any(item.kind in CONTENT for item in items):
            self.unsure.add("legible")
        items, plain = without_cues(items)
        plain = plain and is_plain(items)

        def values(kind: Kind) -> tuple[str, ...]:
            return tuple(item.value for item in items if item.kind == kind)

        return Facets(
            drugs=values("drug"), strengths=tuple(self.strengths), schedules=tuple(self.schedules),
            routes=values("route"), numbers=values("number"), negated=tuple(objects(items, "negation")),
            denied=self._denied(items), without=tuple(objects(items, "without")), populations=values("population"),
            words=words_left(items, plain=plain), plain=plain, version=self.version, unsure=frozenset(self.unsure),
        )  # fmt: skip

    def _drugs(self) -> Iterator[Item]:
        """Yield the names of products: anywhere a name, at the start an alias too, the longest of all that fit.

        Two names of one document are one product; an alias stands for itself as well, since those of one document may be
        different members of a family.
        """
        tokens = [found for found in _TOKEN.finditer(self.low) if found[0] not in _QUIET and found[0] != "-"]
        words = [_PLUS.get(token[0].casefold(), token[0].casefold()) for token in tokens]
        at = 0
        while at < len(tokens):
            for length in range(min(NAME_WORDS, len(tokens) - at), 0, -1):
                name = tuple(words[at : at + length])
                document, alias = self.names.anywhere.get(name), ""
                if document is None and at == 0:
                    document, alias = self.names.starts.get(name), " ".join(name)
                if document:
                    yield Item(
                        "drug", f"{document}|{alias}", tokens[at].start(), tokens[at + length - 1].end()
                    )
                    at += length - 1
                    break
            at += 1

    def _measured(self, taken: Sequence[Item]) -> list[Item]:
        """Return ages, quantities and the intervals of doses that lie beside what is taken."""
        dosed = {dose.start: dose for dose in doses(self.text)}
        found: list[Span] = [age for age in ages(self.text) if age.parts or age.outcome != "read"]
        found += quantities(self.text)
        made: list[Item] = []
        for span in apart(found):
            if _overlaps(span.start, span.end, taken):
                continue
            if isinstance(span, Age):
                made.append(self._age(span))
            elif isinstance(span, Quantity):
                made += self._quantity(dosed.get(span.start, span))
        return made

    def _age(self, age: Age) -> Item:
        if age.outcome != "read":
            self.unsure.add("population")
        parts = "+".join(f"{value.normalize()} {code}" for value, code in age.parts)
        return Item("population", f"age {parts}-{age.upto}", age.start, age.end)

    def _quantity(self, one: Quantity) -> Iterator[Item]:
        measure = _measure(one)
        if measure is None:
            self.unsure.add("strength")
            yield Item("strength", one.text, one.start, one.end)
            return
        self.strengths.append(measure)
        yield Item("strength", f"{measure.value}-{measure.upto} {measure.base}", one.start, one.end)
        if isinstance(one, Dose):
            yield from self._interval(one)

    def _interval(self, dose: Dose) -> Iterator[Item]:
        if not dose.times:
            if dose.interval_text:
                self.unsure.add("schedule")
            return
        reading = (dose.times, dose.every, dose.every_unit)
        self.schedules.append(reading)
        if dose.interval_text:
            start = self.text.index(dose.interval_text, dose.end)
            words = list(_TOKEN.finditer(self.text, start, start + len(dose.interval_text)))
            yield Item("schedule", str(reading), _interval_start(words, reading), words[-1].end())

    def _numbers(self, taken: Sequence[Item]) -> Iterator[Item]:
        for found in _NUMBER.finditer(self.text):
            if _overlaps(found.start(), found.end(), taken):
                continue
            value = number(found[0])
            if value is None:
                self.unsure.add("number")
            # A version 1.10 is not a version 1.1, though the numbers are equal.
            said = found[0].lower() if value is None or "." in found[0] else str(value)
            yield Item("number", said, found.start(), found.end())

    def _items(self, taken: Sequence[Item]) -> list[Item]:
        """Return everything in the question's order, what is taken and the words between."""
        items: list[Item] = []
        at, before = 0, "start"
        for item in (*sorted(taken, key=lambda one: one.start), None):
            end, behind = (item.start, item.kind) if item else (len(self.text), "end")
            items += _folded(self._read_words(at, end, before, behind))
            before = behind
            if item:
                items.append(item)
                at = item.end
        return items

    def _read_words(self, start: int, end: int, before: str, last: str) -> Iterator[Item]:
        """Yield the words from `start` to `end`; `before` and `last` are the kinds of what stands around them."""
        tokens = [found for found in _TOKEN.finditer(self.text, start, end) if not _quiet(self.text, found)]
        words = [token[0].casefold() for token in tokens]
        at = 0
        while at < len(tokens):
            if tokens[at][0] in AMBIGUOUS:
                self.unsure.add("unit")
            kind, value, length = _read_at(words, at)
            behind = _read_at(words, at + 1)[0] if at + 1 < len(words) else last
            if value == "a" and not self._is_article(tokens[at], before, behind):
                kind = "unknown"
            if value == "may" and (before == "number" or behind in ("number", "end")):
                kind = "unknown"  # a month
            yield Item(kind, value, tokens[at].start(), tokens[at + length - 1].end())
            at, before = at + length, kind

    def _is_article(self, token: re.Match[str], before: str, behind: str) -> bool:
        """Tell "a rash" from "hepatitis A" and "vitamin a": by the letter's case, and by what stands beside it."""
        capital = token[0] == "A" and token.start() > 0 and not self.text.isupper()
        return not capital and (before in _BEFORE_ARTICLE or (before == "term" and behind == "asking"))

    def _denied(self, items: Sequence[Item]) -> frozenset[str]:
        return frozenset(
            item.value
            for item in items
            if item.kind == "term" and polarity(self.low, item.start, item.end, verb=False) == "negated"
        )


def _measure(one: Quantity) -> Measure | None:
    """Return a quantity in base units, or as written where UCUM's base says less than the unit; None without one value.

    UCUM counts an equivalent as a mole, a sievert as a gray and a tablet as 1; a drop's size is the product's own.
    """
    found = one.canonical
    if found is None or one.value is None or one.outcome != "read":
        return None
    if found[1] not in _CONVERTED or "[drp]" in one.unit:
        upto = None if one.upto is None else Fraction(one.upto)
        return Measure(value=Fraction(one.value), upto=upto, base=one.unit, written=one.value)
    upto = None if one.upto is None else convert(one.upto, one.unit, found[1])
    base = f"{found[1]}{''.join(_ANNOTATION.findall(one.unit))}"
    return Measure(value=found[0], upto=upto, base=base, written=one.value)


def _read_at(words: Sequence[str], at: int) -> tuple[Kind, str, int]:
    """Return (kind, what it stands for, words taken) of the longest phrase at `at`, else of the word."""
    for length in range(min(PHRASE_WORDS, len(words) - at), 0, -1):
        phrase = tuple(words[at : at + length])
        for kind, table in _TABLES:
            if phrase in table:
                return kind, table[phrase], length
    word = words[at]
    for kind, known in _SINGLE:
        if word in known:
            return kind, word, 1
    return ("term" if word in MEDICAL else "unknown"), word, 1


_TABLES: tuple[tuple[Kind, Mapping[tuple[str, ...], str]], ...] = (
    ("population", POPULATIONS),
    ("route", ROUTES),
    ("aspect", ASPECTS),
    ("asking", dict.fromkeys(ASKING_PHRASES, "asking")),
    ("forward", {phrase: " ".join(phrase) for phrase in FORWARD}),
    ("backward", {phrase: " ".join(phrase) for phrase in BACKWARD}),
)
_SINGLE: tuple[tuple[Kind, frozenset[str]], ...] = (
    ("without", WITHOUT),
    ("negation", NEGATIONS),
    ("empty", EMPTY),
    ("asking", ASKING),
    ("people", PEOPLE),
    ("link", LINKS),
)


def _folded(items: Iterator[Item]) -> Iterator[Item]:
    """Give words of reactions that stand together the one name for what they mean: "hives" is urticaria."""
    run: list[Item] = []
    for item in (*items, None):
        if item is not None and item.kind in ("term", "link", "empty"):
            run.append(item)
            continue
        yield from _meant(run)
        run = []
        if item is not None:
            yield item


def _meant(run: Sequence[Item]) -> Iterator[Item]:
    words = [item for item in run if item.kind != "empty"]
    said = [stem(item.value) if item.kind == "term" else item.value for item in words]
    for concept, first, last in concepts(said):
        whole = words[first:last]
        if len(whole) == 1 and whole[0].value in BOUND:
            yield Item("unknown", whole[0].value, whole[0].start, whole[0].end)
            continue
        kind: Kind = "link" if all(item.kind == "link" for item in whole) else "term"
        yield Item(kind, concept, whole[0].start, whole[-1].end)


def _quiet(text: str, found: re.Match[str]) -> bool:
    """Tell whether a sign says nothing: a hyphen within a compound word, punctuation beside a blank."""
    before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
    inside = before.isalnum() and after.isalnum()
    if found[0] == "-":
        return inside and not (before.isdigit() and after.isdigit())
    return found[0] in _QUIET and not inside


def _overlaps(start: int, end: int, taken: Sequence[Item]) -> bool:
    return any(start < item.end and item.start < end for item in taken)


def _interval_start(words: Sequence[re.Match[str]], reading: tuple[int, Decimal | None, str]) -> int:
    """Return where the interval begins: its reader takes the words between dose and interval along."""
    last = words[-1].end()
    for place in range(len(words) - 1, -1, -1):
        said = words[place].string[words[place].start() : last]
        for dose in doses(f"1 mg {said}"):
            if (dose.times, dose.every, dose.every_unit) == reading:
                once = reading[0] == 1 and place and words[place - 1][0].lower() == "once"
                return words[place - 1].start() if once else words[place].start()
    return words[0].start()
