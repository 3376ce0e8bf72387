"""A worker that was forked is to its keeper, to `ps` and to the kernel what one that was executed is."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import psutil
import pytest

import waiting
from vigimesh.app.config.settings import Settings
from vigimesh.app.devstack.state import Owned, StackUrls
from vigimesh.app.mesh import forkserver
from vigimesh.app.mesh.fleet import Fleet, Pace, Program, Restart, worker_programs
from vigimesh.app.mesh.forkserver import ForkServer, inherited
from vigimesh.clock import Deadline, SystemClock
from vigimesh.errors import Misconfigured

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux gives orphans away")

#: `prctl` option (linux/prctl.h).
_PR_GET_CHILD_SUBREAPER = 37

#: A command that goes on until it is asked to stop, and needs nothing.
SERVES = ("standin", "--port", "0")


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    """Share one, which is what it is for."""
    with ForkServer() as made:
        yield made


def program(folder: Path) -> Program:
    return Program(
        # Were it executed, it would end at once.
        argv=(sys.executable, "-S", "-c", "print('executed')"),
        command=SERVES,
        environment=inherited(),
        log=folder / "router.log",
        port_file=folder / "router.port",
    )


def said(folder: Path) -> str:
    log = folder / "router.log"
    return log.read_text(encoding="utf-8") if log.exists() else ""


def test_it_is_a_child_that_shows_its_command(server: ForkServer, tmp_path: Path) -> None:
    with Fleet({"router": program(tmp_path)}, server=server) as fleet:
        waiting.until(lambda: "http://" in said(tmp_path), what="the command's first line")
        shown = psutil.Process(fleet.pids()["router"])
        assert shown.ppid() == os.getpid()
        assert shown.cmdline() == [sys.executable, "-P", "-m", "vigimesh", *SERVES]
        assert os.getpgid(shown.pid) == shown.pid
    assert not shown.is_running()


def test_orphans_of_others_are_left_to_the_system(server: ForkServer, tmp_path: Path) -> None:
    with Fleet({"router": program(tmp_path)}, server=server):
        asked = ctypes.c_int(-1)
        assert ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(asked), 0, 0, 0) == 0
    assert asked.value == 0


def test_its_death_is_told_and_another_takes_its_seat(server: ForkServer, tmp_path: Path) -> None:
    told = list[Restart]()
    with Fleet(
        {"router": program(tmp_path)}, on_restart=told.append, pace=Pace(first_s=0.0), server=server
    ) as fleet:
        first = fleet.pids()["router"]
        os.kill(first, signal.SIGKILL)
        waiting.until(lambda: fleet.restarts and fleet.pids(), what="another")
        assert fleet.pids()["router"] != first
        assert (told[0].status, told[0].deaths) == (-signal.SIGKILL, 1)


def test_a_crash_in_a_library_is_told_with_where_its_threads_were(server: ForkServer, tmp_path: Path) -> None:
    told = list[Restart]()
    with Fleet(
        {"router": program(tmp_path)}, on_restart=told.append, pace=Pace(first_s=0.0), server=server
    ) as fleet:
        waiting.until(lambda: "http://" in said(tmp_path), what="the command's first line")
        os.kill(fleet.pids()["router"], signal.SIGSEGV)
        waiting.until(lambda: told, what="its end")
    assert (told[0].status, told[0].cause) == (-signal.SIGSEGV, "Fatal Python error: Segmentation fault")
    assert "most recent call first" in said(tmp_path)


def test_its_exit_status_is_that_of_the_command(server: ForkServer, tmp_path: Path) -> None:
    urls = StackUrls(kafka="h:1", registry="http://r", postgres="", redis="unix:///s", objects="file:///o")
    programs = worker_programs(Settings.for_stack(urls), tmp_path, stages=("router",))
    with (
        Fleet(programs, server=server) as fleet,
        pytest.raises(Misconfigured, match="VIGIMESH_POSTGRES_DSN must be set"),
    ):
        fleet.wait_ready(Deadline.after(SystemClock(), waiting.WAIT_S))


def test_each_has_its_own_settings(server: ForkServer, tmp_path: Path) -> None:
    for tenant in ("first", "second"):
        with (tmp_path / tenant).open("ab") as output:
            made = server.launch(
                ("config", "show"), {**inherited(), "VIGIMESH_TENANT": tenant}, output.fileno()
            )
        assert made is not None
        assert made.wait(waiting.WAIT_S) == 0
        assert tenant in (tmp_path / tenant).read_text(encoding="utf-8")
    assert "first" not in (tmp_path / "second").read_text(encoding="utf-8")


def test_one_that_does_not_end_is_not_waited_for(server: ForkServer, tmp_path: Path) -> None:
    with (tmp_path / "out").open("ab") as output:
        made = server.launch(SERVES, inherited(), output.fileno())
    assert made is not None
    with pytest.raises(subprocess.TimeoutExpired):
        made.wait(0.0)
    made.kill()
    assert made.wait(waiting.WAIT_S) == made.poll() == -signal.SIGKILL
    # Its number may be another's by now.
    made.terminate()


def test_without_the_server_the_program_is_executed(tmp_path: Path) -> None:
    with ForkServer(()) as gone, Fleet({"router": program(tmp_path)}, server=gone) as fleet:
        before = fleet.pids()["router"]
        gone.close()
        # A worker outlives the server.
        assert psutil.Process(before).is_running()
        os.kill(before, signal.SIGKILL)
        waiting.until(lambda: "executed" in said(tmp_path), what="the program")


def test_a_server_that_died_is_noticed(tmp_path: Path) -> None:
    with ForkServer(()) as alone, (tmp_path / "out").open("ab") as output:
        assert alone._process is not None
        alone._process.kill()
        assert alone.launch(SERVES, inherited(), output.fileno()) is None
        assert alone.launch(SERVES, inherited(), output.fileno()) is None


PARENT = """
    import sys, threading
    from pathlib import Path
    from vigimesh.app.mesh.fleet import Fleet, Program
    from vigimesh.app.mesh.forkserver import ForkServer, inherited
    folder = Path(sys.argv[1])
    one = Program(argv=("false",), command=tuple(sys.argv[2:]), environment=inherited(), log=folder / "router.log",
                  port_file=folder / "x.port")
    with ForkServer(()) as server, Fleet({"router": one}, server=server) as fleet:
        print(fleet.pids()["router"], flush=True)
        threading.Event().wait()
"""


def test_no_orphan_when_the_keeper_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(PARENT), str(tmp_path), *SERVES]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=inherited()) as keeper:
        assert keeper.stdout is not None
        worker = Owned.of(int(keeper.stdout.readline()))
        waiting.until(lambda: "http://" in said(tmp_path), what="the command's first line")
        both = [Owned.of(one.pid) for one in psutil.Process(keeper.pid).children()]
        assert worker in both
        keeper.kill()
    waiting.until(lambda: not any(one.alive() for one in both), what="the end of both")


def test_a_worker_that_is_no_child_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the kernel is not asked for orphans."""
    monkeypatch.setattr(forkserver, "_adopting", nullcontext)
    with ForkServer(()) as alone, (tmp_path / "router.log").open("ab") as output:
        assert alone.launch(SERVES, inherited(), output.fileno()) is None
    assert said(tmp_path) == ""
