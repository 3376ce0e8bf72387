"""Answers kept in Valkey or Redis (6.2 commands), shared by all retrievers: one round trip for a whole batch of questions.

A key begins with its scope's digest, so that a look-up can reach no other product or version, and bears the absolute instant at which it
ends. How many keys there are at most is held by an index ordered by that instant: what ends first goes first. It may share a server with the
budget, which must run with `noeviction`: the server evicts nothing, and what is kept here stays within `KEPT_MAX` x `ENTRY_BYTES`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from vigimesh.domain.knowledge.answering import Answer
from vigimesh.domain.knowledge.freshness import Cited, Entry
from vigimesh.errors import Transient
from vigimesh.ports.knowledge import Keep, Place

#: What all keys begin with, and their hash tag; the number is that of the form in which answers are written.
KEY = "{vigimesh.answers}:1"
#: Keys kept, answers and signatures together: the most common questions of a year, four times over.
KEPT_MAX = 40_000
#: Longest stored answer: three passages of 1,200 characters of 4 bytes each, with their places. A longer one is not kept.
ENTRY_BYTES = 16_384
#: Keys of one command: 100 answers are 0.4 MB, a fraction of a millisecond in which nobody else is served.
COMMAND_KEYS = 100
#: Milliseconds a lease lasts: longer than a search of a full batch; after a crash nobody waits for more than one wait anyway.
LEASE_MS = 2_000
#: Seconds for one answer: a search takes less, so that waiting longer would save nothing.
ANSWER_S = 0.25
#: Connections of one process: one for each lane, and one for the rest.
CONNECTIONS = 4

_EPOCH0 = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class RedisAnswers:
    """`ports.knowledge.Answers` on a server that processes share."""

    def __init__(self, client: Redis, key: str = KEY, most: int = KEPT_MAX) -> None:
        """Use `client`, which does not decode answers; at most `most` keys are kept."""
        self._client, self._key, self._most = client, key, most
        self._owner = uuid4().hex

    @classmethod
    def open(cls, url: str, key: str = KEY) -> RedisAnswers:
        """Return a store on the server at `url`; nothing is sent yet."""
        pool = BlockingConnectionPool.from_url(
            url, socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S, retry=Retry(NoBackoff(), 0), retry_on_error=[],
            max_connections=CONNECTIONS, timeout=ANSWER_S, protocol=2, driver_info=None,
        )  # fmt: skip
        return cls(Redis.from_pool(pool), key)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def read(self, places: Sequence[Place]) -> Sequence[Answer | None]:
        """Return what is kept under each key; what cannot be read counts as not there."""
        return [_answer(value) for value in self._values([self._name(place) for place in places])]

    def like(self, places: Sequence[Place]) -> Sequence[Answer | None]:
        """Return what is kept under each signature: two round trips, of which the second asks for what was found only."""
        signed = self._values([self._signed(place) for place in places])
        targets = [
            f"{self._key}:{scope.entry_key(key.decode('ascii', 'replace'))}"
            for (scope, _), key in zip(places, signed, strict=True)
            if key is not None
        ]
        found = iter(self._values(targets))
        return [None if key is None else _answer(next(found)) for key in signed]

    def lease(self, places: Sequence[Place]) -> Sequence[bool]:
        """Take each key for `LEASE_MS`; tell which were free."""
        commands = [
            ("SET", f"{self._name(place)}:lease", self._owner, "PX", LEASE_MS, "NX") for place in places
        ]
        return [bool(reply) for reply in self._sent(commands)]

    def write(self, kept: Sequence[Keep]) -> None:
        """Keep answers, each until its own instant; then let go of what ends first, as far as there are too many."""
        commands: list[tuple[Any, ...]] = []
        for name, value, at_ms in self._pairs(kept):
            commands.append(("SET", name, value, "PXAT", at_ms))
            commands.append(("ZADD", f"{self._key}:index", at_ms, name))
        if not commands:
            return
        *_, held = self._sent([*commands, ("ZCARD", f"{self._key}:index")])
        if held > self._most:
            (popped,) = self._sent([("ZPOPMIN", f"{self._key}:index", held - self._most)])
            # Pairs of name and score, or both in turn, by the protocol that is spoken; names are the bytes.
            names = [one[0] if isinstance(one, list) else one for one in popped]
            names = [
                name for name in names if isinstance(name, bytes) and name.startswith(self._key.encode())
            ]
            self._sent(
                [("UNLINK", *names[at : at + COMMAND_KEYS]) for at in range(0, len(names), COMMAND_KEYS)]
            )

    def citing(self, document_id: str, version: str) -> Sequence[Entry]:
        """Return the entries that cite this version of a document; reads all that are kept, in pieces."""
        (names,) = self._sent([("ZRANGE", f"{self._key}:index", 0, -1)])
        source = Cited(document_id=document_id, version=version)
        answers = (_answer(value) for value in self._values([name.decode() for name in names]))
        return [answer.entry for answer in answers if answer is not None and source in answer.entry.cited]

    def _pairs(self, kept: Sequence[Keep]) -> Iterator[tuple[str, bytes, int]]:
        for one in kept:
            entry = one.answer.entry
            value = msgspec.json.encode(one.answer)
            if len(value) > ENTRY_BYTES:
                continue
            at_ms = (one.until - _EPOCH0) // _MILLISECOND
            yield self._name((entry.scope, entry.question_key)), value, at_ms
            if one.signature:
                yield self._signed((entry.scope, one.signature)), entry.question_key.encode(), at_ms

    def _name(self, place: Place) -> str:
        scope, key = place
        return f"{self._key}:{scope.entry_key(key)}"

    def _signed(self, place: Place) -> str:
        scope, signature = place
        return f"{self._key}:{scope.key}~{signature}"

    def _values(self, names: Sequence[str]) -> list[bytes | None]:
        parts = [names[at : at + COMMAND_KEYS] for at in range(0, len(names), COMMAND_KEYS)]
        return [value for values in self._sent([("MGET", *part) for part in parts]) for value in values]

    def _sent(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Send commands together and return what each answered. Raises `Transient` VM-2707 when one of them failed."""
        if not commands:
            return []
        try:
            return self._exchanged(commands)
        except (RedisError, OSError) as error:
            raise Transient(
                "VM-2707", what=f"Valkey or Redis: {type(error).__name__}: {str(error)[:200]}", where="answer cache",
                todo="start it, or see why it refuses; questions are searched for meanwhile",
            ) from error  # fmt: skip

    def _exchanged(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Exchange commands and replies on one connection: the client's pipeline takes longer for its own work than the server for ours."""
        pool: Any = self._client.connection_pool
        own = pool.get_connection()
        try:
            own.send_packed_command(own.pack_commands(commands))
            replies, wrong = [], None
            for _ in commands:
                try:
                    replies.append(own.read_response())
                except ResponseError as error:
                    # The others' replies are read first: whoever has the connection next must not find them.
                    wrong = wrong or error
        except BaseException:
            own.disconnect()
            raise
        finally:
            pool.release(own)
        if wrong is not None:
            raise wrong
        return replies


def _answer(value: bytes | None) -> Answer | None:
    """Return the answer that a value holds; one that is none of ours, or of another release, is not there."""
    if value is None:
        return None
    try:
        return msgspec.json.decode(value, type=Answer)
    except (msgspec.DecodeError, ValueError):
        return None
