"""A broker in memory with Kafka's transactions: what parity and simulation run the real loop on.

It keeps what matters for exactly-once: offsets with commit markers, read-committed visibility up to the first open
transaction, aborts, one epoch per transactional id, group generations, group offsets inside the transaction. A hook is
called at each step with its name, so that a test can fail it there (`raise`) before or after it took effect.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from vigimesh.clock import Clock
from vigimesh.errors import Broken, Fenced, Transient
from vigimesh.events.envelope import Headers
from vigimesh.loop.broker import Batch, InDoubt, Part, Position, Record, TooLarge, Write

#: Called with the step's name (`poll`, `begin`, `write`, `offsets`, `commit.before`, `commit.after`, `abort`).
Hook = Callable[[str], None]


@dataclass(slots=True)
class _Entry:
    key: bytes
    value: bytes | None
    headers: Headers
    at: datetime
    state: str  # open, committed, aborted or marker


@dataclass(slots=True)
class _Transaction:
    parts: dict[Part, list[int]] = field(default_factory=dict)
    positions: dict[Part, Position] = field(default_factory=dict)
    group: str = ""


@dataclass(slots=True)
class _Group:
    topics: tuple[str, ...]
    members: list[MemoryConsumer] = field(default_factory=list)
    generation: int = 0
    offsets: dict[Part, Position] = field(default_factory=dict)


class MemoryBroker:
    """Topics with `partitions` each; records stay until the process ends."""

    def __init__(
        self, topics: Sequence[str], clock: Clock, *, partitions: int = 4, record_bytes: int = 4 << 20
    ) -> None:
        """Create the topics, empty."""
        self.clock = clock
        self.partitions = partitions
        self.record_bytes = record_bytes
        self.hook: Hook = lambda step: None
        self._log: dict[Part, list[_Entry]] = {Part(t, p): [] for t in topics for p in range(partitions)}
        self._groups: dict[str, _Group] = {}
        self._epochs: dict[str, int] = {}
        self._open: dict[str, _Transaction] = {}

    def init_group(self, group: str, topics: Sequence[str]) -> None:
        """Commit offset 0 for each partition that has none, as `topics apply` does."""
        state = self._groups.setdefault(group, _Group(tuple(topics)))
        for part in self._parts(topics):
            state.offsets.setdefault(part, Position(offset=0))

    def append(self, write: Write, *, partition: int | None = None) -> Part:
        """Append a record outside any transaction, as an upstream producer does."""
        part = Part(write.topic, self.partition_of(write.key) if partition is None else partition)
        self._log[part].append(_Entry(write.key, write.value, write.headers, self.clock.now(), "committed"))
        return part

    def partition_of(self, key: bytes) -> int:
        """Return the partition of a key; equal keys go to equal partitions of all topics."""
        return zlib.crc32(key) % self.partitions

    def committed_records(self, topic: str) -> list[Record]:
        """Return all records a read-committed reader sees, partition by partition."""
        return [r for p in range(self.partitions) for r in self.read(Part(topic, p), 0, 1 << 30)[0]]

    def read(self, part: Part, offset: int, limit: int) -> tuple[list[Record], int]:
        """Return at most `limit` committed records from `offset` on and the next offset to read."""
        found: list[Record] = []
        log = self._log[part]
        while offset < len(log) and len(found) < limit and log[offset].state != "open":
            entry = log[offset]
            if entry.state == "committed":
                found.append(
                    Record(
                        part=part,
                        offset=offset,
                        key=entry.key,
                        value=entry.value or b"",
                        headers=entry.headers,
                        at=entry.at,
                    )
                )
            offset += 1
        return found, offset

    def newest(self, topic: str, partitions: Sequence[int]) -> dict[bytes, bytes]:
        """Return the newest committed value per key; raises `Transient` VM-1306 when an open transaction is in the way."""
        found: dict[bytes, bytes] = {}
        for partition in partitions:
            log = self._log[Part(topic, partition)]
            if any(entry.state == "open" for entry in log):
                raise Transient("VM-1306", what="an open transaction holds the end back", where=topic)
            for entry in log:
                if entry.state == "committed" and entry.value is None:
                    found.pop(entry.key, None)
                elif entry.state == "committed":
                    found[entry.key] = entry.value or b""
        return found

    # Transactions, as the coordinator sees them.

    def init_producer(self, transactional_id: str) -> int:
        """Give a new epoch to the id; what an older producer left open is aborted."""
        if transactional_id in self._open:
            self._end(transactional_id, commit=False)
        self._epochs[transactional_id] = self._epochs.get(transactional_id, -1) + 1
        return self._epochs[transactional_id]

    def check(self, transactional_id: str, epoch: int) -> None:
        """Raise `Fenced` when a newer producer has the id."""
        if self._epochs.get(transactional_id) != epoch:
            raise Fenced(
                "VM-1303",
                what="fenced by a newer process with the same instance name",
                where=transactional_id,
            )

    def add(self, transactional_id: str, write: Write) -> None:
        """Append a record to the open transaction of the id."""
        part = Part(write.topic, self.partition_of(write.key))
        transaction = self._open.setdefault(transactional_id, _Transaction())
        log = self._log[part]
        transaction.parts.setdefault(part, []).append(len(log))
        log.append(_Entry(write.key, write.value, write.headers, self.clock.now(), "open"))

    def add_offsets(
        self, transactional_id: str, positions: Mapping[Part, Position], group: tuple[str, int, Any]
    ) -> None:
        """Add positions; refused when the member lost a partition since its metadata was captured."""
        name, generation, member = group
        state = self._groups[name]
        kept = {part for part, since in member.since.items() if since <= generation}
        if member not in state.members or not set(positions) <= kept:
            raise Transient("VM-1301", what="stale generation for a partition that was lost", where=name)
        transaction = self._open.setdefault(transactional_id, _Transaction())
        transaction.positions.update(positions)
        transaction.group = name

    def end(self, transactional_id: str, *, commit: bool) -> None:
        """End the open transaction, if there is one."""
        if transactional_id in self._open:
            self._end(transactional_id, commit=commit)

    def _end(self, transactional_id: str, *, commit: bool) -> None:
        transaction = self._open.pop(transactional_id)
        for part, offsets in transaction.parts.items():
            for offset in offsets:
                self._log[part][offset].state = "committed" if commit else "aborted"
            self._log[part].append(_Entry(b"", b"", [], self.clock.now(), "marker"))
        if commit and transaction.group:
            self._groups[transaction.group].offsets.update(transaction.positions)

    # Groups.

    def offsets(self, group: str) -> dict[Part, Position]:
        """Return the committed positions of a group."""
        return dict(self._groups[group].offsets)

    def join(self, group: str, member: MemoryConsumer) -> None:
        """Let a member in and share the partitions anew."""
        self._groups[group].members.append(member)
        self._rebalance(self._groups[group])

    def leave(self, group: str, member: MemoryConsumer) -> None:
        """Let a member go and share its partitions among the rest."""
        state = self._groups[group]
        if member in state.members:
            state.members.remove(member)
            member.give(frozenset(), state.generation)
            self._rebalance(state)

    def _rebalance(self, state: _Group) -> None:
        state.generation += 1
        for at, member in enumerate(state.members):
            own = {p for p in self._parts(state.topics) if p.partition % len(state.members) == at}
            member.give(frozenset(own), state.generation)

    def _parts(self, topics: Sequence[str]) -> list[Part]:
        return [Part(topic, partition) for topic in topics for partition in range(self.partitions)]


class MemoryConsumer:
    """`loop.broker.Consumer` on a memory broker; partition i of all its topics always comes together."""

    def __init__(self, broker: MemoryBroker, group: str, topics: Sequence[str]) -> None:
        """Join at the first poll."""
        self._broker = broker
        self._group = group
        self._topics = tuple(topics)
        self._joined = False
        self._generation = 0
        self._next: dict[Part, int] = {}
        self._given: frozenset[Part] = frozenset()
        self._held: set[Part] = set()
        self.since: dict[Part, int] = {}

    def give(self, parts: frozenset[Part], generation: int) -> None:
        """Take a new assignment; it is seen at the next poll, but lost partitions count as lost at once."""
        self._given = parts
        self._generation = generation
        self.since = {part: self.since.get(part, generation) for part in parts}

    async def poll(self, max_records: int, timeout_s: float) -> Batch:
        """See `loop.broker.Consumer`. Never waits for records, but lets the event loop's other tasks have their turn."""
        await asyncio.sleep(0)
        self._broker.hook("poll")
        if not self._joined:
            self._joined = True
            self._broker.join(self._group, self)
        owned = frozenset(self._next)
        gained, lost = self._given - owned, owned - self._given
        for part in lost:
            self._next.pop(part)
            self._held.discard(part)
        committed = self._broker.offsets(self._group)
        for part in gained:
            if part not in committed:
                raise Broken("VM-1305", what="no committed offset", where=f"{part.topic}-{part.partition}",
                             todo="vigimesh topics apply")  # fmt: skip
            self._next[part] = committed[part].offset
        records: list[Record] = []
        for part in sorted(self._next):
            if part not in self._held:
                found, self._next[part] = self._broker.read(
                    part, self._next[part], max_records - len(records)
                )
                records.extend(found)
        return Batch(
            records=tuple(records), owned=frozenset(self._next), assigned=gained, revoked=lost,
            group=(self._group, self._generation, self),
        )  # fmt: skip

    async def committed(self, parts: Sequence[Part]) -> Mapping[Part, Position]:
        """See `loop.broker.Consumer`."""
        self._broker.hook("committed")
        return {p: o for p, o in self._broker.offsets(self._group).items() if p in set(parts)}

    def seek(self, positions: Mapping[Part, Position]) -> None:
        """See `loop.broker.Consumer`."""
        self._next.update({part: pos.offset for part, pos in positions.items() if part in self._next})

    def hold(self, part: Part) -> None:
        """See `loop.broker.Consumer`."""
        if part in self._next:
            self._held.add(part)

    def unhold(self, part: Part, position: Position) -> None:
        """See `loop.broker.Consumer`."""
        self._held.discard(part)
        self.seek({part: position})

    async def restore(self, topic: str, partitions: Sequence[int]) -> Mapping[bytes, bytes]:
        """See `loop.broker.Consumer`; an open transaction in the way is `Transient` at once."""
        self._broker.hook("restore")
        return self._broker.newest(topic, partitions)

    async def close(self) -> None:
        """See `loop.broker.Consumer`."""
        self._broker.leave(self._group, self)


