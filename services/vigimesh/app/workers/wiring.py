"""The only place that builds adapters and joins them to the stages.

A process serves one stage: what only others need is not imported. That is half of a worker's start and a fifth of its memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from vigimesh import names
from vigimesh.adapters.kafka.consumer import KafkaConsumer
from vigimesh.adapters.kafka.orders import OrderReader
from vigimesh.adapters.kafka.producer import KafkaProducer
from vigimesh.adapters.objects.store import ObjectStore
from vigimesh.adapters.telemetry.otel import OtelTelemetry
from vigimesh.app.config.clients import codec_of, kafka_of
from vigimesh.app.config.settings import Settings
from vigimesh.app.in_force.large_model import has_large_model
from vigimesh.app.workers.parts import Parts
from vigimesh.clock import Clock, SystemClock
from vigimesh.domain.knowledge.freshness import Ages
from vigimesh.events import topics
from vigimesh.events.codec import Codec
from vigimesh.loop.health import Health
from vigimesh.loop.stage import Fetcher, Stage
from vigimesh.loop.table import Table
from vigimesh.loop.telemetry import Telemetry
from vigimesh.loop.worker import Worker

if TYPE_CHECKING:
    from vigimesh.domain.policy.cards import Cards
    from vigimesh.retriever.lookup import Lookup

#: Stages whose verb reads the workflow cards.
_READ_CARDS = ("router", "planner", "retriever", "tool-executor", "supervisor")

#: Seconds that a tool-executor waits at its start for how the gates stand.
_GATES_S = 3.0


def parts_of(stage: str, settings: Settings, lanes: Sequence[str | None]) -> Parts:
    """Build what the workers of a process share; `close` what it returns when they have ended.

    Raises `Misconfigured` when a card or setting is wrong, `Transient` when the registry is away.
    """
    clock = SystemClock()
    codec = codec_of(settings)
    telemetry = _telemetry(stage, settings)
    parts = Parts(
        settings=settings, cards=_cards(settings) if stage in _READ_CARDS else None, codec=codec,
        objects=ObjectStore(settings.objects.url), lookup=cache(lambda: _lookup(settings, clock, telemetry)),
        telemetry=telemetry, clock=clock,
    )  # fmt: skip
    base = kafka_of(settings)
    if stage == "retriever":
        return _following(parts, base, codec, lanes)
    reader = OrderReader(base, codec, clock).start()
    if stage != "tool-executor":
        return replace(parts, orders=reader, close=reader.close)
    from vigimesh.adapters.kafka.gates import GateReader  # with numpy, which no other stage needs

    labels = {"stage": stage, "lane": ",".join(lane for lane in lanes if lane)}
    gates = GateReader(base, codec, parts.telemetry, labels).start()
    # Until they are read every gate is closed, which is safe; the first cases need not meet that.
    gates.caught_up(_GATES_S)

    def close() -> None:
        gates.close()
        reader.close()

    return replace(parts, orders=reader, standings=gates.standing, close=close)


def _following(parts: Parts, base: Mapping[str, Any], codec: Codec, lanes: Sequence[str | None]) -> Parts:
    """Return the parts of a retriever, which follows the documents that change."""
    from vigimesh.adapters.kafka.knowledge_changes import ChangeReader

    changes = ChangeReader(base, codec, parts.lookup().changed).start()
    if tuple(lanes) == ("hot",):
        return replace(parts, close=changes.close)  # no order concerns it: it need not read any
    reader = OrderReader(base, codec, parts.clock).start()

    def close() -> None:
        changes.close()
        reader.close()

    return replace(parts, orders=reader, close=close)


def _cards(settings: Settings) -> Cards:
    from vigimesh.app.in_force.cards import cards_of

    return cards_of(settings)


def _lookup(settings: Settings, clock: Clock, telemetry: Telemetry) -> Lookup:
    from vigimesh.adapters.memory.answers import MemoryAnswers
    from vigimesh.adapters.objects.warm import WarmSummaries
    from vigimesh.adapters.postgres.search import PgSearch
    from vigimesh.adapters.postgres.summaries import PgSummaryIndex
    from vigimesh.adapters.redis.answers import RedisAnswers
    from vigimesh.app.in_force.embedding import embedder_of
    from vigimesh.app.in_force.products import products_of
    from vigimesh.retriever.lookup import Lookup

    embedder = embedder_of(settings.embeddings)
    search = PgSearch(settings.postgres.dsn, clock=clock, embedder=embedder, telemetry=telemetry)
    index = PgSummaryIndex(settings.postgres.dsn, application_name="vigimesh search")
    url = settings.cache.url or settings.redis.url
    shared = (RedisAnswers.open(url),) if url else ()
    return Lookup(
        search=search, clock=clock, stores=(MemoryAnswers(), *shared), products=products_of(settings),
        summaries=WarmSummaries(index, ObjectStore(settings.objects.url), search.state),
        failed=lambda what: telemetry.add(names.ANSWERS_FAILED, 1, {"what": what}),
    )  # fmt: skip


def _telemetry(stage: str, settings: Settings) -> Telemetry:
    endpoint = settings.telemetry.otlp_endpoint
    if not endpoint:
        return OtelTelemetry(stage, instance=settings.worker.instance)
    from vigimesh.adapters.telemetry.otlp import spans_to  # heavy, and only needed with a collector

    return OtelTelemetry(stage, instance=settings.worker.instance, spans_to=spans_to(endpoint))


def tiers(settings: Settings) -> tuple[str, ...]:
    """Return the tiers that are there: without a large model configured, deterministic tools, the shipped small model and people.

    Raises `Misconfigured` VM-1102 when only half of a large model is configured.
    """
    return ("tools", "small", *(("large",) if has_large_model(settings.large_model) else ()), "person")


def worker_of(stage: str, lane: str | None, parts: Parts) -> Worker:
    """Return the worker of a stage and lane, joined to Kafka.

    Raises what the settings, the registry and the cards raise: `Misconfigured`, `Transient`.
    """
    health = Health(parts.clock)
    built = _stage(stage, lane, parts, health)
    base = kafka_of(parts.settings)
    group = topics.group_of(stage, lane)
    inputs = topics.inputs_of(stage, lane)
    settings = parts.settings.worker
    instance = settings.instance
    consumer = KafkaConsumer(
        base, group, inputs, copartitioned=len(inputs) > 1, protocol=settings.protocol,
        member=instance if settings.static_member else "",
    )  # fmt: skip
    return Worker(
        stage=built, group=group, topics=inputs, instance=instance, consumer=consumer,
        producers=(
            KafkaProducer(base, f"{group}.{instance}.a", client_id=group),
            KafkaProducer(base, f"{group}.{instance}.b", client_id=group),
        ),
        codec=parts.codec, spill=parts.objects.put, telemetry=parts.telemetry,
        health=health, clock=parts.clock,
        table=Table(built.table_topic, parts.codec) if built.table_topic else None, orders=parts.orders,
    )  # fmt: skip


def lanes_of(stage: str, lane: str | None) -> Sequence[str | None]:
    """Return the lanes one process serves: all of a lane stage unless one is named, `None` for the others."""
    if stage not in topics.LANE_STAGES:
        return (None,)
    return (lane,) if lane else topics.LANES


def _limits(parts: Parts) -> Mapping[str, Fetcher]:
    from vigimesh.app.workers.limits import LimitsNow

    settings = parts.settings
    taken: Callable[[], Mapping[str, int]] = dict
    if has_large_model(settings.large_model) and settings.postgres.dsn:
        from vigimesh.adapters.postgres.call_times import CallTimes

        taken = CallTimes(settings.postgres.dsn, settings.large_model.name, parts.clock).now
    now = LimitsNow(
        tiers=tiers(settings), orders=parts.orders, clock=parts.clock, hold=settings.worker.hold, taken=taken
    )
    return {"limits": now.fetch}


def _stage(stage: str, lane: str | None, parts: Parts, health: Health) -> Stage:
    cards = parts.cards
    match stage, lane:
        case "router", None if cards:
            from vigimesh.router import worker as router

            return router.stage(cards)
        case "planner", str() if cards:
            from vigimesh.app.workers.names_in_text import read_fetcher
            from vigimesh.planner import worker as planner

            return planner.stage(cards, {**_limits(parts), "read": read_fetcher}, lane)
        case "retriever", str() if cards:
            from vigimesh.retriever import worker as retriever

            return retriever.stage(parts.lookup(), lane, ages_of(cards))
        case "tool-executor", str() if cards:
            return _tool_executor(lane, parts, cards, health)
        case "supervisor", None if cards:
            from vigimesh.supervisor import worker as supervisor

            return supervisor.stage(cards, _limits(parts))
        case _:
            raise KeyError(f"no stage {stage!r} with lane {lane!r}")


def ages_of(cards: Cards) -> Mapping[str, Ages]:
    """Return how old a stored answer may be for each workflow whose card shortens it."""
    return {
        card.name: Ages(hot=timedelta(hours=asked.hot_age_hours), warm=timedelta(hours=asked.warm_age_hours))
        for card in cards.cards
        if (asked := card.knowledge) is not None
    }


def _tool_executor(lane: str, parts: Parts, cards: Cards, health: Health) -> Stage:
    from vigimesh.app.in_force.own_model import model_or_absent
    from vigimesh.app.in_force.small_model import endpoint_of, pays
    from vigimesh.app.tools.servers import added_tools
    from vigimesh.domain.cascade.small import unlabelled
    from vigimesh.tool_executor.drafting import Drafts
    from vigimesh.tool_executor.execute import Executor
    from vigimesh.tool_executor.scoring import Scoring, score_fetcher
    from vigimesh.tool_executor.worker import stage

    opinions, till, drafts = None, None, Drafts()
    if pays(parts.settings):
        from vigimesh.app.workers.paying import drafts_of, opinions_of, till_of

        till = till_of(parts, lane, health)
        if has_large_model(parts.settings.large_model):
            opinions, drafts = opinions_of(parts.settings, cards), drafts_of(parts.settings, cards)
    tools, calls = added_tools(parts.settings, cards, parts.clock)
    scoring = Scoring(cards=cards, endpoint=endpoint_of(parts.settings))
    verb = Executor(opinions=opinions, scoring=scoring, tools=tools, drafts=drafts)
    return stage(
        parts.objects,
        lane,
        verb,
        score_fetcher(lambda: model_or_absent(parts.settings.small_model), parts.standings or unlabelled),
        till,
        calls,
    )
