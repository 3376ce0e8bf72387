"""Money over virtual time, one seed after the other: nothing paid twice, overspent, leaked or unaccounted for, one leader at a time.

`SEED=n` replays one seed; `SEEDS=n` runs so many (`make simulate`); without either, `LEAST`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulation.money_cases import MANNERS, REASONS
from simulation.money_defects import MONEY_DEFECTS, WITHIN
from simulation.money_doors import MONEY_KINDS
from simulation.money_world import MONEY_FAULTS, REPORTS, MoneyPlant, simulate_money
from simulation.parts import Result
from simulation.pool import everywhere

#: Seeds of a check.
LEAST = 40
#: What a controller does that must have come up, beside all that may go wrong.
MUST = ("parked", "ceilings", "calls limited", "fenced controller", "in doubt", "paid, done without")


def results() -> Iterator[Result]:
    """Yield the results of the seeds that are asked for."""
    if "SEED" in os.environ:
        yield simulate_money(int(os.environ["SEED"]))
    else:
        yield from everywhere(simulate_money, range(int(os.environ.get("SEEDS", LEAST))))


@pytest.mark.timeout(0)  # as long as its seeds take; `make simulate` an hour
def test_whatever_fails_nothing_is_paid_twice_overspent_leaked_or_ordered_by_two() -> None:
    points: Counter[str] = Counter()
    figures: Counter[str] = Counter()
    runs = 0
    for result in results():
        runs += 1
        assert not result.wrong, str(result)
        assert result.messages >= REPORTS
        points.update(f"{fault.point} {fault.kind}" for fault in result.injected)
        figures.update(result.figures)
    print(f"{runs} seeds, {points.total()} faults, {dict(figures)}")
    if runs >= LEAST:
        every = {f"{point} {kind}" for point in _OF_MONEY for kind in MONEY_KINDS[point]}
        every |= {f"outside {kind}" for kind in MONEY_FAULTS}
        assert sorted(every - points.keys()) == []
        came = {
            *MUST,
            *(f"endpoint {manner}" for manner in MANNERS),
            *(f"told {reason}" for reason in REASONS),
        }
        assert sorted(name for name in came if not figures[name]) == []
        assert figures["leaders"] > 2 * runs


#: The points at which money can go wrong; those of the broker are in `test_simulation`.
_OF_MONEY = [point for point in MONEY_KINDS if point.startswith(("budget", "journal", "models", "lag"))]


def test_without_faults_every_paid_call_is_used() -> None:
    for seed in range(2_000, 2_003):
        result = simulate_money(seed, MoneyPlant(kinds={}, outside=("join",)))
        assert not result.wrong, str(result)
        assert result.figures["used"] > 0
        assert result.figures["paid, done without"] == 0
        silent = sum(
            result.figures.get(f"endpoint {manner}", 0) for manner in ("500", "hang", "cut", "no usage")
        )
        assert result.figures["in doubt"] == silent


def test_a_seed_replays_exactly_with_all_its_money() -> None:
    first, again = simulate_money(7), simulate_money(7)
    assert (first.contents, first.injected, first.figures) == (again.contents, again.injected, again.figures)


def test_a_seed_replays_exactly_in_another_process() -> None:
    code = "from simulation.money_world import simulate_money; print(simulate_money(7).contents)"
    root = Path(__file__).parents[2]
    env = {"PYTHONPATH": f"{root / 'services'}{os.pathsep}{root / 'tests'}", "PYTHONHASHSEED": "3"}
    told = subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True)
    assert told.stdout.strip() == simulate_money(7).contents


@pytest.mark.parametrize("defect", MONEY_DEFECTS)
def test_a_planted_defect_is_found_and_nothing_without_it(defect: str) -> None:
    planted = MONEY_DEFECTS[defect]
    found = next((seed for seed in range(WITHIN) if simulate_money(seed, planted.plant()).wrong), None)
    assert found is not None, f"not found in {WITHIN} seeds"
    assert not simulate_money(found, planted.sound()).wrong
