"""What a worker without order per key does with slow calls: one record at a time in each partition, exactly once."""

from __future__ import annotations

import signal
import threading
import time
from datetime import UTC, datetime
from typing import Any

import confluent_kafka as ck

import chain
import sample
from records import Records, each, rest_collector
from vigimesh.events.codec import Codec

#: Records of a transaction: few, so that its end costs little beside the calls and progress is seen.
BATCH = 5


def work(kafka: str, partition: int, begin: int, records: Records, call: tuple[float, float]) -> None:
    """Work through one partition: call, write, commit; `call` is how long an ordinary and a marked one take, in seconds."""
    base = {"bootstrap.servers": kafka, "log_level": 3}
    consumer = ck.Consumer({**base, "group.id": sample.GROUP, "enable.auto.commit": False})
    consumer.assign([ck.TopicPartition(sample.INPUT, partition, begin)])
    producer = ck.Producer(
        {**base, "transactional.id": f"in-order.{partition}", "retry.backoff.ms": 1, "linger.ms": 500}
    )
    producer.init_transactions(10)
    message: Any
    while True:
        messages = consumer.consume(BATCH, 0.1)
        if not messages:
            continue
        producer.begin_transaction()
        for message in messages:
            at = datetime.fromtimestamp(message.timestamp()[1] / 1_000, UTC)
            marked = records.codec.decode(sample.INPUT, message.value()).case.urgent
            time.sleep(call[1] if marked else call[0])
            for out in records.of([(sample.INPUT, message.key(), message.value(), message.headers(), at)]):
                producer.produce(out[0], out[2], out[1], headers=out[3])  # type: ignore[arg-type]  # declared narrower
        offset = ck.TopicPartition(sample.INPUT, partition, messages[-1].offset() + 1)  # type: ignore[operator]
        producer.send_offsets_to_transaction([offset], consumer.consumer_group_metadata())
        producer.commit_transaction()


def main() -> None:
    """Run a thread per partition until SIGTERM."""
    asked = chain.asked(__doc__)
    rest_collector()
    call = (asked.call_ms / 1_000, (asked.slow_ms or asked.call_ms) / 1_000)
    asking = ck.Consumer({"bootstrap.servers": asked.kafka, "group.id": sample.GROUP})
    partitions = asking.list_topics(sample.INPUT, timeout=10).topics[sample.INPUT].partitions
    asking.close()
    for partition in partitions:
        records = Records(sample.STAGE, Codec(sample.FixedSchemas(asked.ids)), each(sample.make))
        arguments = (asked.kafka, partition, 0, records, call)
        threading.Thread(target=work, args=arguments, daemon=True).start()
    signal.sigwait({signal.SIGTERM})


if __name__ == "__main__":
    main()
