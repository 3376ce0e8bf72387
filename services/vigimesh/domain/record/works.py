"""Which record each piece of work was done on: audit records matched with the copies of an event on the topics read.

An event id may stand several times on the topic it was written to: sent twice by an upstream system, resumed after it was
parked, redriven after it was dead-lettered. Each copy is a record of its own, and a stage concludes each exactly once. All
audits of a key lie in one partition in the order of their commits, so the n-th final audit of an event belongs to its n-th
copy.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vigimesh.domain.record.rows import AuditFact, Row
from vigimesh.events.topics import STAGES, inputs_of

#: Actions of an audit record after which a stage never comes back to that copy of the event.
FINAL_ACTIONS = frozenset({"done", "parked", "rejected"})

#: Every topic that a stage reads.
INPUTS = frozenset(name for stage in STAGES for name in inputs_of(stage, None))

#: Next offset to read, by topic and partition: what a group has committed.
Committed = Mapping[tuple[str, int], int]


@dataclass(frozen=True, slots=True)
class Works:
    """What the stages have concluded.

    `again` names the event of each work beyond the copies there are: done twice. `out_of_order` names each event that
    was concluded after a later record of the same key and partition, or whose output lies behind that of a later one.
    """

    #: Event id -> its copies on the topics that stages read, the oldest first.
    copies: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    #: Event id -> final audits.
    concluded: Mapping[str, int] = field(default_factory=dict)
    committed: Committed = field(default_factory=dict)
    again: tuple[str, ...] = ()
    out_of_order: tuple[str, ...] = ()

    def has(self, row: Row) -> bool:
        """Return whether no stage will take this record any more, as far as is known."""
        if row.offset < self.committed.get((row.topic, row.partition), 0):
            return True
        done = self.concluded.get(row.headers.id, 0)
        if done == 0:
            return False
        copies = self.copies.get(row.headers.id, ())
        return done >= len(copies) or any(one.place == row.place for one in copies[:done])


def works(rows: Iterable[Row], facts: Iterable[AuditFact] | None, committed: Committed | None) -> Works:
    """Match audits, given in offset order per partition, with the records they were made on."""
    copies: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.topic in INPUTS:
            copies[row.headers.id].append(row)
    for found in copies.values():
        if len({(row.topic, row.partition) for row in found}) > 1:
            found.sort(key=lambda row: row.at)
    final = [fact for fact in facts or () if fact.action in FINAL_ACTIONS and fact.stage in STAGES]
    concluded = Counter(fact.event_id for fact in final)
    again = [
        event
        for event, count in concluded.items()
        for _ in range(count - len(copies[event]) if event in copies else 0)
    ]
    return Works(
        copies=copies, concluded=concluded, committed=committed or {}, again=tuple(again),
        out_of_order=_out_of_order(final, copies),
    )  # fmt: skip


def _out_of_order(final: Sequence[AuditFact], copies: Mapping[str, Sequence[Row]]) -> tuple[str, ...]:
    """Return the events concluded, or handed on to a topic, behind a later record of their key.

    Copies that lie in several partitions are passed over: nothing says which of them an audit was made on.
    """
    times: Counter[str] = Counter()
    named: Counter[str] = Counter()
    newest: dict[tuple[str, int, str], int] = {}
    late: dict[str, None] = {}
    handed: dict[tuple[str, int, str, str, int], list[tuple[int, int, str]]] = defaultdict(list)
    for fact in final:
        nth = times[fact.event_id]
        times[fact.event_id] += 1
        row = _copy(copies.get(fact.event_id, ()), nth)
        if row is None:
            continue
        where = (row.topic, row.partition, row.key)
        if row.offset < newest.get(where, -1):
            late[fact.event_id] = None
        newest[where] = max(row.offset, newest.get(where, -1))
        for output in fact.outputs if fact.action == "done" else ():
            # An event that is concluded again, on another copy, makes outputs with the same ids again.
            after = _copy(copies.get(output, ()), named[output])
            named[output] += 1
            if after is not None and after.key == row.key:
                handed[*where, after.topic, after.partition].append((after.offset, row.offset, fact.event_id))
    for pairs in handed.values():
        furthest = -1
        for _, offset, event in sorted(pairs):
            if offset < furthest:
                late[event] = None
            furthest = max(furthest, offset)
    return tuple(late)


def _copy(found: Sequence[Row], nth: int) -> Row | None:
    """Return the n-th copy, `None` when there is none or they lie in several partitions."""
    if nth >= len(found) or len({(row.topic, row.partition) for row in found}) > 1:
        return None
    return found[nth]
