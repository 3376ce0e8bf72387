"""When a lane counts as drained: found empty twice, in time, and never where something is not known."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from vigimesh.app.commands.brakes import emptied
from vigimesh.clock import Deadline, SystemClock
from vigimesh.domain.control.lag import LagRow
from vigimesh.domain.control.measure import NONE, Known, Measure, Unknown

BUSY, AWAY = Known(value=3), Unknown(cause="the broker is away")


def row(records: Measure, lane: str = "cold", workflow: str = "") -> LagRow:
    return LagRow(stage="planner", lane=lane, workflow=workflow, records=records, seconds=NONE)


def left_after(looks: Iterable[LagRow], within_s: float = 60) -> tuple[list[LagRow], int]:
    """Return what is left and how often it was waited."""
    coming = iter(looks)
    waited: list[float] = []
    left = emptied(lambda: [next(coming)], "cold", Deadline.after(SystemClock(), within_s), waited.append)
    return left, len(waited)


@pytest.mark.parametrize(
    ("looks", "waits"),
    [
        pytest.param((NONE, NONE), 1, id="empty"),
        pytest.param((BUSY, NONE, NONE), 2, id="worked off"),
        pytest.param((NONE, BUSY, NONE, NONE), 3, id="handed on during a look"),
        pytest.param((AWAY, NONE, NONE), 2, id="not known for a while"),
    ],
)
def test_a_lane_is_empty_when_it_was_found_so_twice(looks: tuple[Measure, ...], waits: int) -> None:
    assert left_after(row(one) for one in looks) == ([], waits)


@pytest.mark.parametrize("measure", [BUSY, AWAY])
def test_what_is_left_or_not_known_at_the_end_is_told(measure: Measure) -> None:
    assert left_after([row(measure)], within_s=0) == ([row(measure)], 0)


def test_other_lanes_and_single_workflows_do_not_count() -> None:
    assert left_after([row(BUSY, "warm"), row(AWAY, workflow="triage")]) == ([], 1)
