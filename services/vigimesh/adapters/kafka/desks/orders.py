"""Where operators' orders are given, and what they did is recorded: one operator at a time, each upon what all before did."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from vigimesh.adapters.kafka.history import scan_since, settle
from vigimesh.adapters.kafka.orders import OPERATOR_S, OrderBook
from vigimesh.adapters.kafka.producer import KafkaProducer
from vigimesh.clock import Clock
from vigimesh.errors import Refused, Transient, VigimeshError
from vigimesh.events.codec import Codec
from vigimesh.events.topics import LANES, topic
from vigimesh.loop.broker import InDoubt, Producer, Write
from vigimesh.loop.orders import Order

#: Transactional id of whoever orders: not that of `deadletter`, so that a brake never ends a redrive, nor a redrive a brake.
ORDERING = "vigimesh.operator.orders"
#: That of whoever raises a budget: he ends no order, nor an order him.
RAISING = "vigimesh.operator.budget"
#: Seconds for a transaction of another writer to end: its time-out and the broker's clean-up interval as Kafka ships it.
SETTLE_S = 25.0

_THROTTLE = topic("throttle")

#: Makes the records from the operators' orders in force, by lane and workflow; nothing when there is nothing to do.
Make = Callable[[Mapping[tuple[str, str], Order]], Sequence[Write]]


class OrderDesk:
    """Gives orders under the one transactional id of all operators."""

    def __init__(
        self, base: Mapping[str, Any], codec: Codec, clock: Clock, producer: Producer | None = None
    ) -> None:
        """Take the settings of every client; nothing is connected yet."""
        self._base, self._codec, self._clock = dict(base), codec, clock
        self._producer = producer or KafkaProducer(base, ORDERING)

    async def give(self, make: Make) -> None:
        """Write what `make` says, in one transaction.

        What is in force is read after the producer has fenced every other operator and ended what it left: an order is
        whole, so one that were made upon an older state would lift what was ordered meanwhile.
        Raises what `make` raises: then nothing is written. `Fenced` VM-1303 when a later operator has taken over, `InDoubt`
        when nobody knows whether it was written, `Transient` VM-1735 when what is in force is not known, VM-1301 when the
        broker is away.
        """
        try:
            self._producer.expire()
            await self._producer.renew()
            writes = make(operators_orders(self._base, self._codec, self._clock.now()))
            if writes:
                await write_whole(
                    self._producer,
                    writes,
                    "look whether it holds: `vigimesh throttle show`; to order it again does no harm",
                )
        finally:
            await self._producer.close()


class RecordDesk:
    """Records on the topics what was done elsewhere, under a transactional id of its own."""

    def __init__(
        self, base: Mapping[str, Any], producer: Producer | None = None, *, writer: str = RAISING
    ) -> None:
        """Take the settings of every client; nothing is connected yet. `writer` is the transactional id."""
        self._producer = producer or KafkaProducer(base, writer)

    async def write(self, writes: Sequence[Write]) -> None:
        """Write records in one transaction.

        Raises `Fenced` VM-1303 when a later writer of that name has taken over, `InDoubt` when nobody knows whether they were
        written, `Transient` VM-1301 when the broker is away.
        """
        try:
            await self._producer.renew()
            await write_whole(self._producer, writes, "give it again: nothing was changed yet")
        except Transient:
            # The next call begins with a producer of its own, which ends whatever this one left.
            self._producer.expire()
            raise

    async def close(self) -> None:
        """Let go of the connection."""
        await self._producer.close()


async def write_whole(producer: Producer, writes: Sequence[Write], doubtful: str) -> None:
    """Write records in one transaction; `doubtful` is what to do when nobody knows whether they were written.

    Raises `Fenced` VM-1303, `InDoubt` and `Transient` VM-1301 as the producer does.
    """
    producer.begin()
    try:
        for write in writes:
            producer.write(write)
        await producer.commit()
    except InDoubt as error:
        raise InDoubt(error.code, what=error.what, where=error.where, todo=doubtful) from error
    except VigimeshError:
        with suppress(VigimeshError):  # the broker ends it in the end, and the first error says what happened
            await producer.abort()
        raise


def operators_orders(
    base: Mapping[str, Any], codec: Codec, now: datetime
) -> dict[tuple[str, str], Order]:  # fmt: skip
    """Return the operators' orders in force, by lane and workflow, as of the call.

    Raises `Transient` VM-1735 when another writer's transaction hides what was ordered, VM-1301 when the broker is away,
    `Misconfigured` VM-1702 without the topic.
    """
    if not settle(base, [_THROTTLE], within_s=SETTLE_S):
        raise Transient("VM-1735", what=f"a transaction stays open for over {SETTLE_S:g} s", where=_THROTTLE,
                        todo="see `vigimesh transactions list`, then order again")  # fmt: skip
    book = OrderBook()
    for row in scan_since(base, [_THROTTLE], now - timedelta(seconds=OPERATOR_S)):
        if row.value is not None:
            with suppress(Refused):  # no order of ours; workers pass it over as well
                book.take(codec.decode(_THROTTLE, row.value), row.at)
    found = (order for lane in LANES for order in book.in_force(lane, now))
    return {(order.lane, order.workflow): order for order in found if order.by}
