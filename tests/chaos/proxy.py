"""A TCP proxy between clients and one Kafka broker: a link each, which can be slow, cut, half-open, or hold a commit.

Answers that name the broker are rewritten to name the link, so that nothing of the broker has to be set. One thread runs all
links; every method may be called from any thread.
"""

from __future__ import annotations

import asyncio
import struct
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from chaos import wire

T = TypeVar("T")

#: Frames that wait in one direction of a connection before its sender is left to wait, too.
QUEUE_FRAMES = 256
#: Largest frame that is passed on: a batch of the largest records with room to spare.
FRAME_BYTES = 64 * 1024 * 1024
#: Seconds for the thread to do what it is asked; it does no work of its own.
ASK_S = 10.0


class Hold:
    """One EndTxn that commits, kept back until the next transaction of the same client has begun on the broker, or for good."""

    def __init__(self, *, of_records: bool, for_good: bool) -> None:
        """Take the first one there is, or the first of a transaction that has written records since."""
        #: Whether the next transaction does not free it: then only `Link.mend` does.
        self.for_good = for_good
        #: Whose commit is held; anybody's when it is empty, nobody's while it is `None`.
        self.wanted: str | None = None if of_records else ""
        #: Who was held.
        self.client = ""
        self.held = threading.Event()
        self.freed = threading.Event()
        #: What the broker said to the late request; `None` while it has not answered.
        self.error: int | None = None
        self.answered = threading.Event()
        self.free = asyncio.Event()

    def takes(self, request: wire.Request, frame: bytes) -> bool:
        """Return whether this is the request to hold."""
        if self.wanted is None and request.key == wire.ADD_PARTITIONS:
            self.wanted = request.client
        return (
            request.key == wire.END_TXN
            and not self.held.is_set()
            and self.wanted in ("", request.client)
            and wire.commits(frame, request.version)
        )


@dataclass(eq=False)
class _Connection:
    """One client's connection with its own one to the broker."""

    client: asyncio.StreamWriter
    broker: asyncio.StreamWriter
    #: Correlation id -> request, for answers that are looked into.
    asked: dict[int, wire.Request] = field(default_factory=dict)
    hold: Hold | None = None
    held_correlation: int = -1
    silent: bool = False

    def abort(self) -> None:
        for writer in (self.client, self.broker):
            writer.transport.abort()


