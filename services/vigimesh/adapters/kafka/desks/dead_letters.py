"""Open dead letters: read for a list, and settled by one operator at a time, each batch in one transaction."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from vigimesh.adapters.kafka.compacted import read_compacted
from vigimesh.adapters.kafka.history import scan
from vigimesh.adapters.kafka.producer import KafkaProducer
from vigimesh.errors import Refused, Transient, VigimeshError
from vigimesh.events import ids
from vigimesh.events.classes import EventDeadLettered
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic
from vigimesh.loop.broker import Producer, TooLarge, Write

#: The one operator's transactional id: whoever comes second fences whoever came first.
OPERATOR = "vigimesh.operator"
#: Dead letters of one transaction: as many records as a worker writes in one (`loop.worker.MAX_BATCH`).
BATCH = 500
#: Seconds one question to the broker may take.
ASK_S = 15.0

DEADLETTER = topic("deadletter")


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """An open dead letter. `at` is when it was given up, by the broker's clock; `mark` tells this state of it from a later one.

    `event.value` is left out unless it was asked for, so that a long list holds no payloads.
    """

    at: datetime
    mark: str
    event: EventDeadLettered
    #: Bytes of the value as they lie in the event; 0 when they are in the object store.
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A record of the topic that is no dead letter that this version can read."""

    key: str
    where: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A dead letter that was left as it was, and why."""

    event_id: str
    why: str


@dataclass(slots=True, kw_only=True)
class Settled:
    """What became of the dead letters that an operator chose: by event id."""

    done: list[str] = field(default_factory=list)
    #: No longer open, or another state of it by now: somebody else settled it.
    gone: list[str] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """A letter with the records that settle it."""

    letter: Letter
    writes: Sequence[Write]


#: Returns the records that settle a letter, its value filled in; raises `Refused` or `Broken` when that can't be done.
Settle = Callable[[EventDeadLettered], Sequence[Write]]
#: Returns what belongs to a whole transaction, once for all its letters.
Sum = Callable[[Sequence[EventDeadLettered]], Sequence[Write]]


def open_letters(broker: Mapping[str, Any], codec: Codec) -> tuple[list[Letter], list[Unreadable]]:
    """Return every open dead letter without its value, the oldest first, and what can't be read.

    Raises `Transient` VM-1301 or VM-1701 when the broker is away, `Misconfigured` VM-1702 without the topic.
    """
    newest = {row.key: row for row in scan(broker, [DEADLETTER])}
    letters, unreadable = [], []
    for row in newest.values():
        if row.value is None:
            continue
        try:
            event: EventDeadLettered = codec.decode(DEADLETTER, row.value)
        except Refused as error:
            unreadable.append(Unreadable(key=row.key, where=row.place, why=str(error)))
            continue
        letters.append(
            Letter(at=row.at, mark=ids.digest(row.value), event=replace(event, value=b""), size=len(event.value))
        )  # fmt: skip
    return sorted(letters, key=lambda letter: (letter.at, letter.event.event_id)), unreadable


class Operator:
    """Settles dead letters under the one operator's transactional id."""

    def __init__(self, base: Mapping[str, Any], codec: Codec, producer: Producer | None = None) -> None:
        """Take the settings of every client; nothing is connected yet."""
        self._base, self._codec = dict(base), codec
        self._producer = producer or KafkaProducer(base, OPERATOR)
        #: Every open letter as it lies on the topic; dead letters are few, and each holds at most 2 MiB.
        self._open: dict[bytes, bytes] = {}

    async def settle(self, letters: Sequence[Letter], settle: Settle, total: Sum) -> Settled:
        """Write what settles each letter and its tombstone, `BATCH` letters a transaction.

        What is open is read after the producer has fenced every other operator and ended what it left, up to the high
        watermark: two operators at once never settle a letter twice. Raises `Fenced` VM-1303 when a later operator has
        taken over, `Transient` when the broker is away or an open transaction hides the newest state (VM-1306): what
        was committed stands, and the same command goes on from there.
        """
        settled = Settled()
        try:
            await self._begin_anew()
            work = deque(list(letters[at : at + BATCH]) for at in range(0, len(letters), BATCH))
            #: Cutting in halves ends after two failures a letter; beyond, something else is wrong.
            failures_left = 2 * len(letters)
            while work:
                batch = self._prepared(work.popleft(), settle, settled)
                if not batch:
                    continue
                try:
                    await self._commit(batch, total)
                except (Transient, TooLarge) as error:
                    failures_left -= 1
                    if failures_left < 0:
                        raise
                    work.extendleft(reversed(await self._after(batch, error, settled)))
                else:
                    settled.done.extend(one.letter.event.event_id for one in batch)
        finally:
            await self._producer.close()
        return settled

    async def _begin_anew(self) -> None:
        self._producer.expire()
        await self._producer.renew()
        self._open = read_compacted(self._base, DEADLETTER, range(partitions_of(self._base, DEADLETTER)))

    def _is_open(self, letter: Letter) -> bool:
        value = self._open.get(letter.event.event_id.encode())
        return value is not None and ids.digest(value) == letter.mark

    def _prepared(self, letters: Sequence[Letter], settle: Settle, settled: Settled) -> list[_Ready]:
        """Make the letters' records; leave out, and tell of, what is gone or can't be settled."""
        batch = []
        for letter in letters:
            event_id = letter.event.event_id
            if not self._is_open(letter):
                settled.gone.append(event_id)
                continue
            event: EventDeadLettered = self._codec.decode(DEADLETTER, self._open[event_id.encode()])
            try:
                batch.append(_Ready(letter=letter, writes=settle(event)))
            except Transient:
                raise
            except VigimeshError as error:
                settled.failed.append(Failure(event_id=event_id, why=str(error)))
        return batch

    async def _commit(self, batch: Sequence[_Ready], total: Sum) -> None:
        self._producer.begin()
        for one in batch:
            for write in one.writes:
                self._producer.write(write)
            key = one.letter.event.event_id.encode()
            self._producer.write(Write(topic=DEADLETTER, key=key, value=None))
        for write in total([one.letter.event for one in batch]):
            self._producer.write(write)
        await self._producer.commit()

    async def _after(
        self, batch: Sequence[_Ready], error: VigimeshError, settled: Settled
    ) -> list[list[Letter]]:
        """Find out how a failed transaction ended; return what is still to be done, in halves.

        A new producer ends the old one's transaction, aborted or committed for good, and the topic says which. In the
        end only the letter at fault is left out. Raises `Transient` when the broker is away.
        """
        await self._begin_anew()
        left = [one.letter for one in batch if self._is_open(one.letter)]
        waiting = {letter.event.event_id for letter in left}
        named = (one.letter.event.event_id for one in batch)
        settled.done.extend(event_id for event_id in named if event_id not in waiting)
        if len(left) > 1:
            return [left[: len(left) // 2], left[len(left) // 2 :]]
        settled.failed.extend(Failure(event_id=letter.event.event_id, why=str(error)) for letter in left)
        return []


def topics_there(base: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the cluster's topics; raises `Transient` VM-1301 when the broker is away."""
    return frozenset(_metadata(base))


def partitions_of(base: Mapping[str, Any], name: str) -> int:
    """Return how many partitions a topic has, 0 when it is not there; raises `Transient` VM-1301."""
    known = _metadata(base)
    return len(known[name].partitions) if name in known else 0


def _metadata(base: Mapping[str, Any]) -> Mapping[str, Any]:
    admin = AdminClient(dict(base))
    try:
        found: Mapping[str, Any] = admin.list_topics(timeout=ASK_S).topics
    except KafkaException as error:
        raise Transient("VM-1301", what=f"the broker does not answer: {error.args[0].str()}",
                        where=str(base.get("bootstrap.servers", "")), todo="check the address: `vigimesh stack status`") from error  # fmt: skip
    return found


def value_of(base: Mapping[str, Any], codec: Codec, letter: Letter) -> EventDeadLettered:
    """Return an open letter with its value; raises `Refused` VM-1720 when it has been settled meanwhile, `Transient`."""
    event_id = letter.event.event_id
    for row in scan(base, [DEADLETTER]):
        if row.key == event_id and row.value is not None and ids.digest(row.value) == letter.mark:
            event: EventDeadLettered = codec.decode(DEADLETTER, row.value)
            return event
    raise Refused("VM-1720", what="the dead letter is no longer open", where=event_id,
                  todo="see what is open: `vigimesh deadletter list`")  # fmt: skip
