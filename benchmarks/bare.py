"""The bare loop: the records of a worker in the same transactions, without `vigimesh.loop`.

It has no order per key, no progress map, no retry, dead letter, parking, rebalance, doubt or telemetry. Tuned as measured:
two producers in turn, back-off 1 ms, the newer group protocol, `consume` without waiting and then `poll`.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import confluent_kafka as ck

import chain
from records import Out, Raw, Work, rest_collector

#: Records of a transaction, as the loop takes them.
BATCH = 500


def serve(kafka: str, group: str, topics: Sequence[str], work: Work) -> None:
    """Work until SIGTERM."""
    rest_collector()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    base = {"bootstrap.servers": kafka, "log_level": 3, "broker.address.family": "v4"}
    consumer = ck.Consumer({**base, "group.id": group, "group.protocol": "consumer", "enable.auto.commit": False,
                            "isolation.level": "read_committed", "auto.offset.reset": "error", "fetch.wait.max.ms": 100,
                            "queued.max.messages.kbytes": 16_384})  # fmt: skip
    producers = [ck.Producer({**base, "transactional.id": f"{group}.bare.{n}", "transaction.timeout.ms": 10_000,
                              "partitioner": "murmur2_random", "compression.type": "lz4", "linger.ms": 500,
                              "retry.backoff.ms": 1, "retry.backoff.max.ms": 20}) for n in "ab"]  # fmt: skip
    for producer in producers:
        producer.init_transactions(10)
    consumer.subscribe(list(topics))
    ending: Future[None] | None = None
    pool = ThreadPoolExecutor(1)
    while not stop.is_set():
        messages: list[Any] = consumer.consume(BATCH, 0)
        if not messages:
            first = consumer.poll(0.2)
            if first is None:
                continue
            messages = [first, *consumer.consume(BATCH - 1, 0)]
        metadata, positions = consumer.consumer_group_metadata(), {}
        producers.reverse()
        producers[0].begin_transaction()
        inputs: list[Raw] = []
        for message in messages:
            if message.error():
                raise ck.KafkaException(message.error())
            at = datetime.fromtimestamp(message.timestamp()[1] / 1_000, UTC)
            inputs.append((message.topic(), message.key(), message.value(), message.headers(), at))
            positions[message.topic(), message.partition()] = message.offset() + 1
        for out in work.of(inputs):
            _write(producers[0], out)
        for out in work.end():
            _write(producers[0], out)
        if ending is not None:
            ending.result()  # the offsets of this transaction may go only when the last one has ended
        offsets = [ck.TopicPartition(*spot, offset) for spot, offset in positions.items()]
        producers[0].send_offsets_to_transaction(offsets, metadata)
        ending = pool.submit(producers[0].commit_transaction)
    if ending is not None:
        ending.result()
    consumer.close()


def _write(producer: ck.Producer, out: Out) -> None:
    producer.produce(out[0], out[2], out[1], headers=out[3])  # type: ignore[arg-type]  # declared narrower


if __name__ == "__main__":
    asked = chain.asked(__doc__)
    stage = chain.stage(asked)
    serve(asked.kafka, stage.group, stage.topics, stage.records)
