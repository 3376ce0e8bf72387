"""The records of the broker's topic `__transaction_state`, as the coordinator writes them.

Key and value are Kafka's own messages `TransactionLogKey` (version 0) and `TransactionLogValue`: version 0 of Kafka 0.11 and
later, version 1 where the cluster's feature `transaction.version` is at least 1 (Kafka 4.0 and later). A later version of
the value keeps what is read here only if its first fields do; one that is not known is refused, never guessed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from vigimesh.adapters.kafka.client import moment
from vigimesh.errors import Refused

TOPIC = "__transaction_state"

State = Literal[
    "empty", "ongoing", "prepare_commit", "prepare_abort", "complete_commit", "complete_abort", "dead",
    "prepare_epoch_fence",
]  # fmt: skip
#: By the number in the record.
STATES: tuple[State, ...] = (
    "empty", "ongoing", "prepare_commit", "prepare_abort", "complete_commit", "complete_abort", "dead",
    "prepare_epoch_fence",
)  # fmt: skip
#: States in which readers of committed records wait at the transaction's first record.
OPEN: frozenset[State] = frozenset({"ongoing", "prepare_commit", "prepare_abort", "prepare_epoch_fence"})

#: Versions of the value that are read.
VERSIONS = (0, 1)
#: Topics, and partitions of one, that a record may name: beyond it is damaged.
MOST = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """What the coordinator last wrote of a transactional id. `started_at` is missing when none has begun."""

    id: str
    state: State
    producer_id: int
    epoch: int
    timeout_ms: int
    updated_at: datetime
    started_at: datetime | None
    partitions: tuple[tuple[str, int], ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether readers of committed records wait for it."""
        return self.state in OPEN


def id_of(key: bytes) -> str | None:
    """Return the transactional id in a record's key; `None` for a key of another version."""
    if len(key) < 4 or struct.unpack_from(">h", key)[0] != 0:
        return None
    return key[4:].decode("utf-8", "replace")


def transaction_of(transactional_id: str, value: bytes) -> Transaction:
    """Return what a record's value says; raises `Refused` VM-1723 for a version or bytes that are not known."""
    reader = _Reader(value)
    try:
        version = reader.number(">h")
        if version not in VERSIONS:
            raise Refused("VM-1723", what=f"the broker writes version {version} of its transaction records, known are 0 and 1",
                          where=TOPIC, todo="use the broker's own tools, or a newer version of this one")  # fmt: skip
        reader.flexible = version >= 1
        producer_id, epoch, timeout_ms = reader.number(">q"), reader.number(">h"), reader.number(">i")
        state = STATES[reader.number(">b")]
        partitions = reader.partitions()
        updated_ms, started_ms = reader.number(">q"), reader.number(">q")
        updated_at, started_at = moment(updated_ms), moment(started_ms) if started_ms >= 0 else None
    except (struct.error, IndexError, OverflowError, ValueError) as error:
        raise Refused("VM-1723", what=f"a record of {transactional_id} is cut off or damaged: {type(error).__name__}",
                      where=TOPIC, todo="use the broker's own tools") from error  # fmt: skip
    return Transaction(
        id=transactional_id, state=state, producer_id=producer_id, epoch=epoch, timeout_ms=timeout_ms,
        updated_at=updated_at, started_at=started_at, partitions=partitions,
    )  # fmt: skip


@dataclass(slots=True)
class _Reader:
    """Reads Kafka's types in order; `flexible` versions write lengths as variable numbers, one too high."""

    data: bytes
    at: int = 0
    flexible: bool = False

    def number(self, form: str) -> int:
        found: int = struct.unpack_from(form, self.data, self.at)[0]
        self.at += struct.calcsize(form)
        return found

    def varint(self) -> int:
        """Read an unsigned number, seven bits a byte, the lowest first."""
        found = 0
        for shift in range(0, 35, 7):
            byte = self.data[self.at]
            self.at += 1
            found |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return found
        raise OverflowError

    def length(self) -> int:
        """Read how many elements follow; none for a missing list."""
        found = self.varint() - 1 if self.flexible else self.number(">i")
        if found > MOST:
            raise OverflowError
        return max(0, found)

    def text(self) -> str:
        size = self.varint() - 1 if self.flexible else self.number(">h")
        if size < 0 or self.at + size > len(self.data):
            raise IndexError
        found = self.data[self.at : self.at + size].decode("utf-8", "replace")
        self.at += size
        return found

    def tags(self) -> None:
        """Pass over optional fields of flexible versions."""
        if self.flexible:
            for _ in range(self.varint()):
                self.varint()
                self.at += self.varint()

    def partitions(self) -> tuple[tuple[str, int], ...]:
        found = []
        for _ in range(self.length()):
            topic = self.text()
            found += [(topic, self.number(">i")) for _ in range(self.length())]
            self.tags()
        return tuple(found)
