"""PostgreSQL of the embedded stack: the wheel's own programs, a Unix socket, the database `vigimesh` with pgvector."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from vigimesh.app.devstack.plan import Plan
from vigimesh.app.devstack.preflight import open_the_way
from vigimesh.app.devstack.probes import PROBE_S, postgres_answers
from vigimesh.app.devstack.progress import Progress
from vigimesh.app.devstack.service import SERVICE_ENVIRONMENT, Command, Service
from vigimesh.errors import Misconfigured

if TYPE_CHECKING:
    import psycopg

#: The system user PostgreSQL runs as when root starts the stack: it refuses to run as root.
SYSTEM_USER = "pgserver"

#: Seconds for `useradd` and `postgres --version`, which take milliseconds.
TOOL_S = 60


def service(plan: Plan) -> Service:
    """Return how to run PostgreSQL."""
    home = plan.data / "postgres"
    cluster = home / "data"
    sockets = plan.sockets / "pg"

    def clear() -> None:
        shutil.rmtree(cluster, ignore_errors=True)
        _own_folder(cluster, plan.postgres_user)

    def tidy() -> None:
        home.mkdir(exist_ok=True)
        if plan.postgres_user is not None:
            home.chmod(0o711)
        shutil.rmtree(sockets, ignore_errors=True)
        _own_folder(sockets, plan.postgres_user)
        _drop_foreign_lock(cluster / "postmaster.pid")

    return Service(
        name="postgres",
        prepare=Command(
            argv=(
                f"{plan.postgres_bin}/initdb",
                f"--pgdata={cluster}",
                "--username=vigimesh",
                # Trust is as narrow as the socket's folder, which only its owner (and root) may enter.
                "--auth=trust",
                "--encoding=UTF8",
                "--locale-provider=builtin",
                "--locale=C.UTF-8",
                "--no-sync",
            ),
            folder=home,
            user=plan.postgres_user,
        ),
        prepared=home / "initialised",
        clear=clear,
        tidy=tidy,
        command=Command(
            argv=(f"{plan.postgres_bin}/postgres", "-D", str(cluster), *_options(sockets)),
            folder=home,
            user=plan.postgres_user,
        ),
        answers=lambda: has_database(plan),
        log=plan.logs / "postgres.log",
        # SIGINT is PostgreSQL's fast shutdown; SIGQUIT the immediate one, in which it still ends its own children.
        stop_signal=signal.SIGINT,
        orphan_signal=signal.SIGQUIT,
    )


def _options(sockets: Path) -> tuple[str, ...]:
    """Return the server's settings as arguments."""
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": f'"{sockets}"',
        "unix_socket_permissions": "0700",
        "shared_buffers": "64MB",
        "max_wal_size": "256MB",
        "max_connections": "100",
        "log_timezone": "UTC",
        "timezone": "UTC",
    }
    return tuple(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))


def has_database(plan: Plan) -> bool:
    """Return whether the database answers; make it, and its vector extension, on the first answer of the server."""
    import psycopg

    uri = plan.urls().postgres
    try:
        with psycopg.connect(
            uri, dbname="postgres", autocommit=True, connect_timeout=int(PROBE_S)
        ) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = 'vigimesh'").fetchone() is None:
                connection.execute("CREATE DATABASE vigimesh")
        with psycopg.connect(uri, autocommit=True, connect_timeout=int(PROBE_S)) as connection:
            _add_vectors(connection)
    except psycopg.OperationalError:
        return False
    return postgres_answers(uri)


def _add_vectors(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Make the vector extension available; a build without it still serves everything that needs no vectors."""
    import psycopg

    try:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        print(f"postgres: the extension vector is not available: {error}", file=sys.stderr, flush=True)


def prepare_user(data_dir: Path, postgres_bin: Path, sockets: Path, progress: Progress) -> str | None:
    """Return the system user to run PostgreSQL as; for root, make it and open the way to what it needs, saying so.

    Raises `Misconfigured` (VM-1208) when the user cannot be made or cannot run the server.
    """
    if os.geteuid() != 0:
        return None
    _make_user(progress)
    # A folder's own mode matters too: it is a parent of what PostgreSQL owns below it.
    for wanted in (data_dir / "postgres" / "data", postgres_bin / "postgres", sockets / "pg"):
        wanted.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
        for parent in open_the_way(wanted):
            progress.say(
                f"stack: let other users pass through {parent} (chmod o+x), so that {SYSTEM_USER} reaches {wanted.parent}"
            )
    tried = subprocess.run(
        [str(postgres_bin / "postgres"), "--version"],
        user=SYSTEM_USER,
        group=pwd.getpwnam(SYSTEM_USER).pw_gid,
        extra_groups=(),
        cwd="/",
        env=dict(SERVICE_ENVIRONMENT),
        capture_output=True,
        text=True,
        timeout=TOOL_S,
        check=False,
    )
    if tried.returncode != 0:
        raise Misconfigured(
            "VM-1208",
            what=f"the user {SYSTEM_USER} cannot run PostgreSQL: {tried.stderr.strip()[:200]}",
            where=str(postgres_bin / "postgres"),
            todo=f"make the installation readable for others (`chmod -R go+rX {postgres_bin.parent}`), or run as an ordinary user",
        )
    return SYSTEM_USER


def _make_user(progress: Progress) -> None:
    """Make the system user unless it exists."""
    with contextlib.suppress(KeyError):
        pwd.getpwnam(SYSTEM_USER)
        return
    progress.say(f"stack: making the system user {SYSTEM_USER}, because PostgreSQL refuses to run as root")
    try:
        subprocess.run(
            ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER],
            capture_output=True,
            text=True,
            timeout=TOOL_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        detail = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
        with contextlib.suppress(KeyError):  # another start made it in the meantime
            pwd.getpwnam(SYSTEM_USER)
            return
        raise Misconfigured(
            "VM-1208",
            what=f"the system user {SYSTEM_USER} could not be made: {detail[:200]}",
            where="useradd",
            todo=f"make it by hand (`useradd --system {SYSTEM_USER}`), or run as an ordinary user",
        ) from error


def _own_folder(folder: Path, user: str | None) -> None:
    """Make a folder that only PostgreSQL's user may enter."""
    folder.mkdir(mode=0o700)
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)


def _drop_foreign_lock(lock: Path) -> None:
    """Remove a lock whose process number belongs to another program now (after a container's restart it often does)."""
    try:
        pid = int(lock.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return
    try:
        name = psutil.Process(pid).name()
    except psutil.NoSuchProcess:
        name = ""
    if name != "postgres":
        lock.unlink(missing_ok=True)
