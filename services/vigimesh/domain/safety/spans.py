"""What a deterministic reader found in a text: where it stands, how it came out, and how much text is read at all.

Every reader here is one pass of bounded patterns: each quantifier is bounded or possessive and each match begins at
another place, so the work per character has a fixed bound and a narrative costs in proportion to its length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

#: `read` has one value. `ambiguous` has every reading it may have, `vague` none ("a few days"), `conflict` contradicts
#: itself ("Monday 12 January 2016", a Tuesday), `impossible` cannot be (31 February), `unknown_unit` and `mixed_scripts`
#: are written in no unit or script that is read, `no_value` is a unit without its number, `needs_reference` cannot be
#: resolved without the day it is told from, `not_read` is the text beyond the limits below.
Outcome = Literal[
    "read", "ambiguous", "vague", "conflict", "impossible", "unknown_unit", "mixed_scripts", "no_value",
    "needs_reference", "not_read",
]  # fmt: skip

#: Characters that are read: what ICH E2B(R3) H.1 allows a narrative. What lies beyond is told (`not_read`), not read.
MAX_CHARACTERS = 100_000
#: Findings of one reader in one text: a reviewer reads no more, and an event stays small.
MAX_SPANS = 1_000
#: Characters of a quotation, as in `text_seriousness`.
MAX_QUOTE = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A place in a text: `text` is what stands from `start` to `end` (characters, end excluded)."""

    start: int
    end: int
    text: str
    outcome: Outcome = "read"

    @property
    def place(self) -> str:
        """The place as a finding quotes it: `start-end:text`."""
        return f"{self.start}-{self.end}:{self.text[:MAX_QUOTE]}"


S = TypeVar("S", bound=Span)


def bounded(text: str) -> str:
    """Return the part of a text that is read."""
    return text if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS]


def unread(text: str, found: Sequence[Span]) -> Span | None:
    """Return the part of `text` that was not read, given what was found, or None when all of it was."""
    if len(found) >= MAX_SPANS:
        start = found[-1].end
    elif len(text) > MAX_CHARACTERS:
        start = MAX_CHARACTERS
    else:
        return None
    return Span(start=start, end=len(text), text=text[start : start + MAX_QUOTE], outcome="not_read")


def apart(found: Iterable[S]) -> Iterator[S]:
    """Yield, from left to right, what does not overlap: of two the earlier, of two at one place the longer."""
    last = 0
    for one in sorted(found, key=lambda span: (span.start, -span.end)):
        if one.start >= last:
            yield one
            last = one.end


def windows(anchor: re.Pattern[str], low: str, before: int, after: int) -> list[tuple[int, int]]:
    """Return the stretches of `low` (lower case) around what every match must hold, those that touch made one.

    A cheap look for the anchor spares the dear pattern most of a text. `after` must be wider than anything that a match
    and its look ahead hold behind the anchor, `before` than what it holds in front.
    """
    found: list[tuple[int, int]] = []
    for match in anchor.finditer(low):
        start, end = max(0, match.start() - before), match.end() + after
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def within(
    pattern: re.Pattern[str], read: str, stretches: Iterable[tuple[int, int]]
) -> Iterator[re.Match[str]]:
    """Yield the matches of a pattern in those stretches of a text."""
    for start, end in stretches:
        yield from pattern.finditer(read, start, end)