class MemoryProducer:
    """`loop.broker.Producer` on a memory broker."""

    def __init__(self, broker: MemoryBroker, transactional_id: str) -> None:
        """Take an epoch at the first `renew`."""
        self._broker = broker
        self._id = transactional_id
        self._epoch: int | None = None

    def expire(self) -> None:
        """See `loop.broker.Producer`."""
        self._epoch = None

    async def renew(self) -> None:
        """See `loop.broker.Producer`."""
        if self._epoch is None:
            self._broker.hook("renew")
            self._epoch = self._broker.init_producer(self._id)

    def begin(self) -> None:
        """See `loop.broker.Producer`."""
        self._check("begin")

    def write(self, record: Write) -> None:
        """See `loop.broker.Producer`."""
        self._check("write")
        if len(record.value) > self._broker.record_bytes:
            raise TooLarge(
                "VM-1005", what=f"record of {len(record.value)} bytes is too large", where=record.topic
            )
        self._broker.add(self._id, record)

    async def send_offsets(self, positions: Mapping[Part, Position], group: Any) -> None:
        """See `loop.broker.Producer`."""
        self._check("offsets")
        self._broker.add_offsets(self._id, positions, group)

    async def commit(self) -> None:
        """See `loop.broker.Producer`."""
        self._check("commit.before")
        self._broker.end(self._id, commit=True)
        self._broker.hook("commit.after")

    async def abort(self) -> None:
        """See `loop.broker.Producer`."""
        self._check("abort")
        self._broker.end(self._id, commit=False)

    async def close(self) -> None:
        """See `loop.broker.Producer`."""
        self._epoch = None

    def _check(self, step: str) -> None:
        if self._epoch is None:
            raise InDoubt("VM-1302", what="no producer that is trusted", where=self._id)
        self._broker.hook(step)
        self._broker.check(self._id, self._epoch)
