"""What topics, journal and budget say of the money after a run; and what the endpoint could bill, which none of them knows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec

from simulation.chain import AUDIT, DEAD, PARKED, codec
from simulation.judge import ended, id_of, message_of, places, torn
from simulation.money_control import THROTTLE
from vigimesh.adapters.memory.broker import MemoryBroker
from vigimesh.domain.budget.calls import ANSWERED, IN_DOUBT, NOT_MADE
from vigimesh.domain.budget.values import Booked
from vigimesh.domain.budget.windows import names_of
from vigimesh.domain.cascade.opinion import ASKED, ASKED_AGAIN
from vigimesh.domain.record.spend import Spent
from vigimesh.events.classes import AuditRecorded, EventParked, ThrottleOrdered, ToolsExecuted
from vigimesh.events.topics import topic
from vigimesh.loop.broker import Record

if TYPE_CHECKING:
    from simulation.money_world import MoneyWorld

USAGE = topic("usage")

_Read = Mapping[str, Sequence[Record]]


def waiting(broker: MemoryBroker) -> list[EventParked]:
    """Return the events that wait now."""
    newest = {record.key: record for record in broker.committed_records(PARKED)}
    return [codec.decode(PARKED, record.value) for record in newest.values() if record.value]


def judge_money(world: MoneyWorld) -> list[str]:
    """Return what is wrong, in words; figures of the run are added to `world.figures`."""
    read = {name: world.broker.committed_records(name) for name in world.topics}
    out, back = ([name for name in read if f".{step}." in name] for step in ("supervise", "execute"))
    sent = [report.message_id for report in world.sent]
    return [
        *places(ended(world.broker, out), read, world.sent),
        *torn(read, [*out, *back, USAGE, DEAD, PARKED], given=sent, again=("parked", "resumed")),
        *_order(world, read), *_books(world), *_usage(world, read), *_billed(world), *_parked(world, read),
        *_throttle(world),
    ]  # fmt: skip


def rows_of(world: MoneyWorld) -> list[Booked]:
    """Return what the journal books, whatever is not known to be not made."""
    calls = world.servers.calls
    return [calls.booked(row) for row in calls.ordered() if calls.state(row) != NOT_MADE]


def _order(world: MoneyWorld, read: _Read) -> Iterator[str]:
    """Look whether messages of a case that came in one lane and never waited came out as they went in."""
    lanes = {report.message_id: (report.lane, report.number) for report in world.reports}
    waited = {message_of(record) for record in _parks(read)}
    for name, records in read.items():
        if "supervise" not in name:
            continue
        numbers: defaultdict[tuple[bytes, str], list[int]] = defaultdict(list)
        for record in records:
            lane, number = lanes[message_of(record)]
            if message_of(record) not in waited:
                numbers[record.key, lane].append(number)
        yield from (f"out of order: {place} on {name}: {n}" for place, n in numbers.items() if n != sorted(n))


def _books(world: MoneyWorld) -> Iterator[str]:
    """Look whether the budget is what the journal books, in each window of money, nothing leaked, no cap was passed."""
    rows, held = rows_of(world), world.servers.store.held
    if held is None or held.run != world.servers.store.run or held.epoch != world.servers.calls.epoch.name:
        yield "the budget is shut at the end"
        return
    for name in {names_of(row.at, "")["day"]: row.at for row in rows}.values():
        standing = held.books.standing("triage", world.servers.caps, name, held.epoch)
        for window in standing.windows:
            if window.window == "minute":  # a rebuild keeps no minutes that are over
                continue
            if not window.holds:
                yield f"enforced is not recorded + open: {window}"
            within = [row for row in rows if names_of(row.at, "")[window.window] == window.name]
            settled = sum(row.amount_micro for row in within if row.state == "settled")
            open_ = sum(row.amount_micro for row in within if row.state != "settled")
            if (window.recorded_micro, window.open_micro) != (settled, open_):
                yield f"budget is not journal in {window.name}: {window}, the journal has {settled} and {open_}"
            if (over := settled + open_ - window.cap_micro) > 0:
                yield f"overspend_micro {over} in {window.name}"
    states = {row.call_id: row.state for row in rows}
    for lapsed in held.books.expired(world.clock.now() + timedelta(days=1)):
        if states.get(lapsed.call_id) != "in_doubt":
            yield f"leaked reservation: {lapsed.call_id} is {states.get(lapsed.call_id, 'not in the journal')}"
    world.figures["begun"] += world.servers.begun
    world.figures["in doubt"] += sum(state == "in_doubt" for state in states.values())


def _usage(world: MoneyWorld, read: _Read) -> Iterator[str]:
    """Look whether `usage` is what the journal has answered: each call once, at its cost, and none unaccounted for.

    A call may be answered when its case has gone on without it, and then stands in no `usage`: the audit of the case says
    which call it did without, and why. A call that asked again is done without when the one before it is.
    """
    answered = {row.call_id: row.amount_micro for row in rows_of(world) if row.state == "settled"}
    spent, times = Spent(), Counter[str]()
    for record in read[USAGE]:
        used = codec.decode(USAGE, record.value)
        spent.add(used)
        times.update([f"{used.call_id} of {used.message_id}"] if used.call_id else [])
    yield from (f"paid_twice: usage has {name} {n} times" for name, n in times.items() if n > 1)
    for name, amount in spent.calls.items():
        if answered.get(name) != amount:
            yield f"usage is not journal: {name} {amount}, the journal has {answered.get(name)}"
    told = dict(_told(read))
    before = _asked_before(world)
    for name in answered.keys() - spent.calls.keys():
        if "reason" not in told.get(name, {}) and "reason" not in told.get(before.get(name, ""), {}):
            yield f"paid, and nobody knows what for: {name} {told.get(name)}"
    world.figures["used"] += len(spent.calls)
    world.figures["paid, done without"] += len(answered.keys() - spent.calls.keys())
    world.figures.update(f"told {one['reason']}" for one in told.values() if "reason" in one)


def _asked_before(world: MoneyWorld) -> dict[str, str]:
    """Return for each call that asked again the call whose answer could not be read."""
    calls = [row.call for row in world.servers.calls.ordered()]
    first = {(one.case_id, one.version, one.pass_number): one.call_id for one in calls if one.step == ASKED}
    return {
        one.call_id: first[one.case_id, one.version, one.pass_number]
        for one in calls
        if one.step == ASKED_AGAIN
    }


def _told(read: _Read) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what each case was told of its call the last time: call id, and `purchase.plain`."""
    for record in read[AUDIT]:
        audit: AuditRecorded = codec.decode(AUDIT, record.value)
        if audit.stage == "tool-executor" and audit.answers:
            answers = msgspec.msgpack.decode(audit.answers)
            yield from ((one["call_id"], one) for name, one in answers.items() if name.startswith("model:"))


