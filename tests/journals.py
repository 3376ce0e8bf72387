"""A journal under test, in memory or in PostgreSQL: several processes at it, time that the test moves, an old copy restored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import psycopg
import pytest

from vigimesh.adapters.memory.journal import MemoryCalls, MemoryJournal
from vigimesh.adapters.postgres.journal import PgJournal
from vigimesh.adapters.postgres.schema import migrate
from vigimesh.domain.budget.calls import Begun, Claimed, PaidCall
from vigimesh.domain.cascade.question import Tokens
from vigimesh.events.ids import call_id
from vigimesh.ports import Journal

#: What a suite is run on.
BENCHES = ("memory", pytest.param("postgres", marks=pytest.mark.real))
USAGE = Tokens(prompt=100, cached=40, completion=20)
#: A moment of this month for calls: what a journal counts depends on the server's time of day.
NOW = datetime.now(UTC).replace(microsecond=0)


def call_of(name: str, epoch: str, **changes: Any) -> PaidCall:
    """Return a call about the case `name`, its worst case 1,000, reserved just now for a minute."""
    parts: dict[str, Any] = {
        "case_id": name, "workflow": "triage", "version": "1", "step": "ask", "pass_number": 1, "prompt_digest": "d" * 64,
        "model": "large", "worst_micro": 1_000, "epoch": epoch, "at": datetime.now(UTC), "lease_s": 60.0,
    } | changes  # fmt: skip
    named = call_id(*(parts[part] for part in ("case_id", "version", "step", "pass_number", "prompt_digest")))
    return PaidCall(call_id=named, **parts)


class Hand:
    """A clock whose hand is moved by the test."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return self.at.timestamp()


class Bench(Protocol):
    """A server of the journal."""

    def process(self, *, rebuild_s: float = 30.0) -> Journal:
        """Return the journal as another process sees it."""
        ...

    def now(self) -> datetime:
        """Return the server's time."""
        ...

    def set_clock(self, at: datetime) -> None:
        """Set the server's time, by which reservations lapse; leases that are held stay as long as they are."""
        ...

    def let_pass(self, seconds: float) -> None:
        """Let so much time pass."""
        ...

    def age(self, seconds: float) -> None:
        """Let every lease end so much earlier, the time standing still."""
        ...

    def date_back(self, days: float) -> None:
        """Let every call be so much older."""
        ...

    def copy(self) -> Callable[[], None]:
        """Copy the server; what is returned puts the copy back."""
        ...

    async def close(self) -> None:
        """Close every process's connections."""
        ...


class MemoryBench:
    """The twin."""

    def __init__(self) -> None:
        self.hand = Hand()
        self.calls = MemoryCalls(self.hand)

    def process(self, *, rebuild_s: float = 30.0) -> Journal:
        return MemoryJournal(self.calls, rebuild_s=rebuild_s)

    def now(self) -> datetime:
        return self.hand.at

    def set_clock(self, at: datetime) -> None:
        self.hand.at = at

    def let_pass(self, seconds: float) -> None:
        self.hand.at += timedelta(seconds=seconds)

    def age(self, seconds: float) -> None:
        passed = timedelta(seconds=seconds)
        self.calls.epoch.lease_until -= passed
        for row in self.calls.rows.values():
            row.lease_until -= passed

    def date_back(self, days: float) -> None:
        for row in self.calls.rows.values():
            row.call = replace(row.call, at=row.call.at - timedelta(days=days))

    def copy(self) -> Callable[[], None]:
        rows = {name: replace(row) for name, row in self.calls.rows.items()}
        epoch, number = replace(self.calls.epoch), self.calls.number

        def put_back() -> None:
            self.calls.rows, self.calls.epoch, self.calls.number = rows, epoch, number

        return put_back

    async def close(self) -> None:
        return


#: A clock found before the server's own, in a test's database alone.
CLOCK = (
    "CREATE SCHEMA moved",
    "CREATE TABLE moved.clock (by interval NOT NULL)",
    "INSERT INTO moved.clock VALUES ('0')",
    """CREATE FUNCTION moved.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    'SELECT pg_catalog.clock_timestamp() + by FROM moved.clock'""",
)


