"""`vigimesh batcher`: buys gathered cold work in batches, in the foreground, what a container runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import NoReturn

from vigimesh.adapters.kafka.usage_tail import newest_paid
from vigimesh.adapters.objects.store import ObjectStore
from vigimesh.adapters.postgres.batch_journal import PgBatchJournal
from vigimesh.adapters.postgres.journal import PgJournal
from vigimesh.adapters.redis.budget import RedisBudget
from vigimesh.adapters.telemetry.otel import OtelTelemetry
from vigimesh.app.config.clients import codec_of, kafka_of
from vigimesh.app.config.settings import Settings
from vigimesh.app.in_force.large_model import has_large_model, prices_of
from vigimesh.app.workers.worker import Loop, leave, rest_collector, serve_loops
from vigimesh.background.batcher.run import Batcher, Keeper, run
from vigimesh.background.books.keep import Books
from vigimesh.clock import SystemClock
from vigimesh.errors import Misconfigured
from vigimesh.events.topics import PREFIX
from vigimesh.loop.health import Health
from vigimesh.loop.telemetry import Telemetry

NAME = "batcher"


def serve_batcher(settings: Settings) -> NoReturn:
    """Buy until SIGTERM or SIGINT, and end the process: with 1 when it could not go on.

    Raises `Misconfigured` when a setting is wrong or no large model is configured (VM-2407), `OSError` when the health port is taken.
    """
    if not has_large_model(settings.large_model):
        raise Misconfigured(
            "VM-2407", what="no large model is configured", where="environment",
            todo="set VIGIMESH_LARGE_MODEL__BASE_URL and VIGIMESH_LARGE_MODEL__NAME, or run no batcher",
        )  # fmt: skip
    rest_collector()
    prices_of(settings.large_model, SystemClock().now())
    health, telemetry = Health(SystemClock()), OtelTelemetry(NAME, instance=settings.worker.instance)

    async def serve(stop: threading.Event) -> None:
        async with opened(settings, telemetry) as (batcher, books):
            await run(batcher, books, health, stop)

    loop = Loop(name=f"{PREFIX}{NAME}", work=lambda stop: asyncio.run(serve(stop)), health=health)
    leave(serve_loops((loop,), telemetry, settings.worker))


@asynccontextmanager
async def opened(settings: Settings, telemetry: Telemetry) -> AsyncIterator[tuple[Batcher, Keeper]]:
    """Join a batcher to its stores and the endpoint, in the running event loop; close them at the end."""
    from vigimesh.adapters.models.openai_batches import OpenAIBatches  # over a second, and only needed here

    clock, model, dsn = SystemClock(), settings.large_model, settings.postgres.dsn
    codec = codec_of(settings)
    base = kafka_of(settings)

    async def paid_at() -> datetime | None:
        return await asyncio.to_thread(newest_paid, base, codec)

    async with AsyncExitStack() as stack:
        budget = RedisBudget.open(settings.redis.url)
        journal = PgJournal(dsn, clock=clock, application_name="vigimesh batcher")
        gathered = PgBatchJournal(dsn, clock=clock)
        batches = OpenAIBatches(model.base_url, model.key, clock=clock, limit_field=model.limit_field)
        for one in (budget, journal, gathered, batches):
            stack.push_async_callback(one.close)
        books = Books(budget, journal, clock, paid_at=paid_at)
        yield Batcher(
            budget=budget, journal=gathered, batches=batches, objects=ObjectStore(settings.objects.url),
            prices=prices_of(model, clock.now()), agreement=books, clock=clock,
            telemetry=telemetry,
        ), books  # fmt: skip
