"""One stage with real events and no work in its verb: what every engine of `throughput.py` runs.

Needs only `vigimesh.events` and the values of `vigimesh.loop.outcome`, so that the peers' environments can load it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from vigimesh.events import ids
from vigimesh.events.avro import Schema, schema_of
from vigimesh.events.case import Case, Patient, Product, Reaction, Reporter
from vigimesh.events.classes import (
    Clock,
    EvidenceRetrieved,
    Finding,
    Plan,
    Route,
    ToolsExecuted,
    Triage,
    UsageRecorded,
)
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope, Headers, to_headers
from vigimesh.events.knowledge import Passage
from vigimesh.events.topics import BY_NAME, group_of, lane_topic, topic
from vigimesh.loop.outcome import Answers, Done, Emit, Input, Need, Outcome

STAGE, LANE = "tool-executor", "hot"
INPUT = lane_topic("execute", LANE)
OUTPUT = lane_topic("supervise", LANE)
GROUP = group_of(STAGE, LANE)
#: Kinds of needs of a verb that calls.
CALL, SLOW = "call", "slow-call"

_DAY = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
_CLOCK = Clock(rule="serious_15", source="invented", jurisdiction="EU", day0_on="2026-03-01", due_at=_DAY)
CASE = Case(
    message_id="0" * 32, case_id="default/DE-BENCH-0", source_format="e2b_r3", sender="BENCH", receiver="MESH",
    report_id="DE-BENCH-0", worldwide_id="DE-BENCH-0", report_type="spontaneous", created_on="20260301101500",
    first_received_on="2026-03-01", most_recent_on="2026-03-01", country="DE", criteria=("hospitalisation",),
    criteria_form="open", reporters=(Reporter(qualification="physician", country="DE", identified=True),),
    patient=Patient(identified_by=("age", "sex"), age_years=58.0, sex="male"),
    products=(Product(name="Solmirex", kind="drug", substance="solmirexate", dose="5 mg weekly"),),
    reactions=(Reaction(text="chest pain", term="Chest pain", code="10008479", outcome="recovered"),),
    narrative="Pressing pain in the chest an hour after the injection; kept for a night, sent home well.",
)  # fmt: skip
_ROUTE = Route(
    workflow="triage", lane=LANE, rule="serious", reason="a seriousness criterion is set", card_digest="c" * 64,
    version=("20260301", "20260301101500"), clock=_CLOCK, received_at=_DAY,
)  # fmt: skip
_PLAN = Plan(
    tier="tools", steps=("seriousness", "listedness"), questions=("Solmirex Chest pain",), reason="benchmark"
)
_PASSAGE = Passage(
    document_id="solmirex", version="3", section="4.8 Undesirable effects", start=120, end=230, score=0.5,
    text="Common: pain at the place of injection, headache. Uncommon: chest pain, mostly within a day.",
    question="Solmirex Chest pain",
)  # fmt: skip
_FINDINGS = (Finding(step="seriousness", result="yes", detail="hospitalisation is set"),
             Finding(step="listedness", result="yes", detail="uncommon: chest pain"))  # fmt: skip
_TRIAGE = Triage(
    valid=True, serious="yes", grade=3, grade_reasons=("hospitalisation: flag",), listed="yes", clock=_CLOCK
)


class FixedSchemas:
    """`events.codec.Schemas` from a file of ids: engines without a registry client write the same bytes."""

    def __init__(self, file: Path) -> None:
        self._ids: dict[str, int] = json.loads(file.read_text(encoding="utf-8"))
        events = {one.subject: one.event for one in BY_NAME.values()}
        self._by_id = {number: schema_of(events[subject]) for subject, number in self._ids.items()}

    def id_of(self, subject: str) -> int:
        """Return the id that the registry gave."""
        return self._ids[subject]

    def schema(self, schema_id: int) -> Schema:
        """Return our schema of that id."""
        return self._by_id[schema_id]

    def schema_by_guid(self, guid: UUID) -> Schema:
        """Nothing here writes wire v1."""
        raise KeyError(guid)


def records(
    codec: Codec, count: int, keys: int, slow: Callable[[int], bool] = lambda _: False
) -> Iterator[tuple[bytes, bytes, Headers]]:
    """Yield input records of about 1 KB, number by number over `keys` keys; those that `slow` names are marked urgent."""
    for number in range(count):
        report = f"DE-BENCH-{number % keys}"
        message = ids.digest(b"%d" % number)[: ids.ID_DIGITS]
        case = replace(
            CASE, message_id=message, case_id=f"default/{report}", report_id=report, urgent=slow(number)
        )
        event = EvidenceRetrieved(case=case, route=_ROUTE, plan=_PLAN, passages=(_PASSAGE,))
        envelope = Envelope(
            id=ids.event_id(message, "retriever", 1, 0), source="/vigimesh/retriever",
            type="vigimesh.EvidenceRetrieved", time=_DAY, subject=case.case_id, messageid=message,
            dataschema=f"/schemas/ids/{codec.schema_id(INPUT)}", workflow="triage", lane=LANE,
            traceparent=f"00-{ids.trace_id(message)}-{ids.span_id(message)}-01",
        )  # fmt: skip
        yield case.case_id.encode(), codec.encode(INPUT, event), to_headers(envelope)


def make(case: Input) -> tuple[Done, Answers]:
    """Hand the case on with findings that are always the same, and one usage record."""
    event: EvidenceRetrieved = case.event
    version, route = event.case, event.route
    executed = ToolsExecuted(
        case=version,
        route=route,
        plan=event.plan,
        passages=event.passages,
        findings=_FINDINGS,
        triage=_TRIAGE,
    )
    usage = UsageRecorded(
        case_id=version.case_id, message_id=version.message_id, workflow=route.workflow, lane=route.lane,
        stage=STAGE, kind="tool_run", name="safety-tools", tier="tools", quantity=2, unit="runs",
    )  # fmt: skip
    emits = tuple(
        Emit(
            topic=name,
            key=case.key,
            event=one,
            messageid=version.message_id,
            workflow=route.workflow,
            lane=route.lane,
        )
        for name, one in ((OUTPUT, executed), (topic("usage"), usage))
    )
    return Done(events=emits, why="benchmark: nothing was worked out"), {}


@dataclass(frozen=True, slots=True)
class Verb:
    """The same as the loop takes it; with `calls` each record needs one call first, a slow one where it is marked."""

    calls: bool = False

    def needs(self, case: Input, answers: Answers) -> tuple[Need, ...]:
        """Need nothing, or the call."""
        if not self.calls or answers:
            return ()
        version: Case = case.event.case
        return (Need(kind=SLOW if version.urgent else CALL, key=version.message_id),)

    def decide(self, case: Input, answers: Answers) -> Outcome:
        """Do what `make` does."""
        return make(case)[0]
