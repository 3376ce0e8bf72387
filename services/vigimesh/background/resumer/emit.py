"""What one parked event becomes in a transaction: itself again or a dead letter, its tombstone, and who did it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from vigimesh.background.resumer.shelf import Fault
from vigimesh.domain.budget.waiting import waits_for_money
from vigimesh.events import ids
from vigimesh.events.classes import AuditRecorded, EventDeadLettered, EventParked, FlowCounted, Header
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope, from_headers, source_of, to_headers, traceparent_of
from vigimesh.events.topics import BY_NAME, STAGES, inputs_of, topic
from vigimesh.loop.broker import Record, Write
from vigimesh.loop.worker import RECORD_BYTES
from vigimesh.ports import Spot

#: What this process is called in audit, flow, metrics and transactional ids.
STAGE = "resumer"
PARKED = topic("parked")
#: Where an event may go back to: what a stage reads.
RESUMABLE = frozenset(name for stage in STAGES for name in inputs_of(stage, None))
#: Characters of a cause that are kept in a dead letter.
_CAUSE_CHARS = 1_000
#: Bytes of a parked record that are kept inside its dead letter: half of what a record may hold, so that it always fits.
_KEPT_BYTES = RECORD_BYTES // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """What all records of one transaction share."""

    codec: Codec
    instance: str
    now: datetime
    #: Stores bytes and returns their digest, for what is too large for a record.
    spill: Callable[[bytes], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """One event's part of a transaction. `to` is the topic it went back to, empty when it became a dead letter."""

    spot: Spot
    key: bytes
    writes: tuple[Write, ...]
    workflow: str
    lane: str
    to: str = ""
    code: str = ""


def resumption(making: Making, record: Record, event: EventParked, body: bytes) -> Resumption:
    """Return an event as it was on its way back, its tombstone and its audit."""
    headers = [(header.name, header.value) for header in event.headers]
    original = from_headers(headers, event.event_id)
    early = event.not_before > making.now
    lifted = "its budget was raised" if waits_for_money(event.reason) else "its pause was lifted"
    waited = f"called back, since {lifted}, before" if early else "waited until"
    audit = AuditRecorded(
        case_id=event.key.decode("utf-8", "replace"), message_id=original.messageid, event_id=event.event_id,
        stage=STAGE, actor=making.instance, action="resumed",
        why=f"{waited} {event.not_before.isoformat()}: {event.reason}", input_digest=ids.digest(body),
        outputs=(event.event_id,),
    )  # fmt: skip
    own = Envelope(
        id="", source="", type="", time=making.now, subject="", messageid=original.messageid,
        workflow=event.workflow or original.workflow, lane=original.lane, cause=original.cause,
    )  # fmt: skip
    return Resumption(
        spot=Spot(record.part, record.offset),
        key=record.key,
        writes=(
            Write(topic=event.resume_topic, key=event.key, value=body, headers=headers),
            _tombstone(making, record, own),
            _audit(making, record, audit, own),
        ),
        workflow=own.workflow,
        lane=own.lane,
        to=event.resume_topic,
    )


def given_up(making: Making, record: Record, fault: Fault) -> Resumption:
    """Return a parked record as a dead letter that keeps its bytes, its tombstone and its audit.

    The dead letter names the record on `parked`, so that a redrive parks it again. Raises what `spill` raises.
    """
    own = from_headers(record.headers, record.key.decode("utf-8", "replace"))
    event_id = record.key.decode("utf-8", "replace")
    large = len(record.value) > _KEPT_BYTES
    letter = EventDeadLettered(
        event_id=event_id, topic=record.part.topic, partition=record.part.partition, offset=record.offset,
        stage=STAGE, code=fault.code, cause=fault.why[:_CAUSE_CHARS], message_id=own.messageid,
        workflow=own.workflow, lane=own.lane, appended_at=record.at, key=record.key,
        headers=tuple(Header(name=name, value=value or b"") for name, value in record.headers),
        value=b"" if large else record.value, value_ref=making.spill(record.value) if large else "",
    )  # fmt: skip
    audit = AuditRecorded(
        case_id=own.messageid or event_id, message_id=own.messageid, event_id=event_id, stage=STAGE,
        actor=making.instance, action="rejected", why=fault.why, input_digest=ids.digest(record.value),
        outputs=(_named(record, "letter"),),
    )  # fmt: skip
    return Resumption(
        spot=Spot(record.part, record.offset),
        key=record.key,
        writes=(
            _write(making, ("deadletter", record.key, letter, _named(record, "letter")), own),
            _tombstone(making, record, own),
            _audit(making, record, audit, own),
        ),
        workflow=own.workflow,
        lane=own.lane,
        code=fault.code,
    )


def flow(making: Making, done: Iterable[Resumption]) -> Iterator[Write]:
    """Yield the counts of a transaction, one record per workflow and lane."""
    groups: dict[tuple[str, str], list[Resumption]] = {}
    for one in done:
        groups.setdefault((one.workflow, one.lane), []).append(one)
    for (workflow, lane), some in sorted(groups.items()):
        sent = Counter(one.to for one in some if one.to)
        event = FlowCounted(
            stage=STAGE, workflow=workflow, lane=lane, consumed=len(some), produced=sum(sent.values()),
            dead_lettered=len(some) - sum(sent.values()), sent=dict(sorted(sent.items())),
        )  # fmt: skip
        first = some[0]
        named = ids.event_id(
            f"{PARKED}-{first.spot.part.partition}-{first.spot.offset}", f"{STAGE}.flow", 1, 0
        )
        own = Envelope(id="", source="", type="", time=making.now, subject="", workflow=workflow, lane=lane)
        yield _write(making, ("flow", workflow.encode(), event, named), own)


def _audit(making: Making, record: Record, audit: AuditRecorded, own: Envelope) -> Write:
    key = audit.case_id.encode()
    return _write(making, ("audit", key, audit, _named(record, "audit")), own)


def _tombstone(making: Making, record: Record, own: Envelope) -> Write:
    envelope = _envelope(making, (PARKED, record.key), _named(record, "tombstone"), own)
    return Write(topic=PARKED, key=record.key, value=None, headers=to_headers(envelope))


def _named(record: Record, what: str) -> str:
    """Return the id of a record that comes of a parked one; an event that is parked again lies at another offset."""
    return ids.event_id(
        f"{record.part.topic}-{record.part.partition}-{record.offset}", f"{STAGE}.{what}", 1, 0
    )


def _write(making: Making, what: tuple[str, bytes, object, str], own: Envelope) -> Write:
    """Encode one event; `what` is its topic's short name, its key, itself and its id."""
    name, key, event, event_id = what
    full = topic(name)
    envelope = _envelope(making, (full, key), event_id, own)
    return Write(topic=full, key=key, value=making.codec.encode(full, event), headers=to_headers(envelope))


def _envelope(making: Making, where: tuple[str, bytes], event_id: str, own: Envelope) -> Envelope:
    """Return the headers of a record of ours; `own` names message, workflow and lane."""
    name, key = where
    span = ids.span_id(f"{STAGE}|{event_id}")
    return Envelope(
        id=event_id, source=source_of(STAGE), type=BY_NAME[name].ce_type, time=making.now,
        subject=key.decode("utf-8", "replace"), dataschema=making.codec.dataschema(name),
        traceparent=traceparent_of(ids.trace_id(own.messageid or event_id), span), messageid=own.messageid,
        workflow=own.workflow, lane=own.lane, cause=own.cause,
    )  # fmt: skip
