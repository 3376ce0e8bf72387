"""Advice recall: the duty that orders what rests on changed advice to be looked at again, and the list of what does.

Nothing is lost or doubled wherever this is stopped: an order and its audit record are one transaction; what the topics hold is read
after every earlier writer was fenced, and only what they do not hold is written; what was done is remembered afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from vigimesh.background.librarian.recall_orders import (
    Making,
    Ordered,
    Standing,
    flow,
    ordered,
    recall_of,
    results,
    standings,
    verdict,
)
from vigimesh.clock import Clock
from vigimesh.domain.knowledge.chunks import version_ordinal
from vigimesh.domain.knowledge.recalling import Change, Use, changes, lane_for
from vigimesh.errors import Fenced, Transient
from vigimesh.events.codec import Codec
from vigimesh.ports.recalls import START, CasePlaces, Mark, Place, RecallDesk, Recalls

#: Versions of cases looked at together; with its case each holds some 10 kB.
PAGE = 2_000
#: Orders of one transaction: as many as a worker takes in one batch (`loop.worker.MAX_BATCH`).
BATCH = 500
#: Seconds between two looks at the index, which asks the database only; telemetry that is late is found by a later one.
EVERY_S = 10.0
#: Seconds before what waits for its conclusion is looked for again, doubled up to the most.
AGAIN_S, LONGEST_S = 10.0, 3_600.0
#: Uses remembered as waiting; beyond, all are looked for again.
MAX_WAITING = 100_000


@dataclass(slots=True, kw_only=True)
class Looked:
    """One use with what the topics say of it."""

    use: Use
    change: Change
    standing: Standing | None


@dataclass(slots=True, kw_only=True)
class Recaller:
    """Finds and orders recalls. `actor` is who, for the auditor: an instance, or a person's id."""

    recalls: Recalls
    desk: RecallDesk
    codec: Codec
    clock: Clock
    actor: str
    name: str = field(default="recall", init=False)
    every_s: float = field(default=EVERY_S, init=False)
    _after: Place = field(default=START, init=False)
    #: Case, message and document -> when it is looked for again (monotonic), and how long it waited.
    _waiting: dict[Place, tuple[float, float]] = field(default_factory=dict, init=False)

    async def step(self) -> int:
        """Order what is to be looked at again, at most a page of it, and return how many were.

        What waits for its conclusion is looked for again later and later. Raises `Transient`: VM-1501 and
        VM-1301 when base or broker is away, VM-2901, VM-2902 when somebody else orders now.
        """
        changed = await self._changes()
        found = await asyncio.to_thread(self.recalls.uses, changed, self._after, PAGE)
        self._after = _place(found[-1]) if len(found) == PAGE else START
        now_s = self.clock.monotonic_s()
        ready = [use for use in found if self._waiting.get(_place(use), (now_s, 0.0))[0] <= now_s]
        return len(await self.order(changed, ready)) if ready else 0

    async def order(self, changed: Sequence[Change], uses: Sequence[Use]) -> Sequence[Mark]:
        """Order those of `uses` that are to be looked at again; return what was ordered now. Raises as `step`."""
        try:
            await self.desk.begin()
            return await self._order(await self.look(changed, uses))
        except Fenced as error:
            raise Transient(
                "VM-2902", what="somebody else began to order recalls", where=error.where,
                todo="nothing: what is left is ordered at the next look",
            ) from error  # fmt: skip

    async def look(self, changed: Sequence[Change], uses: Sequence[Use]) -> Sequence[Looked]:
        """Return each use with how its message stands on the topics."""
        by_document = {one.document_id: one for one in changed}
        rows = await self.desk.read({use.case_id for use in uses})
        found = await asyncio.to_thread(standings, rows, self.codec)
        return [
            Looked(use=use, change=by_document[use.document_id], standing=found.get(use.message_id)) for use in uses
        ]  # fmt: skip

    async def listed(self, document_id: str, version: str = "") -> tuple[Change | None, Sequence[Looked]]:
        """Return the change of a document and every version of a case that it touches, settled ones too; changes nothing.

        With `version` only what rests on versions below it.
        """
        changed = [one for one in await self._changes() if one.document_id == document_id]
        if not changed:
            return None, ()
        found: list[Use] = []
        after = START
        while True:
            page = await asyncio.to_thread(self.recalls.uses, changed, after, PAGE, settled=True)
            found.extend(page)
            if len(page) < PAGE:
                break
            after = _place(page[-1])
        wanted = [use for use in found if not version or _below(use, version)]
        return changed[0], await self.look(changed, wanted)

    async def _changes(self) -> Sequence[Change]:
        versions = await asyncio.to_thread(self.recalls.versions)
        return changes(versions, self.clock.now())

    async def _order(self, looked: Sequence[Looked]) -> Sequence[Mark]:
        making = Making(codec=self.codec, actor=self.actor, now=self.clock.now())
        orders: list[tuple[Ordered, Change]] = []
        settled: list[Mark] = []
        taken: set[str] = set()
        for one in looked:
            use, cause, standing = one.use, one.change.cause, one.standing
            said = verdict(use, one.change, standing)
            if said.then == "leave":
                settled.append(Mark(use=use, cause=cause, state="left", why=said.why, at=making.now))
            elif said.then == "ordered" and standing is not None:
                settled.append(
                    Mark(
                        use=use,
                        cause=cause,
                        state="ordered",
                        event_id=standing.orders[cause][0],
                        at=making.now,
                    )
                )
            elif said.then == "wait":
                self._put_off(use)
            elif said.then == "order" and standing is not None and use.message_id not in taken:
                taken.add(use.message_id)
                orders.append((ordered(use, one.change, standing, making), one.change))
        if settled:
            await asyncio.to_thread(self.recalls.mark, settled)
        done: list[Mark] = []
        for at in range(0, len(orders), BATCH):
            done += await self._commit(making, orders[at : at + BATCH])
        return done

    def _put_off(self, use: Use) -> None:
        """Remember that a use waits, twice as long as before."""
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.clear()
        _, before_s = self._waiting.get(_place(use), (0.0, 0.0))
        wait_s = min(max(2 * before_s, AGAIN_S), LONGEST_S)
        self._waiting[_place(use)] = self.clock.monotonic_s() + wait_s, wait_s

    async def _commit(self, making: Making, batch: Sequence[tuple[Ordered, Change]]) -> Sequence[Mark]:
        """Write a batch of orders, then remember them."""
        made = [order for order, _ in batch]
        await self.desk.write([*(write for one in made for write in one.writes), *flow(making, made)])
        marks = [
            Mark(use=one.use, cause=change.cause, state="ordered", event_id=one.event_id, lane=one.lane, at=making.now)
            for one, change in batch
        ]  # fmt: skip
        await asyncio.to_thread(self.recalls.mark, marks)
        return marks


