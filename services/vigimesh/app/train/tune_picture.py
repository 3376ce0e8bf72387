"""A cost/recall curve as a picture: one list of strokes and words, written as SVG or painted as PNG, both the same bytes each time.

No drawing library: a curve is some hundred strokes. Words in the PNG are of letters five points high, which are all that it needs.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Size of the picture and of its margins, points.
WIDE, HIGH, LEFT, RIGHT, TOP, FOOT = 720, 420, 70, 20, 50, 50
INK, GREY, FOUND, BOUND = "#222222", "#bbbbbb", "#8a8a8a", "#1e6f43"
#: Recall at the foot of the picture: where `tune` ends its curve.
LOWEST = 0.8
#: Width and height of one letter, and the size of its dots in the PNG.
_LETTER_WIDE, _LETTER_HIGH, _DOT = 3, 5, 2

#: Letters, row by row from the top: each digit holds the three dots of a row as a number, the left one weighing 4.
_LETTERS = {
    " ": "00000", "%": "51245", "-": "00700", ".": "00002", "/": "11244", ":": "02020", ",": "00024", ">": "42124", "=": "07070", "(": "24442",
    ")": "21112", "0": "75557", "1": "26227", "2": "71747", "3": "71317", "4": "55711", "5": "74717", "6": "74757", "7": "71122", "8": "75757",
    "9": "75717", "A": "25755", "B": "65656", "C": "34443", "D": "65556", "E": "74647", "F": "74644", "G": "34553", "H": "55755", "I": "72227",
    "J": "11152", "K": "55655", "L": "44447", "M": "57755", "N": "65555", "O": "25552", "P": "65644", "Q": "25563", "R": "65655", "S": "34216",
    "T": "72222", "U": "55557", "V": "55552", "W": "55775", "X": "55255", "Y": "55222", "Z": "71247",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stroke:
    """Points joined by straight lines, in points from the upper left corner."""

    points: tuple[tuple[float, float], ...]
    colour: str
    wide: int = 1


@dataclass(frozen=True, slots=True)
class Words:
    """A text that begins, has its middle or ends (`anchor`) at a point; its foot stands there."""

    x: float
    y: float
    text: str
    anchor: str = "start"


def drawn(made: Mapping[str, Any]) -> str:
    """Return the curve of `tune.curve` as an SVG document."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {HIGH}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDE}" height="{HIGH}" fill="#ffffff"/>',
    ]
    for part in _parts(made):
        if isinstance(part, Stroke):
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in part.points)
            lines.append(
                f'<polyline points="{points}" fill="none" stroke="{part.colour}" stroke-width="{part.wide}"/>'
            )
        else:
            lines.append(
                f'<text x="{part.x:.1f}" y="{part.y:.1f}" text-anchor="{part.anchor}" fill="{INK}">{escape(part.text)}</text>'
            )
    return "\n".join([*lines, "</svg>", ""])


def painted(made: Mapping[str, Any]) -> bytes:
    """Return the same picture as a PNG, 8 bits a colour."""
    paper = np.full((HIGH, WIDE, 3), 255, dtype=np.uint8)
    for part in _parts(made):
        if isinstance(part, Stroke):
            _stroke(paper, part)
        else:
            _write(paper, part)
    rows = b"".join(b"\0" + row.tobytes() for row in paper)
    head = struct.pack(">IIBBBBB", WIDE, HIGH, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )  # fmt: skip


def _parts(made: Mapping[str, Any]) -> Iterator[Stroke | Words]:
    yield Words(LEFT, 20, f"Recall by what is handed on: {made['cases']} cases, {made['serious']} serious")
    yield Words(LEFT, 38, "Grey: recall found here. Green: its lower bound at 95 %")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        yield Stroke((_at(share, LOWEST), _at(share, 1.0)), GREY)
        yield Words(_at(share, 0)[0], HIGH - FOOT + 18, f"{share:.0%}", "middle")
    for recall in (0.8, 0.85, 0.9, 0.95, 1.0):
        yield Stroke((_at(0.0, recall), _at(1.0, recall)), GREY)
        yield Words(LEFT - 8, _at(0, recall)[1] + 4, f"{recall:.2f}", "end")
    yield Words((LEFT + WIDE - RIGHT) / 2, HIGH - 12, _axis(made), "middle")
    for name, colour in (("recall", FOUND), ("recall_low", BOUND)):
        points = [_at(one["handed_on"], one[name]) for one in made["points"] if one[name] >= LOWEST]
        if points:
            yield Stroke(tuple(points), colour, 2)
    for recall, one in made["bounds"].items():
        if one is None:
            continue
        x, y = _at(one["handed_on"], one["recall_low"])
        yield Stroke(((x - 4, y - 4), (x + 4, y - 4), (x + 4, y + 4), (x - 4, y + 4), (x - 4, y - 4)), BOUND)
        # Beside its square, on the side where there is room.
        side, anchor = (-8, "end") if x > WIDE - 100 else (8, "start")
        yield Words(x + side, y + 14, f"{recall}: {one['handed_on']:.0%}", anchor)


def _axis(made: Mapping[str, Any]) -> str:
    price = made["call_micro"]
    told = f", 100% costs {price * 1_000 / 1e6:.2f} for 1,000 cases" if price else ""
    return f"handed on to the large model or a person{told}"


def _at(share: float, recall: float) -> tuple[float, float]:
    """Return where a share handed on and a recall lie."""
    above = (max(recall, LOWEST) - LOWEST) / (1 - LOWEST)
    return LEFT + share * (WIDE - LEFT - RIGHT), HIGH - FOOT - above * (HIGH - TOP - FOOT)


def _stroke(paper: NDArray[np.uint8], stroke: Stroke) -> None:
    for (x0, y0), (x1, y1) in zip(stroke.points, stroke.points[1:], strict=False):
        steps = 2 * int(max(abs(x1 - x0), abs(y1 - y0))) + 2
        for way in range(stroke.wide):
            x = np.linspace(x0, x1, steps).round().astype(int)
            y = np.linspace(y0, y1, steps).round().astype(int) + way
            paper[y.clip(0, HIGH - 1), x.clip(0, WIDE - 1)] = _colour(stroke.colour)


def _write(paper: NDArray[np.uint8], words: Words) -> None:
    text = words.text.upper()
    step = (_LETTER_WIDE + 1) * _DOT
    left = round(
        words.x - {"start": 0.0, "middle": 0.5, "end": 1.0}[words.anchor] * (len(text) * step - _DOT)
    )
    top = round(words.y) - _LETTER_HIGH * _DOT
    for place, letter in enumerate(text):
        for row, dots in enumerate(_LETTERS.get(letter, _LETTERS["-"])):
            for column in _columns(int(dots)):
                x, y = left + place * step + column * _DOT, top + row * _DOT
                paper[max(0, y) : max(0, y + _DOT), max(0, x) : max(0, x + _DOT)] = _colour(INK)


def _columns(dots: int) -> Sequence[int]:
    return [column for column in range(_LETTER_WIDE) if dots >> (_LETTER_WIDE - 1 - column) & 1]


def _colour(code: str) -> tuple[int, int, int]:
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)
