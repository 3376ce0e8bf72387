"""The sample stage in faust-streaming, exactly-once, a commit every 500 records; runs in .bench/faust."""

from __future__ import annotations

import argparse
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import faust

import sample
from records import Out, Records, each, rest_collector
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic

#: Records of a transaction, as the loop takes them.
BATCH = 500


def application(kafka: str, folder: str) -> Any:
    """Return Faust with its defaults, but for what makes it comparable and what makes a restart quick."""
    return faust.App(
        sample.GROUP, broker=f"kafka://{kafka}", processing_guarantee="exactly_once", broker_commit_every=BATCH,
        broker_commit_interval=5.0, topic_disable_leader=True, topic_allow_declare=False, value_serializer="raw",
        key_serializer="raw", web_enabled=False, datadir=folder, broker_session_timeout=6.0,
        broker_heartbeat_interval=2.0, broker_request_timeout=20.0, consumer_auto_offset_reset="earliest",
        producer_compression_type="lz4",
    )  # fmt: skip


def main() -> None:
    """Work until SIGTERM."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--kafka", required=True)
    reader.add_argument("--ids", required=True, type=Path)
    asked, _ = reader.parse_known_args()
    made = Records(sample.STAGE, Codec(sample.FixedSchemas(asked.ids)), each(sample.make))
    rest_collector()
    with tempfile.TemporaryDirectory() as folder:
        app = application(asked.kafka, folder)
        names = (sample.OUTPUT, topic("usage"), topic("audit"), topic("flow"))
        raw = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
        outputs = {name: app.topic(name, **raw) for name in names}

        async def send(out: Out) -> None:
            await outputs[out[0]].send(key=out[1], value=out[2], headers=out[3])

        @app.agent(app.topic(sample.INPUT, **raw))  # type: ignore[untyped-decorator]  # not there where types are checked
        async def work(stream: Any) -> None:
            count = 0
            async for event in stream.events():
                at = datetime.fromtimestamp(event.message.timestamp, UTC)
                headers = list((event.headers or {}).items())
                for out in made.of([(sample.INPUT, event.key, event.value, headers, at)]):
                    await send(out)
                count += 1
                if count % BATCH == 0:  # it has no hook at the end of a transaction
                    for out in made.end():
                        await send(out)

        faust.Worker(app, loglevel="WARNING").execute_from_commandline()


if __name__ == "__main__":
    main()
