"""Listedness: whether the product's reference document lists each reaction, and where.

ICH E2C(R2) *listed*, EMA GVP annex I; for US labels the whole labelling counts, warnings included (21 CFR 314.80(a)).
A machine compares words only: it does not judge that a listed term was more specific or more severe than usual, so that
its "yes" lowers a grade of a non-serious case at most. A place with a slip of the pen is shown to the reader and does not
count: whether it is the same word is a guess, and unlisted is the side on which nothing is missed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from vigimesh.domain.safety.criteria import SUSPECT_ROLES
from vigimesh.domain.safety.listed_terms import HOW, SURE, How, Mention, mention_of
from vigimesh.events.case import Case, Product
from vigimesh.events.knowledge import Passage

#: A heading under which a document lists reactions; a passage of another section lists nothing.
_LISTING = re.compile(
    r"\b(?:listed|adverse (?:drug )?(?:reactions?|events?|effects?)|undesirable|side effects?|boxed warnings?)\b"
    r"|(?<!special )\bwarnings\b",
    re.IGNORECASE,
)
_SPACE = re.compile(r"[\s_-]+")
#: Reactions and products compared; beyond it nobody has read the case either, and it stays unchecked.
MAX_PAIRS = 2_000
#: Listings kept: what a reviewer reads at a glance.
MAX_LISTINGS = 12
#: Distinct terms and names remembered: a year of VAERS has fewer than 3,000.
_MEMORY = 8_192


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Where a reaction is listed for a product: how, and the place in the document's text, in characters."""

    term: str
    product: str
    how: How
    document_id: str
    version: str
    section: str
    start: int
    end: int
    quote: str

    @property
    def place(self) -> str:
        """The listing in one line, for a reader."""
        said = " ".join(self.quote.split())
        return (
            f"{self.term}: {self.how} at {self.document_id}@{self.version}#{self.start}-{self.end} '{said}'"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Listedness:
    """`result` is yes (every reaction, for every suspect), no, or not_checked.

    `cited` are the passages it rests on, `listings` one place per product and reaction that is listed, or perhaps is (`fuzzy`).
    """

    result: Literal["yes", "no", "not_checked"]
    unlisted: int
    cited: tuple[str, ...]
    listings: tuple[Listing, ...] = ()


def listedness(case: Case, passages: Sequence[Passage]) -> Listedness:
    """Return whether every reaction of `case` is listed for every suspect product.

    A product that no passage of a list speaks of leaves the case unchecked, unless another product's list already
    lacks a reaction: that is enough for "no".
    """
    suspects = [product for product in case.products if product.role in SUSPECT_ROLES]
    reactions = list(
        dict.fromkeys(name for name in ((r.term or r.text).strip() for r in case.reactions) if name)
    )
    if not suspects or not reactions or len(suspects) * len(reactions) > MAX_PAIRS:
        return Listedness(result="not_checked", unlisted=0, cited=())
    lists = _lists_by_product(suspects, passages)
    cited: dict[str, None] = {}
    listings: list[Listing] = []
    unlisted: set[str] = set()
    unchecked = False
    for place, product in enumerate(suspects):
        found = lists.get(place, [])
        unchecked = unchecked or not found
        for passage in found:
            cited[f"{passage.document_id}@{passage.version}#{passage.start}-{passage.end}"] = None
        for name in reactions if found else ():
            listing = listed_in(name, product.name, found)
            if listing is None or listing.how not in SURE:
                unlisted.add(name)
            if listing is not None:
                listings.append(listing)
    result: Literal["yes", "no", "not_checked"] = "no" if unlisted else "not_checked" if unchecked else "yes"
    return Listedness(
        result=result, unlisted=len(unlisted), cited=tuple(cited), listings=tuple(listings[:MAX_LISTINGS])
    )


def listed_in(term: str, product: str, passages: Sequence[Passage]) -> Listing | None:
    """Return the best place among `passages` that lists `term`: verbatim, else synonym, else fuzzy; `None` if none does."""
    best: tuple[int, Passage, Mention] | None = None
    for passage in passages:
        mention = mention_of(term, passage.text)
        if mention is not None and (best is None or HOW.index(mention.how) < best[0]):
            best = HOW.index(mention.how), passage, mention
    if best is None:
        return None
    _, passage, mention = best
    return Listing(
        term=term, product=product, how=mention.how, document_id=passage.document_id, version=passage.version,
        section=passage.section, start=passage.start + mention.start, end=passage.start + mention.end,
        quote=mention.quote,
    )  # fmt: skip


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
        # What only the innermost heading tells is for passages of before the index said it: a label's list has parts with names of
        # their own, and of a document on a subject the outer heading says nothing of a product.
        if not (passage.lists_reactions or _LISTING.search(passage.section.rpartition(">")[2])):
            continue
        question = _normal(passage.question)
        fitting = [name for name, _ in names if question == name or question.startswith(name + " ")]
        longest = max(fitting, key=len, default="")
        for place in {place for name, place in names if name == longest}:
            lists.setdefault(place, []).append(passage)
    return lists


@lru_cache(maxsize=_MEMORY)
def _normal(text: str) -> str:
    """Return the form under which two spellings of a product's name are one: case and blanks do not count."""
    return _SPACE.sub(" ", text.casefold()).strip(" *.")
