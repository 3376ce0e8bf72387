"""The certificate of P3, from the record: money made no serious case wait, and no case miss its legal clock.

What is certified is read from `audit`, in the order of its records: who parked what and why, when it was resumed, when the
supervisor concluded. What a case was known to be when it was made to wait is worked out anew from the event that the
audit names, by whoever calls; what cannot be worked out is not certified. Nothing that the mesh says of itself (a lane's
metric, a reason's text) is believed beyond who waited for what.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from vigimesh.domain.budget.waiting import LONGEST, ROOM, WAITS
from vigimesh.domain.safety.grade import SERIOUS_GRADE
from vigimesh.events.classes import AuditRecorded, CaseDecided, ReviewRequested, Triage

#: Who makes a case wait for money, who sends it on, and who concludes.
PAYER, RESUMER, CONCLUDER = "tool-executor", "resumer", "supervisor"
#: How much later than its moment a case may be back: a resumer that is started again reads what is parked first.
DELAY = timedelta(minutes=15)

Conclusion = CaseDecided | ReviewRequested


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """One record of `audit` and the broker's append time of it, UTC."""

    at: datetime
    record: AuditRecorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was known of a case when it was made to wait: worked out anew from its event, never read from what says that it waits."""

    triage: Triage
    lane: str
    received_at: datetime

    @property
    def last(self) -> datetime:
        """Until when it may wait at most: its clock leaves a person room, or without a clock not for ever."""
        due_at = self.triage.clock.due_at
        return self.received_at + LONGEST if due_at is None else due_at - ROOM

    @property
    def may_wait(self) -> bool:
        """Whether it was known not to be serious, with a clock that needs no person; work that is not triaged counts as serious (P3)."""
        triage = self.triage
        # Grade 0 is a document's that tells of no event: there is no case whose criteria could be lacking.
        settled = (
            (triage.valid or triage.grade == 0) and triage.serious == "no" and triage.grade < SERIOUS_GRADE
        )
        return settled and self.lane != "hot" and not triage.clock.person_needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What the record says of waiting for money. Each tuple names message ids, in the order of the record, and must be empty.

    `serious`: made to wait though serious, not known, hot, or with a clock that a person must confirm. `too_long`: back, or still
    waiting, after the last moment that leaves a person room. `late`: waited, and was concluded after its clock, or is open
    after it. `unread`: its event is not there, so that nobody can say what it was. `accepted`: accepted by machine though nobody
    knew that it is not serious. `waits` counts waits, `back` those that ended.
    """

    waits: int = 0
    back: int = 0
    serious: tuple[str, ...] = ()
    too_long: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether P3 holds of this record."""
        return not (self.serious or self.too_long or self.late or self.unread or self.accepted)


def certify(
    audit: Iterable[Audited],
    known_of: Callable[[AuditRecorded], Known | None],
    conclusions: Mapping[str, Conclusion],
    now: datetime,
) -> Certificate:
    """Derive the certificate from a whole `audit`, each partition in its order, up to `now` (UTC).

    `known_of` works out what was known of the event that an audit record names, `None` when its event is not on the record.
    `conclusions` are by the event ids that the supervisor's audit records hand on.
    """
    told = sorted(audit, key=lambda one: one.at)
    resumed: dict[str, list[datetime]] = defaultdict(list)
    concluded: dict[str, datetime] = {}
    accepted: dict[str, None] = {}
    for one in told:
        record = one.record
        if record.stage == RESUMER and record.action == "resumed":
            resumed[record.event_id].append(one.at)
        elif record.stage == CONCLUDER and record.action == "done":
            ends = [conclusions[output] for output in record.outputs if output in conclusions]
            if ends:
                concluded[record.message_id] = one.at
            if any(_accepted_unknown(end) for end in ends):
                accepted[record.message_id] = None
    found: dict[str, dict[str, None]] = defaultdict(dict)
    waits = back = 0
    for one in told:
        if not is_wait(one.record):
            continue
        waits += 1
        # The first resumption after it: an event may be made to wait again.
        ended = next((at for at in resumed[one.record.event_id] if at >= one.at), None)
        back += ended is not None
        for word in _broken(known_of(one.record), ended or now, concluded.get(one.record.message_id, now)):
            found[word][one.record.message_id] = None
    names = {word: tuple(found[word]) for word in ("serious", "too_long", "late", "unread")}
    return Certificate(waits=waits, back=back, accepted=tuple(accepted), **names)


def is_wait(record: AuditRecorded) -> bool:
    """Return whether a record says that a case was made to wait for the sake of money: for room, or for a cheaper batch."""
    return (
        record.stage == PAYER and record.action == "parked" and record.why.startswith(tuple(WAITS.values()))
    )


def _broken(known: Known | None, until: datetime, end: datetime) -> Iterable[str]:
    """Yield what one wait breaks; `until` is when it ended, `end` when the case was concluded, both `now` where that is open."""
    if known is None:
        yield "unread"
        return
    if not known.may_wait:
        yield "serious"
    if until > known.last + DELAY:
        yield "too_long"
    due_at = known.triage.clock.due_at
    if due_at is not None and end > due_at:
        yield "late"


def _accepted_unknown(end: Conclusion) -> bool:
    return isinstance(end, CaseDecided) and end.decision == "auto_accepted" and end.serious != "no"
