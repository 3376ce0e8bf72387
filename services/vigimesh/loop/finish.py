"""finish: an outcome becomes finished work: the records that say so, encoded, before the next of its key begins."""

from __future__ import annotations

from datetime import datetime

import msgspec

from vigimesh.errors import Broken, Refused, VigimeshError
from vigimesh.events import ids
from vigimesh.events.bodies import NOTHING, Carried
from vigimesh.events.classes import AuditRecorded
from vigimesh.events.envelope import Envelope, source_of, to_headers, trace_of, traceparent_of
from vigimesh.events.topics import BY_NAME, topic
from vigimesh.loop.broker import Write
from vigimesh.loop.deadletter import dead_letter, parked
from vigimesh.loop.outcome import Done, Emit, Outcome, Park, Reject, Retry
from vigimesh.loop.worker import INLINE_BYTES, RECORD_BYTES, Ended, Job, Work, Worker

_ACTIONS: dict[type, str] = {Done: "done", Park: "parked", Reject: "rejected"}
#: Bytes of the headers that do not depend on the case, and some more.
_FIXED_BYTES = 1_000
#: `ce_type` by topic.
_TYPES = {name: row.ce_type for name, row in BY_NAME.items()}
_pack = msgspec.msgpack.Encoder()


def finish(worker: Worker, job: Job, outcome: Outcome, now: datetime) -> Work:
    """Return the finished work: outputs, audit, dead letter or parked event, encoded; the table knows what it adds.

    `now` is the time that the records say they were made at: the same for those of a few milliseconds, so that it is
    written once.

    What cannot be encoded or is too large makes it a dead letter. Raises `Broken` VM-1304 when the dead letter cannot be
    written either: the partition must stop, not skip; `Transient` when the object store is away.
    """
    assert not isinstance(outcome, Retry)
    try:
        work = _finished(worker, job, outcome, now)
    except Exception as error:
        if isinstance(error, VigimeshError) and not isinstance(error, Refused):
            raise
        if not isinstance(error, Refused):
            job = msgspec.structs.replace(job, answers={})  # they may be what cannot be kept
        work = _given_up(worker, job, reject(error), now)
    if worker.table is not None and work.ended.action == "done":
        for write in work.writes:
            if write.topic == worker.table.topic and write.value is not None:
                worker.table.put(work.record.part.partition, write.key, write.value)
    return work


def reject(error: Exception) -> Reject:
    """Turn an error into the outcome: the only place that does. Its text never quotes the case."""
    if isinstance(error, VigimeshError):
        return Reject(code=error.code, why=str(error))
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f"{frame.tb_frame.f_code.co_qualname}:{frame.tb_lineno}" if frame else "?"
    return Reject(code="VM-1307", why=f"VM-1307 handler failed: {type(error).__name__} in {place}")


def _given_up(worker: Worker, job: Job, outcome: Reject, now: datetime) -> Work:
    part = job.record.part
    try:
        return _finished(worker, job, outcome, now)
    except Refused as error:
        raise Broken("VM-1304", what=f"dead letter does not fit: {error.what}",
                     where=f"{part.topic}-{part.partition}-{job.record.offset}",
                     todo="look at the record's key and headers") from error  # fmt: skip


def _finished(worker: Worker, job: Job, outcome: Outcome, now: datetime) -> Work:
    """Encode the records of one outcome; raises `Refused` VM-1005 when one is larger than its topic takes."""
    envelope, stage = job.envelope, worker.stage.name
    if isinstance(outcome, Done):
        emits, pass_number = outcome.events, outcome.pass_number
        sent = tuple([(emit.topic, emit.workflow, emit.lane) for emit in emits])
    else:
        emits, pass_number, sent = (_aside(worker, job, outcome),), 1, ()
    ended = Ended(
        action=_ACTIONS[type(outcome)], label=_label_of(envelope, sent),
        code=outcome.code if isinstance(outcome, Reject) else "", sent=sent,
    )  # fmt: skip
    # Index -1 names the audit record itself, the others what is handed on.
    *outputs, own = [
        ids.event_id(envelope.id, stage, pass_number, index) for index in (*range(len(emits)), -1)
    ]
    trace_id, span_id = trace_of(envelope), ids.span_id(f"{stage}|{envelope.id}")
    trace = traceparent_of(trace_id, span_id)
    writes = [
        write_of(worker, emit, (event_id, trace), now, envelope.cause, job.carried)
        for emit, event_id in zip(emits, outputs, strict=True)
    ]
    audit = _audit(worker, job, outcome, ended, emits, tuple(outputs))
    writes.append(write_of(worker, audit, (own, trace), now, envelope.cause))
    return Work(
        record=job.record, key=job.key, envelope=envelope, place=job.place, taken_s=job.taken_s,
        trace_id=trace_id, span_id=span_id, writes=tuple(writes), ended=ended,
    )  # fmt: skip


