"""The only place that builds adapters and joins them to the stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from vigimesh.adapters.kafka import common
from vigimesh.adapters.kafka_consumer import KafkaConsumer
from vigimesh.adapters.kafka_producer import KafkaProducer
from vigimesh.adapters.objects import ObjectStore
from vigimesh.adapters.otel import OtelTelemetry
from vigimesh.adapters.postgres import PgSearch
from vigimesh.adapters.registry import RegistrySchemas
from vigimesh.app.card_files import cards_of
from vigimesh.app.mesh import registry_options
from vigimesh.app.settings import Settings
from vigimesh.clock import Clock, SystemClock
from vigimesh.domain.policy.cards import Cards
from vigimesh.events import topics
from vigimesh.events.codec import Codec
from vigimesh.loop.health import Health
from vigimesh.loop.stage import Stage
from vigimesh.loop.table import Table
from vigimesh.loop.telemetry import Telemetry
from vigimesh.loop.worker import Worker
from vigimesh.planner import worker as planner
from vigimesh.ports import Objects, Search
from vigimesh.retriever import worker as retriever
from vigimesh.router import worker as router
from vigimesh.supervisor import worker as supervisor
from vigimesh.tool_executor import worker as tool_executor


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the workers of one process share. `search` is connected by whoever asks first."""

    settings: Settings
    cards: Cards
    codec: Codec
    objects: Objects
    search: Callable[[], Search]
    telemetry: Telemetry
    clock: Clock


def parts_of(stage: str, settings: Settings) -> Parts:
    """Build what the workers of a process share.

    Raises `Misconfigured` when a card or setting is wrong, `Transient` when the registry is away.
    """
    clock = SystemClock()
    schemas = RegistrySchemas(registry_options(settings))
    return Parts(
        settings=settings, cards=cards_of(settings), codec=Codec(schemas), objects=ObjectStore(settings.objects.url),
        search=cache(lambda: PgSearch(settings.postgres.dsn, clock=clock)),
        telemetry=_telemetry(stage, settings), clock=clock,
    )  # fmt: skip


def _telemetry(stage: str, settings: Settings) -> Telemetry:
    endpoint = settings.telemetry.otlp_endpoint
    if not endpoint:
        return OtelTelemetry(stage, instance=settings.worker.instance)
    from vigimesh.adapters.otlp import spans_to  # heavy, and only needed with a collector

    return OtelTelemetry(stage, instance=settings.worker.instance, spans_to=spans_to(endpoint))


def tiers(settings: Settings) -> tuple[str, ...]:
    """Return the tiers that are there: without a model configured, deterministic tools and people."""
    return ("tools", "person")


def worker_of(stage: str, lane: str | None, parts: Parts) -> Worker:
    """Return the worker of a stage and lane, joined to Kafka.

    Raises what the settings, the registry and the cards raise: `Misconfigured`, `Transient`.
    """
    built = _stage(stage, lane, parts)
    base = common(parts.settings.kafka.bootstrap, dict(parts.settings.kafka.options))
    group = topics.group_of(stage, lane)
    inputs = topics.inputs_of(stage, lane)
    instance = parts.settings.worker.instance
    return Worker(
        stage=built, group=group, topics=inputs, instance=instance,
        consumer=KafkaConsumer(base, group, inputs, copartitioned=len(inputs) > 1),
        producers=(
            KafkaProducer(base, f"{group}.{instance}.a"),
            KafkaProducer(base, f"{group}.{instance}.b"),
        ),
        codec=parts.codec, spill=parts.objects.put, telemetry=parts.telemetry,
        health=Health(parts.clock), clock=parts.clock,
        table=Table(built.table_topic, parts.codec) if built.table_topic else None,
    )  # fmt: skip


def lanes_of(stage: str, lane: str | None) -> Sequence[str | None]:
    """Return the lanes one process serves: all of a lane stage unless one is named, `None` for the others."""
    if stage not in topics.LANE_STAGES:
        return (None,)
    return (lane,) if lane else topics.LANES


def _stage(stage: str, lane: str | None, parts: Parts) -> Stage:
    there = tiers(parts.settings)
    match stage, lane:
        case "router", None:
            return router.stage(parts.cards)
        case "planner", str():
            return planner.stage(parts.cards, there, lane)
        case "retriever", str():
            return retriever.stage(parts.search(), lane)
        case "tool-executor", str():
            return tool_executor.stage(parts.objects, lane)
        case "supervisor", None:
            fetchers = {"tiers": planner.tiers_fetcher(there)}
            return supervisor.stage(parts.cards, fetchers, hold=parts.settings.worker.hold)
        case _:
            raise KeyError(f"no stage {stage!r} with lane {lane!r}")
