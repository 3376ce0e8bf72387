"""What a run ends with: totals, losses, spend and what waits for a person, from one pass over the topics."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from sys import intern

from vigimesh.adapters.kafka.history import Broker, committed_offsets, scan, settle
from vigimesh.app.cases.history import audit_facts, named
from vigimesh.domain.record.checker import Check, check, placed
from vigimesh.domain.record.rows import AuditFact, Row
from vigimesh.domain.record.spend import Spent
from vigimesh.domain.record.works import INPUTS, Committed
from vigimesh.events.classes import CaseDecided, EventParked, ReviewRequested, UsageRecorded
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope
from vigimesh.events.topics import DOORS, LANES, lane_topic, topic

_DECIDED, _REVIEW, _USAGE, _PARKED = (
    topic(name) for name in ("case.decided", "case.review", "usage", "parked")
)

#: Places of what is concluded.
_ENDED = ("decided", "in_review")

#: Every topic that doors and stages write events of cases to: what `reckon` must be given.
RECKONED = (
    *(topic(f"case.received.{door}") for door in DOORS),
    *(lane_topic(step, lane) for step in ("plan", "retrieve", "execute", "supervise") for lane in LANES),
    _DECIDED, _REVIEW, _USAGE, _PARKED,
    *(topic(name) for name in ("case.head", "deadletter", "audit", "retrieval.telemetry", "cascade.sample")),
)  # fmt: skip

#: Looks at the topics before something torn, lost or in flight is reported, and seconds between two: a message that was
#: sent again is through within a second or two.
LOOKS, LOOK_AGAIN_S = 4, 1.0
#: Seconds that a transaction may stay open: its time-out when its producer has died, the broker's clean-up interval of
#: 10 s where that is as Kafka ships it, and as much again for a broker that is busy.
OPEN_S = 2 * (10.0 + 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Cases that wait for a person for the same reason: how many, and when the first is due."""

    workflow: str
    lane: str
    question: str
    cases: int
    first_due_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """A message that waits, parked: until when, and why."""

    message_id: str
    workflow: str
    lane: str
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reckoning:
    """The end of a run. `decisions` counts by lane, workflow and decision (its word, else the place).

    `calls` are the paid model calls that were used, each counted once, as in `spend_micro`. `tiers` counts the concluded messages by the tier
    that resolved them; what waits for a person is that person's. `message_micro` says what each message cost that cost anything.
    """

    check: Check
    spend_micro: Mapping[str, int]
    decisions: Mapping[tuple[str, str, str], int]
    waiting: tuple[Waiting, ...]
    deferred: tuple[Deferred, ...] = ()
    calls: int = 0
    tiers: Mapping[str, int] = field(default_factory=dict)
    message_micro: Mapping[str, int] = field(default_factory=dict)

    @property
    def all_large_micro(self) -> int | None:
        """Return what a call for every concluded case would have cost at the mean of the calls made; `None` when none was."""
        return sum(self.spend_micro.values()) * sum(self.tiers.values()) // self.calls if self.calls else None

    @property
    def cases_per_second(self) -> float | None:
        """Return accepted ÷ (last outcome - first append); `None` when nothing was concluded in a measurable time."""
        first, last = self.check.first_append_at, self.check.last_outcome_at
        took_s = (last - first).total_seconds() if first and last else 0.0
        return self.check.accepted / took_s if took_s > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """What ended a message: a decision's word, or the question that a person is asked and until when."""

    at: datetime
    word: str
    tier: str
    workflow: str
    lane: str
    asked: tuple[str, datetime | None] | None


@dataclass
class _Kept:
    """What is taken out of the records on the way, so that none has to be kept whole."""

    facts: list[AuditFact] = field(default_factory=list)
    spent: Spent = field(default_factory=Spent)
    #: Event -> what waits, parked.
    deferred: dict[str, Deferred] = field(default_factory=dict)
    #: Message -> what ended it last; a recall that upholds a conclusion, or finds its version overtaken, ends nothing anew.
    ends: dict[str, _End] = field(default_factory=dict)

    def end(self, row: Row, event: CaseDecided | ReviewRequested) -> None:
        """Keep an outcome that is the message's last, whichever topic was read first."""
        known = self.ends.get(event.message_id)
        decided = isinstance(event, CaseDecided)
        if isinstance(event, CaseDecided) and event.cause and event.decision != "upheld":
            return
        if known is not None and (known.at > row.at or (known.asked and decided and event.cause)):
            return
        self.ends[event.message_id] = _End(
            at=row.at,
            word=event.decision if isinstance(event, CaseDecided) else "",
            tier=event.tier if decided else "person",
            workflow=event.workflow,
            lane=event.lane,
            asked=None if isinstance(event, CaseDecided) else (event.question, event.due_at),
        )


