"""Cases taken through the five verbs one after another, without a broker: every record the stages would write."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from vigimesh.adapters.memory.search import MemorySearch
from vigimesh.app.in_force.cards import load_cards
from vigimesh.domain.cascade.readers import read
from vigimesh.domain.knowledge.sections import Sectioned
from vigimesh.domain.knowledge.shipped import shipped_documents
from vigimesh.domain.policy.limits import Limits
from vigimesh.domain.record.rows import Row
from vigimesh.errors import Refused
from vigimesh.events import ids
from vigimesh.events.classes import AuditRecorded, CaseReceived, EventDeadLettered
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope
from vigimesh.events.topics import BY_NAME, STAGES, inputs_of, topic
from vigimesh.loop.outcome import Done, Emit, Input, Need
from vigimesh.loop.stage import MAX_ROUNDS, Verb
from vigimesh.planner.plan import Planner
from vigimesh.retriever.retrieve import Retriever
from vigimesh.router.route import Router
from vigimesh.supervisor.supervise import Supervisor
from vigimesh.tool_executor.execute import Executor

#: Between two appends, so that times differ.
_TICK = timedelta(milliseconds=1)


@dataclass
class Passage:
    """Takes records through the verbs; `rows` is what lies on the topics, one partition each."""

    codec: Codec
    start: datetime = datetime(2026, 3, 2, 12, tzinfo=UTC)
    rows: list[Row] = field(default_factory=list)
    heads: dict[str, Any] = field(default_factory=dict)
    _waiting: deque[Row] = field(default_factory=deque)
    _offsets: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        cards = load_cards(None, signed_for_demo=True)
        self._search = MemorySearch()
        self._search.load(shipped_documents())
        verbs: tuple[Verb, ...] = (Router(cards), Planner(cards), Retriever(), Executor(), Supervisor(cards))
        self._verbs = {
            name: (stage, verb)
            for stage, verb in zip(STAGES, verbs, strict=True)
            for name in inputs_of(stage, None)
        }

    def accept(self, cases: Iterable[CaseReceived]) -> None:
        for event in cases:
            case = event.case
            door = topic(f"case.received.{event.door}")
            emit = Emit(topic=door, key=case.case_id, event=event, messageid=case.message_id)
            self._append(emit, ids.event_id(case.message_id, "intake", 1, 0), "intake")

    def load(self, sources: Iterable[Sectioned]) -> None:
        """Bring documents into the knowledge base."""
        self._search.load(sources)

    def take(self, row: Row) -> None:
        """Append a record that another process wrote."""
        offset = self._offsets[row.topic]
        self._offsets[row.topic] += 1
        self._keep(replace(row, offset=offset, at=self._now()))

    def put(self, name: str, key: bytes, value: bytes) -> None:
        """Append bytes past the door, without headers."""
        offset = self._offsets[name]
        self._offsets[name] += 1
        envelope = Envelope(id=f"{name}-0-{offset}", source="", type="", time=self.start, subject="")
        self._keep(Row(name, 0, offset, self._now(), key.decode(), envelope, value))

    def run(self) -> None:
        while self._waiting:
            self._work(self._waiting.popleft())

    def _work(self, row: Row) -> None:
        stage, verb = self._verbs[row.topic]
        try:
            event = self.codec.decode(row.topic, row.value or b"")
        except Refused as error:
            self._give_up(row, stage, error)
            return
        case = Input(topic=row.topic, event=event, event_id=row.headers.id, key=row.key, at=row.at)
        answers: dict[str, Any] = {}
        for _ in range(MAX_ROUNDS):
            needs = verb.needs(case, answers)
            if not needs:
                break
            answers.update({need.name: self._answer(need) for need in needs})
        outcome = verb.decide(case, answers)
        assert isinstance(outcome, Done), outcome
        outputs = []
        for index, emit in enumerate(outcome.events):
            outputs.append(ids.event_id(row.headers.id, stage, outcome.pass_number, index))
            self._append(emit, outputs[-1], stage, row.headers.cause)
        self._audit(row, stage, "done", outcome.why, tuple(outputs), event.case.message_id)

    def _give_up(self, row: Row, stage: str, error: Refused) -> None:
        event = EventDeadLettered(
            event_id=row.headers.id, topic=row.topic, partition=row.partition, offset=row.offset, stage=stage,
            code=error.code, cause=str(error), appended_at=row.at, value=row.value or b"",
        )  # fmt: skip
        made = ids.event_id(row.headers.id, stage, 1, 0)
        self._append(Emit(topic=topic("deadletter"), key=row.headers.id, event=event), made, stage)
        self._audit(row, stage, "rejected", error.code, (made,), "")

    def _audit(
        self, row: Row, stage: str, action: str, why: str, outputs: tuple[str, ...], message: str
    ) -> None:
        event = AuditRecorded(
            case_id=row.key, message_id=message, event_id=row.headers.id, stage=stage, actor="test", action=action,
            why=why, input_digest=ids.digest(row.value or b""), outputs=outputs,
        )  # fmt: skip
        emit = Emit(topic=topic("audit"), key=row.key, event=event, messageid=message)
        self._append(emit, ids.event_id(row.headers.id, stage, 1, -1), stage)

    def _answer(self, need: Need) -> Any:
        if need.kind == "search":
            return msgspec.to_builtins(list(self._search.find((need.key,), need.limit)[0].passages))
        if need.kind == "head":
            return self.heads.get(need.key)
        if need.kind == "read":
            return read([(need.key, need.asked)])[0]
        assert need.kind == "limits", need
        return Limits(tiers=("tools", "person")).plain()

    def _append(self, emit: Emit, event_id: str, stage: str, cause: str = "") -> None:
        if emit.topic == topic("case.head"):
            self.heads[emit.key] = msgspec.to_builtins(emit.event)
        trace = ids.trace_id(emit.messageid)
        envelope = Envelope(
            id=event_id, source=f"/vigimesh/{stage}", type=f"vigimesh.{BY_NAME[emit.topic].event.__name__}",
            time=self._now(), subject=emit.key, messageid=emit.messageid, workflow=emit.workflow, lane=emit.lane,
            traceparent=f"00-{trace}-{ids.span_id(event_id)}-01" if emit.messageid else "", cause=cause,
        )  # fmt: skip
        offset = self._offsets[emit.topic]
        self._offsets[emit.topic] += 1
        value = self.codec.encode(emit.topic, emit.event)
        self._keep(Row(emit.topic, 0, offset, self._now(), emit.key, envelope, value))

    def _keep(self, row: Row) -> None:
        self.rows.append(row)
        if row.topic in self._verbs:
            self._waiting.append(row)

    def _now(self) -> datetime:
        return self.start + _TICK * len(self.rows)
