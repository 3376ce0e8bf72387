"""A broker in memory with Kafka's transactions: what parity and simulation run the real loop on.

The log and its transactions are in `log`, the groups in `group`; here they are one broker, with the
consumer and the producer that the loop is given. A hook is called at each step with its name, so that a test can fail it
there (`raise`) before or after it took effect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from vigimesh.adapters.memory.group import Group, Member
from vigimesh.adapters.memory.log import EndTxn, MemoryLog
from vigimesh.clock import Clock, Deadline
from vigimesh.errors import Broken, Fenced, Transient
from vigimesh.loop.broker import (
    LEAVING_S,
    Batch,
    InDoubt,
    Leave,
    Part,
    Position,
    Record,
    TooLarge,
    Write,
)

#: Called with the step's name (`poll`, `begin`, `write`, `offsets`, `commit.before`, `commit.after`, `abort`, `renew`,
#: `committed`, `restore`).
Hook = Callable[[str], None]
#: What becomes of an EndTxn on its way: acted on now; lost; kept until `deliver`; or acted on now and kept as well, as
#: when a client sends it again because the answer took too long. A request lost or kept leaves its sender in doubt.
Fate = Literal["now", "lost", "kept", "twice"]
#: Seconds between two looks at a position whose transaction is still ending.
_STABLE_S = 0.05
#: Seconds to wait for such a position: a transaction lasts 10 s at most, and then it is aborted.
_STABLE_LIMIT_S = 15.0


class MemoryBroker(MemoryLog):
    """Topics with `partitions` each, and the groups that read them."""

    def __init__(
        self, topics: Sequence[str], clock: Clock, *, partitions: int = 4, record_bytes: int = 4 << 20
    ) -> None:
        """Create the topics, empty."""
        super().__init__(topics, clock, partitions=partitions, record_bytes=record_bytes)
        self.hook: Hook = lambda step: None
        self.fate: Callable[[EndTxn], Fate] = lambda request: "now"
        self.kept: list[EndTxn] = []
        self._groups: dict[str, Group] = {}
        self._waiting: dict[asyncio.Future[None], asyncio.AbstractEventLoop] = {}

    def init_group(self, group: str, topics: Sequence[str]) -> None:
        """Commit offset 0 for each partition that has none, as `topics apply` does."""
        self._groups.setdefault(group, Group(tuple(topics)))
        for part in self.parts(topics):
            self._committed.setdefault((group, part), (0, Position(offset=0)))

    def group(self, name: str) -> Group:
        """Return the members of a group; those that have been silent for too long are gone."""
        found = self._groups[name]
        if found.expire(self.clock.monotonic_s(), self.partitions):
            self.changed()
        return found

    def offsets(self, group: str) -> dict[Part, Position]:
        """Return the committed positions of a group."""
        return {part: pos for (name, part), (_, pos) in self._committed.items() if name == group}

    def parts(self, topics: Sequence[str]) -> list[Part]:
        """Return the partitions of topics."""
        return [Part(topic, partition) for topic in topics for partition in range(self.partitions)]

    def add_offsets(self, transactional_id: str, positions: Mapping[Part, Position], group: Any) -> None:
        """Add positions; raises `Transient` VM-1301 when the group does not take them from this member."""
        name, epoch, member = group
        if not self.group(name).takes(member, epoch, positions):
            raise Transient("VM-1301", what="stale epoch for a partition that was lost", where=name)
        self.add_positions(transactional_id, positions, name)

    def send_end(self, request: EndTxn) -> None:
        """Send a request to end a transaction, with the `fate` that a test gives it; raises `InDoubt` without an answer."""
        self.check(request.transactional_id, request.epoch)
        fate = self.fate(request)
        if fate in ("kept", "twice"):
            self.kept.append(request)
        if fate in ("now", "twice"):
            self.end(request)
        else:
            raise InDoubt(
                "VM-1302", what="no answer to the end of the transaction", where=request.transactional_id
            )

    def deliver(self, request: EndTxn) -> None:
        """Let a kept request arrive now; one of an older epoch is refused without effect (nobody waits for the answer)."""
        if request in self.kept:
            self.kept.remove(request)
        try:
            self.end(request)
        except Fenced:
            return

    def changed(self) -> None:
        """Wake the polls that wait; from another thread too."""
        for woken, loop in list(self._waiting.items()):
            if loop is _running():
                _wake(woken)
            elif not loop.is_closed():
                loop.call_soon_threadsafe(_wake, woken)

    async def wait(self, timeout_s: float) -> None:
        """Return when something has changed, or after a time."""
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        timer = loop.call_later(timeout_s, _wake, woken)
        self._waiting[woken] = loop
        try:
            await woken
        finally:
            timer.cancel()
            del self._waiting[woken]


class MemoryConsumer:
    """`loop.broker.Consumer` on a memory broker; partition i of all its topics always comes together."""

    def __init__(self, broker: MemoryBroker, group: str, topics: Sequence[str]) -> None:
        """Join at the first poll."""
        self._broker = broker
        self._group = group
        self._topics = tuple(topics)
        self._next: dict[Part, int] = {}
        self._ended: dict[Part, int] = {}
        self._held: set[Part] = set()
        self._resting: frozenset[str] = frozenset()
        self.member = Member()

    def metadata(self) -> Any:
        """Return the group metadata as it is at this moment. The loop takes that of its last poll instead."""
        return (self._group, self.member.epoch, self.member)

    async def poll(
        self, max_records: int, timeout_s: float, leave: Leave, ending: frozenset[Part] = frozenset()
    ) -> Batch:
        """See `loop.broker.Consumer`. Lets the event loop's other tasks have their turn at least once."""
        deadline = Deadline.after(self._broker.clock, timeout_s)
        self.member.polls(self._broker.clock.monotonic_s())
        try:
            await asyncio.sleep(0)
            self._broker.hook("poll")
            while True:
                lost, gained = await self._reconcile(leave, ending)
                records, ends = self._fetch(max_records)
                if lost or gained or records or ends or deadline.passed():
                    return Batch(
                        records=tuple(records), owned=frozenset(self._next), assigned=gained, revoked=lost,
                        ends=ends, group=self.metadata(),
                    )  # fmt: skip
                await self._broker.wait(deadline.left_s())
        finally:
            self.member.polled(self._broker.clock.monotonic_s())

    async def _reconcile(
        self, leave: Leave, ending: frozenset[Part]
    ) -> tuple[frozenset[Part], dict[Part, Position]]:
        """Give up what the group has taken away, then take what it gives and nobody holds any more."""
        broker, member, now_s = self._broker, self.member, self._broker.clock.monotonic_s()
        group = broker.group(self._group)
        if group.joins(member, now_s, broker.partitions):
            broker.changed()
        leaving = member.leaving()
        losing = self._of(leaving)
        if losing:
            try:
                await asyncio.wait_for(leave(losing), LEAVING_S)
            except TimeoutError:
                pass  # what is not done by now is left, and done again elsewhere
        group = broker.group(self._group)
        group.lets_go(member, leaving)
        lost = frozenset(part for part in self._next if member.fenced or part.partition not in member.since)
        member.fenced = False
        if group.joins(member, broker.clock.monotonic_s(), broker.partitions) or lost:
            broker.changed()
        for part in lost:
            self._forget(part)
        group.takes_over(member, self._stable)
        unsettled, begun = lost | ending, {part.partition for part in self._next}
        taken = frozenset(
            p for p in member.since
            if p not in begun and self._stable(p) and not unsettled.intersection(self._of((p,)))
        )  # fmt: skip
        return lost, self._begin(self._of(taken))

    def _stable(self, partition: int) -> bool:
        return not any(self._broker.pending(self._group, part) for part in self._of((partition,)))

    def _of(self, partitions: Sequence[int] | frozenset[int]) -> frozenset[Part]:
        return frozenset(Part(topic, partition) for topic in self._topics for partition in partitions)

    def _forget(self, part: Part) -> None:
        del self._next[part]
        self._ended.pop(part, None)
        self._held.discard(part)

    def _begin(self, gained: frozenset[Part]) -> dict[Part, Position]:
        committed = self._broker.offsets(self._group)
        for part in sorted(gained):
            if part not in committed:
                raise Broken("VM-1305", what="no committed offset",
                             where=f"{part.topic}-{part.partition}", todo="vigimesh topics apply")  # fmt: skip
            self._next[part] = committed[part].offset
        return {part: committed[part] for part in sorted(gained)}

    def _fetch(self, max_records: int) -> tuple[list[Record], dict[Part, int]]:
        records: list[Record] = []
        ends: dict[Part, int] = {}
        for part in sorted(self._next, key=lambda p: (self._topics.index(p.topic), p.partition)):
            if part in self._held or part.topic in self._resting or len(records) >= max_records:
                continue
            found, self._next[part] = self._broker.read(part, self._next[part], max_records - len(records))
            records.extend(found)
            # Told once each time the end is reached, as Kafka does.
            if self._broker.at_end(part, self._next[part]) and self._ended.get(part) != self._next[part]:
                ends[part] = self._ended[part] = self._next[part]
        return records, ends

    async def committed(self, parts: Sequence[Part]) -> Mapping[Part, Position]:
        """See `loop.broker.Consumer`; raises `Transient` VM-1301 when a transaction is not ended within its time."""
        self._broker.hook("committed")
        deadline = Deadline.after(self._broker.clock, _STABLE_LIMIT_S)
        while any(self._broker.pending(self._group, part) for part in parts):
            if deadline.passed():
                raise Transient(
                    "VM-1301", what="positions of a transaction that does not end", where=self._group
                )
            await self._broker.wait(_STABLE_S)
        return {p: o for p, o in self._broker.offsets(self._group).items() if p in set(parts)}

    def hold(self, part: Part) -> None:
        """See `loop.broker.Consumer`."""
        if part in self._next:
            self._held.add(part)

    def unhold(self, part: Part, offset: int) -> None:
        """See `loop.broker.Consumer`."""
        if part in self._next:
            self._held.discard(part)
            self._next[part] = offset
            self._ended.pop(part, None)
            self._broker.changed()

    def rest(self, topics: frozenset[str]) -> None:
        """See `loop.broker.Consumer`."""
        self._resting = topics

    async def restore(self, topic: str, partitions: Sequence[int]) -> Mapping[bytes, bytes]:
        """See `loop.broker.Consumer`; an open transaction in the way is `Transient` at once."""
        self._broker.hook("restore")
        return self._broker.newest(topic, partitions)

    async def close(self) -> None:
        """See `loop.broker.Consumer`."""
        self._broker.group(self._group).leaves(self.member, self._broker.partitions)
        self._broker.changed()


