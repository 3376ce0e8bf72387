"""A record of a topic as the record rooms read it: where it lies, when it was appended, what its headers say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from vigimesh.events import ids
from vigimesh.events.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Row:
    """One committed record. `value` is `None` for a tombstone; `at` is the broker's append time, UTC.

    `unread` is its `unread_id` where the value was let go of.
    """

    topic: str
    partition: int
    offset: int
    at: datetime
    key: str
    headers: Envelope
    value: bytes | None
    unread: str = ""

    @property
    def unread_id(self) -> str:
        """Return what it is called if no stage could read it."""
        return self.unread or ids.unread_id(self.headers.id, self.key.encode(), self.value or b"")

    @property
    def place(self) -> str:
        """Return `TOPIC-PARTITION-OFFSET`: what a record is called that has no id of its own."""
        return f"{self.topic}-{self.partition}-{self.offset}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFact:
    """What the checker takes from an `audit` record: which event was worked on, how it ended, what was handed on."""

    event_id: str
    message_id: str
    stage: str
    action: str
    outputs: tuple[str, ...] = ()
