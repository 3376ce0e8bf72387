"""The batches of the call journal in memory: the twin of `postgres/batch_journal`, over the same calls as `MemoryJournal`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count

from vigimesh.adapters.memory.journal import MemoryCalls
from vigimesh.adapters.postgres.batch_journal import ended
from vigimesh.adapters.postgres.journal import SHUT, check_answer
from vigimesh.domain.budget.batching import LEASE_S, MAX_TRIES, Gathered, Line, Member, Sent
from vigimesh.domain.budget.calls import (
    ANSWERED,
    BEGUN,
    IN_DOUBT,
    MAX_WHY,
    NOT_MADE,
    ByDigest,
    Kept,
    Overtaken,
    PaidCall,
)
from vigimesh.domain.budget.values import Shut
from vigimesh.domain.cascade.question import Tokens


@dataclass(slots=True)
class _Place:
    gathered: Gathered
    number: int
    state: str = "waiting"
    tries: int = 0
    batch: str = ""


@dataclass(slots=True)
class MemoryBatches:
    """What the server would hold of batches."""

    places: dict[str, _Place] = field(default_factory=dict)
    sent: dict[str, Sent] = field(default_factory=dict)
    #: Batches that have ended, with when and why.
    over: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    numbers: count[int] = field(default_factory=count)


class MemoryBatchJournal:
    """`ports.BatchJournal` in memory; each call gives way to other tasks once before it looks."""

    def __init__(self, calls: MemoryCalls, batches: MemoryBatches) -> None:
        """Be one process at a server."""
        self._calls = calls
        self._batches = batches

    async def close(self) -> None:
        """There is nothing to close."""

    async def gather(self, one: Gathered) -> str:
        """Let a question wait for a batch; see `ports.BatchJournal`."""
        await asyncio.sleep(0)
        place = self._batches.places.get(one.call_id)
        if place is None:
            place = self._batches.places[one.call_id] = _Place(one, next(self._batches.numbers))
        elif (
            place.state == "ended" and place.tries < MAX_TRIES and self._state(one.call_id) in ("", NOT_MADE)
        ):
            place.gathered, place.state, place.batch = one, "waiting", ""
        missed = place.state == "waiting" and place.gathered.not_after <= one.gathered_at
        return "ended" if missed else place.state

    async def state(self, call_id: str) -> str:
        """Return how a question stands; see `ports.BatchJournal`."""
        await asyncio.sleep(0)
        place = self._batches.places.get(call_id)
        return "" if place is None else place.state

    async def waiting(self, now: datetime, most: int) -> Sequence[Gathered]:
        """Return what may be sent now; see `ports.BatchJournal`."""
        await asyncio.sleep(0)
        ordered = sorted(self._batches.places.values(), key=lambda place: place.number)
        found = [one.gathered for one in ordered if one.state == "waiting"]
        return [one for one in found if one.opens_at <= now < one.not_after][:most]

    async def begin_batch(
        self, name: str, calls: Sequence[PaidCall], made_at: datetime
    ) -> frozenset[str] | Shut:
        """Begin the calls of a batch; see `ports.BatchJournal`."""
        await asyncio.sleep(0)
        if name in self._batches.sent:
            return frozenset(one.call_id for one in calls if self._token(one.call_id) == name)
        epoch = self._calls.epoch
        if not epoch.is_open or epoch.name != calls[0].epoch:
            return Shut(call_id=name, why=SHUT)
        until = self._calls.clock.now() + timedelta(seconds=LEASE_S)
        begun = set()
        for one in calls:
            place = self._batches.places.get(one.call_id)
            if place is None or place.state != "waiting":
                continue
            place.tries += 1
            if self._state(one.call_id) in ("", NOT_MADE):
                self._calls.begin(one, name, until)
                place.state, place.batch = "sent", name
                begun.add(one.call_id)
            else:
                place.state, place.batch = "ended", ""
        if begun:
            self._batches.sent[name] = Sent(name=name, made_at=made_at)
        return frozenset(begun)

    async def open_batches(self) -> Sequence[Sent]:
        """Return the batches that have not ended; see `ports.BatchJournal`."""
        await asyncio.sleep(0)
        found = [one for one in self._batches.sent.values() if one.name not in self._batches.over]
        return sorted(found, key=lambda one: (one.made_at, one.name))

    async def note(
        self,
        name: str,
        *,
        file_id: str | None = None,
        asked_at: datetime | None = None,
        batch_id: str | None = None,
    ) -> Sent:
        """Write down how far a batch is; see `ports.BatchJournal`."""
        await asyncio.sleep(0)
        if name not in self._batches.sent or name in self._batches.over:
            raise ended(name)
        old = self._batches.sent[name]
        self._batches.sent[name] = replace(
            old, file_id=old.file_id if file_id is None else file_id,
            asked_at=asked_at or old.asked_at, batch_id=old.batch_id if batch_id is None else batch_id,
        )  # fmt: skip
        return self._batches.sent[name]

    async def members(self, name: str) -> Sequence[Member]:
        """Return the calls of a batch; see `ports.BatchJournal`."""
        await asyncio.sleep(0)
        found = []
        for place in sorted(self._batches.places.values(), key=lambda place: place.number):
            call_id = place.gathered.call_id
            if place.batch == name and self._token(call_id) == name:
                row = self._calls.rows[call_id]
                found.append(
                    Member(gathered=place.gathered, at=row.call.at, worst_micro=row.call.worst_micro)
                )
        return found

    async def answer(
        self, name: str, call_id: str, answer: bytes | ByDigest, cost_micro: int, usage: Tokens
    ) -> Kept | Overtaken:
        """Store the answer of a call in a batch; see `ports.BatchJournal`."""
        await asyncio.sleep(0)
        check_answer(call_id, answer, cost_micro)
        if self._token(call_id) != name:
            return Overtaken(call_id=call_id, state=self._state(call_id))
        row = self._calls.rows[call_id]
        if row.state != ANSWERED:
            row.state, row.why = ANSWERED, ""
            row.answer, row.cost_micro, row.usage = answer, cost_micro, usage
        return Kept(call_id=call_id, state=ANSWERED)

    async def not_made(self, name: str, call_id: str, why: str) -> Kept | Overtaken:
        """Write down that a call in a batch was not made; see `ports.BatchJournal`."""
        return await self._end(name, call_id, NOT_MADE, why)

    async def in_doubt(self, name: str, call_id: str, why: str) -> Kept | Overtaken:
        """Write down that nobody knows; see `ports.BatchJournal`."""
        return await self._end(name, call_id, IN_DOUBT, why)

    async def lines(self, most: int) -> Sequence[Line]:
        """Return the newest batches, at most `most`, the newest first: for an operator."""
        await asyncio.sleep(0)
        newest = sorted(self._batches.sent.values(), key=lambda one: one.made_at, reverse=True)
        return [self._line(one) for one in newest[:most]]

    def _line(self, sent: Sent) -> Line:
        ended_at, why = self._batches.over.get(sent.name, (None, ""))
        named = [call_id for call_id, place in self._batches.places.items() if place.batch == sent.name]
        rows = [self._calls.rows[call_id] for call_id in named if self._token(call_id) == sent.name]
        return Line(
            name=sent.name, made_at=sent.made_at, batch_id=sent.batch_id, ended_at=ended_at, why=why, calls=len(rows),
            questions=len({row.call.prompt_digest for row in rows}),
            answered=sum(row.state == ANSWERED for row in rows), cost_micro=sum(row.cost_micro or 0 for row in rows),
        )  # fmt: skip

    async def end(self, name: str, why: str = "") -> None:
        """End a batch; see `ports.BatchJournal`."""
        await asyncio.sleep(0)
        if name not in self._batches.sent or name in self._batches.over:
            return
        self._batches.over[name] = self._calls.clock.now(), why[:MAX_WHY]
        for call_id, place in self._batches.places.items():
            if place.batch == name and place.state == "sent":
                again = self._calls.rows[call_id].state == NOT_MADE and place.tries < MAX_TRIES
                place.state = "waiting" if again else "ended"

    async def _end(self, name: str, call_id: str, wanted: str, why: str) -> Kept | Overtaken:
        await asyncio.sleep(0)
        if self._token(call_id) != name:
            return Overtaken(call_id=call_id, state=self._state(call_id))
        row = self._calls.rows[call_id]
        if row.state == BEGUN or (row.state == IN_DOUBT and wanted == NOT_MADE):
            row.state, row.why = wanted, why[:MAX_WHY]
        if row.state != wanted:
            return Overtaken(call_id=call_id, state=row.state)
        return Kept(call_id=call_id, state=wanted)

    def _state(self, call_id: str) -> str:
        row = self._calls.rows.get(call_id)
        return "" if row is None else row.state

    def _token(self, call_id: str) -> str:
        row = self._calls.rows.get(call_id)
        return "" if row is None else row.token
