"""Seriousness as the structured fields say it: criteria, the highlighted term, the outcome, the date of death.

ICH E2B(R3) E.i.3.2 (criteria, where an absent one is *no information* and never *no*), E.i.3.1 (term highlighted:
1, 2 not serious; 3, 4 serious), E.i.7 (outcome), D.9.1 (date of death).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vigimesh.domain.safety.dates import parse
from vigimesh.events.case import CRITERIA, Case

NOT_SERIOUS_HIGHLIGHTS = ("1", "2")
SERIOUS_HIGHLIGHTS = ("3", "4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What the fields say together.

    `criteria` maps each criterion that is set to the field that sets it. `highlight` is `serious` when any reaction
    is highlighted as such, `not_serious` when every one is highlighted as not, else `none`. `conflict` says that a
    reaction is highlighted as not serious while a criterion is set.
    """

    criteria: tuple[tuple[str, str], ...]
    highlight: Literal["serious", "not_serious", "none"]
    conflict: bool


def seriousness_flags(case: Case) -> Flags:
    """Return what the structured fields of `case` say of seriousness."""
    found: dict[str, str] = {}
    for criterion in case.criteria:
        found.setdefault(criterion, f"criteria={criterion}")
    conflict = False
    for place, reaction in enumerate(case.reactions):
        for criterion in reaction.criteria:
            found.setdefault(criterion, f"reactions[{place}].criteria={criterion}")
        if reaction.outcome == "fatal":
            found.setdefault("death", f"reactions[{place}].outcome=fatal")
        own = bool(reaction.criteria) or reaction.outcome == "fatal"
        conflict = conflict or (own and reaction.highlighted in NOT_SERIOUS_HIGHLIGHTS)
    died = parse(case.patient.died_on)
    if died.known or died.wrong or died.null_flavour == "MSK":
        found.setdefault("death", "patient.died_on=" + died.text.strip())
    highlight = _highlight(case)
    if highlight == "not_serious" and found:
        conflict = True
    known = [criterion for criterion in CRITERIA if criterion in found]
    # A criterion that this version does not know is kept: it was set for a reason.
    known += [criterion for criterion in found if criterion not in CRITERIA]
    return Flags(
        criteria=tuple((criterion, found[criterion]) for criterion in known),
        highlight=highlight,
        conflict=conflict,
    )


def _highlight(case: Case) -> Literal["serious", "not_serious", "none"]:
    given = [reaction.highlighted for reaction in case.reactions]
    if any(value in SERIOUS_HIGHLIGHTS for value in given):
        return "serious"
    if given and all(value in NOT_SERIOUS_HIGHLIGHTS for value in given):
        return "not_serious"
    return "none"
