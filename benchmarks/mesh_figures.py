"""What a run of the real mesh came to, from its topics, its call journal and the log of its budget's store. Pure.

The sums are `account.py`'s, not the budget's: the month that three of the four controllers have is laid over all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from account import Order, Told, booked_beyond, judged, read_orders
from measuring import percentile
from mesh_arrivals import Arrival
from vigimesh.adapters.redis.scripts import sha
from vigimesh.domain.budget.values import Booked, Caps, Denied, Reserved
from vigimesh.domain.record.rows import Row
from vigimesh.domain.record.spend import Spent
from vigimesh.events.classes import AuditRecorded, EventParked, UsageRecorded
from vigimesh.events.codec import Codec
from vigimesh.events.topics import LANES, lane_topic, topic
from vigimesh.tool_executor.execute import STAGE
from vigimesh.tool_executor.opinions import KIND
from vigimesh.tool_executor.purchase import Paid, Unpaid, told_of

#: The one workflow that pays.
PAYS = "triage"
#: How the reason of whatever waits for money begins (`tool_executor.opinions`).
FOR_MONEY = "waits for money"
_ENDS = frozenset(topic(name) for name in ("case.decided", "case.review", "deadletter", "parked"))
_TRIAGED = frozenset(lane_topic("supervise", lane) for lane in LANES)
_USAGE, _PARKED, _AUDIT = (topic(name) for name in ("usage", "parked", "audit"))


@dataclass(slots=True, kw_only=True)
class Seen:
    """What the topics say of each case, by case id, and what each purchase was told, by call id."""

    triaged_at: dict[str, datetime] = field(default_factory=dict)
    ended_at: dict[str, datetime] = field(default_factory=dict)
    parked_for_money: set[str] = field(default_factory=set)
    #: Cases that waited, parked for money, before any record of theirs was triaged.
    untriaged_for_money: set[str] = field(default_factory=set)
    #: Cases by what came of their purchase: `paid`, or the reason why nothing was.
    came: dict[str, str] = field(default_factory=dict)
    told: dict[str, list[Told]] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)


def seen(rows: Iterable[Row], codec: Codec) -> Seen:
    """Read the records of a run, in any order; raises `Refused` for one that cannot be decoded."""
    found, parked = Seen(), list[tuple[str, datetime, EventParked]]()
    for row in rows:
        if row.topic in _TRIAGED:
            _first(found.triaged_at, row.key, row.at)
        elif row.topic in _ENDS and row.value is not None:
            if row.topic == _PARKED:
                event: EventParked = codec.decode(row.topic, row.value)
                parked.append((event.key.decode(), row.at, event))
                _first(found.ended_at, event.key.decode(), row.at)
            else:
                _first(found.ended_at, row.key, row.at)
        elif row.topic == _USAGE and row.value is not None:
            used: UsageRecorded = codec.decode(row.topic, row.value)
            found.spent.add(used)
        elif row.topic == _AUDIT and row.value is not None:
            _purchases(found, codec.decode(row.topic, row.value))
    for case_id, at, event in parked:
        if event.reason.startswith(FOR_MONEY):
            found.parked_for_money.add(case_id)
            if found.triaged_at.get(case_id, at) >= at:
                found.untriaged_for_money.add(case_id)
    return found


def _first(moments: dict[str, datetime], name: str, at: datetime) -> None:
    moments[name] = min(at, moments.get(name, at))


def _purchases(found: Seen, audit: AuditRecorded) -> None:
    """Take from an audit of the tool-executor what its purchase was told."""
    if audit.stage != STAGE or not audit.answers:
        return
    answers: Mapping[str, Any] = msgspec.msgpack.decode(audit.answers)
    for name, value in answers.items():
        if not name.startswith(f"{KIND}:"):
            continue
        match told_of(value):
            case Paid() as paid:
                found.came[audit.case_id] = "paid"
                found.told.setdefault(paid.call_id, []).append(
                    Reserved(paid.call_id, paid.cost_micro, paid.at)
                )
            case Unpaid() as unpaid:
                found.came[audit.case_id] = unpaid.reason
                if unpaid.reason == "denied":
                    denied = Denied(unpaid.call_id, "month", 0, 0, 0, 0, unpaid.retry_at)
                    found.told.setdefault(unpaid.call_id, []).append(denied)


def orders_since_built(log: Sequence[Any]) -> list[Order]:
    """Return the budget's orders since it was built at the start of the mesh, oldest first.

    Raises `RuntimeError` when it was built again after the first of them: then the account has no beginning.
    """
    swap, reserve = sha("swap").encode(), sha("reserve").encode()
    ran = {
        int(number): parts[1]
        for number, _, _, parts, *_ in log
        if len(parts) > 1 and parts[0].upper() == b"EVALSHA" and parts[1] in (swap, reserve)
    }
    built = max((number for number, script in ran.items() if script == swap), default=-1)
    if any(number < built for number, script in ran.items() if script == reserve):
        raise RuntimeError(
            "the budget was rebuilt after calls had been made: nothing of this run can be judged"
        )
    return read_orders([entry for entry in log if int(entry[0]) > built])


def under(orders: Iterable[Order], month: int) -> list[Order]:
    """Return the orders with this month's money as the cap of their month and day, whatever theirs was."""
    return [
        replace(one, windows={
            window: (name, month if window in ("month", "day") else cap) for window, (name, cap) in one.windows.items()
        })
        for one in orders
    ]  # fmt: skip


