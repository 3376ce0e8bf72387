"""`vigimesh doctor`: looks a cluster and its services over before a mesh runs on them, and says what to change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from vigimesh.app.exits import NOT_HELD
from vigimesh.app.options import AsJson, Data, print_json
from vigimesh.errors import VigimeshError

if TYPE_CHECKING:
    from vigimesh.app.config.settings import Settings
    from vigimesh.app.operators.doctor_rules import Finding

app = typer.Typer(name="doctor")

#: Seconds in which the cluster must have answered what is asked about its topics.
ANSWER_S = 30.0
#: Seconds for one question to Valkey or Redis.
REDIS_S = 5.0
#: Oldest server whose commands the Lua scripts use (Valkey tells this number for Redis' sake).
REDIS_VERSION = (6, 2)
#: Differences from the topics table that a line names.
SHOWN = 5


@app.command()
def doctor(
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Look a cluster over: broker, topics, groups, registry, database, cache, objects, clock.

    Says of each what was found, what is wanted and what to do. Exit status 1 when anything is not as it should be.
    """
    from vigimesh.app.config.located import settings_for

    settings = settings_for(data, "kafka.bootstrap")
    found = examine(settings)
    counts = Counter(one.state for one in found)
    if as_json:
        body = {"ok": counts["ok"] == len(found), "checks": [asdict(one) for one in found]}
        print_json(body)
    else:
        for one in found:
            typer.echo(
                f"{one.state:4}  {one.name}: {one.found}" + (f"; wanted {one.wanted}" if one.todo else "")
            )
            if one.todo:
                typer.echo(f"      do: {one.todo}")
        typer.echo(f"{counts['ok']} ok, {counts['warn']} warnings, {counts['fail']} failures")
    if counts["ok"] != len(found):
        raise typer.Exit(NOT_HELD)


def examine(settings: Settings) -> list[Finding]:
    """Return every finding about the cluster and the services of the settings; what is away is a finding too."""
    return [
        *_kafka(settings),
        *_registry(settings),
        _postgres(settings),
        _redis(settings),
        _objects(settings),
        *_large_model(settings),
        *_small_model(settings),
        *_currencies(settings),
    ]


def _kafka(settings: Settings) -> list[Finding]:
    from vigimesh.adapters.kafka.cluster.facts import look
    from vigimesh.adapters.kafka.cluster.topics import Shape, check
    from vigimesh.app.config.clients import quiet_kafka_of
    from vigimesh.app.operators.doctor_rules import Finding, findings
    from vigimesh.clock import Deadline, SystemClock

    base = quiet_kafka_of(settings)
    clock = SystemClock()
    wanted = "a broker that answers"
    try:
        facts = look(base, clock)
    except VigimeshError as error:
        return [_failed("kafka", wanted, error)]
    answers = Finding(name="kafka", state="ok", found=f"{len(facts.brokers)} brokers answer", wanted=wanted)

    def table() -> str:
        shape = Shape(partitions=settings.mesh.partitions, replication=settings.mesh.replication)
        lines = [str(line) for line in check(base, shape, Deadline.after(clock, ANSWER_S)).drift]
        more = f" and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
        if lines:
            raise _Wrong(
                "; ".join(lines[:SHOWN]) + more,
                "VM-1007: see `vigimesh topics check`, then `vigimesh topics apply`",
            )
        return f"{len(facts.topics)} topics and all groups"

    return [
        answers,
        *findings(facts, clock.now(), settings.worker.protocol),
        _checked("topics and groups", "as the topics table says", table),
    ]


def _registry(settings: Settings) -> list[Finding]:
    from vigimesh.adapters.kafka.registry import RegistrySchemas
    from vigimesh.app.config.clients import registry_options

    def schemas() -> str:
        settings.require("registry.url")
        standings = RegistrySchemas(registry_options(settings)).check_all()
        wrong = [
            f"{one.subject} {one.state} {one.detail}".rstrip()
            for one in standings
            if one.state != "registered"
        ]
        if wrong:
            more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
            raise _Wrong(
                "; ".join(wrong[:SHOWN]) + more,
                "VM-1009: `vigimesh schemas register`, then `vigimesh schemas check`",
            )
        return f"{len(standings)} subjects, FULL_TRANSITIVE"

    return [
        _checked("schema registry", "every schema of this version, compatibility FULL_TRANSITIVE", schemas)
    ]


