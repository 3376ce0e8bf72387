"""What two sides of a search found becomes one order, and a side that kept something back is found out. Pure.

Reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009): each side gives its weight / (60 + rank), so that a text score and a cosine
need no common scale. A side counts only where it knows something: words that match, or vectors of all passages of the one product
that a question is about. Of all documents at once something is always near, and the fused order was worse than that of words alone (0049).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vigimesh.errors import Broken
from vigimesh.events.knowledge import Passage

#: The constant of the paper, found there to be good over many collections.
K = 60
#: What the rank of the vectors counts beside that of the words, 1: between a half and a twentieth little changed on the labels that were tuned on.
VECTOR_WEIGHT = 0.25
#: The score that words give a passage of which they match nothing, for standing where reactions are listed.
LISTED_SCORE = 5_000.0
#: Passages that each side hands over per question, at least: 50 gave what 20 gave, 5 a hundredth less in rank (0049).
DEPTH = 20

#: Most characters of a text that is put to a model: a passage with its headings.
TEXT_CHARACTERS = 2_000

#: Why a question was answered by its words alone; the empty word says that vectors had their say.
OFF, FREE, ABSENT, AWAY, UNFINISHED, KEPT = "off", "free", "absent", "away", "unfinished", "kept"
#: Of these, the reasons that pass by themselves: an answer given meanwhile is not kept.
PASSING = frozenset((ABSENT, AWAY, UNFINISHED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A passage as one side found it. `score` is that side's own: of words, or the cosine."""

    passage: Passage
    place: int
    score: float

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells one passage from all others."""
        return (self.passage.document_id, self.passage.version, self.place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A passage and where each side had it, 1 is best; None where a side did not find it. `cosine` is 0 without vectors."""

    passage: Passage
    text_rank: int | None
    vector_rank: int | None
    cosine: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a question found, best first; `alone` says why words alone answered, and is empty when both sides did."""

    hits: tuple[Hit, ...]
    alone: str

    @property
    def passages(self) -> tuple[Passage, ...]:
        """The passages, best first."""
        return tuple(hit.passage for hit in self.hits)


def whole(
    near: Sequence[Near], in_scope: int, asked: int, where: str, side: str = "vectors"
) -> Sequence[Near]:
    """Return what a side found inside a scope, all of it.

    Raises `Broken` VM-2610 when fewer came back than the scope holds and the question asked for: a filter behind an approximate index does that,
    and what is missing may be the answer. `where` names the scope.
    """
    due = min(in_scope, asked)
    if len(near) < due:
        raise Broken(
            "VM-2610", what=f"the search by {side} gave {len(near)} passages of {in_scope}, {due} were due", where=where,
            todo="drop any index on knowledge.vector other than its primary key, and on knowledge.passage what the migrations did not make: "
            "the scan inside a scope must be exact",
        )  # fmt: skip
    return near


def by_words(text: Sequence[Near], limit: int, alone: str) -> Found:
    """Return the answer by words alone, as they rank, because of `alone`."""
    hits = tuple(
        Hit(passage=one.passage, text_rank=rank, vector_rank=None) for rank, one in enumerate(text[:limit], 1)
    )
    return Found(hits=hits, alone=alone)


def fused(text: Sequence[Near], near: Sequence[Near], limit: int) -> Found:
    """Return at most `limit` passages of both sides, each best first, by the sum of their weighted reciprocal ranks.

    Of what words score alike the place that comes first is the better one, as it mostly is in a label; only where no word matched, places
    where reactions are listed share a rank. What words score 0 has none. Equal sums go by document and place.
    """
    scores = [one.score for one in text]
    of_text = {
        one.key: scores.index(one.score) + 1 if one.score == LISTED_SCORE else rank
        for rank, one in enumerate(text, 1)
        if one.score > 0
    }
    of_vectors = {one.key: rank for rank, one in enumerate(near, 1)}
    cosines = {one.key: one.score for one in near}
    passages = {one.key: one for one in (*text, *near)}
    sums = {
        key: _given(1.0, of_text.get(key)) + _given(VECTOR_WEIGHT, of_vectors.get(key)) for key in passages
    }
    order = sorted(passages, key=lambda key: (-sums[key], key[0], key[2]))[:limit]
    hits = tuple(
        Hit(
            passage=replace(passages[key].passage, score=round(sums[key], 6)), text_rank=of_text.get(key), vector_rank=of_vectors.get(key),
            cosine=cosines.get(key, 0.0),
        )
        for key in order
    )  # fmt: skip
    return Found(hits=hits, alone="")


def _given(weight: float, rank: int | None) -> float:
    return weight / (K + rank) if rank else 0.0


def passage_text(title: str, section: str, above: str, body: str) -> str:
    """Return what is embedded of a passage: its document's title, its headings, its table's heading, itself."""
    headings = section if section.startswith(title) else f"{title}. {section}" if section else title
    return "\n".join(part for part in (headings, above, body) if part)[:TEXT_CHARACTERS]