def _aside(worker: Worker, job: Job, outcome: Outcome) -> Emit:
    """Return the event of a record that waits or was given up."""
    envelope = job.envelope
    event: object
    if isinstance(outcome, Reject):
        name, event = "deadletter", dead_letter(job, outcome, worker.stage.name, worker.spill)
    else:
        assert isinstance(outcome, Park)
        name, event = "parked", parked(job, outcome, worker.spill)
    return Emit(
        topic=topic(name), key=envelope.id, event=event, messageid=envelope.messageid,
        workflow=envelope.workflow, lane=envelope.lane,
    )  # fmt: skip


def write_of(
    worker: Worker, emit: Emit, named: tuple[str, str], now: datetime, cause: str = "",
    carried: Carried = NOTHING,
) -> Write:  # fmt: skip
    """Encode one event; `named` are its event id and its traceparent, `cause` and `carried` are those of its input.

    Raises `Refused` VM-1005 when it is too large.
    """
    envelope = Envelope(
        id=named[0],
        source=source_of(worker.stage.name),
        type=_TYPES[emit.topic],
        time=now,
        subject=emit.key,
        dataschema=worker.codec.dataschema(emit.topic),
        traceparent=named[1],
        messageid=emit.messageid,
        workflow=emit.workflow,
        lane=emit.lane,
        cause=cause,
    )
    key, headers = emit.key.encode(), to_headers(envelope)
    value = worker.codec.encode(emit.topic, emit.event, carried)
    # The lengths of the headers are looked at only when they could matter: a key is in one of them, the fixed ones are short.
    texts = len(emit.messageid) + len(emit.workflow) + len(emit.lane) + len(cause)
    if len(value) + 2 * len(key) + 4 * texts + _FIXED_BYTES > RECORD_BYTES:
        size = len(value) + len(key) + sum(len(data) for _, data in headers)
        if size > RECORD_BYTES:
            raise Refused(
                "VM-1005", what=f"output has {size} bytes, at most {RECORD_BYTES}", where=emit.topic
            )
    return Write(topic=emit.topic, key=key, value=value, headers=headers)


def traceparent(work: Work) -> str:
    """Return the W3C header that names a work as the parent of what is made of it."""
    return traceparent_of(work.trace_id, work.span_id)


def _label_of(envelope: Envelope, sent: tuple[tuple[str, str, str], ...]) -> tuple[str, str]:
    """Return workflow and lane of a record: its own, or at the door those it was given."""
    if envelope.workflow:
        return envelope.workflow, envelope.lane
    return next(((workflow, lane) for _, workflow, lane in sent if workflow), ("", envelope.lane))


def _audit(
    worker: Worker,
    job: Job,
    outcome: Outcome,
    ended: Ended,
    emits: tuple[Emit, ...],
    outputs: tuple[str, ...],
) -> Emit:
    envelope = job.envelope
    answers = _pack.encode(job.answers) if job.answers else b""
    large = len(answers) > INLINE_BYTES
    event = AuditRecorded(
        case_id=job.input.key if job.input else envelope.subject,
        message_id=envelope.messageid or next((e.messageid for e in emits if e.messageid), ""),
        event_id=envelope.id,
        stage=worker.stage.name,
        actor=worker.instance,
        action=ended.action,
        why=outcome.why,
        input_digest=ids.digest(job.record.value),
        answers=b"" if large else answers,
        answers_ref=worker.spill(answers) if large else "",
        outputs=outputs,
    )
    workflow, lane = ended.label
    return Emit(
        topic=topic("audit"), key=job.record.key.decode("utf-8", "replace"), event=event,
        messageid=event.message_id, workflow=workflow, lane=lane,
    )  # fmt: skip
