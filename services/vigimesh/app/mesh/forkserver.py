"""Makes workers by forking a process that has imported what they need: a start costs no imports, and what was read is shared.

The fork server is a child of the process that keeps the workers, and has one thread. It forks twice and the process between
ends, while the keeping process asks the kernel for orphans (`PR_SET_CHILD_SUBREAPER`): the worker becomes its child, as if it
had been executed, so that it is waited for, signalled and found among the children as ever, and ends with it. Where any of
this is not to be had, `launch` says so and the program is executed.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from types import TracebackType

import vigimesh
from vigimesh.app.config.settings import without_settings
from vigimesh.app.devstack.spawn import tie_to_parent
from vigimesh.events.codec import get_ready

#: What the server imports before it forks: the commands that a fleet runs and what their stages import when they are built.
#: Not numpy, which starts threads, and a process with threads must not be forked.
PRELOADED = (
    "vigimesh.app.cli",
    "vigimesh.app.config.located",
    "vigimesh.app.in_force.cards",
    "vigimesh.app.workers.worker",
    "vigimesh.app.workers.controller",
    "vigimesh.app.workers.resumer",
    "vigimesh.app.workers.librarian",
    "vigimesh.app.workers.limits",
    "vigimesh.router.worker",
    "vigimesh.planner.worker",
    "vigimesh.retriever.worker",
    "vigimesh.retriever.lookup",
    "vigimesh.adapters.postgres.search",
    "vigimesh.adapters.redis.answers",
    "vigimesh.supervisor.worker",
)

#: `prctl` option: whether orphans below this process become its children (linux/prctl.h).
_PR_SET_CHILD_SUBREAPER = 36

#: Seconds for one worker to be made; the first waits for the imports, 1 s on an idle machine.
LAUNCH_S = 60.0

#: Bytes of an order, most of it the environment: half of what the kernel takes in one message by default.
ORDER_MAX_BYTES = 100_000

#: Bytes kept free behind the server's own arguments, over which a worker writes its own: `ps` then shows what it is.
TITLE_BYTES = 400

#: Only one worker is made at a time in this process, since the question for orphans is the whole process's.
_ONE_AT_A_TIME = threading.Lock()


def inherited() -> dict[str, str]:
    """Return this process's environment without settings, with the folder this package was imported from first in the path."""
    here = str(Path(vigimesh.__file__).parent.parent)
    kept = without_settings(os.environ)
    paths = [here, *(part for part in kept.get("PYTHONPATH", "").split(os.pathsep) if part)]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths)}


class Forked:
    """A worker that was forked: what `subprocess.Popen` is for one that was executed."""

    def __init__(self, pid: int) -> None:
        """Take a child of this process that nobody else waits for."""
        self.pid = pid
        self._status: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; `None` while it runs. Raises `ChildProcessError` when it is no child."""
        if self._status is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def wait(self, timeout: float) -> int:
        """Return the exit status when it has ended; raises `subprocess.TimeoutExpired` after so many seconds."""
        if self.poll() is None:
            ended = os.pidfd_open(self.pid)
            try:
                select.select([ended], [], [], max(0.0, timeout))
            finally:
                os.close(ended)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired("vigimesh", timeout)
        return status

    def terminate(self) -> None:
        """Ask it to end; does nothing when it has."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it by force; does nothing when it has ended."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        # Its number cannot be another's before it was waited for.
        if self.poll() is None:
            os.kill(self.pid, number)


