"""What changed between the last two versions of a document, made ahead of the question: deterministic, without a model. Pure.

Sections are compared by their headings, and within a section paragraphs and rows of tables. Each statement says what was added, removed or changed,
quotes it, and cites the characters of both versions. The same two versions always make the same bytes.

A summary answers a closed set of questions (`subject`) and no others. What it hands to a reader are passages of the *current* version only: a passage of
the older one is superseded, and a decision must not rest on it. So a statement that something is gone is handed on by what is left of its section.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

import msgspec

from vigimesh.domain.knowledge.cutting import Passage as Piece
from vigimesh.domain.knowledge.cutting import cut
from vigimesh.domain.knowledge.indexing import lists_reactions
from vigimesh.domain.knowledge.questions import normal
from vigimesh.domain.knowledge.sections import Section, Sectioned
from vigimesh.errors import Refused
from vigimesh.events.knowledge import Passage

#: Paragraphs and rows of one section that are compared one by one; a longer section counts as changed as a whole. Comparing takes up to
#: the square of it, 4 million steps; the longest section of the labels seen has some 600.
MAX_UNITS = 2_000
#: Statements of one summary: what a person reads; how many more there are is said.
MAX_STATEMENTS = 200
#: Characters of one quote; the whole is one click away at its place.
QUOTE_CHARACTERS = 300
#: Characters before the first difference of two long texts that a quote begins with at least: half a line, to know what it is about.
_BEFORE = 40
#: Passages that an answer holds: what an event carries.
MAX_PASSAGES = 12
#: Words of a reaction in a list: the longest terms of MedDRA's level of reporting that are listed here have six.
TERM_WORDS = 8

What = Literal["added", "removed", "changed"]

#: Begins at a sign that is no blank, so that a line of blanks is passed over in one step.
_UNIT = re.compile(r"\S[^\n]*(?:\n(?![ \t]*(?:\n|\||[-*] ))[^\n]+)*")
_ITEMS = re.compile(r"[,;]\s+|\s+and\s+(?=\S+$)")
_NAME = r"(?P<name>.+?)"
_LATEST = r"(?:the )?(?:(?:latest|last|newest) )?"
#: The questions that a summary answers, in the form that `normal` gives them; `name` must be that of one document, letter by letter.
_ASKED = (
    re.compile(rf"{_LATEST}label changes (?:of|for|to) {_NAME}"),
    re.compile(rf"what (?:has )?changed in (?:the label of )?{_NAME}"),
    re.compile(rf"{_NAME}:? (?:(?:latest|last|newest) )?label changes"),
    re.compile(rf"{_NAME}:? what (?:has )?changed"),
)


class Cite(msgspec.Struct, frozen=True, kw_only=True):
    """Characters `first` to `last` of a version, and the passage that holds them (`passage_first` to `passage_last`)."""

    version: str
    first: int
    last: int
    passage_first: int
    passage_last: int


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One change: `older` and `newer` are where it stood and stands, `None` where it does not; `said` quotes both."""

    what: What
    section: str
    said: str
    older: Cite | None
    newer: Cite | None


class Reaction(msgspec.Struct, frozen=True, kw_only=True):
    """A reaction that entered or left the lists of a document, with the place of the list that names it."""

    what: What
    term: str
    cite: Cite


class Summary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What changed from `older` to `version` of a document. `left_out` is how many statements stand in no list here.

    `reactions` are compared in lists only ("Common: Rash, Pain."): prose names reactions in too many ways. `evidence` are the
    passages of `version` that show it.
    """

    document_id: str
    title: str
    older: str
    version: str
    statements: tuple[Statement, ...]
    reactions: tuple[Reaction, ...]
    evidence: tuple[Passage, ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class _Unit:
    """A paragraph or a row of a table: `start` to `end` in the document's text."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Side:
    """One version: its passages in order, and where each begins."""

    source: Sectioned
    pieces: tuple[Piece, ...]
    starts: tuple[int, ...]

    @classmethod
    def of(cls, source: Sectioned) -> _Side:
        pieces = cut(source).passages
        return cls(source, pieces, tuple(one.place.start for one in pieces))

    def piece(self, start: int) -> Piece:
        """Return the passage that holds the character `start`; what is no white space is in one."""
        return self.pieces[max(0, bisect_right(self.starts, start) - 1)]

    def cite(self, first: int, last: int) -> Cite:
        place = self.piece(first).place
        return Cite(
            version=self.source.document.version, first=first, last=last, passage_first=place.start, passage_last=place.end
        )  # fmt: skip


