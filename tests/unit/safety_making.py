"""Cases for the tests of the safety room: a valid, complete one, changed where a test says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from vigimesh.domain.safety.tools import TOOLS, run_steps
from vigimesh.events.case import Case, Patient, Product, Reaction, Reporter
from vigimesh.events.classes import Finding, Triage
from vigimesh.events.knowledge import Passage

AT = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
STEPS = tuple(TOOLS)
PLAIN = "Two hours after the dose the patient had a mild headache that went away the same day."


def case(**changes: Any) -> Case:
    """Return a valid, non-serious case on a tick-box form, with `changes`."""
    base = Case(
        message_id="m" * 32,
        case_id="default/DE-1",
        source_format="jsonl",
        report_id="DE-1",
        report_type="spontaneous",
        created_on="2026-03-09",
        first_received_on="2026-03-02",
        most_recent_on="2026-03-02",
        country="DE",
        reporters=(Reporter(qualification="physician", identified=True, country="DE"),),
        patient=Patient(identified_by=("initials", "age"), age_years=44.0, sex="female"),
        products=(Product(name="Torvexil", role="suspect", kind="drug", started_on="2026-02-20"),),
        reactions=(Reaction(text="headache", term="Headache", onset_on="2026-02-21"),),
        criteria_form="form",
        narrative=PLAIN,
    )
    return replace(base, **changes)


def triage(of: Case, passages: tuple[Passage, ...] = (), steps: tuple[str, ...] = STEPS) -> Triage:
    """Run the tools and return the triage result."""
    return run_steps(steps, of, of.narrative, passages, AT)[1]


def findings(of: Case, passages: tuple[Passage, ...] = ()) -> dict[str, Finding]:
    """Run all tools and return the findings by step."""
    return {finding.step: finding for finding in run_steps(STEPS, of, of.narrative, passages, AT)[0]}


def passage(text: str, **changes: Any) -> Passage:
    """Return a passage of a product's list of reactions."""
    base = Passage(
        document_id="product/torvexil",
        version="1.0",
        section="Torvexil: reference safety information > Listed reactions",
        start=10,
        end=10 + len(text),
        text=text,
        score=1.0,
        question="Torvexil Headache",
    )
    return replace(base, **changes)
