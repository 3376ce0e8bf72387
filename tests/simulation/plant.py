"""What a run is given: the adapters of its processes, the faults that happen, and a defect where one is planted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simulation.chain import Link
from simulation.faults import KINDS, SimProducer
from simulation.virtual import Process
from vigimesh.adapters.memory.broker import MemoryConsumer, MemoryProducer

if TYPE_CHECKING:
    from simulation.world import World

#: Seconds in which all must be done after the last fault.
SETTLE_S = 90.0
OUTSIDE = (
    "kill at an await",
    "freeze at an await",
    "leave at an await",
    "fence at an await",
    "join",
    "twin",
    "clock jump",
    "compaction",
)


@dataclass
class Plant:
    """Makes the adapters of a process; a planted defect overrides one of these, or patches the loop."""

    consumers: dict[Process, MemoryConsumer] = field(default_factory=dict)
    #: What is replaced in the loop while the run goes: dotted name -> by what.
    patches: Mapping[str, Any] = field(default_factory=dict)
    #: The chance of a fault at each call; 0 lets the seed choose.
    rate: float = 0.0
    #: Seconds that one of the calls takes, and in which all must be done after the last fault.
    call_s: float = 0.0
    settle_s: float = SETTLE_S
    #: What happens from outside.
    outside: tuple[str, ...] = OUTSIDE
    #: The faults of a run, narrower than all: the sooner a defect shows.
    kinds: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: KINDS)

    def consumer(self, world: World, process: Process, link: Link) -> MemoryConsumer:
        made = self.consumers[process] = MemoryConsumer(world.broker, link.group, (link.reads,))
        return made

    def producer(self, world: World, process: Process, name: str) -> SimProducer:
        return SimProducer(MemoryProducer(world.broker_of(name), name), name, process, world)