@dataclass(slots=True, kw_only=True)
class Following:
    """Keeps the index of where the cases' records lie, so that a recall reads those alone. However far it is, a recall finds all."""

    places: CasePlaces
    name: str = field(default="case_places", init=False)
    every_s: float = field(default=EVERY_S, init=False)

    async def step(self) -> int:
        """Take up what was written since; return how many records. Raises `Transient` when base or broker is away."""
        return await asyncio.to_thread(self.places.follow)


def plain(one: Looked, now: datetime) -> Mapping[str, Any]:
    """Return one line of the list for a program: what it rests on, what it ended as, what is or was done about it."""
    use, change, standing = one.use, one.change, one.standing
    line: dict[str, Any] = {
        "case_id": use.case_id, "message_id": use.message_id, "document_id": use.document_id,
        "versions": list(use.versions), "passages": list(use.passages), "cause": change.cause,
    }  # fmt: skip
    said = verdict(use, change, standing)
    if standing is None or not standing.ended:
        return {**line, "state": "waits", "why": said.why}
    known = standing.orders.get(change.cause)
    recall = known[1] if known else recall_of(use, change, standing.ended[-1][1], now)
    line |= {
        "earlier": recall.earlier, "grade": recall.grade, "serious": recall.serious, "listed": recall.listed,
        "due_at": recall.due_at.isoformat() if recall.due_at else None,
    }  # fmt: skip
    if said.then == "ordered":
        ended = results(standing, change.cause)
        return {**line, "state": ended.get("result", "ordered"), "why": ended.get("rule", "")}
    if said.then == "leave":
        return {**line, "state": "left", "why": said.why}
    if said.then == "wait":
        return {**line, "state": "waits", "why": said.why}
    lane, why = lane_for(
        serious=recall.serious, grade=recall.grade, due_at=recall.due_at, now=now,
        urgent=standing.routed is not None and standing.routed.case.urgent,
    )  # fmt: skip
    return {**line, "state": "to_order", "lane": lane, "why": why}


def _place(use: Use) -> Place:
    return use.case_id, use.message_id, use.document_id


def _below(use: Use, version: str) -> bool:
    return any(version_ordinal(one) < version_ordinal(version) for one in use.versions)
