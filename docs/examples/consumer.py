"""Read vigimesh's events from plain Python: a Kafka client, the schema registry, nothing of vigimesh.

    pip install "confluent-kafka[avro,schemaregistry]==2.16.0"
    python consumer.py --kafka localhost:9092 --registry http://localhost:8080/apis/ccompat/v7 vigimesh.case.decided

Prints one JSON object a record, up to the end of the topics: place, key, headers, value.
Bytes are shown in base64, moments in ISO 8601. It joins no group and moves no offset.
"""

import argparse
import base64
import json
import sys
import time
from collections.abc import Iterator
from datetime import datetime

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient, topic_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

ANSWER_SECONDS = 30


def main() -> int:
    """Read the topics named to their end."""
    arguments = argparse.ArgumentParser(description="Read events of vigimesh.")
    arguments.add_argument("--kafka", required=True, help="bootstrap servers, host:port")
    arguments.add_argument(
        "--registry", required=True, help="base URL of the registry's Confluent-compatible interface"
    )
    arguments.add_argument("topics", nargs="+", help="full names of topics")
    given = arguments.parse_args()

    # No schema of our own: each value comes as its writer's schema says, found by the id in front of it.
    deserializer = AvroDeserializer(
        SchemaRegistryClient({"url": given.registry, "timeout": 10}),
        conf={"subject.name.strategy": topic_subject_name_strategy},
    )
    consumer = Consumer(
        {
            "bootstrap.servers": given.kafka,
            "group.id": "reader-without-a-group",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",  # what an aborted transaction wrote does not exist
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
        }
    )
    try:
        for message in read(consumer, given.topics):
            value = message.value()
            if value is not None:  # on a compacted topic a record without a value says: no longer there
                value = deserializer(value, SerializationContext(message.topic(), MessageField.VALUE))
            print(json.dumps({
                "topic": message.topic(), "partition": message.partition(), "offset": message.offset(),
                "key": message.key().decode(),
                "headers": {name: text.decode() for name, text in message.headers() or []},
                "value": value,
            }, default=plain, ensure_ascii=False))  # fmt: skip
    finally:
        consumer.close()
    return 0


def read(consumer: Consumer, topics: list) -> Iterator:
    """Yield the records of all partitions, each until it says that its end is reached."""
    parts = []
    for topic in topics:
        meta = consumer.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic]
        if meta.error:
            raise KafkaException(meta.error)
        parts += [TopicPartition(topic, number) for number in meta.partitions]
    for part in parts:
        part.offset, _ = consumer.get_watermark_offsets(part, timeout=ANSWER_SECONDS)
    consumer.assign(parts)
    left, last = {(part.topic, part.partition) for part in parts}, time.monotonic()
    while left:
        message = consumer.poll(1.0)
        if message is None:
            if time.monotonic() - last > ANSWER_SECONDS:
                raise TimeoutError(f"no answer for {ANSWER_SECONDS} s from {sorted(left)}")
            continue
        last = time.monotonic()
        if message.error() is None:
            yield message
        elif message.error().name() == "_PARTITION_EOF":
            left.discard((message.topic(), message.partition()))
        else:
            raise KafkaException(message.error())


def plain(value: object) -> str:
    """Return bytes and moments as text, for JSON."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception as error:
        raise SystemExit(f"not read: {error}") from error
