"""A thread that calls what blocks, one call after the other, for an event loop that waits for the answers.

It does what `ThreadPoolExecutor(1)` with `run_in_executor` does, at a third of the processor time: a worker makes two such
calls in each transaction, and most of their cost was locks and futures of threads that nobody here waits on.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

#: Calls that may wait for their turn: whoever owns a thread awaits each answer, a close comes beside it.
MOST = 8

_T = TypeVar("_T")


class _Call(NamedTuple):
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    timer: asyncio.TimerHandle | None
    function: Callable[[], Any]


class _Asked:
    """What waits; the lock is open when there may be something. A queue of the standard library takes three locks more."""

    def __init__(self) -> None:
        self.calls: deque[_Call | None] = deque()
        self.some = threading.Lock()
        self.some.acquire()

    def put(self, call: _Call | None) -> None:
        self.calls.append(call)
        with suppress(RuntimeError):  # open already: the thread has not looked yet
            self.some.release()


class OwnThread:
    """Started by the first call. A daemon: a client's call that never returns must not keep the process alive."""

    def __init__(self, name: str) -> None:
        """Make nothing yet; `name` is the thread's."""
        self._asked = _Asked()
        self._name = name
        self._thread: threading.Thread | None = None
        self._closed = False
        weakref.finalize(self, self._asked.put, None).atexit = False

    def call(self, function: Callable[[], _T], within_s: float | None = None) -> asyncio.Future[_T]:
        """Return a future of what `function` returns or raises; `TimeoutError` when that is not known within `within_s`.

        One that is cancelled before its turn is not called. A call that is late goes on, and so do those behind it.
        """
        if self._closed or len(self._asked.calls) >= MOST:
            raise RuntimeError(f"{self._name} takes no further calls")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_T] = loop.create_future()
        timer = None if within_s is None else loop.call_later(within_s, _late, future)
        self._asked.put(_Call(loop, future, timer, function))
        if self._thread is None:
            self._thread = threading.Thread(target=_serve, args=(self._asked,), name=self._name, daemon=True)
            self._thread.start()
        return future

    def close(self) -> None:
        """End when the calls that were asked for have returned; does not wait for it, and takes no further ones."""
        self._closed = True
        self._asked.put(None)


def _serve(asked: _Asked) -> None:
    while True:
        asked.some.acquire()
        while asked.calls:
            call = asked.calls.popleft()
            if call is None:
                return
            _answer(call)
            del call  # a batch must not live until the next call


def _answer(call: _Call) -> None:
    result, error = None, None
    if not call.future.cancelled():
        try:
            result = call.function()
        except BaseException as raised:  # noqa: BLE001  whoever waits is told, whatever it is
            error = raised
    with suppress(RuntimeError):  # the event loop has ended, and with it whoever waited
        call.loop.call_soon_threadsafe(_tell, call, result, error)


def _tell(call: _Call, result: Any, error: BaseException | None) -> None:
    if call.timer is not None:
        call.timer.cancel()
    if call.future.done():
        return
    if error is None:
        call.future.set_result(result)
    else:
        call.future.set_exception(error)


def _late(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_exception(TimeoutError())
