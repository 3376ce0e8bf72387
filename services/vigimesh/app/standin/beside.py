"""The stand-in beside a run: served from a thread of this process, for as long as the run lasts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from vigimesh.app.standin.chat import StandIn
from vigimesh.app.standin.server import Server

#: Seconds for the thread to listen, and to hang up: it only opens and closes sockets.
_BOUND_S = 10.0


@contextmanager
def serving(standin: StandIn) -> Iterator[str]:
    """Serve while the block runs; yields the base URL. Raises what `Server` raises."""
    listening: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        async with Server(standin) as server:
            listening.set_result((server.base_url, asyncio.get_running_loop(), stop))
            await stop.wait()

    def work() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if listening.done():
                raise
            listening.set_exception(error)

    thread = threading.Thread(target=work, name="stand-in", daemon=True)
    thread.start()
    base_url, loop, stop = listening.result(_BOUND_S)
    try:
        yield base_url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(_BOUND_S)
