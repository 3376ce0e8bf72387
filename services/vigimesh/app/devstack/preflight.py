"""What must be true of the machine before the stack starts, said in plain words when it is not."""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from vigimesh.errors import Misconfigured

#: Memory the stack needs to start: Kafka 460 MB after heavy use, registry 283 MB, PostgreSQL and Valkey 100 MB (measured),
#: and room for five workers.
MEMORY_MIN_BYTES = 1_200_000_000

#: Disk the stack needs: downloads and unpacked registry 370 MB, fresh PostgreSQL 60 MB, Kafka's log and indexes.
DISK_MIN_BYTES = 1_500_000_000

#: Folders above the data folder that are looked at; deeper paths do not fit a system call either.
PARENTS_MAX = 100

#: Cgroup v2 files of the container this process runs in.
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Memory and disk available, in bytes; `disk_at` is the folder that was asked about."""

    memory_bytes: int
    disk_bytes: int
    disk_at: str


def measure(data_dir: Path, *, cgroup: Path = CGROUP) -> Room:
    """Return what the machine (or the container, where it has less) has left."""
    import psutil

    existing = data_dir
    for _ in range(PARENTS_MAX):
        if existing.exists() or existing == existing.parent:
            break
        existing = existing.parent
    memory = int(psutil.virtual_memory().available)
    limit = container_memory_left(cgroup)
    return Room(
        memory_bytes=memory if limit is None else min(memory, limit),
        disk_bytes=shutil.disk_usage(existing).free,
        disk_at=str(existing),
    )


def container_memory_left(cgroup: Path) -> int | None:
    """Return the bytes left below the container's memory limit (file cache counts as free); `None` without a limit."""
    try:
        limit = (cgroup / "memory.max").read_text(encoding="ascii").strip()
        used = int((cgroup / "memory.current").read_text(encoding="ascii"))
        lines = (cgroup / "memory.stat").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    if not limit.isdigit():
        return None
    cache = sum(int(line.split()[1]) for line in lines if line.startswith(("inactive_file ", "active_file ")))
    return max(0, int(limit) - used + cache)


def check_room(room: Room, *, download_bytes: int = 0) -> None:
    """Return when there is room; else raise `Misconfigured` (VM-1206 memory, VM-1207 disk) with both figures."""
    if room.memory_bytes < MEMORY_MIN_BYTES:
        raise Misconfigured(
            "VM-1206",
            what=f"too little memory: {room.memory_bytes / 1e6:.0f} MB available, the stack needs {MEMORY_MIN_BYTES / 1e6:.0f} MB",
            where="this machine, or the limit of its container",
            todo="close other programs or raise the container's limit",
        )
    needed = DISK_MIN_BYTES + download_bytes
    if room.disk_bytes < needed:
        raise Misconfigured(
            "VM-1207",
            what=f"too little disk: {room.disk_bytes / 1e6:.0f} MB free, the stack needs {needed / 1e6:.0f} MB",
            where=room.disk_at,
            todo="free some space, or give --data a folder on another disk",
        )


def make_data_dir(data_dir: Path) -> None:
    """Make the data folder, not to be read by others; raise `Misconfigured` (VM-1205) when it cannot be made or written."""
    # Root's stack has PostgreSQL run as another user, which passes through here to its own folder.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=mode)
    except OSError as error:
        raise Misconfigured(
            "VM-1205",
            what=f"the data folder cannot be made: {error.strerror or error}",
            where=str(data_dir),
            todo="give --data a folder that you may write",
        ) from error
    if not os.access(data_dir, os.W_OK | os.X_OK):
        raise Misconfigured(
            "VM-1205",
            what="the data folder cannot be written",
            where=str(data_dir),
            todo="give --data a folder that you may write",
        )


def open_the_way(folder: Path) -> tuple[Path, ...]:
    """Let other users pass (not read) through the parents of a folder; return those whose mode was changed.

    Only for root: PostgreSQL refuses to run as root, so it runs as a user of its own that has to reach its binaries and
    its data. Only the search bit is added. Raises `Misconfigured` (VM-1205) when a parent cannot be changed.
    """
    changed: list[Path] = []
    for parent in list(folder.resolve().parents)[:PARENTS_MAX]:
        mode = parent.stat().st_mode
        if mode & stat.S_IXOTH:
            continue
        try:
            parent.chmod(stat.S_IMODE(mode) | stat.S_IXOTH | stat.S_IXGRP)
        except OSError as error:
            raise Misconfigured(
                "VM-1205",
                what=f"PostgreSQL's own user cannot pass through a folder, and its mode cannot be changed: {error.strerror}",
                where=str(parent),
                todo=f"run as an ordinary user, or `chmod o+x {parent}`, or give --data another folder",
            ) from error
        changed.append(parent)
    return tuple(changed)
