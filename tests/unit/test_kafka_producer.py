"""Waits of the Kafka producer end, without a broker."""

from __future__ import annotations

import pytest

from vigimesh.adapters import kafka_producer
from vigimesh.adapters.kafka_producer import KafkaProducer
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