class PgBench:
    """A database on a real server. Leases are moved, since `now()` can't be; `clock_timestamp()` is, by `CLOCK`."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.opened: list[PgJournal] = []
        self.own = psycopg.connect(uri, autocommit=True)

    def process(self, *, rebuild_s: float = 30.0) -> Journal:
        self.opened.append(PgJournal(self.uri, rebuild_s=rebuild_s))
        return self.opened[-1]

    def do(self, statement: str, *values: Any) -> None:
        self.own.execute(statement, values)

    def serves(self, application_name: str) -> bool:
        """Return whether the server still works for a process: a statement goes on when its connection is cut."""
        found = self.own.execute(
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s",
            (application_name,),
        )
        return found.fetchone() is not None

    def now(self) -> datetime:
        (at,) = self.own.execute("SELECT clock_timestamp()").fetchone() or (None,)
        assert isinstance(at, datetime)
        return at.astimezone(UTC)

    def set_clock(self, at: datetime) -> None:
        self.do("UPDATE moved.clock SET by = %s - pg_catalog.clock_timestamp()", at)

    def let_pass(self, seconds: float) -> None:
        self.do("UPDATE moved.clock SET by = by + make_interval(secs => %s)", seconds)
        self.age(seconds)

    def age(self, seconds: float) -> None:
        for table in ("call", "epoch"):
            self.do(
                f"UPDATE journal.{table} SET lease_until = lease_until - make_interval(secs => %s)", seconds
            )

    def date_back(self, days: float) -> None:
        self.do("UPDATE journal.call SET at = at - make_interval(secs => %s)", days * 86_400)

    def copy(self) -> Callable[[], None]:
        for table in ("call", "epoch"):
            self.do(f"DROP TABLE IF EXISTS public.old_{table}")
            self.do(f"CREATE TABLE public.old_{table} AS TABLE journal.{table}")
        self.do("ALTER TABLE public.old_epoch DROP COLUMN epoch")

        def put_back() -> None:
            self.do("DELETE FROM journal.call")
            self.do("INSERT INTO journal.call SELECT * FROM public.old_call")
            self.do("DELETE FROM journal.epoch")
            names = "one, number, run_id, owner, claimed_at, lease_until, opened_at"
            self.do(f"INSERT INTO journal.epoch ({names}) SELECT {names} FROM public.old_epoch")

        return put_back

    def empty(self) -> None:
        self.do("UPDATE moved.clock SET by = '0'")
        self.do("DELETE FROM journal.call")
        self.do(
            "UPDATE journal.epoch SET number = 0, run_id = '', lease_until = '1970-01-01Z', opened_at = NULL"
        )

    async def close(self) -> None:
        for one in self.opened:
            await one.close()
        self.opened.clear()
        self.own.close()


@contextmanager
def database(server: str, name: str) -> Iterator[str]:
    """Make a database with the schema on the session's server, dropped at the end."""
    with psycopg.connect(server, autocommit=True) as own:
        own.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        own.execute(f"CREATE DATABASE {name}")
        own.execute(f"ALTER DATABASE {name} SET search_path = moved, pg_catalog, public")
    parts: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(server)
    uri = psycopg.conninfo.make_conninfo(**{**parts, "dbname": name})
    migrate(uri)
    with psycopg.connect(uri, autocommit=True) as own:
        for statement in CLOCK:
            own.execute(statement)
    yield uri
    with psycopg.connect(server, autocommit=True) as own:
        own.execute(f"DROP DATABASE {name} WITH (FORCE)")


def bench_of(request: pytest.FixtureRequest) -> Bench:
    """Return the bench that a fixture over `BENCHES` asks for; PostgreSQL's is the module's fixture `uri`, emptied."""
    if request.param == "memory":
        return MemoryBench()
    made = PgBench(request.getfixturevalue("uri"))
    made.empty()
    return made


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run a story, for a minute at most."""
    asyncio.run(asyncio.wait_for(story, 60))


async def opened(journal: Journal, run_id: str = "run") -> str:
    """Claim and open an epoch; return it."""
    await journal.epoch()
    claimed = await journal.claim_epoch(run_id)
    assert isinstance(claimed, Claimed), claimed
    await journal.open_epoch(claimed.epoch)
    return claimed.epoch


@asynccontextmanager
async def processes(bench: Bench, count: int = 2) -> AsyncIterator[tuple[str, list[Journal]]]:
    """Open an epoch and give several processes at it."""
    try:
        first = bench.process()
        epoch = await opened(first)
        yield epoch, [first, *(bench.process() for _ in range(count - 1))]
    finally:
        await bench.close()


async def begun(journal: Journal, call: PaidCall) -> PaidCall:
    """Begin a call that nobody has begun."""
    found = await journal.begin(call)
    assert isinstance(found, Begun), found
    return call
