"""One run of the simulation: the real loop of a few workers, one broker in memory, one seed."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack
from contextvars import Context, copy_context
from datetime import datetime
from random import Random
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

from simulation.chain import HEAD, LINKS, PARKED, RESUMER, TOPICS, Link, Load, Sources, codec, loads, write_of
from simulation.faults import Crash, Faults, SimConsumer, SimParked
from simulation.judge import contents, ended, judge, parked
from simulation.parts import Result, SimBroker, Slot
from simulation.plant import Plant
from simulation.recalls import Recalls
from simulation.virtual import CURRENT, EPOCH, Process, Stalled, VirtualClock, VirtualLoop, later
from vigimesh.adapters.memory.broker import Fate
from vigimesh.adapters.memory.log import EndTxn
from vigimesh.adapters.memory.objects import MemoryObjects
from vigimesh.adapters.memory.parked_topic import MemoryParkedTopic
from vigimesh.adapters.memory.telemetry import NoTelemetry
from vigimesh.background.resumer.run import Resumer
from vigimesh.background.resumer.run import run as resume
from vigimesh.errors import Fenced
from vigimesh.events import ids
from vigimesh.loop.hand import Hand
from vigimesh.loop.health import Health
from vigimesh.loop.orders import NoOrders, Orders
from vigimesh.loop.run import run
from vigimesh.loop.stage import Stage
from vigimesh.loop.table import Table
from vigimesh.loop.worker import OVERLAP, Worker

#: Seconds in which messages come, and in which faults happen.
LOAD_S, FAULTS_S = 12.0, 25.0
MESSAGES = 200


class World:
    """Everything of one run. Another kind of run says in a class of its own what is different in it."""

    #: Where work goes, by which topics; how long faults happen; when it begins.
    links: tuple[Link, ...] = LINKS
    resumes: Link = RESUMER
    topics: tuple[str, ...] = TOPICS
    compacted: tuple[str, ...] = (HEAD,)
    faults_s = FAULTS_S
    begins: datetime = EPOCH
    goes_wrong: type[Faults] = Faults
    #: Whether advice changes now, so that what has ended is looked at again.
    recalled = True
    #: What is replaced in any such run: dotted name -> by what.
    patches: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, seed: int, plant: Plant | None = None) -> None:
        self.seed = seed
        self.plant = plant or Plant()
        self.loop = VirtualLoop()
        self.clock = self.clock_of(None)
        self.rng = Random(f"{seed} world")
        self.broker = SimBroker(self.topics, self.clock, partitions=self.rng.choice((1, 2, 4)))
        self.wrong = self.broker.wrong = []
        self.fates: dict[str, Fate] = {}
        self.late: dict[str, EndTxn] = {}
        self.broker.fate = self._fate
        chance = Random(f"{seed} faults")
        self.faults = self.goes_wrong(
            chance,
            self.plant.rate or chance.choice((0.01, 0.03, 0.08)),
            self.loop.time,
            self.kill,
            self.plant.kinds,
            self.overlapping,
        )
        #: Records a worker takes in hand: few in some runs, so that fetching is held and goes on again.
        self.max_open = self.rng.choice((10, 60, 2_000))
        self.sources = Sources(
            Random(f"{seed} sources"), self.loop.time, self.plant.call_s, self.broker.partition_of
        )
        self.sent = self.load(Random(f"{seed} load"))
        self.recalls = Recalls(Random(f"{seed} recalls"), self.broker)
        self.slots: list[Slot] = []
        self.hands: dict[Process, Any] = {}
        self.ends: dict[Process, asyncio.Future[None]] = {}
        self.stops: dict[Process, threading.Event] = {}
        self.outside: Context = copy_context()
        #: What came up how often.
        self.figures: Counter[str] = Counter()

    def load(self, rng: Random) -> Sequence[Load]:
        """Return the messages of the run."""
        return loads(rng, MESSAGES, LOAD_S)

    def clock_of(self, process: Process | None) -> VirtualClock:
        """Return the clock of a process; without one, that of the servers."""
        return VirtualClock(self.loop, process, self.begins)

    def broker_of(self, transactional_id: str) -> SimBroker:
        """Return the broker that a producer writes to."""
        return self.broker

    def overlapping(self, process: Process) -> bool:
        """Return whether a worker has two transactions open."""
        return process in self.hands and len(self.hands[process].transactions) > 1

    # Processes.

    def kill(self, process: Process) -> None:
        """Let a process end at once: nothing of it runs any more, and its heart stops."""
        if not process.dead:
            process.dead = True
            self._silence(process)
            self.loop.call_soon(self._ended, process, context=self.outside)

    def _ended(self, process: Process) -> None:
        if not self.ends[process].done():
            self.ends[process].set_result(None)

    def freeze(self, process: Process, seconds: float) -> None:
        """Stop a process for a time; it knows nothing of it."""
        if process.dead or process.frozen:
            return
        process.frozen = True
        self._silence(process)
        self.loop.call_later(seconds, self._thaw, process, context=self.outside)

    def _thaw(self, process: Process) -> None:
        if not process.dead:
            consumer = self.plant.consumers[process]
            consumer.member.silent_since_s = None
            self.loop.thaw(process)

    def _silence(self, process: Process) -> None:
        if process in self.plant.consumers:
            self.plant.consumers[process].member.silent_since_s = self.loop.time()

    def _fate(self, request: EndTxn) -> Fate:
        fate = self.fates.pop(request.transactional_id, "now")
        if fate in ("kept", "twice"):
            delay_s = self.rng.choice((0.01, 3.0, 9.0, None))
            if delay_s is None:
                self.late[request.transactional_id] = (
                    request  # in the midst of the next transaction of the id
                )
            else:
                broker = self.broker_of(request.transactional_id)
                self.loop.call_later(delay_s, broker.deliver, request, context=self.outside)
        return fate

    def arrive(self, transactional_id: str) -> None:
        """Let a request arrive that was kept for the next transaction of an id."""
        if request := self.late.pop(transactional_id, None):
            self.broker_of(transactional_id).deliver(request)

    def start(self, slot: Slot) -> tuple[Process, asyncio.Task[None]]:
        """Start a process in a slot."""
        slot.lives += 1
        process = Process(f"{slot.link.name}.{slot.instance}.{slot.lives}")
        process.skew_s = self.rng.choice((0.0, 0.0, -0.3, 0.4))
        self.ends[process] = self.loop.create_future()
        context = copy_context()
        context.run(CURRENT.set, process)
        made = context.run(self.made, slot, process)
        task = self.loop.create_task(made, context=context)
        self.stops[process] = slot.stop
        task.add_done_callback(lambda _: self.kill(process), context=self.outside)
        return process, task

    def made(self, slot: Slot, process: Process) -> Coroutine[Any, Any, None]:
        """Return what runs in a slot."""
        if slot.link is self.resumes:
            process.skew_s = -abs(process.skew_s)  # early, it would let cases go that park again at once
            return resume(self.resumer(slot, process), slot.stop)
        return run(self.worker(slot, process), slot.stop)

    def stage(self, link: Link, process: Process) -> Stage:
        """Return the stage of a worker."""

        async def passes(point: str) -> None:
            await self.faults.at(process, point)

        return link.stage(self.sources, passes)

    def orders(self) -> Orders:
        """Return the orders as a new process follows them."""
        return NoOrders()

    def worker(self, slot: Slot, process: Process) -> Worker:
        link, clock = slot.link, self.clock_of(process)
        consumer = self.plant.consumer(self, process, link)
        first, second = (
            self.plant.producer(self, process, f"{link.group}.{slot.instance}.{x}") for x in "ab"
        )
        return Worker(
            stage=self.stage(link, process), group=link.group, topics=(link.reads,), instance=slot.instance,
            consumer=SimConsumer(consumer, process, self.faults), producers=(first, second), codec=codec,
            spill=ids.digest, telemetry=NoTelemetry(), health=Health(clock), clock=clock,
            table=Table(link.table, codec) if link.table else None, orders=self.orders(),
            overlap=OVERLAP if self.seed % 4 == 0 else 1,  # a run has a few records: mostly one begins while another ends
        )  # fmt: skip

    def resumer(self, slot: Slot, process: Process) -> Resumer:
        topic = MemoryParkedTopic(self.broker, slot.link.group, PARKED)
        self.plant.consumers[process] = topic._member
        clock = self.clock_of(process)
        return Resumer(
            instance=slot.instance, topic=SimParked(topic, process, self.faults),
            producer=self.plant.producer(self, process, f"{slot.link.group}.{slot.instance}"), codec=codec,
            objects=MemoryObjects(), telemetry=NoTelemetry(), health=Health(clock), clock=clock,
        )  # fmt: skip

    async def keep(self, slot: Slot) -> None:
        """Start the slot's worker again whenever it has ended, as its keeper does."""
        while slot.wanted:
            slot.stop = threading.Event()
            slot.process, task = self.start(slot)
            await asyncio.wait((task, self.ends[slot.process]), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                error = None if task.cancelled() else task.exception()
                self.figures[f"fenced {slot.link.name}"] += isinstance(error, Fenced)
                if error is not None and not self.expected(error):
                    self.wrong.append(f"{slot.process.name} ended at {self.loop.time():g} s: {error!r}")
            if slot.wanted:
                await later(self.rng.choice((0.05, 0.5, 3.0)))

    def expected(self, error: BaseException) -> bool:
        """Return whether a process may end so, to be started again."""
        return isinstance(error, Crash | Fenced)

    # What happens from outside, at random moments.

    def open(self, link: Link) -> None:
        slot = Slot(link, f"i{sum(s.link is link for s in self.slots)}")
        self.slots.append(slot)
        slot.keeper = self.loop.create_task(self.keep(slot), context=self.outside.copy())

    def events(self) -> Iterator[tuple[float, str]]:
        """Yield what happens when: at least five, whatever the chance at each call brings."""
        for _ in range(self.rng.randrange(6, 14)):
            yield self.rng.random() * self.faults_s, self.rng.choice(self.plant.outside)

    def happen(self, kind: str) -> None:
        """Let one thing happen to a worker chosen by chance."""
        slot = self.rng.choice(self.slots)
        process = slot.process
        where = process.name if process else slot.instance
        self.faults.note(where, "outside", kind)
        match kind:
            case "compaction":
                for part in self.broker.parts(self.compacted):
                    self.broker.compact(part)
            case "join":
                if sum(s.link is slot.link for s in self.slots) < 4:
                    self.open(slot.link)
            case "leave at an await" if process:
                process.at_turn[process.turns + self.rng.randrange(1, 60)] = slot.stop.set
            case "clock jump" if process:
                process.skew_s = self.rng.choice(self.jumps(slot.link))
            case "kill at an await" if process:
                process.at_turn[process.turns + self.rng.randrange(1, 60)] = lambda: self.kill(process)
            case "freeze at an await" if process:
                seconds = self.rng.choice((0.5, 4.0, 9.0, 16.0))
                process.at_turn[process.turns + self.rng.randrange(1, 60)] = lambda: self.freeze(
                    process, seconds
                )
            case "fence at an await" if process in self.plant.consumers:
                member = self.plant.consumers[process].member
                process.at_turn[process.turns + self.rng.randrange(1, 60)] = member.fence
            case "twin" if process:
                # The keeper takes a frozen process for dead and starts another with the same instance name.
                self.freeze(process, self.rng.choice((2.0, 9.0)))
                self._ended(process)
            case _:
                pass

    def jumps(self, link: Link) -> tuple[float, ...]:
        """Return by how many seconds the clock of a process may be off after a jump."""
        return (-12.0, 0.0) if link is self.resumes else (-3600.0, -5.0, 5.0, 3600.0)

    # The run.

    def begin(self) -> None:
        """Start the first processes."""
        for link in (*self.links, self.resumes):
            self.broker.init_group(link.group, (link.reads,))
            for _ in range(self.rng.randrange(1, 4)):
                self.open(link)

    async def main(self) -> None:
        self.begin()
        for load in self.sent:
            self.loop.call_at(load.at_s, self._send, load, context=self.outside)
        for at_s, kind in self.events():
            self.loop.call_at(at_s, self.happen, kind, context=self.outside)
        self.recalls.begin(self)
        await later(self.faults_s)
        self.faults.on = False
        until_s = self.loop.time() + self.plant.settle_s
        while (missing := self.unsettled()) and self.loop.time() < until_s:
            await later(0.5)
        self.recalled = False
        if missing:
            self.wrong.extend(
                f"not settled {self.plant.settle_s:g} s after the last fault: {one}" for one in missing
            )
        await later(2)
        await self.close()

    def _send(self, load: Load) -> None:
        self.broker.append(write_of(load))

    async def close(self) -> None:
        """Stop every worker; none may need longer than it is given."""
        for slot in self.slots:
            slot.wanted = False
        for stop in self.stops.values():
            stop.set()
        keepers = {slot.keeper: slot for slot in self.slots if slot.keeper is not None}
        _, late = await asyncio.wait(keepers, timeout=60)
        self.wrong.extend(
            f"{keepers[task].link.name}.{keepers[task].instance} does not stop" for task in late
        )

    def unsettled(self) -> list[str]:
        """Return what is not done yet: seen on the topics, in the groups and in the hands of the workers."""
        missing = [f"open transaction {name}" for name in self.broker.open_transactions()]
        for link in self.links:
            for part, position in sorted(self.broker.offsets(link.group).items()):
                records, _ = self.broker.read(part, position.offset, 1)
                if records or position.metadata:
                    missing.append(
                        f"{link.group} stands at {part} {position} of {self.broker.end_offset(part)}"
                    )
        for process, hand in self.hands.items():
            count = sum(place.open_count for place in hand.places.values())
            if not process.dead and (count or hand.transactions or hand.held):
                missing.append(f"{process.name} has {count} in hand, holds {sorted(hand.held)}")
        return missing or self.unended()

    def unended(self) -> list[str]:
        """Return what has no end yet, or waits, on the topics."""
        ends: Counter[str] = ended(self.broker)
        missing = [f"no end of {x.unit}" for x in (*self.sent, *self.recalls.ordered) if not ends[x.unit]]
        return [*missing, *(f"{name} still waits" for name in parked(self.broker))]

    def contents(self) -> str:
        """Return a digest of all that is on the topics."""
        return contents(self.broker, self.topics)

    def judged(self) -> list[str]:
        """Return what is wrong after the run."""
        every = [*self.sent, *self.recalls.ordered]
        return [*judge(self.broker, every, self.recalls.ids()), *self.recalls.wrong()]


def simulate(seed: int, plant: Plant | None = None) -> Result:
    """Run one seed and judge it."""
    return played(World(seed, plant))


def played(world: World) -> Result:
    """Let a world run, and judge it."""

    def hand(*args: Any, **more: Any) -> Any:
        made = Hand(*args, **more)
        process = CURRENT.get()
        assert process is not None
        world.hands[process] = made
        return made

    planted = {
        "vigimesh.loop.run.Hand": hand,
        "vigimesh.loop.run.MAX_OPEN": world.max_open,
        **world.patches,
        **world.plant.patches,
    }
    with ExitStack() as patched:
        for name, by in planted.items():
            patched.enter_context(patch(name, by))
        try:
            world.loop.run_until_complete(world.main())
        except Stalled as error:
            world.wrong.append(str(error))
        finally:
            for process in world.ends:
                process.dead = True
            world.loop.bury()
    wrong = [*world.wrong, *world.judged()]
    return Result(
        world.seed, len(world.sent), wrong, world.faults.injected, world.contents(),
        world.loop.time(),
        dict(world.sources.calls), world.sources.long, dict(world.figures),
    )  # fmt: skip
