"""One worker of the mesh in a process of its own, as `vigimesh worker` runs it, over the stack a benchmark brings up.

The stages are the mesh's own with search and objects in memory, or `sample.py`'s. Telemetry is the real one.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from dataclasses import replace

import chain
import sample
from vigimesh.adapters.memory.objects import MemoryObjects
from vigimesh.adapters.telemetry.otel import OtelTelemetry
from vigimesh.app.config.settings import KafkaSettings, Settings, WorkerSettings
from vigimesh.app.workers.parts import Parts
from vigimesh.app.workers.wiring import worker_of
from vigimesh.app.workers.worker import rest_collector
from vigimesh.clock import SystemClock
from vigimesh.events.codec import Codec
from vigimesh.events.topics import LANE_STAGES
from vigimesh.loop.outcome import Need
from vigimesh.loop.run import run
from vigimesh.loop.stage import Caller, Stage
from vigimesh.loop.worker import Worker

#: Calls under way at once.
CONCURRENCY = 100


def worker(kafka: str, ids: sample.FixedSchemas, stage: str, lane: str | None) -> Worker:
    """Return a worker joined to Kafka, everything else in memory."""
    settings = replace(
        Settings(), kafka=KafkaSettings(bootstrap=kafka), worker=WorkerSettings(instance="bench")
    )
    lookup = chain.lookup()
    parts = Parts(
        settings=settings, cards=chain.cards(), codec=Codec(ids), objects=MemoryObjects(), lookup=lambda: lookup,
        telemetry=OtelTelemetry(stage, instance="bench"), clock=SystemClock(),
    )  # fmt: skip
    return worker_of(stage, lane if stage in LANE_STAGES else None, parts)


def sample_stage(call_ms: float, slow_ms: float) -> Stage:
    """Return the sample stage; with `call_ms` each record waits for a call of its own, as for a model."""

    def caller(wait_ms: float) -> Caller:
        async def call(need: Need) -> None:
            await asyncio.sleep(wait_ms / 1_000)

        return call

    callers = {sample.CALL: caller(call_ms), sample.SLOW: caller(slow_ms)} if call_ms else {}
    verb = sample.Verb(calls=bool(call_ms))
    return Stage(name=sample.STAGE, lane=sample.LANE, verb=verb, callers=callers, concurrency=CONCURRENCY)


def main() -> None:
    """Work until SIGTERM, then finish what is in hand."""
    asked = chain.asked(__doc__)
    rest_collector()
    lane = sample.LANE if asked.verbs == "sample" else asked.lane
    made = worker(asked.kafka, sample.FixedSchemas(asked.ids), asked.stage, lane)
    if asked.verbs == "sample":
        made = replace(made, stage=sample_stage(asked.call_ms, asked.slow_ms or asked.call_ms))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    asyncio.run(run(made, stop))


if __name__ == "__main__":
    main()
