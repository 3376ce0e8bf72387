"""A worker's process ends in time, whatever its loops or the threads of its clients do."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import vigimesh
import waiting

pytestmark = pytest.mark.enable_socket

#: A process with one loop; `{work}` is the body of the loop.
PROCESS = """
    import sys, threading
    from concurrent.futures import ThreadPoolExecutor
    from vigimesh.app.config.settings import WorkerSettings
    from vigimesh.app.workers.worker import Loop, leave, serve_loops
    from vigimesh.clock import SystemClock
    from vigimesh.errors import Broken
    from vigimesh.loop.health import Health
    from vigimesh.adapters.memory.telemetry import NoTelemetry

    # What a client does whose call never returns: Python waits for this thread at a normal end.
    ThreadPoolExecutor(1).submit(threading.Event().wait)

    def work(stop):
        print("up", flush=True)
        {work}

    class LateClock(SystemClock):
        late_s = 0.0
        def monotonic_s(self):
            return super().monotonic_s() + self.late_s

    clock, settings = LateClock(), WorkerSettings(drain_s=1)
    leave(serve_loops([Loop(name="one", work=work, health=Health(clock))], NoTelemetry(), settings))
"""


@contextmanager
def process(work: str) -> Iterator[subprocess.Popen[str]]:
    code = textwrap.dedent(PROCESS).format(work=work)
    services = str(Path(vigimesh.__file__).parent.parent)
    with subprocess.Popen(
        [sys.executable, "-c", code], env={"PYTHONPATH": services}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as started:  # fmt: skip
        try:
            assert started.stdout is not None
            assert started.stdout.readline() == "up\n"
            yield started
        finally:
            started.kill()


def test_a_loop_that_fails_ends_the_process_though_a_clients_call_never_returns() -> None:
    with process("raise Broken('VM-1313', what='no end', where='one')") as failed:
        _, said = failed.communicate(timeout=waiting.WAIT_S)
    assert (failed.returncode, said) == (1, "one: VM-1313 no end (one)\n")


def test_an_unexpected_error_is_told_by_its_type_alone() -> None:
    with process("raise ValueError('Jane Doe')") as failed:
        _, said = failed.communicate(timeout=waiting.WAIT_S)
    assert (failed.returncode, said) == (1, "one: ValueError\n")


def test_sigterm_ends_the_process_cleanly_when_the_loop_does() -> None:
    with process("stop.wait()") as asked:
        asked.send_signal(signal.SIGTERM)
        _, said = asked.communicate(timeout=waiting.WAIT_S)
    assert (asked.returncode, said) == (0, "")


def test_sigterm_ends_the_process_at_its_deadline_when_the_loop_hangs() -> None:
    with process("threading.Event().wait()") as asked:
        asked.send_signal(signal.SIGTERM)
        _, said = asked.communicate(timeout=waiting.WAIT_S)
    assert asked.returncode == 1
    assert said.startswith("VM-1314 the loop did not end within 1 s (one)")


def test_a_loop_that_comes_round_no_more_ends_the_process() -> None:
    with process("clock.late_s = 600.0; stop.wait()") as stuck:
        _, said = stuck.communicate(timeout=waiting.WAIT_S)
    assert stuck.returncode == 1
    assert said.startswith("VM-1314 the loop does not come round any more (one)")