def subject(question: str) -> str:
    """Return the name that a question about changes asks of, in the form of `normal`; empty for any other question."""
    asked = normal(question).rstrip(" ?.!")
    found = (form.fullmatch(asked) for form in _ASKED)
    return next((one["name"] for one in found if one), "")


def names_of(source: Sectioned) -> tuple[str, ...]:
    """Return the names by which a document may be asked of, in the form of `normal`: its id, title, names and aliases."""
    one = source.document
    return tuple(dict.fromkeys(normal(name) for name in (one.id, one.title, *one.names, *one.aliases)))


def summarise(older: Sectioned, newer: Sectioned) -> Summary:
    """Return what changed from one version of a document to another.

    Raises `ValueError` for two documents, or a version with itself.
    """
    before, after = older.document, newer.document
    if before.id != after.id or before.version == after.version:
        raise ValueError(f"{before.id} {before.version} and {after.id} {after.version} cannot be compared")
    sides = _Side.of(older), _Side.of(newer)
    statements = [one for pair in _paired(older.sections, newer.sections) for one in _compared(sides, *pair)]
    reactions = tuple(_reactions(sides))
    kept = tuple(statements[:MAX_STATEMENTS])
    return Summary(
        document_id=after.id, title=after.title, older=before.version, version=after.version, statements=kept,
        reactions=reactions, evidence=_evidence(sides[1], kept), left_out=len(statements) - len(kept),
    )  # fmt: skip


def body_of(summary: Summary) -> bytes:
    """Return a summary as bytes, the same on every machine."""
    return msgspec.json.encode(summary, order="deterministic")


def summary_of(body: bytes, where: str) -> Summary:
    """Return the summary in `body`; raises `Refused` VM-2803 for bytes that are none, naming `where` they lie."""
    try:
        return msgspec.json.decode(body, type=Summary)
    except (msgspec.MsgspecError, UnicodeDecodeError) as failure:
        raise Refused(
            "VM-2803", what="the object is no summary of this version of the program", where=where,
            todo="wait for the librarian's next refresh; it makes the summary anew",
        ) from failure  # fmt: skip


def _paired(
    older: Sequence[Section], newer: Sequence[Section]
) -> Iterator[tuple[Section | None, Section | None]]:
    """Pair sections by their headings; of several with the same ones the first with the first. In the order of the newer version.

    A heading that is only written in other letters, large or small, or with other white space, is the same heading, unless another
    section has it letter by letter.
    """
    pairs: dict[int, Section] = {}
    left = list(older)
    for same in (lambda one: one.path, _plain_path):
        waiting: dict[tuple[str, ...], list[Section]] = {}
        for section in left:
            waiting.setdefault(same(section), []).append(section)
        for at, section in enumerate(newer):
            if at not in pairs and (found := waiting.get(same(section))):
                pairs[at] = found.pop(0)
        left = [section for rest in waiting.values() for section in rest]
    yield from ((pairs.get(at), section) for at, section in enumerate(newer))
    yield from ((section, None) for section in left)


def _plain_path(section: Section) -> tuple[str, ...]:
    return tuple(" ".join(one.split()).casefold() for one in section.path)


