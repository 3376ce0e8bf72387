"""The schema is the sum of its migrations, each applied once, whoever applies them and however many at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from vigimesh.adapters.postgres.library import load_into
from vigimesh.adapters.postgres.schema import Migration, migrate, shipped_migrations
from vigimesh.adapters.postgres.search import PgSearch
from vigimesh.domain.knowledge.shipped import shipped_documents
from vigimesh.errors import Misconfigured, Transient
from waiting import until

ROOT = Path(__file__).resolve().parents[2]
#: Processes that migrate and load at once: one per stage.
PROCESSES = 5
#: Seconds for all of them; one takes half a second.
WITHIN_S = 60

MIGRATE_AND_LOAD = """
import sys
from vigimesh.adapters.postgres.library import load_into
from vigimesh.adapters.postgres.schema import migrate
from vigimesh.domain.knowledge.shipped import shipped_documents
print("ready", flush=True)
sys.stdin.readline()
print(len(migrate(sys.argv[1])), len(load_into(sys.argv[1], shipped_documents())))
"""


@pytest.fixture
def database(stack: Any) -> Iterator[str]:
    """Give the test a database of its own on the session's server."""
    server = stack.urls.postgres
    name = "schema_test"
    with psycopg.connect(server, autocommit=True) as own:
        own.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        own.execute(f"CREATE DATABASE {name}")
    parts: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(server)
    yield psycopg.conninfo.make_conninfo(**{**parts, "dbname": name})
    with psycopg.connect(server, autocommit=True) as own:
        own.execute(f"DROP DATABASE {name} WITH (FORCE)")


def one(uri: str, statement: str) -> Any:
    with psycopg.connect(uri) as own:
        row = own.execute(statement).fetchone()
    assert row is not None
    return row[0]


def test_each_step_is_applied_once(database: str) -> None:
    assert migrate(database) == shipped_migrations()
    assert migrate(database) == ()
    assert one(database, "SELECT count(*) FROM public.vigimesh_migration") == len(shipped_migrations())


def test_several_processes_at_once_apply_and_load_once(database: str) -> None:
    command = [sys.executable, "-c", MIGRATE_AND_LOAD, database]
    running = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": "services"},
        )
        for _ in range(PROCESSES)
    ]
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        done = [tuple(map(int, _ended(process).split())) for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert sum(steps for steps, _ in done) == len(shipped_migrations())
    assert sorted(loaded for _, loaded in done) == [0] * (PROCESSES - 1) + [len(shipped_documents())]
    assert one(database, "SELECT count(*) FROM knowledge.document") == len(shipped_documents())
    assert one(database, "SELECT number FROM knowledge.state") == 1


def _ended(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=WITHIN_S)
    assert process.returncode == 0
    return out


def test_a_step_that_fails_leaves_nothing_and_can_be_corrected(database: str) -> None:
    good = Migration(number=1, name="good", text="CREATE TABLE one (a int)", digest="1")
    bad = Migration(number=2, name="bad", text="CREATE TABLE two (a int); SELECT 1/0", digest="2")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(database, [good, bad])
    assert one(database, "SELECT to_regclass('one') IS NOT NULL AND to_regclass('two') IS NULL")
    mended = Migration(number=2, name="bad", text="CREATE TABLE two (a int)", digest="3")
    assert migrate(database, [good, mended]) == (mended,)


def test_a_changed_step_and_a_newer_database_are_named(database: str) -> None:
    step = Migration(number=1, name="step", text="SELECT 1", digest="1")
    migrate(database, [step])
    with pytest.raises(Misconfigured, match="VM-1504"):
        migrate(database, [Migration(number=1, name="step", text="SELECT 2", digest="2")])
    with pytest.raises(Misconfigured, match="VM-1505"):
        migrate(database, [])


def test_a_user_without_rights_is_told_which(database: str, stack: Any) -> None:
    with psycopg.connect(stack.urls.postgres, autocommit=True) as own:
        own.execute("DROP ROLE IF EXISTS schema_test_guest")
        own.execute("CREATE ROLE schema_test_guest LOGIN")
    try:
        parts: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(database)
        with pytest.raises(Misconfigured, match="VM-1506"):
            migrate(psycopg.conninfo.make_conninfo(**{**parts, "user": "schema_test_guest"}))
    finally:
        with psycopg.connect(stack.urls.postgres, autocommit=True) as own:
            own.execute("DROP ROLE schema_test_guest")


def test_a_database_not_yet_set_up_makes_work_wait(database: str) -> None:
    search = PgSearch(database)
    with pytest.raises(Transient, match="VM-1501"):
        search.find(["DTP Rash"], 3)
    migrate(database)
    with pytest.raises(Transient, match="no document yet"):
        search.find(["DTP Rash"], 3)
    load_into(database, shipped_documents())
    assert search.find(["DTP Rash"], 3)[0].passages
    search.close()


def test_search_comes_back_after_its_connection_was_cut(database: str) -> None:
    migrate(database)
    load_into(database, shipped_documents())
    search = PgSearch(database, application_name="to be cut")
    assert search.find(["DTP Rash"], 3)[0].passages
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'to be cut'"
    assert one(database, cut) is True
    with pytest.raises(Transient, match="VM-1501"):
        search.find(["DTP Chills"], 3)
    until(lambda: _answers(search), what="an answer after the connection was cut")
    search.close()


def test_search_comes_back_with_a_server_that_was_away_at_first(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vigimesh.adapters.postgres.schema.POOL_WAIT_S", 0.3)
    migrate(database)
    load_into(database, shipped_documents())
    parts: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(database)
    way = tmp_path / "s"
    search = PgSearch(psycopg.conninfo.make_conninfo(**{**parts, "host": str(way)}))
    for _ in range(2):
        with pytest.raises(Transient, match="VM-1501"):
            search.find(["DTP Rash"], 3)
    way.symlink_to(str(parts["host"]))
    until(lambda: _answers(search), what="an answer after the server came")
    search.close()


def _answers(search: PgSearch) -> bool:
    try:
        return bool(search.find(["DTP Rash"], 3)[0].passages)
    except Transient:
        return False
