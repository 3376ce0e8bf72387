"""The topic of parked events on Kafka: read from its start in the resumer's group, and again at any offset."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import confluent_kafka as ck

from vigimesh.adapters.kafka.client import CALL_S, RECORD_BYTES, away, moment, raise_for
from vigimesh.adapters.kafka.member import Protocol, joining
from vigimesh.errors import Transient, VigimeshError
from vigimesh.loop.broker import Batch, Part, Position, Record
from vigimesh.ports import Spot

#: Seconds to wait for a transaction that is ending in a partition before the others go on; it is asked again.
STABLE_S = 1.0
#: The same where several were asked for at once and one is in the way, for each.
STABLE_ONE_S = 0.2
#: Seconds to read bodies again.
FETCH_S = 10.0
#: Records that are read through and thrown away rather than jumped over: a jump costs a request, some 5 ms.
GAP = 300
#: Kilobytes that a client fetches ahead of each partition: the largest record.
QUEUE_KB = RECORD_BYTES // 1024
#: Seconds one look for messages waits.
_LOOK_S = 0.2

_Code = ck.KafkaError

T = TypeVar("T")


class KafkaParkedTopic:
    """Two clients: a member of the group, and one that reads at any offset and asks for ends."""

    def __init__(
        self, base: Mapping[str, Any], group: str, topic: str, protocol: Protocol = "consumer"
    ) -> None:
        """Subscribe at once; assignments come with the polls."""
        self._topic = topic
        self._owned: set[Part] = set()
        self._gained: dict[Part, Position] = {}
        self._lost: set[Part] = set()
        self._failure: VigimeshError | None = None
        shared = {
            **base, "group.id": group, "enable.auto.commit": False, "auto.offset.reset": "error",
            "enable.partition.eof": True, "client.id": group, "queued.max.messages.kbytes": QUEUE_KB,
        }  # fmt: skip
        self._member = ck.Consumer(
            {
                **shared,
                **joining(protocol),
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 100,
            }
        )
        # Uncommitted, because the end as committed readers see it stops before an open transaction. The records that it
        # is sent for are known to be committed.
        self._reader = ck.Consumer(
            {**shared, "isolation.level": "read_uncommitted", "fetch.wait.max.ms": 10}
        )  # fmt: skip
        self._member_pool = ThreadPoolExecutor(1, thread_name_prefix=f"consume {group}")
        self._reader_pool = ThreadPoolExecutor(1, thread_name_prefix=f"read {group}")
        self._member.subscribe(
            [topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    async def poll(self, max_records: int, timeout_s: float) -> Batch:
        """See `ParkedTopic`."""
        return await self._in(self._member_pool, lambda: self._poll(max_records, timeout_s))

    async def ends(self, parts: Sequence[Part]) -> Mapping[Part, int]:
        """See `ParkedTopic`."""
        stable = await self._in(self._member_pool, lambda: self._stable(parts))
        return await self._in(self._reader_pool, lambda: self._highs(stable))

    async def fetch(self, spots: Sequence[Spot], max_bytes: int) -> Mapping[Spot, Record | None]:
        """See `ParkedTopic`."""
        return await self._in(self._reader_pool, lambda: self._fetch(spots, max_bytes))

    async def topics(self) -> frozenset[str]:
        """See `ParkedTopic`."""
        found = await self._in(self._reader_pool, lambda: self._reader.list_topics(timeout=CALL_S))
        return frozenset(found.topics)

    async def close(self) -> None:
        """See `ParkedTopic`."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._member_pool, self._member.close)
        await loop.run_in_executor(self._reader_pool, self._reader.close)
        self._member_pool.shutdown(wait=False)
        self._reader_pool.shutdown(wait=False)

    async def _in(self, pool: ThreadPoolExecutor, function: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, function)
        except ck.KafkaException as error:
            raise away(error, self._topic) from error

    def _poll(self, max_records: int, timeout_s: float) -> Batch:
        if self._failure is not None:  # told one poll late, so that what came with it is not lost
            failure, self._failure = self._failure, None
            raise failure
        messages = self._member.consume(max_records, 0)
        if not messages:
            first = self._member.poll(timeout_s)
            if first is not None:
                messages = [first, *self._member.consume(max_records - 1, 0)]
        gained, self._gained = self._gained, {}
        lost, self._lost = frozenset(self._lost), set()
        records, ends = self._sort(messages, self._again(lost & gained.keys()))
        return Batch(
            records=records, owned=frozenset(self._owned), assigned=gained, revoked=lost, ends=ends,
            group=self._member.consumer_group_metadata(),
        )  # fmt: skip

    def _sort(
        self, messages: Sequence[Any], but: frozenset[Part]
    ) -> tuple[tuple[Record, ...], dict[Part, int]]:
        """Return records and ends of owned partitions, without some."""
        records: list[Record] = []
        ends: dict[Part, int] = {}
        for message in messages:
            error, part = message.error(), Part(message.topic() or "", message.partition() or 0)
            if error is not None and error.code() != _Code._PARTITION_EOF:
                try:
                    raise_for(error, f"{part.topic}-{part.partition}")
                except VigimeshError as failure:
                    self._failure = self._failure or failure
            elif part in self._owned and part not in but:
                if error is None:
                    records.append(_record(message))
                else:
                    ends[part] = message.offset() or 0
        return tuple(records), ends

    def _again(self, parts: Iterable[Part]) -> frozenset[Part]:
        """Begin anew in partitions that went and came back within one poll: nobody can tell which messages are of when."""
        found = frozenset(parts)
        for part in found:
            self._member.seek(_place(part, ck.OFFSET_BEGINNING))
        return found

    def _on_assign(self, _: Any, partitions: list[Any]) -> None:
        for place in partitions:
            place.offset = ck.OFFSET_BEGINNING
            self._owned.add(Part(place.topic, place.partition))
            self._gained[Part(place.topic, place.partition)] = Position(offset=0)
        self._member.incremental_assign(partitions)

    def _on_revoke(self, _: Any, partitions: list[Any]) -> None:
        parts = {Part(place.topic, place.partition) for place in partitions}
        self._owned -= parts
        for part in parts:
            self._gained.pop(part, None)
        self._lost |= parts

    def _stable(self, parts: Sequence[Part]) -> list[Part]:
        """Return the partitions of which no transaction holds a position: asking for it waits for one that is ending."""
        try:
            self._committed(parts, STABLE_S)
        except Transient:
            if len(parts) == 1:
                return []
            return [part for part in parts if self._is_stable(part)]
        return list(parts)

    def _is_stable(self, part: Part) -> bool:
        try:
            self._committed([part], STABLE_ONE_S)
        except Transient:
            return False
        return True

    def _committed(self, parts: Sequence[Part], timeout_s: float) -> None:
        """Ask for committed positions; raises `Transient` when there is no answer, or a transaction is in the way."""
        try:
            for place in self._member.committed([_place(part) for part in parts], timeout=timeout_s):
                if place.error is not None:
                    raise Transient(
                        "VM-1301", what=place.error.name(), where=f"{place.topic}-{place.partition}"
                    )
        except ck.KafkaException as error:
            raise away(error, self._topic) from error

    def _highs(self, parts: Sequence[Part]) -> dict[Part, int]:
        return {part: self._reader.get_watermark_offsets(_place(part), timeout=CALL_S)[1] for part in parts}

    def _fetch(self, spots: Sequence[Spot], max_bytes: int) -> dict[Spot, Record | None]:
        wanted: dict[Part, list[int]] = {}
        for spot in sorted(spots, reverse=True):
            wanted.setdefault(spot.part, []).append(spot.offset)
        found: dict[Spot, Record | None] = {}
        until_s, room = time.monotonic() + FETCH_S, max_bytes
        self._reader.assign([_place(part, offsets[-1]) for part, offsets in wanted.items()])
        try:
            while wanted and room > 0:
                if time.monotonic() > until_s:
                    raise Transient("VM-1301", what=f"bodies not read in {FETCH_S:g} s", where=self._topic,
                                    todo="vigimesh stack status")  # fmt: skip
                for message in self._messages():
                    room -= self._match(message, wanted, found)
                    if room <= 0:
                        break
        finally:
            self._reader.unassign()
        return found

    def _messages(self) -> list[Any]:
        messages = self._reader.consume(500, 0)
        if not messages:
            first = self._reader.poll(_LOOK_S)
            messages = [] if first is None else [first]
        return messages

    def _match(self, message: Any, wanted: dict[Part, list[int]], found: dict[Spot, Record | None]) -> int:
        """Take a message if it is wanted; return its size. What is wanted below it is not there any more.

        `wanted` holds the offsets of each partition backwards, so that the next is the last.
        """
        error, part, offset = message.error(), Part(message.topic(), message.partition()), message.offset()
        if error is not None and error.code() != _Code._PARTITION_EOF:
            raise_for(error, f"{part.topic}-{part.partition}")
            return 0
        offsets = wanted.get(part, [])
        while offsets and offsets[-1] < offset:
            found[Spot(part, offsets.pop())] = None
        size = 0
        if error is None and offsets and offsets[-1] == offset:
            record = _record(message)
            found[Spot(part, offsets.pop())] = record
            size = len(record.value)
            if offsets and offsets[-1] - offset > GAP:
                self._reader.seek(_place(part, offsets[-1]))
        if not offsets:
            wanted.pop(part, None)
        return size


def _place(part: Part, offset: int = ck.OFFSET_INVALID) -> ck.TopicPartition:
    return ck.TopicPartition(part.topic, part.partition, offset)


def _record(message: Any) -> Record:
    return Record(
        part=Part(message.topic(), message.partition()), offset=message.offset(), key=message.key() or b"",
        value=message.value() or b"", headers=message.headers() or [],
        at=moment(message.timestamp()[1]),
    )  # fmt: skip
