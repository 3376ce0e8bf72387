"""Tells everybody of a document that changed: `knowledge.changed`, with its record in `audit`, in one transaction.

What is to be told was written with the change itself (`ports.Library.unannounced`), so that nothing is forgotten, whatever stops
whom. Told twice it does no harm: the ids come from the change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from vigimesh.background.librarian.records import record
from vigimesh.background.librarian.run import NAME
from vigimesh.clock import Clock
from vigimesh.events import ids
from vigimesh.events.classes import AuditRecorded
from vigimesh.events.codec import Codec
from vigimesh.events.knowledge import DocumentVersioned
from vigimesh.events.topics import topic
from vigimesh.loop.broker import Desk, Write
from vigimesh.ports import Library

#: Changes of one transaction: two records of under 1 kB each.
MAX_CHANGES = 100
#: Seconds between two looks: how long a changed label may be served from a cache when nobody announced it at once.
EVERY_S = 1.0
_CHANGED, _AUDIT = topic("knowledge.changed"), topic("audit")


@dataclass(slots=True, kw_only=True)
class Announce:
    """The duty that empties the outbox. Several may run, in librarians and commands."""

    library: Library
    desk: Desk
    codec: Codec
    clock: Clock
    name: str = field(default="announce", init=False)
    every_s: float = field(default=EVERY_S, init=False)

    async def step(self) -> int:
        """Announce what is not announced yet, and return how many changes that were.

        Raises what the desk raises, `Transient` VM-1501 when the library is away: then it is told again.
        """
        told = 0
        while changes := await asyncio.to_thread(self.library.unannounced, MAX_CHANGES):
            at = self.clock.now()
            await self.desk.write([write for one in changes for write in announcement(self.codec, one, at)])
            await asyncio.to_thread(self.library.announced, changes)
            told += len(changes)
        return told


def announcement(codec: Codec, change: DocumentVersioned, at: datetime) -> Sequence[Write]:
    """Return the records of a change: who brought or withdrew which version, instead of which, and why."""
    named = f"{change.document_id}@{change.version}{' withdrawn' if change.withdrawn else ''}"
    event_id = ids.event_id(named, NAME, 1, 0)
    value = codec.encode(_CHANGED, change)
    audit = AuditRecorded(
        case_id="", message_id="", event_id=event_id, stage=NAME, actor=change.by,
        action="withdrawn" if change.withdrawn else "ingested", why=change.reason or "a document came",
        input_digest=change.digest, outputs=(event_id,),
        earlier=f"{change.document_id}@{change.supersedes}" if change.supersedes else "",
        new="withdrawn" if change.withdrawn else f"{change.document_id}@{change.version}",
    )  # fmt: skip
    return (
        record(codec, (_CHANGED, event_id), change.document_id, value, at),
        record(
            codec,
            (_AUDIT, ids.event_id(named, NAME, 1, -1)),
            change.document_id,
            codec.encode(_AUDIT, audit),
            at,
        ),
    )
