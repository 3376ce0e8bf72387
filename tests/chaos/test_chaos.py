"""The short form of chaos: real workers on a stack of their own, a fixed seed, every kind of fault."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chaos.faults import KINDS
from chaos.run import KEYS
from meshes import refuse_missing
from vigimesh.events.topics import STAGES

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

#: Any would do; with this one all kinds find somebody.
SEED = 1
#: Messages a second: two cores have the tests' other work to do as well.
RATE = 25
#: Seconds for stack, workers, faults, the end, and the leases of what was killed: three minutes on an idle machine.
WITHIN_S = 580.0


def chaos(*arguments: object) -> tuple[int, dict[str, Any], str]:
    """Run chaos in a process of its own; return status, the object of its last line, and what it said."""
    paths = os.pathsep.join(str(Path(__file__).parents[up] / name) for up, name in ((1, ""), (2, "services")))
    ended = subprocess.run(
        [sys.executable, "-m", "chaos", *map(str, arguments)],
        capture_output=True, text=True, timeout=WITHIN_S, check=False, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    refuse_missing(ended.stderr)
    return ended.returncode, json.loads(ended.stdout.splitlines()[-1]), ended.stderr


@pytest.fixture(scope="module")
def ended() -> tuple[int, dict[str, Any], str]:
    return chaos("--short", "--seed", SEED, "--rate", RATE)


def test_faults_of_every_kind_leave_every_case_accounted_for_once(
    ended: tuple[int, dict[str, Any], str],
) -> None:
    status, found, said = ended
    assert found.keys() >= set(KEYS)
    zeros = {name: found[name] for name in ("lost", "duplicated", "torn", "out_of_order", "in_flight")}
    assert not any(zeros.values()), (zeros, said)
    places = ("decided", "in_review", "parked", "dead_lettered")
    assert found["accepted"] == sum(found[place] for place in places)
    assert found["accepted"] >= found["cases"] > 0
    assert set(found["by_kind"]) == set(KINDS), said
    assert status == 0, said


def test_a_kill_of_each_stage_every_few_seconds_makes_no_duplicates(
    ended: tuple[int, dict[str, Any], str],
) -> None:
    _, found, said = ended
    assert set(found["killed"]) >= set(STAGES), said
    assert (found["lost"], found["duplicated"]) == (0, 0), said


def test_whoever_is_killed_while_he_pays_no_call_is_paid_twice_and_the_books_agree(
    ended: tuple[int, dict[str, Any], str],
) -> None:
    """P2 under faults: workers, Valkey and PostgreSQL are killed; what is in doubt is counted and not made again."""
    _, found, said = ended
    assert found["model_calls"] > 0, said
    zeros = {name: found[name] for name in ("paid_twice", "overspend_micro", "leaked_reservations")}
    assert not any(zeros.values()), (zeros, said)
    assert found["budget_equals_journal_equals_usage"], said


def test_the_last_line_comes_also_when_nothing_can_be_started(tmp_path: Path) -> None:
    """A folder for temporary files that is not there: no stack, and yet one object at the end."""
    missing = {**os.environ, "TMPDIR": str(tmp_path / "gone"), "TEMP": "", "TMP": ""}
    code = "import sys, tempfile; tempfile.tempdir = sys.argv.pop(); import runpy; runpy.run_module('chaos', run_name='__main__')"
    ended = subprocess.run(
        [sys.executable, "-c", code, "--minutes", "0.1", "--seed", "5", str(tmp_path / "gone")],
        capture_output=True, text=True, timeout=60, check=False,
        env={**missing, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    found = json.loads(ended.stdout.splitlines()[-1])
    assert ended.returncode == 1
    assert found.keys() >= set(KEYS)
    assert (found["seed"], found["lost"]) == (5, None)
    assert "FileNotFoundError" in found["error"]
