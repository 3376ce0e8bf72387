"""What optical character recognition gives of a page, as lines of text, or the numbers of the pages that it is not sure of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vigimesh.errors import Refused
from vigimesh.ports.scans import ScannedLine, ScannedPage

#: How sure each line with a letter or digit must be, and those of a page on average: a dose stands in one line. Of 18 pages of print drawn ever
#: worse, the 3 that pass were read without an error; of 66 lines below the first 64 had one, of 69 above 7 (decision 0056).
LEAST_SURE, LEAST_MEAN = 0.95, 0.985
#: Pages of one document that are read so: at some two seconds each a quarter of an hour.
MAX_SCANNED = 400
#: Heights of a line between two pieces side by side, from which on they are two columns' or two cells'.
_APART = 2.0
#: Characters of a line that a message quotes.
_QUOTED = 40
#: Pages that a message names.
_NAMED = 12


@dataclass(slots=True)
class Piece:
    """A line at its place, in points from the lower left."""

    x: float
    y: float
    words: str


def in_rows(lines: Iterable[ScannedLine]) -> tuple[Piece, ...]:
    """Return lines from the top, pieces of one row from the left; those that stand close are one line."""
    rows: list[list[ScannedLine]] = []
    for line in sorted(lines, key=lambda one: -one.y):
        if rows and rows[-1][0].y - line.y < min(rows[-1][0].height, line.height) / 2:
            rows[-1].append(line)
        else:
            rows.append([line])
    found: list[Piece] = []
    for row in rows:
        height = row[0].y
        row.sort(key=lambda one: one.x)
        for at, line in enumerate(row):
            before = row[at - 1]
            if at and line.x - (before.x + before.width) < _APART * line.height:
                found[-1].words += f" {line.words}"
            else:
                found.append(Piece(line.x, height, line.words))
    return tuple(found)


def check_sure(pages: Sequence[ScannedPage], where: str, todo: str) -> None:
    """Raise `Refused` VM-1560 with the numbers of pages of which a line is unsure, or which show something and gave no line."""
    unsure = {one.number: why for one in pages if not one.blank and (why := _unsure(one))}
    if unsure:
        raise Refused(
            "VM-1560", what=f"{named_pages(list(unsure))} were not read surely enough by OCR ({next(iter(unsure.values()))})",
            where=where, todo=todo,
        )  # fmt: skip


def _unsure(page: ScannedPage) -> str:
    """Say why a page is not sure, and of which line, so that a person finds it; "" for one that is."""
    lines = [one for one in page.lines if any(sign.isalnum() for sign in one.words)]
    if not lines:
        return f"page {page.number} shows something and gave no words"
    least, mean = min(lines, key=lambda one: one.sure), sum(one.sure for one in lines) / len(lines)
    if least.sure < LEAST_SURE:
        return f"page {page.number}, {least.words[:_QUOTED]!r}: {least.sure:.3f} of 1, wanted {LEAST_SURE}"
    return f"page {page.number} on average: {mean:.4f} of 1, wanted {LEAST_MEAN}" if mean < LEAST_MEAN else ""


def named_pages(numbers: Sequence[int]) -> str:
    """Return page numbers for a message, the first twelve by name."""
    named = ", ".join(map(str, numbers[:_NAMED]))
    more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
    return f"pages {named}{more}"
