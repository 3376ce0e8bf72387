"""What a running stack is: its URLs, its processes, and the file `stack.json` that others find it by."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from vigimesh.errors import Misconfigured

#: Seconds by which the start time of a process may seem to move when the machine's clock is set.
CREATED_TOLERANCE_S = 2.0

#: A state file holds some 2 KB; one a hundred times larger is not ours.
STATE_MAX_BYTES = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StackUrls:
    """Where the parts of a stack answer: what every worker is pointed at."""

    #: Bootstrap servers, `host:port`.
    kafka: str
    #: Base URL of the registry's Confluent-compatible interface, `/apis/ccompat/v7` included.
    registry: str
    #: psycopg connection URI of the database `vigimesh`.
    postgres: str
    #: `unix://` URL of Valkey.
    redis: str
    #: `file:///` URL of the object folder.
    objects: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """A process with the moment it was made, so that a number used again by another process is not taken for it."""

    pid: int
    created_s: float

    @classmethod
    def of(cls, pid: int) -> Owned:
        """Return the identity of a living process; raises `psutil.NoSuchProcess` when there is none."""
        return cls(pid=pid, created_s=psutil.Process(pid).create_time())

    def alive(self) -> bool:
        """Return whether this very process still runs (a zombie does not)."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created_s) <= CREATED_TOLERANCE_S
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A running stack."""

    urls: StackUrls
    data_dir: Path
    #: The keeper (`keeper`) and each service by name.
    processes: Mapping[str, Owned]
    versions: Mapping[str, str]
    #: Seconds since 1970, UTC.
    started_at_s: float
    #: Whether it ends with the process that started it.
    attached: bool
    #: Whether this call started it, or found it running.
    found: bool = field(default=False)

    @property
    def pids(self) -> Mapping[str, int]:
        """Return the process ids by name, the keeper's included."""
        return {name: owned.pid for name, owned in self.processes.items()}

    def all_alive(self) -> bool:
        """Return whether every process named here still runs."""
        return all(owned.alive() for owned in self.processes.values())


def all_pids(stack: Stack) -> frozenset[int]:
    """Return every process id of the stack now, PostgreSQL's own children included: for measuring memory."""
    found: set[int] = set()
    for owned in stack.processes.values():
        if not owned.alive():
            continue
        found.add(owned.pid)
        try:
            found.update(child.pid for child in psutil.Process(owned.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            continue
    return frozenset(found)


def state_path(data_dir: Path) -> Path:
    """Return where the state of a stack is kept."""
    return data_dir / "stack.json"


def write_state(stack: Stack) -> None:
    """Write the state, whole or not at all."""
    body = {**asdict(stack), "data_dir": str(stack.data_dir)}
    body.pop("found")
    target = state_path(stack.data_dir)
    draft = target.with_name(f"{target.name}.{os.getpid()}")
    draft.write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    draft.replace(target)


def read_state(data_dir: Path) -> Stack | None:
    """Return the state kept in the folder, or `None` when there is none or it cannot be read.

    Says nothing of whether the processes still run.
    """
    path = state_path(data_dir)
    try:
        if path.stat().st_size > STATE_MAX_BYTES:
            return None
        body = json.loads(path.read_text(encoding="utf-8"))
        return Stack(
            urls=StackUrls(**body["urls"]),
            data_dir=Path(body["data_dir"]),
            processes={name: Owned(**owned) for name, owned in body["processes"].items()},
            versions=dict(body["versions"]),
            started_at_s=float(body["started_at_s"]),
            attached=bool(body["attached"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def remove_state(data_dir: Path) -> None:
    """Remove the state file; nothing happens when there is none."""
    state_path(data_dir).unlink(missing_ok=True)


def default_data_dir() -> Path:
    """Return where a stack keeps its data unless told otherwise: outside any repository, by the XDG rules.

    For root it is below `/var/lib`, because root's home is closed to the user that PostgreSQL must run as. Raises
    `Misconfigured` (VM-1205) when the user has no home.
    """
    configured = os.environ.get("XDG_DATA_HOME", "")
    if configured.startswith("/"):
        return Path(configured) / "vigimesh"
    if os.geteuid() == 0:
        return Path("/var/lib/vigimesh")
    return _home() / ".local" / "share" / "vigimesh"


def default_store() -> Path:
    """Return where downloads are kept: one store for all data folders, by the XDG rules."""
    configured = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(configured) if configured.startswith("/") else _home() / ".cache"
    return base / "vigimesh" / "downloads"


def _home() -> Path:
    """Return the user's home."""
    try:
        return Path.home()
    except RuntimeError as error:
        raise Misconfigured(
            "VM-1205", what="this user has no home folder", where="HOME", todo="set HOME, or give --data DIR"
        ) from error
