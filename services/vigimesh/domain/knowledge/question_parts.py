"""The parts of a question once each is named, and whether their order counts.

A question is *plain* when it is about at most one product, has at most one number and one population, takes nothing back, and
otherwise holds only words of reactions: "rash with A" is "A rash". In any other one all words stay at their place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from vigimesh.domain.knowledge.question_words import LEADING, MODAL

Kind = Literal[
    "drug", "strength", "schedule", "number", "route", "population", "term", "aspect", "unknown", "negation", "without",
    "link", "asking", "people", "forward", "backward", "empty",
]  # fmt: skip
#: Kinds that say what a question is about; the rest says how it is asked.
CONTENT: frozenset[Kind] = frozenset(
    ("drug", "strength", "schedule", "number", "route", "population", "term", "aspect", "unknown")
)
#: Kinds that belong to the product that is given.
_GIVEN: frozenset[Kind] = frozenset(("strength", "schedule", "route"))
#: Words of a plain question whose order does not count: with three, a modifier may belong to one or the other.
MAX_UNORDERED = 2


@dataclass(frozen=True, slots=True)
class Item:
    """One part: its kind, what it stands for, and its place in the question as it was read, in characters."""

    kind: Kind
    value: str
    start: int
    end: int


def without_cues(items: Sequence[Item]) -> tuple[list[Item], bool]:
    """Drop the one word that makes a reaction an effect of the product ("caused by"), where it can mean nothing else.

    It does where the product, with its dose, stands on its own side, and all else on the other. Returns what is left, and
    whether no such word is left.
    """
    cues = [place for place, item in enumerate(items) if item.kind in ("forward", "backward")]
    if not cues:
        return list(items), True
    place = cues[0]
    before = [item for item in items[:place] if item.kind in CONTENT]
    after = [item for item in items[place + 1 :] if item.kind in CONTENT]
    forward = items[place].kind == "forward"
    own, other = (before, after) if forward else (after, before)
    alone = [item.kind for item in own if item.kind not in _GIVEN] == ["drug"]
    if len(cues) > 1 or not alone or not any(item.kind == "term" for item in other):
        return list(items), False
    return [*items[:place], *items[place + 1 :]], True


def is_plain(items: Sequence[Item]) -> bool:
    """Tell whether a question is plain, as this module says."""

    def count(*kinds: Kind) -> int:
        return sum(item.kind in kinds for item in items)

    return (
        count("drug") <= 1
        and count("strength", "number") <= 1
        and count("schedule") <= 1
        and count("route") <= 1
        and count("population") <= 1
        and count("unknown", "negation", "without", "forward", "backward") == 0
        and all(_is_free(items, place) for place in range(len(items)))
    )


def _is_free(items: Sequence[Item], place: int) -> bool:
    """Tell whether a word may be left out, or moved, in a plain question."""
    item = items[place]
    if item.kind in ("people", "population"):
        return not place or items[place - 1].kind != "term"
    if item.kind == "link" and item.value in LEADING:
        behind = next((one.kind for one in items[place + 1 :] if one.kind in CONTENT), None)
        return behind in ("drug", "strength", "population")
    return True


def objects(items: Sequence[Item], kind: Kind) -> Iterator[str]:
    """Yield for each such word what it takes back: the next thing with content."""
    for place, item in enumerate(items):
        if item.kind == kind:
            yield next((one.value for one in items[place + 1 :] if one.kind in CONTENT), "")


def words_left(items: Sequence[Item], *, plain: bool) -> tuple[str, ...]:
    """Return what two questions must have alike: of a plain one the reactions and aspects, else every part in its order."""
    if not plain:
        kept = [item for item in items if item.kind != "empty" and not _is_modal(item)]
        return tuple(f"{item.kind} {item.value}" for item in kept)
    left = [item.value for item in items if item.kind in ("term", "aspect")]
    return tuple(sorted(left) if len(left) <= MAX_UNORDERED else left)


def _is_modal(item: Item) -> bool:
    return item.kind == "asking" and item.value in MODAL
