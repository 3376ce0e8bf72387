"""Sends the budget's Lua scripts to Valkey or Redis: several in one round trip, again where their answer was lost."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as TooSlow

from vigimesh.errors import Broken, Transient

#: Seconds for one answer: a thousand times what a script takes; then the store counts as away.
ANSWER_S = 2.0
#: Seconds to connect: one lost packet and its repetition.
CONNECT_S = 2.0
#: Times an operation is sent again whose answer was lost: once, since a restart closes every connection.
RETRIES = 1

#: Seconds to wait for one of the connections: well within the lease of a call. A process with more to ask than they carry is busy;
#: its store is not away, and need not be shut for everybody.
LEND_S = 15.0
#: Connections of one process: at a millisecond an answer they carry thousands of calls a second; more only cost memory.
CONNECTIONS = 16

#: A script and what it is given.
Order = tuple[str, Sequence[str]]
#: What a script answers: its word, the call's id, and what belongs to the word.
Reply = list[Any]


@cache
def script(name: str) -> str:
    """Return a script with the common part in front."""
    folder = files("vigimesh.adapters") / "lua"
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


class Scripts:
    """Runs scripts against one state key."""

    __slots__ = ("_client", "key")

    def __init__(self, client: Redis, key: str) -> None:
        self._client = client
        self.key = key

    async def run(self, orders: Sequence[Order]) -> list[Reply]:
        """Return what each script answers, in order, sent together; each is atomic, all of them are not.

        Raises `Transient` VM-1910 when the store is away, slow, loading or full: what was sent may have been done.
        Raises `Broken` VM-1911 when an answer is not that of its call.
        """
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
        return [_checked(reply) for reply in replies]

    async def one(self, name: str, *arguments: str) -> Reply:
        """Return what one script answers; raises as `run` does."""
        return (await self.run([(name, arguments)]))[0]

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
        await self._client.aclose()

    async def _send(self, orders: Sequence[Order]) -> list[Any]:
        if len(orders) == 1:
            name, arguments = orders[0]
            try:
                return [await self._client.evalsha(sha(name), 1, self.key, *arguments)]
            except NoScriptError as unknown:
                return [unknown]
        pipe = self._client.pipeline(transaction=False)
        for name, arguments in orders:
            pipe.evalsha(sha(name), 1, self.key, *arguments)
        return await pipe.execute(raise_on_error=False)


def away(error: BaseException) -> Transient:
    """Return the error of a store that does not answer as it should."""
    return Transient(
        "VM-1910", what=f"Valkey or Redis: {type(error).__name__}: {str(error)[:200]}", where="budget",
        todo="start it, or see why it refuses; the same may then be asked again",
    )  # fmt: skip


def _checked(reply: Any) -> Reply:
    if isinstance(reply, Exception):
        raise away(reply) from reply
    if not isinstance(reply, list) or len(reply) < 2:
        raise foreign(reply)
    return reply


def foreign(reply: object) -> Broken:
    """Return the error of an answer that belongs to another call."""
    return Broken(
        "VM-1911", what=f"the answer {str(reply)[:100]!r} is not that of its call", where="budget",
        todo="restart this process; look for a proxy between it and the store",
    )  # fmt: skip
