"""Listedness: whether each reaction stands, word for word, in the list of the product's reference document.

ICH E2C(R2) *listed*, EMA GVP annex I. A machine compares words only: it does not judge that a listed term was more
specific or more severe than usual, so that its "yes" lowers a grade of a non-serious case at most.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from vigimesh.domain.safety.criteria import SUSPECT_ROLES
from vigimesh.events.case import Case, Product
from vigimesh.events.classes import Passage

#: A heading under which a document lists reactions; a passage of another section lists nothing.
_LISTING = re.compile(
    r"\b(?:listed|adverse (?:drug )?(?:reactions?|events?|effects?)|undesirable|side effects?)\b",
    re.IGNORECASE,
)
#: Separators of a list in prose.
_ITEM_END = re.compile(r"[,;:.()\n\u2022]|\band\b|\bor\b")
_SPELLING = (
    ("haem", "hem"),
    ("oedema", "edema"),
    ("oea", "ea"),
    ("aemia", "emia"),
    ("oes", "es"),
    ("ise", "ize"),
)
_SPACE = re.compile(r"[\s_-]+")
#: Reactions and products compared; beyond it nobody has read the case either, and it stays unchecked.
MAX_PAIRS = 2_000
#: Distinct terms and names remembered: a year of VAERS has fewer than 3,000.
_MEMORY = 8_192


@dataclass(frozen=True, slots=True, kw_only=True)
class Listedness:
    """`result` is yes (every reaction, for every suspect), no, or not_checked; `cited` are the passages it rests on."""

    result: Literal["yes", "no", "not_checked"]
    unlisted: int
    cited: tuple[str, ...]


def listedness(case: Case, passages: Sequence[Passage]) -> Listedness:
    """Return whether every reaction of `case` is listed for every suspect product.

    A product that no passage of a list speaks of leaves the case unchecked, unless another product's list already
    lacks a reaction: that is enough for "no".
    """
    suspects = [product for product in case.products if product.role in SUSPECT_ROLES]
    reactions = [name for name in (_normal(r.term or r.text) for r in case.reactions) if name]
    if not suspects or not reactions or len(suspects) * len(reactions) > MAX_PAIRS:
        return Listedness(result="not_checked", unlisted=0, cited=())
    lists = _lists_by_product(suspects, passages)
    cited: dict[str, None] = {}
    unlisted: set[str] = set()
    unchecked = False
    for place in range(len(suspects)):
        items: set[str] = set()
        for passage in lists.get(place, ()):
            items.update(_items(passage.text))
            cited[f"{passage.document_id}@{passage.version}#{passage.start}-{passage.end}"] = None
        unchecked = unchecked or place not in lists
        unlisted.update(name for name in reactions if place in lists and name not in items)
    result: Literal["yes", "no", "not_checked"] = "no" if unlisted else "not_checked" if unchecked else "yes"
    return Listedness(result=result, unlisted=len(unlisted), cited=tuple(cited))


def _lists_by_product(suspects: Sequence[Product], passages: Sequence[Passage]) -> dict[int, list[Passage]]:
    """Give each passage of a list to the product its question begins with: the longest name that fits."""
    lists: dict[int, list[Passage]] = {}
    names = [
        (name, place)
        for place, product in enumerate(suspects)
        for name in (_normal(product.name), _normal(product.substance))
        if name
    ]
    for passage in passages:
        if not _LISTING.search(passage.section.rpartition(">")[2]):
            continue
        question = _normal(passage.question)
        fitting = [name for name, _ in names if question == name or question.startswith(name + " ")]
        longest = max(fitting, key=len, default="")
        for place in {place for name, place in names if name == longest}:
            lists.setdefault(place, []).append(passage)
    return lists


def _items(text: str) -> set[str]:
    return {item for item in (_normal(part) for part in _ITEM_END.split(text)) if item}


@lru_cache(maxsize=_MEMORY)
def _normal(text: str) -> str:
    """Return the form under which two spellings of a term are one: case, blanks, British and American."""
    plain = _SPACE.sub(" ", text.casefold()).strip(" *.")
    for british, american in _SPELLING:
        plain = plain.replace(british, american)
    return plain
