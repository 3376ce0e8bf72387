"""PostgreSQL: connections, and the schema as the sum of numbered migrations.

Nothing here needs a contrib extension. A server that is away, slow or shutting down is `Transient` VM-1501; a missing
right, a changed or an unknown migration is `Misconfigured`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import psycopg
import psycopg_pool

from vigimesh.errors import Misconfigured, Transient
from vigimesh.events.ids import digest

#: Seconds to open a connection: one lost packet and its repetition, then the caller should know.
CONNECT_S = 5
#: Seconds to wait for a free connection of the pool: as long as it takes to open a new one.
POOL_WAIT_S = 6.0
#: Milliseconds for one statement; the slowest one known, a batch of 4,000 questions, takes a third of it.
STATEMENT_MS = 10_000
#: Milliseconds to wait for a lock: another process' migration takes well under a second.
LOCK_MS = 30_000
#: Connections of one process: a stage searches with one; the others are for a load beside it.
MAX_CONNECTIONS = 4
#: Number of the advisory lock under which migrations run; any number, as long as it stays.
MIGRATION_LOCK = 5_160_001
#: Idle seconds after which the operating system asks whether the server still lives, for servers over TCP.
KEEPALIVE_S = 10

Connection = psycopg.Connection[tuple[Any, ...]]
Pool = psycopg_pool.ConnectionPool[Connection]

_BLOCK = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_MIGRATION = re.compile(r"(\d{4})_(\w+)\.sql")
#: Tables or columns that a migration would bring.
_NOT_READY = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.InvalidSchemaName,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step of the schema; `digest` names its text, so that a change after the fact is noticed."""

    number: int
    name: str
    text: str
    digest: str


def open_pool(uri: str, application_name: str, size: int = MAX_CONNECTIONS) -> Pool:
    """Return a pool of at most `size` connections; it connects in the background and again after a failure.

    Opening never fails: the first use of a server that is away raises `Transient` VM-1501 (see `connection`).
    """
    return psycopg_pool.ConnectionPool(
        uri,
        min_size=1,
        max_size=size,
        timeout=POOL_WAIT_S,
        open=True,
        connection_class=Connection,
        kwargs=connection_settings(application_name),
        name=application_name,
        reconnect_timeout=CONNECT_S,
    )


@contextmanager
def connection(pool: Pool) -> Iterator[Connection]:
    """Lend a connection whose work commits at the end of the block; an error undoes it.

    Raises `Transient` VM-1501 when the server is away or refuses for a reason that may pass.
    """
    with named_errors(), pool.connection() as lent:
        yield lent


def migrate(uri: str, steps: Sequence[Migration] | None = None) -> tuple[Migration, ...]:
    """Bring the schema up to date and return what was applied now; safe to call from several processes at once.

    Each step runs once, in a transaction of its own, under one advisory lock. Raises `Misconfigured` VM-1504 when a step
    that was applied has another text now, VM-1505 when the database knows steps that this version does not.
    """
    wanted = shipped_migrations() if steps is None else tuple(steps)
    sql = blocks("migrations.sql")
    applied: list[Migration] = []
    with (
        named_errors(),
        psycopg.connect(uri, autocommit=True, **connection_settings("vigimesh migrate")) as own,
    ):
        own.execute(sql["lock"], {"lock": MIGRATION_LOCK})
        own.execute(sql["create"])
        known = {number: (name, mark) for number, name, mark in own.execute(sql["applied"])}
        _check(known, wanted)
        for step in wanted:
            if step.number in known:
                continue
            with own.transaction():
                own.execute(step.text)
                own.execute(sql["record"], {"number": step.number, "name": step.name, "digest": step.digest})
            applied.append(step)
        own.execute(sql["unlock"], {"lock": MIGRATION_LOCK})
    return tuple(applied)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaStanding:
    """How a database stands: the server's version, how many steps it has had, the names of those it lacks."""

    version: str
    applied: int
    missing: tuple[str, ...]


