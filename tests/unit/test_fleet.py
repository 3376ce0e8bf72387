"""A fleet starts its programs again when they die, more and more slowly, drains them, and leaves no orphan."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psutil
import pytest

import vigimesh
import waiting
from vigimesh.app.config.settings import Settings, read_settings
from vigimesh.app.devstack.state import Owned, StackUrls
from vigimesh.app.mesh import fleet as fleet_module
from vigimesh.app.mesh.fleet import Fleet, Pace, Program, Restart, worker_programs
from vigimesh.clock import Deadline, SystemClock
from vigimesh.errors import Broken, Misconfigured, Transient
from vigimesh.events.topics import LANE_STAGES, LANES, groups

SLEEPS = "import signal; print('up', flush=True); signal.pause()"
ENDS = "import sys; print('could not go on', flush=True); sys.exit(7)"
MISCONFIGURED = "import sys; print('vigimesh: VM-1102 X must be set', flush=True); sys.exit(2)"
STUBBORN = """
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print('up', flush=True)
    while True:
        signal.pause()
"""
DRAINS = """
    import signal, sys
    def drain(number, frame):
        print('drained', flush=True)
        sys.exit(0)
    signal.signal(signal.SIGTERM, drain)
    print('up', flush=True)
    signal.pause()
"""
SERVES = """
    import http.server, os, pathlib
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == '/readyz' else 404)
            self.end_headers()
        def log_message(self, *args):
            pass
    server = http.server.HTTPServer(('127.0.0.1', 0), Answer)
    pathlib.Path(os.environ['VIGIMESH_PORT_FILE']).write_text(str(server.server_address[1]))
    server.serve_forever()
