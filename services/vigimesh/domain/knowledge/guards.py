"""The guards of a semantic match: whether two questions may share an answer, however similar they are.

Similarity does not see what parts "5 mg" from "50 mg" or "with" from "without": published caches served opposite questions at
cosines of 0.83 to 0.9997. So an answer is shared only where every guard agrees: drug, strength, unit, schedule, route,
number, negation, with or without, population, label version, and last the words that are left, which must be the same or
known to mean the same. A guard that cannot tell parts them: an error here costs a search, the other one wrong advice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from vigimesh.domain.knowledge.facets import Facets, Guard
from vigimesh.events.ids import ID_DIGITS, digest

#: Every guard, in the order in which they are told.
GUARDS: tuple[Guard, ...] = get_args(Guard)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Which guards found a difference (`parted_by`) and which could not tell (`unsure`), in the order of `GUARDS`."""

    parted_by: tuple[Guard, ...] = ()
    unsure: tuple[Guard, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the two may share an answer."""
        return not self.parted_by and not self.unsure

    @property
    def why(self) -> str:
        """One line for a log or a reader."""
        if self.holds:
            return "all guards agree"
        told = [f"parted by {', '.join(self.parted_by)}"] if self.parted_by else []
        told += [f"cannot tell: {', '.join(self.unsure)}"] if self.unsure else []
        return "; ".join(told)


def agreement(one: Facets, other: Facets) -> Agreement:
    """Return what the guards say of two questions; symmetric.

    What one cannot read of a question keeps it from any other, from itself too: the same question in the same words is
    found by its key (`questions.key`), not by this.
    """
    found = {
        "version": one.version != other.version,
        "drug": one.drugs != other.drugs,
        "schedule": one.schedules != other.schedules,
        "route": one.routes != other.routes,
        "number": one.numbers != other.numbers,
        "negation": (one.negated, one.denied) != (other.negated, other.denied),
        "with_without": one.without != other.without,
        "population": one.populations != other.populations,
        "words": (one.plain, one.words) != (other.plain, other.words),
        **_measures(one, other),
    }
    unsure = one.unsure | other.unsure
    return Agreement(
        parted_by=tuple(guard for guard in GUARDS if found.get(guard)),
        unsure=tuple(guard for guard in GUARDS if guard in unsure),
    )


def _measures(one: Facets, other: Facets) -> dict[str, bool]:
    """Compare quantities place by place: "0.5 g" is "500 mg"; "5 g" against "5 mg" is a matter of the unit."""
    strength = len(one.strengths) != len(other.strengths)
    unit = False
    for mine, theirs in zip(one.strengths, other.strengths, strict=False):
        if mine.base != theirs.base:
            unit = True
        elif (mine.value, mine.upto) != (theirs.value, theirs.upto):
            other_unit = mine.written == theirs.written and mine.value != theirs.value
            unit, strength = unit or other_unit, strength or not other_unit
    return {"strength": strength, "unit": unit}


def signature(one: Facets) -> str:
    """Return a key (32 hexadecimal digits) that two questions share exactly when `agreement` holds; empty when unsure.

    So what may share an answer can be looked up, without a vector and without comparing with every stored question. It
    holds the version, like the scope under which it is looked for.
    """
    if one.unsure:
        return ""
    measures = tuple((measure.base, str(measure.value), str(measure.upto)) for measure in one.strengths)
    schedules = tuple((times, every and str(every.normalize()), unit) for times, every, unit in one.schedules)
    said = (
        one.version, one.drugs, measures, schedules, one.routes, one.numbers, one.negated, sorted(one.denied), one.without,
        one.populations, one.plain, one.words,
    )  # fmt: skip
    return digest(repr(said).encode())[:ID_DIGITS]
