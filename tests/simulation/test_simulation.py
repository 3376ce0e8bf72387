"""The real loop over virtual time, one seed after the other: nothing lost, doubled, torn or out of order, nothing stuck.

`SEED=n` replays one seed; `SEEDS=n` runs so many (`make simulate`); without either, as many as 90 seconds allow.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from simulation.faults import KINDS
from simulation.parts import Result
from simulation.plant import OUTSIDE, Plant
from simulation.pool import everywhere
from simulation.world import simulate
from vigimesh.loop import commit as loop_commit

#: Seeds at least, and seconds that are used for more of them.
LEAST, BUDGET_S = 200, 90.0
MESSAGES, FAULTS = 200, 5

#: Where a numbered step of `loop/commit.py` goes wrong: the calls that it makes.
STEPS = {1: {"begin"}, 2: {"write"}, 3: {"overlapping"}, 4: {"offsets.before", "offsets.after"},
         5: {"commit.before", "commit.after"}}  # fmt: skip


def seeds() -> Iterator[int]:
    """Yield the seeds that are asked for."""
    if "SEED" in os.environ:
        yield int(os.environ["SEED"])
    elif "SEEDS" in os.environ:
        yield from range(int(os.environ["SEEDS"]))
    else:
        until_s = time.monotonic() + BUDGET_S
        for seed in count():
            if seed >= LEAST and time.monotonic() > until_s:
                return
            yield seed


def results() -> Iterator[Result]:
    """Yield the results of all seeds, worked out on every core."""
    if "SEED" in os.environ:
        yield from map(simulate, seeds())
        return
    yield from everywhere(simulate, seeds())


@pytest.mark.timeout(0)  # it keeps its own time; `make simulate` takes an hour
def test_whatever_fails_nothing_is_lost_doubled_torn_out_of_order_or_stuck() -> None:
    points: Counter[str] = Counter()
    runs = recalled = 0
    for result in results():
        runs += 1
        assert not result.wrong, str(result)
        assert result.messages >= MESSAGES
        assert len(result.injected) >= FAULTS, str(result)
        recalled += result.figures["recalled"]
        points.update(fault.point for fault in result.injected)
        points.update(f"{fault.point} {fault.kind}" for fault in result.injected)
        points.update("overlapping" for fault in result.injected if fault.overlapping)
    print(f"{runs} seeds, {sum(points[p] for p in (*KINDS, 'outside'))} faults, {recalled} recalls")
    if runs >= LEAST:
        assert recalled > runs
        missed = [step for step, calls in STEPS.items() if not all(points[call] for call in calls)]
        assert not missed, f"no fault at numbered steps {missed}"
        every = {f"{point} {kind}" for point, kinds in KINDS.items() for kind in kinds}
        every |= {f"outside {kind}" for kind in OUTSIDE}
        assert sorted(every - points.keys()) == []


def test_every_numbered_step_of_commit_is_known_here() -> None:
    text = Path(loop_commit.__file__).read_text(encoding="utf-8")
    assert {int(number) for number in re.findall(r"# (\d)\.$", text, re.MULTILINE)} == STEPS.keys()


def test_a_seed_replays_exactly() -> None:
    first, again = simulate(7), simulate(7)
    assert (first.contents, first.injected) == (again.contents, again.injected)


def test_a_seed_replays_exactly_in_another_process() -> None:
    code = "from simulation.world import simulate; print(simulate(7).contents)"
    root = Path(__file__).parents[2]
    env = {"PYTHONPATH": f"{root / 'services'}{os.pathsep}{root / 'tests'}"}
    found = {
        subprocess.run([sys.executable, "-c", code], env={**env, "PYTHONHASHSEED": seed}, check=True,
                       capture_output=True, text=True).stdout.strip()
        for seed in ("1", "2")
    }  # fmt: skip
    assert found == {simulate(7).contents}


def holds(plant: Callable[[], Plant]) -> None:
    """Run a few seeds with faults of one kind, many of them."""
    for seed in range(1_000, 1_005):
        result = simulate(seed, plant())
        assert not result.wrong, str(result)


# Failures of others, each with what brings it about: docs/failures.md.


def test_no_commit_overtakes_a_record_in_hand_over_at_close_or_revoke() -> None:
    holds(lambda: Plant(kinds={}, outside=("leave at an await", "leave at an await", "join")))


def test_after_rebalances_no_stale_entry_swallows_a_fresh_record() -> None:
    moves = ("join", "leave at an await", "freeze at an await")
    holds(lambda: Plant(kinds={"call": ("slow",)}, outside=moves, rate=0.05))


def test_after_any_fault_no_partition_stays_paused_and_nothing_stays_in_hand() -> None:
    holds(lambda: Plant(patches={"vigimesh.loop.run.MAX_OPEN": 5}))


def test_a_revoke_and_a_commit_never_wait_for_each_other() -> None:
    slow = dict.fromkeys(("offsets.before", "commit.before", "poll", "call"), ("slow",))
    holds(lambda: Plant(kinds=slow, outside=("join", "leave at an await"), rate=0.05))


def test_a_record_of_a_partition_no_longer_owned_moves_no_position() -> None:
    late = dict.fromkeys(("poll", "call", "offsets.before"), ("slow",))
    holds(lambda: Plant(kinds=late, outside=("freeze at an await", "twin"), rate=0.05))


def test_a_call_of_15_minutes_is_made_once_and_commits_though_others_come_and_go() -> None:
    # Who joins never takes the first partition from its owner, and there the call is under way.
    result = simulate(1, Plant(kinds={}, outside=("join",), call_s=900.0, settle_s=1_000.0))
    assert not result.wrong, str(result)
    assert result.seconds > 900
    assert result.calls[result.long_call] == 1


def test_a_call_of_15_minutes_is_made_once_though_its_member_is_fenced() -> None:
    # In this run the call is under way when that happens, and what comes back comes to the same member.
    result = simulate(2, Plant(kinds={}, outside=("fence at an await",), call_s=900.0, settle_s=1_000.0))
    assert not result.wrong, str(result)
    assert result.seconds > 900
    assert result.calls[result.long_call] == 1