"""


class HandClock:
    """Stands still until a test moves it, and counts how often it was read."""

    def __init__(self) -> None:
        self.at_s = 0.0
        self.reads = 0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at_s, UTC)

    def monotonic_s(self) -> float:
        self.reads += 1
        return self.at_s


def until(condition: Callable[[], object], what: str) -> None:
    waiting.until(condition, what=what)


def program(folder: Path, code: str, name: str = "router") -> Program:
    port_file = folder / f"{name}.port"
    return Program(
        argv=(sys.executable, "-S", "-c", textwrap.dedent(code)),
        environment={"VIGIMESH_PORT_FILE": str(port_file)},
        log=folder / f"{name}.log",
        port_file=port_file,
    )


@contextmanager
def running(fleet: Fleet) -> Iterator[Fleet]:
    """Start a fleet and hold it to leaving no process behind."""
    seen: set[Owned] = set()
    try:
        with fleet:
            seen = {Owned.of(pid) for pid in fleet.pids().values() if psutil.pid_exists(pid)}
            yield fleet
    finally:
        assert [owned for owned in seen if owned.alive()] == []
        assert fleet.pids() == {}


def _counts(told: list[Restart], number: int) -> bool:
    return len(told) == number


def says(folder: Path, text: str, name: str = "router") -> bool:
    log = folder / f"{name}.log"
    return log.exists() and text in log.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("deaths", "pause_s"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 30.0), (5_000, 30.0)]
)
def test_the_pause_doubles_up_to_a_bound(deaths: int, pause_s: float) -> None:
    assert Pace().pause_s(deaths) == pause_s


def test_a_killed_program_is_started_again_when_its_pause_is_over(tmp_path: Path) -> None:
    clock, told, router = HandClock(), list[Restart](), program(tmp_path, SLEEPS)
    router.log.write_text("vigimesh.a: VM-1303 why an earlier one ended\n", encoding="utf-8")
    fleet = Fleet({"router": router}, on_restart=told.append, clock=clock)
    with running(fleet):
        (first,) = fleet.pids().values()
        os.kill(first, signal.SIGKILL)
        until(lambda: told, "word of the death")
        assert (told[0].stage, told[0].status, told[0].deaths, told[0].pause_s) == ("router", -9, 1, 0.5)
        assert "VM-1303" not in told[0].cause
        clock.at_s = 0.49
        looks = clock.reads + 3
        until(lambda: clock.reads >= looks, "three more looks")
        assert (fleet.pids(), fleet.restarts) == ({}, 0)
        clock.at_s = 0.5
        until(fleet.pids, "a new process")
        assert fleet.pids()["router"] != first
        assert fleet.restarts == 1


def test_one_that_dies_again_and_again_waits_longer_and_says_why(tmp_path: Path) -> None:
    clock, told = HandClock(), list[Restart]()

    def tell(restart: Restart) -> None:
        told.append(restart)
        clock.at_s += restart.pause_s

    with running(
        Fleet({"router": program(tmp_path, ENDS)}, on_restart=tell, clock=clock, pace=Pace(most_s=4.0))
    ):
        until(lambda: len(told) >= 5, "five deaths")
    assert [restart.pause_s for restart in told[:5]] == [0.5, 1.0, 2.0, 4.0, 4.0]
    assert [restart.deaths for restart in told[:5]] == [1, 2, 3, 4, 5]
    assert {restart.status for restart in told} == {7}
    assert told[0].cause == "could not go on"


def test_one_that_ran_long_begins_anew(tmp_path: Path) -> None:
    clock, told = HandClock(), list[Restart]()
    fleet = Fleet({"router": program(tmp_path, SLEEPS)}, on_restart=told.append, clock=clock)
    with running(fleet):
        for number, later_s in enumerate((0.0, 59.9, 60.0), start=1):
            clock.at_s += later_s
            os.kill(fleet.pids()["router"], signal.SIGKILL)
            until(partial(_counts, told, number), "word of the death")
            clock.at_s += told[-1].pause_s
            until(fleet.pids, "a new process")
    assert [restart.deaths for restart in told] == [1, 2, 1]


def test_the_death_of_one_touches_no_other(tmp_path: Path) -> None:
    told: list[Restart] = []
    programs = {name: program(tmp_path, SLEEPS, name) for name in ("router", "planner")}
    fleet = Fleet(programs, on_restart=told.append, pace=Pace(first_s=0.0))
    with running(fleet):
        before = fleet.pids()
        os.kill(before["planner"], signal.SIGKILL)
        until(lambda: fleet.restarts == 1 and len(fleet.pids()) == 2, "the planner's return")
        assert fleet.pids()["router"] == before["router"]
        assert fleet.pids()["planner"] != before["planner"]


def test_stop_lets_a_program_finish(tmp_path: Path) -> None:
    with running(Fleet({"router": program(tmp_path, DRAINS)})):
        until(lambda: says(tmp_path, "up"), "the program's start")
    assert says(tmp_path, "drained")


def test_stop_kills_at_the_deadline(tmp_path: Path) -> None:
    with running(Fleet({"router": program(tmp_path, STUBBORN)}, pace=Pace(drain_s=0.3))) as fleet:
        until(lambda: says(tmp_path, "up"), "the program's start")
        began_s = time.monotonic()
        fleet.stop()
        assert 0.3 <= time.monotonic() - began_s < waiting.WAIT_S
    fleet.stop()


@pytest.mark.enable_socket
def test_ready_when_every_program_says_so(tmp_path: Path) -> None:
    (tmp_path / "router.port").write_text("1")  # of an earlier life
    with running(Fleet({"router": program(tmp_path, SERVES)})) as fleet:
        fleet.wait_ready(Deadline.after(SystemClock(), waiting.WAIT_S))
        assert fleet.urls()["router"].startswith("http://127.0.0.1:")
        assert fleet.ready("router")
    assert fleet.urls() == {}
    assert not fleet.ready("router")


def test_not_ready_at_the_deadline_is_said_with_the_log(tmp_path: Path) -> None:
    with running(Fleet({"router": program(tmp_path, SLEEPS)})) as fleet:
        until(lambda: says(tmp_path, "up"), "the program's start")
        with pytest.raises(Transient, match="VM-1707 worker router did not become ready in time") as late:
            fleet.wait_ready(Deadline.after(SystemClock(), 0.2))
        assert late.value.where == str(tmp_path / "router.log")


def test_wrong_settings_are_not_waited_for(tmp_path: Path) -> None:
    with (
        running(Fleet({"router": program(tmp_path, MISCONFIGURED)})) as fleet,
        pytest.raises(Misconfigured, match="VM-1102 X must be set"),
    ):
        fleet.wait_ready(Deadline.after(SystemClock(), waiting.WAIT_S))


def test_one_that_ends_again_and_again_is_not_waited_for(tmp_path: Path) -> None:
    fleet = Fleet({"router": program(tmp_path, ENDS)}, pace=Pace(first_s=0.0))
    with running(fleet), pytest.raises(Broken, match=r"again and again .*: could not go on"):
        fleet.wait_ready(Deadline.after(SystemClock(), waiting.WAIT_S))


def test_what_cannot_be_started_is_said_at_once(tmp_path: Path) -> None:
    missing = Program(
        argv=(str(tmp_path / "nothing"),),
        environment={},
        log=tmp_path / "x.log",
        port_file=tmp_path / "x.port",
    )
    other = program(tmp_path, SLEEPS)
    fleet = Fleet({"router": other, "planner": missing})
    with pytest.raises(FileNotFoundError):
        fleet.start()
    assert fleet.pids() == {}
    with pytest.raises(FileNotFoundError):
        fleet.check()


def test_a_large_log_makes_way_for_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_module, "LOG_MAX_BYTES", 10)
    (tmp_path / "router.log").write_text("old and large")
    with running(Fleet({"router": program(tmp_path, SLEEPS)})):
        until(lambda: says(tmp_path, "up"), "the program's start")
    assert (tmp_path / "router.log.1").read_text() == "old and large"
    assert not says(tmp_path, "old")


PARENT = """
    import sys, threading
    from pathlib import Path
    from vigimesh.app.mesh.fleet import Fleet, Program
    folder = Path(sys.argv[1])
    one = Program(argv=(sys.executable, "-S", "-c", sys.argv[2]), environment={}, log=folder / "x.log",
                  port_file=folder / "x.port")
    with Fleet({"router": one}) as fleet:
        print(fleet.pids()["router"], flush=True)
        threading.Event().wait()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends a child with its parent")
