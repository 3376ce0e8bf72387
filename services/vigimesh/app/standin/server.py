"""The stand-in on a loopback socket: HTTP/1.1 by h11, since a server framework would not let a reply break off on purpose."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

import h11

from vigimesh.app.standin.chat import MARK, Plan, StandIn
from vigimesh.app.standin.routes import Request, Routes
from vigimesh.errors import Misconfigured

#: The only address it serves on.
HOST = "127.0.0.1"
#: Bytes of one request at most: 8 MiB, twice what a question may hold.
MAX_REQUEST_BYTES = 8_388_608
#: Bytes of a request's head at most, and bytes read at once.
_HEAD_BYTES, _CHUNK = 65_536, 65_536
#: Connections at once; more are closed at once.
MAX_CONNECTIONS = 1_024
#: Seconds that a connection may lie idle, and between two bytes of a reply that drips.
IDLE_S, DRIP_S = 30.0, 0.02
#: Seconds after which a reply that hangs is given up.
HANG_S = 600.0


class Gone(Exception):
    """The client has left."""


class Server:
    """The stand-in while it serves: `async with Server(StandIn()) as server: server.base_url`."""

    def __init__(self, standin: StandIn, port: int = 0) -> None:
        """Keep what to serve, and where; port 0 takes a free one."""
        self.standin = standin
        self.routes = Routes(standin)
        self.port = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        """What VIGIMESH_LARGE_MODEL__BASE_URL is set to."""
        return f"http://{HOST}:{self.port}/v1"

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return len(self._tasks)

    async def __aenter__(self) -> Self:
        """Listen. Raises `Misconfigured` VM-2106 when the port is taken."""
        try:
            self._server = await asyncio.start_server(self._connected, HOST, self.port)
        except OSError as error:
            raise Misconfigured(
                "VM-2106", what=f"the stand-in cannot serve on port {self.port}: {error.strerror}", where=HOST,
                todo="give another --port, or 0 for a free one",
            ) from error  # fmt: skip
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening and hang up."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._tasks) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._tasks.add(task)
        try:
            await _Connection(self.routes, reader, writer).serve()
        except (Gone, OSError, TimeoutError, h11.ProtocolError):
            pass
        except asyncio.CancelledError:
            # Only `__aexit__` cancels, and a server of streams reports a handler that ends cancelled as an error.
            pass
        finally:
            self._tasks.discard(task)
            writer.close()


class _Connection:
    """One client."""

    def __init__(self, routes: Routes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._routes = routes
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)

    async def serve(self) -> None:
        """Answer requests until the client leaves, is idle for long, or a fault ends the connection."""
        while True:
            request, body = await self._request()
            plan = self._plan(request, body)
            await self._wait(HANG_S if plan.manner == "hang" else plan.after_s)
            if plan.manner in {"hang", "close"}:
                return
            await self._answer(plan)
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()

    async def _request(self) -> tuple[h11.Request, bytes]:
        request: h11.Request | None = None
        body = b""
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await asyncio.wait_for(self._reader.read(_CHUNK), IDLE_S))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_REQUEST_BYTES:
                    raise Gone
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                return request, body
            else:
                raise Gone

    def _plan(self, request: h11.Request, body: bytes) -> Plan:
        headers = {name.decode("ascii"): value.decode("latin-1") for name, value in request.headers}
        target = request.target.decode("latin-1")
        return self._routes.plan(Request(request.method.decode("ascii"), target, headers, body))

    async def _wait(self, seconds: float) -> None:
        """Wait, but not for a client that leaves. Raises `Gone`."""
        try:
            data = await asyncio.wait_for(self._reader.read(_CHUNK), max(seconds, 0.000_001))
        except TimeoutError:
            return
        if not data:
            raise Gone
        # A client that sends its next request before the reply: rare, and then it just waits.
        self._http.receive_data(data)
        await asyncio.sleep(seconds)

    async def _answer(self, plan: Plan) -> None:
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(plan.body))),
            MARK,
            *plan.headers,
        ]
        self._send(h11.Response(status_code=plan.status, headers=headers))
        if plan.manner == "cut":
            self._writer.write(plan.body[: len(plan.body) // 2])
            await self._writer.drain()
            raise Gone
        if plan.manner == "drip":
            for at in range(len(plan.body)):
                self._send(h11.Data(data=plan.body[at : at + 1]))
                await self._writer.drain()
                await self._wait(DRIP_S)
        else:
            self._send(h11.Data(data=plan.body))
        self._send(h11.EndOfMessage())
        await self._writer.drain()

    def _send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._writer.write(data)
