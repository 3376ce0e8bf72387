"""`vigimesh resumer`: sends parked events back when they are due, in the foreground, what a container runs."""

from __future__ import annotations

import asyncio
import threading
from typing import NoReturn

from vigimesh.adapters.kafka.orders import OrderReader
from vigimesh.adapters.kafka.parked_topic import KafkaParkedTopic
from vigimesh.adapters.kafka.producer import KafkaProducer
from vigimesh.adapters.objects.store import ObjectStore
from vigimesh.adapters.telemetry.otel import OtelTelemetry
from vigimesh.app.config.clients import codec_of, kafka_of
from vigimesh.app.config.settings import Settings
from vigimesh.app.workers.worker import Loop, leave, rest_collector, serve_loops
from vigimesh.background.resumer.emit import PARKED, STAGE
from vigimesh.background.resumer.run import Resumer, run
from vigimesh.clock import SystemClock
from vigimesh.events.topics import PREFIX
from vigimesh.loop.health import Health
from vigimesh.loop.orders import Pauses

#: The group of all resumers; with the instance behind it, the transactional id of one.
RESUMER_ID = f"{PREFIX}{STAGE}"


def serve_resumer(settings: Settings) -> NoReturn:
    """Resume until SIGTERM or SIGINT, and end the process: with 1 when it could not go on.

    Raises `Misconfigured` when a setting is wrong, `OSError` when the health port is taken.
    """
    rest_collector()
    base = kafka_of(settings)
    # A codec of its own: it decodes in a thread of its own.
    orders = OrderReader(base, codec_of(settings), SystemClock()).start()
    resumer = resumer_of(settings, orders)

    def work(stop: threading.Event) -> None:
        asyncio.run(run(resumer, stop))

    loop = Loop(name=RESUMER_ID, work=work, health=resumer.health)
    status = serve_loops((loop,), resumer.telemetry, settings.worker)
    orders.close()
    leave(status)


def resumer_of(settings: Settings, pauses: Pauses) -> Resumer:
    """Return the resumer, joined to Kafka. Raises what the settings raise: `Misconfigured`."""
    clock = SystemClock()
    base = kafka_of(settings)
    instance = settings.worker.instance
    return Resumer(
        instance=instance,
        topic=KafkaParkedTopic(base, RESUMER_ID, PARKED, settings.worker.protocol),
        producer=KafkaProducer(base, f"{RESUMER_ID}.{instance}.a"),
        codec=codec_of(settings),
        objects=ObjectStore(settings.objects.url),
        telemetry=OtelTelemetry(STAGE, instance=instance),
        health=Health(clock),
        clock=clock,
        pauses=pauses,
    )
