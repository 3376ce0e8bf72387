"""Buys what was gathered in batches: each call reserved, begun and known before it is sent, and counted once whatever stops whom.

    reserve → begin batch and calls → upload → say that it is asked for → create → look → store each answer → settle → end

Each step can be the last one of a process. What holds then:

1. *Reserved and not begun*: the reservation lapses and is swept (`background/books`); the question still waits.
2. *Begun and not created*: the batch is in the journal with its calls. A file that was sent twice costs nothing. Whether the
   endpoint was asked is written down first; from then on the batch is looked for by its name before it is asked for again.
3. *Created and not known*: it is found by its name, in its metadata.
4. *Ended and not stored*: its results are read again; the first answer of a call stays, so a second reading changes nothing.
5. *Stored and not settled*: the sweep settles from the journal.

The same question asked by several calls is one line: the first of them is charged, the others cost nothing and have no tokens. What
the endpoint lists as failed or not come to is not made, and may be gathered again, and so is all of a batch that it refused. What has no
result is in doubt, and so is all of a batch that it has forgotten.

Over ports only. Money is in micro-units of the workflow's currency, times in UTC.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from vigimesh.clock import Clock, Deadline
from vigimesh.domain.budget.batching import (
    GIVE_UP_S,
    LEASE_S,
    LOOK_S,
    MAX_ITEMS,
    MINUTES_BACK,
    Gathered,
    Item,
    Member,
    Sent,
    batch_name,
    items_of,
)
from vigimesh.domain.budget.calls import MAX_ANSWER_BYTES, ByDigest, Kept, PaidCall
from vigimesh.domain.budget.lapse import MAX_LEASE_S
from vigimesh.domain.budget.money import is_amount
from vigimesh.domain.budget.prices import Price, PriceBook, cost, worst
from vigimesh.domain.budget.values import Ask, Reserved, Shut
from vigimesh.domain.cascade.question import (
    EXPIRED,
    Answer,
    InDoubt,
    NotMade,
    Tokens,
    prompt_digest,
    write_answer,
)
from vigimesh.domain.cascade.tokens import prompt_bound
from vigimesh.errors import Refused, Transient
from vigimesh.loop.health import Health
from vigimesh.loop.telemetry import Telemetry
from vigimesh.names import BATCH_CALLS, BATCH_WAIT, BATCHES
from vigimesh.ports import Agreement, Batches, BatchJournal, Budget, Objects

_log = logging.getLogger(__name__)

#: New batches of one round: more than a window of any workflow fills.
MAX_NEW = 50
#: Seconds between two rounds: a batch takes hours, and each look is a request.
PAUSE_S = 60.0
#: Seconds between two looks at the stop signal.
LOOK_AGAIN_S = 0.2
_NOTHING = Tokens(0, 0, 0)


class Keeper(Protocol):
    """Keeps the budget in agreement with the journal (`background/books`)."""

    async def keep(self) -> None:
        """Go on until cancelled."""
        ...


async def run(batcher: Batcher, books: Keeper, health: Health, stop: threading.Event) -> None:
    """Go round every `PAUSE_S` seconds until `stop` is set; the books are kept beside. A round may be cut off anywhere."""
    keeping = asyncio.ensure_future(books.keep())
    try:
        while not stop.is_set():
            going = asyncio.ensure_future(batcher.round())
            pause = Deadline.after(batcher.clock, PAUSE_S)
            while not stop.is_set() and not (going.done() and pause.passed()):
                health.beat()
                await asyncio.sleep(LOOK_AGAIN_S)
                if going.done():
                    error = going.exception()
                    if error is not None and not isinstance(error, Transient):
                        raise error
                    health.ready, health.trouble = error is None, str(error or "")
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)
    finally:
        health.ready = False
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


@dataclass(slots=True, kw_only=True)
class Batcher:
    """Brings batches forward, one round at a time; belongs to one event loop. Several may run: each step is taken once."""

    budget: Budget
    journal: BatchJournal
    batches: Batches
    objects: Objects
    prices: PriceBook
    agreement: Agreement
    clock: Clock
    telemetry: Telemetry

    async def round(self) -> None:
        """Bring each batch that has not ended one step forward, then make new ones of what may be sent now.

        A batch that fails is told and waits for the next round. Raises `Transient` when a store is away.
        """
        for one in await self.journal.open_batches():
            try:
                await self._forward(one)
            except Transient as error:
                _log.warning("batch %s waits: %s", one.name, error)
        for _ in range(MAX_NEW):
            if not await self._new():
                return

    async def _new(self) -> bool:
        """Make one batch of what waits; return whether more may wait."""
        now = self.clock.now()
        waiting = await self.journal.waiting(now, MAX_ITEMS)
        epoch = await self.agreement.epoch() if waiting else ""
        if not epoch:
            return False
        items = items_of(waiting)
        try:
            price = self.prices.price(items[0].question.model, now).in_batch()
        except Refused as error:
            _log.warning("nothing is sent in a batch: %s", error)
            return False
        calls = await self._reserved(items, price, epoch)
        if not calls:
            return False
        begun = await self.journal.begin_batch(batch_name(calls, now), calls, now)
        if isinstance(begun, Shut):
            self.agreement.doubt(epoch)
            return False
        self.telemetry.add(BATCH_CALLS, len(begun), {"outcome": "begun"})
        if begun:
            try:
                await self._created(Sent(name=batch_name(calls, now), made_at=now))
            except Transient as error:
                _log.warning("batch %s waits: %s", batch_name(calls, now), error)
        return len(begun) > 0

    async def _reserved(self, items: Sequence[Item], price: Price, epoch: str) -> list[PaidCall]:
        """Reserve each call for its worst case, and return those that are; what is refused waits, and then is paid at once."""
        # Dated back: what a batch sends is no call of this minute, whose number the cards bound.
        at = self.clock.now() - MINUTES_BACK
        asks = [
            _ask(one, item, price, at)
            for item in items
            for one in item.calls
            if one.caps.currency == price.currency
        ]
        told = await self.budget.reserve(asks) if asks else []
        held = {}
        for ask, answer in zip(asks, told, strict=True):
            if isinstance(answer, Shut):
                self.agreement.doubt(epoch)
                return []
            # One that another try made may be on its way back.
            if isinstance(answer, Reserved) and answer.until == ask.until:
                held[ask.call_id] = ask
        return [
            _call(one, held[one.call_id], epoch)
            for item in items
            for one in item.calls
            if one.call_id in held
        ]

    async def _forward(self, sent: Sent) -> None:
        if not sent.batch_id:
            sent = await self._created(sent)
        if not sent.batch_id:
            return
        now = self.clock.now()
        late = now > sent.made_at + timedelta(seconds=GIVE_UP_S)
        try:
            found = await self.batches.results(sent.batch_id)
        except Transient:
            if not late:
                raise
            found = None
        match found:
            case Mapping():
                await self._ended(sent, found, InDoubt(why="the batch ended without a result for it"))
            case NotMade():
                await self._ended(sent, {}, found)
            case InDoubt() if await self._forgotten(sent, now):
                await self._ended(sent, {}, found)
            case _ if late:
                await self._ended(sent, {}, InDoubt(why="its batch never ended"))

    async def _forgotten(self, sent: Sent, now: datetime) -> bool:
        """Return whether a batch that the endpoint does not find is not listed either, when a list had time to show it.

        Under a wrong address nothing is found, the list neither: then this raises `Transient`.
        """
        if sent.asked_at is not None and now < sent.asked_at + timedelta(seconds=LOOK_S):
            return False
        return not await self.batches.find(sent.name, sent.made_at)

    async def _created(self, sent: Sent) -> Sent:
        """Return the batch with the endpoint's id of it, or without when it is not known yet whether there is one."""
        now = self.clock.now()
        if sent.asked_at is not None:
            found = await self.batches.find(sent.name, sent.asked_at)
            if found:
                return await self.journal.note(sent.name, batch_id=found)
            if now < sent.asked_at + timedelta(seconds=LOOK_S):
                return sent
        if now > sent.made_at + timedelta(seconds=LEASE_S):
            # Never asked for, it was not made; asked for, nobody knows, though it is not listed.
            never = NotMade(why="its batch could not be sent in time", code=EXPIRED)
            await self._ended(
                sent, {}, never if sent.asked_at is None else InDoubt(why="it could not be sent")
            )
            return sent
        if not sent.file_id:
            file_id = await self.batches.upload(items_of(await self._gathered(sent)))
            sent = await self.journal.note(sent.name, file_id=file_id)
        sent = await self.journal.note(sent.name, asked_at=now)
        self.telemetry.add(BATCHES, 1, {"state": "sent"})
        return await self.journal.note(sent.name, batch_id=await self.batches.create(sent.file_id, sent.name))

    async def _gathered(self, sent: Sent) -> list[Gathered]:
        return [one.gathered for one in await self.journal.members(sent.name)]

    async def _ended(
        self, sent: Sent, found: Mapping[str, Answer | NotMade | InDoubt], rest: NotMade | InDoubt
    ) -> None:
        """Write down how each call ended, `rest` for what has no result, and settle it; then end the batch."""
        charged: set[str] = set()
        ends: Counter[bool] = Counter()
        for member in await self.journal.members(sent.name):
            key = prompt_digest(member.gathered.question)
            result = found.get(key, rest)
            await self._settled(sent, member, result, copy=key in charged)
            charged.add(key)
            ends[isinstance(result, Answer)] += 1
        await self.journal.end(sent.name, "" if found else rest.why)
        state = "empty" if not ends[True] else "partial" if ends[False] else "whole"
        self.telemetry.add(BATCHES, 1, {"state": state})

    async def _settled(
        self, sent: Sent, member: Member, result: Answer | NotMade | InDoubt, *, copy: bool
    ) -> None:
        call_id = member.gathered.call_id
        match result:
            case NotMade(why=why, code=code):
                # Its reservation has lapsed, and is given back by the sweep.
                await self.journal.not_made(sent.name, call_id, why)
                self._count("expired" if code == EXPIRED else "failed")
            case InDoubt(why=why):
                await self.journal.in_doubt(sent.name, call_id, why)
                self._count("in_doubt")
            case Answer():
                answer = replace(result, tokens=_NOTHING) if copy else result
                amount = 0 if copy else self._cost(member, result)
                kept = await self.journal.answer(
                    sent.name, call_id, self._packed(answer), amount, answer.tokens
                )
                if isinstance(kept, Kept):
                    self._count("copied" if copy else "answered")
                    waited = self.clock.now() - member.gathered.gathered_at
                    self.telemetry.observe(
                        BATCH_WAIT, waited.total_seconds(), {"workflow": member.gathered.workflow}
                    )
                    told = await self.budget.settle(call_id, member.gathered.workflow, amount)
                    if isinstance(told, Shut):
                        # A rebuild, or the sweep, settles what the journal has.
                        self.agreement.doubt(await self.agreement.epoch())

    def _count(self, outcome: str) -> None:
        self.telemetry.add(BATCH_CALLS, 1, {"outcome": outcome})

    def _cost(self, member: Member, answer: Answer) -> int:
        """Return what an answer cost at the price under which it was reserved; the worst case where there is none any more."""
        try:
            price = self.prices.price(member.gathered.question.model, member.at + MINUTES_BACK).in_batch()
        except Refused:
            return member.worst_micro
        amount = cost(price, answer.tokens)
        return amount if is_amount(amount) else member.worst_micro

    def _packed(self, answer: Answer) -> bytes | ByDigest:
        body = write_answer(answer)
        return body if len(body) <= MAX_ANSWER_BYTES else ByDigest(digest=self.objects.put(body))


def _ask(one: Gathered, item: Item, price: Price, at: datetime) -> Ask:
    most = worst(price, prompt_bound(item.question), item.question.max_tokens)
    # The lease is the longest that the sweep knows how to end; while its call goes on it is kept, however long that takes.
    return Ask(one.call_id, one.workflow, one.case_id, most, at, one.caps, MAX_LEASE_S)


def _call(one: Gathered, ask: Ask, epoch: str) -> PaidCall:
    return PaidCall(
        call_id=one.call_id, case_id=one.case_id, workflow=one.workflow, version=one.version, step=one.step,
        pass_number=one.pass_number, prompt_digest=prompt_digest(one.question), model=one.question.model,
        worst_micro=ask.worst_micro, epoch=epoch, at=ask.at, lease_s=LEASE_S,
    )  # fmt: skip
