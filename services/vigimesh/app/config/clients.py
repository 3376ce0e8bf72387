"""How a process of these settings reaches Kafka and the schema registry."""

from __future__ import annotations

from typing import Any

from vigimesh.adapters.kafka.client import common
from vigimesh.adapters.kafka.registry_reader import RegistryReader
from vigimesh.app.config.settings import Settings
from vigimesh.events.codec import Codec


def kafka_of(settings: Settings) -> dict[str, Any]:
    """Return the settings of a worker's Kafka clients."""
    return common(settings.kafka.bootstrap, dict(settings.kafka.options))


def quiet_kafka_of(settings: Settings) -> dict[str, Any]:
    """Return the settings of the clients of a command, which says itself, in one line, when the broker is away."""
    return {**kafka_of(settings), "log_level": 0}


def codec_of(settings: Settings) -> Codec:
    """Return a codec that looks schemas up; nothing is connected yet."""
    registry = settings.registry
    return Codec(RegistryReader(registry.url, user=registry.user, password=registry.password))


def registry_options(settings: Settings) -> dict[str, str]:
    """Return the settings of the registry client."""
    options = {"url": settings.registry.url}
    if settings.registry.user:
        options["basic.auth.user.info"] = f"{settings.registry.user}:{settings.registry.password}"
    return options
