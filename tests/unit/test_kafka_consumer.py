"""What one poll of the Kafka consumer hands out, without a broker."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import confluent_kafka as ck
import pytest

from vigimesh.adapters.kafka.consumer import KafkaConsumer
from vigimesh.adapters.kafka.member import Protocol, member_settings
from vigimesh.events.topics import lane_topic
from vigimesh.loop.broker import Batch, Part

TOPIC = lane_topic("plan", "hot")
PART = Part(TOPIC, 0)


class Message:
    """A record, or with an error the end of its partition, as the client gives it."""

    def __init__(self, offset: int, error: int | None = None) -> None:
        self._offset, self._error = offset, error

    def topic(self) -> str:
        return TOPIC

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def error(self) -> ck.KafkaError | None:
        return None if self._error is None else ck.KafkaError(self._error)

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes:
        return b"v"

    def headers(self) -> list[tuple[str, bytes]]:
        return []

    def timestamp(self) -> tuple[int, int]:
        return (1, 1_790_000_000_000)


def end(offset: int) -> Message:
    return Message(offset, ck.KafkaError._PARTITION_EOF)


class Client:
    """A client that owns one partition and hands out, one by one, what it was given; then nothing for ever."""

    left: deque[Message]

    def __init__(self, settings: dict[str, Any]) -> None: ...

    def subscribe(self, topics: Sequence[str], on_assign: Callable[..., None], **more: Any) -> None:
        self._assign = on_assign

    def join(self) -> None:
        self._assign(self, [ck.TopicPartition(TOPIC, 0)])

    def committed(self, places: Sequence[ck.TopicPartition], timeout: float) -> list[ck.TopicPartition]:
        return [ck.TopicPartition(place.topic, place.partition, 0) for place in places]

    def incremental_assign(self, places: Sequence[ck.TopicPartition]) -> None: ...

    def consume(self, most: int, timeout_s: float) -> list[Message]:
        return []

    def poll(self, timeout_s: float) -> Message | None:
        return self.left.popleft() if self.left else None

    def consumer_group_metadata(self) -> object:
        return object()

    def close(self) -> None: ...


def polls(monkeypatch: pytest.MonkeyPatch, count: int, *messages: Message) -> list[Batch]:
    """Return what the first polls of an owned partition give."""
    monkeypatch.setattr(ck, "Consumer", Client)
    consumer = KafkaConsumer({}, "vigimesh.planner.hot", [TOPIC], copartitioned=False)
    client: Any = consumer._consumer
    client.join()
    client.left = deque()

    async def leave(parts: frozenset[Part]) -> None: ...

    async def go() -> list[Batch]:
        await consumer.poll(10, 0.01, leave)  # the assignment
        client.left.extend(messages)
        found = [await consumer.poll(10, 5.0, leave) for _ in range(count)]
        await consumer.close()
        return found

    return asyncio.run(go())


def test_the_end_of_a_partition_is_told_with_the_record_that_comes_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Told on its own it would make the loop go round once, and the record wait for that."""
    (batch,) = polls(monkeypatch, 1, end(3), Message(4), end(5))
    assert [record.offset for record in batch.records] == [4]
    assert batch.ends == {PART: 3}


def test_the_end_of_a_partition_is_told_when_nothing_more_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    (batch,) = polls(monkeypatch, 1, end(3))
    assert (batch.records, batch.ends) == ((), {PART: 3})


def test_ends_behind_a_record_come_with_a_later_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = polls(monkeypatch, 2, Message(4), end(5))
    assert (len(first.records), first.ends) == (1, {})
    assert second.ends == {PART: 5}


def test_an_assignment_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ck, "Consumer", Client)
    consumer = KafkaConsumer({}, "vigimesh.planner.hot", [TOPIC], copartitioned=False)
    client: Any = consumer._consumer
    client.join()
    client.left = deque([end(0), Message(1)])

    async def leave(parts: frozenset[Part]) -> None: ...

    batch = asyncio.run(consumer.poll(10, 5.0, leave))
    assert (set(batch.assigned), batch.ends, batch.records) == ({PART}, {PART: 0}, ())


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_an_urgent_topic_is_asked_for_at_once_and_little_lies_before_it(protocol: Protocol) -> None:
    """The client does not ask for any partition for a second, unless told, once the queue that all share is full."""
    alone, shared = (
        member_settings("vigimesh.router", copartitioned=more, protocol=protocol, member="")
        for more in (False, True)
    )
    assert alone["fetch.queue.backoff.ms"] == shared["fetch.queue.backoff.ms"] <= 20
    partitions, queue_bytes = 12, 1_024 * shared["queued.max.messages.kbytes"]
    assert (
        partitions * shared["fetch.message.max.bytes"]
        < queue_bytes / 4
        < alone["fetch.message.max.bytes"] * partitions
    )