def standing(uri: str) -> SchemaStanding:
    """Return how the database stands, changing nothing.

    Raises `Misconfigured` VM-1504 and VM-1505 as `migrate` does, `Transient` VM-1501 when the server is away.
    """
    wanted = shipped_migrations()
    with (
        named_errors(),
        psycopg.connect(uri, autocommit=True, **connection_settings("vigimesh doctor")) as own,
    ):
        (version,) = own.execute("SHOW server_version").fetchone() or ("unknown",)
        try:
            found = own.execute(blocks("migrations.sql")["applied"]).fetchall()
        except psycopg.errors.UndefinedTable:
            found = []
        known = {number: (name, mark) for number, name, mark in found}
        _check(known, wanted)
    missing = tuple(f"{step.number:04d} {step.name}" for step in wanted if step.number not in known)
    return SchemaStanding(version=str(version), applied=len(known), missing=missing)


def shipped_migrations() -> tuple[Migration, ...]:
    """Return the steps that come with the package, in order; their numbers have no gaps (a test holds them to it)."""
    found = []
    for file in (files("vigimesh.adapters.postgres") / "migrations").iterdir():
        name = _MIGRATION.fullmatch(file.name)
        if name:
            text = file.read_text(encoding="utf-8")
            found.append(
                Migration(number=int(name[1]), name=name[2], text=text, digest=digest(text.encode()))
            )
    return tuple(sorted(found, key=lambda step: step.number))


def blocks(file: str) -> dict[str, str]:
    """Return the named statements of a shipped SQL file: `-- name: NAME`, then the statement."""
    text = (files("vigimesh.adapters.postgres") / "sql" / file).read_text(encoding="utf-8")
    parts = _BLOCK.split(text)
    return {name: body.strip().rstrip(";") for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def connection_settings(application_name: str) -> dict[str, Any]:
    """Return what every connection is opened with besides its address."""
    return {
        "application_name": application_name,
        "connect_timeout": CONNECT_S,
        "keepalives_idle": KEEPALIVE_S,
        "options": f"-c statement_timeout={STATEMENT_MS} -c lock_timeout={LOCK_MS} -c client_min_messages=warning",
    }


def _check(known: dict[int, tuple[str, str]], wanted: Sequence[Migration]) -> None:
    numbers = {step.number for step in wanted}
    foreign = sorted(set(known) - numbers)
    if foreign:
        raise Misconfigured(
            "VM-1505",
            what=f"the database has had migration {foreign[-1]:04d} {known[foreign[-1]][0]}, which this version does not know",
            where="table public.vigimesh_migration",
            todo="install the newer vigimesh again, or give this one a database of its own",
        )
    for step in wanted:
        if step.number in known and known[step.number][1] != step.digest:
            raise Misconfigured(
                "VM-1504",
                what=f"migration {step.number:04d} {step.name} was applied with another text",
                where=f"adapters/postgres/migrations/{step.number:04d}_{step.name}.sql",
                todo="never change a migration that was released: take the change back and add a new one",
            )


@contextmanager
def named_errors() -> Iterator[None]:
    """Turn the driver's errors into kinds (`Transient` VM-1501, `Misconfigured` VM-1506); no statement or value is told."""
    try:
        yield
    except _NOT_READY as error:
        raise Transient(
            "VM-1501", what="the database has not been set up yet", where="PostgreSQL",
            todo="start the stack with `vigimesh stack up`, or wait until it has been migrated",
        ) from error  # fmt: skip
    except psycopg.errors.InsufficientPrivilege as error:
        raise Misconfigured(
            "VM-1506", what=f"the database user lacks a right: {_first_line(error)}", where="PostgreSQL",
            todo="make the user owner of its database, or grant CREATE and USAGE",
        ) from error  # fmt: skip
    except (
        psycopg.OperationalError,
        psycopg.InterfaceError,
        psycopg_pool.PoolTimeout,
        psycopg_pool.PoolClosed,
    ) as error:
        raise Transient(
            "VM-1501", what=f"PostgreSQL does not answer: {_first_line(error)}", where="PostgreSQL",
            todo="check the address and that it is up: `vigimesh stack status`",
        ) from error  # fmt: skip


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