def _compared(
    sides: tuple[_Side, _Side], older: Section | None, newer: Section | None
) -> Iterator[Statement]:
    """Yield what differs between two sections of one heading."""
    gone, come = _units(sides[0], older), _units(sides[1], newer)
    heading = " > ".join(one for one in (newer or older or _NONE).path if one)
    if max(len(gone), len(come)) > MAX_UNITS:
        if [one.text for one in gone] != [one.text for one in come]:
            yield _statement(sides, heading, (_whole(gone), _whole(come)))
        return
    matcher = SequenceMatcher(None, [one.text for one in gone], [one.text for one in come], autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            continue
        for at in range(max(b - a, d - c)):
            pair = (gone[a + at] if a + at < b else None, come[c + at] if c + at < d else None)
            yield _statement(sides, heading, pair)


def _statement(
    sides: tuple[_Side, _Side], heading: str, pair: tuple[_Unit | None, _Unit | None]
) -> Statement:
    older, newer = pair
    what: What = "added" if older is None else "removed" if newer is None else "changed"
    begins = _apart(older.text, newer.text) if older and newer else 0
    quotes = [_quote(one.text, begins) for one in pair if one is not None]
    return Statement(
        what=what, section=heading, said=f"{what}: {' -> '.join(quotes)}",
        older=sides[0].cite(older.start, older.end) if older else None,
        newer=sides[1].cite(newer.start, newer.end) if newer else None,
    )  # fmt: skip


def _reactions(sides: tuple[_Side, _Side]) -> Iterator[Reaction]:
    """Yield the reactions that are in the lists of one version only, each at its first list; what came first, then what went."""
    before, after = (_listed(side) for side in sides)
    kinds: tuple[tuple[What, Mapping[str, tuple[str, Cite]], Mapping[str, tuple[str, Cite]]], ...] = (
        ("added", after, before),
        ("removed", before, after),
    )
    for what, here, there in kinds:
        yield from (
            Reaction(what=what, term=term, cite=cite)
            for key, (term, cite) in here.items()
            if key not in there
        )


def _listed(side: _Side) -> dict[str, tuple[str, Cite]]:
    """Return the items of the lists in the sections that list reactions, folded: a list follows a colon, or is one item to a line."""
    found: dict[str, tuple[str, Cite]] = {}
    for section in side.source.sections:
        units = _units(side, section)
        if not units or not lists_reactions(side.piece(units[0].start).place):
            continue
        for unit in units:
            _, colon, items = unit.text.partition(":")
            listing = items if colon else unit.text[2:] if unit.text[:2] in ("- ", "* ") else ""
            for item in _ITEMS.split(listing.strip().rstrip(".")):
                term = item.strip(" .*|")
                if term and len(term.split()) <= TERM_WORDS:
                    found.setdefault(term.casefold(), (term, side.cite(unit.start, unit.end)))
    return found


def _evidence(side: _Side, statements: Iterable[Statement]) -> tuple[Passage, ...]:
    """Return the passages of the newer version that show the statements: where it stands, or what is left of its section."""
    remaining = {one.place.section: one for one in reversed(side.pieces)}
    pieces: dict[int, Piece] = {}
    for one in statements:
        piece = side.piece(one.newer.first) if one.newer else remaining.get(one.section)
        if piece is not None:
            pieces.setdefault(piece.place.start, piece)
    return tuple(
        Passage(
            document_id=piece.place.document, version=piece.place.version, section=piece.place.section,
            start=piece.place.start, end=piece.place.end, text=piece.text, score=0.0,
            lists_reactions=lists_reactions(piece.place),
        )
        for piece in list(pieces.values())[:MAX_PASSAGES]
    )  # fmt: skip


def _units(side: _Side, section: Section | None) -> list[_Unit]:
    """Return the paragraphs and rows of a section, white space made plain: another line break is no change."""
    if section is None:
        return []
    text = side.source.document.text
    return [
        _Unit(" ".join(found[0].split()), found.start(), found.end())
        for found in _UNIT.finditer(text, section.start, section.end)
    ]


def _whole(units: Sequence[_Unit]) -> _Unit | None:
    return _Unit(" ".join(one.text for one in units[:3]), units[0].start, units[-1].end) if units else None


def _apart(older: str, newer: str) -> int:
    """Return where a quote of two long texts begins, so that what differs is in it: a few words before their first difference."""
    same = next((at for at, (one, other) in enumerate(zip(older, newer, strict=False)) if one != other), None)
    same = min(len(older), len(newer)) if same is None else same
    return older.rfind(" ", 0, max(0, same - _BEFORE)) + 1


def _quote(text: str, begins: int = 0) -> str:
    if len(text) <= QUOTE_CHARACTERS:
        return f"'{text}'"
    last = begins + QUOTE_CHARACTERS
    return f"'{'... ' * bool(begins)}{text[begins:last].strip()}{' ...' * (last < len(text))}'"


_NONE = Section(path=(), codes=(), opens=0, start=0, end=0)
