"""What is to be ordered: how a version of a case stands on the topics, and the records of its recall. Pure.

A recall is the version's own route with why it comes again, on its lane's `plan` topic. Its event id is made from the message and the
cause, so that the topics say whether it was ordered, whatever was remembered elsewhere.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from vigimesh.background.librarian.records import record
from vigimesh.background.librarian.run import NAME
from vigimesh.domain.knowledge.recalling import (
    MAX_PASSAGES,
    Change,
    Use,
    change_words,
    earlier_words,
    lane_for,
    newest,
)
from vigimesh.domain.record.rows import Row
from vigimesh.events import ids
from vigimesh.events.classes import AuditRecorded, CaseDecided, CaseRouted, FlowCounted, ReviewRequested
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope, traceparent_of
from vigimesh.events.knowledge import Recall
from vigimesh.events.topics import lane_topic, topic
from vigimesh.loop.broker import Write

#: Decisions that follow from the versions of a case alone: no advice is in them, and they close what came before.
_OVERTAKEN = ("superseded", "nullified")

Conclusion = CaseDecided | ReviewRequested


@dataclass(slots=True)
class Standing:
    """What the topics hold of one message: its first route, its conclusions in the order of their append, its recalls.

    `orders` are its recalls by cause, each with its event id.
    """

    routed: CaseRouted | None = None
    ended: list[tuple[Row, Conclusion]] = field(default_factory=list)
    orders: dict[str, tuple[str, Recall]] = field(default_factory=dict)

    @property
    def concluded(self) -> set[str]:
        """The causes that were concluded; empty text for the arrival."""
        return {event.cause for _, event in self.ended}

    @property
    def open(self) -> tuple[str, ...]:
        """The causes for which it is on its way."""
        return tuple(cause for cause in self.orders if cause not in self.concluded)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is to be done about a use: order it, wait for it, or leave it, and why; or it was ordered already."""

    then: Literal["order", "wait", "leave", "ordered"]
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """A recall with its records, and where it goes."""

    use: Use
    recall: Recall
    event_id: str
    workflow: str
    lane: str
    writes: tuple[Write, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """What every record needs: the codec, who orders, and when."""

    codec: Codec
    actor: str
    now: datetime


def order_id(message_id: str, cause: str) -> str:
    """Return the event id of the one recall of a message for a cause."""
    return ids.event_id(f"{message_id}|{cause}", f"{NAME}.recall", 1, 0)


def standings(rows: Iterable[Row], codec: Codec) -> dict[str, Standing]:
    """Return how each message stands; raises `Refused` for a record of ours that cannot be decoded."""
    found: dict[str, Standing] = {}
    for row in rows:
        if row.value is None:
            continue
        one = found.setdefault(row.headers.messageid, Standing())
        event = codec.decode(row.topic, row.value)
        if isinstance(event, CaseDecided | ReviewRequested):
            one.ended.append((row, event))
        elif event.route.recall is not None:
            if event.route.pass_number == 1:
                one.orders[event.route.cause] = row.headers.id, event.route.recall
        elif one.routed is None or event.route.pass_number < one.routed.route.pass_number:
            one.routed = event
    for one in found.values():
        one.ended.sort(key=lambda pair: pair[0].at)
    return found


def verdict(use: Use, change: Change, standing: Standing | None) -> Verdict:
    """Return what is to be done, by the first rule that fits.

    1. Its order is on the topics: somebody wrote it and was stopped before he could remember that.
    2. Its records are not there, or it is not concluded: what is on its way ends with what it was given, and is looked at then.
    3. Another recall of it is open: its result is what the next is held against.
    4. It was overtaken by a newer version, or nullified: nothing rests on it.
    5. It was concluded anew since, without what is stale.
    """
    if standing is None or standing.routed is None:
        return Verdict(then="wait", why="its records are not on the topics")
    # 1.
    if change.cause in standing.orders:
        return Verdict(then="ordered")
    # 2.
    if "" not in standing.concluded:
        return Verdict(then="wait", why="it is not concluded yet")
    # 3.
    if standing.open:
        return Verdict(then="wait", why=f"it is recalled for {standing.open[0]}")
    _, last = standing.ended[-1]
    # 4.
    if isinstance(last, CaseDecided) and last.decision in _OVERTAKEN:
        return Verdict(then="leave", why=f"{last.decision}: nothing rests on it")
    # 5.
    cited = {f"{use.document_id}@{version}" for version in use.versions}
    if last.cause and not cited.intersection(last.labels):
        return Verdict(then="leave", why=f"concluded anew for {last.cause}, without what is stale")
    return Verdict(then="order")


def recall_of(use: Use, change: Change, last: Conclusion, now: datetime) -> Recall:
    """Return why and against which earlier result a version is looked at again."""
    triage = last.triage
    return Recall(
        document_id=change.document_id, version=change.version, withdrawn=change.withdrawn,
        superseded=newest(use.versions), passages=use.passages[:MAX_PASSAGES],
        earlier=last.decision if isinstance(last, CaseDecided) else "in_review", rule=last.rule, grade=last.grade,
        serious=last.serious, listed=triage.listed if triage else "not_checked", due_at=last.due_at,
        known_at=change.known_at, ordered_at=now,
    )  # fmt: skip


def ordered(use: Use, change: Change, standing: Standing, making: Making) -> Ordered:
    """Return the order of a use whose verdict is `order`, with the record of it for the auditor."""
    assert standing.routed is not None
    row, last = standing.ended[-1]
    case, first = standing.routed.case, standing.routed.route
    recall = recall_of(use, change, last, making.now)
    lane, why = lane_for(
        serious=last.serious, grade=last.grade, urgent=case.urgent, due_at=last.due_at, now=making.now
    )
    reason = f"{change_words(recall)}; {lane}: {why}"
    # Its passes are counted anew, and what they cost: a call that asks the same again is the journal's, and was paid.
    route = dataclasses.replace(
        first, lane=lane, rule="advice_recalled", reason=reason, pass_number=1, cost_micro=0, escalation="", recall=recall,
    )  # fmt: skip
    event_id = order_id(use.message_id, recall.cause)
    audit = AuditRecorded(
        case_id=case.case_id, message_id=case.message_id, event_id=row.headers.id, stage=NAME, actor=making.actor,
        action="recalled", why=reason, input_digest=ids.digest(row.value or b""), outputs=(event_id,),
        earlier=earlier_words(recall), new=lane_topic("plan", lane),
    )  # fmt: skip
    own = (case.message_id, first.workflow, lane, recall.cause)
    writes = (
        _write(
            making,
            lane_topic("plan", lane),
            (case.case_id, CaseRouted(case=case, route=route)),
            event_id,
            own,
        ),
        _write(making, topic("audit"), (case.case_id, audit), ids.event_id(event_id, NAME, 1, -1), own),
    )
    return Ordered(
        use=use, recall=recall, event_id=event_id, workflow=first.workflow, lane=lane, writes=writes
    )


def flow(making: Making, orders: Sequence[Ordered]) -> Iterator[Write]:
    """Yield the counts of a transaction, one record per workflow and lane, so that lag knows what was sent."""
    sent = Counter((one.workflow, one.lane) for one in orders)
    for index, ((workflow, lane), count) in enumerate(sorted(sent.items())):
        event = FlowCounted(
            stage=NAME, workflow=workflow, lane=lane, consumed=0, produced=count, sent={lane_topic("plan", lane): count},
        )  # fmt: skip
        named = ids.event_id(orders[0].event_id, f"{NAME}.flow", 1, index)
        yield _write(making, topic("flow"), (workflow, event), named, ("", workflow, lane, ""))


def _write(
    making: Making, name: str, keyed: tuple[str, object], event_id: str, own: tuple[str, str, str, str]
) -> Write:
    """Encode one event; `keyed` is its key and itself, `own` its message, workflow, lane and cause."""
    key, event = keyed
    message, workflow, lane, cause = own
    trace = ids.trace_id(message or event_id)
    head = Envelope(
        id=event_id, source="", type="", time=making.now, subject=key, messageid=message, workflow=workflow, lane=lane,
        cause=cause, traceparent=traceparent_of(trace, ids.span_id(f"{NAME}|{event_id}")),
    )  # fmt: skip
    return record(making.codec, (name, event_id), key, making.codec.encode(name, event), making.now, head)


def results(standing: Standing, cause: str) -> Mapping[str, str]:
    """Return how the recall of a message for `cause` ended: `result`, `rule` and when; empty while it is open."""
    for row, event in standing.ended:
        if event.cause == cause:
            what = event.decision if isinstance(event, CaseDecided) else _reviewed(event)
            return {"result": what, "rule": event.rule, "at": row.at.isoformat()}
    return {}


def _reviewed(event: ReviewRequested) -> str:
    return "reopened" if event.rule == "advice_recalled" else "asked_again"
