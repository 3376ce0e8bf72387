"""The controller's loop: poll → look → rule → commit → tell."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import product
from math import nan
from typing import Protocol

from vigimesh import names
from vigimesh.background.controller.money import Money, Seen, Watch, alarms, hide, rule, show
from vigimesh.background.controller.reign import NO_MONEY, Reign, succeeded
from vigimesh.clock import Clock, Deadline
from vigimesh.domain.control.lag import LagRow
from vigimesh.domain.control.measure import Known, Measure
from vigimesh.domain.control.pricing import Account, MoneyRuling
from vigimesh.domain.control.yields import SHARES, Ruling, yields
from vigimesh.errors import Refused, Transient
from vigimesh.events import ids
from vigimesh.events.classes import FlowTotalled, ThrottleOrdered
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope, source_of, to_headers
from vigimesh.events.topics import BY_NAME, LANES, topic
from vigimesh.loop.broker import DOUBT_S, Batch, Consumer, InDoubt, Part, Position, Producer, Write
from vigimesh.loop.health import Health
from vigimesh.loop.orders import TERM_MAX, NoOrders, Orders, share_percent, slows
from vigimesh.loop.telemetry import Telemetry
from vigimesh.loop.worker import BACKOFF_S, MAX_BACKOFF_S

#: What this process is called in headers and metrics.
NAME = "controller"
THROTTLE, TOTALS = topic("throttle"), topic("flow.totals")

#: Seconds of one turn: lag is worked out once a second.
TURN_S = 1.0
#: Records of one poll: orders are few, and only their terms are looked at.
POLL_RECORDS = 500
#: Seconds for what `flow` holds that was not counted yet; a long one is counted over several turns, unknown meanwhile.
FLOW_S = 2.0
#: Seconds between two keepings of the totals: a new leader or reader counts that much of `flow` again.
KEEP_S = 60.0


class Lag(Protocol):
    """Works out the lag of the mesh."""

    def look(self, flow_within_s: float) -> tuple[LagRow, ...]:
        """Return a row for every lane of every stage; what is not known says so. Never raises for a broker away."""
        ...

    def totals(self) -> tuple[FlowTotalled, ...]:
        """Return the totals of `flow` as of the last look; nothing while they are not known."""
        ...

    def close(self) -> None:
        """Let go of the connections."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """What a controller is made of. `objectives` are the seconds of each card for its hot lane.

    `orders` are those in force, an operator's too: it follows none of them, and says of a lane that they slow it down.
    Without `money` no backlog is priced, and what a leader before it ordered on its account is lifted.
    """

    consumer: Consumer
    producer: Producer
    lag: Lag
    objectives: Mapping[str, float]
    codec: Codec
    telemetry: Telemetry
    health: Health
    clock: Clock
    money: Money | None = None
    orders: Orders = field(default_factory=NoOrders)
    turn_s: float = TURN_S


@dataclass(slots=True)
class Seat:
    """The leader's seat: owning the one partition of `throttle`. State of one process, changed by its loop alone."""

    #: Whose it is: `None` while another process leads.
    part: Part | None = None
    reign: Reign = field(default_factory=lambda: Reign(term=0))
    watch: Watch = field(default_factory=Watch)
    #: The next offset of `throttle`, and whether all before the end was read: then no order has a higher term.
    next: int = 0
    read: bool = False
    group: object = None
    kept_s: float = float("-inf")
    told: set[tuple[str, str, str]] = field(default_factory=set)


async def run(controller: Controller, stop: threading.Event) -> None:
    """Lead, or stand by until the leader goes, until `stop` is set; then leave the group.

    Raises `Fenced` when a newer controller took over: its keeper starts it again, to stand by.
    """
    seat = Seat()
    wait_s = BACKOFF_S
    try:
        while not stop.is_set():
            turn = Deadline.after(controller.clock, controller.turn_s)
            try:
                await poll(controller, seat)
                if seat.read:
                    await lead(controller, seat)
                controller.health.ready = True
                wait_s = BACKOFF_S
                await asyncio.sleep(turn.left_s())
            except Transient as error:
                controller.health.ready, controller.health.trouble = False, str(error)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, MAX_BACKOFF_S)
            controller.health.beat()
    finally:
        controller.health.ready = False
        await controller.consumer.close()
        await controller.producer.close()
        await asyncio.to_thread(controller.lag.close)
        if controller.money is not None:
            await controller.money.accounts.close()


