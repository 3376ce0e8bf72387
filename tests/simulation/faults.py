"""What goes wrong, chosen by a seed: at each call of an adapter, and the adapters of one process that let it go wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from simulation.virtual import Process, later
from vigimesh.adapters.memory.broker import Fate, MemoryConsumer, MemoryProducer
from vigimesh.adapters.memory.parked_topic import MemoryParkedTopic
from vigimesh.errors import Transient
from vigimesh.loop.broker import DOUBT_S, Batch, InDoubt, Leave, Part, Position, Record, Write
from vigimesh.ports import Spot

#: What may go wrong where. `kill` ends the process there; `slow` makes a call take seconds; the fates of an EndTxn are
#: those of the memory broker: `kept` and `twice` let it arrive late, when another transaction may be open.
KINDS: Mapping[str, tuple[str, ...]] = {
    "poll": ("transient", "slow", "kill"),
    "committed": ("transient", "slow", "kill"),
    "restore": ("transient", "slow", "kill"),
    "renew": ("transient", "slow", "kill"),
    "begin": ("transient", "kill"),
    "write": ("transient", "kill"),
    "offsets.before": ("transient", "slow", "kill"),
    "offsets.after": ("transient", "slow", "kill"),
    "commit.before": ("transient", "slow", "kill", "lost", "kept", "twice"),
    "commit.after": ("doubt", "slow", "kill"),
    "abort": ("lost", "kept", "slow", "kill"),
    "fetch": ("transient", "slow", "kill"),
    "call": ("transient", "slow", "kill"),
}
#: How often against the others: what is called at every turn would have all the faults, an abort hardly ever any.
WEIGHTS: Mapping[str, float] = {
    "poll": 0.15, "renew": 0.08, "write": 0.1, "commit.before": 2.0, "offsets.before": 2.0, "call": 2.0, "fetch": 2.0,
    "abort": 20.0, "restore": 10.0, "committed": 8.0,
}  # fmt: skip
#: Seconds a slow call takes: some within the doubt, some beyond it, some beyond the transaction time-out.
SLOW_S = (0.3, 2.0, DOUBT_S + 0.5, 8.0, 11.0)


class Crash(BaseException):
    """The process has died here."""


@dataclass(frozen=True)
class Injected:
    """One fault that took place."""

    at_s: float
    process: str
    point: str
    kind: str
    #: Whether the process had two transactions open.
    overlapping: bool = False


@dataclass
class Faults:
    """Chooses; keeps what it chose. `rate` is the chance of a fault at each call while `on`."""

    rng: Random
    rate: float
    time_s: Callable[[], float]
    kill: Callable[[Process], None]
    kinds: Mapping[str, tuple[str, ...]]
    overlapping: Callable[[Process], bool]
    on: bool = True
    weights: Mapping[str, float] = field(default_factory=lambda: WEIGHTS)
    injected: list[Injected] = field(default_factory=list)

    def note(self, process: str, point: str, kind: str) -> None:
        self.injected.append(Injected(self.time_s(), process, point, kind))

    def choose(self, process: Process, point: str) -> str:
        """Return what goes wrong here, or nothing. Raises `Crash` for a process that is dead."""
        if process.dead:
            raise Crash
        rate = self.rate * self.weights.get(point, 1.0)
        if not self.on or not self.kinds.get(point) or self.rng.random() >= rate:
            return ""
        kind = self.rng.choice(self.kinds[point])
        self.injected.append(Injected(self.time_s(), process.name, point, kind, self.overlapping(process)))
        return kind

    def now(self, process: Process, point: str) -> None:
        """Let a call that cannot wait go wrong."""
        self._act(process, self.choose(process, point))

    async def at(self, process: Process, point: str) -> str:
        """Let a call go wrong, and take its time; return what the caller has to see to itself."""
        kind = self.choose(process, point)
        self._act(process, kind)
        await self._pause(point, kind)
        return kind

    async def _pause(self, point: str, kind: str) -> None:
        await later(self.slow_s() if kind == "slow" else self.rng.choice((0.0, 0.0, 0.001, 0.004)))

    def slow_s(self) -> float:
        return self.rng.choice(SLOW_S)

    def _act(self, process: Process, kind: str) -> None:
        if kind == "transient":
            raise Transient("VM-1301", what="planted")
        if kind == "doubt":
            raise InDoubt("VM-1302", what="planted")
        if kind == "kill":
            self.kill(process)
            raise Crash


class Network(Protocol):
    """What lies between producers and broker: `fates` says what becomes of the next EndTxn of a transactional id."""

    faults: Faults
    fates: dict[str, Fate]

    def arrive(self, transactional_id: str) -> None:
        """Let a request arrive that was kept for this moment."""


@dataclass
class SimConsumer:
    """A consumer of one process."""

    inner: MemoryConsumer
    process: Process
    faults: Faults

    async def poll(
        self, max_records: int, timeout_s: float, leave: Leave, ending: frozenset[Part] = frozenset()
    ) -> Batch:
        await self.faults.at(self.process, "poll")
        return await self.inner.poll(max_records, timeout_s, leave, ending)

    async def committed(self, parts: Sequence[Part]) -> Mapping[Part, Position]:
        await self.faults.at(self.process, "committed")
        return await self.inner.committed(parts)

    def hold(self, part: Part) -> None:
        self.inner.hold(part)

    def unhold(self, part: Part, offset: int) -> None:
        self.inner.unhold(part, offset)

    def rest(self, topics: frozenset[str]) -> None:
        self.inner.rest(topics)

    async def restore(self, topic: str, partitions: Sequence[int]) -> Mapping[bytes, bytes]:
        await self.faults.at(self.process, "restore")
        return await self.inner.restore(topic, partitions)

    async def close(self) -> None:
        if self.process.dead:
            raise Crash
        await self.inner.close()


@dataclass
class SimParked:
    """The topic of parked events, as one resumer reads it."""

    inner: MemoryParkedTopic
    process: Process
    faults: Faults

    async def poll(self, max_records: int, timeout_s: float) -> Batch:
        await self.faults.at(self.process, "poll")
        return await self.inner.poll(max_records, timeout_s)

    async def ends(self, parts: Sequence[Part]) -> Mapping[Part, int]:
        await self.faults.at(self.process, "committed")
        return await self.inner.ends(parts)

    async def fetch(self, spots: Sequence[Spot], max_bytes: int) -> Mapping[Spot, Record | None]:
        await self.faults.at(self.process, "fetch")
        return await self.inner.fetch(spots, max_bytes)

    async def topics(self) -> frozenset[str]:
        return await self.inner.topics()

    async def close(self) -> None:
        if self.process.dead:
            raise Crash
        await self.inner.close()


@dataclass
class SimProducer:
    """A producer of one process."""

    inner: MemoryProducer
    transactional_id: str
    process: Process
    network: Network

    @property
    def faults(self) -> Faults:
        return self.network.faults

    def expire(self) -> None:
        self.inner.expire()

    async def renew(self) -> None:
        await self.faults.at(self.process, "renew")
        await self.inner.renew()

    def begin(self) -> None:
        self.faults.now(self.process, "begin")
        self.inner.begin()

    def write(self, record: Write) -> None:
        self.faults.now(self.process, "write")
        self.inner.write(record)

    async def send_offsets(self, positions: Mapping[Part, Position], group: Any) -> None:
        await self.faults.at(self.process, "offsets.before")
        self.network.arrive(self.transactional_id)
        await self.inner.send_offsets(positions, group)
        await self.faults.at(self.process, "offsets.after")

    async def commit(self) -> None:
        await self._end(await self.faults.at(self.process, "commit.before"), self.inner.commit)
        await self.faults.at(self.process, "commit.after")

    async def abort(self) -> None:
        await self._end(await self.faults.at(self.process, "abort"), self.inner.abort)

    async def _end(self, kind: str, end: Callable[[], Any]) -> None:
        if kind in ("lost", "kept"):
            try:
                await self._fated("lost" if kind == "lost" else "kept", end)
            except InDoubt:
                await later(self.faults.slow_s())
                raise
        elif kind == "twice":
            # The client sent it again, since no answer came for so long; it was told that all is well.
            await self._fated("twice", end)
            await later(DOUBT_S + self.faults.rng.random() * 3)
        else:
            await end()

    async def _fated(self, fate: Fate, end: Callable[[], Any]) -> None:
        self.network.fates[self.transactional_id] = fate
        try:
            await end()
        finally:
            # One that was fenced sent nothing: its fate is not that of the next process's request.
            self.network.fates.pop(self.transactional_id, None)

    async def close(self) -> None:
        if self.process.dead:
            raise Crash
        await self.inner.close()
