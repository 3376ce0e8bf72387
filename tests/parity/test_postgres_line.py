"""The line to PostgreSQL against the driver's own cursor: the same rows, the same errors, and nothing left running behind."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from journals import database
from vigimesh.adapters.postgres import line as postgres_line
from vigimesh.adapters.postgres.line import Line, numbered
from waiting import until_async

pytestmark = pytest.mark.real

AT = datetime(2026, 11, 28, 12, 30, 0, 123456, tzinfo=UTC)
#: A value of every kind that a statement of ours is given, and of every width of a whole number.
VALUES: tuple[Any, ...] = (
    None, "", "Ümlaut \N{SNOWMAN} %(x)s", 0, -1, 40_000, 2**31, 2**53, 10**30, True, 1.5, b"", bytes(range(256)), AT,
    timedelta(days=3), ["a", "b"], [1, 2], [2**40],
)  # fmt: skip


@pytest.fixture(scope="module")
def uri(request: pytest.FixtureRequest) -> Iterator[str]:
    with database(request.getfixturevalue("stack").urls.postgres, "postgres_line") as made:
        yield made


def play(uri: str, scenario: Callable[[Line, psycopg.AsyncConnection[Any]], Awaitable[None]]) -> None:
    """Play with a line, and with a connection of the driver beside it."""

    async def whole() -> None:
        async with asyncio.timeout(60):
            line = Line(await psycopg.AsyncConnection.connect(uri, autocommit=True))
            driver = await psycopg.AsyncConnection.connect(uri, autocommit=True, row_factory=dict_row)
            try:
                await scenario(line, driver)
            finally:
                await line.close()
                await driver.close()

    asyncio.run(whole())


def test_values_and_rows_are_those_of_the_driver(uri: str) -> None:
    async def scenario(line: Line, driver: psycopg.AsyncConnection[Any]) -> None:
        text = "SELECT %(one)s AS a, %(other)s AS b, %(one)s AS again, 'a%%' AS c"
        for one, other in itertools.product(VALUES, VALUES[:4]):
            said = {"one": one, "other": other, "unused": 1}
            theirs = await (await driver.execute(text, said, prepare=True)).fetchall()
            for _ in range(2):  # prepared, then used again
                assert await line.run(text, said) == theirs, said
        for rows in (0, 1, 1_000):
            many = "SELECT n, now() - now() AS none FROM generate_series(1, %(rows)s) AS n"
            theirs = await (await driver.execute(many, {"rows": rows}, prepare=True)).fetchall()
            assert await line.run(many, {"rows": rows}) == theirs

    play(uri, scenario)


def test_more_than_the_socket_holds_goes_and_comes(uri: str) -> None:
    async def scenario(line: Line, driver: psycopg.AsyncConnection[Any]) -> None:
        body = bytes(range(256)) * 40_000
        ((row),) = await line.run("SELECT %(body)s::bytea AS body", {"body": body})
        assert bytes(row["body"]) == body

    play(uri, scenario)


def test_what_is_prepared_is_bounded(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_line, "MAX_PREPARED", 3)

    async def scenario(line: Line, driver: psycopg.AsyncConnection[Any]) -> None:
        for number in (*range(6), *range(6)):
            assert await line.run(f"SELECT {number} AS n", {}) == [{"n": number}]
        ((held),) = await line.run("SELECT count(*) AS n FROM pg_prepared_statements WHERE name <> ''", {})
        assert held["n"] == 3

    play(uri, scenario)


def test_an_error_is_that_of_the_driver(uri: str) -> None:
    async def scenario(line: Line, driver: psycopg.AsyncConnection[Any]) -> None:
        for text in ("SELECT 1 / 0", "SELECT x FROM nowhere", "SELECT 1; SELECT 2", "no statement"):
            with pytest.raises(psycopg.Error) as ours:
                await line.run(text, {})
            with pytest.raises(psycopg.Error) as theirs:
                await driver.execute(text, {}, prepare=True)
            assert (type(ours.value), str(ours.value)) == (type(theirs.value), str(theirs.value))

    play(uri, scenario)


def test_a_connection_that_ended_is_an_operational_error_whenever_it_ended(uri: str) -> None:
    async def scenario(line: Line, driver: psycopg.AsyncConnection[Any]) -> None:
        ((own),) = await line.run("SELECT pg_backend_pid() AS pid", {})
        asked = asyncio.ensure_future(line.run("SELECT pg_sleep(50)", {}))
        await until_async(lambda: line._answer is not None, what="asked")
        await driver.execute("SELECT pg_terminate_backend(%(pid)s)", own)
        with pytest.raises(psycopg.OperationalError):
            await asked
        for _ in range(2):
            with pytest.raises(psycopg.OperationalError):
                await line.run("SELECT 1", {})

    play(uri, scenario)


def test_who_is_cancelled_leaves_nothing_running(uri: str) -> None:
    """What undoes a statement comes behind it: else it would find nothing to undo."""

    async def scenario(line: Line, driver: psycopg.AsyncConnection[Any]) -> None:
        ((own),) = await line.run("SELECT pg_backend_pid() AS pid", {})
        running = "SELECT count(*) AS n FROM pg_stat_activity WHERE pid = %(pid)s AND query LIKE '%%pg_sleep%%' AND state = 'active'"

        async def count() -> int:
            return int((await (await driver.execute(running, own)).fetchall())[0]["n"])

        asked = asyncio.ensure_future(line.run("SELECT pg_sleep(50)", {}))
        while not await count():
            pass  # each look is a round trip
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert await count() == 0

    play(uri, scenario)


def test_places_are_numbered_once_for_each_name() -> None:
    assert numbered("SELECT %(a)s, %(b)s, %(a)s, 100 %% 7, '%(c)s'") == (
        b"SELECT $1, $2, $1, 100 % 7, '$3'", ("a", "b", "c"),
    )  # fmt: skip
