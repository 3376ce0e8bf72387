"""Topics and transactions in memory, as Kafka's log and transaction coordinator see them. Knows no members of groups.

What matters for exactly-once is kept: commit markers take offsets, a reader sees committed records up to the first open
transaction, an epoch per transactional id fences older producers, a transaction that lasts too long is aborted, group
positions are part of the transaction, and of two transactions that wrote positions of a partition the one that wrote
last wins, whichever ends last.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from vigimesh.clock import Clock
from vigimesh.errors import Fenced, Transient
from vigimesh.events.envelope import Headers
from vigimesh.loop.broker import TRANSACTION_S, Part, Position, Record, Write

#: Characters of metadata that the broker takes with a position (`offset.metadata.max.bytes`).
METADATA_CHARS = 4096


@dataclass(slots=True)
class _Entry:
    key: bytes
    value: bytes | None
    headers: Headers
    at: datetime
    state: str  # open, committed, aborted, marker, or gone (compacted or deleted)


@dataclass(slots=True)
class _Transaction:
    since_s: float
    parts: dict[Part, list[int]] = field(default_factory=dict)
    positions: dict[Part, tuple[int, Position]] = field(default_factory=dict)
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndTxn:
    """A request to end the transaction that is open under an id and an epoch. It says not which one."""

    transactional_id: str
    epoch: int
    commit: bool


class MemoryLog:
    """Topics with `partitions` each; records stay until they are compacted or deleted."""

    def __init__(
        self, topics: Sequence[str], clock: Clock, *, partitions: int = 4, record_bytes: int = 4 << 20
    ) -> None:
        """Create the topics, empty. `record_bytes` is the largest value a topic takes."""
        self.clock = clock
        self.partitions = partitions
        self.record_bytes = record_bytes
        self._log: dict[Part, list[_Entry]] = {Part(t, p): [] for t in topics for p in range(partitions)}
        self._committed: dict[tuple[str, Part], tuple[int, Position]] = {}
        self._epochs: dict[str, int] = {}
        self._open: dict[str, _Transaction] = {}
        self._ended: dict[str, bool] = {}
        self._appends = 0

    def changed(self) -> None:
        """Called when readers may find something new; a broker with members wakes them here."""

    # Records.

    def partition_of(self, key: bytes) -> int:
        """Return the partition of a key; equal keys go to equal partitions of all topics."""
        return zlib.crc32(key) % self.partitions

    def append(self, write: Write, *, partition: int | None = None) -> Part:
        """Append a record outside any transaction, as an upstream producer does."""
        part = Part(write.topic, self.partition_of(write.key) if partition is None else partition)
        self._log[part].append(_Entry(write.key, write.value, write.headers, self.clock.now(), "committed"))
        self.changed()
        return part

    def committed_records(self, topic: str) -> list[Record]:
        """Return all records a read-committed reader sees, partition by partition; a tombstone has no bytes."""
        return [r for p in range(self.partitions) for r in self.read(Part(topic, p), 0, 1 << 30)[0]]

    def read(self, part: Part, offset: int, limit: int) -> tuple[list[Record], int]:
        """Return at most `limit` committed records from `offset` on and the next offset to read."""
        self.time_out()
        found: list[Record] = []
        log = self._log[part]
        while offset < len(log) and len(found) < limit and log[offset].state != "open":
            entry = log[offset]
            if entry.state == "committed":
                found.append(
                    Record(part=part, offset=offset, key=entry.key, value=entry.value or b"",
                           headers=entry.headers, at=entry.at)
                )  # fmt: skip
            offset += 1
        return found, offset

    def at_end(self, part: Part, offset: int) -> bool:
        """Return whether a read-committed reader at `offset` has read all there is now."""
        log = self._log[part]
        return offset >= len(log) or log[offset].state == "open"

    def end_offset(self, part: Part) -> int:
        """Return the offset after the last record or marker (the high watermark)."""
        return len(self._log[part])

    def newest(self, topic: str, partitions: Sequence[int]) -> dict[bytes, bytes]:
        """Return the newest committed value per key; raises `Transient` VM-1306 when an open transaction is in the way."""
        self.time_out()
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

    def compact(self, part: Part) -> None:
        """Remove what a newer record of its key replaces, and aborted records; offsets stay as they are (gaps).

        As on Kafka nothing from the first open transaction on is touched, and neither is the last offset.
        """
        self.time_out()
        log = self._log[part]
        until = next((at for at, entry in enumerate(log) if entry.state == "open"), len(log) - 1)
        newest = {entry.key: at for at, entry in enumerate(log[:until]) if entry.state == "committed"}
        for at, entry in enumerate(log[:until]):
            if entry.state == "aborted" or (entry.state == "committed" and newest[entry.key] != at):
                entry.state, entry.value = "gone", None

    # Transactions, as the coordinator sees them.

    def init_producer(self, transactional_id: str) -> int:
        """Give a new epoch to the id; what an older producer left open is aborted."""
        if transactional_id in self._open:
            self._end(transactional_id, commit=False)
        self._ended.pop(transactional_id, None)
        self._epochs[transactional_id] = self._epochs.get(transactional_id, -1) + 1
        return self._epochs[transactional_id]

    def check(self, transactional_id: str, epoch: int) -> None:
        """Raise `Fenced` VM-1303 when a newer producer has the id, or its transaction was aborted for lasting too long."""
        self.time_out()
        if self._epochs.get(transactional_id) != epoch:
            raise Fenced("VM-1303", what="fenced by a newer process with the same instance name",
                         where=transactional_id)  # fmt: skip

    def add(self, transactional_id: str, write: Write) -> None:
        """Append a record to the open transaction of the id."""
        part = Part(write.topic, self.partition_of(write.key))
        transaction = self._begun(transactional_id)
        log = self._log[part]
        transaction.parts.setdefault(part, []).append(len(log))
        log.append(_Entry(write.key, write.value, write.headers, self.clock.now(), "open"))

    def add_positions(self, transactional_id: str, positions: Mapping[Part, Position], group: str) -> None:
        """Add a group's positions to the open transaction of the id; the members' rules have been looked at before."""
        for part, position in positions.items():
            if len(position.metadata) > METADATA_CHARS or not position.metadata.isascii():
                what = f"metadata of {len(position.metadata)} characters, at most {METADATA_CHARS} of ASCII"
                raise Transient("VM-1301", what=what, where=f"{part.topic}-{part.partition}")
        transaction = self._begun(transactional_id)
        self._appends += 1
        transaction.positions.update({part: (self._appends, pos) for part, pos in positions.items()})
        transaction.group = group

    def end(self, request: EndTxn) -> None:
        """End what is open under the id *now*, if the epoch is still the newest: a late request ends a later transaction.

        When nothing is open, a request that repeats how the last one ended is answered with success; another one raises
        `Fenced` VM-1303 (INVALID_TXN_STATE, which a client cannot go on after).
        """
        name = request.transactional_id
        self.check(name, request.epoch)
        if name in self._open:
            self._end(name, commit=request.commit)
        elif self._ended.get(name) is not request.commit:
            raise Fenced("VM-1303", what="the transaction has ended otherwise", where=name)

    def time_out(self) -> None:
        """Abort transactions that have lasted too long, and fence their producers."""
        if not self._open:
            return
        now_s = self.clock.monotonic_s()
        for name in [n for n, t in self._open.items() if now_s - t.since_s >= TRANSACTION_S]:
            self._end(name, commit=False)
            self._epochs[name] += 1

    def open_transactions(self) -> tuple[str, ...]:
        """Return the transactional ids under which something is open."""
        return tuple(self._open)

    def pending(self, group: str, part: Part) -> bool:
        """Return whether an open transaction holds a position of a group in a partition (`require_stable`)."""
        self.time_out()
        return any(t.group == group and part in t.positions for t in self._open.values())

    def _begun(self, transactional_id: str) -> _Transaction:
        return self._open.setdefault(transactional_id, _Transaction(self.clock.monotonic_s()))

    def _end(self, transactional_id: str, *, commit: bool) -> None:
        transaction = self._open.pop(transactional_id)
        self._ended[transactional_id] = commit
        for part, offsets in transaction.parts.items():
            for offset in offsets:
                self._log[part][offset].state = "committed" if commit else "aborted"
            self._log[part].append(_Entry(b"", b"", [], self.clock.now(), "marker"))
        if commit:
            for part, (written, position) in transaction.positions.items():
                place = (transaction.group, part)
                if written > self._committed.get(place, (0, position))[0]:
                    self._committed[place] = (written, position)
        self.changed()
