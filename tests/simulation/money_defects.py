"""Defects planted in what pays, keeps the books, remembers calls or orders: a run with money has to find them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from planted import ForgetsTheEpoch, SettlesTwice
from simulation.faults import SimProducer
from simulation.money_control import CONTROLLER
from simulation.money_world import MoneyPlant
from simulation.virtual import Process
from simulation.world import World
from vigimesh.adapters.memory.broker import MemoryProducer
from vigimesh.adapters.memory.journal import MemoryJournal
from vigimesh.background.books.keep import Books
from vigimesh.domain.budget.calls import Begun, PaidCall
from vigimesh.domain.budget.lapse import Release
from vigimesh.domain.budget.prices import Price
from vigimesh.domain.budget.rule import Sums
from vigimesh.domain.budget.rule import denied as real_denied
from vigimesh.domain.budget.values import Ask, Denied, Lapsed, Shut
from vigimesh.domain.budget.windows import Window
from vigimesh.loop.broker import Part, Position
from vigimesh.tool_executor.paying import Payer
from vigimesh.tool_executor.purchase import Paid, Purchase, Unpaid


class SkipsARelease(Books):
    """The sweep leaves a reservation of a call that was never made where it is."""

    async def _close(self, lapsed: Lapsed, what: object) -> str:
        return "kept" if isinstance(what, Release) else await super()._close(lapsed, what)


class CallsBeforeItBegins(Payer):
    """Asks the model first, and begins the call in the journal when the answer is there."""

    async def _begin(self, wanted: Purchase, call: PaidCall, price: Price, held: Any) -> Paid | Unpaid | None:
        reply = await self.models.ask(wanted.question)
        begun = await self.journal.begin_in_turn(call, self._patience(wanted))
        if isinstance(begun, Begun):
            return await self._ended(call, reply, price, held)
        return None if isinstance(begun, Shut) else await self._found(call, begun, price.currency, held)


class AsksAgainAfterADoubt(Payer):
    """Takes a call that hung or broke off for one that was not made."""

    async def _ended(self, call: PaidCall, reply: Any, price: Price, held: Any) -> Paid | Unpaid:
        told = await super()._ended(call, reply, price, held)
        if isinstance(told, Unpaid) and told.reason == "in_doubt":
            await self.journal.not_made(call.call_id, "no answer came")
            await self.budget.release(call.call_id, call.workflow, held.until)
        return told


class TakesTheDeadForNotMade(MemoryJournal):
    """Begins a call again whose owner died."""

    async def begin(self, call: PaidCall) -> Any:
        row = self._calls.rows.get(call.call_id)
        if row is not None and row.state == "begun":
            row.state = "not_made"
        return await super().begin(call)


def forgetting_what_is_open(
    ask: Ask,
    sums_of: Callable[[Window], Sums],
    cap_of: Callable[[Window], int],
    frees: Callable[[Window, int], datetime | None],
) -> Denied | None:
    """Count only what is recorded: what others have reserved is spent a second time."""

    def recorded(window: Window) -> Sums:
        sums = sums_of(window)
        return Sums(enforced=sums.recorded, recorded=sums.recorded, closed=sums.closed)

    return real_denied(ask, recorded, cap_of, frees)


def waiting_whatever_it_is(
    triage: Any, lane: str, received_at: datetime, opens_at: datetime | None, name: str
) -> datetime | None:
    """Let every case wait for money."""
    return opens_at


class Unfenced(MemoryProducer):
    """Writes positions whoever leads."""

    async def send_offsets(self, positions: Mapping[Part, Position], group: Any) -> None:
        self._check("offsets")
        self._broker.add_positions(self._id, positions, group[0])
        self._sent = True


@dataclass
class OrdersWithoutTheSeat(MoneyPlant):
    """Each controller has a transactional id of its own, and nobody asks whether it still leads."""

    def producer(self, world: World, process: Process, name: str) -> SimProducer:
        if name != CONTROLLER:
            return super().producer(world, process, name)
        own = f"{CONTROLLER}.{process.name}"
        return SimProducer(Unfenced(world.broker_of(own), own), own, process, world)


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A defect, and the faults that bring it about the sooner; without any of its own, those of every run."""

    defective: Callable[..., MoneyPlant]
    faults: Mapping[str, Any] = field(default_factory=dict)

    def plant(self) -> MoneyPlant:
        """Return what a run with the defect is given."""
        return self.defective(**self.faults)

    def sound(self) -> MoneyPlant:
        """Return the same without the defect."""
        return MoneyPlant(**self.faults)


def _patch(name: str, by: Any) -> Planted:
    return Planted(defective=partial(MoneyPlant, patches={name: by}))


_LOSSES = ("budget lost", "budget restored", "budget restarted")
_DEATHS = {"budget.before": ("kill", "transient"), "journal.after": ("kill",)}
_WAITS = {"budget.after": ("slow", "freeze"), "journal.before": ("slow",), "models.before": ("slow",)}
_STANDS = {"offsets.before": ("freeze",), "budget.after": ("freeze",)}

#: Seeds within which each has to be found.
WITHIN = 20
MONEY_DEFECTS: Mapping[str, Planted] = {
    "skip one release": Planted(
        defective=partial(MoneyPlant, books=SkipsARelease),
        faults={"kinds": _DEATHS, "rate": 0.04, "outside": ("endpoint in trouble",)},
    ),
    "settle twice": Planted(
        defective=partial(MoneyPlant, payer=SettlesTwice), faults={"kinds": {}, "outside": _LOSSES}
    ),
    "forget the epoch": Planted(
        defective=partial(MoneyPlant, books=ForgetsTheEpoch),
        faults={"kinds": _WAITS, "rate": 0.15, "outside": _LOSSES},
    ),
    "call before begin": Planted(defective=partial(MoneyPlant, payer=CallsBeforeItBegins)),
    "ask again after a doubt": Planted(defective=partial(MoneyPlant, payer=AsksAgainAfterADoubt)),
    "take the dead for not made": Planted(defective=partial(MoneyPlant, journal=TakesTheDeadForNotMade)),
    "count only what is recorded": _patch("vigimesh.domain.budget.rule.denied", forgetting_what_is_open),
    "let whatever it is wait": _patch("vigimesh.tool_executor.opinions.waits_until", waiting_whatever_it_is),
    "order without the seat": Planted(
        defective=OrdersWithoutTheSeat,
        faults={"kinds": _STANDS, "rate": 0.1, "outside": ("twin", "freeze at an await")},
    ),
}
