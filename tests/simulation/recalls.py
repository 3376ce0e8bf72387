"""Recalls drawn among the events of a run: what has ended comes again with its cause, and ends once for each cause."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import TYPE_CHECKING

from simulation.chain import FIRST, LAST, Load, codec, todo_of
from vigimesh.adapters.memory.broker import MemoryBroker
from vigimesh.background.librarian.recall_orders import order_id
from vigimesh.events.classes import CaseRouted
from vigimesh.events.envelope import Envelope, from_headers, to_headers
from vigimesh.events.knowledge import Recall
from vigimesh.loop.broker import Write

if TYPE_CHECKING:
    from simulation.world import World

#: Changes of advice in a run, and versions of cases that one of them touches at most.
CHANGES, TOUCHED = 4, 25
LABEL = "product/zelora"
#: Seconds by which a change is put off.
AGAIN_S = 2.0


@dataclass
class Recalls:
    """The librarian of a run, outside of its processes: it orders upon what is committed, as the real one does."""

    rng: Random
    broker: MemoryBroker
    #: What was ordered, as messages of their own: each is to end once.
    ordered: list[Load] = field(default_factory=list)

    def begin(self, world: World) -> None:
        """Let advice change at a few moments of a run in which it does; one at which nothing has ended yet is put off."""
        for _ in range(self.rng.randrange(1, CHANGES + 1) if world.recalled else 0):
            at_s = (0.4 + 0.6 * self.rng.random()) * world.faults_s
            world.loop.call_at(at_s, self._change, world, context=world.outside)

    def _change(self, world: World) -> None:
        if not world.recalled:
            return  # all is settled, and the run is about to end
        count = self.order(world.clock.now(), world.loop.time())
        world.figures["recalled"] += count
        if not count:
            world.loop.call_later(AGAIN_S, self._change, world, context=world.outside)

    def order(self, now: datetime, now_s: float) -> int:
        """Order some of what has ended by now to be looked at again, for a change that comes with this call; return how many."""
        number = len({load.cause for load in self.ordered})
        ended = [
            one for one in self.broker.committed_records(LAST) if not from_headers(one.headers, "").cause
        ]
        chosen = self.rng.sample(ended, min(len(ended), self.rng.randrange(1, TOUCHED)))
        for record in chosen:
            event: CaseRouted = codec.decode(LAST, record.value)
            recall = Recall(
                document_id=LABEL, version=f"{number + 2}.0", superseded=f"{number + 1}.0", earlier="auto_accepted",
                grade=1, serious="no", known_at=now, ordered_at=now,
            )  # fmt: skip
            # As of now, so that what parks for a while parks again, and its cause goes through the resumer.
            route = dataclasses.replace(event.route, recall=recall, received_at=now)
            place, todo = todo_of(event.case.narrative)
            load = Load(at_s=now_s, key=event.case.case_id, number=place, todo=todo, cause=recall.cause)
            envelope = Envelope(
                id=order_id(load.message_id, load.cause), source="/vigimesh/librarian", type="vigimesh.CaseRouted", time=now,
                subject=load.key, messageid=load.message_id, workflow="triage", lane="hot", cause=load.cause,
            )  # fmt: skip
            value = codec.encode(FIRST, dataclasses.replace(event, route=route))
            self.broker.append(Write(topic=FIRST, key=record.key, value=value, headers=to_headers(envelope)))
            self.ordered.append(load)
        return len(chosen)

    def ids(self) -> list[str]:
        """Return the event ids of the orders: no stage's audit names them."""
        return [order_id(load.message_id, load.cause) for load in self.ordered]

    def wrong(self) -> Iterator[str]:
        """Look whether what ended for a recall says so in its event as in its header, and is one that was ordered."""
        known = {load.unit for load in self.ordered}
        for record in self.broker.committed_records(LAST):
            headers, event = from_headers(record.headers, ""), codec.decode(LAST, record.value)
            if event.route.cause != headers.cause:
                yield f"recalled for {event.route.cause!r}, its header says {headers.cause!r}: {headers.messageid}"
            if headers.cause and f"{headers.messageid} {headers.cause}" not in known:
                yield f"recalled though nobody ordered it: {headers.messageid} {headers.cause}"
