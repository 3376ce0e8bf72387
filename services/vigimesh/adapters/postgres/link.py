"""A few connections to PostgreSQL for one event loop, each statement its own transaction and one round trip.

No pool of threads or tasks stands behind it: a connection that failed is closed, and the next statement opens another. What
is asked here must be safe to ask twice, because after a cut nobody knows whether the server did it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from vigimesh.adapters.postgres.line import Line, Row
from vigimesh.adapters.postgres.schema import connection_settings, named_errors
from vigimesh.clock import Clock, Deadline

#: Connections of one process, opened when needed. 200 calls/s of two statements of 2 ms keep one busy; the others are for bursts and
#: for an event loop that comes round late: with 4, a call of a busy process waited longer for one of them than for its answer.
MAX_CONNECTIONS = 16
#: Seconds before the second try and before the third, the last: at once for one connection that was cut, then what a
#: server needs to take connections again.
PAUSES_S = (0.0, 0.2)
#: Seconds for one statement with all its tries: well within the lease of a call.
PATIENCE_S = 15.0
#: One plan for all values, by index: planning anew takes longer than the statement, and a plan made while the table was
#: empty must not read all of it later.
PLANS = " -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off"


class Link:
    """Lends connections to one event loop; at most `MAX_CONNECTIONS` are open."""

    def __init__(
        self, uri: str, application_name: str, clock: Clock, pauses_s: tuple[float, ...] = PAUSES_S
    ) -> None:
        """Nothing is opened before the first statement; `pauses_s` stand between the tries of one."""
        self._uri = uri
        self._settings = connection_settings(application_name)
        self._settings["options"] += PLANS
        self._clock = clock
        self._pauses_s = pauses_s
        self._free = asyncio.Semaphore(MAX_CONNECTIONS)
        self._idle: list[Line] = []

    async def ask(self, statement: str, parameters: Mapping[str, Any]) -> Sequence[Row]:
        """Return the rows of a statement that may safely be asked again, asking it again after each pause.

        Raises `Transient` VM-1501 when the server does not answer within `PATIENCE_S`, `Misconfigured` VM-1506 for a right
        that the user lacks. Then nobody knows whether it was done.
        """
        deadline = Deadline.after(self._clock, PATIENCE_S)
        with named_errors():
            for pause_s in self._pauses_s:
                try:
                    return await self._ask(statement, parameters, deadline)
                except (psycopg.OperationalError, psycopg.InterfaceError):
                    if deadline.left_s() <= pause_s:
                        raise
                    await asyncio.sleep(pause_s)
            return await self._ask(statement, parameters, deadline)

    async def close(self) -> None:
        """Give the idle connections back to the server."""
        while self._idle:
            await self._idle.pop().close()

    async def _ask(self, statement: str, parameters: Mapping[str, Any], deadline: Deadline) -> Sequence[Row]:
        try:
            async with asyncio.timeout(deadline.left_s()), self._free:
                lent = self._idle.pop() if self._idle else await self._open()
                try:
                    rows = await lent.run(statement, parameters)
                except BaseException:
                    await _drop(lent)
                    raise
                self._idle.append(lent)
                return rows
        except TimeoutError as error:
            raise psycopg.OperationalError(f"no answer within {PATIENCE_S:g} s") from error

    async def _open(self) -> Line:
        return Line(await psycopg.AsyncConnection.connect(self._uri, autocommit=True, **self._settings))


async def _drop(lent: Line) -> None:
    """Close a connection whose state nobody knows: an answer that is still on its way must meet no other question."""
    try:
        await lent.close()
    except psycopg.Error:
        pass
