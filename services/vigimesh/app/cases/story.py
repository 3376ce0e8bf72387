"""What one event of a case says, in words for a person and in plain values for a program.

Personal data: a narrative, and quotes from it, appear only when the reader asked for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vigimesh.domain.cascade.draft import DRAFTED
from vigimesh.domain.cascade.reading import PLACED_STEPS
from vigimesh.domain.knowledge.recalling import change_words, earlier_words
from vigimesh.domain.record.rows import Row
from vigimesh.domain.safety.tools import TOOLS
from vigimesh.events import classes as e
from vigimesh.events import knowledge as k
from vigimesh.events.case import Case
from vigimesh.events.drafts import Draft

#: What a detail may be: one text, or several.
Detail = str | list[str]

#: Steps whose quotes say where they are from: what is from the narrative can be left out.
_PLACED = frozenset((*TOOLS, *PLACED_STEPS, DRAFTED))
#: A quote of the narrative as `Finding.quotes` writes it: its place, a colon, the text.
_FROM_NARRATIVE = re.compile(r"^(\d+-\d+):", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One event of a case's history."""

    at: datetime
    topic: str
    partition: int
    offset: int
    event_id: str
    message_id: str
    stage: str
    workflow: str
    lane: str
    event: str
    title: str
    tier: str = ""
    cost_micro: int | None = None
    details: dict[str, Detail]

    def plain(self) -> dict[str, Any]:
        """Return the step for JSON; a cost that the event does not state is left out."""
        values: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        values["at"] = self.at.isoformat()
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What an event says."""

    title: str
    details: dict[str, Detail]
    tier: str = ""
    cost_micro: int | None = None


def step_of(row: Row, event: object, *, narrative: bool) -> Step:
    """Return what `event`, read from `row`, says. Without `narrative` no text of the source's narrative appears."""
    said = _SAID[type(event)](event, narrative) if type(event) in _SAID else _Said(title="", details={})
    return _step(row, type(event).__name__, said)


def unreadable(row: Row, code: str, what: str) -> Step:
    """Return the step for a record that cannot be decoded."""
    return _step(row, "", _Said(title=f"cannot be read: {code}", details={"cause": what}))


def _step(row: Row, event: str, said: _Said) -> Step:
    return Step(
        at=row.at, topic=row.topic, partition=row.partition, offset=row.offset, event_id=row.headers.id,
        message_id=row.headers.messageid, stage=stage_of(row), workflow=row.headers.workflow, lane=row.headers.lane,
        event=event, title=said.title, tier=said.tier, cost_micro=said.cost_micro,
        details={name: value for name, value in said.details.items() if value},
    )  # fmt: skip


def stage_of(row: Row) -> str:
    """Return who wrote a record: the last part of its source, `upstream` when it names none."""
    return row.headers.source.rstrip("/").rpartition("/")[2] or "upstream"


def _case(case: Case, narrative: bool) -> dict[str, Detail]:
    reporters = [f"{r.qualification}{', ' + r.country if r.country else ''}" for r in case.reporters]
    return {
        "report": f"{case.report_id} of {case.sender}, {case.report_type}, from {case.source or 'its producer'}",
        "document": f"{case.document_kind}: {case.title}" if case.kind == "document" else "",
        "version": f"most recent {case.most_recent_on or '-'}, created {case.created_on or '-'}"
        + (f", {case.amendment}" if case.amendment != "none" else ""),
        "patient": ", ".join(case.patient.identified_by),
        "reporters": reporters,
        "products": [f"{p.name} ({p.role}{', blinded' if p.blinded else ''})" for p in case.products],
        "reactions": [r.term or r.text for r in case.reactions],
        "seriousness ticked": ", ".join(case.criteria),
        "narrative": case.narrative if narrative else _length(case),
    }


def _length(case: Case) -> str:
    if case.narrative_ref:
        return f"in the object store, {case.narrative_ref[:12]}…"
    return f"{len(case.narrative):,} characters, not shown" if case.narrative else ""


