"""Paying under test: processes with their own doors to one budget, one journal and one stand-in, that die where a test says."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from budgets import Rig
from journals import MemoryBench, PgBench
from standins import World, http_world, memory_world
from vigimesh.adapters.memory.objects import MemoryObjects
from vigimesh.app.standin.chat import MODEL, StandIn
from vigimesh.background.books.keep import Books
from vigimesh.clock import SystemClock
from vigimesh.domain.budget.lapse import GRACE_S
from vigimesh.domain.budget.prices import PriceBook, shipped_prices, worst
from vigimesh.domain.budget.values import Booked, Caps, Standing
from vigimesh.domain.cascade.question import Message, Question
from vigimesh.domain.cascade.tokens import prompt_bound
from vigimesh.errors import Transient
from vigimesh.ports import Budget, Journal, Models
from vigimesh.tool_executor.paying import Payer
from vigimesh.tool_executor.purchase import Purchase

WIDE = Caps("EUR", month_micro=10**9, day_micro=10**9, case_micro=10**9, calls_per_minute=10**6)
#: Seconds of one call: enough for HTTP on a busy machine.
CALL_S = 10.0
#: Seconds after which the leases of a call are over, in budget and journal.
LEASES_S = 60.0
#: Seconds after which every lease is over and may be given back.
ALL_OVER_S = 2_000.0


class Death(BaseException):
    """What ends a process in a test: nothing of it may do anything after."""


class Stepping(SystemClock):
    """A clock that the test moves; each look is a microsecond later, as no two looks of a real one are the same."""

    def __init__(self) -> None:
        # In the midst of the month: a test lets days pass, and what it compares is the budget of one month. Of this month and
        # not of another, since a journal asks the server which of its calls still count.
        self.at = datetime.now(UTC).replace(day=15, hour=12, minute=0, second=0, microsecond=0)
        self._looks = itertools.count(1)

    def now(self) -> datetime:
        return self.at + timedelta(microseconds=next(self._looks))


#: Called before and after each call of a port, with `name.before` or `name.after`; may raise, or wait.
Hook = Callable[[str], Awaitable[None]]


async def nothing(step: str) -> None:
    """Let it happen."""


class Door:
    """A port behind a hook; synchronous operations and attributes go straight through."""

    def __init__(self, inner: Any, process: Process) -> None:
        self.inner, self._process = inner, process

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def hooked(*args: Any, **kwargs: Any) -> Any:
            if name == "ask":
                asked, leave = args
                args = asked, self._given(leave)
            else:
                await self._process.step(f"{name}.before")
            done = await found(*args, **kwargs)
            await self._process.step(f"{name}.after")
            return done

        return hooked

    async def _given(self, leave: Awaitable[None]) -> None:
        """Ask is what goes out, not what is made ready."""
        await leave
        await self._process.step("ask.before")


@dataclass
class Process:
    """One process that pays: `hook` says where it dies, or waits; `steps` is what it did."""

    payer: Payer = field(init=False)
    books: Books = field(init=False)
    hook: Hook = nothing
    dead: bool = False
    steps: list[str] = field(default_factory=list)

    async def step(self, name: str) -> None:
        if self.dead:
            raise Death
        self.steps.append(name)
        try:
            await self.hook(name)
        except Death:
            self.dead = True
            raise

    async def end(self) -> None:
        """Close its connections, once what goes on with replies is over."""
        await self.payer.close()
        for port in (self.payer.journal, self.payer.models):
            await cast(Door, port).inner.close()

    async def pay(self, wanted: Purchase) -> Any:
        """Pay, and return what came of it; `Death` when the process died."""
        try:
            return await self.payer.pay(wanted)
        except Death as died:
            return died


@dataclass
class Shop:
    """The parts that processes share, and what a test asks of them."""

    rig: Rig
    bench: MemoryBench | PgBench
    world: World
    clock: Stepping = field(default_factory=Stepping)
    headers: Mapping[str, str] = field(default_factory=dict)
    objects: MemoryObjects = field(default_factory=MemoryObjects)
    processes: list[Process] = field(default_factory=list)
    _auditor: Process | None = None

    @property
    def standin(self) -> StandIn:
        return self.world.standin

    def process(
        self,
        hook: Hook = nothing,
        *,
        prices: PriceBook | None = None,
        models: Models | None = None,
        payer: type[Payer] = Payer,
        books: type[Books] = Books,
    ) -> Process:
        """Return another process; `payer` and `books` may have a bug planted."""
        made = Process(hook=hook)
        budget = cast(Budget, Door(self.rig.new(), made))
        journal = cast(Journal, Door(self.bench.process(), made))
        asked = cast(Models, Door(models or self.world.models(self.headers), made))
        made.books = books(budget, journal, self.clock)
        made.payer = payer(
            budget=budget, journal=journal, models=asked, objects=self.objects, clock=self.clock,
            prices=shipped_prices() if prices is None else prices, agreement=made.books,
        )  # fmt: skip
        self.processes.append(made)
        return made

    def let_pass(self, seconds: float) -> None:
        """Let time pass for everybody: for leases of both."""
        self.clock.at += timedelta(seconds=seconds)
        self.bench.let_pass(seconds)

    @property
    def auditor(self) -> Process:
        """A process that never dies, and looks when all leases are over."""
        if self._auditor is None:
            self._auditor = self.process()
            self._auditor.books.clock = _Later(self.clock)
        return self._auditor

    async def swept(self) -> None:
        """Let every lease run out, and sweep."""
        self.bench.age(ALL_OVER_S)
        # The first sweep may find that the budget's store was lost; the next then sweeps what was rebuilt.
        if (await self.auditor.books.sweep()).shut:
            swept = await self.auditor.books.sweep()
            assert not swept.shut, self.auditor.books.trouble

    async def standing(self, caps: Caps = WIDE) -> Standing:
        """Return how the workflow stands; it must not be shut, and enforced must be recorded + open."""
        await self.auditor.books.epoch()
        found = await self.auditor.payer.budget.standing("triage", caps, self.clock.now())
        assert isinstance(found, Standing), found
        assert found.holds, found
        return found

    async def booked(self) -> list[Booked]:
        """Return what the journal books this month."""
        this = f"{self.clock.at:%Y-%m}"
        return [row for row in await self.auditor.payer.journal.booked() if f"{row.at:%Y-%m}" == this]

    async def agreed(self, *questions: Question) -> tuple[int, int]:
        """Hold that no reservation leaked and the budget is what the journal books; return recorded and open of the month."""
        await self.swept()
        month = (await self.standing()).windows[-1]
        rows = await self.booked()
        settled = sum(row.amount_micro for row in rows if row.state == "settled")
        held = sum(row.amount_micro for row in rows if row.state != "settled")
        assert (month.recorded_micro, month.open_micro) == (settled, held)
        for asked in questions:
            assert self.world.calls(asked) <= 1, "made twice"
        return settled, held


class _Later(SystemClock):
    """The clock of somebody who looks when all leases are over."""

    def __init__(self, clock: Stepping) -> None:
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now() + timedelta(seconds=ALL_OVER_S + GRACE_S)


def question(text: str = "Reaction: rash.") -> Question:
    return Question(
        model=MODEL, messages=(Message("system", "Triage."), Message("user", text)), max_tokens=50, deadline_s=CALL_S
    )  # fmt: skip


def purchase(text: str = "Reaction: rash.", *, caps: Caps = WIDE, **changes: Any) -> Purchase:
    """Return a purchase; each text is a case of its own."""
    made = Purchase(
        question=question(text), case_id=f"case of {text}", workflow="triage", version="1", step="seriousness",
        pass_number=2, caps=caps,
    )  # fmt: skip
    return replace(made, **changes)


def dying_at(step: str, *, nth: int = 1) -> Hook:
    """Return a hook that ends the process at the `nth` time of a step."""
    left = [nth]

    async def hook(name: str) -> None:
        if name == step:
            left[0] -= 1
            if left[0] == 0:
                raise Death

    return hook


@dataclass
class Gate:
    """A hook that lets a step wait until it is opened; `reached` is set when somebody waits there."""

    at: str
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, step: str) -> None:
        if step == self.at:
            self.reached.set()
            await self.opened.wait()


@asynccontextmanager
async def shop(rig: Rig, bench: MemoryBench | PgBench) -> AsyncIterator[Shop]:
    """Open a shop: with the stand-in over HTTP where the stores are real, else behind the memory twin."""
    opened = memory_world if isinstance(bench, MemoryBench) else http_world
    async with opened() as world:
        made = Shop(rig, bench, world)
        bench.set_clock(made.clock.at)
        try:
            yield made
        finally:
            for process in made.processes:
                await process.payer.close()
            await bench.close()
            await rig.close()


def losing(at: str, lose: Callable[[], None]) -> Hook:
    """Return a hook that takes the budget's store away at the first time of a step."""
    left = [1]

    async def hook(step: str) -> None:
        if step == at and left[0]:
            left[0] = 0
            await asyncio.to_thread(lose)

    return hook


