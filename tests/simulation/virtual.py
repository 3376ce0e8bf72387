"""Virtual time: an event loop that never sleeps, and processes on it that can be frozen or killed at any await.

Nothing here depends on the machine: callbacks run in the order they were asked for, time jumps to the next timer, and
tasks and futures are numbered, so that sets of them are walked in the same order every time.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
#: Callbacks that may run while time stands still: beyond, something goes round without waiting.
BUSY = 200_000
#: Closings of a coroutine that was killed, each of which ends one `finally` that waits.
CLOSES = 10


class Stalled(AssertionError):
    """Nothing is left to wait for, or something never waits."""


@dataclass(eq=False)
class Process:
    """What runs in its context can be stopped as a whole, as a signal stops a process."""

    name: str
    frozen: bool = False
    dead: bool = False
    #: Seconds that its time of day is off.
    skew_s: float = 0.0
    #: Callbacks that it has run; and what to do when it has run so many.
    turns: int = 0
    at_turn: dict[int, Callable[[], None]] = field(default_factory=dict)
    kept: list[asyncio.Handle] = field(default_factory=list)


#: The process whose code runs now; `None` outside any, for what only watches.
CURRENT: ContextVar[Process | None] = ContextVar("CURRENT", default=None)


class _Task(asyncio.Task[T]):
    def __init__(self, coroutine: Coroutine[Any, Any, T], number: int, **more: Any) -> None:
        self._number = number
        super().__init__(coroutine, **more)

    def __hash__(self) -> int:
        return self._number


class _Future(asyncio.Future[Any]):
    def __init__(self, number: int, **more: Any) -> None:
        self._number = number
        super().__init__(**more)

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(asyncio.BaseEventLoop):
    """As much of an event loop as code without I/O needs."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._queue: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._number = 0
        self._tasks: list[asyncio.Task[Any]] = []
        #: What nobody caught; a test looks at it.
        self.uncaught: list[str] = []

    def run_until_complete(self, future: Any) -> Any:
        task: asyncio.Task[Any] = self.create_task(future)
        busy = 0
        with self._in_charge():
            while not task.done():
                before_s = self._now_s
                self._turn()
                busy = busy + 1 if self._now_s == before_s else 0
                if busy > BUSY:
                    raise Stalled(f"at {self._now_s:g} s something goes round without waiting")
        return task.result()

    @contextlib.contextmanager
    def _in_charge(self) -> Iterator[None]:
        """Be the running loop."""
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    def _turn(self) -> None:
        if not self._queue:
            while self._timers and self._timers[0][2].cancelled():
                heapq.heappop(self._timers)
            if not self._timers:
                raise Stalled(f"at {self._now_s:g} s nothing is left to wait for")
            self._now_s = max(self._now_s, self._timers[0][0])
            while self._timers and self._timers[0][0] <= self._now_s:
                self._queue.append(heapq.heappop(self._timers)[2])
        handle = self._queue.popleft()
        if handle.cancelled():
            return
        process: Process | None = handle._context.get(CURRENT)  # type: ignore[attr-defined]  # no public name for it
        if process is not None:
            if process.dead:
                return
            if not process.frozen:
                process.turns += 1
                if act := process.at_turn.pop(process.turns, None):
                    act()
            if process.frozen or process.dead:
                process.kept.append(handle)
                return
        handle._run()

    def thaw(self, process: Process) -> None:
        """Let a frozen process go on where it stopped."""
        process.frozen = False
        self._queue.extend(process.kept)
        process.kept.clear()

    def bury(self) -> None:
        """Take apart what never ended, after the run."""
        # In charge, since what is closed may still gather its tasks: without a running loop asyncio makes one for that, which
        # nobody closes, and whose end is then told in another test.
        with self._in_charge():
            for task in self._tasks:
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]  # it was killed: nobody waits for it
                    coro: Any = task.get_coro()
                    for _ in range(CLOSES):
                        try:
                            coro.close()
                        except RuntimeError:
                            continue  # it waits in a `finally`: again, or the collector says so in another test
                        except BaseException:  # noqa: BLE001  what it was in the midst of is of no interest any more
                            break
                        break
        self.close()

    # What asyncio asks of a loop.

    def time(self) -> float:
        return self._now_s

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._queue.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, self._next(), timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Nothing: a cancelled timer is passed over when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return _Future(self._next(), loop=self)

    def create_task(self, coro: Any, **how: Any) -> Any:
        number = self._next()
        name = str(how.pop("name", None) or f"task {number}")
        task: _Task[Any] = _Task(coro, number, loop=self, name=name, **how)
        self._tasks.append(task)
        return task

    def run_in_executor(
        self, executor: Any, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  as an executor hands it over
            future.set_exception(error)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.uncaught.append(f"{context.get('message')}: {context.get('exception')!r}")

    def get_debug(self) -> bool:
        return False

    def _next(self) -> int:
        self._number += 1
        return self._number


@dataclass(frozen=True, eq=False)
class VirtualClock:
    """The loop's time; of a process, its time of day may be off and may jump."""

    loop: VirtualLoop
    process: Process | None = None
    start: datetime = EPOCH

    def now(self) -> datetime:
        skew_s = self.process.skew_s if self.process else 0.0
        return self.start + timedelta(seconds=self.loop.time() + skew_s)

    def monotonic_s(self) -> float:
        return self.loop.time()


async def later(seconds: float) -> None:
    """Let virtual time pass: nothing sleeps, and others run meanwhile."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    timer = loop.call_later(seconds, future.set_result, None)
    try:
        await future
    finally:
        timer.cancel()
