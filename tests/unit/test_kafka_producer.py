"""Waits of the Kafka producer end, without a broker."""

from __future__ import annotations

import asyncio

import confluent_kafka as ck
import pytest

from vigimesh.adapters.kafka import producer as kafka_producer
from vigimesh.adapters.kafka.producer import KafkaProducer
from vigimesh.errors import Transient
from vigimesh.loop.broker import Write


class FullBuffer:
    """A client whose send buffer never drains."""

    def produce(self, *args: object, **more: object) -> None:
        raise BufferError

    def poll(self, timeout_s: float) -> None: ...


def test_a_send_buffer_that_stays_full_ends_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = KafkaProducer({"bootstrap.servers": "127.0.0.1:1"}, "vigimesh.test")
    producer._producer = FullBuffer()  # type: ignore[assignment]
    monkeypatch.setattr(kafka_producer, "CALL_S", 0.02)
    with pytest.raises(Transient, match=r"VM-1301.*case\.head"):
        producer.write(Write(topic="vigimesh.case.head", key=b"k", value=b"v"))


class Client:
    """A client that writes down what it is asked, and refuses to begin where it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.refuses: set[int] = set()

    def begin_transaction(self) -> None:
        self.asked.append("begin")
        if len(self.asked) in self.refuses:
            raise ck.KafkaException(ck.KafkaError(ck.KafkaError._STATE))

    def commit_transaction(self, timeout_s: float) -> None:
        self.asked.append("commit")


def of(client: Client) -> KafkaProducer:
    producer = KafkaProducer({"bootstrap.servers": "127.0.0.1:1"}, "vigimesh.test")
    producer._producer = client  # type: ignore[assignment]
    return producer


def test_the_next_transaction_is_begun_where_one_ends_and_once() -> None:
    async def scenario() -> None:
        client = Client()
        producer = of(client)
        for _ in range(2):
            producer.begin()
            await producer.commit()
        assert client.asked == ["begin", "commit", "begin", "commit", "begin"]

    asyncio.run(scenario())


def test_what_keeps_the_next_from_beginning_is_told_when_it_begins_and_not_of_the_one_that_ended() -> None:
    async def scenario() -> None:
        client = Client()
        client.refuses = {3, 4}
        producer = of(client)
        producer.begin()
        await producer.commit()
        with pytest.raises(Transient, match="VM-1301"):
            producer.begin()
        producer.begin()

    asyncio.run(scenario())


def test_a_new_client_begins_its_own_transaction() -> None:
    async def scenario() -> None:
        old, new = Client(), Client()
        producer = of(old)
        producer.begin()
        await producer.commit()
        producer._producer = new  # type: ignore[assignment]
        producer.begin()
        assert new.asked == ["begin"]

    asyncio.run(scenario())
