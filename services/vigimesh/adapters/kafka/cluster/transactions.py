"""Transactions of a cluster: those that are open, how long already, and the end of one that nobody else will end.

The Kafka client has no call that lists transactions, so the coordinator's own topic is read, as any consumer reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]  # exported, undeclared

from vigimesh.adapters.kafka.client import away
from vigimesh.adapters.kafka.cluster.transaction_log import TOPIC, Transaction, id_of, transaction_of
from vigimesh.clock import Clock, Deadline
from vigimesh.errors import Refused, Transient

#: Seconds one question to the broker may take.
ASK_S = 15.0
#: Seconds to read the whole topic: it is compacted, but up to 200 MB a partition may wait for that; 100 MB take 1.5 s of CPU.
READ_S = 300.0
#: Records of one call to the client.
_BATCH = 5_000
#: Seconds for the coordinator to end a transaction: markers are written to every partition of it.
END_S = 30.0

#: The broker's setting that adds to every time-out, and its default.
CLEANUP = "transaction.abort.timed.out.transaction.cleanup.interval.ms"
CLEANUP_DEFAULT_MS = 10_000

_FORBIDDEN = {ck.KafkaError.TOPIC_AUTHORIZATION_FAILED, ck.KafkaError.CLUSTER_AUTHORIZATION_FAILED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Every transactional id that the cluster knows, by id, and the broker's clean-up interval (`None`: not told)."""

    transactions: Mapping[str, Transaction] = field(default_factory=dict)
    cleanup_ms: int | None = None
    #: Ids whose record is of a version that is not read here.
    unreadable: tuple[str, ...] = ()

    def due_at(self, transaction: Transaction) -> datetime | None:
        """Return when the broker should have ended it by itself: time-out plus clean-up interval after its beginning."""
        if transaction.started_at is None:
            return None
        cleanup_ms = CLEANUP_DEFAULT_MS if self.cleanup_ms is None else self.cleanup_ms
        return transaction.started_at + timedelta(milliseconds=transaction.timeout_ms + cleanup_ms)


def listing(base: Mapping[str, Any], clock: Clock) -> Listing:
    """Return the newest state of every transactional id.

    Raises `Transient` VM-1301 when the broker is away or too slow, `Refused` VM-1723 when it does not let its topic be read.
    """
    newest = _newest(base, clock)
    found, unreadable = {}, []
    for name, value in newest.items():
        try:
            found[name] = transaction_of(name, value)
        except Refused:
            unreadable.append(name)
    if unreadable and not found:
        transaction_of(unreadable[0], newest[unreadable[0]])
    return Listing(transactions=found, cleanup_ms=cleanup_ms(base), unreadable=tuple(unreadable))


def end(base: Mapping[str, Any], transaction: Transaction) -> None:
    """End an open transaction: a new producer of its id aborts it and fences the old one.

    One that was prepared to commit is committed first, as its producer asked. Raises `Transient` VM-1301 when the
    coordinator does not answer in `END_S`, `Fenced` VM-1303 when another producer came at the same time.
    """
    producer = ck.Producer(
        {
            **base,
            "transactional.id": transaction.id,
            "transaction.timeout.ms": max(1_000, transaction.timeout_ms),
        }
    )
    try:
        producer.init_transactions(END_S)
    except ck.KafkaException as error:
        raise away(error, transaction.id) from error


def cleanup_ms(base: Mapping[str, Any]) -> int | None:
    """Return the longest clean-up interval of the brokers, `None` when they do not tell."""
    admin = AdminClient(dict(base))
    try:
        brokers = admin.list_topics(timeout=ASK_S).brokers
        asked = [ConfigResource(ConfigResource.Type.BROKER, str(number)) for number in brokers]
        answers = admin.describe_configs(asked, request_timeout=ASK_S)
        return max(int(answers[one].result(ASK_S)[CLEANUP].value) for one in asked)
    except (ck.KafkaException, KeyError, ValueError, TypeError, TimeoutError):
        return None


def _newest(base: Mapping[str, Any], clock: Clock) -> dict[str, bytes]:
    """Read the topic to its end as it stands now; an id with a tombstone is gone."""
    consumer = ck.Consumer(
        {**base, "group.id": "vigimesh.transactions", "enable.auto.commit": False, "auto.offset.reset": "earliest",
         "isolation.level": "read_uncommitted", "enable.partition.eof": True, "fetch.wait.max.ms": 50}
    )  # fmt: skip
    newest: dict[str, bytes] = {}
    deadline = Deadline.after(clock, READ_S)
    try:
        # No topic: no producer with a transactional id has ever connected.
        known = consumer.list_topics(timeout=ASK_S).topics
        left = set(known[TOPIC].partitions) if TOPIC in known else set()
        consumer.assign([ck.TopicPartition(TOPIC, number, ck.OFFSET_BEGINNING) for number in left])
        while left:
            if deadline.passed():
                raise Transient("VM-1301", what=f"not read to its end in {READ_S:g} s", where=TOPIC,
                                todo="look whether the broker is overloaded, then try again")  # fmt: skip
            for message in consumer.consume(_BATCH, 0.2):
                if _ended(message):
                    left.discard(message.partition() or 0)
                    continue
                name = id_of(message.key() or b"")
                value = message.value()
                if name is not None and value is None:
                    newest.pop(name, None)
                elif name is not None and value is not None:
                    newest[name] = value
    except ck.KafkaException as error:
        raise away(error, str(base.get("bootstrap.servers", ""))) from error
    finally:
        consumer.close()
    return newest


def _ended(message: ck.Message) -> bool:
    """Return whether a message says that its partition was read to the end; raises what an error means."""
    error = message.error()
    if error is None:
        return False
    if error.code() == ck.KafkaError._PARTITION_EOF:
        return True
    if error.code() in _FORBIDDEN:
        raise Refused("VM-1723", what=f"the broker does not let {TOPIC} be read: {error.name()}", where=TOPIC,
                      todo="grant this user the right to read it, or use the service's own tools")  # fmt: skip
    raise away(ck.KafkaException(error), TOPIC)
