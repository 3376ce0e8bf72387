"""What lies between one process and the servers of money: faults at each call, and times when a server is away."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from simulation.faults import KINDS, WEIGHTS, Faults
from simulation.virtual import Process, VirtualClock, later
from vigimesh.adapters.memory.budget import Held, MemoryStore
from vigimesh.adapters.memory.journal import MemoryCalls
from vigimesh.adapters.postgres.journal_turns import Turns
from vigimesh.domain.budget.calls import NOT_MADE, Begun
from vigimesh.domain.budget.rule import units
from vigimesh.domain.budget.values import SHUT, Ask, Caps, Shut
from vigimesh.domain.budget.windows import ASKED, names_of
from vigimesh.errors import Transient

#: What may go wrong at the servers of money, beside what may at the broker: before a call has an effect, and after.
MONEY_KINDS: Mapping[str, tuple[str, ...]] = {
    **KINDS,
    "offsets.before": (*KINDS["offsets.before"], "freeze"), "commit.before": (*KINDS["commit.before"], "freeze"),
    "budget.before": ("transient", "slow", "kill"), "budget.after": ("transient", "slow", "kill", "freeze"),
    "journal.before": ("transient", "slow", "kill"), "journal.after": ("transient", "slow", "kill", "freeze"),
    "models.before": ("slow", "kill", "freeze"), "models.after": ("slow", "kill", "freeze"),
    "lag": ("unknown", "kill"),
}  # fmt: skip
#: Seconds that a process stands still there: until another has its work, or until its leases have ended too.
FREEZE_S = (4.0, 9.0, 16.0, 45.0, 75.0)
MONEY_WEIGHTS = {**WEIGHTS, "models.before": 3.0, "models.after": 3.0, "lag": 0.5}
#: What a budget answers for itself when its store does not: whoever asks is told, and nothing is raised.
_TELLS = frozenset({"reserve", "settle", "release"})


@dataclass
class BriefFaults(Faults):
    """Lets a call that goes well take no time mostly, so that there is time for leases to end; may stop a process there."""

    freeze: Callable[[Process, float], None] = lambda process, seconds: None

    def _act(self, process: Process, kind: str) -> None:
        if kind == "freeze":
            self.freeze(process, self.rng.choice(FREEZE_S))
        super()._act(process, kind)

    async def _pause(self, point: str, kind: str) -> None:
        if kind == "slow":
            await later(self.slow_s())
        elif self.rng.random() < 0.1:
            await later(0.004)
        elif point != "renew":  # asked at every turn, and nothing is sent unless a producer is new
            await asyncio.sleep(0)


@dataclass
class Servers:
    """The budget's store and the journal, which outlive processes; what is seen of them that must never be."""

    clock: VirtualClock
    rng: Random
    caps: Caps
    wrong: list[str]
    store: MemoryStore = field(default_factory=MemoryStore)
    calls: MemoryCalls = field(init=False)
    away: set[str] = field(default_factory=set)
    copies: list[Held | None] = field(default_factory=list)
    #: How often a call began.
    begun: int = 0

    def __post_init__(self) -> None:
        self.calls = MemoryCalls(self.clock)

    def copy(self) -> None:
        """Take a snapshot of the budget's store, as a server does now and then."""
        self.copies.append(self.store.snapshot())

    def lose(self, kind: str) -> None:
        """Let the budget's store go wrong."""
        match kind:
            case "budget lost":
                self.store.flush()
            case "budget restarted":
                self.store.restart()
            case _:
                self.store.restore(self.rng.choice(self.copies))

    def reached(self, name: str) -> None:
        """Raise `Transient` while a server is away."""
        if name in self.away:
            raise Transient("VM-1910" if name == "budget" else "VM-1501", what=f"{name} is away")

    def look(self, name: str, told: Any) -> None:
        """Look whether a call that begins now was let in beyond a cap: all that counts, it included, must fit."""
        if name != "begin" or not isinstance(told, Begun):
            return
        self.begun += 1
        own = self.calls.rows[told.call_id].call
        for window in ASKED:
            place = names_of(own.at, own.case_id)[window]
            spent = sum(
                units(window, self.calls.booked(row).amount_micro)
                for row in self.calls.rows.values()
                if self.calls.state(row) != NOT_MADE and names_of(row.call.at, row.call.case_id)[window] == place
            )  # fmt: skip
            if spent > (cap := self.caps.of_window(window)):
                self.wrong.append(f"overspent: {spent} of {cap} in {place} as {told.call_id} begins")


class Door:
    """A server as one process sees it; what does not wait goes straight through."""

    def __init__(self, name: str, inner: Any, process: Process, servers: Servers, faults: Faults) -> None:
        self._name, self._inner, self._process = name, inner, process
        self._servers, self._faults = servers, faults

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name == "close" or not inspect.iscoroutinefunction(found):
            return found

        async def passed(*args: Any, **more: Any) -> Any:
            try:
                return await self._passed(name, lambda: found(*args, **more))
            except Transient:
                if self._name != "budget" or name not in _TELLS:
                    raise
                asked = args[0]
                if name != "reserve":
                    return Shut(asked, SHUT["away"])
                return [Shut(ask.call_id, SHUT["away"]) for ask in asked if isinstance(ask, Ask)]

        return passed

    async def _passed(self, name: str, call: Callable[[], Any]) -> Any:
        await self._faults.at(self._process, f"{self._name}.before")
        self._servers.reached(self._name)
        told = await call()
        self._servers.look(name, told)
        await self._faults.at(self._process, f"{self._name}.after")
        return told


class JournalDoor(Door, Turns):
    """The journal: each look while it waits for another's turn passes the door as well."""
