"""What a worker is made of, and the values that pass between the six calls of its loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from vigimesh.clock import Clock
from vigimesh.events.bodies import Carried
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope
from vigimesh.loop.broker import Consumer, Part, Producer, Record, Write
from vigimesh.loop.health import Health
from vigimesh.loop.orders import NoOrders, Orders
from vigimesh.loop.outcome import Input, Need, Outcome
from vigimesh.loop.progress import Progress
from vigimesh.loop.stage import Stage
from vigimesh.loop.table import Table
from vigimesh.loop.telemetry import Telemetry

#: Records of a poll. Measured: larger batches bring no more throughput, smaller ones cost it.
MAX_BATCH = 500
#: Finished records from which a transaction is worth beginning while the one before is ending. Below, it would only wait
#: behind that one, without the records that come meanwhile, and take what all transactions of a machine wait for (docs/decisions/0073).
OVERLAP = 100
#: Records in hand of one worker, beyond which it fetches no more: what a restart has to do again stays small.
MAX_OPEN = 2_000
#: Seconds an empty poll waits: bounds how late SIGTERM is seen.
POLL_S = 0.2
#: Seconds that a turn may take where urgent and other topics share a worker: an urgent record waits no longer.
TURN_S = 0.02
#: Records of a turn at least, whatever they take: below, transactions would be all the work.
MIN_BATCH = 25
#: Bytes of a value that may travel in a record; above, it goes to the object store.
INLINE_BYTES = 64 * 1024
#: Largest record the topics take, minus room for key and headers (`max.message.bytes` is 4 MiB).
RECORD_BYTES = 4 * 1024 * 1024 - 64 * 1024
#: Tries of one record before it is given up as a dead letter.
MAX_ATTEMPTS = 10
#: Transactions aborted in a row after which partitions are tried one by one: one abort alone passes by itself.
REFUSED = 2
#: Seconds after which a transaction that does not end stops the process: three times what a call to the broker may take.
STUCK_S = 30.0
#: Seconds without a commit after which positions are committed again, so that monitors outside see life.
RECOMMIT_S = 5.0
#: Seconds between tries while a source or the broker is away, at first and at most.
BACKOFF_S, MAX_BACKOFF_S = 0.1, 5.0
#: Seconds that work in hand has to finish after SIGTERM; what takes longer is done again by the next process.
STOP_S = 10.0

#: Stores bytes and returns their digest; for what is too large for a record.
Spill = Callable[[bytes], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One stage at work in one group.

    `topics` are its inputs, most urgent first; `instance` is part of the transactional ids and names the actor in audit;
    the two `producers` take turns, the second while the first is ending when at least `overlap` records are finished.
    """

    stage: Stage
    group: str
    topics: tuple[str, ...]
    instance: str
    consumer: Consumer
    producers: tuple[Producer, Producer]
    codec: Codec
    spill: Spill
    telemetry: Telemetry
    health: Health
    clock: Clock
    table: Table | None = None
    orders: Orders = field(default_factory=NoOrders)
    overlap: int = OVERLAP

    @property
    def lane(self) -> str:
        """The lane as metrics show it: `all` for router and supervisor."""
        return self.stage.lane or "all"


class Job(msgspec.Struct, kw_only=True, eq=False):
    """A record in hand. `place` is its partition in the assignment it was taken under: lost with it.

    `key` is what is worked on, and written, in order: the same key of one partition, whichever topic it came by. This and
    what it becomes are structs, since each record makes both.
    """

    record: Record
    key: tuple[int, bytes]
    place: Progress
    envelope: Envelope
    taken_s: float
    input: Input | None = None
    #: The bytes of what its event hands on: good as long as `input` is here.
    carried: Carried = msgspec.field(default_factory=dict)
    answers: dict[str, Any] = msgspec.field(default_factory=dict)
    needs: tuple[Need, ...] = ()
    rounds: int = 0
    attempt: int = 1
    refused: Outcome | None = None

    @property
    def begun(self) -> bool:
        """Whether something was fetched for it already, which another worker would have to fetch again."""
        return self.rounds > 0


class Ended(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of a record, as it is counted: `action` as audit names it, workflow and lane it counts under, and what it sent.

    `code` is the error code of one that was rejected; `sent` has topic, workflow and lane of each event that was handed on.
    """

    action: str
    label: tuple[str, str]
    code: str = ""
    sent: tuple[tuple[str, str, str], ...] = ()


class Work(msgspec.Struct, kw_only=True, eq=False):
    """Finished work on a record: the records that say what became of it. `key` is that of its job. Nobody changes it.

    It does not hold the event nor what was made of it: hundreds wait for the end of their transaction, and what is let go of
    at once is cheap.
    """

    record: Record
    key: tuple[int, bytes]
    envelope: Envelope
    place: Progress
    taken_s: float
    #: W3C ids of the trace it belongs to and of the span of this stage's work on it.
    trace_id: str
    span_id: str
    writes: tuple[Write, ...]
    ended: Ended


class Bundle(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """All that one transaction holds: finished work, how often it ended how, and the partitions whose positions go with it."""

    works: tuple[Work, ...]
    writes: tuple[Write, ...]
    ended: Mapping[Ended, int]
    places: dict[Part, Progress]
    started_s: float
