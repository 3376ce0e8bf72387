"""The records of a stage, made from `events/` alone: what the bare loop and the peers write, as a worker writes them."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from vigimesh.events import ids
from vigimesh.events.classes import AuditRecorded, FlowCounted
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope, Headers, from_headers, to_headers
from vigimesh.events.topics import ASIDE, BY_NAME, READ, topic
from vigimesh.loop.outcome import Answers, Done, Emit, Input

#: Works out what one input becomes, with the answers it took; or what all inputs of a transaction become.
Make = Callable[[Input], tuple[Done, Answers]]
MakeAll = Callable[[Sequence[Input]], Sequence[tuple[Done, Answers]]]
#: Topic, key, value, headers, and when the broker appended it.
Raw = tuple[str, bytes, bytes, Any, datetime]
#: Topic, key, value, headers.
Out = tuple[str, bytes, bytes, Headers]


def rest_collector() -> None:
    """Do what a worker does (`app.worker`): records die by reference count, and the cycle collector's looks cost a third."""
    gc.freeze()
    gc.set_threshold(300_000, 50, 1_000)


class Work(Protocol):
    """What a transaction writes: `of` its inputs, and at its `end`."""

    def of(self, inputs: Sequence[Raw]) -> Iterator[Out]: ...
    def end(self) -> Iterator[Out]: ...


def each(make: Make) -> MakeAll:
    """Return what works out one input after the other."""
    return lambda cases: [make(case) for case in cases]


class Records:
    """Makes the records of a batch: outputs and audit per input, flow per transaction."""

    def __init__(self, stage: str, codec: Codec, make: MakeAll) -> None:
        self.stage, self.codec, self.make = stage, codec, make
        self.flow: Counter[tuple[str, str, str]] = Counter()
        self.first, self.now = ("", ""), datetime.now(UTC)

    def of(self, inputs: Sequence[Raw]) -> Iterator[Out]:
        """Yield what each input becomes: outputs, then audit."""
        envelopes = [from_headers(headers, "") for _, _, _, headers, _ in inputs]
        cases = [
            Input(topic=name, event=self.codec.decode(name, value), event_id=got.id, key=key.decode(), at=at)
            for got, (name, key, value, _, at) in zip(envelopes, inputs, strict=True)
        ]
        for case, got, raw, made in zip(cases, envelopes, inputs, self.make(cases), strict=True):
            yield from self._written(case, got, ids.digest(raw[2]), made)

    def _written(self, case: Input, got: Envelope, digest: str, made: tuple[Done, Answers]) -> Iterator[Out]:
        done, answers = made
        outputs = [ids.event_id(got.id, self.stage, done.pass_number, n) for n in range(len(done.events))]
        trace = f"00-{got.traceparent.split('-')[1]}-{ids.span_id(f'{self.stage}|{got.id}')}-01"
        first = next((e for e in done.events if e.workflow), None)
        where = (first.workflow, first.lane) if first else ("", got.lane)
        audit = AuditRecorded(
            case_id=case.key, message_id=got.messageid, event_id=got.id, stage=self.stage, actor="bare", action="done",
            why=done.why, input_digest=digest, outputs=tuple(outputs),
            answers=msgspec.msgpack.encode(answers) if answers else b"", answers_ref="",
        )  # fmt: skip
        log = Emit(topic=topic("audit"), key=case.key, event=audit, messageid=got.messageid,
                   workflow=where[0], lane=where[1])  # fmt: skip
        names = (*outputs, ids.event_id(got.id, self.stage, done.pass_number, -1))
        for emit, own in zip((*done.events, log), names, strict=True):
            yield self._record(emit, own, trace)
        self.flow[*where, "consumed"] += 1
        self.flow[*where, "produced"] += sum(e.topic not in ASIDE for e in done.events)
        for emit in done.events:
            if emit.topic in READ:
                self.flow[emit.workflow, emit.lane, emit.topic] += 1
        self.first = self.first if self.first[0] else (got.id, trace)

    def _record(self, emit: Emit, own: str, trace: str) -> Out:
        envelope = Envelope(
            id=own, source=f"/vigimesh/{self.stage}", type=f"vigimesh.{BY_NAME[emit.topic].event.__name__}", time=self.now,
            subject=emit.key, dataschema=f"/schemas/ids/{self.codec.schema_id(emit.topic)}", traceparent=trace,
            messageid=emit.messageid, workflow=emit.workflow, lane=emit.lane,
        )  # fmt: skip
        return emit.topic, emit.key.encode(), self.codec.encode(emit.topic, emit.event), to_headers(envelope)

    def end(self) -> Iterator[Out]:
        """Yield what closes a transaction: its flow."""
        for n, (flow, lane) in enumerate(sorted({(f, lane) for f, lane, _ in self.flow})):
            counts = {kind: count for (f, on, kind), count in self.flow.items() if (f, on) == (flow, lane)}
            consumed, produced = counts.pop("consumed", 0), counts.pop("produced", 0)
            counted = FlowCounted(
                stage=self.stage, workflow=flow, lane=lane, consumed=consumed, produced=produced, sent=counts
            )
            emit = Emit(topic=topic("flow"), key=flow, event=counted, workflow=flow, lane=lane)
            yield self._record(emit, ids.event_id(self.first[0], f"{self.stage}.flow", 1, n), self.first[1])
        self.flow.clear()
        self.first, self.now = ("", ""), datetime.now(UTC)
