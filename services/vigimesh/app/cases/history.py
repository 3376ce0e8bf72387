"""Finds cases on the topics and reads their histories: what `vigimesh case` shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from vigimesh.adapters.kafka.history import Broker, scan
from vigimesh.app.cases.story import Step, stage_of, step_of, unreadable
from vigimesh.domain.cascade.reading import estimate_in
from vigimesh.domain.record.checker import Placed, placed
from vigimesh.domain.record.rows import AuditFact, Row
from vigimesh.errors import Refused
from vigimesh.events import ids
from vigimesh.events.classes import AuditRecorded, CaseDecided, EventParked, ReviewRequested
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import source_of
from vigimesh.events.topics import DOORS, LANES, lane_topic, topic

_DOORS = tuple(topic(f"case.received.{door}") for door in DOORS)
#: The way of a case, in its order: what a trace shows.
_WAY = (
    *_DOORS,
    *(lane_topic(step, lane) for step in ("plan", "retrieve", "execute", "supervise") for lane in LANES),
    *(topic(name) for name in ("case.decided", "case.review", "parked", "deadletter")),
)
_ORDER = {name: place for place, name in enumerate(_WAY)}
#: What a history shows beside the way.
_BESIDE = tuple(topic(name) for name in ("usage", "audit", "retrieval.telemetry", "case.head"))
#: What the list needs: where a case came in, that it was triaged, and where it is.
_LISTED = (*_DOORS, *_WAY[2:])

#: `ce_source` of what an operator wrote.
_OPERATOR = source_of("operator")

#: Topic of an outcome -> the place of what ended there.
_ENDS = {topic("case.decided"): "decided", topic("case.review"): "in_review"}

#: Fewest digits of a message id that stand for it: 24 bits, so that ten thousand messages rarely clash.
PREFIX_DIGITS = 6

#: What stands for an estimate that nobody made: the share of grades 4 and 5 among reviews of grade 3 (decision 0075), so that such a case is neither first nor last.
_UNTOLD = 0.06

#: Cases named in the message about an id that could mean several.
_SEVERAL = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where cases are read: the broker, and the codec with its registry."""

    broker: Broker
    codec: Codec


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One line of the list.

    `decision` is the word of the decision, empty for what is not decided; `grave` the estimate that it is graded 4 or 5, of what is in review.
    """

    case_id: str
    message_id: str
    accepted_at: datetime
    place: str
    workflow: str = ""
    lane: str = ""
    decision: str = ""
    grade: int | None = None
    serious: str = ""
    due_at: datetime | None = None
    reason: str = ""
    triage_s: float | None = None
    grave: float | None = None

    def plain(self) -> dict[str, Any]:
        """Return the line for JSON."""
        values = {name: getattr(self, name) for name in self.__slots__}
        for name in ("accepted_at", "due_at"):
            values[name] = values[name].isoformat() if values[name] else None
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One record on a message's way. `took_s` is the time since the record before it was appended."""

    at: datetime
    topic: str
    stage: str
    lane: str
    span_id: str
    since_start_s: float
    took_s: float

    def plain(self) -> dict[str, Any]:
        """Return the hop for JSON."""
        return {**{name: getattr(self, name) for name in self.__slots__}, "at": self.at.isoformat()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The way of one message, with the W3C trace id under which its spans stand."""

    case_id: str
    message_id: str
    trace_id: str
    hops: tuple[Hop, ...]

    def plain(self) -> dict[str, Any]:
        """Return the trace for JSON."""
        total = self.hops[-1].since_start_s if self.hops else 0.0
        return {
            "message_id": self.message_id, "trace_id": self.trace_id, "total_s": total,
            "hops": [hop.plain() for hop in self.hops],
        }  # fmt: skip


def list_cases(source: Source) -> list[Listed]:
    """Return every accepted message with where it is, the newest first."""
    rows = tuple(named(scan(source.broker, _LISTED), source.codec))
    ends: dict[tuple[str, str], Row] = {}
    waits: dict[str, Row] = {}
    for row in rows:
        if row.value is not None and row.topic in _ENDS:
            where = row.headers.messageid, _ENDS[row.topic]
            if where not in ends or ends[where].at <= row.at:
                ends[where] = row
        elif row.value is not None and row.topic == topic("parked"):
            waits[row.headers.messageid] = row
    found = []
    for unit, at in _placed(source, rows).items():
        line = Listed(
            case_id=at.key, message_id=unit, accepted_at=at.accepted_at, place=at.place, lane=at.lane,
            workflow=at.workflow, triage_s=at.triage_s,
        )  # fmt: skip
        # What a recall overtook or upheld closes no review: the end is the newest of the kind that its place is.
        end = waits.get(unit) if at.place == "parked" else ends.get((unit, at.place))
        found.append(_with_end(line, end, source.codec))
    return found[::-1]


def _placed(source: Source, rows: Sequence[Row]) -> dict[str, Placed]:
    """Return where each accepted message is; what an operator closed stands in the audit alone, read when something is open."""
    found = placed(rows)
    if all(one.place != "in_flight" for one in found.values()):
        return found
    said = (row for row in scan(source.broker, [topic("audit")]) if row.headers.source == _OPERATOR)
    return placed(rows, audit_facts(said, source.codec))


def gravest_first(lines: Iterable[Listed]) -> list[Listed]:
    """Return the lines in the order in which persons had best look at them: lane, grade, the estimate of a grade of 4 or 5, the earlier due, the earlier accepted.

    The estimate orders within a lane and a grade and takes from neither: a legal clock that is near is what makes a case hot.
    """

    def place(line: Listed) -> tuple[int, int, float, bool, datetime, datetime]:
        lane = LANES.index(line.lane) if line.lane in LANES else len(LANES)
        due = line.due_at or line.accepted_at
        grave = _UNTOLD if line.grave is None else line.grave
        return lane, -(line.grade or 0), -grave, line.due_at is None, due, line.accepted_at

    return sorted(lines, key=place)


def history(source: Source, given: str, *, narrative: bool) -> tuple[str, list[Step]]:
    """Return case id and history, oldest event first, of the case that `given` names.

    `given` is a case id, a report id, or the first `PREFIX_DIGITS` or more digits of a message id. Raises `Refused`
    VM-1703 when there is no such case, VM-1704 when there are several; what `scan` raises.
    """
    case, rows = _rows_of(source, given, (*_WAY, *_BESIDE))
    steps = []
    for row in rows:
        if row.value is None:
            continue
        try:
            event = source.codec.decode(row.topic, row.value)
        except Refused as error:
            steps.append(unreadable(row, error.code, error.what))
        else:
            steps.append(step_of(row, event, narrative=narrative))
    return case, steps


def traces(source: Source, given: str) -> tuple[str, list[Trace]]:
    """Return case id and the way of each of its messages; raises as `history`."""
    case, rows = _rows_of(source, given, _WAY)
    messages: dict[str, list[Row]] = {}
    for row in rows:
        if row.value is not None:
            messages.setdefault(row.headers.messageid or row.place, []).append(row)
    return case, [_trace(case, message, of) for message, of in messages.items()]


def audit_facts(rows: Iterable[Row], codec: Codec) -> Iterator[AuditFact]:
    """Yield what the checker needs from `audit` records; rows of other topics are passed over.

    Raises `Refused` for an audit record that cannot be decoded: without it nothing can be vouched for.
    """
    for row in rows:
        if row.topic == topic("audit") and row.value is not None:
            event: AuditRecorded = codec.decode(row.topic, row.value)
            yield AuditFact(
                event_id=event.event_id, message_id=event.message_id, stage=event.stage, action=event.action,
                outputs=event.outputs,
            )  # fmt: skip


def named(rows: Iterable[Row], codec: Codec) -> Iterator[Row]:
    """Yield the rows; a received record whose producer sent no message id in a header is given that of its case."""
    for row in rows:
        if row.topic in _DOORS and not row.headers.messageid and row.value is not None:
            try:
                case = codec.decode(row.topic, row.value).case
            except Refused:
                pass
            else:
                row = replace(row, headers=msgspec.structs.replace(row.headers, messageid=case.message_id))
        yield row


def _rows_of(source: Source, given: str, topics: Sequence[str]) -> tuple[str, list[Row]]:
    """Return the case id, and the case's rows in the order of their append and their way."""
    doors = tuple(named(scan(source.broker, _DOORS), source.codec))
    case = _named_case(source, doors, given)
    own = [row for row in doors if row.key == case]
    messages = {row.headers.messageid for row in own if row.headers.messageid}
    events = {name for row in own for name in (row.headers.id, row.unread_id)}
    # Equal partition counts and one partitioner: what is keyed by the case lies in its partition of every topic.
    aside = (topic("parked"), topic("deadletter"), topic("retrieval.telemetry"))
    keyed = [name for name in topics if name not in aside and name not in _DOORS]
    only = {(name, row.partition) for name in keyed for row in own}
    found = [*own, *(row for row in scan(source.broker, keyed, only=only) if row.key == case)]
    found += [
        row
        for row in scan(source.broker, [name for name in aside if name in topics])
        if row.headers.messageid in messages or (row.key in events and row.topic != aside[2])
    ]
    return case, sorted(found, key=lambda row: (row.at, _ORDER.get(row.topic, len(_ORDER)), row.offset))


def _named_case(source: Source, doors: Sequence[Row], given: str) -> str:
    """Return the case id that `given` names, looking at keys and headers first and into the records last."""
    exact = {row.key for row in doors if row.key == given}
    found = exact or {row.key for row in doors if row.key.partition("/")[2] == given}
    if not found and len(given) >= PREFIX_DIGITS:
        found = {row.key for row in doors if row.headers.messageid.startswith(given)}
    if not found:
        found = {row.key for row in doors if _reports(source, row, given)}
    if not found:
        raise Refused("VM-1703", what=f"no case goes by {given!r}", where="case.received",
                      todo="see the ids with `vigimesh case list`")  # fmt: skip
    if len(found) > 1:
        few = ", ".join(sorted(found)[:_SEVERAL])
        raise Refused("VM-1704", what=f"{given!r} could mean {len(found)} cases: {few}", where="case.received",
                      todo="give the whole case id, or more digits")  # fmt: skip
    return found.pop()


def _reports(source: Source, row: Row, given: str) -> bool:
    try:
        case = source.codec.decode(row.topic, row.value or b"").case
    except Refused:
        return False
    return given in (case.report_id, case.worldwide_id, *case.linked_ids)


def _with_end(line: Listed, end: Row | None, codec: Codec) -> Listed:
    """Return the line with what its outcome says, or why it waits."""
    if end is None or end.value is None:
        return line
    event: CaseDecided | ReviewRequested | EventParked = codec.decode(end.topic, end.value)
    if isinstance(event, EventParked):
        return replace(line, reason=f"until {event.not_before:%Y-%m-%d %H:%M}: {event.reason}")
    return replace(
        line, decision=event.decision if isinstance(event, CaseDecided) else "", grade=event.grade,
        serious=event.serious, due_at=event.due_at, reason=event.reason, workflow=event.workflow, lane=event.lane,
        grave=estimate_in(event.findings) if isinstance(event, ReviewRequested) else None,
    )  # fmt: skip


def _trace(case: str, message: str, rows: Sequence[Row]) -> Trace:
    start, before = rows[0].at, rows[0].at
    hops = []
    for row in rows:
        parts = row.headers.traceparent.split("-")
        hops.append(
            Hop(
                at=row.at, topic=row.topic, stage=stage_of(row), lane=row.headers.lane,
                span_id=parts[2] if len(parts) == 4 else "", since_start_s=(row.at - start).total_seconds(),
                took_s=(row.at - before).total_seconds(),
            )
        )  # fmt: skip
        before = row.at
    stated = (row.headers.traceparent.split("-") for row in rows)
    trace = next((parts[1] for parts in stated if len(parts) == 4), ids.trace_id(message))
    return Trace(case_id=case, message_id=message, trace_id=trace, hops=tuple(hops))
