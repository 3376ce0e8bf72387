"""Steps by which small models read a text: the fields in it, whether it tells of an adverse event, how grave a case may be. They only add.

Each reading (`readers.py`) is a plain value that `audit` keeps, so that a replay needs no model. A model that is missing is an answer too: it is said, and a document
that was to be screened goes to a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from vigimesh.domain.policy.facts import suspects
from vigimesh.domain.safety.grade import UNKNOWN_GRADE
from vigimesh.events.case import Case
from vigimesh.events.classes import Finding, Triage

#: The kind of need that is answered by reading, and the keys: three steps, and names to look up, which are read without personal data.
KIND = "read"
FIELDS_STEP, EVENT_STEP, GRAVE_STEP, NAMES = "extraction", "adverse_event", "grave", "names"
#: The steps in the order in which they are told; the first two say where their quotes stand.
PLACED_STEPS = (EVENT_STEP, FIELDS_STEP)
STEPS = (*PLACED_STEPS, GRAVE_STEP)
#: From this probability of one sentence or two on, a document goes to a person. Of the sentences with an event in PHEE's dev part the tools
#: find 0.46, this 0.92, both together 0.94 (PsyTAR, patients' words: 0.06, 0.49, 0.53); of sentences of guidance it raises 11 %.
EVENT_AT = 0.80
#: The flag of a document that tells of an event: the tools' own, so that cards have one word for it.
EVENT_FLAG = "event_in_document"
#: The flag of a document that was to be screened and was not: a machine ends nothing that nobody read.
UNREAD_FLAG = "not_screened"
#: Fields told of one text, and names of one kind that are looked up.
MAX_FIELDS, MAX_NAMES = 12, 4


def needed(case: Case, step: str) -> bool:
    """Return whether a step reads a case.

    Events are looked for in documents, fields where the structure names no product or reaction; how grave it may be is estimated of a report of vaccines alone, which the
    model learned from, that has no form with a box for each criterion: where there is one, it says so itself.
    """
    if step == EVENT_STEP:
        return case.kind == "document"
    if step == GRAVE_STEP:
        return case.kind == "icsr" and case.criteria_form != "form" and set(suspects(case)) == {"vaccine"}
    return case.kind == "document" or not (case.products and case.reactions)


def read_into(
    findings: tuple[Finding, ...], triage: Triage, answers: Mapping[str, Any]
) -> tuple[tuple[Finding, ...], Triage]:
    """Return what the tools said with what was read besides: `answers` has it under `read:STEP`."""
    events, fields, grave = (answers.get(f"{KIND}:{step}") for step in STEPS)
    if events is not None:
        finding, triage = screened(triage, events)
        findings = (*findings, finding)
    if fields is not None:
        findings = (*findings, fields_finding(fields))
    return (findings if grave is None else (*findings, grave_finding(grave))), triage


def screened(triage: Triage, told: Mapping[str, Any]) -> tuple[Finding, Triage]:
    """Return what the reading of a document adds: it raises one that the tools saw no event in, and lowers nothing."""
    if "why" in told:
        finding = Finding(step=EVENT_STEP, result="not_read", detail=f"{told['why']}: a person screens it")
        return finding, flagged(triage, UNREAD_FLAG)
    score = told["probability"]
    whole = "" if told["whole"] else "; only the beginning was read"
    if score < EVENT_AT:
        finding = Finding(
            step=EVENT_STEP, result="no_event_seen", detail=f"its highest sentence has {score:.2f}, below {EVENT_AT:.2f}{whole}; a hint, no certificate"
        )  # fmt: skip
        return finding, triage if told["whole"] else flagged(triage, UNREAD_FLAG)
    finding = Finding(
        step=EVENT_STEP, result="tells_of_event", detail=f"a sentence of {score:.2f}, at or above {EVENT_AT:.2f}",
        quotes=(told["place"],),
    )  # fmt: skip
    raised = flagged(triage, EVENT_FLAG)
    if triage.grade >= UNKNOWN_GRADE:
        return finding, raised
    why = f"small model: a sentence may tell of an adverse event, probability {score:.2f}"
    return finding, replace(
        raised, serious="unknown", grade=UNKNOWN_GRADE, grade_reasons=(why, *triage.grade_reasons)
    )


def fields_finding(told: Mapping[str, Any]) -> Finding:
    """Return the fields of a text by their places; the words stand in the quotes alone."""
    if "why" in told:
        return Finding(step=FIELDS_STEP, result="not_read", detail=told["why"])
    found = told["found"]
    if not found:
        return Finding(step=FIELDS_STEP, result="nothing", detail="no field in the text")
    counts = Counter(one["name"] for one in found)
    shown = found[:MAX_FIELDS]
    each = "; ".join(f"{one['name']} {one['start']}-{one['end']} ({one['probability']:.2f})" for one in shown)
    counted = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    more = "" if told["whole"] else "; only the beginning was read"
    return Finding(
        step=FIELDS_STEP, result="read", detail=f"{counted}: {each}{more}; a hint by a small model",
        quotes=tuple(f"{one['start']}-{one['end']}:{one['text']}" for one in shown),
    )  # fmt: skip


def grave_finding(told: Mapping[str, Any]) -> Finding:
    """Return the estimate that a case is graded 4 or 5; `estimate_in` reads it. It touches no triage result."""
    if "why" in told:
        return Finding(step=GRAVE_STEP, result="not_read", detail=told["why"])
    more = "" if told["whole"] else "; only the beginning was read"
    return Finding(
        step=GRAVE_STEP, result=f"{told['probability']:.3f}", quotes=tuple(told["terms"]),
        detail=f"a small model's estimate that it is graded 4 or 5{more}; it orders what waits for persons and decides nothing",
    )  # fmt: skip


def estimate_in(findings: Iterable[Finding]) -> float | None:
    """Return the estimate that a case is graded 4 or 5, where one was made."""
    said = (one.result for one in findings if one.step == GRAVE_STEP and one.result != "not_read")
    return next(map(float, said), None)


def questions_from(told: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a text asks to look up: each drug in it with each reaction, or the drugs alone."""
    drugs, reactions = told.get("drug", ()), told.get("reaction", ())
    return tuple(f"{drug} {reaction}" for reaction in reactions for drug in drugs) or tuple(drugs)


def flagged(triage: Triage, flag: str) -> Triage:
    """Return the result with a flag, which keeps it from a machine; flags are never taken away."""
    return triage if flag in triage.flags else replace(triage, flags=(*triage.flags, flag))