def test_no_orphan_when_the_parent_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(PARENT), str(tmp_path), textwrap.dedent(STUBBORN)]
    services = str(Path(vigimesh.__file__).parent.parent)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": services}
    ) as parent:
        assert parent.stdout is not None
        child = Owned.of(int(parent.stdout.readline()))
        until(lambda: says(tmp_path, "up", "x"), "the program's start")
        parent.kill()
    until(lambda: not child.alive(), "the child's end")


def test_threads_are_gone_with_the_fleet(tmp_path: Path) -> None:
    with running(Fleet({"router": program(tmp_path, SLEEPS)})):
        assert [thread.name for thread in threading.enumerate()].count("fleet") == 1
    assert "fleet" not in [thread.name for thread in threading.enumerate()]


def test_a_worker_shows_its_stage_and_is_given_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIMESH_TENANT", "left-over")
    urls = StackUrls(
        kafka="h:1", registry="http://r", postgres="postgresql://p/db", redis="unix:///s", objects="file:///o"
    )
    settings = Settings.for_stack(urls, read_settings({"VIGIMESH_PARTITIONS": "2"}))
    programs = worker_programs(settings, tmp_path)
    lanes = [f"{stage}.{lane}" for stage in LANE_STAGES for lane in LANES]
    assert list(programs) == ["router", *lanes, "supervisor"]
    assert {f"vigimesh.{name}" for name in programs} <= {group for group, _ in groups()}
    for name, made in programs.items():
        stage, _, lane = name.partition(".")
        shown = f"vigimesh worker {stage} --lane {lane}" if lane else f"vigimesh worker {stage}"
        assert " ".join(made.argv).endswith(shown)
        ours = {name: value for name, value in made.environment.items() if name.startswith("VIGIMESH_")}
        read = read_settings(ours)
        assert read.worker.instance == f"{name}.0"
        assert read.worker.port_file == str(made.port_file)
        assert (read.kafka, read.mesh) == (settings.kafka, settings.mesh)
    assert len({made.log for made in programs.values()}) == len(programs)


def test_the_controller_is_run_by_its_own_command(tmp_path: Path) -> None:
    made = worker_programs(Settings(), tmp_path, stages=("controller",))["controller"]
    assert made.argv[-2:] == ("vigimesh", "controller")
    assert made.environment["VIGIMESH_INSTANCE"] == "controller.0"


def test_the_real_worker_refuses_missing_settings(tmp_path: Path) -> None:
    urls = StackUrls(kafka="h:1", registry="http://r", postgres="", redis="unix:///s", objects="file:///o")
    programs = worker_programs(Settings.for_stack(urls), tmp_path, stages=("router",))
    with (
        running(Fleet(programs)) as fleet,
        pytest.raises(Misconfigured, match="VIGIMESH_POSTGRES_DSN must be set"),
    ):
        fleet.wait_ready(Deadline.after(SystemClock(), waiting.WAIT_S))
