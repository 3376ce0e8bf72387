"""The checker: what became of every accepted message, from the topics alone (docs/glossary.md has lost and torn).

A *unit* is what counts as one: a message id on `case.received.*`. A received record counts by its place
(`TOPIC-PARTITION-OFFSET`) when it names no message, or when it is itself dead-lettered: nobody could read whose it was.

Every unit has one place: decided, in review, dead-lettered (also when a person has closed it), parked, in flight, or lost. *Lost* is a unit without an
outcome of which no record is left that a stage has yet to take. Lost units are in none of the other places, so that
`accepted` equals the sum of the places only while nothing is lost. *Duplicated* counts the places of a unit beyond one,
and the works of a stage beyond the records it was given. *Out of order* are works on a record that were concluded after a
later record of the same key: see `works`.

What is concluded once is a unit for a *cause*: its arrival, or the recall of advice that it rests on (`ce_cause`). A recalled unit
is no second one. While a recall is open the unit is where its recall is; a recall that no record carries on is lost. Once concluded it moves
the unit only by reopening it: to uphold a conclusion, or to find the version overtaken, closes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from vigimesh.domain.record.called import as_called
from vigimesh.domain.record.rows import AuditFact, Row
from vigimesh.domain.record.triage_time import Statement, TriageTimes, first_standing, times
from vigimesh.domain.record.works import INPUTS, Committed, Works, works
from vigimesh.events import ids
from vigimesh.events.topics import BY_NAME, DOORS, LANES, lane_topic, topic

#: Where a unit may be, in the order of the sum.
PLACES = ("decided", "in_review", "parked", "dead_lettered", "in_flight")

_DECIDED, _REVIEW = topic("case.decided"), topic("case.review")
_PARKED, _DEAD = topic("parked"), topic("deadletter")
_DOOR_TOPICS = frozenset(topic(f"case.received.{door}") for door in DOORS)
_SUPERVISE = frozenset(lane_topic("supervise", lane) for lane in LANES)
_MIDWAY = frozenset(lane_topic(step, lane) for step in ("plan", "retrieve", "execute") for lane in LANES)
#: What a stage hands on: each such record must be named by the audit record of the same transaction.
_HANDED_ON = _MIDWAY | _SUPERVISE | {_DECIDED, _REVIEW}
#: Who sends dead letters back or closes them (`app/operators/redrive`).
_OPERATOR = "operator"
#: Where a recall is while it is open, the gravest first.
_OPEN = ("lost", "dead_lettered", "parked", "in_flight")
_HEAD_WRITERS = BY_NAME[topic("case.head")].writers


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Totals derived from topics. `torn`, `out_of_order`: `None` when no audit was given. Ids are units, see the module."""

    accepted: int
    decided: int
    in_review: int
    parked: int
    dead_lettered: int
    in_flight: int
    lost: int
    duplicated: int
    torn: int | None
    #: Messages with an outcome that no received record accounts for.
    unaccounted: int
    triage: TriageTimes
    #: (lane, workflow, place) -> units; lane and workflow as last named in headers, or "".
    table: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    first_append_at: datetime | None = None
    last_outcome_at: datetime | None = None
    lost_ids: tuple[str, ...] = ()
    duplicated_ids: tuple[str, ...] = ()
    torn_ids: tuple[str, ...] = ()
    unaccounted_ids: tuple[str, ...] = ()
    out_of_order: int | None = None
    out_of_order_ids: tuple[str, ...] = ()

    @property
    def balanced(self) -> bool:
        """Return whether accepted = decided + in_review + parked + dead_lettered + in_flight."""
        return self.accepted == sum(int(getattr(self, place)) for place in PLACES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where one accepted unit is. `key` is the record key it was accepted under; lane and workflow may be empty."""

    key: str
    place: str
    lane: str
    workflow: str
    accepted_at: datetime
    triage_s: float | None


@dataclass(slots=True)
class _Unit:
    """What is known of one unit."""

    accepted_at: datetime | None = None
    key: str = ""
    outcomes: list[Row] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    inputs: list[Row] = field(default_factory=list)
    dead: bool = False
    parked: bool = False
    #: A person closed its dead letter: nobody will work on it, and that is where it ended.
    closed: bool = False
    lane: str = ""
    workflow: str = ""
    named_at: datetime | None = None
    #: Cause -> what is known of that recall.
    recalls: dict[str, _Unit] = field(default_factory=dict)

    def of(self, cause: str) -> _Unit:
        """Return what holds the records of a cause: itself for the arrival."""
        return self.recalls.setdefault(cause, _Unit()) if cause else self

    def place(self, taken: Works | None) -> str:
        """Return where the unit is: one of `PLACES`, or `lost`; `taken` is `None` when nobody has looked what was concluded."""
        if self.outcomes:
            still = {recall.place(taken) for recall in self.recalls.values()}
            reopened = [row for one in self.recalls.values() for row in one.outcomes if row.topic == _REVIEW]
            last = max((self.outcomes[-1], *reopened), key=lambda row: row.at)
            ended = "decided" if last.topic == _DECIDED else "in_review"
            return next((where for where in _OPEN if where in still), ended)
        if self.dead:
            return "dead_lettered"
        if self.parked:
            return "parked"
        if taken is not None and not all(taken.has(row) for row in self.inputs):
            return "in_flight"
        if self.closed:
            return "dead_lettered"
        return "in_flight" if taken is None else "lost"

    def extra_places(self) -> int:
        """Return how many places it has beyond one."""
        own = max(0, len(self.outcomes) + self.dead + self.parked - 1)
        return own + sum(recall.extra_places() for recall in self.recalls.values())

    def triage_s(self) -> tuple[str, float | None]:
        """Return lane and seconds to the first statement that stands; an outcome before it states as much."""
        said = [*self.statements, *(Statement(at=row.at, lane=row.headers.lane) for row in self.outcomes)]
        first = first_standing(said)
        if first is None or self.accepted_at is None:
            return self.lane, None
        return first.lane or self.lane, (first.at - self.accepted_at).total_seconds()


def check(
    rows: Iterable[Row], *, audits: Iterable[AuditFact] | None = None, committed: Committed | None = None
) -> Check:
    """Return what became of every accepted message.

    `rows` are all committed records of the topics that stages read or write, in offset order per partition, `audits`
    likewise. `torn` needs `audits`, and for it `rows` must hold every topic that a stage writes to. Without `audits` and `committed`
    a unit without an outcome always counts as in flight. Only the headers of `rows` are read.
    """
    facts = None if audits is None else tuple(audits)
    kept = tuple(rows)
    called, told = as_called(kept, facts or ())
    units, owners = _units(called, told)
    taken = works(called, None if facts is None else told, committed)
    places = {name: unit.place(taken) for name, unit in units.items()}
    accepted = {name: unit for name, unit in units.items() if unit.accepted_at is not None}
    table: dict[tuple[str, str, str], int] = {}
    for name, unit in accepted.items():
        row = (unit.lane, unit.workflow, places[name])
        table[row] = table.get(row, 0) + 1
    torn = None if facts is None else _torn(kept, facts, owners)
    counts = {place: sum(places[name] == place for name in accepted) for place in PLACES}
    lost = tuple(sorted(name for name in accepted if places[name] == "lost"))
    unaccounted = tuple(sorted(set(units) - set(accepted)))
    outcomes = [row.at for unit in units.values() for row in unit.outcomes]
    twice = {name for name, unit in units.items() if unit.extra_places()}
    twice.update(owners.get(event, event) for event in taken.again)
    late = tuple(sorted({owners.get(event, event) for event in taken.out_of_order}))
    return Check(
        accepted=len(accepted),
        **counts,
        lost=len(lost),
        duplicated=sum(unit.extra_places() for unit in units.values()) + len(taken.again),
        torn=None if torn is None else len(torn),
        unaccounted=len(unaccounted),
        triage=times(unit.triage_s() for unit in accepted.values()),
        table=table,
        first_append_at=min((u.accepted_at for u in accepted.values() if u.accepted_at), default=None),
        last_outcome_at=max(outcomes, default=None),
        lost_ids=lost,
        duplicated_ids=tuple(sorted(twice)),
        torn_ids=torn or (),
        unaccounted_ids=unaccounted,
        out_of_order=None if facts is None else len(taken.out_of_order),
        out_of_order_ids=late,
    )


def placed(rows: Iterable[Row], settled: Iterable[AuditFact] = ()) -> dict[str, Placed]:
    """Return where each accepted unit is, by its id, in the order of acceptance; `rows` as for `check`.

    `settled` are the audits of what an operator sent back or closed: without them a closed one counts as in flight.
    """
    units, _ = _units(*as_called(tuple(rows), tuple(settled)))
    found = {
        name: Placed(
            key=unit.key, place=unit.place(None), lane=unit.lane, workflow=unit.workflow,
            accepted_at=unit.accepted_at, triage_s=unit.triage_s()[1],
        )
        for name, unit in units.items()
        if unit.accepted_at is not None
    }  # fmt: skip
    return dict(sorted(found.items(), key=lambda item: item[1].accepted_at))


def _units(
    rows: tuple[Row, ...], facts: tuple[AuditFact, ...] = ()
) -> tuple[dict[str, _Unit], dict[str, str]]:
    """Return the units by id, and the unit of every event id; `facts` tell what an operator sent back or closed."""
    settled = {(fact.action, fact.event_id) for fact in facts if fact.stage == _OPERATOR}
    dead = {row.key: row for row in _newest(rows, _DEAD)}
    parked = {row.key: row for row in _newest(rows, _PARKED)}
    owners = _owners(rows, dead)
    causes = {row.headers.id: row.headers.cause for row in rows if row.headers.cause}
    units: dict[str, _Unit] = {}
    for row in rows:
        if row.topic in (_DEAD, _PARKED):
            continue
        back = ("redriven", row.headers.id) in settled
        name = _unit_at_door(row, owners, back) if row.topic in _DOOR_TOPICS else row.headers.messageid
        if name:
            _tell(units, name, row)
    for events, mark in ((dead, "dead"), (parked, "parked")):
        for key, row in events.items():
            name = owners.get(key) or row.headers.messageid or key
            unit = units.setdefault(name, _Unit())
            setattr(unit.of(row.headers.cause), mark, True)
            _name_lane(unit, row)
    for action, event in settled:
        if action == "closed" and (name := owners.get(event, event)) in units:
            units[name].of(causes.get(event, "")).closed = True
    return units, owners


def _tell(units: dict[str, _Unit], name: str, row: Row) -> None:
    """Let the unit know one of its records."""
    if row.topic not in INPUTS and row.topic not in (_DECIDED, _REVIEW):
        return
    unit = units.setdefault(name, _Unit())
    _name_lane(unit, row)
    part = unit.of(row.headers.cause)
    if row.topic in INPUTS:
        part.inputs.append(row)
        unit.key = unit.key or row.key  # one that came without a key has its case's from the router on
    if row.topic in _DOOR_TOPICS:
        unit.key = row.key or unit.key
        unit.accepted_at = row.at if unit.accepted_at is None else min(unit.accepted_at, row.at)
    elif row.topic in _SUPERVISE:
        part.statements.append(Statement(at=row.at, lane=row.headers.lane))
    elif row.topic in (_DECIDED, _REVIEW):
        part.outcomes.append(row)
        part.outcomes.sort(key=lambda one: one.at)


def _name_lane(unit: _Unit, row: Row) -> None:
    """Keep the lane and workflow that the youngest record names, whichever topic was read first."""
    if unit.named_at is None or row.at >= unit.named_at:
        unit.named_at = row.at
        unit.lane = row.headers.lane or unit.lane
        unit.workflow = row.headers.workflow or unit.workflow


def _newest(rows: tuple[Row, ...], compacted: str) -> list[Row]:
    """Return the newest record per key of a compacted topic, keys with a tombstone left out."""
    newest = {row.key: row for row in rows if row.topic == compacted}
    return [row for row in newest.values() if row.value is not None]


def _owners(rows: tuple[Row, ...], dead: Mapping[str, Row]) -> dict[str, str]:
    """Return the unit of every event id that a door or a stage wrote."""
    received: dict[str, list[Row]] = {}
    owners: dict[str, str] = {}
    for row in rows:
        if row.topic in _DOOR_TOPICS:
            received.setdefault(row.headers.id, []).append(row)
        elif row.headers.messageid and row.topic in _HANDED_ON:
            owners[row.headers.id] = row.headers.messageid
    for event, copies in received.items():
        row = copies[0]
        unread = event in dead and (len(copies) == 1 or ids.is_unread(event))
        owners[event] = row.place if unread or not row.headers.messageid else row.headers.messageid
    return owners


def _unit_at_door(row: Row, owners: Mapping[str, str], back: bool) -> str:
    """Return the unit of a received record; one sent `back` by an operator, or the same bytes once more, is that of the first."""
    owner = owners[row.headers.id]
    if back or ids.is_unread(row.headers.id) or owner in (row.place, row.headers.id):
        return owner
    return row.headers.messageid or row.place


def _torn(rows: tuple[Row, ...], facts: tuple[AuditFact, ...], owners: Mapping[str, str]) -> tuple[str, ...]:
    """Return the units (or event ids) with a record handed on without its audit, or an audit without its records."""
    written = {row.headers.id for row in rows}
    named = {output for fact in facts for output in fact.outputs}
    given_up = {fact.event_id for fact in facts if fact.action in ("rejected", "parked")}
    torn = {
        row.headers.messageid or row.headers.id
        for row in rows
        if row.topic in _HANDED_ON and row.headers.id not in named
    }
    torn.update(
        owners.get(row.key, row.key)
        for compacted in (_DEAD, _PARKED)
        for row in _newest(rows, compacted)
        if row.key not in given_up
    )
    torn.update(fact.message_id or fact.event_id for fact in facts if _unwritten(fact, written))
    return tuple(sorted(torn))


def _unwritten(fact: AuditFact, written: set[str]) -> bool:
    """Return whether records that the audit names are missing for another reason than compaction.

    `case.head` keeps the newest record per key: of a stage that writes it, one of its records must be there. Parked
    and dead-lettered records may be gone by a tombstone; one that never was shows as a loss.
    """
    if fact.action != "done":
        return False
    missing = [output for output in fact.outputs if output not in written]
    if fact.stage in _HEAD_WRITERS:
        return bool(missing) and len(missing) == len(fact.outputs)
    return bool(missing)