def figures(
    sent: Sequence[Arrival],
    begun_at: datetime,
    month: int,
    found: Seen,
    books: tuple[list[Booked], list[Order]],
) -> dict[str, float]:
    """Return the figures of a run. `begun_at` is the moment of second 0; `books` are the journal's rows and the store's orders.

    Money counts that of the warm-up too, which was spent of the same month; the rest counts `sent` alone.
    Raises `RuntimeError` when a case of `sent` has no outcome, or journal and `usage` differ.
    """
    rows, orders = books
    if missing := [one.name for one in sent if one.case_id not in found.ended_at]:
        raise RuntimeError(f"{len(missing)} cases have no outcome, the first is {missing[0]}")
    # A call in doubt counts as its worst case, and nothing says in `usage` that it was made.
    doubtful = [row for row in rows if row.state == "in_doubt"]
    spent = sum(row.amount_micro for row in rows)
    settled = spent - sum(row.amount_micro for row in doubtful)
    if settled != sum(found.spent.calls.values()):
        raise RuntimeError(
            f"the journal has {settled} micro-units settled, usage {sum(found.spent.calls.values())}"
        )
    wide = Caps("EUR", month_micro=month, day_micro=month, case_micro=10**12, calls_per_minute=10**6)
    verdict = judged(under(orders, month), found.told)

    def late_s(moments: Mapping[str, datetime], lane: str) -> list[float]:
        due = {one.case_id: begun_at + timedelta(seconds=one.at_s) for one in sent if one.lane == lane}
        return [(moments[name] - at).total_seconds() for name, at in due.items()]

    wanting = [one for one in sent if one.wants]
    unsafe = {one.case_id for one in sent if one.serious != "no"} | found.untriaged_for_money
    came = Counter(found.came.get(one.case_id, "never_asked") for one in wanting)
    made = {
        "overspend_micro": booked_beyond(rows, {PAYS: wide}),
        "admitted_beyond_micro": verdict.overspend_micro,
        "hot_p99_s": percentile(late_s(found.ended_at, "hot"), 99.0),
        "hot_triage_p99_s": percentile(late_s(found.triaged_at, "hot"), 99.0),
        "serious_or_untriaged_waited_for_money": len(found.parked_for_money & unsafe),
        "false_refusals": verdict.false_refusals,
        "unjudged": verdict.unjudged,
        "spend_micro": spent,
        "in_doubt": len(doubtful),
        "refused": came["denied"],
        "never_asked": came["never_asked"],
        "unpaid_otherwise": sum(came.values()) - came["paid"] - came["denied"] - came["never_asked"],
        "took_s": max((found.ended_at[one.case_id] - begun_at).total_seconds() for one in sent),
    }
    for lane in LANES:
        there = [one for one in wanting if one.lane == lane]
        made[f"wanted_{lane}"] = len(there)
        made[f"opinions_{lane}"] = sum(found.came.get(one.case_id) == "paid" for one in there)
        made[f"parked_{lane}"] = sum(
            one.case_id in found.parked_for_money for one in sent if one.lane == lane
        )
    return {key: float(figure) for key, figure in made.items()}


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return figures with those that are told lane by lane in an object of their own."""
    lanes = {
        key: {lane: flat[f"{key}_{lane}"] for lane in LANES}
        for key in ("wanted", "opinions", "parked")
        if all(f"{key}_{lane}" in flat for lane in LANES)
    }
    own = {f"{key}_{lane}" for key in lanes for lane in LANES}
    return {**{key: value for key, value in flat.items() if key not in own}, **lanes}
