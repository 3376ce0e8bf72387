"""The deterministic tools by name, run in order over one case: findings, and the triage result they make together."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from types import MappingProxyType

from vigimesh.domain.safety.clocks import clock
from vigimesh.domain.safety.criteria import Criteria, minimum_criteria
from vigimesh.domain.safety.dates import DateFinding, date_findings
from vigimesh.domain.safety.documents import asks_reply, tells_of_event
from vigimesh.domain.safety.foreign import flags_of
from vigimesh.domain.safety.grade import Evidence, Graded, grade_case
from vigimesh.domain.safety.legible import readable
from vigimesh.domain.safety.listedness import Listedness, listedness
from vigimesh.domain.safety.naranjo_facts import naranjo_finding
from vigimesh.domain.safety.narrative_tools import READERS, narrative_finding
from vigimesh.domain.safety.report_counts import disproportionality_finding
from vigimesh.domain.safety.seriousness import Flags, seriousness_flags
from vigimesh.domain.safety.situations import Situations, special_situations
from vigimesh.domain.safety.text_seriousness import Hit, read_term, read_text
from vigimesh.domain.safety.told_when import told_of
from vigimesh.errors import Refused
from vigimesh.events.case import Case
from vigimesh.events.classes import Clock, Finding, Triage
from vigimesh.events.knowledge import Passage

#: Run for every case, whatever the plan says: no case is triaged without them.
MANDATORY = ("minimum_criteria", "seriousness_flags", "clock")
#: Quotes in one finding: what a reviewer reads at a glance, and keeps the event small.
MAX_QUOTES = 12
#: Nothing said by tools of others.
NONE: Mapping[str, tuple[Finding, ...]] = MappingProxyType({})


class Findings:
    """The answers of the tools about one case, each worked out once, when first asked; only planned ones are asked."""

    def __init__(
        self, case: Case, text: str, passages: Sequence[Passage], at: datetime, steps: frozenset[str]
    ) -> None:
        """Keep what the tools read: the case, its narrative, the passages, and when it arrived (UTC)."""
        self.case, self.text, self.passages, self.at, self.steps = case, text, passages, at, steps

    @cached_property
    def criteria(self) -> Criteria:
        """The four minimum criteria."""
        return minimum_criteria(self.case, self.text)

    @cached_property
    def seriousness(self) -> Flags:
        """What the structured fields say."""
        return seriousness_flags(self.case)

    @cached_property
    def text_hits(self) -> tuple[Hit, ...]:
        """What the narrative says; nothing when that step is not planned."""
        return read_text(self.text) if "seriousness_text" in self.steps else ()

    @cached_property
    def term_hits(self) -> tuple[Hit, ...]:
        """What the names of coded terms and the reporter's words for reactions say."""
        if "seriousness_text" not in self.steps:
            return ()
        names = dict.fromkeys(name for r in self.case.reactions for name in (r.term, r.text) if name)
        return tuple(hit for name in names for hit in read_term(name))

    @cached_property
    def dates(self) -> tuple[DateFinding, ...]:
        """Contradictions among the dates."""
        return date_findings(self.case, self.at) if "dates" in self.steps else ()

    @cached_property
    def situations(self) -> Situations:
        """Special situations; from the fields alone when the step is not planned."""
        return special_situations(self.case, self.text if "situations" in self.steps else "")

    @cached_property
    def listed(self) -> Listedness:
        """Whether every reaction is in the product's reference."""
        return listedness(self.case, self.passages if "listedness" in self.steps else ())

    @cached_property
    def asked(self) -> tuple[str, ...]:
        """The places of a document that ask for an answer."""
        document = self.case.kind == "document" and "reply_asked" in self.steps
        return asks_reply(self.text) if document else ()

    @cached_property
    def legible(self) -> bool:
        """Whether the tools can read all of the narrative's words."""
        return readable(self.text)

    @cached_property
    def graded(self) -> Graded:
        """Grade and seriousness."""
        if self.case.kind == "document":
            return tells_of_event(self.text, self.text_hits, legible=self.legible)
        return grade_case(
            Evidence(
                flags=self.seriousness,
                criteria_form=self.case.criteria_form,
                text_read="seriousness_text" in self.steps,
                text_legible=self.legible,
                text_characters=len(self.text.strip()),
                text_hits=self.text_hits,
                term_hits=self.term_hits,
                listed=self.listed.result,
                situations=self.situations.names,
            )
        )

    @cached_property
    def legal_clock(self) -> Clock:
        """The legal clock after the findings."""
        # The fields' own criteria are among the reasons; what is only unclear counts too: the shorter clock.
        fatal = self.graded.grade == 5 or "life_threatening" in " ".join(self.graded.reasons)
        criteria, graded = self.criteria, self.graded
        return clock(self.case, graded.serious, criteria.valid, self.listed.result, self.at, fatal=fatal)


def run_steps(
    steps: Sequence[str],
    case: Case,
    text: str,
    passages: Sequence[Passage],
    at: datetime,
    added: Mapping[str, tuple[Finding, ...]] = NONE,
) -> tuple[tuple[Finding, ...], Triage]:
    """Run `steps` over `case`, in their order, and the mandatory ones besides.

    `text` is the narrative (also when the case refers to it by digest), `at` when the case arrived (UTC), `added` what
    the tools of others said, by their name: they say findings and can raise a flag, no more. Raises `Refused` VM-1103 for a step that
    does not exist, naming the nearest.
    """
    for step in steps:
        if step not in TOOLS and step not in added:
            known = (*TOOLS, *added)
            near = difflib.get_close_matches(step, known, 1, 0.0)[0]
            raise Refused(
                "VM-1103", what=f"unknown step '{step[:60]}'", where="steps of the plan",
                todo=f"did you mean '{near}'? known: {', '.join(known)}",
            )  # fmt: skip
    ordered = tuple(dict.fromkeys((*steps, *MANDATORY)))
    found = Findings(case, text, passages, at, frozenset(ordered))
    foreign: list[Finding] = []
    findings: list[Finding] = []
    for step in ordered:
        if step in TOOLS:
            findings.append(TOOLS[step](found))
        else:
            findings += added[step]
            foreign += added[step]
    triage = _triage(found)
    return tuple(findings), replace(triage, flags=tuple(dict.fromkeys((*triage.flags, *flags_of(foreign)))))


