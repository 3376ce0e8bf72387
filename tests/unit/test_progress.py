"""The map of what is done beyond the watermark: its table of cases, its encodings, and the bound of its space."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

from vigimesh.loop import progress as room
from vigimesh.loop.broker import Part, Position
from vigimesh.loop.progress import Progress, holds, write

PART = Part("plan.hot", 3)


def begun(position: Position | int = 0) -> Progress:
    """Progress of a new assignment that goes on from a position."""
    at = Position(offset=position) if isinstance(position, int) else position
    return Progress.resumed(PART, 1, at)


def numbers(text: str) -> list[int]:
    """`10-12,14` as numbers; `-` as none."""
    found: list[int] = []
    for run in text.split(",") if text != "-" else []:
        first, _, last = run.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return found


def committed(text: str) -> tuple[int, list[int]]:
    """`10 (12-13)` as a watermark and what is done beyond it."""
    offset, _, beyond = text.partition(" ")
    return int(offset), numbers(beyond.strip("()") or "-")


def placed(offset: int, beyond: Iterable[int]) -> Position:
    """The position that says so."""
    done = set(beyond)
    if not done:
        return Position(offset=offset)
    high = max(done) + 1
    return Position(offset=offset, metadata=write([at for at in range(offset, high) if at not in done], high))


def said(position: Position) -> tuple[int, list[int]]:
    """What a position says, asked offset by offset."""
    return position.offset, [
        at for at in range(position.offset, position.offset + 100) if holds(position, at)
    ]


def cases() -> list[tuple[str, ...]]:
    """The rows of the table in the room's own docstring."""
    lines = (room.__doc__ or "").splitlines()
    head = next(at for at, line in enumerate(lines) if line.strip().startswith("case "))
    rows = [tuple(re.split(r" {2,}", line.strip())) for line in lines[head + 1 :] if line.strip()]
    assert len(rows) >= 20
    return rows


@pytest.mark.parametrize("row", cases(), ids=lambda row: row[0])
def test_the_table_of_cases_holds(row: tuple[str, ...]) -> None:
    _, resumed, taken, finished, end, expected = row
    progress = begun(placed(*committed(resumed)))
    for offset in numbers(taken):
        progress.take(offset)
    if end != "-":
        progress.reached(int(end))
    ahead = progress.position(numbers(finished))
    progress.finish(numbers(finished))
    assert said(ahead) == committed(expected)
    assert progress.position() == ahead