AWAY = Transient("VM-1501", what="PostgreSQL is away", where="test")


def away(*steps: str, error: Transient, times: int = 1_000) -> Hook:
    """Return a hook that fails at some steps, so often."""
    left = [times]

    async def hook(step: str) -> None:
        if step in steps and left[0]:
            left[0] -= 1
            raise error

    return hook


def worst_of(wanted: Purchase) -> int:
    """Return what must be reserved for a purchase."""
    (price,) = (one for one in shipped_prices().prices if one.model == wanted.question.model)
    return worst(price, prompt_bound(wanted.question), wanted.question.max_tokens)


@dataclass(frozen=True)
class Place:
    """Where a check runs, and with whose payer and books: those of a planted bug, or ours."""

    open: Callable[[], AbstractAsyncContextManager[Shop]]
    payer: type[Payer] = Payer
    books: type[Books] = Books

    def process(self, made: Shop, hook: Hook | None = None, **parts: Any) -> Process:
        return made.process(nothing if hook is None else hook, payer=self.payer, books=self.books, **parts)

    async def pays(self, made: Shop, wanted: Purchase, hook: Hook | None = None, **parts: Any) -> Any:
        """Let a process pay for one thing, and end; `Death` when it died."""
        process = self.process(made, hook, **parts)
        ended = await process.pay(wanted)
        await process.end()
        return ended

    def run(self, check: Callable[[Place], Awaitable[None]]) -> None:
        asyncio.run(asyncio.wait_for(_whole(check, self), 120))


async def _whole(check: Callable[[Place], Awaitable[None]], place: Place) -> None:
    await check(place)
