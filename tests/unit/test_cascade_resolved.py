"""A case counts for the tier whose answer it rests on."""

from __future__ import annotations

import pytest

from vigimesh.domain.cascade.resolved import LARGE_STEP, SMALL_STEP, resolved_by
from vigimesh.events.classes import Finding, Plan


@pytest.mark.parametrize(
    ("tier", "step", "result", "by"),
    [
        ("tools", SMALL_STEP, "not_serious", "tools"),
        ("small", SMALL_STEP, "not_serious", "small"),
        ("small", SMALL_STEP, "serious", "small"),
        ("small", SMALL_STEP, "handed_on", "tools"),
        ("small", SMALL_STEP, "not_asked", "tools"),
        ("small", "clock", "not_serious", "tools"),
        ("large", LARGE_STEP, "serious no, grade 1", "large"),
        ("large", LARGE_STEP, "not asked: the budget has no room for it", "tools"),
        ("large", LARGE_STEP, "no opinion", "tools"),
        ("person", SMALL_STEP, "serious", "person"),
    ],
)
def test_the_tier_that_resolved_a_case(tier: str, step: str, result: str, by: str) -> None:
    assert resolved_by(Plan(tier=tier, steps=()), (Finding(step=step, result=result),)) == by
