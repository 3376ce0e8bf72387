"""Where recalls are ordered on Kafka: one librarian or operator at a time, and their cases read where they lie."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from vigimesh.adapters.kafka.case_places import KafkaCasePlaces
from vigimesh.adapters.kafka.desks.orders import SETTLE_S, write_whole
from vigimesh.adapters.kafka.history import settle
from vigimesh.adapters.kafka.producer import KafkaProducer
from vigimesh.domain.record.rows import Row
from vigimesh.errors import Transient
from vigimesh.events.topics import LANES, lane_topic, topic
from vigimesh.loop.broker import Producer, Write
from vigimesh.ports.recalls import CaseIndex

#: Transactional id of whoever orders recalls: it fences nobody but another who does.
RECALLING = "vigimesh.librarian.recall"
#: Where a case's routes and conclusions lie.
RECALL_TOPICS = (*(lane_topic("plan", lane) for lane in LANES), topic("case.decided"), topic("case.review"))


class KafkaRecallDesk:
    """`ports.recalls.RecallDesk` over Kafka."""

    def __init__(self, base: Mapping[str, Any], index: CaseIndex, producer: Producer | None = None) -> None:
        """Take the settings of every client; nothing is connected yet."""
        self._base = dict(base)
        self.places = KafkaCasePlaces(self._base, index, RECALL_TOPICS)
        self._producer = producer or KafkaProducer(base, RECALLING)

    async def begin(self) -> None:
        """Fence whoever ordered before; see `ports.recalls.RecallDesk`."""
        self._producer.expire()
        await self._producer.renew()
        if not await asyncio.to_thread(settle, self._base, RECALL_TOPICS, within_s=SETTLE_S):
            raise Transient(
                "VM-2901", what=f"a transaction stays open for over {SETTLE_S:g} s, so that nobody knows what was ordered",
                where=RECALL_TOPICS[0], todo="see `vigimesh transactions list`",
            )  # fmt: skip

    async def read(self, cases: Collection[str]) -> Sequence[Row]:
        """Return what was committed of the cases; see `ports.recalls.RecallDesk`."""
        return await asyncio.to_thread(self._rows, frozenset(cases))

    def _rows(self, cases: frozenset[str]) -> list[Row]:
        return list(self.places.read(cases))

    async def write(self, writes: Sequence[Write]) -> None:
        """Write records in one transaction; see `ports.recalls.RecallDesk`."""
        await write_whole(
            self._producer, writes, "nothing: what was written is looked for before it is ordered again"
        )

    async def close(self) -> None:
        """Let go of the connection."""
        await self._producer.close()
