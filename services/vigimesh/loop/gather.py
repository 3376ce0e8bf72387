"""gather: the outcomes of a batch become the records of one transaction: outputs, audit, dead letters, flow."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import msgspec

from vigimesh.errors import Broken, Refused, VigimeshError
from vigimesh.events import ids
from vigimesh.events.classes import AuditRecorded, FlowCounted
from vigimesh.events.envelope import Envelope, to_headers
from vigimesh.events.topics import ASIDE, BY_NAME, topic
from vigimesh.loop.broker import Part, Position, Write
from vigimesh.loop.deadletter import dead_letter, parked
from vigimesh.loop.handle import reject
from vigimesh.loop.outcome import Done, Emit, Park, Reject, Retry
from vigimesh.loop.worker import INLINE_BYTES, RECORD_BYTES, Bundle, Work, Worker

_ACTIONS: dict[type, str] = {Done: "done", Park: "parked", Retry: "retried", Reject: "rejected"}
_TRACE = re.compile(r"[0-9a-f]{32}")
_pack = msgspec.msgpack.Encoder()


def gather(worker: Worker, works: Sequence[Work], started_s: float) -> Bundle:
    """Return the transaction of a batch. Of a partition in which a record must be tried again, what follows waits."""
    now = worker.clock.now()
    settled = _settled(works)
    writes: list[Write] = []
    flow: Counter[tuple[str, str, str]] = Counter()
    kept: list[Work] = []
    for work in settled:
        work, events = _encode(worker, work, now)
        kept.append(work)
        writes.extend(events)
        _count(flow, work)
    writes.extend(_flow(worker, flow, settled, now))
    return Bundle(works=tuple(kept), writes=tuple(writes), positions=_positions(settled), started_s=started_s)


def _settled(works: Sequence[Work]) -> list[Work]:
    """Leave out records to be tried again, and all behind them in their partition."""
    first: dict[Part, int] = {}
    for work in works:
        if isinstance(work.outcome, Retry):
            at = first.get(work.record.part, work.record.offset)
            first[work.record.part] = min(at, work.record.offset)
    return [w for w in works if w.record.offset < first.get(w.record.part, w.record.offset + 1)]


def _positions(settled: Sequence[Work]) -> dict[Part, Position]:
    """Return the next offset per partition. Completion in order for now: out of order comes with `progress`."""
    last: dict[Part, int] = {}
    for work in settled:
        last[work.record.part] = max(last.get(work.record.part, -1), work.record.offset)
    return {part: Position(offset=offset + 1) for part, offset in last.items()}


def _encode(worker: Worker, work: Work, now: datetime) -> tuple[Work, list[Write]]:
    """Encode a record's outputs and its audit; one that cannot be encoded or is too large turns it into a dead letter.

    Raises `Broken` VM-1304 when the dead letter cannot be written either: the partition must stop, not skip.
    """
    try:
        return work, _records(worker, work, now)
    except Exception as error:
        if isinstance(error, VigimeshError) and not isinstance(error, Refused):
            raise
        answers = work.answers if isinstance(error, Refused) else {}
        work = replace(work, outcome=reject(error), answers=answers)
    part = work.record.part
    if worker.table is not None:
        worker.table.stale((part.partition,))  # it was told of an event that is not written
    try:
        return work, _records(worker, work, now)
    except Refused as error:
        raise Broken("VM-1304", what=f"dead letter does not fit: {error.what}",
                     where=f"{part.topic}-{part.partition}-{work.record.offset}",
                     todo="look at the record's key and headers") from error  # fmt: skip


def _records(worker: Worker, work: Work, now: datetime) -> list[Write]:
    """Return the records of one outcome; raises `Refused` VM-1005 when one is larger than its topic takes."""
    emits = _emits(worker, work)
    pass_number = work.outcome.pass_number if isinstance(work.outcome, Done) else 1
    trace = _traceparent(worker, work)
    # Index -1 names the audit record itself, the others what is handed on.
    own, *outputs = (
        ids.event_id(work.envelope.id, worker.stage.name, pass_number, index)
        for index in range(-1, len(emits))
    )
    audit = _audit(worker, work, emits, tuple(outputs))
    named = zip((*emits, audit), (*outputs, own), strict=True)
    writes = [_write(worker, emit, (event_id, trace), now) for emit, event_id in named]
    for write in writes:
        size = len(write.value) + len(write.key) + sum(len(value) for _, value in write.headers)
        if size > RECORD_BYTES:
            raise Refused(
                "VM-1005", what=f"output has {size} bytes, at most {RECORD_BYTES}", where=write.topic
            )
    return writes


def _emits(worker: Worker, work: Work) -> tuple[Emit, ...]:
    outcome, envelope = work.outcome, work.envelope
    if isinstance(outcome, Done):
        return outcome.events
    event: object
    if isinstance(outcome, Reject):
        name, event = "deadletter", dead_letter(work, outcome, worker.stage.name, worker.spill)
    elif isinstance(outcome, Park):
        name, event = "parked", parked(work, outcome, worker.spill)
    else:
        return ()
    return (
        Emit(
            topic=topic(name), key=envelope.id, event=event, messageid=envelope.messageid,
            workflow=envelope.workflow, lane=envelope.lane,
        ),
    )  # fmt: skip


def _write(worker: Worker, emit: Emit, named: tuple[str, str], now: datetime) -> Write:
    """Encode one event; `named` are its event id and its traceparent."""
    envelope = Envelope(
        id=named[0],
        source=f"/vigimesh/{worker.stage.name}",
        type=f"vigimesh.{BY_NAME[emit.topic].event.__name__}",
        time=now,
        subject=emit.key,
        dataschema=f"/schemas/ids/{worker.codec.schema_id(emit.topic)}",
        traceparent=named[1],
        messageid=emit.messageid,
        workflow=emit.workflow,
        lane=emit.lane,
    )
    return Write(
        topic=emit.topic,
        key=emit.key.encode(),
        value=worker.codec.encode(emit.topic, emit.event),
        headers=to_headers(envelope),
    )


def _traceparent(worker: Worker, work: Work) -> str:
    return f"00-{trace_of(work.envelope)}-{span_of(work.envelope, worker.stage.name)}-01"


def trace_of(envelope: Envelope) -> str:
    """Return the trace id a record belongs to: its producer's, else the one its message or event id makes."""
    parts = envelope.traceparent.split("-")
    if len(parts) == 4 and _TRACE.fullmatch(parts[1]) and set(parts[1]) != {"0"}:
        return parts[1]
    return ids.trace_id(envelope.messageid or envelope.id)


