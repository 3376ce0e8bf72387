"""`make check` goes on after a failure, says what failed and the one command that reruns it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from rules.house import ROOT

MAKEFILE = "good:\n\t@echo quiet\nbad:\n\t@echo 'x.py:1: wrong'; exit 1\ntest:\n\t@echo '3 passed'\n"


def run_steps(folder: Path, *steps: str) -> subprocess.CompletedProcess[str]:
    """Run the steps of a small makefile as `make check` runs its own."""
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "steps", folder / ".ci")
    (folder / "Makefile").write_text(MAKEFILE, encoding="utf-8")
    command = ["bash", ".ci/steps", "check", *steps]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_success_is_quiet_and_ends_with_the_tests(tmp_path: Path) -> None:
    done = run_steps(tmp_path, "good", "test")
    assert done.returncode == 0
    assert "quiet" not in done.stdout
    last = done.stdout.splitlines()[-3:]
    assert last[0] == "3 passed"
    assert last[2].startswith("check: all 2 steps passed")


def test_failure_names_the_step_and_how_to_rerun_it(tmp_path: Path) -> None:
    done = run_steps(tmp_path, "bad", "good", "test")
    assert done.returncode == 1
    assert "x.py:1: wrong" in done.stdout
    assert "3 passed" in done.stdout
    assert done.stdout.splitlines()[-1].strip() == "make bad"


@pytest.mark.parametrize("target", ["demo", "check", "check-fast"])
def test_the_promised_targets_build_what_they_need(target: str) -> None:
    assert f"\n{target}: venv ##" in (ROOT / "Makefile").read_text(encoding="utf-8")
