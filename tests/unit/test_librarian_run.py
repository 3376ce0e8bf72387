"""The librarian's loop: trouble of one duty holds up no other; what is announced, once it is known, and again after a doubt."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from libraries import note
from vigimesh import names
from vigimesh.adapters.memory.library import MemoryLibrary
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.adapters.memory.telemetry import MemoryTelemetry
from vigimesh.background.librarian.announce import Announce
from vigimesh.background.librarian.run import BACKOFF_S, MAX_BACKOFF_S, Librarian, run
from vigimesh.clock import SystemClock
from vigimesh.errors import Broken, Misconfigured, Refused, Transient, VigimeshError
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic
from vigimesh.loop.broker import Write
from vigimesh.loop.health import Health


@dataclass
class Chore:
    """A duty that does what the test says at each step."""

    name: str
    act: Callable[[int], int]
    every_s: float = 5.0
    steps: int = 0

    async def step(self) -> int:
        self.steps += 1
        return self.act(self.steps)


@dataclass
class Pauses:
    """Waits no time, and ends the loop when `enough` says so."""

    stop: threading.Event
    enough: Callable[[], bool]
    asked_s: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.asked_s.append(seconds)
        if self.enough():
            self.stop.set()
        await asyncio.sleep(0)


def serve(*duties: Chore, enough: Callable[[], bool]) -> tuple[Librarian, Pauses]:
    stop = threading.Event()
    pauses = Pauses(stop, enough)
    librarian = Librarian(
        duties=duties, telemetry=MemoryTelemetry(), health=Health(SystemClock()), pause=pauses
    )
    asyncio.run(run(librarian, stop))
    return librarian, pauses


def failing(error: VigimeshError) -> Callable[[int], int]:
    def act(_: int) -> int:
        raise error

    return act


@pytest.mark.parametrize(
    "error",
    [
        Transient("VM-1501", what="away"),
        Refused("VM-2502", what="no folder"),
        Misconfigured("VM-1506", what="no right"),
    ],
)
def test_trouble_of_one_duty_holds_up_no_other(error: VigimeshError) -> None:
    bad, good = Chore("bad", failing(error)), Chore("good", lambda _: 2)
    librarian, pauses = serve(bad, good, enough=lambda: bad.steps > 8)
    assert good.steps > 5
    telemetry = librarian.telemetry
    assert isinstance(telemetry, MemoryTelemetry)
    assert telemetry.total(names.DUTY_DONE, duty="good") >= 2 * (good.steps - 1)
    assert telemetry.total(names.DUTY_FAILED, duty="bad", code=error.code) >= 8
    waits = [seconds for seconds in pauses.asked_s if seconds not in (0.2, 5.0)]
    assert waits[:8] == [min(BACKOFF_S * 2**number, MAX_BACKOFF_S) for number in range(8)]
    assert error.code in librarian.health.trouble
    assert not librarian.health.ready


def test_a_duty_that_works_again_is_ready_and_its_next_failure_waits_shortly() -> None:
    ready: list[bool] = []

    def act(step: int) -> int:
        if step in (1, 2, 4):
            raise Transient("VM-1501", what="away")
        return 1

    chore = Chore("one", act)

    def enough() -> bool:
        ready.append(librarian.health.ready)
        return chore.steps > 5

    stop = threading.Event()
    pauses = Pauses(stop, enough)
    librarian = Librarian(
        duties=[chore], telemetry=MemoryTelemetry(), health=Health(SystemClock()), pause=pauses
    )
    asyncio.run(run(librarian, stop))
    assert [seconds for seconds in pauses.asked_s if seconds != 0.2][:5] == [1.0, 2.0, 5.0, 1.0, 5.0]
    assert True in ready
    assert librarian.troubles == {}


@pytest.mark.parametrize("error", [Broken("VM-1305", what="gone"), ValueError("a defect")])
def test_what_is_no_trouble_ends_the_process(error: Exception) -> None:
    def act(_: int) -> int:
        raise error

    with pytest.raises(type(error)):
        serve(Chore("bad", act), Chore("good", lambda _: 0), enough=lambda: False)


@dataclass
class Desk:
    """Keeps what is written; fails while `away`, before or after the records are there."""

    written: list[Write] = field(default_factory=list)
    away: str = ""

    async def write(self, writes: Sequence[Write]) -> None:
        if self.away != "before":
            self.written += writes
        if self.away:
            raise Transient("VM-1301", what="away")


def announcing() -> tuple[Announce, MemoryLibrary, Desk]:
    library, desk = MemoryLibrary(), Desk()
    return (
        Announce(library=library, desk=desk, codec=Codec(MemorySchemas()), clock=SystemClock()),
        library,
        desk,
    )


def told(desk: Desk, codec: Codec, name: str) -> list[object]:
    return [
        codec.decode(topic(name), write.value or b"") for write in desk.written if write.topic == topic(name)
    ]


def test_what_changed_is_announced_with_its_record_and_once() -> None:
    duty, library, desk = announcing()
    library.ingest([note("1.0")], by="Ada")
    library.ingest([note("2.0")], by="Bob")
    library.withdraw("product/zelora", by="Eve", reason="of another product")
    wanted = list(library.unannounced(9))
    assert asyncio.run(duty.step()) == 3
    assert asyncio.run(duty.step()) == 0
    assert told(desk, duty.codec, "knowledge.changed") == wanted
    audits = [(a.actor, a.action, a.why, a.earlier, a.new) for a in told(desk, duty.codec, "audit")]  # type: ignore[attr-defined]
    assert audits == [
        ("Ada", "ingested", "a document came", "", "product/zelora@1.0"),
        ("Bob", "ingested", "a document came", "product/zelora@1.0", "product/zelora@2.0"),
        ("Eve", "withdrawn", "of another product", "product/zelora@2.0", "withdrawn"),
    ]
    assert {write.key for write in desk.written} == {b"product/zelora"}


@pytest.mark.parametrize("away", ["before", "after"])
def test_after_a_doubt_it_is_announced_again_under_the_same_ids(away: str) -> None:
    duty, library, desk = announcing()
    library.ingest([note("1.0")], by="Ada")
    desk.away = away
    with pytest.raises(Transient):
        asyncio.run(duty.step())
    assert len(library.unannounced(9)) == 1
    desk.away = ""
    assert asyncio.run(duty.step()) == 1
    ids = [dict(write.headers)["ce_id"] for write in desk.written]
    assert len(set(ids)) == 2
    assert len(ids) == (2 if away == "before" else 4)


def test_more_than_one_transaction_holds_is_announced_in_one_step() -> None:
    duty, library, desk = announcing()
    library.ingest([note(name=f"product/p{n}", title=f"P{n}") for n in range(250)], by="Ada")
    assert asyncio.run(duty.step()) == 250
    assert len(desk.written) == 500
