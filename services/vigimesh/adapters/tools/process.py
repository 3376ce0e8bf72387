"""A process that runs added tools, and the calls to it: one that hangs is killed, one that dies is started again.

Frames go over its standard streams: four bytes of length, then MessagePack. The first is its configuration, and its first answer
`READY`; a call is `{"id", "tool", "body"}`, its answer `{"id", "by", "findings"}` or `{"id", "by", "failed"}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from vigimesh.clock import Clock, Deadline

#: Bytes of an answer: four findings of 12 quotes of 200 characters, in UTF-8, several times over.
MAX_ANSWER_BYTES = 256 * 1024
#: Seconds that a process has to end by itself when its input is closed, before it is killed.
END_S = 2.0
#: Seconds that a process has until it is ready, on top of what its calls have: an interpreter, and a server.
START_S = 60.0
#: Bytes of the length in front of a frame.
LENGTH_BYTES = 4
#: What a process says once it takes calls; calls are numbered from 1.
READY: Mapping[str, Any] = {"id": 0}

_pack, _unpack = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder()


class Ended(Exception):
    """The process ended, or spoke out of turn, before a call was answered; the message says how."""


@dataclass(slots=True)
class _Running:
    """A process that runs: its calls without an answer, the oldest first, and what reads the answers."""

    process: asyncio.subprocess.Process
    began_s: float
    waiting: dict[int, asyncio.Future[Any]] = field(default_factory=dict)
    answered: int = 0
    #: Whether it takes calls, or has ended.
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    #: How it ended; empty while it runs.
    how: str = ""

    def kill_if_stuck(self, now_s: float) -> None:
        """Kill the process, unless it may still be starting."""
        if self.ready.is_set() or now_s - self.began_s > START_S:
            _kill(self.process)


@dataclass(slots=True)
class ToolProcess:
    """Runs `command` from the first `start` or `ask` on, in their event loop, with `environ` and the configuration `first`."""

    command: Sequence[str]
    environ: Mapping[str, str]
    first: Any = None
    _running: _Running | None = None
    #: What reads the answers of each process that has not ended.
    _readers: set[asyncio.Task[None]] = field(default_factory=set)
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def ask(self, tool: str, body: Mapping[str, Any], deadline: Deadline) -> Mapping[str, Any]:
        """Return the answer to a call, made again when the process died of another one.

        Raises `TimeoutError` when the deadline comes first, `Ended` when the process died of this one, `OSError` when it
        cannot be started. A process that answered nobody all that time is killed, once it has had the time to start.
        """
        before = (None, 0) if self._running is None else (self._running, self._running.answered)
        try:
            async with asyncio.timeout(deadline.left_s()):
                while True:
                    answer = await self._asked(
                        await self._started(deadline.clock), {"tool": tool, "body": body}
                    )
                    if answer is not None:
                        return answer
        except TimeoutError:
            now = self._running
            if now is not None and now.answered == (before[1] if now is before[0] else 0):
                now.kill_if_stuck(deadline.clock.monotonic_s())
            raise

    async def start(self, clock: Clock) -> None:
        """Start the process, and return when it takes calls, has had its `START_S` or has ended; one that cannot be started says so when it is asked."""
        with contextlib.suppress(OSError, TimeoutError):
            running = await self._started(clock)
            async with asyncio.timeout(running.began_s + START_S - clock.monotonic_s()):
                await running.ready.wait()

    async def close(self) -> None:
        """End the process; calls under way are answered as if it had died."""
        self._running = None
        if self._readers:
            for reader in self._readers:
                reader.cancel()
            await asyncio.wait(tuple(self._readers))

    async def _asked(self, running: _Running, call: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the answer to a call, or `None` when it must be made again."""
        if running.how:
            raise Ended(running.how)
        number = next(self._ids)
        future = running.waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await _send(running, {"id": number, **call})
            answer: Mapping[str, Any] | None = await future
            return answer
        finally:
            running.waiting.pop(number, None)

    async def _started(self, clock: Clock) -> _Running:
        async with self._starting:
            if self._running is not None:
                return self._running
            process = await asyncio.create_subprocess_exec(
                *self.command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=dict(self.environ)
            )  # fmt: skip
            running = self._running = _Running(process=process, began_s=clock.monotonic_s())
            reader = asyncio.create_task(self._read(running))
            self._readers.add(reader)
            reader.add_done_callback(self._readers.discard)
            await _send(running, self.first)
            return running

    async def _read(self, running: _Running) -> None:
        """Hand answers to their calls until the process ends, or says that what it speaks with is away.

        In the end the oldest call without an answer is told how, and the others are made again: by the next process.
        """
        how, away = "", False
        try:
            while not away:
                answer = await _frame(running)
                running.ready.set()
                if answer == READY:
                    continue
                running.answered += 1
                away = bool(answer.get("away"))
                future = running.waiting.pop(answer["id"], None)
                if future is not None and not future.done():
                    future.set_result(answer)
        except asyncio.IncompleteReadError:
            pass
        except (ValueError, KeyError, AttributeError, msgspec.DecodeError) as error:
            how = f"it spoke out of turn: {type(error).__name__}"
        finally:
            if self._running is running:
                self._running = None
            await _end(running.process)
            running.how = how or _told(running.process.returncode)
            running.ready.set()
            _tell(running, at_fault=not away)


async def _send(running: _Running, value: Any) -> None:
    data = _pack.encode(value)
    assert running.process.stdin is not None
    with contextlib.suppress(ConnectionError):  # the reader sees that it has ended
        running.process.stdin.write(len(data).to_bytes(LENGTH_BYTES, "big") + data)
        await running.process.stdin.drain()


async def _frame(running: _Running) -> Any:
    """Return the next frame; raises `ValueError` for one that is too long."""
    assert running.process.stdout is not None
    length = int.from_bytes(await running.process.stdout.readexactly(LENGTH_BYTES), "big")
    if length > MAX_ANSWER_BYTES:
        raise ValueError(length)
    return _unpack.decode(await running.process.stdout.readexactly(length))


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close the input of a process, wait for its end, and kill it when it does not end."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), END_S)
    except (TimeoutError, asyncio.CancelledError):  # cancelled: the loop ends, and the process with it
        _kill(process)
        await process.wait()


def _told(status: int | None) -> str:
    """Return in words how a process ended: by the timer that it sets for each call, or else."""
    return (
        "it took too long: its process ended by its timer"
        if status == -signal.SIGALRM
        else f"its process ended with {status}"
    )


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def _tell(running: _Running, *, at_fault: bool) -> None:
    """Have the calls without an answer made again; where one of them was at fault, the oldest is told how it ended."""
    waiting = [future for future in running.waiting.values() if not future.done()]
    for place, future in enumerate(waiting):
        if place == 0 and at_fault:
            future.set_exception(Ended(running.how))
        else:
            future.set_result(None)
