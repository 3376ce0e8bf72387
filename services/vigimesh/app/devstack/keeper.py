"""The process that owns the embedded stack: `python -m vigimesh.app.devstack.keeper --data DIR --lock FD`.

It reads its plan as the first line of standard input and reports on standard output, one JSON object a line. *Attached*, it
stops everything when standard input ends: whoever holds the other end is gone, however it went. *Detached*, it stops on
SIGTERM. It holds the lock it inherits for as long as it lives, so that one data folder never has two stacks.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType

from vigimesh.app.devstack import kafka, postgres, registry, valkey
from vigimesh.app.devstack.lock import sign_lock
from vigimesh.app.devstack.plan import Plan
from vigimesh.app.devstack.service import START_DEADLINE_S
from vigimesh.app.devstack.slot import Slot, stop_all
from vigimesh.app.devstack.state import Owned, Stack, remove_state, write_state
from vigimesh.app.exits import trace_crashes
from vigimesh.errors import Broken, VigimeshError

#: Seconds between looks while starting, and while running (a service's end and the parent's are noticed at once).
LOOK_STARTING_S = 0.03
LOOK_RUNNING_S = 0.5

#: Bytes of a plan; the class path takes some 6 KB.
PLAN_MAX_BYTES = 1_000_000


@dataclass(slots=True)
class Ending:
    """Whether the keeper must stop, and what wakes it up to see so."""

    plan: Plan
    parent: int
    _asked: bool = False
    bell: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        """Listen to SIGTERM, SIGINT and SIGCHLD, each of which also ends a wait."""
        self.bell, ring = socket.socketpair()
        ring.setblocking(False)
        signal.set_wakeup_fd(ring.detach(), warn_on_full_buffer=False)
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(each, self._ask)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        """Note that somebody wants the stack to stop."""
        del number, frame
        self._asked = True

    def asked(self) -> bool:
        """Return whether somebody wants the stack to stop."""
        return self._asked

    def wait(self, seconds: float) -> None:
        """Wait until something happens, at most so long."""
        watched: list[int] = [self.bell.fileno()]
        if self.plan.attached:
            watched.append(sys.stdin.fileno())
        ready, _, _ = select.select(watched, [], [], seconds)
        if self.bell.fileno() in ready:
            self.bell.recv(4096)
        if sys.stdin.fileno() in ready and not os.read(sys.stdin.fileno(), 4096):
            self._asked = True
        # Standard input stays open if another child of the parent inherited its other end.
        if self.plan.attached and os.getppid() != self.parent:
            self._asked = True


def keep(plan: Plan, ending: Ending) -> None:
    """Start all services at once, report when all answer, and watch them until asked to stop; then stop them all.

    Raises `Broken` (VM-1209) when a service does not start in time, or does not stay up.
    """
    for folder in (plan.logs, plan.temporary, plan.data / "objects"):
        folder.mkdir(exist_ok=True)
    slots = [Slot(make(plan)) for make in (kafka.service, registry.service, postgres.service, valkey.service)]
    deadline = time.monotonic() + START_DEADLINE_S
    announced: dict[str, int] = {}
    try:
        while not ending.asked():
            for slot in slots:
                # A question takes up to two seconds: one that wants the stack to stop shall not wait for four of them.
                if ending.asked():
                    break
                if slot.advance():
                    report({"ready": slot.service.name, "after_s": round(slot.ready_after_s, 2)})
            ready = all(slot.ready for slot in slots)
            if not announced and not ready and time.monotonic() > deadline:
                raise _too_slow(slots)
            pids = {slot.service.name: slot.pid for slot in slots}
            if ready and pids != announced:
                _announce(plan, pids)
                announced = pids
            ending.wait(LOOK_RUNNING_S if ready else LOOK_STARTING_S)
    finally:
        stop_all(slots, by_force=plan.thrown_away)
        remove_state(plan.data)
        if plan.data not in plan.sockets.parents:
            shutil.rmtree(plan.sockets, ignore_errors=True)


def _announce(plan: Plan, pids: dict[str, int]) -> None:
    """Write the state file and tell the starter that the stack is up."""
    processes = {"keeper": Owned.of(os.getpid()), **{name: Owned.of(pid) for name, pid in pids.items()}}
    write_state(
        Stack(
            urls=plan.urls(),
            data_dir=plan.data,
            processes=processes,
            versions=plan.versions,
            started_at_s=round(time.time(), 3),
            attached=plan.attached,
        )
    )
    report({"up": True})


def _too_slow(slots: Sequence[Slot]) -> Broken:
    """Return the error for services that do not answer."""
    late = [slot for slot in slots if not slot.ready]
    return Broken(
        "VM-1209",
        what=f"{', '.join(slot.service.name for slot in late)} did not answer within {START_DEADLINE_S:.0f} s",
        where=", ".join(str(slot.service.log) for slot in late),
        todo="read the end of that log; on a very slow machine start again, the second start is quicker",
    )


def report(fact: dict[str, object]) -> None:
    """Tell the starter a fact; nobody listens any more once a detached stack is up."""
    with suppress(BrokenPipeError, ValueError):
        sys.stdout.write(json.dumps(fact) + "\n")
        sys.stdout.flush()


def main(arguments: Sequence[str]) -> int:
    """Run the keeper; `arguments` end with the descriptor of the lock. The exit status is 0 when it was asked to stop."""
    trace_crashes()
    parent, lock = os.getppid(), int(arguments[-1])
    os.umask(0o077)
    line = _first_line()
    if not line.strip():
        return 0
    plan = Plan.from_json(line)
    if not plan.attached and os.fork():
        # The starter waits for this process only; the one that goes on belongs to nobody who would have to bury it.
        os._exit(0)
    sign_lock(lock, Owned.of(os.getpid()))
    try:
        keep(plan, Ending(plan, parent))
    except VigimeshError as error:
        print(error, file=sys.stderr, flush=True)
        report({"error": {"code": error.code, "what": error.what, "where": error.where, "todo": error.todo}})
        return 1
    return 0


def _first_line() -> str:
    """Read the plan byte-wise, so that nothing of what follows it is taken from under `select`."""
    taken = bytearray()
    while len(taken) < PLAN_MAX_BYTES:
        byte = os.read(sys.stdin.fileno(), 1)
        if byte in (b"", b"\n"):
            break
        taken += byte
    return taken.decode()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
