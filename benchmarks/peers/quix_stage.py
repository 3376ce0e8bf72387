"""The sample stage in Quix Streams, exactly-once, a commit every 500 records; runs in .bench/quix."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quixstreams import Application
from quixstreams.models import BytesDeserializer, Serializer

import sample
from records import Out, Records, each, rest_collector
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic

#: Records of a transaction, as the loop takes them.
BATCH = 500


class Body(Serializer):  # type: ignore[misc]  # not there where types are checked
    """Takes the value out of what a stage made."""

    def __call__(self, value: Out, ctx: Any) -> bytes:
        return value[2]


def application(kafka: str) -> Application:
    """Return Quix Streams with its defaults, but for what makes it comparable."""
    return Application(
        broker_address=kafka, consumer_group=sample.GROUP, processing_guarantee="exactly-once", commit_every=BATCH,
        commit_interval=5.0, auto_create_topics=False, auto_offset_reset="earliest", loglevel="WARNING",
        producer_extra_config={"partitioner": "murmur2_random", "compression.type": "lz4", "retry.backoff.ms": 1,
                               "transaction.timeout.ms": 10_000},
    )  # fmt: skip


def main() -> None:
    """Work until SIGTERM."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--kafka", required=True)
    reader.add_argument("--ids", required=True, type=Path)
    asked, _ = reader.parse_known_args()
    made = Records(sample.STAGE, Codec(sample.FixedSchemas(asked.ids)), each(sample.make))
    rest_collector()
    app = application(asked.kafka)
    names = (sample.OUTPUT, topic("usage"), topic("audit"), topic("flow"))
    outputs = {
        name: app.topic(name, value_serializer=Body(), key_serializer="bytes", key_deserializer="bytes")
        for name in names
    }
    source = app.topic(sample.INPUT, value_deserializer=BytesDeserializer(), key_deserializer="bytes")
    count = 0

    def of(value: bytes, key: bytes, at_ms: int, headers: Any) -> Iterator[Out]:
        nonlocal count
        yield from made.of([(sample.INPUT, key, value, headers, datetime.fromtimestamp(at_ms / 1_000, UTC))])
        count += 1
        if count % BATCH == 0:  # it has no hook at the end of a transaction
            yield from made.end()

    frame = app.dataframe(source)
    frame = frame.apply(of, expand=True, metadata=True)
    frame = frame.set_headers(lambda out, *_: out[3])
    frame.to_topic(lambda out, *_: outputs[out[0]], key=lambda out: out[1])
    signal.signal(signal.SIGTERM, lambda *_: app.stop())
    app.run()


if __name__ == "__main__":
    main()
