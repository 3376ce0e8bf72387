"""Follows a topic of one partition in a thread of its own: what orders and gates are told to a worker by."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from vigimesh.errors import Refused, VigimeshError

#: Seconds a poll waits, and how soon `close` is noticed.
_POLL_S = 0.5
#: Seconds before a new start after one that failed.
_RETRY_S = 1.0


class Follower(ABC):
    """Reads what is committed on partition 0 of a topic, from `_first` on, again from there after the broker was away."""

    def __init__(self, base: Mapping[str, Any], name: str, of: str) -> None:
        """Nothing is read before `start`. `base` are the settings of every client, `name` the topic; `of` is who follows."""
        self._base, self._name, self._of = {**base, "log_level": 0}, name, of
        self._stop, self._quiet = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._follow, name=of, daemon=True)

    @abstractmethod
    def _first(self, consumer: Consumer) -> int:
        """Return the offset of the first record that matters."""

    @abstractmethod
    def _take(self, value: bytes, at_ms: int) -> None:
        """Take one record, written at this time in milliseconds of the epoch. Raises `Refused` for one that is none of ours."""

    def _ended(self) -> None:  # noqa: B027  most have nothing to do then
        """Do what is to be done each time all that is there has been read."""

    def start(self) -> Self:
        """Begin to follow the topic; returns at once."""
        self._thread.start()
        return self

    def caught_up(self, within_s: float) -> bool:
        """Wait until all that was on the topic at the start has been read; return whether it has."""
        return self._quiet.wait(within_s)

    def close(self) -> None:
        """Stop following, within `_POLL_S` where the broker answers; the thread never keeps a process alive."""
        self._stop.set()
        self._thread.join(_POLL_S * 2)

    def _follow(self) -> None:
        while not self._stop.is_set():
            consumer: Consumer | None = None
            try:
                consumer = self._placed()
                while not self._stop.is_set():
                    self._read(consumer.poll(_POLL_S))
            except (KafkaException, VigimeshError):
                # Broker or registry away, topic not there yet: begin anew, far enough back to miss nothing.
                self._stop.wait(_RETRY_S)
            finally:
                if consumer is not None:
                    consumer.close()

    def _placed(self) -> Consumer:
        consumer = Consumer(
            {
                **self._base, "group.id": f"vigimesh.{self._of}", "enable.auto.commit": False, "auto.offset.reset": "error",
                "isolation.level": "read_committed", "enable.partition.eof": True, "fetch.wait.max.ms": 500,
            }
        )  # fmt: skip
        try:
            consumer.assign([TopicPartition(self._name, 0, self._first(consumer))])
        except BaseException:
            consumer.close()
            raise
        return consumer

    def _read(self, message: Any) -> None:
        if message is None:
            return
        error = message.error()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            self._ended()
            self._quiet.set()
            return
        if error is not None:
            passing = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT)
            if not error.retriable() and error.code() not in passing:
                raise KafkaException(error)
            return
        try:
            self._take(message.value() or b"", message.timestamp()[1])
        except Refused:
            return  # none of ours
