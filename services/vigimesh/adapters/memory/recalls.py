"""Advice recall in memory: the twins of `postgres/recalls` and `kafka/desks/recalls`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import NamedTuple

from vigimesh.adapters.kafka.desks.orders import write_whole
from vigimesh.adapters.kafka.desks.recalls import RECALL_TOPICS, RECALLING
from vigimesh.adapters.memory.broker import MemoryBroker, MemoryProducer
from vigimesh.domain.knowledge.recalling import Brought, Change, Use
from vigimesh.domain.record.rows import Row
from vigimesh.events.envelope import from_headers
from vigimesh.loop.broker import Producer, Write
from vigimesh.ports.recalls import Mark, Place


class Served(NamedTuple):
    """A row of `knowledge.used`: a passage of a document that a version of a case was given."""

    case_id: str
    message_id: str
    document_id: str
    version: str
    first: int
    last: int
    #: When its record was appended.
    at: datetime = datetime.min.replace(tzinfo=UTC)


@dataclass
class MemoryRecalls:
    """`ports.recalls.Recalls` over lists that a test fills."""

    brought: list[Brought] = field(default_factory=list)
    served: list[Served] = field(default_factory=list)
    marks: dict[tuple[str, str], Mark] = field(default_factory=dict)
    #: Documents of which a change was not announced yet.
    unannounced: set[str] = field(default_factory=set)

    def versions(self) -> Sequence[Brought]:
        """See `ports.recalls.Recalls`."""
        return list(self.brought)

    def uses(
        self, changes: Sequence[Change], after: Place, limit: int, *, settled: bool = False
    ) -> Sequence[Use]:
        """See `ports.recalls.Recalls`."""
        found: dict[Place, Use] = {}
        causes = {(one.document_id, version): one.cause for one in changes for version in one.stale}
        for row in self.served:
            cause = causes.get((row.document_id, row.version))
            place = row.case_id, row.message_id, row.document_id
            mark = self.marks.get((row.message_id, cause or ""))
            if cause is None or place <= after or (mark is not None and not settled):
                continue
            empty = Use(
                case_id=row.case_id, message_id=row.message_id, document_id=row.document_id, versions=(), passages=(),
                state=mark.state if mark else "found", why=mark.why if mark else "",
            )  # fmt: skip
            use = found.get(place, empty)
            passage = f"{row.document_id}@{row.version}#{row.first}-{row.last}"
            found[place] = replace(
                use,
                versions=tuple(sorted({*use.versions, row.version})),
                passages=tuple(sorted({*use.passages, passage})),
            )
        return [found[place] for place in sorted(found)[:limit]]

    def mark(self, marks: Sequence[Mark]) -> None:
        """See `ports.recalls.Recalls`."""
        for one in marks:
            self.marks.setdefault((one.use.message_id, one.cause), one)

    def forget_used(self, changes: Sequence[Change], before: datetime, most: int) -> int:
        """See `ports.recalls.Recalls`."""
        causes = {(one.document_id, version): one.cause for one in changes for version in one.stale}

        def old(row: Served) -> bool:
            mark = self.marks.get((row.message_id, causes.get((row.document_id, row.version), "")))
            told = row.document_id not in self.unannounced
            return told and mark is not None and row.at < before and mark.at < before

        left = sorted(filter(old, self.served), key=lambda row: row.at)[:most]
        self.served = [row for row in self.served if row not in left]
        return len(left)


class MemoryRecallDesk:
    """`ports.recalls.RecallDesk` on a memory broker."""

    def __init__(self, broker: MemoryBroker) -> None:
        """Take the broker; nobody is fenced yet."""
        self._broker = broker
        self._producer: Producer = MemoryProducer(broker, RECALLING)

    async def begin(self) -> None:
        """See `ports.recalls.RecallDesk`."""
        self._producer.expire()
        await self._producer.renew()

    async def read(self, cases: Collection[str]) -> Sequence[Row]:
        """See `ports.recalls.RecallDesk`."""
        found = []
        for name in RECALL_TOPICS:
            for one in self._broker.committed_records(name):
                key = one.key.decode("utf-8", "replace")
                if key in cases:
                    place = f"{name}-{one.part.partition}-{one.offset}"
                    headers = from_headers(one.headers, place)
                    found.append(Row(name, one.part.partition, one.offset, one.at, key, headers, one.value))
        return found

    async def write(self, writes: Sequence[Write]) -> None:
        """See `ports.recalls.RecallDesk`."""
        await write_whole(self._producer, writes, "read, then write again")

    async def close(self) -> None:
        """See `ports.recalls.RecallDesk`."""
        await self._producer.close()
