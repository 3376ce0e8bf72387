"""Follows `throttle` in a thread of its own and tells a worker which orders are in force."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from vigimesh.adapters.kafka.client import CALL_S, moment
from vigimesh.adapters.kafka.follower import Follower
from vigimesh.clock import Clock
from vigimesh.domain.policy.tiers import TIERS
from vigimesh.errors import Refused
from vigimesh.events.classes import ThrottleOrdered
from vigimesh.events.codec import Codec
from vigimesh.events.topics import LANES, topic
from vigimesh.loop.orders import ANY_CALLS, TERM_MAX, Order, Pause, lifts

#: Seconds that an order holds at most after it was written, and so how far back a worker that starts has to read.
#: Those in force are repeated every 10 s.
ORDER_S = 60.0
#: The same for an operator's order, which nobody repeats: a working day and the night after it. So far back the topic is
#: read at the start; of the controller's orders that is some ten thousand.
OPERATOR_S = 86_400.0
#: Seconds for which what waits for money is looked for after a budget was raised: a resumer that starts meanwhile still hears of it, and a
#: worker parks what it was refused just before. Seven looks in growing intervals, so that what finds no room goes round no oftener.
RAISED_S = 600.0
#: Orders kept at a time: 3 lanes of some 100 workflows and one for all of each. Beyond, further ones are not taken. As many
#: pauses are remembered until their ends: what waits by one more comes back when that pause was to end.
ORDERS_MAX = 500

_THROTTLE = topic("throttle")
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class OrderBook:
    """The newest order of each lane, workflow and giver, by the rules that make a wrong one harmless."""

    #: The highest term seen: what an older leader still writes is passed over.
    term: int = 0
    #: By lane, workflow, and whether an operator gave it: the controller lifts no operator's order, nor he the controller's.
    _newest: dict[tuple[str, str, bool], Order] = field(default_factory=dict)
    #: Pauses that were ordered, standing or not, until the moment at which they were to end.
    _pauses: frozenset[Pause] = frozenset()

    def take(self, ordered: ThrottleOrdered, at: datetime) -> str:
        """Take one order, appended at `at`; return what of it is not followed, which is nothing of most.

        1. One of the controller's with a lower term than was seen is dropped, or with one that no controller can have.
        2. The hot lane never yields nor waits, whoever says so: its order keeps only what it says of tier, calls and
           acceptance. A lane or tier that is not known is passed over.
        3. A share outside 0 to 100 is passed over, and so is one of 0 for all workflows: nobody may stop a lane.
        4. A raised budget orders nothing and lifts nothing: only a person tells of one, and it is remembered for `RAISED_S`.
        5. The newest of a lane, workflow and giver counts, also when it lifts what was ordered (it orders nothing).
        6. It ends when it says, at most `ORDER_S` after it was written, an operator's `OPERATOR_S`.
        """
        if ordered.money_raised:
            if ordered.by:
                self._remember(
                    Pause(lane="", workflow=ordered.workflow, until=at + timedelta(seconds=RAISED_S)), at
                )
            return "" if ordered.by else "only a person tells of a raised budget"
        if not ordered.by:
            if ordered.term < self.term:
                return ""  # an older leader's: whoever reads a day of the topic again meets many
            if ordered.term > TERM_MAX:
                return f"no leader has term {ordered.term}"
            self.term = ordered.term
        if nonsense := _nonsense(ordered):
            return nonsense
        share = 100 if ordered.lane == "hot" else ordered.share_percent
        longest = at + timedelta(seconds=OPERATOR_S if ordered.by else ORDER_S)
        order = Order(
            lane=ordered.lane, workflow=ordered.workflow, share_percent=share, reason=ordered.reason,
            expires_at=min(ordered.expires_at, longest),
            tier_ceiling=ordered.tier_ceiling, calls_per_minute=min(max(0, ordered.calls_per_minute), ANY_CALLS),
            holds_acceptance=ordered.holds_acceptance, by=ordered.by,
        )  # fmt: skip
        place = (ordered.lane, ordered.workflow, bool(ordered.by))
        fresh = dict(self._newest)
        fresh.pop(place, None)
        if not lifts(order):
            fresh = {other: standing for other, standing in fresh.items() if standing.expires_at > at}
            if len(fresh) < ORDERS_MAX:
                fresh[place] = order
                if order.share_percent == 0:
                    self._remember(
                        Pause(lane=order.lane, workflow=order.workflow, until=order.expires_at), at
                    )
        self._newest = fresh  # whole at once: another thread reads it
        if place not in fresh and not lifts(order):
            return f"{ORDERS_MAX} orders are in force already"
        return _cut(ordered, order, at)

    def in_force(self, lane: str, now: datetime) -> tuple[Order, ...]:
        """Return the orders for a lane that have not expired."""
        return tuple(o for o in self._newest.values() if o.lane == lane and o.expires_at > now)

    def lifted(self, now: datetime) -> frozenset[Pause]:
        """Return the pauses that hold nobody any more: see `loop.orders.Pauses`."""
        if not self._pauses:
            return self._pauses
        waits = {
            (o.lane, o.workflow) for o in self._newest.values() if not o.share_percent and o.expires_at > now
        }
        return frozenset(p for p in self._pauses if p.until > now and (p.lane, p.workflow) not in waits)

    def _remember(self, pause: Pause, at: datetime) -> None:
        kept = {one for one in self._pauses if one.until > at}
        if len(kept) < ORDERS_MAX:
            kept.add(pause)
        self._pauses = frozenset(kept)  # whole at once, as above


def _nonsense(ordered: ThrottleOrdered) -> str:
    """Return why nobody can follow an order at all, or nothing."""
    share = ordered.share_percent
    if ordered.lane not in LANES:
        return f"there is no lane {ordered.lane[:40]!r}"
    if ordered.tier_ceiling not in TIERS:
        return f"there is no tier {ordered.tier_ceiling[:40]!r}"
    if ordered.lane == "hot":
        return ""  # its share is not looked at
    if not 0 <= share <= 100:
        return f"{share} % is no share"
    return "nobody may stop a whole lane: name a workflow" if share == 0 and not ordered.workflow else ""


def _cut(ordered: ThrottleOrdered, order: Order, at: datetime) -> str:
    """Return what was ordered beyond what holds of it, or nothing."""
    until = order.expires_at.isoformat(timespec="seconds")
    if order.share_percent != ordered.share_percent:
        return "hot never waits nor yields"
    if lifts(order):
        return ""
    if order.expires_at <= at:
        return f"it ended at {until}, before it was written"
    return f"it holds until {until} and no longer" if order.expires_at < ordered.expires_at else ""


class OrderReader(Follower):
    """`loop.orders.Orders` and `Pauses` from the broker. While it is away, what was ordered expires: full speed, never a stop."""

    def __init__(self, base: Mapping[str, Any], codec: Codec, clock: Clock) -> None:
        """Nothing is read before `start`. `base` are the settings of every client; one reader serves a process."""
        super().__init__(base, _THROTTLE, "orders")
        self._codec = codec
        self._clock = clock
        self._book = OrderBook()
        self._told: set[str] = set()

    def in_force(self, lane: str, now: datetime) -> Sequence[Order]:
        """See `loop.orders.Orders`."""
        return self._book.in_force(lane, now)

    def lifted(self, now: datetime) -> Collection[Pause]:
        """See `loop.orders.Pauses`; nothing before all that was ordered has been read once."""
        return self._book.lifted(now) if self._quiet.is_set() else ()

    def _first(self, consumer: Consumer) -> int:
        """Return where an order could still be in force."""
        # The end first: an order written after this question lies behind it.
        _, end = consumer.get_watermark_offsets(TopicPartition(_THROTTLE, 0), timeout=CALL_S)
        since = self._clock.now() - timedelta(seconds=OPERATOR_S)
        asked = TopicPartition(_THROTTLE, 0, int(since.timestamp() * 1000))
        (found,) = consumer.offsets_for_times([asked], timeout=CALL_S)
        if found.error is not None:
            raise KafkaException(found.error)
        offset: int = found.offset if found.offset >= 0 else end
        return offset

    def _take(self, value: bytes, at_ms: int) -> None:
        try:
            ordered: ThrottleOrdered = self._codec.decode(_THROTTLE, value)
        except Refused as error:
            self._tell(f"an order that cannot be read ({error.code})", error.what, at_ms)
            return
        if left := self._book.take(ordered, moment(at_ms)):
            place = f"{ordered.lane[:40]}/{ordered.workflow[:100] or 'all'}"
            self._tell(f"the order for {place} by {ordered.by[:100] or 'the controller'}", left, at_ms)

    def _tell(self, which: str, why: str, at_ms: int) -> None:
        """Say once what is not followed: after the broker was away the topic is read again."""
        text = f"{which}, written {moment(at_ms).isoformat(timespec='milliseconds')}, is not followed: {why}"
        if text not in self._told and len(self._told) < ORDERS_MAX:
            self._told.add(text)
            _log.warning("%s", text)
