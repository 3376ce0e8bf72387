"""The budget in memory: the rule itself, behind the same door as the one in Valkey, with a store that can be lost."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from vigimesh.domain.budget.money import is_amount
from vigimesh.domain.budget.rule import Books, rebuilt
from vigimesh.domain.budget.values import (
    MAX_ASKS,
    MAX_LAPSED,
    SHUT,
    Ask,
    Booked,
    Caps,
    Denied,
    Lapsed,
    NotReserved,
    Raise,
    Raised,
    Released,
    Reserved,
    Settled,
    Shut,
    Standing,
)


@dataclass(slots=True)
class Held:
    """What the store holds: the process and the epoch it was built with, and the books."""

    run: int
    epoch: str
    books: Books


@dataclass(slots=True)
class MemoryStore:
    """What several budgets share, as they would a server; its owner may flush, restart and restore it."""

    run: int = 1
    held: Held | None = None

    def flush(self) -> None:
        """Lose everything."""
        self.held = None

    def restart(self) -> None:
        """Be another process with the same data."""
        self.run += 1

    def snapshot(self) -> Held | None:
        """Return a copy of all that is held."""
        return copy.deepcopy(self.held)

    def restore(self, held: Held | None) -> None:
        """Start again as another process with the data of a snapshot."""
        self.run += 1
        self.held = copy.deepcopy(held)


@dataclass(slots=True)
class MemoryBudget:
    """`ports.Budget` in memory; nothing is awaited in between, so that each operation is one step."""

    store: MemoryStore = field(default_factory=MemoryStore)
    _epoch: str = ""

    def adopt(self, epoch: str) -> None:
        """Name the epoch; see `ports.Budget`."""
        self._epoch = epoch

    async def reserve(self, asks: Sequence[Ask]) -> Sequence[Reserved | Denied | Shut]:
        """Answer each ask; see `ports.Budget`."""
        if len(asks) > MAX_ASKS:
            raise ValueError(f"{len(asks)} asks, at most {MAX_ASKS} in one round trip")
        books = self._named()
        return [Shut(ask.call_id, books) if isinstance(books, str) else books.reserve(ask) for ask in asks]

    async def settle(self, call_id: str, workflow: str, actual_micro: int) -> Settled | NotReserved | Shut:
        """Record what a call cost; see `ports.Budget`."""
        if not is_amount(actual_micro):
            raise ValueError(f"{actual_micro!r} is no amount")
        books = self._named()
        if isinstance(books, str):
            return Shut(call_id, books)
        return books.settle(call_id, workflow, actual_micro)

    async def release(self, call_id: str, workflow: str, until: datetime | None = None) -> Released | Shut:
        """Give a reservation back; see `ports.Budget`."""
        books = self._named()
        return Shut(call_id, books) if isinstance(books, str) else books.release(call_id, workflow, until)

    async def standing(self, workflow: str, caps: Caps, at: datetime) -> Standing | Shut:
        """Return how the windows stand; see `ports.Budget`."""
        books = self._any()
        if isinstance(books, str) or self.store.held is None:
            return Shut("", str(books))
        return books.standing(workflow, caps, at, self.store.held.epoch)

    async def raise_cap(self, order: Raise) -> Raised | Shut:
        """Let a cap be higher until a time; see `ports.Budget`."""
        books = self._any()
        return Shut("", books) if isinstance(books, str) else books.raise_cap(order)

    async def expired(self, at: datetime, skip: int = 0) -> Sequence[Lapsed] | Shut:
        """Return reservations whose lease has run out; see `ports.Budget`."""
        books = self._any()
        return Shut("", books) if isinstance(books, str) else books.expired(at)[skip : skip + MAX_LAPSED]

    async def run_id(self) -> str:
        """Return the name of the store's process; see `ports.Budget`."""
        return str(self.store.run)

    async def rebuild(self, epoch: str, rows: Iterable[Booked]) -> None:
        """Put in force what the rows say; see `ports.Budget`."""
        if not epoch:
            raise ValueError("a rebuild needs an epoch")
        books = rebuilt(rows)
        self._epoch = epoch
        if isinstance(self._named(), str):
            self.store.held = Held(self.store.run, epoch, books)

    def _any(self) -> Books | str:
        """Return the books when they are of this process and, if one is named, of the epoch; else why not."""
        held = self.store.held
        if held is None:
            return SHUT["empty"]
        if held.run != self.store.run:
            return SHUT["restarted"]
        if self._epoch and held.epoch != self._epoch:
            return SHUT["epoch"]
        return held.books

    def _named(self) -> Books | str:
        """Do the same, and refuse a caller that names no epoch: it cannot know whose money it spends."""
        found = self._any()
        return found if isinstance(found, str) or self._epoch else SHUT["epoch"]
