"""The score of a text that somebody may have lengthened: the highest over the text and its parts, so that harmless words hide nothing. Pure.

Each block of a text has length 1, so that every sentence more, whatever it tells, takes weight from the others. So the text is scored once as it is,
and once for each run of up to `RUN` sentences in it, as if that were the narrative of its case; the highest margin counts. So whole sentences before or after a
text of at most `RUN` sentences and at least `LEAST_WORDS` words never lower it below what that text alone has, whatever they say; those put between its sentences,
or around a longer text whose parts by themselves say less than the whole, can.

A threshold is certified on these margins; the calibrated probability and the figures of the model alone are of the whole text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vigimesh.domain.cascade.facts import facts_with
from vigimesh.domain.cascade.features import Ints
from vigimesh.domain.cascade.model import Model, margins_of
from vigimesh.domain.cascade.vectors import Floats

#: Sentences of the longest part, and the fewest words of one: what is shorter is a heading or a crumb, and its score is of nothing.
RUN, LEAST_WORDS = 2, 5
#: Parts of one text that are scored: the longest narrative of eight years of VAERS has 74. A text of more is not read whole.
MAX_PARTS = 512

_SENTENCE = re.compile(r"[^.;!?\n]{1,4000}[.;!?\n]*")


def parts_of(text: str) -> tuple[str, ...]:
    """Return the runs of 1 to `RUN` sentences of a text, each once, without the text itself; at most `MAX_PARTS` + 1."""
    sentences = [one for found in _SENTENCE.findall(text) if (one := found.strip())]
    found: dict[str, None] = {}
    for at in range(len(sentences)):
        for size in range(1, RUN + 1):
            run = sentences[at : at + size]
            if len(run) < size or len(run) == len(sentences):
                break
            part = " ".join(run)
            if len(part.split()) >= LEAST_WORDS:
                found.setdefault(part)
        if len(found) > MAX_PARTS:
            break
    return tuple(found)[: MAX_PARTS + 1]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Worst:
    """Of each text: its own margin, the highest over it and its parts, the part that has it with its facts, and whether every part was scored."""

    own: Floats
    highest: Floats
    texts: tuple[str, ...]
    facts: tuple[Sequence[str], ...]
    seen: tuple[bool, ...]


def worst_of(model: Model, texts: Sequence[str], facts: Sequence[Sequence[str]]) -> Worst:
    """Return the worst of each text, in their order. Raises `ValueError` when there are not as many sequences of facts as texts."""
    every: list[tuple[str, Sequence[str]]] = list(zip(texts, facts, strict=True))
    owner, seen = list(range(len(every))), list[bool]()
    for at, text in enumerate(texts):
        parts = parts_of(text)
        seen.append(len(parts) <= MAX_PARTS)
        every += [(part, facts_with(facts[at], part)) for part in parts[:MAX_PARTS]]
        owner += [at] * min(len(parts), MAX_PARTS)
    margins = margins_of(model, [text for text, _ in every], [given for _, given in every])
    best = _highest(margins, np.array(owner, dtype=np.int64), len(texts))
    chosen = [every[at] for at in best.tolist()]
    return Worst(
        own=margins[: len(texts)], highest=margins[best], texts=tuple(text for text, _ in chosen),
        facts=tuple(given for _, given in chosen), seen=tuple(seen),
    )  # fmt: skip


def _highest(margins: Floats, owner: Ints, count: int) -> Ints:
    """Return for each owner the place of its highest margin, the first of equal ones."""
    order = np.lexsort((np.arange(len(margins)), -margins, owner))
    first = np.searchsorted(owner[order], np.arange(count))
    found: Ints = order[first]
    return found
