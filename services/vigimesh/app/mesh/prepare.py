"""What a mesh needs before its first worker starts: topics, groups, schemas, tables, documents, and what is in force."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigimesh.app.config.model_settings import SmallModelSettings
from vigimesh.app.config.settings import Settings
from vigimesh.clock import Clock, Deadline, SystemClock
from vigimesh.errors import Misconfigured

if TYPE_CHECKING:
    from vigimesh.domain.policy.cards import Cards

#: Seconds for topics, schemas, tables and documents to be in place: a first start takes about 5.
PREPARE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What `prepare` found: where the cards in force came from, and what differs from the topics table (VM-1007)."""

    cards: str
    drift: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return a line with its code for each thing that differs."""
        return tuple(f"VM-1007 {line}" for line in self.drift)


def prepare(settings: Settings, clock: Clock | None = None) -> Prepared:
    """Create topics and groups, register schemas, migrate the database, load the documents, say which cards are in force.

    Doing it again changes nothing but `config`, which tells each start. Raises `Misconfigured` (VM-1006, VM-1007, VM-1011) or `Transient` (VM-1301).
    """
    from vigimesh.adapters.kafka.cluster.topics import Shape, apply
    from vigimesh.adapters.kafka.registry import RegistrySchemas
    from vigimesh.adapters.postgres.library import load_into
    from vigimesh.adapters.postgres.schema import migrate
    from vigimesh.app.config.clients import quiet_kafka_of, registry_options
    from vigimesh.app.in_force.cards import cards_of
    from vigimesh.app.in_force.small_model import check_models
    from vigimesh.domain.knowledge.shipped import shipped_documents

    # First, so that a wrong card or price leaves the cluster as it was.
    cards = cards_of(settings)
    check_models(settings, clock or SystemClock(), cards.cards)
    shape = Shape(partitions=settings.mesh.partitions, replication=settings.mesh.replication)
    deadline = Deadline.after(clock or SystemClock(), PREPARE_S)

    def tables() -> None:
        migrate(settings.postgres.dsn)
        load_into(settings.postgres.dsn, shipped_documents())

    # Three servers, each of which keeps one waiting.
    with ThreadPoolExecutor(3) as pool:
        report = pool.submit(apply, quiet_kafka_of(settings), shape, deadline)
        others = (pool.submit(RegistrySchemas(registry_options(settings)).register_all), pool.submit(tables))
    for done in (report, *others):
        done.result()
    _activate(settings, cards, clock or SystemClock())
    return Prepared(cards=cards.origin, drift=tuple(str(line) for line in report.result().drift))


def _activate(settings: Settings, cards: Cards, clock: Clock) -> None:
    """Write the bodies of cards and small models to the object store and their digests to `config`: what came into force, and when."""
    from vigimesh.adapters.kafka.producer import KafkaProducer
    from vigimesh.adapters.objects.store import ObjectStore
    from vigimesh.app.config.clients import codec_of, quiet_kafka_of
    from vigimesh.intake.worker import Door

    instance = f"config.{os.getpid()}"
    producer = KafkaProducer(quiet_kafka_of(settings), f"vigimesh.{instance}")
    door = Door(
        producer=producer, codec=codec_of(settings),
        objects=ObjectStore(settings.objects.url), clock=clock, instance=instance,
    )  # fmt: skip

    async def activate() -> None:
        await door.activate(
            [
                *(("card", card.name, card.body) for card in cards.cards),
                *models_in_force(settings.small_model),
            ]
        )
        await producer.close()

    asyncio.run(activate())


def models_in_force(settings: SmallModelSettings) -> Iterator[tuple[str, str, bytes]]:
    """Yield kind, name and header of each small model that can be used; its header names the digest of its weights."""
    from vigimesh.app.in_force.own_model import header_in_force, model_or_absent
    from vigimesh.domain.cascade.model import Model
    from vigimesh.domain.cascade.shipped import (
        EXTRACTION,
        NAMES,
        SERIOUS,
        shipped_header,
        shipped_or_absent,
        shipped_tagger,
    )

    if isinstance(model_or_absent(settings), Model):
        yield "model", SERIOUS, header_in_force(settings)
    for name in NAMES:
        if name != SERIOUS and isinstance(shipped_or_absent(name), Model):
            yield "model", name, shipped_header(name)
    with suppress(Misconfigured):
        shipped_tagger()
        yield "model", EXTRACTION, shipped_header(EXTRACTION)
