"""The mesh on one data folder: run by one process, found by the next."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from vigimesh.errors import Transient

#: A state file holds some 500 bytes.
STATE_MAX_BYTES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshState:
    """The mesh that runs on a folder: who keeps it, where its workers' health endpoints answer, where its cards came from."""

    pid: int
    urls: Mapping[str, str]
    cards: str = ""


@contextmanager
def hold_mesh(data_dir: Path) -> Iterator[None]:
    """Hold the folder's mesh for this process, so that no second one runs with the same instance names.

    Raises `Transient` (VM-1708) when another process holds it. The kernel frees the hold, however the process ends.
    """
    folder = data_dir / "mesh"
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "mesh.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise _held(data_dir) from None
        # Of a holder that was killed.
        _state_file(data_dir).unlink(missing_ok=True)
        try:
            yield
        finally:
            _state_file(data_dir).unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _held(data_dir: Path) -> Transient:
    """Return the error for a folder whose mesh another process runs."""
    known = read_mesh(data_dir)
    return Transient(
        "VM-1708",
        what="a mesh runs on this folder already" + (f", kept by process {known.pid}" if known else ""),
        where=str(data_dir),
        todo="use the one that runs, stop it with Ctrl-C, or give --data another folder",
    )


def write_mesh(data_dir: Path, urls: Mapping[str, str], cards: str = "") -> None:
    """Write who keeps the mesh, where it answers and its cards, whole or not at all; the mesh must be held."""
    target = _state_file(data_dir)
    draft = target.with_suffix(".new")
    state = MeshState(pid=os.getpid(), urls=dict(urls), cards=cards)
    draft.write_text(json.dumps(asdict(state)) + "\n", encoding="utf-8")
    draft.replace(target)


def read_mesh(data_dir: Path) -> MeshState | None:
    """Return what the process that holds the mesh wrote, or `None` when nobody holds it or it is not up yet."""
    if not _is_held(data_dir):
        return None
    path = _state_file(data_dir)
    with suppress(OSError, ValueError, KeyError, TypeError):
        if path.stat().st_size <= STATE_MAX_BYTES:
            body = json.loads(path.read_text(encoding="utf-8"))
            return MeshState(pid=int(body["pid"]), urls=dict(body["urls"]), cards=str(body["cards"]))
    return None


def _is_held(data_dir: Path) -> bool:
    try:
        descriptor = os.open(data_dir / "mesh" / "mesh.lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _state_file(data_dir: Path) -> Path:
    return data_dir / "mesh" / "mesh.json"
