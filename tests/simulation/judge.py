"""What the topics say after a run: lost, duplicated, torn, out of order. Looks at nothing else."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise

from simulation.chain import (
    AUDIT,
    DEAD,
    FIRST,
    FLOW,
    HEAD,
    LAST,
    PARKED,
    SECOND,
    TOPICS,
    Load,
    codec,
    number_of,
)
from vigimesh.adapters.memory.broker import MemoryBroker
from vigimesh.events.classes import AuditRecorded, EventDeadLettered, FlowCounted, HeadMoved
from vigimesh.events.envelope import from_headers
from vigimesh.loop.broker import Record


def judge(broker: MemoryBroker, sent: Sequence[Load], given: Collection[str] = ()) -> list[str]:
    """Return what is wrong, in words; nothing when all is well. `given` are events that came from outside, beyond the door."""
    read = {name: broker.committed_records(name) for name in TOPICS}
    # The state that the last stage keeps is compacted: what is missing there is no sign of anything.
    audits: list[AuditRecorded] = [codec.decode(AUDIT, r.value) for r in read[AUDIT]]
    gone = {a.outputs[1] for a in audits if len(a.outputs) > 1} - {id_of(r) for r in read[HEAD]}
    outputs = (FIRST, SECOND, LAST, HEAD, DEAD, PARKED)
    return [
        *places(ended(broker), read, sent), *torn(read, outputs, gone, given), *_order(read, sent), *_state(read)
    ]  # fmt: skip


def ended(broker: MemoryBroker, last: Sequence[str] = (LAST,)) -> Counter[str]:
    """Return how many ends each message has, for each cause apart: handed on by the last stage, given up, or waiting."""
    ends = Counter(unit_of(record) for name in last for record in broker.committed_records(name))
    for record in broker.committed_records(DEAD):
        letter: EventDeadLettered = codec.decode(DEAD, record.value)
        ends[letter.message_id] += 1
    ends.update(parked(broker))
    return ends


def parked(broker: MemoryBroker) -> list[str]:
    """Return the messages that wait now: parked, and no tombstone says that they went on."""
    newest = {record.key: record for record in broker.committed_records(PARKED)}
    events = [codec.decode(PARKED, record.value) for record in newest.values() if record.value]
    names = [{h.name: h.value.decode() for h in event.headers} for event in events]
    return [f"{one['ce_messageid']} {one.get('ce_cause', '')}".rstrip() for one in names]


def contents(broker: MemoryBroker, topics: Sequence[str] = TOPICS) -> str:
    """Return a digest of all that a reader of committed records sees, offsets and times included."""
    found = hashlib.sha256()
    for name in topics:
        for record in broker.committed_records(name):
            found.update(
                repr(
                    (record.part, record.offset, record.key, record.value, record.at, record.headers)
                ).encode()
            )
    return found.hexdigest()


def places(ends: Counter[str], read: Mapping[str, Sequence[Record]], sent: Sequence[Load]) -> Iterator[str]:
    """Look whether each message came to one end, and nothing was given up but what is no event."""
    for load in sent:
        if ends[load.unit] == 0:
            yield f"lost: {load.unit} {load.todo}"
        elif ends[load.unit] > 1:
            yield f"duplicated: {load.unit} {load.todo} has {ends[load.unit]} ends"
    unknown = ends.keys() - {load.unit for load in sent}
    if unknown:
        yield f"from nowhere: {sorted(unknown)}"
    poison = {load.message_id for load in sent if "poison" in load.todo}
    for record in read[DEAD]:
        letter: EventDeadLettered = codec.decode(DEAD, record.value)
        if letter.message_id not in poison:
            yield f"given up though sound: {letter.message_id} {letter.code} {letter.cause}"


def torn(
    read: Mapping[str, Sequence[Record]],
    outputs: Sequence[str],
    gone: Collection[str] = (),
    given: Collection[str] = (),
    again: Collection[str] = (),
) -> Iterator[str]:
    """Look whether outputs, audit and flow came together.

    `gone` are outputs that nobody has to find any more, `given` are those that came from outside, and what is in `again` may
    be done to an event more than once.
    """
    audits: list[AuditRecorded] = [codec.decode(AUDIT, r.value) for r in read[AUDIT]]
    works = Counter((a.stage, a.event_id, a.action) for a in audits if a.action not in again)
    yield from (f"duplicated: {work} worked {n} times" for work, n in works.items() if n > 1)
    named = Counter(output for audit in audits for output in audit.outputs if output not in gone)
    there = Counter(id_of(r) for name in outputs for r in read[name] if r.value)
    there.subtract(given)
    if named != there:
        yield f"torn: {sum((named - there).values())} outputs only in audit, {sum((there - named).values())} only on topics"
    flows: list[FlowCounted] = [codec.decode(FLOW, r.value) for r in read[FLOW]]
    consumed = Counter[str]()
    for flow in flows:
        consumed[flow.stage] += flow.consumed
    counted = Counter(audit.stage for audit in audits)
    if consumed != counted:
        yield f"torn: flow counts {dict(consumed)}, audit has {dict(counted)}"


def _order(read: dict[str, list[Record]], sent: Sequence[Load]) -> Iterator[str]:
    """Look whether the messages of a case came out as they went in; one that was parked may come later."""
    parked = {load.message_id for load in sent if "park" in load.todo}
    for name in (FIRST, SECOND, LAST):
        numbers: defaultdict[bytes, list[int]] = defaultdict(list)
        for record in read[name]:
            # A recall comes after whatever came since.
            if message_of(record) not in parked and not from_headers(record.headers, "").cause:
                numbers[record.key].append(number_of(codec.decode(name, record.value)))
        yield from (
            f"out of order: {key!r} on {name}: {found}"
            for key, found in numbers.items()
            if found != sorted(found)
        )


def _state(read: dict[str, list[Record]]) -> Iterator[str]:
    """Look whether the state kept by the last stage went up by one with each message; older state may be compacted."""
    counts: defaultdict[bytes, list[int]] = defaultdict(list)
    for record in read[HEAD]:
        head: HeadMoved = codec.decode(HEAD, record.value)
        counts[record.key].append(int(head.newest[0]))
    messages = Counter(record.key for record in read[LAST])
    for key, found in counts.items():
        if any(later <= earlier for earlier, later in pairwise(found)):
            yield f"state doubled: {key!r} went {found}"
    newest = {key: found[-1] for key, found in counts.items()}
    if newest != messages:
        yield f"state lost or torn: {newest}, messages {dict(messages)}"


def unit_of(record: Record) -> str:
    headers = from_headers(record.headers, "")
    return f"{headers.messageid} {headers.cause}".rstrip()


def message_of(record: Record) -> str:
    return from_headers(record.headers, "").messageid


def id_of(record: Record) -> str:
    return from_headers(record.headers, "").id
