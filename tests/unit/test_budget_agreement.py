"""What two looks, at the budget and at the journal behind it, tell of a window."""

from __future__ import annotations

import pytest

from vigimesh.domain.budget.agreement import Counted, Verdict, verdict
from vigimesh.domain.budget.values import WindowStanding


@pytest.mark.parametrize(
    ("budget", "journal", "expected"),
    [
        pytest.param((100, 50), (100, 50, 150), "agrees", id="the same"),
        pytest.param((0, 0), (0, 0, 0), "agrees", id="nothing yet"),
        pytest.param((100, 50), (100, 0, 100), "under way", id="reserved and not yet begun, or given back later"),
        pytest.param((100, 50), (120, 0, 120), "under way", id="answered and not yet settled"),
        pytest.param((100, 0), (100, 50, 100), "under way", id="begun since the budget was looked at"),
        pytest.param((100, 50), (90, 0, 90), "differs", id="recorded what the journal does not know"),
        pytest.param((100, 50), (90, 60, 150), "differs", id="the same sum, and a settled call that the journal has open"),
        pytest.param((100, 0), (100, 50, 150), "differs", id="a call in doubt that the budget gave back"),
    ],
)  # fmt: skip
def test_what_two_looks_tell(
    budget: tuple[int, int], journal: tuple[int, int, int], expected: Verdict
) -> None:
    recorded, opened = budget
    row = WindowStanding("day", "2026-11-28", 10**6, recorded, opened, recorded + opened, 0, False)
    assert verdict(row, Counted("triage", "day", *journal)) == expected
