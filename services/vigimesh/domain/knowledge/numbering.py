"""Markers of paragraphs and headings, and how deep each stands: `(a)`, `(1)`, `(iv)`, `2.1`, `B.`, bullets.

US regulations number (a)(1)(i)(A), guidance I.A.1.a, European guidance 1, 1.1. A marker does not say its level: `(i)` may follow
`(h)` or begin a list of its own. It is told by what it continues.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_BULLETS = "-*\u2022\u25aa\u25cf\u25e6\u2013\u00b7\uf0b7"
_WORD = r"[0-9]{1,3}|[A-Za-z]|[ivxlc]{1,6}|[IVXLC]{1,6}"
_MARKER = re.compile(
    rf"(?P<bullet>[{re.escape(_BULLETS)}])(?:[ \t]+|$)"
    r"|(?P<parts>[0-9]{1,3}(?:\.[0-9]{1,3}){1,4})\.?(?:[ \t]+|$)"
    rf"|\((?P<both>{_WORD})\)[ \t]*"
    rf"|(?P<close>{_WORD})\)(?:[ \t]+|$)"
    rf"|(?P<dot>{_WORD})\.(?:[ \t]+|$)"
)
#: Markers read at the beginning of one line: `(a)(1)(i)` has three.
_MARKERS = 4
#: Columns of indentation by which bullets are told apart, two a level, eight levels.
_INDENT_STEP, _INDENTS = 2, 8
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_ROMAN_FORM = re.compile(r"(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})")

#: What kind of marker it is, and its number within the kind.
Mark = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Markers:
    """The markers that a line begins with, each with all that it may mean, and where the words begin."""

    meanings: tuple[tuple[Mark, ...], ...]
    after: int


def markers(line: str) -> Markers:
    """Return the markers at the beginning of `line`, none for a line of words."""
    at = indent = len(line) - len(line.lstrip())
    found: list[tuple[Mark, ...]] = []
    while len(found) < _MARKERS and (marker := _MARKER.match(line, at)):
        kind = str(marker.lastgroup)
        meanings = tuple(_meanings(kind, marker[kind], indent))
        if not meanings or (found and kind != "both"):
            break
        found.append(meanings)
        at = marker.end()
    return Markers(meanings=tuple(found), after=at)


def _meanings(kind: str, word: str, indent: int) -> Iterator[Mark]:
    if kind == "bullet":
        yield f"bullet {word} {min(indent // _INDENT_STEP, _INDENTS)}", 0
    elif kind == "parts":
        yield f"parts {word.count('.')}", int(word.rpartition(".")[2])
    elif word.isdigit():
        yield f"{kind} 1", int(word)
    else:
        case = "a" if word.islower() else "A"
        if _ROMAN_FORM.fullmatch(word.lower()):
            yield f"{kind} roman {case}", _roman(word.lower())
        if len(word) == 1:
            yield f"{kind} {case}", ord(word.lower()) - ord("a") + 1


def _roman(word: str) -> int:
    values = [_ROMAN[letter] for letter in word]
    return sum(
        -value if value < after else value for value, after in zip(values, [*values[1:], 0], strict=True)
    )


@dataclass
class Levels:
    """Tells the level of each marker, in the order of the text; the deepest is the number of kinds (about 130)."""

    _open: list[Mark] = field(default_factory=list)

    def enter(self, found: Markers) -> int:
        """Return the level (1 is outermost) of the first marker of a line, and remember all of them."""
        levels = [self._enter(meanings) for meanings in found.meanings]
        return levels[0] if levels else 0

    def continues(self, meanings: tuple[Mark, ...]) -> bool:
        """Tell whether a marker follows one that is open."""
        return any((kind, number - 1) in self._open for kind, number in meanings)

    def begins(self, meanings: tuple[Mark, ...]) -> bool:
        """Tell whether a marker is the first of a kind that is not open."""
        kinds = {kind for kind, _ in self._open}
        return any(number == 1 and kind not in kinds for kind, number in meanings)

    def _enter(self, meanings: tuple[Mark, ...]) -> int:
        for depth in reversed(range(len(self._open))):
            for kind, number in meanings:
                if self._open[depth] == (kind, number - 1):
                    return self._set(depth, (kind, number))
        mark = next((one for one in meanings if one[1] == 1), meanings[-1])
        kinds = [kind for kind, _ in self._open]
        return self._set(kinds.index(mark[0]) if mark[0] in kinds else len(kinds), mark)

    def _set(self, depth: int, mark: Mark) -> int:
        self._open[depth:] = [mark]
        return depth + 1
