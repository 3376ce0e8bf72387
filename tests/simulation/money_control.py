"""What a controller sees and what its orders reach, over the brokers in memory: lag by the real rule, orders by the real book."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from simulation.chain import FLOW, codec
from simulation.faults import Faults, SimProducer
from simulation.money_cases import PAYS
from simulation.virtual import Process, VirtualClock
from vigimesh.adapters.kafka.orders import OrderBook
from vigimesh.adapters.memory.broker import MemoryBroker
from vigimesh.domain.control.flow import FlowTotals, restored, totalled
from vigimesh.domain.control.lag import PLACES, Glance, LagRow, Stand, lag
from vigimesh.domain.control.measure import Unknown
from vigimesh.errors import Transient
from vigimesh.events.classes import FlowTotalled
from vigimesh.events.envelope import from_headers
from vigimesh.events.topics import topic
from vigimesh.loop.broker import Part, Write
from vigimesh.loop.orders import Order
from vigimesh.loop.progress import holds

THROTTLE, TOTALS = topic("throttle"), topic("flow.totals")
#: The one transactional id of all controllers.
CONTROLLER = "vigimesh.controller"
_SEAT = Part(THROTTLE, 0)
#: Records of one look: more than a run has.
_ALL = 1 << 30


@dataclass
class SimOrders:
    """The orders as one process follows them."""

    control: MemoryBroker
    book: OrderBook = field(default_factory=OrderBook)
    next: int = 0

    def in_force(self, lane: str, now: datetime) -> Sequence[Order]:
        """Read on, and say what holds."""
        records, self.next = self.control.read(_SEAT, self.next, _ALL)
        for record in records:
            self.book.take(codec.decode(THROTTLE, record.value), record.at)
        return self.book.in_force(lane, now)


@dataclass
class SimLag:
    """Where the groups stand and what `flow` counted, as one controller looks; a place without a worker here is empty."""

    broker: MemoryBroker
    control: MemoryBroker
    process: Process
    faults: Faults
    clock: VirtualClock
    #: Stage and lane -> group and topic of the places where work is done.
    places: Mapping[tuple[str, str], tuple[str, str]]
    _totals: FlowTotals | None = None
    _next: dict[int, int] = field(default_factory=dict)

    def look(self, flow_within_s: float) -> tuple[LagRow, ...]:
        """See `background.controller.run.Lag`."""
        flow: FlowTotals | Unknown
        if self.faults.choose(self.process, "lag") == "unknown":
            flow = Unknown(cause="planted")
        else:
            flow = self._read()
        stands = {place: self._stands(place) for place in PLACES}
        return lag(stands, flow, (PAYS,), self.clock.now())

    def totals(self) -> tuple[FlowTotalled, ...]:
        """See `background.controller.run.Lag`."""
        return () if self._totals is None else tuple(totalled(self._totals, self._next))

    def close(self) -> None:
        """There is nothing to close."""

    def _read(self) -> FlowTotals | Unknown:
        if self._totals is None:
            try:
                kept = self.control.newest(TOTALS, (0,))
            except Transient as error:
                return Unknown(cause=error.what)
            self._totals = restored(codec.decode(TOTALS, value) for value in kept.values())
            self._next = {p: self._totals.starts.get(p, 0) for p in range(self.broker.partitions)}
        for partition, at in self._next.items():
            records, self._next[partition] = self.broker.read(Part(FLOW, partition), at, _ALL)
            for record in records:
                self._totals.add(partition, record.offset, codec.decode(FLOW, record.value))
        return self._totals

    def _stands(self, place: tuple[str, str]) -> tuple[Stand, ...]:
        if place not in self.places:
            return (Stand(committed=0),)
        group, name = self.places[place]
        found = []
        for part, position in sorted(self.broker.offsets(group).items()):
            if part.topic != name:
                continue
            records, end = self.broker.read(part, position.offset, _ALL)
            open_ = [record for record in records if not holds(position, record.offset)]
            oldest = {from_headers(r.headers, "").workflow: r.at for r in reversed(open_)}
            glance = Glance(records=len(open_), whole=True, oldest=oldest)
            found.append(Stand(committed=position.offset, end=end, glance=glance))
        return tuple(found)


@dataclass
class Scribe(SimProducer):
    """A controller's producer, of which is known which process wrote what: the topic does not say."""

    wrote: dict[str, str] = field(default_factory=dict)

    def write(self, record: Write) -> None:
        super().write(record)
        if record.topic == THROTTLE:
            self.wrote[from_headers(record.headers, "").id] = self.process.name
