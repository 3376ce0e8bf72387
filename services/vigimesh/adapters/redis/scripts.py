"""Sends the budget's Lua scripts to Valkey or Redis: several in one round trip, again where their answer was lost.

One trip is under way at a time. What is asked meanwhile goes together with the next: the client's work for a trip costs the event
loop several times what a script in it does, and a busy process asks for much at once.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as TooSlow

from vigimesh.errors import Broken, Transient

#: Seconds for one trip, connecting anew included where it must: a thousand times what a script takes; then the store counts as away.
ANSWER_S = 2.0
#: Seconds to connect: one lost packet and its repetition.
CONNECT_S = 2.0
#: Times an operation is sent again whose answer was lost: once, since a restart closes every connection.
RETRIES = 1

#: Seconds to wait for one of the connections: well within the lease of a call. A process that is busy has a store that is not away, and
#: that need not be shut for everybody.
LEND_S = 15.0
#: Connections of one process: one carries all trips, others clear up after a rebuild or ask who the server is.
CONNECTIONS = 4

#: Orders of one round trip at most, unless one asker has more: some milliseconds of the server, in which it serves nobody else.
TRIP_ORDERS = 64

#: A script and what it is given.
Order = tuple[str, Sequence[str]]
#: What a script answers: its word, the call's id, and what belongs to the word.
Reply = list[Any]


@cache
def script(name: str) -> str:
    """Return a script with the common part in front."""
    folder = files("vigimesh.adapters.redis") / "lua"
    return "".join((folder / f"budget_{part}.lua").read_text(encoding="utf-8") for part in ("common", name))


@cache
def sha(name: str) -> str:
    """Return what the server knows the script by once it is loaded."""
    return hashlib.sha1(script(name).encode(), usedforsecurity=False).hexdigest()


def client_of(url: str) -> Redis:
    """Return a client that gives up on an answer after `ANSWER_S`, on a connection after `LEND_S`; closed by its owner."""
    # Without introducing itself and in the older protocol a connection costs a seventh (3.3 ms and 0.5 ms measured):
    # the client reads its own package's metadata anew for each.
    pool = BlockingConnectionPool.from_url(
        url, decode_responses=True, socket_timeout=ANSWER_S, socket_connect_timeout=CONNECT_S,
        retry=Retry(ExponentialBackoff(cap=0.05, base=0.005), RETRIES), retry_on_error=[Unreachable, TooSlow],
        max_connections=CONNECTIONS, timeout=LEND_S, protocol=2, driver_info=None,
    )  # fmt: skip
    return Redis.from_pool(pool)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Orders that wait for a trip, and what their asker waits for."""

    orders: Sequence[Order]
    answered: asyncio.Future[list[Any]]


