"""Parts of a run: its result, the broker that watches what is committed, and the place of a process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from simulation.chain import Link
from simulation.faults import Injected
from simulation.virtual import Process
from vigimesh.adapters.memory.broker import MemoryBroker


@dataclass(frozen=True)
class Result:
    """What came of a run. `wrong` is empty when all is well."""

    seed: int
    messages: int
    wrong: list[str]
    injected: list[Injected]
    contents: str
    seconds: float
    #: How often each thing was asked of a source that answers one by one.
    calls: Mapping[str, int]
    long_call: str = ""
    #: What came up how often, for a test to see that it did.
    figures: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        faults = "\n".join(f"  {f.at_s:8.3f} {f.process:16} {f.point} {f.kind}" for f in self.injected)
        return f"replay it with SEED={self.seed}\n" + "\n".join(self.wrong[:20]) + f"\nfaults:\n{faults}"


class SimBroker(MemoryBroker):
    """A broker that watches what is committed: records never without positions, and those never back nor past the end."""

    wrong: list[str]

    def _end(self, transactional_id: str, *, commit: bool) -> None:
        before, transaction = dict(self._committed), self._open[transactional_id]
        if commit and transaction.parts and not transaction.positions:
            self.wrong.append(f"torn: half a transaction of {transactional_id} was committed")
        super()._end(transactional_id, commit=commit)
        for place, (_, position) in self._committed.items():
            if position.offset < before.get(place, (0, position))[1].offset:
                self.wrong.append(f"committed position of {place} moved back to {position.offset}")
            if position.offset > self.end_offset(place[1]):
                self.wrong.append(f"committed position of {place} is past the end: {position.offset}")


@dataclass(eq=False)
class Slot:
    """A place for one worker process: who dies there is started again."""

    link: Link
    instance: str
    wanted: bool = True
    stop: threading.Event = field(default_factory=threading.Event)
    process: Process | None = None
    lives: int = 0
    keeper: asyncio.Task[None] | None = None
