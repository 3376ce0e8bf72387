"""Sends cases at a fixed pace and takes down when each is concluded: a chain of stages seen from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import confluent_kafka as ck

import sample
from ground import Ground, Ready, until
from vigimesh.events import ids
from vigimesh.events.case import Case
from vigimesh.events.classes import CaseReceived
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope, to_headers
from vigimesh.events.topics import BY_NAME, topic

#: Where a case may end.
ENDS = (topic("case.decided"), topic("case.review"))
#: Seconds after the last case was sent in which all must be concluded.
DRAIN_S = 60.0
#: Seconds in which a chain that was just started must conclude its first case.
FIRST_S = 60.0
#: Conclusions taken from the client in one call.
TAKE = 1_000


def received(codec: Codec, door: str, cases: Sequence[Case] | Iterator[Case]) -> Iterator[Ready]:
    """Yield the records that a door writes for cases."""
    name = topic(f"case.received.{door}")
    now, place = datetime.now(UTC), f"/schemas/ids/{codec.schema_id(name)}"
    for case in cases:
        envelope = Envelope(
            id=case.message_id, source="/vigimesh/intake", type=f"vigimesh.{BY_NAME[name].event.__name__}", time=now,
            subject=case.case_id, dataschema=place, messageid=case.message_id,
            traceparent=f"00-{ids.trace_id(case.message_id)}-{ids.span_id(f'intake|{case.message_id}')}-01",
        )  # fmt: skip
        yield (
            case.case_id.encode(),
            codec.encode(name, CaseReceived(case=case, door=door)),
            to_headers(envelope),
        )


def numbered(case: Case, tag: str, count: int) -> Iterator[Case]:
    """Yield copies of a case, each with ids of its own."""
    for number in range(count):
        report = f"DE-{tag}-{number}"
        message = ids.digest(report.encode())[: ids.ID_DIGITS]
        yield replace(
            case,
            message_id=message,
            case_id=f"default/{report}",
            report_id=report,
            worldwide_id=report,
            digest=message * 2,
        )


@dataclass(slots=True)
class Driver:
    """One sender and one reader of conclusions; latencies are in milliseconds from the moment a case was due to be sent."""

    base: Ground
    codec: Codec = field(init=False)
    _seen: dict[str, int] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _reader: threading.Thread = field(init=False)
    _count: int = 0

    def __post_init__(self) -> None:
        self.codec = Codec(sample.FixedSchemas(Path(self.base.ids_file)))
        consumer = self.base.consumer("bench.driver", **{"fetch.wait.max.ms": 10})
        ends = {spot: end for name in ENDS for spot, end in self.base.ends(name).items()}
        consumer.assign([ck.TopicPartition(*spot, end) for spot, end in ends.items()])
        self._reader = threading.Thread(target=self._read, args=(consumer,), name="conclusions")
        self._reader.start()

    def close(self) -> None:
        """End the reader."""
        self._stop.set()
        self._reader.join()

    def _read(self, consumer: ck.Consumer) -> None:
        while not self._stop.is_set():
            first = consumer.poll(0.1)
            found: list[Any] = [] if first is None else [first, *consumer.consume(TAKE, 0)]
            now_ns = time.monotonic_ns()
            for message in found:
                if message.error() is None:
                    headers = dict(message.headers() or ())
                    if headers.get("ce_lane") != b"cold":
                        self._seen[str(headers.get("ce_messageid") or b"", "utf-8")] = now_ns
        consumer.close()

    def warm_up(self, count: int, per_s: float) -> None:
        """Send one case and wait for it, then `count` more: the chain is there and its code is warm."""
        self.send(1, per_s, within_s=FIRST_S)
        self.send(count, per_s)

    def send(
        self, count: int, per_s: float, *, within_s: float = DRAIN_S, check: Callable[[], None] = lambda: None
    ) -> list[float]:
        """Send cases at a pace and return how long each took to be concluded, in the order they were due.

        Raises `TimeoutError` when one is not concluded within `within_s` after the last was sent.
        """
        self._count += 1
        cases = list(numbered(sample.CASE, f"{time.time_ns()}-{self._count}", count))
        ready = list(received(self.codec, "urgent", cases))
        producer = ck.Producer(
            {"bootstrap.servers": self.base.kafka, "linger.ms": 0, "partitioner": "murmur2_random"}
        )
        begin_ns, step_ns = time.monotonic_ns() + 10_000_000, int(1e9 / per_s)
        for number, (key, value, headers) in enumerate(ready):
            wait_ns = begin_ns + number * step_ns - time.monotonic_ns()
            if wait_ns > 0:
                time.sleep(wait_ns / 1e9)
            producer.produce(topic("case.received.urgent"), value, key, headers=headers)  # type: ignore[arg-type]
            producer.poll(0)
        producer.flush(10)

        def all_seen() -> bool:
            check()
            return all(case.message_id in self._seen for case in cases)

        until(all_seen, within_s, f"the last of {count} cases", pause_s=0.05)
        return [
            (self._seen.pop(case.message_id) - begin_ns - number * step_ns) / 1e6
            for number, case in enumerate(cases)
        ]
