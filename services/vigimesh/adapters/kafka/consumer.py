"""Reads committed records of one group from Kafka: the consumer that the loop works with.

All that may wait runs in a thread of its own: a poll goes on while the loop works, and a rebalance waits there, without
stopping the loop, for work in hand to be committed. Settings as measured (see docs/decisions).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import confluent_kafka as ck

from vigimesh.adapters.kafka.client import CALL_S, away, moment, raise_for
from vigimesh.adapters.kafka.compacted import read_compacted
from vigimesh.adapters.kafka.member import Protocol, member_settings
from vigimesh.adapters.kafka.own_thread import OwnThread
from vigimesh.errors import Transient, VigimeshError
from vigimesh.loop.broker import LEAVING_S, Batch, Leave, Part, Position, Record, require

#: Messages taken out of the client at once where an urgent topic shares the queue with others: all that lie there, so
#: that an urgent one is found behind them.
_AT_ONCE = 5_000
#: Messages of a less urgent topic that are kept here, above which it is not fetched, and below which it is again.
_MANY, _FEW = 2_000, 500


class _End(NamedTuple):
    """A partition was read to its end: the offset behind the last record, aborted one or transaction marker."""

    part: Part
    offset: int


class KafkaConsumer:
    """`loop.broker.Consumer` on one group. With `copartitioned`, partition i of every topic comes together or waits.

    `member` makes it a static member: one that comes back within its session gets its partitions without a rebalance.
    """

    def __init__(
        self, base: Mapping[str, Any], group: str, topics: Sequence[str], *,
        copartitioned: bool, protocol: Protocol = "consumer", member: str = "",
    ) -> None:  # fmt: skip
        """Subscribe at once; assignments come with the polls."""
        self._base = dict(base)
        self._topics = tuple(topics)
        self._copartitioned = copartitioned
        self._eager = protocol == "classic" and copartitioned
        self._owned: set[Part] = set()
        #: Owned, but not handed out: without its siblings, or its committed position could not be read yet.
        self._waiting: set[Part] = set()
        self._gained: dict[Part, Position] = {}
        self._lost: set[Part] = set()
        #: Whose positions may still move, as the loop says with each poll.
        self._ending: frozenset[Part] = frozenset()
        #: Held by the loop. Orders to the client wait until no poll is under way.
        self._held: set[Part] = set()
        self._orders: deque[tuple[Part, int | None]] = deque()
        #: Fetched and not handed out, by topic: records, and ends of partitions (`_End`) between them; and which of these
        #: topics are not fetched, since there is enough.
        self._kept: dict[str, deque[Record | _End]] = {topic: deque() for topic in self._topics}
        self._stopped: set[str] = set()
        #: Topics that rest by order of the loop: fetched as long as there is room, not handed out.
        self._resting: frozenset[str] = frozenset()
        self._next: dict[Part, int] = {}
        self._leave: tuple[asyncio.AbstractEventLoop, Leave] | None = None
        self._thread = OwnThread(f"consume {group}")
        self._consumer = ck.Consumer(
            {**base, **member_settings(group, copartitioned=copartitioned, protocol=protocol, member=member)}
        )
        self._consumer.subscribe(
            list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    async def poll(
        self, max_records: int, timeout_s: float, leave: Leave, ending: frozenset[Part] = frozenset()
    ) -> Batch:
        """See `loop.broker.Consumer`."""
        loop = asyncio.get_running_loop()
        self._leave, self._ending = (loop, leave), ending
        try:
            batch = await self._thread.call(lambda: self._poll(max_records, timeout_s))
            self._outdate(batch)
            return batch
        except ck.KafkaException as error:
            raise away(error, "consumer") from error
        finally:
            self._leave = None

    async def committed(self, parts: Sequence[Part]) -> Mapping[Part, Position]:
        """See `loop.broker.Consumer`. In another thread than `poll`, which may be waiting in a rebalance."""
        try:
            return await asyncio.to_thread(self._committed, parts)
        except ck.KafkaException as error:
            raise away(error, "consumer") from error

    def hold(self, part: Part) -> None:
        """See `loop.broker.Consumer`."""
        self._held.add(part)
        self._orders.append((part, None))

    def unhold(self, part: Part, offset: int) -> None:
        """See `loop.broker.Consumer`. What a poll under way has fetched is still not handed out."""
        self._orders.append((part, offset))

    def rest(self, topics: frozenset[str]) -> None:
        """See `loop.broker.Consumer`."""
        self._resting = topics

    async def restore(self, topic: str, partitions: Sequence[int]) -> Mapping[bytes, bytes]:
        """See `loop.broker.Consumer`."""
        try:
            return await asyncio.to_thread(read_compacted, self._base, topic, partitions)
        except ck.KafkaException as error:
            raise away(error, topic) from error

    async def close(self) -> None:
        """See `loop.broker.Consumer`."""
        await self._thread.call(self._consumer.close)
        self._thread.close()

    def _outdate(self, batch: Batch) -> None:
        """Forget orders of an assignment that has ended: they would move or pause its successor.

        One that was touched by them begins anew from its committed position; what is then handed out twice is known.
        """
        for part in batch.revoked | batch.assigned.keys():
            if part not in self._held and not any(order[0] == part for order in self._orders):
                continue
            self._orders = deque(order for order in self._orders if order[0] != part)
            self._held.discard(part)
            if part in batch.assigned:
                self._orders.append((part, batch.assigned[part].offset))

    # In the consumer's own thread.

    def _poll(self, max_records: int, timeout_s: float) -> Batch:
        self._obey()
        at_once = max_records if len(self._topics) == 1 else _AT_ONCE
        until_s = time.monotonic() + timeout_s
        failure = self._keep(self._consumer.consume(at_once, 0))
        left_s = timeout_s
        # The end of a partition is told with whatever comes next, or when the time is over: it alone is no reason for a turn
        # of the loop, which a record that comes a moment later would have to wait for.
        while failure is None and left_s > 0 and not self._filled():
            first = self._consumer.poll(left_s)
            if first is None:
                break
            failure = self._keep([first, *self._consumer.consume(at_once - 1, 0)])
            left_s = 0.0 if self._gained or self._lost else until_s - time.monotonic()
        self._align()
        if failure is not None:
            raise failure
        records, ends = self._hand_out(max_records)
        self._enough()
        gained, self._gained = self._gained, {}
        lost, self._lost = frozenset(self._lost), set()
        return Batch(
            records=records, ends=ends, owned=frozenset(self._owned - self._waiting), assigned=gained,
            revoked=lost, group=self._consumer.consumer_group_metadata(),
        )  # fmt: skip

    def _filled(self) -> bool:
        """Return whether there is a record to be handed out."""
        return any(
            isinstance(one, Record)
            for topic in self._topics
            if topic not in self._resting
            for one in self._kept[topic]
        )

    def _obey(self) -> None:
        """Carry out what the loop has ordered since the last poll."""
        while self._orders:
            part, offset = self._orders.popleft()
            if offset is None:
                self._held.add(part)
                self._drop((part,))
                if part in self._owned:
                    self._consumer.pause(_places((part,)))
                continue
            self._held.discard(part)
            if part in self._owned and part not in self._waiting:
                self._next[part] = offset
                if part.topic not in self._stopped:
                    self._go_on(part)

    def _go_on(self, part: Part) -> None:
        """Fetch again. The seek comes last: a resume alone goes on behind the last record handed out."""
        self._consumer.resume(_places((part,)))
        self._consumer.seek(ck.TopicPartition(part.topic, part.partition, self._next[part]))

    def _fetched(self) -> set[Part]:
        """Return the partitions whose messages count; those of others were fetched before somebody said stop."""
        return {p for p in self._owned - self._waiting - self._held if p.topic not in self._stopped}

    def _keep(self, messages: Sequence[Any]) -> VigimeshError | None:
        """Put messages to their topic; return the first error among them, with nothing of the others lost."""
        failure: VigimeshError | None = None
        fetched = {(part.topic, part.partition): part for part in self._fetched()} if messages else {}
        for message in messages:
            error = message.error()
            if error is not None and error.code() != ck.KafkaError._PARTITION_EOF:
                try:
                    raise_for(error, f"{message.topic()}-{message.partition()}")
                except VigimeshError as found:
                    failure = failure or found
                continue
            part = fetched.get((message.topic(), message.partition()))
            if part is None:
                continue
            offset = message.offset()
            if error is not None:
                self._kept[part.topic].append(_End(part, offset))
                self._next[part] = offset
                continue
            at = moment(message.timestamp()[1])
            record = Record(
                part, offset, message.key() or b"", message.value() or b"", message.headers() or [], at
            )
            self._kept[part.topic].append(record)
            self._next[part] = offset + 1
        return failure

    def _hand_out(self, max_records: int) -> tuple[tuple[Record, ...], dict[Part, int]]:
        """Hand out the most urgent first; a partition that was held while this poll was under way is sought anew later."""
        records: list[Record] = []
        ends: dict[Part, int] = {}
        for topic in self._topics:
            kept = self._kept[topic]
            while kept and len(records) < max_records and topic not in self._resting:
                one = kept.popleft()
                if self._held and one.part in self._held:
                    continue
                if isinstance(one, Record):
                    records.append(one)
                else:
                    ends[one.part] = one.offset
        return tuple(records), ends

    def _enough(self) -> None:
        """Stop fetching a less urgent topic of which there is enough here, so that an urgent record never waits behind it."""
        for topic in self._topics[1:]:
            parts = {p for p in self._owned - self._waiting - self._held if p.topic == topic}
            if topic not in self._stopped and len(self._kept[topic]) >= _MANY:
                self._stopped.add(topic)
                self._consumer.pause(_places(parts))
            elif topic in self._stopped and len(self._kept[topic]) < _FEW:
                self._stopped.discard(topic)
                for part in sorted(parts):
                    self._go_on(part)

    def _committed(self, parts: Sequence[Part]) -> dict[Part, Position]:
        found = self._consumer.committed(_places(parts), timeout=CALL_S)
        for tp in found:
            if tp.error is not None:
                raise Transient("VM-1301", what=f"committed offset cannot be read: {tp.error.name()}",
                                where=f"{tp.topic}-{tp.partition}", todo="vigimesh stack status")  # fmt: skip
        return {
            Part(tp.topic, tp.partition): Position(offset=tp.offset, metadata=tp.metadata or "")
            for tp in found
            if tp.offset >= 0
        }

    def _align(self) -> None:
        """Hand out a partition only with its siblings, from its committed position: a case's versions need one owner."""
        apart = self._apart()
        if parted := apart - self._waiting:
            self._part(parted)
        joined = self._waiting - apart - self._unsettled()
        if joined:
            positions = self._committed(sorted(joined))
            require(joined, positions)
            for part in sorted(joined):
                self._next[part] = positions[part].offset
                self._go_on(part)
            self._waiting -= joined
            self._gained.update(positions)

    def _part(self, parts: set[Part]) -> None:
        """Take partitions from the loop that are still owned: they wait."""
        self._consumer.pause(_places(parts))
        self._drop(parts)
        self._waiting |= parts
        self._lost |= {part for part in parts if self._gained.pop(part, None) is None}

    def _unsettled(self) -> set[Part]:
        """Return the partitions whose positions may still move: the loop does not know that they went, or a transaction ends.

        The broker still takes it where the partition is its sender's again, or was all the time (docs/decisions 0063).
        """
        return self._lost | self._ending

    def _apart(self) -> set[Part]:
        if not self._copartitioned:
            return set()
        return {
            p for p in self._owned if any(Part(topic, p.partition) not in self._owned for topic in self._topics)
        }  # fmt: skip

    def _on_assign(self, _: Any, partitions: list[Any]) -> None:
        parts = {Part(tp.topic, tp.partition) for tp in partitions}
        self._owned |= parts
        positions: dict[Part, Position] = {}
        with suppress(
            ck.KafkaException, Transient
        ):  # not now: they wait, and are asked for again at the next poll
            positions = self._committed(sorted(parts - self._unsettled()))
        ready = {part for part in parts & positions.keys() if part not in self._apart()}
        begin = [
            ck.TopicPartition(
                p.topic, p.partition, positions[p].offset if p in positions else ck.OFFSET_STORED
            )
            for p in sorted(parts)
        ]
        if self._eager:
            self._consumer.assign(begin)
        else:
            self._consumer.incremental_assign(begin)
        self._gained.update({part: positions[part] for part in ready})
        self._next.update({part: positions[part].offset for part in ready})
        self._waiting |= parts - ready
        stopped = {part for part in ready if part.topic in self._stopped}
        if still := (parts - ready) | stopped:
            self._consumer.pause(_places(still))

    def _on_revoke(self, _: Any, partitions: list[Any]) -> None:
        parts = {Part(tp.topic, tp.partition) for tp in partitions}
        numbers = {part.partition for part in parts}
        going = {
            p
            for p in self._owned - self._waiting
            if p in parts or (self._copartitioned and p.partition in numbers)
        }
        if self._leave is not None and going:
            loop, leave = self._leave
            waiting = asyncio.run_coroutine_threadsafe(leave(frozenset(going)), loop)
            try:
                waiting.result(LEAVING_S)
            except TimeoutError:
                waiting.cancel()
            if siblings := going - parts:
                self._part(siblings)  # the loop has let go of them, too
        self._on_lost(_, partitions)

    def _on_lost(self, _: Any, partitions: list[Any]) -> None:
        parts = {Part(tp.topic, tp.partition) for tp in partitions}
        # A pause outlives the assignment: unless it is lifted, the partition delivers nothing when it comes back.
        if paused := {
            p for p in parts & self._owned if p in self._held | self._waiting or p.topic in self._stopped
        }:
            self._consumer.resume(_places(paused))
        self._drop(parts)
        self._owned -= parts
        for part in parts:
            self._gained.pop(part, None)
        self._waiting -= parts
        self._held -= parts
        self._lost |= parts

    def _drop(self, parts: Iterable[Part]) -> None:
        gone = frozenset(parts)
        for topic in {part.topic for part in gone}:
            kept = self._kept[topic]
            self._kept[topic] = deque(one for one in kept if one.part not in gone)


def _places(parts: Iterable[Part]) -> list[ck.TopicPartition]:
    return [ck.TopicPartition(part.topic, part.partition) for part in sorted(parts)]
