"""What a worker is made of, and the values that pass between the six calls of its loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from vigimesh.clock import Clock
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope
from vigimesh.loop.broker import Batch, Consumer, Part, Position, Producer, Record, Write
from vigimesh.loop.health import Health
from vigimesh.loop.outcome import Answers, Input, Outcome
from vigimesh.loop.stage import Stage
from vigimesh.loop.table import Table
from vigimesh.loop.telemetry import Telemetry

#: Records of a poll. Measured: larger batches bring no more throughput, smaller ones cost it (STACK part 5).
MAX_BATCH = 500
#: Seconds an empty poll waits: bounds how late SIGTERM is seen.
POLL_S = 0.2
#: Bytes of a value that may travel in a record; above, it goes to the object store (DESIGN part 4).
INLINE_BYTES = 64 * 1024
#: Largest record the topics take, minus room for key and headers (`max.message.bytes` is 4 MiB).
RECORD_BYTES = 4 * 1024 * 1024 - 64 * 1024
#: Tries of one record before it is given up as a dead letter.
MAX_ATTEMPTS = 10
#: Seconds a transaction may take before its end is doubted: half the transaction time-out of 10 s (DESIGN part 5).
DOUBT_S = 5.0
#: Seconds between tries while a source or the broker is away, at first and at most.
BACKOFF_S, MAX_BACKOFF_S = 0.1, 5.0

#: Stores bytes and returns their digest; for what is too large for a record.
Spill = Callable[[bytes], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One stage at work in one group.

    `topics` are its inputs, most urgent first; `instance` is part of the transactional id and names the actor in audit.
    """

    stage: Stage
    group: str
    topics: tuple[str, ...]
    instance: str
    consumer: Consumer
    producer: Producer
    codec: Codec
    spill: Spill
    telemetry: Telemetry
    health: Health
    clock: Clock
    table: Table | None = None

    @property
    def lane(self) -> str:
        """The lane as metrics show it: `all` for router and supervisor."""
        return self.stage.lane or "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A record with what became of it. `input` is missing when the bytes could not be decoded."""

    record: Record
    envelope: Envelope
    input: Input | None
    answers: Answers
    outcome: Outcome
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """All that one transaction holds."""

    works: tuple[Work, ...]
    writes: tuple[Write, ...]
    positions: dict[Part, Position]
    started_s: float


@dataclass(slots=True, kw_only=True)
class Progress:
    """What the loop remembers between batches: tries of records, partitions held (until monotonic seconds, from where) and owned."""

    attempts: dict[tuple[Part, int], int] = field(default_factory=dict)
    held: dict[Part, tuple[float, Position]] = field(default_factory=dict)
    owned: frozenset[Part] = frozenset()

    def forget(self, batch: Batch) -> None:
        """Let go of partitions that are not owned any more."""
        for part in batch.revoked:
            self.held.pop(part, None)
        self.attempts = {where: n for where, n in self.attempts.items() if where[0] not in batch.revoked}