class Scripts:
    """Runs scripts against one state key; belongs to one event loop at a time."""

    __slots__ = ("_carrier", "_client", "_line", "_under_way", "_waiting", "key")

    def __init__(self, client: Redis, key: str) -> None:
        self._client = client
        self.key = key
        #: The connection of all trips, once there was one.
        self._line: AbstractConnection | None = None
        self._under_way = False
        self._waiting: deque[_Waiting] = deque()
        #: Held, since the event loop holds its tasks weakly.
        self._carrier: asyncio.Task[None] | None = None

    async def run(self, orders: Sequence[Order], *, at_once: bool = True) -> list[Reply]:
        """Return what each script answers, in order, sent together; each is atomic, all of them are not.

        What need not go at once goes a turn of the event loop later, ahead of what is asked meanwhile and together with it.

        Raises `Transient` VM-1910 when the store is away, slow, loading or full: what was sent may have been done, also where the
        asker is cancelled. Raises `Broken` VM-1911 when an answer is not that of its call.
        """
        if self._under_way or not at_once:
            one = _Waiting(orders, asyncio.get_running_loop().create_future())
            self._waiting.append(one)
            if not self._under_way:
                self._carry_on()
            return _checked(await one.answered)
        # Nobody else is asking: these go at once, and whoever comes meanwhile is carried after them.
        self._under_way = True
        try:
            replies = await self._trip(orders)
        except Transient as error:
            self._fail(error)
            raise
        finally:
            self._under_way = False
            if any(not one.answered.done() for one in self._waiting):
                self._carry_on()
        return _checked(replies)

    def _carry_on(self) -> None:
        """Let what waits be carried, from the next turn on."""
        self._under_way = True
        self._carrier = asyncio.ensure_future(self._carry())

    async def _carry(self) -> None:
        """Send what waits, trip by trip, until nothing does."""
        trip: list[_Waiting] = []
        try:
            while trip := self._next_trip():
                try:
                    replies = await self._trip([order for one in trip for order in one.orders])
                except Transient as error:
                    self._fail(error, trip)
                    continue
                at = 0
                for one in trip:
                    if not one.answered.done():
                        one.answered.set_result(replies[at : at + len(one.orders)])
                    at += len(one.orders)
        except asyncio.CancelledError as cut_off:
            self._fail(away(cut_off), trip)
            raise
        except Exception as error:  # noqa: BLE001  a defect, told to whoever waits: they were not cancelled, and none may wait for ever
            self._fail(error, trip)
        finally:
            self._under_way = False

    def _next_trip(self) -> list[_Waiting]:
        """Return who goes next, the first come first; whoever was cancelled meanwhile does not go."""
        trip: list[_Waiting] = []
        count = 0
        while self._waiting and (not trip or count + len(self._waiting[0].orders) <= TRIP_ORDERS):
            one = self._waiting.popleft()
            if not one.answered.done():
                trip.append(one)
                count += len(one.orders)
        return trip

    def _fail(self, error: Exception, trip: Sequence[_Waiting] = ()) -> None:
        """Tell those of a trip and all who wait why there is no answer: one after another they would wait it out anew."""
        for one in (*trip, *self._waiting):
            if not one.answered.done():
                one.answered.set_exception(error)
        self._waiting.clear()

    async def _trip(self, orders: Sequence[Order]) -> list[Any]:
        """Return the raw answers of one round trip, refusals among them. Raises `Transient` VM-1910 when the store is away."""
        try:
            replies = await self._send(orders)
            unknown = [at for at, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
            if unknown:
                # A server that was started again has forgotten them; those that ran, ran.
                for name in {orders[at][0] for at in unknown}:
                    await self._client.script_load(script(name))
                again = await self._send([orders[at] for at in unknown])
                for at, reply in zip(unknown, again, strict=True):
                    replies[at] = reply
        except (RedisError, OSError) as error:
            raise away(error) from error
        return replies

    async def one(self, name: str, *arguments: str, at_once: bool = True) -> Reply:
        """Return what one script answers; goes and raises as `run` does."""
        return (await self.run([(name, arguments)], at_once=at_once))[0]

    async def delete(self, generation: str) -> None:
        """Delete the keys of a generation that is not in force and never will be; raises as `run` does."""
        # The tag's braces mean nothing to a pattern; brackets, stars and question marks are not in a key of ours.
        try:
            async for key in self._client.scan_iter(match=f"{self.key}:{generation}:*", count=1_000):
                await self._client.unlink(key)
        except (RedisError, OSError) as error:
            raise away(error) from error

    async def run_id(self) -> str:
        """Return the server's name for its process; raises as `run` does."""
        try:
            return str((await self._client.info("server"))["run_id"])
        except (RedisError, OSError) as error:
            raise away(error) from error

    async def close(self) -> None:
        """Close the connections."""
        if self._line is not None:
            line, self._line = self._line, None
            await self._client.connection_pool.release(line)
        await self._client.aclose()

    async def _send(self, orders: Sequence[Order]) -> list[Any]:
        """Return what each order is answered, refusals among them, sent again once where the connection failed.

        On a connection that is kept: there is one trip at a time, and half of the client's work for a command is lending one.
        """
        pool = self._client.connection_pool
        if self._line is None:
            self._line = await pool.get_connection()  # type: ignore[no-untyped-call]  # redis has no types for it
            # One time-out holds for a whole trip: the client's own costs a task and a turn of the loop for each that is sent.
            self._line.socket_timeout = None
        line, packed = self._line, packed_orders(self.key, orders)

        async def there_and_back() -> list[Any]:
            try:
                async with asyncio.timeout(ANSWER_S):
                    await line.send_packed_command(packed, check_health=False)
                    return [await _answer(line) for _ in orders]
            except TimeoutError as late:
                raise TooSlow(f"no answer within {ANSWER_S:g} s") from late

        try:
            return await line.retry.call_with_retry(there_and_back, lambda error: line.disconnect())
        except BaseException:
            # An answer that is still on its way must meet no other question.
            self._line = None
            await line.disconnect(nowait=True)
            line.socket_timeout = ANSWER_S
            await pool.release(line)
            raise


def packed_orders(key: str, orders: Sequence[Order]) -> bytes:
    """Return orders as they go over the wire: what the client makes of them too, in a third of its time."""
    packed = []
    for name, arguments in orders:
        words = (b"EVALSHA", sha(name).encode(), b"1", key.encode(), *(word.encode() for word in arguments))
        packed.append(b"*%d\r\n" % len(words))
        packed += [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    return b"".join(packed)


async def _answer(line: AbstractConnection) -> Any:
    try:
        return await line.read_response()
    except ResponseError as refused:
        return refused


def away(error: BaseException) -> Transient:
    """Return the error of a store that does not answer as it should."""
    return Transient(
        "VM-1910", what=f"Valkey or Redis: {type(error).__name__}: {str(error)[:200]}", where="budget",
        todo="start it, or see why it refuses; the same may then be asked again",
    )  # fmt: skip


def _checked(replies: Sequence[Any]) -> list[Reply]:
    for reply in replies:
        if isinstance(reply, Exception):
            raise away(reply) from reply
        if not isinstance(reply, list) or len(reply) < 2:
            raise foreign(reply)
    return list(replies)


def foreign(reply: object) -> Broken:
    """Return the error of an answer that belongs to another call."""
    return Broken(
        "VM-1911", what=f"the answer {str(reply)[:100]!r} is not that of its call", where="budget",
        todo="restart this process; look for a proxy between it and the store",
    )  # fmt: skip
