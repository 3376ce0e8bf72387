"""Where a reference document lists a reaction: word for word, in other words that mean the same, or with a slip of the pen.

A term is found where all its words stand together, in any order, within one item of a list or one clause, with nothing
between them but words that carry no meaning of their own, and no word beside them that narrows them ("injection site
pain" lists no "pain"). What is denied there ("no cases of"), or told of the patients' past, is not listed. Whatever is
unsure is not listed: *unlisted* is the side on which nothing is missed (ICH E2D(R1) 2.2, 21 CFR 314.80(a)).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from vigimesh.domain.safety.context import polarity
from vigimesh.domain.safety.text_seriousness import lowered
from vigimesh.domain.safety.word_forms import WORD, concepts, stem, stems

How = Literal["verbatim", "synonym", "fuzzy"]
#: The ways to be listed, the surest first.
HOW: tuple[How, ...] = ("verbatim", "synonym", "fuzzy")
#: Those that count: a slip of the pen is a guess that a reader may follow, not one that lowers a grade.
SURE: tuple[How, ...] = ("verbatim", "synonym")

#: Passages and terms remembered: a few hundred products at 20 passages each; a year of VAERS has fewer than 3,000 terms.
_PASSAGES, _TERMS = 4_096, 8_192
#: Answers remembered: a mesh asks the same passages for the same terms again and again.
_ANSWERS = 65_536
#: Words without meaning of their own between two words of a term: "increases in the serum levels of creatinine" is five.
MAX_GAP = 5
#: Words of other items between two words of a term that a list shares.
MAX_SHARED_GAP = 10
#: Letters that a word must have, and share at its beginning, to be read with a slip of the pen.
SLIP_LETTERS, SLIP_HEAD = 8, 4
#: Places of one word looked at in a passage; a passage has a few thousand words.
MAX_PLACES = 500
#: Characters of a quote, and of its context on each side.
QUOTE_CHARACTERS, _MARGIN = 120, 30

#: Between two words: the end of a sentence, of a cell of a table or of an item with a bullet.
_SENTENCE = re.compile(r"[.;:\[\]\u2022*|]|\n\s*\n|\s-\s|[^\S\n]{3}|\n\s{2}")
#: Between two words: the end of an item of a list in a sentence.
_ITEM = re.compile(r"[,()/]")
_JOINERS = frozenset(("and", "or"))
#: A heading that names a class of disorders lists none of them.
_HEADING = re.compile(r"\s{0,3}(?:[:\n-]|\s{2}|\d)")
#: What the product is given for or to whom, before the word.
_POPULATION = re.compile(
    r"(?:\b(?:patients?|subjects?|individuals?|women|men|adults?|those)(?: who)? (?:with|have|had|having)|\bco-?infected with"
    r"|\b(?:history|treatment|management|therapy|treated|indicated|symptoms?|signs?|diagnosis|prevention|prophylaxis|suspected) (?:of|for)"
    r"|\b(?:reduce|reduction in|reduction of|reduces) the risk of)"
    r"(?: (?:a|an|the|prior|previous|known|suspected|recent|severe|moderate|mild|pre-?existing|underlying|active|chronic|or|and|to)){0,5} $"
)
_POPULATION_WINDOW = 60
_LINKS = frozenset(stems("of in the a an to at on with by for from nos not otherwise specified"))
#: Words that may stand between or beside the words of a term and change nothing.
_EMPTY = _LINKS | frozenset(
    stems(
        "serum plasma level concentration value count circulating total interval titer activity mean fasting laboratory "
        "test developing severe serious mild moderate new onset adverse reaction event related some"
    )
)
#: Words of a term that a document may leave out when two others are left.
_OPTIONAL = frozenset(stems("blood count electrocardiogram level tract related state"))
#: Words that a list shares: "elevated AST, ALT and GGT", "injection site pain, redness".
_SHARED = frozenset(
    stems("increase decrease abnormal prolong infection bleed site swell edema neoplasm tuberculosis")
)
#: A word that narrows the term it stands beside.
_SITES = frozenset(
    stems(
        "kidney liver heart lung skin brain eye mouth stomach bowel gastrointestinal nose ear tongue throat esophagus gum "
        "eyelid blood vein artery nerve muscle joint abdomen chest pelvis spine pancreas spleen uterus vagina ovary breast "
        "prostate testis pleura pericardium peritoneum retina cornea conjunctiva sclera macula anus rectum colon larynx "
        "bronchus limb face tooth fetus site back neck bone bladder hair nail lip jaw flank application injection infusion "
        "catheter wound lymph node intracranial subdural peripheral upper lower respiratory urinary airway arm leg foot hand "
        "multiforme nodosum cell"
    )
)
#: A word before a term that narrows it by its ending ("hemolytic anemia"), and those that only say how much or often.
_NARROWING = re.compile(r"(?:al|ic|ous|ary|ory|ile|lar|oid|tive)$")
_WIDE = frozenset(
    "clinical typical general additional fatal serious occasional minimal initial several total potential systemic "
    "symptomatic local chronic critical abnormal usual unusual spontaneous previous previously continuous primary "
    "secondary topical final respective positive negative active comparative relative cumulative severe individual "
    "various numerous dangerous causal especial special actual annual virtual pediatric historic basic specific".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A place that lists a term. `start` and `end` are characters of the passage, `quote` is what stands there."""

    how: How
    start: int
    end: int
    quote: str


