"""Parked events in tests: a clock that a test sets, events to park, and resumers in either world."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from vigimesh.adapters.kafka.member import Protocol
from vigimesh.adapters.kafka.parked_topic import KafkaParkedTopic
from vigimesh.adapters.memory.objects import MemoryObjects
from vigimesh.adapters.memory.parked_topic import MemoryParkedTopic
from vigimesh.background.resumer.emit import PARKED
from vigimesh.background.resumer.run import Resumer, run
from vigimesh.clock import SystemClock
from vigimesh.events.classes import EventParked, Header
from vigimesh.events.envelope import Envelope, Headers, to_headers
from vigimesh.events.topics import topic
from vigimesh.loop.broker import Record, Write
from vigimesh.loop.health import Health
from vigimesh.ports import ParkedTopic
from waiting import WAIT_S, until_async
from worlds import Fault, FaultyProducer, KafkaWorld, MemoryWorld, Silent, World

PLAN = topic("plan.cold")
#: Of `parked`, in either world.
PARTITIONS = 4


@dataclass
class Wall:
    """A time of day that a test sets, over seconds that go on by themselves."""

    at: datetime = datetime(2026, 3, 2, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return time.monotonic()

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Parking:
    """One test's parked events. Keys hold the test's tag, since tests share the topics."""

    world: World
    wall: Wall = field(default_factory=Wall)
    objects: MemoryObjects = field(default_factory=MemoryObjects)
    protocol: Protocol = "consumer"

    @property
    def group(self) -> str:
        return f"{self.world.group}.resumer"

    def event(self, number: int, *, in_s: float = -1.0, **parts: Any) -> EventParked:
        """Return an event that waits until `in_s` seconds from now."""
        tag = self.world.tag
        original = Envelope(
            id=f"{tag}.{number}", source="/test", type="vigimesh.CaseRouted", time=self.wall.at, subject=f"{tag}/{number}",
            messageid=f"{tag}.message.{number}", workflow="triage", lane="cold",
        )  # fmt: skip
        chosen: dict[str, Any] = {
            "event_id": f"{tag}.{number}", "not_before": self.wall.at + timedelta(seconds=in_s), "resume_topic": PLAN,
            "reason": "held", "workflow": "triage", "key": f"{tag}/{number}".encode(),
            "headers": tuple(Header(name=name, value=value) for name, value in to_headers(original)),
            "value": f"{tag} body {number}".encode(),
        }  # fmt: skip
        return EventParked(**(chosen | parts))

    def write(self, event: EventParked) -> Write:
        value = self.world.codec.encode(PARKED, event)
        return Write(topic=PARKED, key=event.event_id.encode(), value=value, headers=own_headers(event))

    def park(self, *events: EventParked, partition: int | None = None) -> None:
        for event in events:
            self.world.append(self.write(event), partition)

    def topic(self) -> ParkedTopic:
        if isinstance(self.world, MemoryWorld):
            self.world.broker.init_group(self.group, (PARKED,))
            return MemoryParkedTopic(self.world.broker, self.group, PARKED)
        assert isinstance(self.world, KafkaWorld)
        return KafkaParkedTopic(self.world.base, self.group, PARKED, self.protocol)

    def resumer(self, *, instance: str = "a", fault: Fault = lambda step: None, **parts: Any) -> Resumer:
        producer = FaultyProducer(self.world.producer(f"{self.group}.{instance}"), fault)
        chosen: dict[str, Any] = {
            "instance": instance, "topic": self.topic(), "producer": producer, "codec": self.world.codec,
            "objects": self.objects, "telemetry": Silent(), "health": Health(SystemClock()), "clock": self.wall,
        }  # fmt: skip
        return Resumer(**(chosen | parts))

    def resumed(self, to: str = PLAN) -> list[str]:
        """Return the bodies that were sent back, as often as they were."""
        return [record.value.decode() for record in self.world.mine(to)]

    def body(self, number: int) -> str:
        return f"{self.world.tag} body {number}"

    def open(self, *ids: str) -> set[str]:
        """Return which events still wait, of these or those whose id has the tag: their newest record is no tombstone."""
        wanted = {one.encode() for one in ids}
        mine = self.world.records(PARKED) if ids else self.world.mine(PARKED)
        newest: dict[bytes, Record] = {r.key: r for r in mine if not ids or r.key in wanted}
        return {key.decode() for key, record in newest.items() if record.value}


def own_headers(event: EventParked) -> Headers:
    """Return the headers of a parked record, as a stage writes them."""
    return to_headers(
        Envelope(id=f"parked.{event.event_id}", source="/test", type="vigimesh.EventParked", time=event.not_before,
                 subject=event.event_id, messageid={h.name: h.value for h in event.headers}.get("ce_messageid", b"").decode(),
                 workflow=event.workflow, lane="cold")
    )  # fmt: skip


async def serve(*resumers: Resumer, until: Callable[[], bool]) -> None:
    """Run resumers until a condition holds or one of them ends; raise what they raise."""
    stop = threading.Event()
    tasks = [asyncio.ensure_future(run(resumer, stop)) for resumer in resumers]
    try:
        await until_async(
            lambda: until() or any(task.done() for task in tasks),
            within_s=WAIT_S,
            what="the test's condition",
        )
    finally:
        stop.set()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for result in ended:
        if isinstance(result, BaseException):
            raise result


def drive(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine."""
    asyncio.run(coroutine)
