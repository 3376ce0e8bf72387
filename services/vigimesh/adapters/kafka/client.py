"""What Kafka clients here have in common: settings, and the meaning of errors as measured (see docs/decisions)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import confluent_kafka as ck

from vigimesh.errors import Broken, Fenced, Misconfigured, Transient

#: Seconds that a call to the broker may take before it counts as away.
CALL_S = 10.0
#: Largest record, as in `max.message.bytes` of the topics.
RECORD_BYTES = 4 * 1024 * 1024

_Code = ck.KafkaError
#: Errors that say that a newer process has taken over.
FENCED = frozenset(
    {_Code._FENCED, _Code.PRODUCER_FENCED, _Code.INVALID_PRODUCER_EPOCH, _Code.FENCED_INSTANCE_ID}
)


def common(bootstrap: str, extra: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings that every client shares; `extra` are librdkafka's own (security and the like).

    The client logs what ends it (0) and its transactions (1). Level 3 adds 20 lines a second while the broker is away, which
    the loop says itself.
    """
    return {"bootstrap.servers": bootstrap, "log_level": 2, "broker.address.family": "v4", **extra}


@lru_cache(maxsize=8)
def moment(ms: int) -> datetime:
    """Return a time of the broker's, which it tells in milliseconds, as UTC; raises `ValueError` for one no calendar holds.

    Kept, since the records that were appended together have the same.
    """
    return datetime.fromtimestamp(ms / 1_000, UTC)


def asker(base: Mapping[str, Any], group: str) -> ck.Consumer:
    """Return a consumer that asks where a group stands and never joins it.

    Read as committed, a group whose transactions follow each other without a gap would not answer: one is always open.
    """
    return ck.Consumer(
        {**base, "group.id": group, "enable.auto.commit": False, "isolation.level": "read_uncommitted"}
    )


def offsets_at(
    client: ck.Consumer, parts: Iterable[tuple[str, int]], at: int, timeout_s: float
) -> dict[tuple[str, int], int]:
    """Return the offset of each partition at `at`: `OFFSET_BEGINNING`, `OFFSET_END`, or the first since so many ms of the epoch.

    -1 where there is none since. The end is that of what the client's isolation level lets it read. Raises `KafkaException`.
    Not asked by an admin client, whose own question crashes the process when its time-out passes within the call (decision 0077).
    """
    asked = [ck.TopicPartition(topic, partition, at) for topic, partition in parts]
    found: dict[tuple[str, int], int] = {}
    for tp in client.offsets_for_times(asked, timeout=timeout_s) if asked else ():
        if tp.error is not None:
            raise ck.KafkaException(tp.error)
        found[tp.topic, tp.partition] = tp.offset
    return found


def raise_for(error: Any, where: str) -> None:
    """Raise what an error that a poll handed out means; nothing when the client goes on by itself."""
    code = error.code()
    if code == _Code._AUTO_OFFSET_RESET:
        raise Broken("VM-1305", what=f"no committed offset, or one outside the log: {error.str()}", where=where,
                     todo="vigimesh topics apply; when that changes nothing: vigimesh explain VM-1305")  # fmt: skip
    if code in (_Code.UNKNOWN_TOPIC_OR_PART, _Code._UNKNOWN_TOPIC, _Code._UNKNOWN_PARTITION):
        raise Misconfigured("VM-1007", what="topic does not exist", where=where, todo="vigimesh topics apply")
    if code in (_Code._FATAL, _Code.UNRELEASED_INSTANCE_ID):
        # Told once, and often without its own code; from then on polls give nothing. Mostly a static member's name twice.
        raise Fenced("VM-1303", what=f"the group refuses this process for good: {error.str()}", where=where,
                     todo="when two processes have one instance name stop one of the two; after a crash it passes with the session")  # fmt: skip
    if code in FENCED or error.fatal():
        raise fenced(error, where)
    if not error.retriable() and code not in (_Code._ALL_BROKERS_DOWN, _Code._TRANSPORT, _Code._TIMED_OUT):
        raise Transient("VM-1301", what=f"{error.name()}: {error.str()}", where=where,
                        todo="vigimesh stack status")  # fmt: skip


def fenced(error: Any, where: str) -> Fenced:
    """Return the error of one from whom the broker takes nothing more: the likelier cause first, since it tells neither."""
    what = f"fenced ({error.name()}): too slow for its transaction or group, or another process has its instance name"
    return Fenced("VM-1303", what=what, where=where,
                  todo="nothing when it passes; when it repeats: vigimesh explain VM-1303")  # fmt: skip


def away(error: ck.KafkaException, where: str) -> Transient | Fenced:
    """Return what an error of a call to the broker means."""
    cause = error.args[0]
    if cause.code() in FENCED or (cause.fatal() and not cause.txn_requires_abort()):
        return fenced(cause, where)
    return Transient("VM-1301", what=f"broker refused or cannot be reached: {cause.name()}: {cause.str()}", where=where,
                     todo="check the address and that the stack is up: vigimesh stack status")  # fmt: skip