class Link:
    """One way to the broker: clients connect to `port`."""

    def __init__(self, proxy: Proxy, name: str) -> None:
        self.name = name
        self.port = 0
        #: Seconds that each frame takes in each direction.
        self.delay_s = 0.0
        #: Whether new connections are refused.
        self.down = False
        #: Seconds that a request takes, by the end of the client's id and the api key.
        self.delays: dict[tuple[str, int], float] = {}
        #: Api keys of requests whose answers get lost, with their connection; and how many did.
        self.deaf: frozenset[int] = frozenset()
        self.unheard = 0
        #: Requests that came, by api key.
        self.asked: Counter[int] = Counter()
        #: Called in the proxy's thread with each request before it is passed on; must not wait.
        self.watch: Callable[[wire.Request], None] = lambda request: None
        self._proxy = proxy
        self._holds: list[Hold] = []
        self._connections: set[_Connection] = set()

    @property
    def address(self) -> str:
        """What a client takes as bootstrap servers."""
        return f"{wire.LOOPBACK}:{self.port}"

    def slow(self, delay_s: float) -> None:
        """Let each frame take so many seconds from now on; 0 ends it."""
        self.delay_s = delay_s

    def cut(self, *, down: bool = False) -> int:
        """Reset every connection, return how many; with `down` refuse new ones until `mend`."""
        self.down = down

        def cut() -> int:
            count = len(self._connections)
            for one in tuple(self._connections):
                one.abort()
            return count

        return self._proxy.ask(cut)

    def up(self) -> None:
        """Take new connections again."""
        self.down = False

    def half_open(self) -> Callable[[], None]:
        """Let every connection that there is now go on without a byte in either direction; return what resets them."""

        def silence() -> list[_Connection]:
            for one in self._connections:
                one.silent = True
            return list(self._connections)

        silent = self._proxy.ask(silence)

        def abort() -> None:
            for one in silent:
                one.abort()

        return lambda: self._proxy.ask(abort)

    def hold_commit(self, *, of_records: bool = False, for_good: bool = False) -> Hold:
        """Hold the next commit; see `Hold`."""
        hold = Hold(of_records=of_records, for_good=for_good)
        self._proxy.ask(lambda: self._holds.append(hold))
        return hold

    def mend(self) -> None:
        """End every fault, free what is held."""
        self.down, self.delay_s, self.deaf = False, 0.0, frozenset()
        self.delays.clear()

        def mend() -> None:
            for hold in self._holds:
                hold.free.set()
            self._holds.clear()
            for one in tuple(self._connections):
                if one.silent:
                    one.abort()

        self._proxy.ask(mend)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one client's connection until either side, or the proxy, ends it."""
        mine = asyncio.current_task()
        assert mine is not None
        self._proxy.serving.add(mine)
        try:
            with suppress(asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            writer.transport.abort()
            self._proxy.serving.discard(mine)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.down:
            return
        try:
            broker_reader, broker_writer = await asyncio.open_connection(
                wire.LOOPBACK, self._proxy.broker_port
            )
        except OSError:
            return
        one = _Connection(client=writer, broker=broker_writer)
        self._connections.add(one)
        asking = asyncio.ensure_future(self._carry(reader, broker_writer, lambda f: self._ask(one, f), one))
        answering = asyncio.ensure_future(
            self._carry(broker_reader, writer, lambda f: self._answer(one, f), one)
        )
        try:
            await asyncio.wait((asking, answering), return_when=asyncio.FIRST_COMPLETED)
            if one.hold is not None and not one.hold.answered.is_set() and not answering.done():
                # The client has gone; the request that it had sent arrives now.
                await asyncio.wait((answering,), timeout=ASK_S)
        finally:
            self._connections.discard(one)
            one.abort()
            for task in (asking, answering):
                task.cancel()
            await asyncio.gather(asking, answering, return_exceptions=True)

    async def _carry(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        look: Callable[[bytes], Awaitable[bytes]],
        one: _Connection,
    ) -> None:
        """Carry frames one way. A queue in between, so that a delay is on each frame and not on the line as a whole."""
        queue: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue(QUEUE_FRAMES)
        clock = asyncio.get_running_loop().time

        async def read() -> None:
            try:
                while True:
                    size = struct.unpack(">i", await source.readexactly(4))[0]
                    if not 0 < size <= FRAME_BYTES:
                        return
                    await queue.put((clock() + self.delay_s, await source.readexactly(size)))
            except (asyncio.IncompleteReadError, OSError):
                return
            finally:
                await queue.put(None)

        reading = asyncio.ensure_future(read())
        try:
            while (item := await queue.get()) is not None:
                due_s, frame = item
                if due_s > clock():
                    await _held_up(due_s - clock())
                passed = await look(frame)
                if one.silent:
                    continue
                with suppress(OSError):
                    target.write(struct.pack(">i", len(passed)) + passed)
                    await target.drain()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _ask(self, one: _Connection, frame: bytes) -> bytes:
        """Look at a request and let it wait as long as was asked for."""
        request = wire.request_of(frame)
        self.asked[request.key] += 1
        self.watch(request)
        for (end, key), delay_s in tuple(self.delays.items()):
            if request.key == key and request.client.endswith(end):
                await _held_up(delay_s)
        if request.key in wire.ADDRESSING | wire.BEGINNING | self.deaf:
            one.asked[request.correlation] = request
        hold = next((each for each in self._holds if each.takes(request, frame)), None)
        if hold is not None:
            one.hold, one.held_correlation = hold, request.correlation
            one.asked[request.correlation] = request
            hold.client = request.client
            hold.held.set()
            await hold.free.wait()
            hold.freed.set()
        return frame

    async def _answer(self, one: _Connection, frame: bytes) -> bytes:
        """Look at an answer: readdress it, note what was said to a held request, free one when the next has begun."""
        request = one.asked.pop(wire.correlation_of(frame), None)
        if request is None:
            return frame
        if request.key in self.deaf:
            self.unheard += 1
            one.abort()
            return frame
        if request.key in wire.ADDRESSING:
            return wire.readdress(frame, self._proxy.broker_port, self.port)
        if request.key in wire.BEGINNING:
            for hold in tuple(self._holds):
                if hold.client == request.client and one.hold is not hold and not hold.for_good:
                    hold.free.set()
                    self._holds.remove(hold)
        elif one.hold is not None and request.correlation == one.held_correlation:
            one.hold.error = wire.end_txn_error(frame, request.version)
            one.hold.answered.set()
        return frame


class Proxy:
    """All links to one broker: `with Proxy(port) as proxy: proxy.link("router").address`."""

    def __init__(self, broker_port: int) -> None:
        """Nothing is served yet."""
        self.broker_port = broker_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._servers: list[asyncio.Server] = []
        #: Tasks of `Link.serve` that have begun.
        self.serving: set[asyncio.Task[None]] = set()
        self.links: dict[str, Link] = {}

    def link(self, name: str) -> Link:
        """Open another way to the broker."""
        link = Link(self, name)

        async def serve() -> asyncio.Server:
            return await asyncio.start_server(link.serve, wire.LOOPBACK, 0)

        server = self._run(serve())
        link.port = server.sockets[0].getsockname()[1]
        self._servers.append(server)
        self.links[name] = link
        return link

    def ask(self, function: Callable[[], T]) -> T:
        """Call a function in the proxy's thread and return what it returns."""

        async def call() -> T:
            return function()

        return self._run(call())

    def __enter__(self) -> Proxy:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End every connection and the thread."""
        for link in self.links.values():
            link.mend()
            link.cut(down=True)
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(ASK_S)
        self._loop.close()

    async def _close(self) -> None:
        # Asyncio leaves a connection's socket open when its server is closed, or its task cancelled, while it is accepted: no more
        # are accepted, those that were begin to serve and end, since all links are down, and only then the servers are closed.
        for server in self._servers:
            for listening in server.sockets:
                self._loop.remove_reader(listening.fileno())
        for task in self.serving:
            task.cancel()
        while left := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(left)
        for server in self._servers:
            server.close()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(ASK_S)


async def _held_up(seconds: float) -> None:
    """Return when the way has taken so long: the delay is the fault, nobody waits for anything."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    await over.wait()
