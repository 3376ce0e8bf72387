"""A member that the broker fences though it was never gone, and what is seen of its partitions meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import confluent_kafka as ck

from chaos import wire
from chaos.proxy import Link
from vigimesh.loop.broker import Batch, Leave, Part
from waiting import WAIT_S, until_async
from worlds import KafkaWorld


@dataclass
class Watched:
    """A consumer of which can be told how many polls have begun since its partitions went and `back` holds."""

    inner: Any
    back: Callable[[], bool] = lambda: True
    went: bool = False
    begun: int = 0
    #: Polls that have ended, and partitions that the last one left owned.
    polls: int = 0
    owned: frozenset[Part] = frozenset()
    #: Since when partitions are away, and for how many seconds they were, each time that they came back.
    gone_s: dict[Part, float] = field(default_factory=dict)
    away_s: list[tuple[Part, float]] = field(default_factory=list)

    async def poll(
        self, max_records: int, timeout_s: float, leave: Leave, ending: frozenset[Part] = frozenset()
    ) -> Batch:
        self.begun += self.went and self.back()
        batch: Batch = await self.inner.poll(max_records, timeout_s, leave, ending)
        self.went = self.went or bool(batch.revoked)
        self.polls, self.owned = self.polls + 1, batch.owned
        now_s = time.monotonic()
        for part in batch.revoked:
            self.gone_s.setdefault(part, now_s)
        for part in batch.assigned.keys() & self.gone_s.keys():
            self.away_s.append((part, now_s - self.gone_s.pop(part)))
        return batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Passer:
    """Joins the group for another topic and leaves it: its epoch grows twice, and nobody's partitions move."""

    def __init__(self, world: KafkaWorld) -> None:
        mine = {"group.id": world.group, "group.protocol": "consumer", "group.remote.assignor": "uniform"}
        self._consumer = ck.Consumer({**world.base, **mine, "enable.auto.commit": False})

    def join(self) -> None:
        given = threading.Event()
        self._consumer.subscribe(["vigimesh.throttle"], on_assign=lambda *_: given.set())
        while not given.is_set():
            self._consumer.poll(0.1)

    def leave(self) -> None:
        self._consumer.close()


async def fence(world: KafkaWorld, link: Link) -> None:
    """Have the answers of two epochs lost: what the member behind the link says after them is two epochs old."""
    passer = Passer(world)
    link.deaf = frozenset({wire.HEARTBEAT})
    for step in (passer.join, passer.leave):
        await asyncio.to_thread(step)
        enough = link.unheard + 2
        await until_async(partial(_unheard, link, enough), within_s=WAIT_S, what="an answer that got lost")
    link.deaf = frozenset()


def _unheard(link: Link, enough: int) -> bool:
    return link.unheard >= enough