def _clock(clock: e.Clock) -> str:
    if clock.due_at is None:
        return "no clock runs" if not clock.rule else f"{clock.rule}: not running yet"
    person = ", to be confirmed by a person" if clock.person_needed else ""
    return f"{clock.rule} ({clock.source}), day 0 {clock.day0_on}, due {clock.due_at:%Y-%m-%d}{person}"


def _findings(findings: tuple[e.Finding, ...], narrative: bool) -> list[str]:
    return [
        f"{one.step}: {one.result}"
        + (f" - {one.detail}" if one.detail else "")
        + (f" [{'; '.join(_quotes(one, narrative))}]" if one.quotes else "")
        for one in findings
    ]


def _quotes(finding: e.Finding, narrative: bool) -> list[str]:
    """Return what a finding rests on; without `narrative` only our own tools' quotes, which say where they are from.

    A model quotes words of the narrative without their place, with names put back, and so may a tool of others.
    """
    if narrative:
        return list(finding.quotes)
    if finding.step not in _PLACED:
        return [f"{len(finding.quotes)} quotes, not shown"]
    return [_place(quote) for quote in finding.quotes]


def _place(quote: str) -> str:
    place = _FROM_NARRATIVE.match(quote)
    return f"narrative {place[1]}" if place else quote


def _draft(draft: Draft | None, narrative: bool) -> list[str]:
    """Return a drafted reply by its statements, each with what it rests on; its words only with the narrative, from which they may be."""
    if draft is None:
        return []
    made = f" by prompt {draft.prompt}" if draft.prompt else ""
    head = f"by {draft.by}{made}, to be corrected, signed and sent by a person"
    return [head] + [
        f"{one.text if narrative else f'{len(one.text)} characters, not shown'}"
        + (f" [{'; '.join(one.cites)}]" if one.cites else "")
        for one in draft.statements
    ]


def _cited(passages: tuple[k.Passage, ...]) -> list[str]:
    return [
        f"{p.document_id}@{p.version}, {p.section}, {p.start}-{p.end} (for: {p.question})" for p in passages
    ]


def _triage(triage: e.Triage | None) -> dict[str, Detail]:
    if triage is None:
        return {}
    missing = f"not valid, missing: {', '.join(triage.missing)}" if triage.missing else "no report of a case"
    return {
        "validity": "valid" if triage.valid else missing,
        "grade": f"{triage.grade}, serious: {triage.serious}, listed: {triage.listed}",
        "because": list(triage.grade_reasons),
        "situations": ", ".join(triage.situations),
        "flags": ", ".join(triage.flags),
        "clock": _clock(triage.clock),
    }


def _received(event: e.CaseReceived, narrative: bool) -> _Said:
    return _Said(title=f"accepted at the {event.door} door", details=_case(event.case, narrative))


def _routed(event: e.CaseRouted, narrative: bool) -> _Said:
    route = event.route
    again = f", pass {route.pass_number}" if route.pass_number > 1 else ""
    return _Said(
        title=f"{'recalled' if route.recall else 'routed'} to {route.workflow}, {route.lane}{again}",
        details={
            "reason": route.reason, "rule": route.rule, "clock": _clock(route.clock),
            "escalation": route.escalation, "card": route.card_digest[:12], "recalled": _recalled(route.recall),
        },
    )  # fmt: skip


def _recalled(recall: k.Recall | None) -> str:
    """Return why a concluded version is looked at again, and what it rested on; empty for an arrival."""
    if recall is None:
        return ""
    return f"{change_words(recall)}; before: {earlier_words(recall)}; given {', '.join(recall.passages)}"


def _planned(event: e.CasePlanned, narrative: bool) -> _Said:
    plan = event.plan
    details: dict[str, Detail] = {
        "reason": plan.reason, "steps": ", ".join(plan.steps), "questions": list(plan.questions),
    }  # fmt: skip
    return _Said(title=f"planned for {plan.tier}", tier=plan.tier, details=details)