async def poll(controller: Controller, seat: Seat) -> None:
    """Take the seat or leave it, as the group says, and read what was ordered: a reign is above all terms seen."""
    patience_s = controller.turn_s if seat.part is None else 0.0 if seat.read else controller.turn_s / 4
    batch = await controller.consumer.poll(POLL_RECORDS, patience_s, _nothing_in_hand)
    if seat.part in batch.revoked:
        leave(controller, seat)
    for part, position in batch.assigned.items():
        take(controller, seat, part, position)
    if seat.part is not None:
        _learn(controller, seat, seat.part, batch)
        seat.group = batch.group
    controller.health.standby = seat.part is None
    controller.telemetry.level(names.LEADING, float(seat.part is not None), {})


def take(controller: Controller, seat: Seat, part: Part, position: Position) -> None:
    """Begin a reign; a new producer ends what the former leader still has under way."""
    seat.part, seat.next, seat.read = part, position.offset, False
    seat.reign = succeeded(position.metadata, controller.clock.now())
    seat.watch = Watch(learned=dict(seat.reign.learned))
    seat.kept_s = float("-inf")
    controller.producer.expire()


def leave(controller: Controller, seat: Seat) -> None:
    """End the reign; what this process told of the lag would be read as if it still held."""
    seat.part, seat.read = None, False
    for stage, lane, workflow in seat.told:
        labels = {"stage": stage, "lane": lane, "workflow": workflow}
        for metric in (names.LAG_RECORDS, names.LAG_SECONDS, names.LAG_UNKNOWN):
            controller.telemetry.level(metric, nan, labels)
    for lane, _ in SHARES:
        controller.telemetry.level(names.ORDERED_SHARE, nan, {"lane": lane})
    for lane, workflow in product(LANES, controller.objectives):
        controller.telemetry.level(names.THROTTLED, nan, {"lane": lane, "workflow": workflow})
    if controller.money is not None:
        hide(controller.telemetry, controller.money.cards)


async def lead(controller: Controller, seat: Seat) -> None:
    """One turn of the leader: look at lag and accounts, rule, write what is to be ordered, and tell."""
    await controller.producer.renew()
    accounts: Mapping[str, Account] = {}
    looking = asyncio.to_thread(controller.lag.look, FLOW_S)
    if controller.money is None:
        rows = await looking
    else:
        # Side by side: a store that is away must not hold up those who wait for hot.
        asking = controller.money.accounts.look(controller.clock.now())
        rows, accounts = await asyncio.gather(looking, asking)
    now = controller.clock.now()
    ruling = yields(rows, controller.objectives, seat.reign.yields, now)
    money = NO_MONEY
    if controller.money is not None:
        seen = Seen(rows=rows, totals=controller.lag.totals(), accounts=accounts)
        money = rule(controller.money, seat.watch, seen, seat.reign.money, now)
    await commit(controller, seat, (ruling, money), now)
    tell(controller, seat, rows, ruling)
    tell_slowed(controller, ruling, money, now)
    if controller.money is not None:
        show(controller.telemetry, money, alarms(controller.money, seat.watch, accounts))
        if money.unknown:
            trouble = (controller.health.trouble, f"money is unknown: {money.unknown[0]}")
            controller.health.trouble = "; ".join(filter(None, trouble))


async def commit(
    controller: Controller, seat: Seat, rulings: tuple[Ruling, MoneyRuling], now: datetime
) -> None:
    """Write the orders that are due, and now and then the totals of `flow`, with the reign, in one transaction.

    1. begin a transaction
    2. write orders and totals
    3. add the position in `throttle` with the reign beside it, under the group metadata of the last poll: a leader that
       has lost the seat is refused
    4. commit
    5. doubt: the next turn begins with a new producer; orders that are written twice say the same

    Raises `Fenced` when a newer controller took over, `Transient` so that the loop waits a little.
    """
    ruling, money = rulings
    kept = controller.lag.totals() if controller.clock.monotonic_s() - seat.kept_s >= KEEP_S else ()
    due = seat.reign.due(ruling.yields, money.in_force, now)
    fresh = replace(
        seat.reign, yields=ruling.yields, money=money.in_force, learned=tuple(sorted(seat.watch.learned.items())),
        ordered_at=now if due else seat.reign.ordered_at,
    )  # fmt: skip
    if (due or kept) and seat.part is not None:
        orders = seat.reign.orders(ruling.yields, money, now) if due else ()
        began_s = controller.clock.monotonic_s()
        try:
            controller.producer.begin()  # 1.
            for write in _writes(controller, seat, orders, kept):  # 2.
                controller.producer.write(write)
            position = Position(offset=seat.next, metadata=fresh.metadata())
            await controller.producer.send_offsets({seat.part: position}, seat.group)  # 3.
            await controller.producer.commit()  # 4.
        except (Transient, Refused) as error:
            try:
                if not isinstance(error, InDoubt):
                    await controller.producer.abort()
            finally:
                controller.producer.expire()  # 5.
            raise
        if controller.clock.monotonic_s() - began_s > DOUBT_S:
            controller.producer.expire()  # 5.
        if kept:
            seat.kept_s = controller.clock.monotonic_s()
    seat.reign = fresh


