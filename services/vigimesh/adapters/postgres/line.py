"""One connection to PostgreSQL that runs prepared statements one at a time, at a third of what the driver's own cursor costs.

That one watches the socket anew for every wait and reads a statement's places anew for every use. Here libpq (`psycopg.pq`) is asked
directly: the socket is watched once, for as long as the connection stands. Opening it and turning values into the server's and back are
the driver's, so that every type is what it is elsewhere.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import pq
from psycopg.adapt import PyFormat, Transformer

#: Statements that the server keeps prepared for one connection: a few dozen texts, each with the widths of whole numbers that came. What
#: is beyond them is prepared for every use.
MAX_PREPARED = 200
#: Seconds for the server to end a statement that was given up.
END_S = 5.0

#: A place of a statement, `%(name)s`, or a percent sign, `%%`.
_PLACE = re.compile(r"%%|%\((\w+)\)s")
_GOOD = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)

Row = Mapping[str, Any]


class Line:
    """A connection that is open, in autocommit; whoever was cancelled or told of an error must close it."""

    __slots__ = ("_answer", "_connection", "_libpq", "_loop", "_prepared", "_results", "_socket", "_writing")

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Take the connection over: nothing else may use it."""
        self._connection = connection
        self._libpq = connection.pgconn
        self._socket = self._libpq.socket
        self._loop = asyncio.get_running_loop()
        self._prepared: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._answer: asyncio.Future[list[pq.abc.PGresult]] | None = None
        self._results: list[pq.abc.PGresult] = []
        #: Whether the socket did not take all at once, which nearly never happens.
        self._writing = False
        self._loop.add_reader(self._socket, self._readable)

    async def run(self, statement: str, parameters: Mapping[str, Any]) -> Sequence[Row]:
        """Return the rows of one statement. Raises what the driver raises."""
        text, names = numbered(statement)
        values = Transformer(self._connection)
        dumped = values.dump_sequence([parameters[name] for name in names], [PyFormat.AUTO] * len(names))
        types = values.types or ()
        prepared = self._prepared.get((text, types))
        if prepared is None:
            prepared = b"s%d" % len(self._prepared) if len(self._prepared) < MAX_PREPARED else b""
            await self._asked(lambda: self._libpq.send_prepare(prepared, text, types))
            if prepared:
                self._prepared[text, types] = prepared
        name = prepared
        found = await self._asked(lambda: self._libpq.send_query_prepared(name, dumped, values.formats))
        values.set_pgresult(found)
        columns = [(found.fname(at) or b"").decode() for at in range(found.nfields)]
        return values.load_rows(0, found.ntuples, lambda row: dict(zip(columns, row, strict=True)))

    async def close(self) -> None:
        """Close the connection, whatever is under way on it."""
        self._unwatch()
        await self._connection.close()

    async def _asked(self, send: Callable[[], None]) -> pq.abc.PGresult:
        """Send something and return what the server says to it."""
        answer: asyncio.Future[list[pq.abc.PGresult]] = self._loop.create_future()
        self._results, self._answer = [], answer
        send()
        self._flush()
        try:
            results = await answer
        except asyncio.CancelledError:
            await self._given_up()
            raise
        for one in results:
            if one.status not in _GOOD:
                raise psycopg.errors.error_from_result(one)
        if not results:
            raise psycopg.OperationalError("the server said nothing")
        return results[-1]

    async def _given_up(self) -> None:
        """Let the server end what nobody waits for: whoever undoes it next must come behind it. Raises nothing of its own."""
        if self._answer is None:
            return  # it came meanwhile
        ended = self._answer = self._loop.create_future()
        with suppress(psycopg.Error, TimeoutError):
            async with asyncio.timeout(END_S):
                await self._connection.cancel_safe(timeout=END_S)
                await ended

    def _flush(self) -> None:
        """Send what is left to be sent as soon as the socket takes it."""
        before, self._writing = self._writing, bool(self._libpq.flush())
        if self._writing:
            self._loop.add_writer(self._socket, self._writable)
        elif before:
            self._loop.remove_writer(self._socket)

    def _writable(self) -> None:
        try:
            self._flush()
        except psycopg.Error as error:
            self._fail(error)

    def _readable(self) -> None:
        try:
            self._libpq.consume_input()
            # Unasked, the server says that it ends, or that a setting has changed: libpq keeps that for whoever asks next.
            while self._answer is not None and not self._libpq.is_busy():
                one = self._libpq.get_result()
                if one is None:
                    self._tell(lambda answer: answer.set_result(self._results))
                else:
                    self._results.append(one)
        except psycopg.Error as error:
            self._fail(error)

    def _fail(self, error: psycopg.Error) -> None:
        """Tell whoever waits; who asks next is told by libpq. Of a socket that has ended the loop would tell without end."""
        self._unwatch()
        self._tell(lambda answer: answer.set_exception(error))

    def _tell(self, tell: Callable[[asyncio.Future[list[pq.abc.PGresult]]], None]) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            tell(answer)

    def _unwatch(self) -> None:
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)


@lru_cache(maxsize=MAX_PREPARED)
def numbered(statement: str) -> tuple[bytes, tuple[str, ...]]:
    """Return a statement with its places as the server counts them, and their names in that order; a name that comes again is one place."""
    order: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        return "%" if found[0] == "%%" else f"${order.setdefault(found[1], len(order) + 1)}"

    text = _PLACE.sub(number, statement)
    return text.encode(), tuple(order)