@dataclass(frozen=True, slots=True)
class _Token:
    """A concept with its place: characters, and the run of words without a break that it stands in."""

    concept: str
    start: int
    end: int
    run: int
    sentence: int


class Reference:
    """A passage of a reference document, read once, asked for many terms."""

    def __init__(self, text: str) -> None:
        """Read `text`; any text is fine, also an empty one."""
        self.text, self.low = text, lowered(text)
        self._tokens = tuple(_tokens(self.low))
        places: dict[str, list[int]] = {}
        for place, token in enumerate(self._tokens):
            places.setdefault(token.concept, []).append(place)
        self._places: Mapping[str, list[int]] = places

    def find(self, term: str) -> Mention | None:
        """Return the first place that lists `term`, verbatim before synonym before fuzzy; `None` when none surely does."""
        wanted = _wanted(term)
        if not wanted:
            return None
        best = next(self._found(wanted, term), None)
        if best is not None:
            return best
        missing = [word for word in wanted if word not in self._places]
        if len(missing) != 1:
            return None
        for near in self._slips(_spelled(term, missing[0])):
            wanted_here = tuple(near if word == missing[0] else word for word in wanted)
            for mention in self._found(wanted_here, term):
                return Mention(how="fuzzy", start=mention.start, end=mention.end, quote=mention.quote)
        return None

    def _found(self, wanted: tuple[str, ...], term: str) -> Iterator[Mention]:
        """Yield the places of all `wanted` words together, those that are word for word first."""
        rarest = min(wanted, key=lambda word: len(self._places.get(word, ())))
        other: Mention | None = None
        for place in self._places.get(rarest, [])[:MAX_PLACES]:
            window = self._window(place, frozenset(wanted)) or self._shared(place, frozenset(wanted))
            if window is None or self._narrowed(*window):
                continue
            start, end = self._tokens[window[0]].start, self._tokens[window[1]].end
            how: How = "verbatim" if stems(self.low[start:end]) == stems(term) else "synonym"
            if (how == "synonym" and other is not None) or not self._tells(start, end):
                continue
            mention = Mention(how=how, start=start, end=end, quote=self._quote(start, end))
            if how == "verbatim":
                yield mention
            else:
                other = mention
        if other is not None:
            yield other

    def _tells(self, start: int, end: int) -> bool:
        """Tell whether the place speaks of a reaction: not denied, no heading of a class, not whom the product is given to."""
        if polarity(self.low, start, end, verb=False) in ("negated", "history"):
            return False
        if "disorders" in self.low[start:end] and _HEADING.match(self.low, end):
            return False
        return _POPULATION.search(self.low, max(0, start - _POPULATION_WINDOW), start) is None

    def _window(self, place: int, wanted: frozenset[str]) -> tuple[int, int] | None:
        """Return the first and last token of the shortest window round `place` that holds all that is wanted."""
        run, reach = self._tokens[place].run, len(wanted) + MAX_GAP
        allowed = wanted | _EMPTY | _OPTIONAL
        left = right = place
        while left > 0 and place - left < reach and self._fits(left - 1, run, allowed):
            left -= 1
        while right + 1 < len(self._tokens) and right - place < reach and self._fits(right + 1, run, allowed):
            right += 1
        best = None
        for first in range(left, place + 1):
            seen: set[str] = set()
            for last in range(first, min(right, first + reach) + 1):
                seen.add(self._tokens[last].concept)
                if last >= place and wanted <= seen:
                    if best is None or last - first < best[1] - best[0]:
                        best = first, last
                    break
        return best

    def _shared(self, place: int, wanted: frozenset[str]) -> tuple[int, int] | None:
        """Return the window of a term of which a list shares a word: "elevated AST, ALT and GGT", "site pain, redness"."""
        if len(wanted) < 2 or not wanted & _SHARED:
            return None
        left, right = self._own_item(place, wanted)
        own = {token.concept for token in self._tokens[left : right + 1]} & wanted
        sentence = self._tokens[place].sentence
        for step in (1, -1):
            seen, gap, at = set(own), 0, right + 1 if step > 0 else left - 1
            while (
                0 <= at < len(self._tokens)
                and self._tokens[at].sentence == sentence
                and gap <= MAX_SHARED_GAP
            ):
                concept = self._tokens[at].concept
                if concept in wanted:
                    seen.add(concept)
                    if wanted <= seen:
                        first, last = self._whole(min(left, at), max(right, at))
                        return (first, last) if self._shares(first, last, wanted) else None
                gap += concept not in wanted and concept not in _EMPTY and concept not in _OPTIONAL
                at += step
        return None

    def _own_item(self, place: int, wanted: frozenset[str]) -> tuple[int, int]:
        """Return the first and last of the wanted words that stand together round `place` in its own item."""
        first, last, run = place, place, self._tokens[place].run
        while first > 0 and place - first < MAX_GAP and self._fits(first - 1, run, wanted):
            first -= 1
        while last + 1 < len(self._tokens) and last - place < MAX_GAP and self._fits(last + 1, run, wanted):
            last += 1
        return first, last

    def _whole(self, first: int, last: int) -> tuple[int, int]:
        """Widen a window so that it cuts no word that stands for several concepts ("ALT")."""
        while first > 0 and self._tokens[first - 1].end > self._tokens[first].start:
            first -= 1
        while last + 1 < len(self._tokens) and self._tokens[last + 1].start < self._tokens[last].end:
            last += 1
        return first, last

    def _shares(self, first: int, last: int, wanted: frozenset[str]) -> bool:
        """Tell whether the items at both ends of a window share a word, and neither has another such word of its own."""
        runs = {self._tokens[first].run, self._tokens[last].run}
        if len(runs) == 1:
            return False
        ends = [token for token in self._near(first, last) if token.run in runs]
        return not any(token.concept in _SHARED - wanted for token in ends)

    def _near(self, first: int, last: int) -> Iterator[_Token]:
        """Yield the tokens of the items that a window begins and ends in."""
        runs = self._tokens[first].run, self._tokens[last].run
        least, most = max(0, first - MAX_SHARED_GAP), min(len(self._tokens) - 1, last + MAX_SHARED_GAP)
        while first > least and self._tokens[first - 1].run == runs[0]:
            first -= 1
        while last < most and self._tokens[last + 1].run == runs[1]:
            last += 1
        yield from self._tokens[first : last + 1]

    def _fits(self, place: int, run: int, allowed: frozenset[str]) -> bool:
        token = self._tokens[place]
        return token.run == run and token.concept in allowed

    def _narrowed(self, first: int, last: int) -> bool:
        """Tell whether a word beside the window, or in the same compound, makes it a term of another meaning."""
        run = self._tokens[first].run
        before, after = first - 1, last + 1
        if before >= 0 and self._tokens[before].end > self._tokens[first].start:
            return True
        if after < len(self._tokens) and self._tokens[after].start < self._tokens[last].end:
            return True
        if before >= 0 and self._tokens[before].run == run:
            token = self._tokens[before]
            word = self.low[token.start : token.end]
            if token.concept in _SITES - _OPTIONAL or (word not in _WIDE and _NARROWING.search(word)):
                return True
        while after < len(self._tokens) and self._fits(after, run, _LINKS):
            after += 1
        return after < len(self._tokens) and self._fits(after, run, _SITES)

    def _slips(self, word: str) -> list[str]:
        """Return the words of the passage that are `word` but for one letter, behind a beginning that is the same."""
        if len(word) < SLIP_LETTERS:
            return []
        head = word[:SLIP_HEAD]
        return [
            known
            for known in self._places
            if known.startswith(head) and known[-1] == word[-1] and one_slip(known, word)
        ]

    def _quote(self, start: int, end: int) -> str:
        return self.text[max(0, start - _MARGIN) : end + _MARGIN][:QUOTE_CHARACTERS]