def _billed(world: MoneyWorld) -> Iterator[str]:
    """Look whether the endpoint could bill anything twice, or anything that does not count."""
    calls = world.servers.calls
    rows = {row.call.prompt_digest: calls.state(row) for row in calls.ordered()}
    for digest, times in world.endpoint.billed.items():
        if times > 1:
            yield f"paid_twice: {digest[:12]} could be billed {times} times"
        if rows.get(digest) not in (ANSWERED, IN_DOUBT):
            yield f"could be billed and does not count: {digest[:12]} is {rows.get(digest)}"
    world.figures["billed"] += world.endpoint.billed.total()
    world.figures.update({f"endpoint {name}": n for name, n in world.endpoint.manners.items()})


def _parked(world: MoneyWorld, read: _Read) -> Iterator[str]:
    """Look whether only what is known not to be serious waited for money, and what is serious went on as such."""
    kinds = {report.message_id: report for report in world.reports}
    for record in _parks(read):
        report = kinds[message_of(record)]
        world.figures["parked"] += 1
        if report.kind != "minor" or report.lane == "hot":
            yield f"waited for money: {report}"
    for name in read:
        for record in read[name] if "supervise" in name else ():
            done: ToolsExecuted = codec.decode(name, record.value)
            if kinds[message_of(record)].kind == "serious" and done.triage.serious != "yes":
                yield f"lowered: {message_of(record)} is {done.triage.serious}"


def _throttle(world: MoneyWorld) -> Iterator[str]:
    """Look whether orders came from one leader at a time: terms never go back, and each is one process's."""
    records = world.control.committed_records(THROTTLE)
    orders: list[ThrottleOrdered] = [codec.decode(THROTTLE, record.value) for record in records]
    if any(after.term < before.term for before, after in pairwise(orders)):
        yield f"an older leader ordered after a newer one: {[order.term for order in orders]}"
    leaders: defaultdict[int, set[str]] = defaultdict(set)
    for record, order in zip(records, orders, strict=True):
        leaders[order.term].add(world.wrote[id_of(record)])
    yield from (f"term {term} is of {sorted(those)}" for term, those in leaders.items() if len(those) > 1)
    world.figures["orders"] += len(orders)
    world.figures["leaders"] += len(leaders)
    world.figures["ceilings"] += sum(order.tier_ceiling != "person" for order in orders)
    world.figures["calls limited"] += sum(order.calls_per_minute < 1_000 for order in orders)


def _parks(read: _Read) -> Iterator[Record]:
    """Yield what was parked, each time."""
    return (record for record in read[PARKED] if record.value)
