"""The passages of a document as every index holds them: where they stand, by which words, and whether they list reactions."""

from __future__ import annotations

from dataclasses import dataclass

from vigimesh.domain.knowledge.chunks import LISTED_HEADING
from vigimesh.domain.knowledge.cutting import Passage, cut
from vigimesh.domain.knowledge.questions import index_words
from vigimesh.domain.knowledge.sections import Place, Sectioned

#: LOINC codes of a label's sections that list reactions: adverse reactions, boxed warning, warnings and precautions, warnings (the
#: older format). For a US label these count all (21 CFR 314.80(a)). A passage tells it to `safety.listedness`.
LISTING_CODES = frozenset({"34084-4", "34066-1", "43685-7", "34071-1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """A passage with its words in order; `listed` says that it stands where its document lists reactions."""

    passage: Passage
    listed: bool
    words: tuple[str, ...]


def indexed(source: Sectioned) -> tuple[Indexed, ...]:
    """Return the passages of a document in the order of its text. Rows of a table are found by its heading as well."""
    return tuple(
        Indexed(
            passage=one,
            listed=lists_reactions(one.place),
            words=tuple(index_words(source.document, one.place.section, f"{one.above}\n{one.text}")),
        )
        for one in cut(source).passages
    )


def lists_reactions(place: Place) -> bool:
    """Tell whether a place is below the heading "Listed reactions", in whatever case, or in a label's section of `LISTING_CODES`."""
    headed = any(heading.casefold() == LISTED_HEADING.casefold() for heading in place.path)
    return headed or not LISTING_CODES.isdisjoint(place.codes)
