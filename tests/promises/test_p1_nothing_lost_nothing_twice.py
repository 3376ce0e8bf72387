"""P1: an accepted case ends in exactly one place, and killing any process at any moment changes no total."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from meshes import COMMAND, COMMAND_S, Mesh, refuse_missing, sums_hold, workers
from vigimesh.adapters.kafka.history import bounds
from vigimesh.app.demo.builder import HEALTH, Calendar, adult, case, product, reaction
from vigimesh.app.demo.line_cases import line
from vigimesh.app.demo.writing import DEMO_DAY
from vigimesh.app.devstack.state import Owned, read_state
from vigimesh.app.mesh.fleet import seats
from vigimesh.errors import Misconfigured, Transient
from vigimesh.events.topics import LANES, lane_topic, topic
from waiting import until

pytestmark = pytest.mark.real

#: Cases, each in two versions: enough that work is left at each kill, few enough for seconds.
CASES = 900
#: Records that a stage must have written before one is killed: the run is well under way then.
UNDER_WAY = 300
#: Seconds for a mesh on a stack of its own, and for its work, on a machine that does other things too.
WITHIN_S = 180.0


def two_versions(number: int, calendar: Calendar) -> tuple[str, str]:
    """Return an older and a newer version of a case, both of them for the same door and lane.

    Every third case is serious. Order within a case is kept, so that what each version becomes is certain, and hangs
    on what the supervisor knows of the other: a supervisor that forgot it would accept an older version.
    """
    serious = ("hospitalisation",) if number % 3 == 0 else ()
    one = reaction("Headache", *serious, highlighted="" if serious else "2", outcome="recovered")
    lines = []
    for version, ago in enumerate((5, 2)):
        name = f"DE-KILLED-2026-{number:05d}"
        lines.append(
            line(
                case(
                    sender="CALLCENTRE", receiver="VIGIMESH", report_id=name, worldwide_id=name, country="DE",
                    report_type="spontaneous", created_on=calendar.moment(ago), first_received_on=calendar.day(6),
                    most_recent_on=calendar.day(ago), reporters=(HEALTH,), patient=adult(30 + number % 40, "female"),
                    products=(product("Torvexil"),), reactions=(one,), criteria=serious,
                    narrative=f"Version {version}: a mild headache for a day.",
                )
            )
        )  # fmt: skip
    return lines[0], lines[1]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    calendar = Calendar(today=DEMO_DAY)
    pairs = [two_versions(number, calendar) for number in range(CASES)]
    # The half with odd numbers comes newest first: its older versions are superseded.
    newest_first = [(new, old) if number % 2 else (old, new) for number, (old, new) in enumerate(pairs)]
    lines = [first for first, _ in newest_first] + [second for _, second in newest_first]
    file = tmp_path_factory.mktemp("cases") / "cases.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


class Run:
    """A `vigimesh run` under way, with a throw-away stack below a folder of the test."""

    def __init__(self, folder: Path, source: Path) -> None:
        self._folder = folder
        self._said = folder / "run.err"
        self._out = folder / "run.out"
        with self._out.open("wb") as out, self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [*COMMAND, "run", "--from", str(source), "--json"],
                stdout=out, stderr=said, env={**os.environ, "TMPDIR": str(folder)},
            )  # fmt: skip

    @property
    def said(self) -> str:
        return self._said.read_text(encoding="utf-8")

    def kafka(self) -> str:
        """Return where its broker answers, as soon as all workers run."""

        def found() -> str:
            if self.process.poll() is not None:
                refuse_missing(self.said)
                raise AssertionError(self.said)
            for data in self._folder.glob("vigimesh-run-*"):
                state = read_state(data)
                if state is not None and workers(self.process.pid).keys() == seats().keys():
                    return state.urls.kafka
            return ""

        return until(found, within_s=WITHIN_S, what="a mesh")

    def kill(self, seat: str) -> None:
        os.kill(workers(self.process.pid)[seat], signal.SIGKILL)

    def left(self) -> list[Path]:
        """Return what is left of its throw-away stack's folder."""
        return list(self._folder.glob("vigimesh-run-*"))

    def result(self) -> dict[str, Any]:
        assert self.process.wait(COMMAND_S) == 0, self.said
        found: dict[str, Any] = json.loads(self._out.read_text(encoding="utf-8"))
        return found


def written(kafka: str, *names: str) -> int:
    """Return how many records lie on topics, as a reader of committed ones counts them."""
    try:
        return sum(end - first for first, end in bounds(kafka, names).values())
    except (Misconfigured, Transient):  # the topics are being made
        return 0


@pytest.fixture
def run(source: Path) -> Iterator[Run]:
    folder = Path(tempfile.mkdtemp(prefix="vm-test-"))
    folder.chmod(0o711)
    started = Run(folder, source)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def test_killed_workers_change_no_total(run: Run, source: Path, mesh: Mesh) -> None:
    kafka = run.kafka()
    routed = [lane_topic("plan", lane) for lane in LANES]
    ended = [topic("case.decided"), topic("case.review")]
    until(lambda: written(kafka, *routed) > UNDER_WAY, within_s=WITHIN_S, what="routed cases")
    run.kill("router")
    before = written(kafka, *ended)
    until(lambda: written(kafka, *ended) > before + UNDER_WAY, within_s=WITHIN_S, what="concluded cases")
    run.kill("supervisor")
    run.kill("tool-executor.hot")
    run.kill("tool-executor.warm")
    assert written(kafka, *ended) < 2 * CASES, "killed too late to prove anything"
    # By the time that was read when they were listed: those that were killed may be gone before they are asked.
    listed = psutil.Process(run.process.pid).children(recursive=True)
    family = [Owned(pid=child.pid, created_s=child.create_time()) for child in listed]
    killed = run.result()

    undisturbed = mesh.run(source)
    assert undisturbed.status == 0, undisturbed.err
    for found in (killed, undisturbed.json):
        sums_hold(found)
        assert found["read"] == found["accepted"] == 2 * CASES
    assert killed["decisions"] == undisturbed.json["decisions"]
    assert killed["restarts"] >= 3
    assert undisturbed.json["restarts"] == 0
    superseded = sum(row["cases"] for row in killed["decisions"] if row["decision"] == "superseded")
    assert superseded == CASES // 2
    # A throw-away stack leaves nothing: no process, no folder.
    assert [owned for owned in family if owned.alive()] == []
    assert run.left() == []