def tell(controller: Controller, seat: Seat, rows: Sequence[LagRow], ruling: Ruling) -> None:
    """Show the lag and the shares as metrics. What is unknown is NaN: the gauge is taken back, and no sum or comparison finds a number."""
    for row in rows:
        place = (row.stage, row.lane, row.workflow or "all")
        labels = dict(zip(("stage", "lane", "workflow"), place, strict=True))
        seat.told.add(place)
        controller.telemetry.level(names.LAG_RECORDS, _number(row.records), labels)
        controller.telemetry.level(names.LAG_SECONDS, _number(row.seconds), labels)
        controller.telemetry.level(names.LAG_UNKNOWN, float(row.state == "unknown"), labels)
    controller.health.trouble = f"lag is unknown: {ruling.unknown[0]}" if ruling.unknown else ""


def tell_slowed(controller: Controller, ruling: Ruling, money: MoneyRuling, now: datetime) -> None:
    """Show which lanes are slow because somebody ordered it, this controller or an operator, and not for load."""
    shares = {one.lane: one.share_percent for one in ruling.yields}
    limited = {one.workflow for one in money.in_force.shares if one.limited}
    for lane in LANES:
        orders, share = controller.orders.in_force(lane, now), shares.get(lane, 100)
        if lane != "hot":
            least = min(share, share_percent(orders))
            controller.telemetry.level(names.ORDERED_SHARE, least, {"lane": lane})
        for workflow in controller.objectives:
            slow = share < 100 or workflow in limited or slows(orders, workflow)
            controller.telemetry.level(names.THROTTLED, float(slow), {"lane": lane, "workflow": workflow})


def _learn(controller: Controller, seat: Seat, part: Part, batch: Batch) -> None:
    """Go on in the topic; whoever ordered under a higher term (a person, in an emergency) is followed, not fought."""
    for record in batch.records:
        seat.next = record.offset + 1
        try:
            ordered: ThrottleOrdered = controller.codec.decode(THROTTLE, record.value)
        except Refused:
            continue
        if seat.reign.term < ordered.term <= TERM_MAX:
            seat.reign = replace(seat.reign, term=ordered.term)
    if part in batch.ends:
        seat.next = max(seat.next, batch.ends[part])
        seat.read = True


def _writes(
    controller: Controller, seat: Seat, orders: Sequence[ThrottleOrdered], kept: Sequence[FlowTotalled]
) -> Iterator[Write]:
    for index, order in enumerate(orders):
        place = f"{order.lane}/{order.workflow}"
        yield _write(controller, (THROTTLE, place, order), (seat, index), order.lane)
    for index, total in enumerate(kept, start=len(orders)):
        yield _write(controller, (TOTALS, total.workflow, total), (seat, index), "")


def _write(
    controller: Controller,
    what: tuple[str, str, ThrottleOrdered | FlowTotalled],
    at: tuple[Seat, int],
    lane: str,
) -> Write:
    name, key, event = what
    seat, index = at
    now = controller.clock.now()
    head = Envelope(
        id=ids.event_id(f"{seat.reign.term}|{now.isoformat()}", NAME, 1, index), source=source_of(NAME),
        type=BY_NAME[name].ce_type, time=now, subject=key,
        dataschema=controller.codec.dataschema(name), workflow=event.workflow, lane=lane,
    )  # fmt: skip
    return Write(
        topic=name, key=key.encode(), value=controller.codec.encode(name, event), headers=to_headers(head)
    )


async def _nothing_in_hand(_: frozenset[Part]) -> None:
    """Let partitions go at once: no transaction is under way during a poll."""


def _number(measure: Measure) -> float:
    return measure.value if isinstance(measure, Known) else nan
