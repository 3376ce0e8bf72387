"""One data folder, one stack: a file lock that the keeper holds for as long as it lives."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vigimesh.app.devstack.state import Owned
from vigimesh.errors import Transient

#: Seconds to wait for another start that downloads: 200 MB on a slow line.
STORE_WAIT_S = 600.0
STORE_LOOK_S = 0.1

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


@contextmanager
def store_lock(store: Path) -> Iterator[None]:
    """Hold the store of downloads alone, so that two first starts do not write into it at once.

    Raises `Transient` (VM-1211) when another process holds it for longer than a download takes.
    """
    store.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + STORE_WAIT_S
    with (store / "store.lock").open("ab") as held:
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise Transient(
                        "VM-1211",
                        what=f"another process has held the downloads for {STORE_WAIT_S:.0f} s",
                        where=str(store),
                        todo="wait for the other start to end, or end it, then start again",
                    ) from None
            time.sleep(STORE_LOOK_S)
        yield


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