class MemoryProducer:
    """`loop.broker.Producer` on a memory broker."""

    def __init__(self, broker: MemoryBroker, transactional_id: str) -> None:
        """Take an epoch at the first `renew`."""
        self._broker = broker
        self._id = transactional_id
        self._epoch: int | None = None
        self._sent = False

    def expire(self) -> None:
        """See `loop.broker.Producer`."""
        self._epoch = None

    async def renew(self) -> None:
        """See `loop.broker.Producer`."""
        if self._epoch is None:
            self._broker.hook("renew")
            self._epoch = self._broker.init_producer(self._id)
            self._sent = False

    def begin(self) -> None:
        """See `loop.broker.Producer`."""
        self._check("begin")
        self._sent = False

    def write(self, record: Write) -> None:
        """See `loop.broker.Producer`."""
        self._check("write")
        size = len(record.value or b"")
        if size > self._broker.record_bytes:
            raise TooLarge("VM-1005", what=f"record of {size} bytes is too large", where=record.topic)
        self._broker.add(self._id, record)
        self._sent = True

    async def send_offsets(self, positions: Mapping[Part, Position], group: Any) -> None:
        """See `loop.broker.Producer`."""
        self._check("offsets")
        self._broker.add_offsets(self._id, positions, group)
        self._sent = True

    async def commit(self) -> None:
        """See `loop.broker.Producer`."""
        self._broker.send_end(
            EndTxn(transactional_id=self._id, epoch=self._check("commit.before"), commit=True)
        )
        self._broker.hook("commit.after")

    async def abort(self) -> None:
        """See `loop.broker.Producer`."""
        self._end(self._check("abort"), commit=False)

    async def close(self) -> None:
        """See `loop.broker.Producer`."""
        self._epoch = None

    def _end(self, epoch: int, *, commit: bool) -> None:
        if self._sent:  # a transaction that holds nothing is unknown to the broker
            self._broker.send_end(EndTxn(transactional_id=self._id, epoch=epoch, commit=commit))
            self._sent = False

    def _check(self, step: str) -> int:
        if self._epoch is None:
            raise InDoubt("VM-1302", what="no producer that is trusted", where=self._id)
        self._broker.hook(step)
        self._broker.check(self._id, self._epoch)
        return self._epoch


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
