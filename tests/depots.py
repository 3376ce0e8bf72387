"""Batches under test: batchers that die where a test says, one budget and journal, the stand-in's batches over HTTP on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, cast

from budgets import Rig, memory_rig
from journals import MemoryBench, PgBench
from spending import WIDE, Door, Hook, Process, Shop, Stepping, nothing, question
from standins import KEY, World
from vigimesh.adapters.memory.batch_journal import MemoryBatches, MemoryBatchJournal
from vigimesh.adapters.memory.telemetry import MemoryTelemetry
from vigimesh.adapters.models.openai_batches import OpenAIBatches
from vigimesh.adapters.postgres.batch_journal import PgBatchJournal
from vigimesh.app.standin.chat import StandIn
from vigimesh.app.standin.profile import BatchProfile, Profile
from vigimesh.app.standin.routes import Routes
from vigimesh.app.standin.server import Server
from vigimesh.background.batcher.run import Batcher
from vigimesh.background.books.keep import Books
from vigimesh.domain.budget.batching import LOOK_S, Gathered
from vigimesh.domain.budget.calls import Answered, PaidCall
from vigimesh.domain.budget.prices import shipped_prices
from vigimesh.domain.cascade.question import prompt_digest
from vigimesh.events.ids import call_id
from vigimesh.names import Metric
from vigimesh.ports import Batches, BatchJournal, Budget

#: A batch of this stand-in starts after a minute and takes a second for each question.
QUICK = BatchProfile(start_s=60, item_s=1, spread=0)
#: Seconds after which any batch of a test is done.
DONE_S = 3_600.0


@dataclass
class Depot:
    """The parts that batchers share, and what a test asks of them."""

    shop: Shop
    server: Server
    uri: str = ""
    batches: MemoryBatches = field(default_factory=MemoryBatches)
    opened: list[Any] = field(default_factory=list)

    @property
    def routes(self) -> Routes:
        return self.server.routes

    @property
    def clock(self) -> Stepping:
        return self.shop.clock

    def journal(self) -> MemoryBatchJournal | PgBatchJournal:
        """Return the journal as another process sees it."""
        if isinstance(self.shop.bench, MemoryBench):
            return MemoryBatchJournal(self.shop.bench.calls, self.batches)
        journal = PgBatchJournal(self.uri)
        self.opened.append(journal)
        return journal

    def batcher(self, hook: Hook = nothing, headers: Mapping[str, str] | None = None) -> Batcher:
        """Return another batcher, which dies or fails where `hook` says; its own books never do."""
        made = Process(hook=hook)
        budget = self.shop.rig.new()
        books = Books(budget, self.shop.bench.process(), self.clock)
        batches = OpenAIBatches(self.server.base_url, KEY, clock=self.clock, headers=headers)
        self.opened.append(batches)
        return Batcher(
            budget=cast(Budget, Door(budget, made)), journal=cast(BatchJournal, Door(self.journal(), made)),
            batches=cast(Batches, Door(batches, made)), objects=self.shop.objects, prices=shipped_prices(),
            agreement=books, clock=self.clock, telemetry=MemoryTelemetry(),
        )  # fmt: skip

    def let_pass(self, seconds: float) -> None:
        """Let time pass for everybody, the stand-in too."""
        self.shop.let_pass(seconds)
        self.routes.desk.forward(seconds)

    async def finished(self, batcher: Batcher, rounds: int = 8) -> None:
        """Let a batcher work until nothing is open and nothing waits, with more than enough time between its rounds."""
        journal = self.journal()
        for _ in range(rounds):
            await batcher.round()
            if not await journal.open_batches() and not await journal.waiting(self.clock.now(), 1):
                return
            self.let_pass(max(DONE_S, LOOK_S))
            await self.swept(batcher)
        raise AssertionError("batches go on for ever")

    async def swept(self, batcher: Batcher) -> None:
        """Let a batcher's books sweep, as they do beside it: what lapsed is given back, and may be reserved again."""
        await cast(Books, batcher.agreement).sweep()

    async def answered(self, one: Gathered) -> Answered:
        """Return the answer of a call as whoever comes back for it finds it in the journal."""
        found = await self.shop.bench.process().begin(self.call(one))
        assert isinstance(found, Answered), found
        return found

    def call(self, one: Gathered) -> PaidCall:
        """Return the call as somebody looks it up who may not begin it."""
        return PaidCall(
            call_id=one.call_id, case_id=one.case_id, workflow=one.workflow, version=one.version, step=one.step,
            pass_number=one.pass_number, prompt_digest=prompt_digest(one.question), model=one.question.model, worst_micro=0,
            epoch="none", at=one.gathered_at,
        )  # fmt: skip

    def billed(self) -> int:
        """Return how many calls the stand-in would bill."""
        return int(self.server.standin.account()["billed"])


def gathered(depot: Depot, text: str, *, case: str = "", **changes: Any) -> Gathered:
    """Return a question that waits; each text is a case of its own unless `case` says another."""
    asked, case_id = question(text), case or f"case of {text}"
    now = depot.clock.now()
    made = Gathered(
        call_id=call_id(case_id, "1", "large_model", 2, prompt_digest(asked)), case_id=case_id, workflow="triage", version="1",
        step="large_model", pass_number=2, question=asked, caps=WIDE, gathered_at=now, opens_at=now,
        not_after=now + timedelta(days=3),
    )  # fmt: skip
    return replace(made, **changes)


def told(batcher: Batcher, metric: Metric, **labels: str) -> float:
    """Return what a batcher has counted."""
    return cast(MemoryTelemetry, batcher.telemetry).total(metric, **labels)


@asynccontextmanager
async def depot(
    rig: Rig, bench: MemoryBench | PgBench, profile: BatchProfile = QUICK
) -> AsyncIterator[Depot]:
    """Open a depot."""
    standin = StandIn(Profile(latency_ms=0, spread=0, batch=profile))
    async with Server(standin) as server:
        world = World(
            standin=standin,
            models=lambda headers: cast(Any, None),
            away=lambda: cast(Any, None),
            open=lambda: 0,
        )
        shop = Shop(rig, bench, world)
        if isinstance(bench, MemoryBench):
            bench.hand.at = shop.clock.at
        made = Depot(shop, server, getattr(bench, "uri", ""))
        try:
            yield made
        finally:
            for one in made.opened:
                await one.close()
            await bench.close()
            await rig.close()


Check = Callable[[Depot], Awaitable[None]]


@dataclass(frozen=True)
class Place:
    """Where a check runs."""

    open: Callable[[BatchProfile], AbstractAsyncContextManager[Depot]]

    def run(self, check: Check, profile: BatchProfile = QUICK) -> None:
        async def whole() -> None:
            async with self.open(profile) as made:
                await check(made)

        asyncio.run(asyncio.wait_for(whole(), 120))


MEMORY = Place(lambda profile: depot(memory_rig(), MemoryBench(), profile))


async def gather(made: Depot, *waiting: Gathered) -> None:
    journal = made.journal()
    for one in waiting:
        await journal.gather(one)
