"""The grade 0 to 5 of a case, and whether it is serious: the maximum over everything that was found.

Ours, not clinical severity: 5 death; 4 life-threatening, disabling, congenital; 3 hospitalisation, other medically
important, required intervention, or *unknown*; 2 non-serious unlisted, or a special situation; 1 non-serious listed;
0 no event. Text and terms raise; nothing lowers what a field says, and listedness never reaches below a serious grade.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from vigimesh.domain.safety.seriousness import Flags
from vigimesh.domain.safety.text_seriousness import Hit, ambiguous, stated

UNKNOWN_GRADE = 3
#: The lowest grade that is serious (DOMAIN: grade 3 is hospitalisation, other important, or unknown).
SERIOUS_GRADE = 3
GRADE_OF: Mapping[str, int] = MappingProxyType(
    {
        "death": 5,
        "life_threatening": 4,
        "disability": 4,
        "congenital_anomaly": 4,
        "hospitalisation": 3,
        "other_medically_important": 3,
        "required_intervention": 3,
    }
)
#: Characters of a text from which "says nothing serious" means something: a shorter one is a title or "see attached".
TELLING_CHARACTERS = 20
#: The flag of a text that tells of a criterion, but not clearly.
AMBIGUOUS = "ambiguous_text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that the grade rests on. `text_read` is false when no tool has read the narrative, or there is none."""

    flags: Flags
    criteria_form: str = "none"
    text_read: bool = False
    text_characters: int = 0
    text_hits: tuple[Hit, ...] = ()
    term_hits: tuple[Hit, ...] = ()
    listed: str = "not_checked"
    situations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """`serious` is yes, no or unknown; `reasons` are `criterion (source)`; `flags` keep a machine from accepting."""

    serious: str
    grade: int
    reasons: tuple[str, ...]
    flags: tuple[str, ...] = ()


def grade_case(found: Evidence) -> Graded:
    """Return grade and seriousness of a case."""
    reasons, top = _stated_reasons(found)
    flags = _flags(found)
    unclear = [f"{criterion} (text, ambiguous)" for criterion in _unclear(found)]
    if reasons:
        return Graded(serious="yes", grade=top, reasons=(*reasons, *unclear), flags=flags)
    if unclear:
        return Graded(serious="unknown", grade=UNKNOWN_GRADE, reasons=tuple(unclear), flags=flags)
    why_not = _not_serious(found)
    if not why_not:
        reason = "no field and no text says serious or not serious (unknown)"
        return Graded(serious="unknown", grade=UNKNOWN_GRADE, reasons=(reason,), flags=flags)
    grade, reason = non_serious_grade(found.situations, found.listed)
    return Graded(serious="no", grade=grade, reasons=(why_not, reason), flags=flags)


def non_serious_grade(situations: Sequence[str], listed: str) -> tuple[int, str]:
    """Return the grade of a case that is not serious, with its reason: 2 with a special situation or not listed, else 1."""
    if situations:
        return 2, "special situation (" + ", ".join(situations) + ")"
    if listed == "yes":
        return 1, "every reaction is listed"
    return 2, f"listed: {listed.replace('_', ' ')}"


def _stated_reasons(found: Evidence) -> tuple[list[str], int]:
    """Return each stated criterion with its sources, and the highest grade among them."""
    sources: dict[str, list[str]] = {}
    for criterion, _ in found.flags.criteria:
        sources.setdefault(criterion, []).append("flag")
    for criterion in stated(found.text_hits):
        sources.setdefault(criterion, []).append("text")
    for criterion in stated(found.term_hits):
        sources.setdefault(criterion, []).append("term")
    reasons = [f"{criterion} ({', '.join(source)})" for criterion, source in sources.items()]
    top = max((GRADE_OF.get(criterion, UNKNOWN_GRADE) for criterion in sources), default=0)
    if found.flags.highlight == "serious":
        reasons.append("highlighted as serious (flag)")
        top = max(top, UNKNOWN_GRADE)
    return reasons, top


def _unclear(found: Evidence) -> tuple[str, ...]:
    """Return criteria that are told of but not clearly, and stated by nothing."""
    sure = {criterion for criterion, _ in found.flags.criteria}
    sure.update(stated(found.text_hits), stated(found.term_hits))
    unclear = (*ambiguous(found.text_hits), *ambiguous(found.term_hits))
    return tuple(criterion for criterion in dict.fromkeys(unclear) if criterion not in sure)


def _flags(found: Evidence) -> tuple[str, ...]:
    flags = []
    if found.flags.conflict:
        flags.append("conflict_highlight")
    if _text_negates(found):
        flags.append("conflict_flag_text")
    if _unclear(found):
        flags.append(AMBIGUOUS)
    told = {*stated(found.text_hits), *stated(found.term_hits)}
    if "other_medically_important" in told:
        flags.append("ime_term")
    if told and not found.flags.criteria and found.flags.highlight != "serious":
        flags.append("serious_in_text_only")
    if "death" in told or any(criterion == "death" for criterion, _ in found.flags.criteria):
        flags.append("death")
    return tuple(flags)


def _text_negates(found: Evidence) -> bool:
    """Tell whether the text takes back a criterion that a field sets, and states it nowhere."""
    told: dict[str, set[str]] = {}
    for hit in found.text_hits:
        told.setdefault(hit.criterion, set()).add(hit.polarity)
    # Denying some important terms ("no seizures") says nothing of the one that made the reporter tick the box.
    named = [name for name, _ in found.flags.criteria if name != "other_medically_important"]
    return any("negated" in told.get(name, ()) and "stated" not in told[name] for name in named)


def _not_serious(found: Evidence) -> str:
    """Return why the case counts as not serious, or nothing when that is not known."""
    if found.flags.highlight == "not_serious":
        return "every reaction is highlighted as not serious (flag)"
    read = found.text_read and found.text_characters >= TELLING_CHARACTERS
    if found.criteria_form == "form" and read:
        return "no box of the form is ticked and the text tells of nothing serious (flag, text)"
    return ""
