"""One data folder, one stack: a file lock that the keeper holds for as long as it lives."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from vigimesh.app.devstack.state import Owned

#: Bytes of the lock's content: a process number and a time.
CONTENT_MAX_BYTES = 200


def try_lock(data_dir: Path) -> int | None:
    """Return the descriptor that holds the folder's lock, or `None` when a living keeper (or another start) has it.

    The lock belongs to the open file: given to the keeper, it stays with it, and the kernel frees it however it ends.
    """
    descriptor = os.open(data_dir / "stack.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def sign_lock(descriptor: int, owner: Owned) -> None:
    """Write who holds the lock into its file, so that `down` can end a stack that is still starting."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{owner.pid} {owner.created_s}\n".encode(), 0)


def lock_holder(data_dir: Path) -> Owned | None:
    """Return the keeper that signed the folder's lock last, if it still runs."""
    try:
        with (data_dir / "stack.lock").open("rb") as source:
            pid, created = source.read(CONTENT_MAX_BYTES).split()
        owner = Owned(pid=int(pid), created_s=float(created))
    except (OSError, ValueError):
        return None
    return owner if owner.alive() else None
