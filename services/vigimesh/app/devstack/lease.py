"""Launches a keeper and holds on to it: the stack ends with the lease, or with the process that holds it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import psutil

import vigimesh
from vigimesh.app.devstack.lock import lock_holder
from vigimesh.app.devstack.plan import Plan
from vigimesh.app.devstack.progress import Progress
from vigimesh.app.devstack.service import START_DEADLINE_S
from vigimesh.app.devstack.slot import KILLED_S, STOP_DEADLINE_S, last_cause
from vigimesh.app.devstack.state import Stack, read_state
from vigimesh.errors import Broken, Misconfigured, Transient, VigimeshError

#: Seconds for a keeper to report: its own deadline, and time to stop what it began.
REPORT_WAIT_S = START_DEADLINE_S + STOP_DEADLINE_S + 2 * KILLED_S

#: Seconds for a keeper to end after its input was closed; then it is killed, and the kernel ends its children.
STOP_WAIT_S = STOP_DEADLINE_S + 2 * KILLED_S + 2.0

_KINDS: dict[str, type[VigimeshError]] = {"VM-1209": Broken, "VM-1204": Misconfigured}


class Lease:
    """A hold on a stack: `with up(...) as stack:`. Ends an attached stack that was started by this process, no other."""

    def __init__(self, *, stack: Stack, keeper: subprocess.Popen[bytes] | None = None) -> None:
        """Hold a stack; `keeper` is the process to end with the lease, if any."""
        self.stack = stack
        self._keeper = keeper

    def release(self) -> None:
        """End what this lease holds and return when it is gone; does nothing a second time."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            end_keeper(keeper)

    def __enter__(self) -> Stack:
        """Return the stack."""
        return self.stack

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the stack."""
        self.release()


def launch(plan: Plan, lock: int, progress: Progress) -> Lease:
    """Start a keeper with the plan, hand it the folder's lock, and return when it reports that all answer.

    Raises what the keeper reports; whatever goes wrong, an interrupt included, the keeper is ended before this returns.
    """
    plan.logs.mkdir(exist_ok=True, mode=0o700)
    log = plan.logs / "keeper.log"
    with log.open("ab") as output:
        keeper = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "vigimesh.app.devstack.keeper",
                "--data",
                plan.data_dir,
                "--lock",
                str(lock),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            cwd=plan.data_dir,
            env=_environment(),
            pass_fds=(lock,),
            # A Ctrl-C in the terminal reaches the foreground group only; the keeper stops by its own rules.
            start_new_session=True,
        )
    try:
        _hand_over(keeper, plan)
        _await_up(keeper, log, progress)
        stack = read_state(plan.data)
        if stack is None:
            raise Broken(
                "VM-1209",
                what="the stack ended as soon as it was up",
                where=str(log),
                todo="read the end of that log",
            )
    except BaseException:
        end_keeper(keeper)
        _end_detached(plan)
        raise
    if plan.attached:
        return Lease(stack=stack, keeper=keeper)
    _let_go(keeper)
    return Lease(stack=stack)


def _environment() -> dict[str, str]:
    """Return this process's environment, with the folder this very package was imported from first in the path."""
    here = str(Path(vigimesh.__file__).parent.parent)
    rest = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{rest}" if rest else here}


def _hand_over(keeper: subprocess.Popen[bytes], plan: Plan) -> None:
    """Send the plan; keep the pipe open for an attached keeper, whose sign of life it is."""
    assert keeper.stdin is not None
    with suppress(BrokenPipeError):  # a keeper that died at once is reported with its log
        keeper.stdin.write(plan.to_json().encode() + b"\n")
        keeper.stdin.flush()
    if not plan.attached:
        with suppress(BrokenPipeError):
            keeper.stdin.close()


def _await_up(keeper: subprocess.Popen[bytes], log: Path, progress: Progress) -> None:
    """Read the keeper's reports until all is up; raise what it reports instead."""
    assert keeper.stdout is not None
    deadline = time.monotonic() + REPORT_WAIT_S
    rest = b""
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([keeper.stdout], [], [], left)
        taken = os.read(keeper.stdout.fileno(), 65_536) if ready else b""
        if ready and not taken:
            raise Broken(
                "VM-1209",
                what=f"the keeper of the stack ended: {last_cause(log)}",
                where=str(log),
                todo="read the end of that log",
            )
        *lines, rest = (rest + taken).split(b"\n")
        if any(_is_up(json.loads(line), progress) for line in lines):
            return
    raise Transient(
        "VM-1211", what="the keeper of the stack does not report", where=str(log), todo="start again"
    )


def _is_up(fact: dict[str, object], progress: Progress) -> bool:
    """Take one report: tell it, raise it, or return whether it says that all is up."""
    if isinstance(error := fact.get("error"), dict):
        code = str(error["code"])
        kind = _KINDS.get(code, Broken)
        raise kind(code, what=str(error["what"]), where=str(error["where"]), todo=str(error["todo"]))
    if "ready" in fact:
        progress.say(f"stack: {fact['ready']} answers after {fact['after_s']} s")
    return bool(fact.get("up"))


def end_keeper(keeper: subprocess.Popen[bytes]) -> None:
    """End a keeper of this process and wait until it is gone: by closing its input, then by signal, then by force."""
    _close_pipes(keeper)
    keeper.terminate()
    try:
        keeper.wait(STOP_WAIT_S)
    except subprocess.TimeoutExpired:
        keeper.kill()
        keeper.wait(KILLED_S)


def _end_detached(plan: Plan) -> None:
    """End the keeper of a detached stack whose start has failed, if it has signed the lock and still runs."""
    holder = None if plan.attached else lock_holder(plan.data)
    if holder is None:
        return
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(holder.pid)
        process.terminate()
        try:
            process.wait(STOP_WAIT_S)
        except psutil.TimeoutExpired:
            process.kill()


def _let_go(keeper: subprocess.Popen[bytes]) -> None:
    """Part with a detached keeper: what was started has handed over to a process of its own and ended."""
    _close_pipes(keeper)
    keeper.wait(KILLED_S)


def _close_pipes(keeper: subprocess.Popen[bytes]) -> None:
    """Close both ends of this process."""
    for pipe in (keeper.stdin, keeper.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