def _postgres(settings: Settings) -> Finding:
    def migrated() -> str:
        from vigimesh.adapters.postgres.schema import standing

        settings.require("postgres.dsn")
        state = standing(settings.postgres.dsn)
        if state.missing:
            steps = ", ".join(state.missing)
            raise _Wrong(f"PostgreSQL {state.version}, without migration {steps}", "`vigimesh prepare`")
        return f"PostgreSQL {state.version}, {state.applied} migrations"

    return _checked("postgresql", "answers, migrated by this version", migrated)


def _redis(settings: Settings) -> Finding:
    def answers() -> str:
        import redis

        if not settings.redis.url:
            if settings.large_model.base_url or settings.small_model.base_url:
                settings.require("redis.url")  # the budget: who pays does not start without it
            return "not set; without a model that is paid for it only keeps answers"
        client = redis.Redis.from_url(
            settings.redis.url, socket_timeout=REDIS_S, socket_connect_timeout=REDIS_S
        )
        try:
            told = client.info("server")
        except redis.RedisError as error:
            raise _Wrong(
                f"does not answer: {type(error).__name__}", "check the address and that it is up"
            ) from error
        finally:
            client.close()
        version = str(told.get("redis_version", "0"))
        parts = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if parts < REDIS_VERSION:
            raise _Wrong(f"speaks Redis {version}", "install Valkey, or Redis 6.2 or later")
        return f"answers, speaks Redis {version}"

    return _checked("valkey or redis", "answers, Redis 6.2 or later", answers)


def _objects(settings: Settings) -> Finding:
    def writable() -> str:
        from vigimesh.adapters.objects.store import ObjectStore

        settings.require("objects.url")
        ObjectStore(settings.objects.url).probe()
        return "an object was written and read back"

    return _checked("object store", "can be written and read", writable)


def _large_model(settings: Settings) -> list[Finding]:
    """Look at the settings of the large model, if there is one; the endpoint itself is not asked: a question costs money."""
    from vigimesh.app.in_force.large_model import assumed_of, check_large_model
    from vigimesh.clock import SystemClock

    model, clock = settings.large_model, SystemClock()

    def priced() -> str:
        check_large_model(model, clock)
        return assumed_of(model, clock.now()) or f"{model.name}, priced by a book"

    there = model.base_url or model.name
    return [_checked("large model", "an endpoint, a model and its price", priced)] if there else []


def _small_model(settings: Settings) -> list[Finding]:
    """Look at the settings of an endpoint in the small tier's place, if there is one; it is not asked."""
    from vigimesh.app.in_force.small_model import check_models
    from vigimesh.clock import SystemClock

    small = settings.small_model

    def priced() -> str:
        check_models(settings, SystemClock())
        return f"{small.name}, which settles nothing until its gate is opened (vigimesh cascade status)"

    there = small.base_url or small.name
    return [_checked("small model", "an endpoint, a model and its price", priced)] if there else []


def _currencies(settings: Settings) -> list[Finding]:
    """Compare the cards' currencies with those of the prices, if a model is paid for."""
    from vigimesh.app.in_force.cards import cards_of
    from vigimesh.app.in_force.small_model import check_currencies
    from vigimesh.clock import SystemClock

    def alike() -> str:
        cards = cards_of(settings)
        check_currencies(settings, cards.cards, SystemClock().now())
        return f"{cards.origin}: {', '.join(sorted({card.budget.currency for card in cards.cards}))}"

    there = settings.large_model.base_url or settings.small_model.base_url
    return (
        [_checked("currencies", "each card's budget in that of the prices of its models", alike)]
        if there
        else []
    )


class _Wrong(Exception):
    """What was found is not as it should be."""

    def __init__(self, found: str, todo: str) -> None:
        """Keep the two apart."""
        self.found, self.todo = found, todo
        super().__init__(found)


def _checked(name: str, wanted: str, look: Callable[[], str]) -> Finding:
    """Return the finding of a look at one part; its errors are findings."""
    from vigimesh.app.operators.doctor_rules import Finding

    try:
        return Finding(name=name, state="ok", found=look(), wanted=wanted)
    except _Wrong as wrong:
        return Finding(name=name, state="fail", found=wrong.found, wanted=wanted, todo=wrong.todo)
    except VigimeshError as error:
        return _failed(name, wanted, error)


def _failed(name: str, wanted: str, error: VigimeshError) -> Finding:
    from vigimesh.app.operators.doctor_rules import Finding

    todo = error.todo or f"vigimesh explain {error.code}"
    return Finding(name=name, state="fail", found=f"{error.code} {error.what}", wanted=wanted, todo=todo)