class ForkServer:
    """`with ForkServer() as server: server.launch(...)`. It imports while its maker goes on with other things.

    To be made by a thread that lives as long as the process: the kernel ends the server with that thread.
    """

    def __init__(self, preloaded: Sequence[str] = PRELOADED) -> None:
        """Start the server, which imports the modules named; where that cannot be, every launch says so."""
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None
        if not sys.platform.startswith("linux"):
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(LAUNCH_S)
        with theirs:
            self._process = subprocess.Popen(
                (sys.executable, "-P", "-m", "vigimesh.app.mesh.forkserver", *preloaded, "." * TITLE_BYTES),
                env=inherited(),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                # A Ctrl-C in the terminal is for the keeper of the workers, which drains them.
                process_group=0,
                # Two system calls, nothing that could wait for a lock of another thread.
                preexec_fn=tie_to_parent(signal.SIGKILL),  # noqa: PLW1509
            )
        self._orders = ours

    def launch(self, command: Sequence[str], environment: Mapping[str, str], output: int) -> Forked | None:
        """Make a process that runs `vigimesh COMMAND...` with this environment and writes to the descriptor `output`.

        It is a child of this process and dies with it. `None` when none could be made: the server is gone or not to be had.
        """
        if self._orders is None:
            return None
        order = {"command": list(command), "environment": dict(environment), "parent": os.getpid()}
        try:
            with _ONE_AT_A_TIME, _adopting():
                socket.send_fds(self._orders, [json.dumps(order).encode()], [output])
                made = Forked(int(self._orders.recv(32) or 0))
            if made.pid:
                made.poll()
                return made
        except (OSError, ValueError):  # a worker that is no child of ours has ended by itself
            pass
        self.close()
        return None

    def close(self) -> None:
        """End the server; the workers stay. A second call does nothing."""
        if self._orders is not None:
            self._orders.close()
            self._orders = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> ForkServer:
        """Return the server."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the server."""
        self.close()


@contextmanager
def _adopting() -> Iterator[None]:
    """Let orphans below this process become its children while the block runs, as they do not otherwise."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the kernel does not give orphans away")
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def serve(orders: socket.socket) -> None:
    """Fork a worker for each order until the other end is closed, which ends the process; return in a worker only."""
    while True:
        body, outputs, _, _ = socket.recv_fds(orders, ORDER_MAX_BYTES, 1)
        if not body:
            os._exit(0)
        pid = _fork_away()
        if pid == 0:
            orders.close()
            _become(json.loads(body), outputs[0])
            return
        os.close(outputs[0])
        orders.send(str(pid).encode())


def _fork_away() -> int:
    """Fork a process that belongs to the nearest one which takes orphans; return its number, and 0 in that process."""
    told, tell = os.pipe()
    begun, begin = os.pipe()
    between = os.fork()
    if between == 0:
        pid = -1
        try:
            pid = os.fork()
        finally:
            if pid != 0:
                os.write(tell, str(max(pid, 0)).encode())
                os._exit(0)
        for pipe in (told, tell, begin):
            os.close(pipe)
        # Until the process between is gone, so that the parent is who it will be; without a word the server died.
        if not os.read(begun, 1):
            os._exit(1)
        os.close(begun)
        return 0
    os.close(begun)
    os.waitpid(between, 0)
    made = int(os.read(told, 32))
    with suppress(BrokenPipeError):
        os.write(begin, b".")
    for pipe in (told, tell, begin):
        os.close(pipe)
    return made


def _become(order: Mapping[str, object], output: int) -> None:
    """Turn this process into what was ordered: its parent, streams, environment and arguments."""
    command, environment, parent = order["command"], order["environment"], order["parent"]
    assert isinstance(command, list)
    assert isinstance(environment, dict)
    assert isinstance(parent, int)
    tie = tie_to_parent(signal.SIGKILL, parent)
    if tie is not None:
        tie()
    os.setpgid(0, 0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(output)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["vigimesh", *command]
    _show(" ".join((sys.executable, "-P", "-m", *sys.argv)))


def _show(title: str) -> None:
    """Let `ps` show this title: written over the arguments, the last byte of which then says that it is one line."""
    fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    # Fields 48 and 49 of proc(5), 3 being the first after the name; 0 where the kernel does not tell.
    start, end = int(fields[45]), int(fields[46])
    room = end - start
    if start and room > TITLE_BYTES:
        text = title.encode()[: room - 2]
        ctypes.memmove(start, text + bytes(room - len(text) - 1) + b".", room)


def main() -> None:
    """Import, serve, and in each worker run its command."""
    for module in sys.argv[1:-1]:
        import_module(module)
    get_ready()
    # What is there stays: the collector of a worker need not touch it, and so the memory remains shared.
    gc.collect()
    gc.freeze()
    if len(os.listdir("/proc/self/task")) > 1:
        sys.exit("vigimesh: an import has started a thread; workers are executed, not forked")
    serve(socket.socket(fileno=os.dup(0)))
    from vigimesh.app.cli import main as run

    run()


if __name__ == "__main__":
    main()
