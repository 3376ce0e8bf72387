"""The only place that builds adapters and joins them to the stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vigimesh.adapters.kafka import KafkaConsumer, KafkaProducer, common
from vigimesh.adapters.objects import ObjectStore
from vigimesh.adapters.otel import OtelTelemetry
from vigimesh.adapters.postgres import PgSearch
from vigimesh.adapters.registry import Registry
from vigimesh.app.settings import Settings
from vigimesh.clock import Clock
from vigimesh.domain.policy.cards import Cards
from vigimesh.events import topics
from vigimesh.events.codec import Codec
from vigimesh.loop.health import Health
from vigimesh.loop.stage import Stage
from vigimesh.loop.table import Table
from vigimesh.loop.telemetry import Telemetry
from vigimesh.loop.worker import Worker
from vigimesh.planner import worker as planner
from vigimesh.ports import Objects
from vigimesh.retriever import worker as retriever
from vigimesh.router import worker as router
from vigimesh.supervisor import worker as supervisor
from vigimesh.tool_executor import worker as tool_executor


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the workers of one process share."""

    settings: Settings
    cards: Cards
    codec: Codec
    objects: Objects
    telemetry: Telemetry
    clock: Clock


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
        producer=KafkaProducer(base, f"{group}.{instance}"),
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
            return retriever.stage(PgSearch(parts.settings.postgres.dsn), lane)
        case "tool-executor", str():
            return tool_executor.stage(parts.objects, lane)
        case "supervisor", None:
            fetchers = {"tiers": planner.tiers_fetcher(there)}
            return supervisor.stage(parts.cards, fetchers, hold=parts.settings.worker.hold)
        case _:
            raise KeyError(f"no stage {stage!r} with lane {lane!r}")