def reckon(rows: Iterable[Row], codec: Codec, *, committed: Committed | None = None) -> Reckoning:
    """Return the reckoning of the records of `RECKONED`, as `scan` yields them.

    `committed` are the groups' positions: with them a case whose records were all taken counts as lost, not as in
    flight. Raises `Refused` for a record of ours that cannot be decoded (a received one is nobody's fault here).
    """
    kept = _Kept()
    slim = list(_slim(named(rows, codec), codec, kept))
    found = check(slim, audits=kept.facts, committed=committed)
    decisions = {key: count for key, count in found.table.items() if key[2] != "decided"}
    recalled = any(row.headers.cause for row in slim)
    still = {name for name, one in placed(slim).items() if one.place not in _ENDED} if recalled else set()
    for message, end in kept.ends.items():
        if end.asked is None and message not in still:
            key = (end.lane, end.workflow, end.word)
            decisions[key] = decisions.get(key, 0) + 1
    return Reckoning(
        check=found, spend_micro=dict(sorted(kept.spent.by_workflow.items())), decisions=dict(sorted(decisions.items())),
        waiting=_waiting(kept), calls=len(kept.spent.calls), tiers=Counter(one.tier for one in kept.ends.values()),
        deferred=tuple(sorted(kept.deferred.values(), key=lambda one: (one.until, one.message_id))),
        message_micro=kept.spent.by_message,
    )  # fmt: skip


def account(
    broker: Broker,
    codec: Codec,
    *,
    own: Callable[[Iterable[Row]], Iterable[Row]] = lambda rows: rows,
    drained: bool = True,
) -> Reckoning:
    """Return the reckoning of what is on the topics now, of the rows that `own` lets through.

    Looked at again while something seems torn or lost, or, when the mesh should be `drained`, on its way: the end of a
    transaction reaches its partitions one after the other, and a message that an earlier run sent too may still be on
    its way when the outcome it got then is seen. Neither is a fault; what is one is found by every look. Raises what
    `scan` and `reckon` raise.
    """
    pause, left, committed = threading.Event(), LOOKS, committed_offsets(broker)
    while True:
        found = reckon(own(scan(broker, RECKONED)), codec, committed=committed)
        seen, left = found.check, left - 1
        if left == 0 or not (seen.torn or seen.lost or (drained and seen.in_flight)):
            return found
        pause.wait(LOOK_AGAIN_S)
        # Positions first: what was taken up to them has then ended in every partition before it is looked for.
        committed = committed_offsets(broker)
        settle(broker, RECKONED, within_s=OPEN_S)


def rows_of_run(
    rows: Iterable[Row], messages: Collection[str], starts: Mapping[tuple[str, int], int]
) -> Iterator[Row]:
    """Yield what one run is about: the records of its messages, and those of no message appended since its start.

    `starts` are the ends of the topics before the run. Other runs on the same stack stay out of its totals; a message
    that an earlier run sent too is counted with the outcome it got then.
    """
    for row in rows:
        message = row.headers.messageid
        if message in messages if message else row.offset >= starts.get((row.topic, row.partition), 0):
            yield row


def _slim(rows: Iterable[Row], codec: Codec, kept: _Kept) -> Iterator[Row]:
    """Yield the rows with only what the checker reads, taking out of their values what the run's end needs."""
    for row in rows:
        if row.value is not None:
            _take(row, codec, kept)
        elif row.topic == _PARKED:
            kept.deferred.pop(row.key, None)
        head = row.headers
        yield Row(
            intern(row.topic), row.partition, row.offset, row.at, row.key,
            Envelope(
                id=head.id, source="", type="", time=row.at, subject="", messageid=head.messageid,
                workflow=intern(head.workflow), lane=intern(head.lane), cause=intern(head.cause),
            ),
            None if row.value is None else b"",
            row.unread_id if row.topic in INPUTS else "",
        )  # fmt: skip


def _take(row: Row, codec: Codec, kept: _Kept) -> None:
    """Keep what a record says beyond its headers."""
    kept.facts.extend(audit_facts((row,), codec))
    if row.topic not in (_USAGE, _DECIDED, _REVIEW, _PARKED):
        return
    event: UsageRecorded | CaseDecided | ReviewRequested | EventParked = codec.decode(
        row.topic, row.value or b""
    )
    if isinstance(event, EventParked):
        kept.deferred[row.key] = Deferred(
            message_id=row.headers.messageid, workflow=event.workflow, lane=row.headers.lane, until=event.not_before,
            reason=event.reason,
        )  # fmt: skip
    elif isinstance(event, UsageRecorded):
        kept.spent.add(event)
    else:
        kept.end(row, event)


def _waiting(kept: _Kept) -> tuple[Waiting, ...]:
    """Return what waits for a person, the earliest due first, what has no due date last."""
    groups: dict[tuple[str, str, str], list[datetime | None]] = {}
    for end in kept.ends.values():
        if end.asked is not None:
            groups.setdefault((end.workflow, end.lane, end.asked[0]), []).append(end.asked[1])
    found = [
        Waiting(
            workflow=workflow, lane=lane, question=question, cases=len(dues),
            first_due_at=min((due for due in dues if due), default=None),
        )
        for (workflow, lane, question), dues in groups.items()
    ]  # fmt: skip
    return tuple(
        sorted(found, key=lambda one: (one.first_due_at is None, one.first_due_at or 0, one.workflow))
    )
