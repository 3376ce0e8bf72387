"""The door writes a chunk again when its transaction failed, and stops when another door has its name."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from clocks import Hand
from vigimesh.adapters.memory.broker import MemoryBroker, MemoryProducer
from vigimesh.adapters.memory.objects import MemoryObjects
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.errors import Fenced, Transient
from vigimesh.events.codec import Codec
from vigimesh.intake.worker import TRIES, Door
from vigimesh.loop.broker import TRANSACTION_S, InDoubt, Write

TOPIC = "in"
RECORD = Write(topic=TOPIC, key=b"k", value=b"v")


@dataclass
class Setting:
    """A door on a broker to which something happens just before each commit, in turn."""

    clock: Hand = field(default_factory=Hand)
    happens: list[object] = field(default_factory=list)
    tries: int = 0

    def __post_init__(self) -> None:
        self.broker = MemoryBroker([TOPIC], self.clock)
        self.broker.hook = self.hook
        self.door = Door(
            producer=MemoryProducer(self.broker, "door"), codec=Codec(MemorySchemas()), objects=MemoryObjects(),
            clock=self.clock, instance="door",
        )  # fmt: skip

    def hook(self, step: str) -> None:
        if step == "commit.before":
            self.tries += 1
            event = self.happens.pop(0) if self.happens else None
            if isinstance(event, Exception):
                raise event
            if event == "away":
                self.clock.at_s += TRANSACTION_S
            elif event == "other":
                self.broker.init_producer("door")

    def write(self) -> int:
        """Write one record; return how many a reader of committed ones finds."""
        asyncio.run(self.door.write([RECORD]))
        return len(self.broker.committed_records(TOPIC))


@pytest.mark.parametrize(
    "event", [Transient("VM-1301", what="planted"), InDoubt("VM-1302", what="planted"), "away"]
)
def test_a_chunk_is_written_again_when_its_transaction_failed(event: object) -> None:
    setting = Setting(happens=[event])
    assert setting.write() == 1
    assert setting.tries == 2


def test_a_door_whose_name_another_has_taken_stops_at_once() -> None:
    setting = Setting(happens=["other"])
    with pytest.raises(Fenced, match="VM-1303"):
        setting.write()
    assert setting.tries == 1


@pytest.mark.parametrize("event", [Transient("VM-1301", what="planted"), "away"])
def test_a_broker_that_stays_away_ends_the_door_after_its_tries(event: object) -> None:
    setting = Setting(happens=[event] * TRIES)
    with pytest.raises((Transient, Fenced)):
        setting.write()
    assert setting.tries == TRIES
