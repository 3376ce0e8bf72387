"""A record that could not be worked on, as an event that keeps its bytes and its cause."""

from __future__ import annotations

from vigimesh.events.classes import EventDeadLettered, EventParked, Header
from vigimesh.events.envelope import Headers
from vigimesh.loop.broker import Record
from vigimesh.loop.outcome import Park, Reject
from vigimesh.loop.worker import RECORD_BYTES, Job, Spill

#: Characters of a cause that are kept.
_CAUSE_CHARS = 1_000
#: Bytes of a record that are kept inside the event: half of what a record may hold, so that it always fits.
_KEPT_BYTES = RECORD_BYTES // 2


def dead_letter(job: Job, outcome: Reject, stage: str, spill: Spill) -> EventDeadLettered:
    """Return the dead letter of a record; its bytes go to the object store when they fill a record by themselves."""
    record, envelope = job.record, job.envelope
    large = _large(record)
    return EventDeadLettered(
        event_id=envelope.id,
        topic=record.part.topic,
        partition=record.part.partition,
        offset=record.offset,
        stage=stage,
        code=outcome.code,
        cause=outcome.why[:_CAUSE_CHARS],
        attempt=job.attempt,
        message_id=envelope.messageid,
        workflow=envelope.workflow,
        lane=envelope.lane,
        appended_at=record.at,
        key=record.key,
        headers=_headers(record.headers),
        value=b"" if large else record.value,
        value_ref=spill(record.value) if large else "",
    )


def parked(job: Job, outcome: Park, spill: Spill) -> EventParked:
    """Return the waiting event, as it was."""
    record, envelope = job.record, job.envelope
    large = _large(record)
    return EventParked(
        event_id=envelope.id,
        not_before=outcome.not_before,
        resume_topic=record.part.topic,
        reason=outcome.why,
        workflow=envelope.workflow,
        key=record.key,
        headers=_headers(record.headers),
        value=b"" if large else record.value,
        value_ref=spill(record.value) if large else "",
    )


def _large(record: Record) -> bool:
    """Return whether the record's bytes fill an event by themselves; key and headers, which stay in it, count too."""
    aside = len(record.key) + sum(len(name) + len(value or b"") for name, value in record.headers)
    return len(record.value) + aside > _KEPT_BYTES


def _headers(headers: Headers) -> tuple[Header, ...]:
    return tuple(Header(name=name, value=value or b"") for name, value in headers)
