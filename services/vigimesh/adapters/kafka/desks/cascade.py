"""Where labels are taken in and gates are moved: one at a time, each upon all that was there before."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from vigimesh.adapters.kafka.desks.orders import SETTLE_S, write_whole
from vigimesh.adapters.kafka.history import scan, scan_since, settle
from vigimesh.adapters.kafka.producer import KafkaProducer
from vigimesh.errors import Refused, Transient
from vigimesh.events.classes import AuditRecorded
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import source_of
from vigimesh.events.sampling import CaseLabelled, CasePlace, CaseSampled, GateMoved
from vigimesh.events.topics import topic
from vigimesh.loop.broker import Producer, Write

#: Transactional id of whoever labels or moves a gate: not that of orders, so that neither ends the other's work.
LABELLING = "vigimesh.operator.cascade"
SAMPLE, LABEL, GATE = (topic(f"cascade.{name}") for name in ("sample", "label", "gate"))
AUDIT, OPERATOR = topic("audit"), source_of("operator")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """All that the topics hold: the newest of each case, label and place."""

    samples: tuple[CaseSampled, ...] = ()
    labels: Mapping[str, CaseLabelled] = field(default_factory=dict)
    gates: Mapping[CasePlace, GateMoved] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An audit record of an operator, when it was made and under which key: a place, for what is told of a gate."""

    at: datetime
    key: str
    record: AuditRecorded


#: Makes the records from what is held; nothing when there is nothing to do.
Make = Callable[[Held], Sequence[Write]]


def held_in(codec: Codec, newest: Mapping[tuple[str, str], bytes]) -> Held:
    """Return what the newest values by topic and key hold. Raises `Refused` for bytes that are no such event."""
    values = [(name, value) for (name, _), value in newest.items()]
    labels = [codec.decode(name, value) for name, value in values if name == LABEL]
    gates = [codec.decode(name, value) for name, value in values if name == GATE]
    return Held(
        samples=tuple(codec.decode(name, value) for name, value in values if name == SAMPLE),
        labels={label.case_id: label for label in labels}, gates={gate.place: gate for gate in gates},
    )  # fmt: skip


class CascadeDesk:
    """Labels and moves gates under the one transactional id of all who do."""

    def __init__(self, base: Mapping[str, Any], codec: Codec, producer: Producer | None = None) -> None:
        """Take the settings of every client; nothing is connected yet."""
        self._base, self._codec = dict(base), codec
        self._made = producer

    def held(self) -> Held:
        """Return what the topics hold, as of the call.

        Raises `Transient` VM-2705 when another writer's transaction hides it, VM-1301 when the broker is away, `Misconfigured` VM-1702 without
        a topic.
        """
        names = [SAMPLE, LABEL, GATE]
        if not settle(self._base, names, within_s=SETTLE_S):
            raise Transient("VM-2705", what=f"a transaction stays open for over {SETTLE_S:g} s", where=SAMPLE,
                            todo="see `vigimesh transactions list`, then do it again")  # fmt: skip
        newest: dict[tuple[str, str], bytes] = {}
        for row in scan(self._base, names):
            if row.value is None:
                newest.pop((row.topic, row.key), None)
            else:
                newest[row.topic, row.key] = row.value
        return held_in(self._codec, newest)

    def audits(self, begin: datetime) -> Iterator[Said]:
        """Yield what operators left in the audit since a moment, in no order. Raises as `held` does, but for VM-2705."""
        for row in scan_since(self._base, [AUDIT], begin):
            if row.headers.source != OPERATOR or row.value is None:
                continue
            try:
                record = self._codec.decode(AUDIT, row.value)
            except Refused as error:  # one that nobody can read hides none of the others
                _log.warning(
                    "a record of %s at %s/%d cannot be read: %s", AUDIT, row.partition, row.offset, error.what
                )
                continue
            yield Said(at=row.headers.time, key=row.key, record=record)

    async def give(self, make: Make) -> None:
        """Write what `make` says of all that is held, in one transaction.

        It is read after the producer has fenced every other and ended what it left, so that a gate is never moved upon labels that are not all.
        Raises what `make` and `held` raise, and what writing a transaction does (`orders.OrderDesk.give`).
        """
        producer = self._made or KafkaProducer(self._base, LABELLING)
        try:
            producer.expire()
            await producer.renew()
            writes = make(self.held())
            if writes:
                await write_whole(producer, writes, "give it again: what is there already does no harm")
        finally:
            await producer.close()
