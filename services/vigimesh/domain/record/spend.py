"""What was spent, from `usage` alone."""

from __future__ import annotations

from collections.abc import Iterable

from vigimesh.events.classes import UsageRecorded


def spend_by_workflow(usage: Iterable[UsageRecorded]) -> dict[str, int]:
    """Return the cost in micro-units of the cards' currency by workflow, in the order of the names."""
    spent: dict[str, int] = {}
    for one in usage:
        spent[one.workflow] = spent.get(one.workflow, 0) + one.cost_micro
    return dict(sorted(spent.items()))
