"""`vigimesh librarian`: announces what changed, watches a folder, keeps knowledge products, in the foreground, what a container runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from vigimesh.adapters.kafka.desks.orders import RecordDesk
from vigimesh.adapters.kafka.desks.recalls import KafkaRecallDesk
from vigimesh.adapters.kafka.measurements import KafkaMeasurements
from vigimesh.adapters.models.ocr import page_reader
from vigimesh.adapters.objects.store import ObjectStore
from vigimesh.adapters.postgres.ledger import PgLedger
from vigimesh.adapters.postgres.library import PgLibrary
from vigimesh.adapters.postgres.recalls import PgRecalls
from vigimesh.adapters.postgres.summaries import PgSummaryIndex
from vigimesh.adapters.postgres.vectors import PgVectors
from vigimesh.adapters.telemetry.otel import OtelTelemetry
from vigimesh.app.config.clients import codec_of, kafka_of
from vigimesh.app.config.settings import Settings
from vigimesh.app.in_force.embedding import embedder_of
from vigimesh.app.in_force.products import products_of
from vigimesh.app.workers.worker import Loop, leave, rest_collector, serve_loops
from vigimesh.background.librarian.announce import Announce
from vigimesh.background.librarian.forget import Forget
from vigimesh.background.librarian.ledger import Booking, ServiceLevels
from vigimesh.background.librarian.recall import Following, Recaller
from vigimesh.background.librarian.run import NAME, Duty, Librarian, run
from vigimesh.background.librarian.summaries import Summarising
from vigimesh.background.librarian.vectors import FillVectors
from vigimesh.background.librarian.watch import Watch
from vigimesh.clock import Clock, SystemClock
from vigimesh.events.codec import Codec
from vigimesh.events.topics import PREFIX
from vigimesh.loop.health import Health
from vigimesh.loop.telemetry import Telemetry

#: With the instance behind it, the transactional id of one librarian.
LIBRARIAN_ID = f"{PREFIX}{NAME}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What duties are made of: `base` are the settings of every Kafka client, `closing` what is closed at the end."""

    base: dict[str, Any]
    codec: Codec
    library: PgLibrary
    clock: Clock
    telemetry: Telemetry
    closing: AsyncExitStack


def serve_librarian(settings: Settings) -> NoReturn:
    """Do the duties until SIGTERM or SIGINT, and end the process: with 1 when it could not go on.

    Raises `Misconfigured` when a setting is wrong, `OSError` when the health port is taken.
    """
    rest_collector()
    health, telemetry = Health(SystemClock()), OtelTelemetry(NAME, instance=settings.worker.instance)

    async def serve(stop: threading.Event) -> None:
        async with opened(settings, telemetry) as duties:
            await run(Librarian(duties=duties, telemetry=telemetry, health=health), stop)

    loop = Loop(name=LIBRARIAN_ID, work=lambda stop: asyncio.run(serve(stop)), health=health)
    leave(serve_loops((loop,), telemetry, settings.worker))


@asynccontextmanager
async def opened(settings: Settings, telemetry: Telemetry) -> AsyncIterator[Sequence[Duty]]:
    """Join the duties to their stores, in the running event loop; close these at the end."""
    async with AsyncExitStack() as closing:
        library = PgLibrary(settings.postgres.dsn, application_name="vigimesh librarian")
        closing.callback(library.close)
        parts = Parts(
            base=kafka_of(settings),
            codec=codec_of(settings), library=library, clock=SystemClock(),
            telemetry=telemetry, closing=closing,
        )  # fmt: skip
        yield duties_of(settings, parts)


def duties_of(settings: Settings, parts: Parts) -> Sequence[Duty]:
    """Return the duties of this process."""
    instance = settings.worker.instance
    desk = RecordDesk(parts.base, writer=f"{LIBRARIAN_ID}.{instance}")
    parts.closing.push_async_callback(desk.close)
    duties: list[Duty] = [Announce(library=parts.library, desk=desk, codec=parts.codec, clock=parts.clock)]
    if settings.knowledge.watch:
        duties.append(Watch(
            folder=Path(settings.knowledge.watch), library=parts.library, telemetry=parts.telemetry,
            clock=parts.clock, by=f"{NAME}.{instance}", scans=page_reader(),
        ))  # fmt: skip
    return [*duties, *_vectors(settings, parts), *_products(settings, parts), *_recalls(settings, parts)]


def _vectors(settings: Settings, parts: Parts) -> Sequence[Duty]:
    """Return the duty that gives passages their vectors, where a model is chosen."""
    embedder = embedder_of(settings.embeddings)
    if embedder is None:
        return ()
    vectors = PgVectors(settings.postgres.dsn, application_name="vigimesh librarian")
    parts.closing.callback(vectors.close)
    return (FillVectors(vectors=vectors, embedder=embedder),)


def _products(settings: Settings, parts: Parts) -> Sequence[Duty]:
    """Return the duties about knowledge products; each that writes has a desk of its own, since one writes one transaction at a time."""
    products, dsn = products_of(settings), settings.postgres.dsn
    ledger = PgLedger(dsn, application_name="vigimesh librarian")
    index = PgSummaryIndex(dsn, application_name="vigimesh librarian")
    for one in (ledger, index):
        parts.closing.callback(one.close)
    writer = f"{LIBRARIAN_ID}.{settings.worker.instance}"
    levels, summaries = (
        RecordDesk(parts.base, writer=f"{writer}.{name}") for name in ("levels", "summaries")
    )
    for desk in (levels, summaries):
        parts.closing.push_async_callback(desk.close)
    return (
        Booking(
            measurements=KafkaMeasurements(parts.base, parts.codec), ledger=ledger, products=products,
            telemetry=parts.telemetry,
        ),
        ServiceLevels(
            library=parts.library, ledger=ledger, products=products, telemetry=parts.telemetry, codec=parts.codec,
            desk=levels, clock=parts.clock,
        ),
        Summarising(
            library=parts.library, index=index, objects=ObjectStore(settings.objects.url), products=products,
            codec=parts.codec, desk=summaries, clock=parts.clock,
        ),
    )  # fmt: skip


def _recalls(settings: Settings, parts: Parts) -> Sequence[Duty]:
    """Return the duties that know where the cases' records lie, recall what rests on changed advice, and forget what was long ago."""
    index = PgRecalls(settings.postgres.dsn)
    desk = KafkaRecallDesk(parts.base, index)
    parts.closing.callback(index.close)
    parts.closing.push_async_callback(desk.close)
    actor, keep = f"{NAME}.{settings.worker.instance}", timedelta(days=settings.knowledge.keep_used_days)
    return (
        Following(places=desk.places),
        Recaller(recalls=index, desk=desk, codec=parts.codec, clock=parts.clock, actor=actor),
        Forget(recalls=index, clock=parts.clock, keep=keep),
    )
