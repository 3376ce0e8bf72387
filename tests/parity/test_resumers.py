"""Several resumers: they share the partitions, and one that gets none stands by."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest

from parking import PARTITIONS, Parking, drive, serve
from vigimesh.adapters.kafka.member import Protocol
from vigimesh.background.resumer.run import run
from waiting import WAIT_S, until_async
from worlds import WORLDS, World, world_of

world = pytest.fixture(params=WORLDS)(world_of)


@pytest.fixture
def parking(world: World) -> Parking:
    return Parking(world)


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_two_resumers_share_the_partitions(parking: Parking, protocol: Protocol) -> None:
    parking.protocol = protocol
    parking.park(*(parking.event(n) for n in range(40)))
    one, two = parking.resumer(instance="a"), parking.resumer(instance="b")
    drive(serve(one, two, until=lambda: len(parking.resumed()) >= 40))
    assert Counter(parking.resumed()) == Counter(parking.body(n) for n in range(40))


def test_a_resumer_without_a_partition_stands_by_ready_and_takes_over(parking: Parking) -> None:
    parking.park(*(parking.event(n, in_s=3_600) for n in range(8)))

    async def wait() -> None:
        resumers = [parking.resumer(instance=str(n)) for n in range(PARTITIONS + 1)]
        stops = [threading.Event() for _ in resumers]
        tasks = [asyncio.ensure_future(run(*each)) for each in zip(resumers, stops, strict=True)]

        def idle() -> list[int]:
            return [n for n, one in enumerate(resumers) if one.health.standby]

        def settled() -> bool:
            return len(idle()) == 1 and all(one.health.ready for one in resumers)

        await until_async(settled, within_s=WAIT_S, what="one that stands by, all of them ready")
        (second,) = idle()
        leaves = (second + 1) % len(resumers)
        stops[leaves].set()
        await tasks[leaves]
        await until_async(
            lambda: second not in idle(), within_s=WAIT_S, what="the one that stood by takes over"
        )
        parking.wall.move(3_601)
        await until_async(lambda: len(parking.resumed()) >= 8, within_s=WAIT_S, what="what is due")
        for stop in stops:
            stop.set()
        await asyncio.gather(*tasks)

    drive(wait())
    assert Counter(parking.resumed()) == Counter(parking.body(n) for n in range(8))