def span_of(envelope: Envelope, stage: str) -> str:
    """Return the span id of a stage's work on a record."""
    return ids.span_id(f"{stage}|{envelope.id}")


def _audit(worker: Worker, work: Work, emits: tuple[Emit, ...], outputs: tuple[str, ...]) -> Emit:
    outcome, envelope = work.outcome, work.envelope
    answers = _pack.encode(work.answers) if work.answers else b""
    large = len(answers) > INLINE_BYTES
    event = AuditRecorded(
        case_id=work.input.key if work.input else envelope.subject,
        message_id=envelope.messageid or next((e.messageid for e in emits if e.messageid), ""),
        event_id=envelope.id,
        stage=worker.stage.name,
        actor=worker.instance,
        action=_ACTIONS[type(outcome)],
        why=outcome.why,
        input_digest=ids.digest(work.record.value),
        answers=b"" if large else answers,
        answers_ref=worker.spill(answers) if large else "",
        outputs=outputs,
    )
    workflow, lane = _label(work)
    return Emit(
        topic=topic("audit"), key=work.record.key.decode("utf-8", "replace"), event=event,
        messageid=event.message_id, workflow=workflow, lane=lane,
    )  # fmt: skip


def _label(work: Work) -> tuple[str, str]:
    """Return workflow and lane of a record: its own, or at the door those it was given."""
    if work.envelope.workflow:
        return work.envelope.workflow, work.envelope.lane
    events = work.outcome.events if isinstance(work.outcome, Done) else ()
    return next(((e.workflow, e.lane) for e in events if e.workflow), ("", work.envelope.lane))


def _count(flow: Counter[tuple[str, str, str]], work: Work) -> None:
    workflow, lane = _label(work)
    flow[workflow, lane, "consumed"] += 1
    match work.outcome:
        case Done(events=events):
            flow[workflow, lane, "produced"] += sum(e.topic not in ASIDE for e in events)
        case Reject():
            flow[workflow, lane, "dead_lettered"] += 1
        case Park():
            flow[workflow, lane, "parked"] += 1
        case Retry():
            pass


def _flow(
    worker: Worker, flow: Counter[tuple[str, str, str]], settled: Sequence[Work], now: datetime
) -> Iterator[Write]:
    pairs = sorted({(workflow, lane) for workflow, lane, _ in flow})
    for index, (workflow, lane) in enumerate(pairs):
        event = FlowCounted(
            stage=worker.stage.name, workflow=workflow, lane=lane,
            consumed=flow[workflow, lane, "consumed"], produced=flow[workflow, lane, "produced"],
            dead_lettered=flow[workflow, lane, "dead_lettered"], parked=flow[workflow, lane, "parked"],
        )  # fmt: skip
        emit = Emit(topic=topic("flow"), key=workflow, event=event, workflow=workflow, lane=lane)
        first = settled[0]
        event_id = ids.event_id(first.envelope.id, f"{worker.stage.name}.flow", 1, index)
        yield _write(worker, emit, (event_id, _traceparent(worker, first)), now)
