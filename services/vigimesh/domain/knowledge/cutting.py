"""Cuts a document into passages that stand for themselves: pure, and in time that grows with the text.

A passage never crosses a section. What fits into one is not cut: a paragraph, a table, a numbered paragraph with those below
it, a line that ends in a colon with what it announces, a title without markup with what is under it. A longer table is cut
between rows, and each later part names the place of the table's heading.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from vigimesh.domain.knowledge.chunks import CHUNK_CHARACTERS, pieces
from vigimesh.domain.knowledge.numbering import Levels, markers
from vigimesh.domain.knowledge.sections import Place, Section, Sectioned

#: Longest heading of a table in characters that is carried: half a passage, so that rows keep the other half.
CARRIED_CHARACTERS = 600
#: Lines above the first row that are taken as a table's caption, when no blank line is between.
_CAPTION_LINES = 3
#: Rows from the first in which the line is looked for that ends the names of columns.
_HEAD_ROWS = 6
#: Levels of a line that is a title without markup, and of a paragraph; markers are deeper.
_TITLE, _PROSE = 0, 1
#: Longest title without markup in characters: longer ones are sentences.
_TITLE_CHARACTERS = 80
#: Level of a paragraph that goes on with the sentence of the one before it: below every marker.
_TIED = 1_000

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
#: What the line under the names of columns consists of.
_RULE = frozenset(" :|-")
_ANNOUNCES = re.compile(r"(?:Table|Figure)\s+\d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A passage: `document.text[place.start:place.end] == text`.

    `above` is the heading of the table that the passage goes on with, as it stands at `above_at` (first character, after the
    last), or empty. Both together have at most `CHUNK_CHARACTERS` characters.
    """

    place: Place
    text: str
    above: str = ""
    above_at: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Characters `start` to `end` that are in no passage, and why: `heading` (each passage carries it) or `white space`."""

    start: int
    end: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A document's passages and what is left out, each in the order of the text: together every character once."""

    passages: tuple[Passage, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True)
class _Block:
    """A paragraph, an item or a table; `leads` says that deeper blocks behind it belong to it."""

    start: int
    end: int
    level: int
    leads: bool


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    end: int
    above_at: tuple[int, int] = (0, 0)


def cut(source: Sectioned) -> Cut:
    """Return the passages of a document, at most `CHUNK_CHARACTERS` long, and what stands between them."""
    one, text = source.document, source.document.text
    passages: list[Passage] = []
    left_out: list[LeftOut] = []
    for section in source.sections:
        if section.opens < section.start:
            left_out.append(LeftOut(start=section.opens, end=section.start, why="heading"))
        at = section.start
        for piece in _packed(text, _section_atoms(text, section)):
            place = Place(
                document=one.id,
                version=one.version,
                path=section.path,
                codes=section.codes,
                start=piece.start,
                end=piece.end,
            )
            above = text[slice(*piece.above_at)]
            passages.append(
                Passage(place=place, text=text[piece.start : piece.end], above=above, above_at=piece.above_at)
            )
            if at < piece.start:
                left_out.append(LeftOut(start=at, end=piece.start, why="white space"))
            at = piece.end
        if at < section.end:
            left_out.append(LeftOut(start=at, end=section.end, why="white space"))
    return Cut(passages=tuple(passages), left_out=tuple(left_out))


def _section_atoms(text: str, section: Section) -> list[_Block]:
    blocks = list(_blocks(text, section.start, section.end))
    return _atoms(blocks, 0, len(blocks))


def _packed(text: str, atoms: list[_Block]) -> Iterator[_Piece]:
    """Put together what fits into one passage, in order; cut what does not fit into one by itself."""
    held: _Piece | None = None
    for atom in atoms:
        if held and not held.above_at[1] and atom.end - held.start <= CHUNK_CHARACTERS:
            held = _Piece(held.start, atom.end)
            continue
        if held:
            yield held
        held = _Piece(atom.start, atom.end)
        if atom.end - atom.start > CHUNK_CHARACTERS:
            parts = list(_parts(text, atom))
            yield from parts[:-1]
            held = parts[-1]
    if held:
        yield held


def _parts(text: str, atom: _Block) -> Iterator[_Piece]:
    """Cut one block that is longer than a passage: a table between its rows, anything else as prose."""
    rows = [(row.start(), row.end()) for row in _LINE.finditer(text, atom.start, atom.end)]
    first_row = next((at for at, row in enumerate(rows[: _CAPTION_LINES + 1]) if _is_row(text, row)), None)
    if first_row is None:
        yield from (_Piece(*found) for found in pieces(text, atom.start, atom.end))
        return
    ruled = next(
        (at for at, row in enumerate(rows[: first_row + _HEAD_ROWS]) if _is_rule(text, row)), first_row
    )
    body = rows[ruled + 1 :]
    heading = (atom.start, _trimmed(text, atom.start, body[0][0] if body else atom.end))
    carried = heading if heading[1] - heading[0] <= CARRIED_CHARACTERS else (0, 0)
    yield from _rows(text, [(atom.start, heading[1]), *body], carried)


