"""A disk that can be full: a small file system of the run's own where it may be mounted, else a limit on file sizes."""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

#: Size of the file system: what ten minutes of cases need is a third of it.
SIZE_MB = 384

#: Bytes that a file may have while the disk is said to be full and none could be mounted.
FILE_BYTES = 16 * 1024

#: `unshare`: a mount table of our own (linux/sched.h). What is mounted in it is gone with the last process.
_CLONE_NEWNS = 0x0002_0000


class Disk:
    """The folder of the object store. `kind` says how it is made full: `tmpfs` or `file size limit`."""

    def __init__(self, folder: Path, *, own: bool) -> None:
        """Mount a file system on the folder if `own` is asked for and this process may.

        Then call it before any thread or process is started: those that are keep the mount table they had.
        """
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.kind = "tmpfs" if own and _own_mounts() and _mount(folder) else "file size limit"
        self._filler = folder / "filler"
        self._limited: list[int] = []

    def fill(self, pids: Iterable[int]) -> None:
        """Leave no byte; `pids` are the processes that write there."""
        if self.kind == "tmpfs":
            with self._filler.open("wb") as file, suppress(OSError):
                left = os.statvfs(self._folder)
                os.posix_fallocate(file.fileno(), 0, left.f_bavail * left.f_frsize)
            return
        self._limited = list(pids)
        self._limit(FILE_BYTES)

    def empty(self) -> None:
        """Give the room back; nothing happens when it is not full."""
        self._filler.unlink(missing_ok=True)
        self._limit(resource.RLIM_INFINITY)
        self._limited.clear()

    def close(self) -> None:
        """Unmount, so that the folder can be removed."""
        if self.kind == "tmpfs":
            subprocess.run(["umount", "--lazy", str(self._folder)], check=False, capture_output=True)

    def _limit(self, size: int) -> None:
        for pid in self._limited:
            with suppress(OSError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _own_mounts() -> bool:
    """Take a mount table of our own, so that nothing of it is left whatever ends this process."""
    if os.geteuid() != 0:
        return False
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS) != 0:
        return False
    return _succeeds("mount", "--make-rprivate", "/")


def _mount(folder: Path) -> bool:
    return _succeeds("mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=0755", "tmpfs", str(folder))


def _succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False