@lru_cache(maxsize=_ANSWERS)
def mention_of(term: str, text: str) -> Mention | None:
    """Return `Reference.find` of a term in a passage; the same is looked for once."""
    return read_reference(text).find(term)


@lru_cache(maxsize=_PASSAGES)
def read_reference(text: str) -> Reference:
    """Return the passage, read; the same text is read once."""
    return Reference(text)


@lru_cache(maxsize=_TERMS)
def _wanted(term: str) -> tuple[str, ...]:
    """Return the concepts that a place must hold to list `term`."""
    held = [word for word, _, _ in concepts(stems(term)) if word not in _LINKS]
    needed = [word for word in held if word not in _OPTIONAL]
    return tuple(dict.fromkeys(needed if len(needed) > 1 else held))


def _spelled(term: str, concept: str) -> str:
    """Return how `term` writes a concept: "pruritus" for what is looked up as "itch"."""
    words = stems(term)
    return next(
        (words[at] for word, at, end in concepts(words) if word == concept and end == at + 1), concept
    )


def one_slip(one: str, other: str) -> bool:
    """Tell whether two different words differ by one letter put in, left out or changed, or by two that are swapped."""
    if len(one) > len(other):
        one, other = other, one
    if len(other) - len(one) > 1 or one == other:
        return False
    same = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
    if len(one) < len(other):
        return one[same:] == other[same + 1 :]
    if one[same + 1 :] == other[same + 1 :]:
        return True
    return one[same : same + 2] == other[same : same + 2][::-1] and one[same + 2 :] == other[same + 2 :]


def _tokens(low: str) -> Iterator[_Token]:
    """Yield what the text says, concept by concept; "and" and "or" end an item as a comma does."""
    run = sentence = end = 0
    words: list[str] = []
    spans: list[tuple[int, int]] = []

    def item() -> Iterator[_Token]:
        for concept, first, last in concepts(words):
            yield _Token(concept, spans[first][0], spans[last - 1][1], run, sentence)

    for found in WORD.finditer(low):
        over = _SENTENCE.search(low, end, found.start()) is not None
        joins = found.group() in _JOINERS
        if over or joins or _ITEM.search(low, end, found.start()):
            yield from item()
            words, spans, run = [], [], run + 1
        sentence += over
        end = found.end()
        if not joins:
            words.append(stem(found.group()))
            spans.append(found.span())
    yield from item()