def _retrieved(event: e.EvidenceRetrieved, narrative: bool) -> _Said:
    return _Said(
        title=f"{len(event.passages)} passages found",
        tier=event.plan.tier,
        details={"cited": _cited(event.passages)},
    )


def _executed(event: e.ToolsExecuted, narrative: bool) -> _Said:
    details = {
        "findings": _findings(event.findings, narrative), "draft": _draft(event.draft, narrative), **_triage(event.triage),
    }  # fmt: skip
    return _Said(
        title=f"triaged: grade {event.triage.grade}, serious {event.triage.serious}",
        tier=event.plan.tier, cost_micro=event.cost_micro, details=details,
    )  # fmt: skip


def _decided(event: e.CaseDecided, narrative: bool) -> _Said:
    return _Said(
        title=f"decided: {event.decision}", tier=event.tier, cost_micro=event.cost_micro,
        details={"reason": event.reason, "rule": event.rule, "recalled for": event.cause, "cited": list(event.labels), **_triage(event.triage)},
    )  # fmt: skip


def _review(event: e.ReviewRequested, narrative: bool) -> _Said:
    return _Said(
        title="a person must decide", tier=event.tier, cost_micro=event.cost_micro,
        details={
            "question": event.question, "reason": event.reason, "rule": event.rule, "recalled for": event.cause,
            "conflicts with": event.conflict_with, "due": f"{event.due_at:%Y-%m-%d}" if event.due_at else "",
            "findings": _findings(event.findings, narrative), "draft": _draft(event.draft, narrative),
            "cited": list(event.labels), **_triage(event.triage),
        },
    )  # fmt: skip


def _parked(event: e.EventParked, narrative: bool) -> _Said:
    return _Said(
        title=f"parked until {event.not_before:%Y-%m-%d %H:%M}",
        details={"reason": event.reason, "resumes on": event.resume_topic},
    )


def _dead(event: e.EventDeadLettered, narrative: bool) -> _Said:
    return _Said(
        title=f"dead-lettered by {event.stage}: {event.code}",
        details={
            "cause": event.cause, "record": f"{event.topic}-{event.partition}-{event.offset}",
            "attempt": str(event.attempt),
        },
    )  # fmt: skip


def _used(event: e.UsageRecorded, narrative: bool) -> _Said:
    return _Said(
        title=f"used {event.name}: {event.quantity} {event.unit}", tier=event.tier, cost_micro=event.cost_micro,
        details={"kind": event.kind, "cache": event.cache_level if event.cache_level != "none" else ""},
    )  # fmt: skip


def _head(event: e.HeadMoved, narrative: bool) -> _Said:
    seen = [
        f"{one.message_id[:8]} {one.outcome}{f' for {one.cause}' if one.cause else ''}" for one in event.seen
    ]
    return _Said(
        title="head of the case moved" + (", nullified" if event.nullified else ""),
        details={"concluded": seen},
    )


def _audited(event: e.AuditRecorded, narrative: bool) -> _Said:
    return _Said(
        title=f"audit: {event.action}",
        details={"why": event.why, "by": event.actor, "of": event.event_id, "handed on": list(event.outputs)},
    )


def _measured(event: k.RetrievalMeasured, narrative: bool) -> _Said:
    return _Said(
        title=f"question answered from {event.cache_level}: {event.hits} of {event.wanted}",
        details={"passages": list(event.passages)},
    )


_SAID: dict[type, Callable[[Any, bool], _Said]] = {
    e.CaseReceived: _received,
    e.CaseRouted: _routed,
    e.CasePlanned: _planned,
    e.EvidenceRetrieved: _retrieved,
    e.ToolsExecuted: _executed,
    e.CaseDecided: _decided,
    e.ReviewRequested: _review,
    e.EventParked: _parked,
    e.EventDeadLettered: _dead,
    e.UsageRecorded: _used,
    e.HeadMoved: _head,
    e.AuditRecorded: _audited,
    k.RetrievalMeasured: _measured,
}
