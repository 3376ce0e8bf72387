"""A proxy before PostgreSQL's Unix socket that counts protocol messages, both ways, and cuts the connection at one of them."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg

#: Name of the socket in its folder, as libpq makes it from the port.
SOCKET = ".s.PGSQL.5432"
#: Largest message passed on: an answer of 64 KiB in a row with room to spare.
MESSAGE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cut:
    """Cut at the `number`-th message of all, the first is 1: before it reaches the other side, or right after.

    With `down` nobody is let in from then on.
    """

    number: int
    after: bool
    down: bool


class PostgresProxy:
    """`async with PostgresProxy(uri, folder) as proxy`, then connect to `proxy.uri`."""

    def __init__(self, server: str, folder: Path) -> None:
        """`folder` must have a short name: a Unix socket's has at most 107 characters."""
        parts: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(server)
        self._server_socket = str(Path(str(parts["host"])) / f".s.PGSQL.{parts.get('port', 5432)}")
        self._folder = folder
        self.uri = psycopg.conninfo.make_conninfo(**{**parts, "host": str(folder), "port": "5432"})
        #: Messages that came so far.
        self.count = 0
        self.kinds: list[str] = []
        self.cut: Cut | None = None
        self.has_cut = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> PostgresProxy:
        """Serve."""
        self._listening = await asyncio.start_unix_server(self._serve, str(self._folder / SOCKET))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every connection."""
        self._listening.close()
        self._abort(*self._writers)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self.has_cut and self.cut is not None and self.cut.down:
            self._abort(writer)
            return
        server_reader, server_writer = await asyncio.open_unix_connection(self._server_socket)
        ends = (writer, server_writer)
        self._writers.update(ends)
        try:
            await asyncio.gather(
                self._carry(reader, server_writer, ends, starts=True),
                self._carry(server_reader, writer, ends, starts=False),
            )
        finally:
            self._abort(*ends)
            self._writers.difference_update(ends)

    async def _carry(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        ends: tuple[asyncio.StreamWriter, ...],
        *,
        starts: bool,
    ) -> None:
        """Carry messages one way until either side ends; the first of a client has no kind."""
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                kind = b"" if starts else await source.readexactly(1)
                size = await source.readexactly(4)
                length = struct.unpack(">i", size)[0]
                assert 4 <= length <= MESSAGE_BYTES, "not PostgreSQL's protocol, version 3"
                message = kind + size + await source.readexactly(length - 4)
                starts = False
                self.count += 1
                self.kinds.append(kind.decode() or "startup")
                hit = self.cut is not None and self.cut.number == self.count
                if hit and self.cut is not None and not self.cut.after:
                    self.has_cut = True
                    break
                target.write(message)
                await target.drain()
                if hit:
                    self.has_cut = True
                    break
        self._abort(*ends)

    @staticmethod
    def _abort(*writers: asyncio.StreamWriter) -> None:
        for writer in writers:
            writer.transport.abort()
