"""What a model may settle: a case of which no field and no text says whether it is serious. Nothing else is lowered, ever."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from vigimesh.domain.safety.clocks import clock
from vigimesh.domain.safety.grade import AMBIGUOUS, non_serious_grade
from vigimesh.events.case import Case
from vigimesh.events.classes import Triage


def open_to_models(case: Case, triage: Triage) -> bool:
    """Return whether no field and no text says for certain that the case is serious or not, so that a model may say it is."""
    return case.kind == "icsr" and triage.serious == "unknown"


def silent(case: Case, triage: Triage) -> bool:
    """Return whether nothing says that the case is serious or not: neither a field, nor its text, clearly or unclearly."""
    return open_to_models(case, triage) and AMBIGUOUS not in triage.flags


def settled(case: Case, triage: Triage, why: str, at: datetime) -> Triage:
    """Return the triage result of a silent case as not serious, for a reason; any other as it was.

    A flag, a stated criterion and a text that may tell of one stand above every model. The clock is worked out anew; `at` is
    when the case arrived (UTC).
    """
    if not silent(case, triage):
        return triage
    grade, reason = non_serious_grade(triage.situations, triage.listed)
    found = clock(case, "no", triage.valid, triage.listed, at, fatal=False)
    return replace(triage, serious="no", grade=grade, grade_reasons=(why, reason), clock=found)
