"""The door counts everything it meets, also what it no longer lists."""

from __future__ import annotations

import asyncio

from vigimesh.adapters.memory.broker import MemoryBroker, MemoryProducer
from vigimesh.adapters.memory.objects import MemoryObjects
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.clock import SystemClock
from vigimesh.events.codec import Codec
from vigimesh.events.topics import TOPICS
from vigimesh.intake.values import Refusal, Skipped
from vigimesh.intake.worker import SHOWN, Door


def test_what_is_not_listed_any_more_is_still_counted() -> None:
    clock = SystemClock()
    door = Door(
        producer=MemoryProducer(MemoryBroker([topic.name for topic in TOPICS], clock), "door"),
        codec=Codec(MemorySchemas()), objects=MemoryObjects(), clock=clock, instance="door",
    )  # fmt: skip
    many = SHOWN + 5
    skipped = [Skipped(source=f"{n}.txt", why="text") for n in range(many)]
    refused = [
        Refusal(source=f"{n}.xml", place="", code="VM-1401", what="x", todo="y", source_bytes=b"<")
        for n in range(many)
    ]
    tally = asyncio.run(door.send([*skipped, *refused]))
    assert (tally.skipped_files, len(tally.skipped)) == (many, SHOWN)
    assert (tally.refused, len(tally.refusals), tally.read) == (many, SHOWN, many)
