"""A topic of parked events that is too long to hold: what the resumer keeps of each, and that what is due comes back from it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from parking import Parking, drive, serve
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.background.resumer.emit import PARKED
from vigimesh.background.resumer.run import Resumer
from vigimesh.events.codec import Codec
from vigimesh.loop.broker import Batch, Part, Record
from vigimesh.ports import ParkedTopic, Spot
from worlds import MemoryWorld

EVENTS, BODY_BYTES = 20_000, 4_096
#: One in so many is due at once, the others in a week.
DUE_EACH = 2_000
#: Bytes kept of an event that waits: 146 measured (docs/decisions/0019), and what a dictionary has beyond when it has just grown.
KEPT_BYTES = 300
BODY = b"x" * BODY_BYTES
WEEK_S = 7 * 86_400.0
LONG = Part(PARKED, 0)


class LongTopic:
    """A partition with `EVENTS` records, each made when it is read; group and other partitions are the broker's in memory."""

    def __init__(self, parking: Parking) -> None:
        self._parking = parking
        self._group: ParkedTopic = parking.topic()
        self._next = 0
        # Most events are one, under keys of their own: making each would take most of the test's time.
        self._later = parking.write(parking.event(-1, in_s=WEEK_S, value=BODY)).value or b""

    async def poll(self, max_records: int, timeout_s: float) -> Batch:
        batch = await self._group.poll(max_records, 0.0 if self._next < EVENTS else timeout_s)
        first, self._next = self._next, min(self._next + max_records, EVENTS)
        return replace(batch, records=tuple(map(self._record, range(first, self._next))), ends={})

    async def ends(self, parts: Sequence[Part]) -> Mapping[Part, int]:
        return {**await self._group.ends(parts), **({LONG: EVENTS} if LONG in parts else {})}

    async def fetch(self, spots: Sequence[Spot], max_bytes: int) -> Mapping[Spot, Record | None]:
        return {spot: self._record(spot.offset) for spot in spots}

    async def topics(self) -> frozenset[str]:
        return await self._group.topics()

    async def close(self) -> None:
        await self._group.close()

    def _record(self, offset: int) -> Record:
        parking = self._parking
        key, value = (
            f"{offset}".encode(),
            bytes(bytearray(self._later)),
        )  # bytes of its own, as if they came from a broker
        if offset % DUE_EACH == 0:
            write = parking.write(parking.event(offset, value=f"{offset} ".encode() + BODY))
            key, value = write.key, write.value or b""
        return Record(part=LONG, offset=offset, key=key, value=value, headers=[], at=parking.wall.at)


def test_twenty_thousand_parked_events_cost_a_fraction_of_their_bodies_and_those_due_come_back() -> None:
    parking = Parking(MemoryWorld(Codec(MemorySchemas())))
    resumer: Resumer = parking.resumer(topic=LongTopic(parking))
    due = {f"{offset} " for offset in range(0, EVENTS, DUE_EACH)}
    kept = 0

    def back() -> bool:
        nonlocal kept
        kept = tracemalloc.get_traced_memory()[0]
        return len(parking.resumed()) >= len(due)

    tracemalloc.start()
    try:
        drive(serve(resumer, until=back))
    finally:
        tracemalloc.stop()
    assert sorted(body[: body.index("x")] for body in parking.resumed()) == sorted(due)
    assert kept / EVENTS < KEPT_BYTES < BODY_BYTES / 10
