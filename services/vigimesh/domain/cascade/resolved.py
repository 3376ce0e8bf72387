"""Which tier made a triage result what it is: the one that settled or raised it, not the dearest that was asked."""

from __future__ import annotations

from collections.abc import Iterable

from vigimesh.events.classes import Finding, Plan

#: The steps under which models tell what they found.
SMALL_STEP, LARGE_STEP = "small_model", "large_model"


def resolved_by(plan: Plan, findings: Iterable[Finding]) -> str:
    """Return the tier of a pass whose answer the triage result rests on.

    A model that was not asked, was not there, or handed the case on, resolves nothing: then the tools did.
    """
    if plan.tier not in ("small", "large"):
        return plan.tier
    for finding in findings:
        if finding.step == SMALL_STEP and finding.result in ("not_serious", "serious"):
            return "small"
        if finding.step == LARGE_STEP and finding.result.startswith("serious "):
            return "large"
    return "tools"
