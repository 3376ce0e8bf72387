"""Starts a program so that it cannot outlive the keeper."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vigimesh.app.devstack.service import SERVICE_ENVIRONMENT, Command

#: `prctl` option: the signal the kernel sends to this process when its parent is gone (linux/prctl.h).
_PR_SET_PDEATHSIG = 1


def spawn(command: Command, log: Path, orphan_signal: signal.Signals) -> subprocess.Popen[bytes]:
    """Start the program with its output appended to `log`; on Linux the kernel ends it when the caller is gone.

    Must be called by the main thread: the kernel counts the end of the calling *thread* as the end of the parent.
    """
    identity: dict[str, Any] = {}
    if command.user is not None:
        entry = pwd.getpwnam(command.user)
        identity = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": ()}
    with log.open("ab") as output:
        return subprocess.Popen(
            command.argv,
            cwd=command.folder,
            env={**SERVICE_ENVIRONMENT, "HOME": str(command.folder)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Runs after the change of user, which would clear the kernel's promise again. It calls two system calls and
            # nothing that could wait for a lock of another thread.
            preexec_fn=tie_to_parent(orphan_signal),  # noqa: PLW1509
            **identity,
        )


def tie_to_parent(orphan_signal: signal.Signals, parent: int = 0) -> Callable[[], None] | None:
    """Return what a child does before it becomes the program; `None` where the kernel has no such promise.

    `parent` is who the child's parent must be; this process unless given.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = parent or os.getpid()

    def tie() -> None:
        """Ask for the signal; leave at once if the parent went before the question was asked."""
        prctl(_PR_SET_PDEATHSIG, int(orphan_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return tie
