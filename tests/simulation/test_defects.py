"""Defects planted in the loop are found by the simulation: each breaks one of its rules."""

from __future__ import annotations

import pytest

from simulation.defects import DEFECTS
from simulation.world import simulate


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_found(defect: str) -> None:
    plant, within = DEFECTS[defect]
    assert any(simulate(seed, plant()).wrong for seed in range(within)), f"not found in {within} seeds"
