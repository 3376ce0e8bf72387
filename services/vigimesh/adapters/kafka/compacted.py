"""Reads a compacted topic to its end: how a stage gets its state back."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import confluent_kafka as ck

from vigimesh.adapters.kafka.client import CALL_S, raise_for
from vigimesh.errors import Transient

#: Seconds in which a compacted topic must be read to its end.
RESTORE_S = 60.0


def read_compacted(base: Mapping[str, Any], topic: str, partitions: Sequence[int]) -> dict[bytes, bytes]:
    """Return the newest committed value per key, read to the high watermark as it stands now.

    The end is asked for uncommitted: asked for committed, it stops before an open transaction, whose state would be missed.
    Raises `Transient` VM-1306 when the end is not reached in `RESTORE_S`: an open transaction holds it back.
    """
    asking = ck.Consumer({**base, "group.id": "vigimesh.restore", "isolation.level": "read_uncommitted"})
    consumer = ck.Consumer(
        {**base, "group.id": "vigimesh.restore", "enable.auto.commit": False, "isolation.level": "read_committed",
         "auto.offset.reset": "error", "enable.partition.eof": True, "fetch.wait.max.ms": 50}
    )  # fmt: skip
    try:
        ends, starts = {}, []
        for partition in partitions:
            low, high = asking.get_watermark_offsets(ck.TopicPartition(topic, partition), timeout=CALL_S)
            if high > low:
                ends[partition] = high
                starts.append(ck.TopicPartition(topic, partition, low))
        consumer.assign(starts)
        return _read_to(consumer, topic, ends)
    finally:
        asking.close()
        consumer.close()


def _read_to(consumer: ck.Consumer, topic: str, ends: dict[int, int]) -> dict[bytes, bytes]:
    newest: dict[bytes, bytes] = {}
    until_s = time.monotonic() + RESTORE_S
    while ends:
        if time.monotonic() > until_s:
            raise Transient("VM-1306", what=f"not read to the end in {RESTORE_S:.0f} s", where=topic,
                            todo="look for an open transaction on the topic")  # fmt: skip
        for message in consumer.consume(1_000, 0.05):
            error, partition, offset = message.error(), message.partition() or 0, message.offset() or 0
            if error is None:
                key, value = message.key() or b"", message.value()
                if value is None:
                    newest.pop(key, None)
                else:
                    newest[key] = value
                offset += 1
            elif error.code() != ck.KafkaError._PARTITION_EOF:
                raise_for(error, topic)
                continue
            # The end-of-partition event tells the offset behind commit markers, which are offsets without records;
            # with an open transaction it comes too early, and again when that has ended.
            if offset >= ends.get(partition, offset + 1):
                del ends[partition]
    return newest
