"""What a mesh asks of its broker all day, some thousand times over: the Java runtime learns from it what to compile, and how."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer

# Documented names of the package, which its types do not export.
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from vigimesh.adapters.kafka.client import CALL_S, away, common
from vigimesh.clock import Deadline

#: The way of a record, from topic to topic; the last is compacted. Each step between two is a group of another protocol.
WAY = ("prime.first", "prime.second", "prime.last")
PROTOCOLS = ("classic", "consumer")

#: Bytes of a record: those of an event with its case.
RECORD_BYTES = 2_000

#: Producers of a step. They take turns, as those of a lane do.
IN_TURN = 2

#: Seconds of waiting for a record before the time is looked at.
POLL_S = 0.2


def exercise(bootstrap: str, records: int, deadline: Deadline) -> int:
    """Carry records along the way, a transaction for each and step, until all are there; return how many were.

    When the time is over before, what was done until then is all that is learnt. Raises what the broker refuses.
    """
    base = common(bootstrap, {"compression.type": "lz4"})
    try:
        _make_topics(base)
        with ThreadPoolExecutor(1 + len(PROTOCOLS)) as pool:
            feeding = pool.submit(_feed, base, records, deadline)
            steps = [
                pool.submit(_step, {**base, "group.protocol": protocol}, pair, records, deadline)
                for protocol, pair in zip(PROTOCOLS, pairwise(WAY), strict=True)
            ]
            feeding.result()
            return min(step.result() for step in steps)
    except KafkaException as error:
        raise away(error, bootstrap) from error


def _make_topics(base: Mapping[str, Any]) -> None:
    policies = dict.fromkeys(WAY, "delete") | {WAY[-1]: "compact"}
    wanted = [
        NewTopic(name, num_partitions=4, replication_factor=1,
                 config={"cleanup.policy": policy, "message.timestamp.type": "LogAppendTime"})
        for name, policy in policies.items()
    ]  # fmt: skip
    admin = AdminClient(dict(base))
    for made in admin.create_topics(wanted).values():
        made.result(CALL_S)


def _feed(base: Mapping[str, Any], records: int, deadline: Deadline) -> None:
    """Write one record after the other: what reads them is to ask for each, as where little comes in."""
    producer = Producer({**base, "enable.idempotence": True, "linger.ms": 0})
    for number in range(records):
        if deadline.passed():
            return
        producer.produce(WAY[0], os.urandom(RECORD_BYTES), str(number))
        producer.flush(CALL_S)


def _step(base: Mapping[str, Any], pair: tuple[str, str], records: int, deadline: Deadline) -> int:
    source, target = pair
    consumer = Consumer({**base, "group.id": source, "enable.auto.commit": False,
                         "auto.offset.reset": "earliest", "isolation.level": "read_committed"})  # fmt: skip
    consumer.subscribe([source])
    producers = [Producer({**base, "transactional.id": f"{source}.{turn}"}) for turn in range(IN_TURN)]
    for producer in producers:
        producer.init_transactions(deadline.left_s())
    done = 0
    while done < records and not deadline.passed():
        message = consumer.poll(POLL_S)
        # What cannot be read yet, of topics as new as these, can be a moment later; and if not, the time is over some day.
        if message is None or message.error():
            continue
        producer = producers[done % IN_TURN]
        producer.begin_transaction()
        producer.produce(target, message.value(), message.key())
        positions = consumer.position(consumer.assignment())
        producer.send_offsets_to_transaction(positions, consumer.consumer_group_metadata(), CALL_S)
        producer.commit_transaction(CALL_S)
        done += 1
    consumer.close()
    return done