def _triage(found: Findings) -> Triage:
    graded, situations = found.graded, found.situations
    document = found.case.kind == "document"
    flags = dict.fromkeys((*graded.flags, *situations.flags))
    if found.dates:
        flags["date_conflict"] = None
    if found.asked:
        flags["reply_asked"] = None
    if not document and found.criteria.reaction_in_text_only:
        flags["reaction_in_text_only"] = None
    return Triage(
        valid=not document and found.criteria.valid,
        missing=() if document else found.criteria.missing,
        serious=graded.serious,
        grade=graded.grade,
        grade_reasons=graded.reasons,
        listed=found.listed.result,
        situations=situations.names,
        flags=tuple(flags),
        clock=found.legal_clock,
    )


def _minimum_criteria(found: Findings) -> Finding:
    if found.case.kind == "document":
        return Finding(step="minimum_criteria", result="not_applicable", detail="a document is no report")
    said = found.criteria
    detail = "missing: " + ", ".join(said.missing) if said.missing else "all four are met"
    return Finding(
        step="minimum_criteria",
        result="valid" if said.valid else "non_valid",
        detail=detail,
        quotes=said.met_by,
    )


def _seriousness_flags(found: Findings) -> Finding:
    said = found.seriousness
    names = ", ".join(criterion for criterion, _ in said.criteria) or "none set"
    detail = f"criteria: {names}; highlighted: {said.highlight.replace('_', ' ')}"
    if said.conflict:
        detail += "; a reaction is highlighted as not serious while a criterion is set"
    serious = bool(said.criteria) or said.highlight == "serious"
    quotes = tuple(place for _, place in said.criteria)[:MAX_QUOTES]
    return Finding(
        step="seriousness_flags",
        result="serious" if serious else said.highlight,
        detail=detail,
        quotes=quotes,
    )


def _seriousness_text(found: Findings) -> Finding:
    hits = (*found.text_hits, *found.term_hits)
    kinds = dict.fromkeys(hit.polarity for hit in hits)
    parts = [
        f"{kind}: " + ", ".join(dict.fromkeys(h.criterion for h in hits if h.polarity == kind))
        for kind in kinds
    ]
    result = next((kind for kind in ("stated", "ambiguous") if kind in kinds), "nothing")
    places = [hit.place for hit in found.text_hits] + [f"term={hit.quote}" for hit in found.term_hits]
    return Finding(
        step="seriousness_text", result=result, detail="; ".join(parts) or "no word of a criterion",
        quotes=tuple(places[:MAX_QUOTES]),
    )  # fmt: skip


def _dates(found: Findings) -> Finding:
    said = found.dates
    detail = "; ".join(one.detail for one in said) or "no contradiction"
    quotes = tuple(field for one in said for field in one.fields)[:MAX_QUOTES]
    return Finding(step="dates", result="conflict" if said else "consistent", detail=detail, quotes=quotes)


def _situations(found: Findings) -> Finding:
    said = found.situations
    result = ", ".join(said.names) or ("unclear" if said.unclear else "none")
    detail = (
        "unclear: " + ", ".join(said.unclear)
        if said.unclear
        else "kinds: " + (", ".join(said.flags) or "none")
    )
    places = tuple(one.place for one in said.found if one.polarity in ("stated", "ambiguous"))
    return Finding(step="situations", result=result, detail=detail, quotes=places[:MAX_QUOTES])


def _listedness(found: Findings) -> Finding:
    said = found.listed
    detail = (
        f"{said.unlisted} of {len(found.case.reactions)} reactions not in the list"
        if said.cited
        else "no list"
    )
    for listing in said.listings:
        detail += f"; {listing.place}"
    return Finding(step="listedness", result=said.result, detail=detail, quotes=said.cited[:MAX_QUOTES])


def _clock(found: Findings) -> Finding:
    said = found.legal_clock
    detail = said.source or "no clock"
    if said.person_needed:
        detail += "; a person must confirm it"
    quotes = (f"day0_on={said.day0_on}",) if said.day0_on else ()
    due = said.due_at.isoformat() if said.due_at else "none"
    return Finding(step="clock", result=due, detail=detail, quotes=quotes)


def _reply_asked(found: Findings) -> Finding:
    said = found.asked
    detail = f"{len(said)} places ask for an answer" if said else "nothing asks for an answer"
    return Finding(step="reply_asked", result="asked" if said else "not_asked", detail=detail, quotes=said)


def _narrative(step: str) -> Callable[[Findings], Finding]:
    return lambda found: narrative_finding(step, found.text, told_of(found.case))


#: Step name -> the tool that says its finding. The names are those a workflow card may list.
TOOLS: dict[str, Callable[[Findings], Finding]] = {
    "minimum_criteria": _minimum_criteria,
    "seriousness_flags": _seriousness_flags,
    "seriousness_text": _seriousness_text,
    "dates": _dates,
    "situations": _situations,
    "listedness": _listedness,
    "clock": _clock,
    "reply_asked": _reply_asked,
    "naranjo": lambda found: naranjo_finding(found.case, found.listed),
    "disproportionality": lambda found: disproportionality_finding(found.case, found.passages),
    **{step: _narrative(step) for step in READERS},
}
