"""Labels and gates in memory: the twin of `kafka/desks/cascade`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from vigimesh.adapters.kafka.desks.cascade import AUDIT, OPERATOR, Held, Make, Said, held_in
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import from_headers
from vigimesh.loop.broker import Write


class MemoryCascade:
    """Keeps every record, in order, and the newest of each topic and key."""

    def __init__(self, codec: Codec) -> None:
        """Begin empty."""
        self._codec = codec
        self.writes: list[Write] = []

    def put(self, writes: Iterable[Write]) -> None:
        """Add records, as a worker would."""
        self.writes.extend(writes)

    def held(self) -> Held:
        """See `CascadeDesk.held`."""
        newest = {(one.topic, one.key.decode()): one.value for one in self.writes if one.value is not None}
        return held_in(
            self._codec, {named: value for named, value in newest.items() if ".cascade." in named[0]}
        )

    def audits(self, begin: datetime) -> Iterator[Said]:
        """See `CascadeDesk.audits`."""
        for one in self.writes:
            head = from_headers(one.headers, "")
            if (
                one.topic == AUDIT
                and one.value is not None
                and head.source == OPERATOR
                and head.time >= begin
            ):
                yield Said(at=head.time, key=one.key.decode(), record=self._codec.decode(AUDIT, one.value))

    async def give(self, make: Make) -> None:
        """See `CascadeDesk.give`."""
        self.writes.extend(make(self.held()))