def _rows(text: str, rows: list[tuple[int, int]], carried: tuple[int, int]) -> Iterator[_Piece]:
    later = CHUNK_CHARACTERS - (carried[1] - carried[0]) - (1 if carried[1] else 0)
    start = end = rows[0][0]
    above, most = (0, 0), CHUNK_CHARACTERS
    for row_start, row_end in rows:
        last = _trimmed(text, row_start, row_end)
        if last - start <= most:
            end = last
            continue
        if end > start:
            yield _Piece(start, end, above)
            above, most = carried, later
        start, end = row_start, last
        if end - start > most:
            *long, tail = pieces(text, start, end, most)
            yield from (_Piece(*found, above) for found in long)
            start, end = tail
    if end > start:
        yield _Piece(start, end, above)


def _atoms(blocks: list[_Block], first: int, stop: int) -> list[_Block]:
    """Return what is kept together, in order: the largest group of `blocks[first:stop]` by level that fits, else its parts."""
    found: list[_Block] = []
    at = first
    while at < stop:
        head, after = blocks[at], at + 1
        while (
            after < stop and blocks[after].level > head.level and (head.leads or blocks[after].level == _TIED)
        ):
            after += 1
        end = blocks[after - 1].end
        if after == at + 1 or end - head.start <= CHUNK_CHARACTERS:
            found.append(_Block(head.start, end, head.level, head.leads))
        else:
            below = _atoms(blocks, at + 1, after)
            if below[0].end - head.start <= CHUNK_CHARACTERS:
                below[0] = _Block(head.start, below[0].end, head.level, head.leads)
            else:
                found.append(head)
            found += below
        at = after
    return found


def _blocks(text: str, start: int, end: int) -> Iterator[_Block]:
    """Yield the paragraphs, items and tables of `text[start:end]` with their levels."""
    levels, before = Levels(), ""
    for first, last in _spans(text, start, end, levels):
        words = text[first:last]
        found = markers(words.partition("\n")[0])
        is_row = words.startswith("|")
        tied = bool(before) and not found.meanings and _goes_on(before, words, is_row)
        title = not found.meanings and not is_row and _is_title(words)
        level = _TIED if tied else _TITLE if title else _PROSE + levels.enter(found)
        leads = title or bool(found.meanings) or words.endswith(":") or bool(_ANNOUNCES.match(words))
        yield _Block(first, last, level, leads)
        before = words


def _is_title(words: str) -> bool:
    """Tell a short line alone that is no sentence: labels and PDFs have sub-headings that are marked in no other way."""
    return (
        len(words) <= _TITLE_CHARACTERS
        and "\n" not in words
        and words[:1].isupper()
        and words[-1] not in ".,;:!?"
    )


def _goes_on(before: str, words: str, is_row: bool) -> bool:
    """Tell whether a paragraph goes on with the one before it: broken by the layout, or a table with its title above."""
    if before.lstrip().startswith("|"):
        return False
    if is_row:
        return before.endswith(":") or bool(_ANNOUNCES.match(before))
    return words[:1].islower() or not before[markers(before).after :].strip()


def _spans(text: str, start: int, end: int, levels: Levels) -> Iterator[tuple[int, int]]:
    """Yield where each block begins and ends: at blank lines, around tables, and where an item begins in the next line."""
    first = last = lines = 0
    rows = False
    for line in _LINE.finditer(text, start, end):
        words = line[0].strip()
        row = words.startswith("|")
        caption = row and not rows and lines <= _CAPTION_LINES
        if lines and (
            not words or (row != rows and not caption) or _begins_item(line[0], text[last - 1], levels)
        ):
            yield first, last
            lines, rows = 0, False
        if words:
            if not lines:
                first = line.start() + len(line[0]) - len(line[0].lstrip())
            last = line.start() + len(line[0].rstrip())
            lines, rows = lines + 1, rows or row
    if lines:
        yield first, last


def _begins_item(line: str, ended: str, levels: Levels) -> bool:
    """Tell whether a line below another, which ended in the character `ended`, begins an item of a list."""
    found = markers(line).meanings
    if not found:
        return False
    return found[0][0][0].startswith("bullet") or ended in ".;:" or levels.continues(found[0])


def _is_row(text: str, row: tuple[int, int]) -> bool:
    return text[slice(*row)].lstrip().startswith("|")


def _is_rule(text: str, row: tuple[int, int]) -> bool:
    words = text[slice(*row)].strip()
    return words.startswith("|") and "-" in words and _RULE.issuperset(words)


def _trimmed(text: str, start: int, end: int) -> int:
    """Return where `text[start:end]` ends without the white space at its end."""
    return start + len(text[start:end].rstrip())
