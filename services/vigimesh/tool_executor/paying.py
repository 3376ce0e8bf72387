"""One paid call, from question to answer: paid once, and its answer stored before it is used.

    price → reserve → begin in the journal → ask → store the answer → use
                                                                  ↘ settle

Each step can be the last one of a process, and each may be done again. What holds whatever happens in between:

1. *Looked up before denied.* When there is no price, no room or no agreement the journal is asked all the same: what was paid
   for is used, never paid again.
2. *Only who made a reservation gives it back while its lease runs*, by its own lease's end, after it began the call and found
   it not made. What lapses is left to the sweep (`background/books`), and nobody begins a call on a lapsed reservation.
3. *A call that had begun before is made on a reservation of one's own*: the one found may be on its way back.
4. *A model that fails is left alone* (`domain/cascade/breaker.py`), and so is one that asked for it, as long as it asked
   (`Retry-After`): nothing is reserved meanwhile, and no case waits for a call that hangs.
5. *Nobody waits for the settling*: until then the worst case stays held, so that no cap is passed; whoever dies before it has it
   swept; and it is sent before the answer is used, on the one line to the store, so that the next call of the case finds its room.
6. *From the call on nothing is interrupted*: a task that is cancelled is not waited for, but goes on to its end, `CLOSE_S` seconds
   when its process ends; then the call is in doubt.

Over ports only. Money is in micro-units of the workflow's currency, times in UTC.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from vigimesh.clock import Clock, Deadline
from vigimesh.domain.budget.calls import (
    MAX_ANSWER_BYTES,
    Answered,
    Begun,
    Busy,
    ByDigest,
    Doubtful,
    GivenBack,
    Kept,
    PaidCall,
)
from vigimesh.domain.budget.lapse import is_of, reserved_at
from vigimesh.domain.budget.money import is_amount
from vigimesh.domain.budget.prices import Price, PriceBook, cost, worst
from vigimesh.domain.budget.rule import SWEPT
from vigimesh.domain.budget.values import Denied, NotReserved, Shut
from vigimesh.domain.cascade.breaker import State
from vigimesh.domain.cascade.question import (
    Answer,
    InDoubt,
    NotMade,
    prompt_digest,
    read_answer,
    write_answer,
)
from vigimesh.domain.cascade.tokens import prompt_bound
from vigimesh.errors import Refused, Transient, VigimeshError
from vigimesh.ports import Agreement, Budget, Journal, Models, Objects
from vigimesh.tool_executor.breakers import Breakers
from vigimesh.tool_executor.purchase import (
    STORE_S,
    Paid,
    Purchase,
    Reason,
    Unpaid,
    ask_of,
    call_of,
    lease_s,
    room_of,
)

_log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds between two tries.
STORE_AGAIN_S = 0.25
#: Seconds that calls under way have when their process ends, after the loop's own drain.
CLOSE_S = 5.0
#: Why a call is not made whose reservation another try made and may be giving back.
_GIVEN_BACK = "an earlier try of it is being given back"
#: Tries of one purchase: when the budget is shut it may be rebuilt at once, and once is enough to try again.
TRIES = 2


@dataclass(slots=True, kw_only=True)
class Payer:
    """Pays for questions; belongs to one event loop, and any number may be under way."""

    budget: Budget
    journal: Journal
    models: Models
    objects: Objects
    prices: PriceBook
    agreement: Agreement
    clock: Clock
    #: Told how the breaker that stands worst stands, whenever that changes.
    tell: Callable[[State, str], None] = lambda state, mend: None
    _breakers: Breakers = field(init=False, repr=False)
    _aside: set[asyncio.Task[Any]] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        # Asked for anew each time: who is told may be set later.
        self._breakers = Breakers(self.clock, lambda state, mend: self.tell(state, mend))  # noqa: PLW0108

    async def pay(self, wanted: Purchase) -> Paid | Unpaid:
        """Return the answer, paid once however often and by however many it is asked; or why there is none.

        Raises `Refused` VM-1902 for a case or workflow that no budget could hold; of a stored answer `Transient` while it
        is away, `Refused` VM-1601 and `Broken` VM-1602 or VM-2105 when it is not there or not whole. Cancelled, it leaves the call reserved or settled; what it was doing with a reply goes on.
        """
        at = self.clock.now()
        try:
            price = self.prices.price(wanted.question.model, at).must_be_in(wanted.caps.currency)
            most = worst(price, prompt_bound(wanted.question), wanted.question.max_tokens)
        except Refused as error:
            return await self._looked_up(wanted, at, "unpriced", error.what)
        if price.assumed:
            wanted = replace(wanted, caps=wanted.caps.at_assumed_price())
        if not is_amount(most):
            return await self._looked_up(wanted, at, "unpriced", "its worst case is no amount")
        if (held_up := self._breakers.holds_up(wanted)) is not None:
            reason, again_s = held_up
            return await self._looked_up(wanted, at, reason, retry_at=at + timedelta(seconds=again_s))
        try:
            return await self._tried(wanted, at, price, most)
        finally:
            self._breakers.given_up(wanted)

    async def found(self, wanted: Purchase) -> Paid | Unpaid | None:
        """Return what an earlier try came to: its answer, in doubt, or still under way; `None` when nothing was made. Raises as `pay` does."""
        told = await self._looked_up(wanted, self.clock.now(), "not_made")
        return None if isinstance(told, Unpaid) and told.reason == "not_made" else told

    async def close(self) -> None:
        """Let calls and what goes on with their replies come to an end within `CLOSE_S` seconds; then they are cut off."""
        deadline = Deadline.after(self.clock, CLOSE_S)
        while self._aside and not deadline.passed():
            await asyncio.wait(self._aside, timeout=deadline.left_s())
        for task in self._aside:
            task.cancel()
        await asyncio.gather(*self._aside, return_exceptions=True)

    async def _tried(self, wanted: Purchase, at: datetime, price: Price, most: int) -> Paid | Unpaid:
        for _ in range(TRIES):
            epoch = await self.agreement.epoch()
            if not epoch:
                break
            told = await self._reserve(wanted, self.clock.now(), price, most, epoch)
            if told is not None:
                return told
            self.agreement.doubt(epoch)
        return await self._looked_up(wanted, at, "shut")

    async def _reserve(
        self, wanted: Purchase, at: datetime, price: Price, most: int, epoch: str
    ) -> Paid | Unpaid | None:
        """Reserve and go on; `None` when the budget or the journal does not know the epoch any more."""
        # Once for both books: it reads the whole prompt.
        asked = prompt_digest(wanted.question)
        ask = ask_of(wanted, asked, at, most)
        (told,) = await self.budget.reserve([ask])
        if isinstance(told, Shut):
            return None
        if isinstance(told, Denied):
            return await self._looked_up(wanted, at, "denied", room_of(told), retry_at=told.opens_at)
        until = told.until
        held = _Held(until=until, mine=until == ask.until)
        if until <= self.clock.now():
            # Lapsed, perhaps while this process stood still: what became of it only the journal knows, and only the sweep may
            # give it back. Begun all the same and not given back, it would count where the budget does not hold it any more.
            return await self._looked_up(
                wanted, at, "not_made", _GIVEN_BACK, retry_at=until + SWEPT, held=held
            )
        # The journal has the moment of the reservation, so that both count the call in the same windows.
        call = call_of(
            wanted, asked, reserved_at(until, lease_s(wanted.question)), most, epoch, own=held.mine
        )
        return await self._begin(wanted, call, price, held)

    async def _begin(
        self, wanted: Purchase, call: PaidCall, price: Price, held: _Held
    ) -> Paid | Unpaid | None:
        leave: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Made ready while the journal writes, from its first wait on; it goes when there is leave.
        made = self._uninterrupted(lambda: self._made(wanted, call, price, held, leave))
        try:
            try:
                begun = await self.journal.begin_in_turn(call, self._patience(wanted))
            except Transient as error:
                self.agreement.doubt(call.epoch)
                return _unpaid(call, "away", error.what)
            if isinstance(begun, Shut):
                return None
            if not isinstance(begun, Begun):
                return await self._found(call, begun, price.currency, held)
            if min(held.until, begun.until) <= self.clock.now() or made.cancelled():
                return await self._given_up(call, "its lease or its process ended before it was made", held)
            # Nothing stops this half-way: whoever is cancelled does not wait for it, and its answer is found by the next try.
            self._breakers.made(call.model, call.call_id)
            leave.set_result(None)
            return await made
        finally:
            leave.cancel()

    async def _made(
        self, wanted: Purchase, call: PaidCall, price: Price, held: _Held, leave: asyncio.Future[None]
    ) -> Paid | Unpaid:
        """Make the call and write down how it ended; cut off by `close`, it is in doubt."""
        try:
            reply = await self.models.ask(wanted.question, leave)
            await leave  # what needs no connection may be said before
        except asyncio.CancelledError:
            if leave.done() and not leave.cancelled():
                with suppress(VigimeshError):
                    await self.journal.in_doubt(call.call_id, "cut off when its process ended")
            raise
        self._breakers.replied(call.model, reply)
        return await self._ended(call, reply, price, held)

    async def _ended(
        self, call: PaidCall, reply: Answer | NotMade | InDoubt, price: Price, held: _Held
    ) -> Paid | Unpaid:
        """Write down how the call ended, then settle or release."""
        match reply:
            case Answer():
                return await self._answered(call, reply, price)
            case NotMade(why=why, retry_after_s=after_s):
                written = await self._patiently(lambda: self.journal.not_made(call.call_id, why))
                if not isinstance(written, Kept):
                    return _unpaid(call, "in_doubt", why, counted_micro=call.worst_micro)
                if held.mine:
                    await self._release(call, held)
                retry_at = None if after_s is None else self.clock.now() + timedelta(seconds=after_s)
                return _unpaid(call, "not_made", why, retry_at=retry_at)
            case InDoubt(why=why):
                await self._patiently(lambda: self.journal.in_doubt(call.call_id, why))
                return _unpaid(call, "in_doubt", why, counted_micro=call.worst_micro)

    async def _answered(self, call: PaidCall, answer: Answer, price: Price) -> Paid | Unpaid:
        amount = _cost(price, answer, call.worst_micro)
        try:
            body = self._packed(answer)
        except Transient as error:
            why = f"its answer could not be stored: {error.what}"
            return _unpaid(call, "in_doubt", why, counted_micro=call.worst_micro)
        written = await self._patiently(
            lambda: self.journal.answer(call.call_id, body, amount, answer.tokens)
        )
        if not isinstance(written, Kept):
            return _unpaid(call, "in_doubt", "its answer could not be stored", counted_micro=call.worst_micro)
        # Its first step is taken before anybody wakes up with the answer: see 5.
        self._alone(self._settle(call, amount))
        return Paid(
            call_id=call.call_id, at=call.at, answer=answer, cost_micro=amount, currency=price.currency
        )

    async def _settle(self, call: PaidCall, amount: int) -> None:
        """Settle what the journal has already; where that fails, a rebuild or the sweep does it from the journal."""
        try:
            told = await self.budget.settle(call.call_id, call.workflow, amount)
        except VigimeshError:
            told = Shut(call.call_id, "")
        if isinstance(told, Shut):
            self.agreement.doubt(call.epoch)
        elif isinstance(told, NotReserved):
            # It was reserved a moment ago and nobody could release it: the store lost something.
            self.agreement.doubt(call.epoch, lost=True)

    async def _found(
        self, call: PaidCall, found: Answered | Busy | Doubtful | GivenBack, currency: str, held: _Held | None
    ) -> Paid | Unpaid:
        """Return what another try of the same call came to."""
        match found:
            case GivenBack():
                retry_at = None if held is None else held.until + SWEPT
                return _unpaid(call, "not_made", _GIVEN_BACK, retry_at=retry_at)
            case Busy(until=until):
                return _unpaid(call, "under_way", retry_at=until, counted_micro=call.worst_micro)
            case Doubtful(why=why, counted_micro=counted):
                return _unpaid(call, "in_doubt", why, counted_micro=counted)
            case Answered(answer=stored, cost_micro=amount, at=at):
                if held is not None:
                    await self._counted(call, found, held)
                data = self.objects.get(stored.digest) if isinstance(stored, ByDigest) else stored
                answer = read_answer(data)
                return Paid(call_id=call.call_id, at=at, answer=answer, cost_micro=amount, currency=currency)

    async def _counted(self, call: PaidCall, found: Answered, held: _Held) -> None:
        """Settle the reservation of an answered call, or give back one that was made after the call was settled long ago."""
        if is_of(held.until, found.at):
            told = await self.budget.settle(call.call_id, call.workflow, found.cost_micro)
            if isinstance(told, Shut):
                self.agreement.doubt(call.epoch)
        elif held.mine:
            await self._release(call, held)

    async def _release(self, call: PaidCall, held: _Held) -> None:
        """Give this try's own reservation back; where that fails, the sweep does it."""
        if isinstance(await self.budget.release(call.call_id, call.workflow, held.until), Shut):
            self.agreement.doubt(call.epoch)

    async def _looked_up(
        self,
        wanted: Purchase,
        at: datetime,
        reason: Reason,
        detail: str = "",
        *,
        retry_at: datetime | None = None,
        held: _Held | None = None,
    ) -> Paid | Unpaid:
        """Return what an earlier try paid for, else that nothing is paid. Without an epoch nothing can begin."""
        call = call_of(wanted, prompt_digest(wanted.question), at, 0, "")
        try:
            # Not in turn: it could not begin when its turn came.
            found = await self.journal.begin(call)
        except Transient as error:
            return _unpaid(call, "away", error.what)
        if isinstance(found, Begun | Shut):
            return _unpaid(call, reason, detail, retry_at=retry_at)
        return await self._found(call, found, wanted.caps.currency, held)

    async def _given_up(self, call: PaidCall, why: str, held: _Held) -> Unpaid:
        """Give a call back that was begun and not made; its reservation lapses and is swept."""
        await self._uninterrupted(lambda: self._patiently(lambda: self.journal.not_made(call.call_id, why)))
        return _unpaid(call, "not_made", why, retry_at=held.until + SWEPT)

    async def _patiently(self, write: Callable[[], Awaitable[T]]) -> T | None:
        """Write into the journal, again while it is away; `None` when it stays away for `STORE_S` seconds."""
        deadline = Deadline.after(self.clock, STORE_S)
        while True:
            try:
                return await write()
            except Transient:
                if deadline.passed():
                    return None
            await asyncio.sleep(min(STORE_AGAIN_S, deadline.left_s()))

    def _packed(self, answer: Answer) -> bytes | ByDigest:
        body = write_answer(answer)
        return body if len(body) <= MAX_ANSWER_BYTES else ByDigest(digest=self.objects.put(body))

    def _uninterrupted(self, work: Callable[[], Awaitable[T]]) -> asyncio.Future[T]:
        """Begin work that goes on where whoever waits is cancelled; a turn of the loop less than behind a shield."""
        told: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def tell() -> None:
            done = await work()
            if not told.done():
                told.set_result(done)

        def ended(task: asyncio.Task[None]) -> None:
            error = None if task.cancelled() else task.exception()
            if told.done():
                return
            if error is None:
                told.cancel()
            else:
                told.set_exception(error)

        self._alone(tell()).add_done_callback(ended)
        return told

    def _alone(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.ensure_future(work)
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)
        return task

    def _patience(self, wanted: Purchase) -> Deadline:
        return Deadline.after(self.clock, min(wanted.patience_s, wanted.question.deadline_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """The reservation a call would be made on, and whether this try made it."""

    until: datetime
    mine: bool


def _cost(price: Price, answer: Answer, reserved: int) -> int:
    """Return what an answer cost; what was reserved when that is no amount that could be booked."""
    amount = cost(price, answer.tokens)
    return amount if is_amount(amount) else reserved


def _unpaid(
    call: PaidCall, reason: Reason, detail: str = "", *, retry_at: datetime | None = None, counted_micro: int = 0
) -> Unpaid:  # fmt: skip
    return Unpaid(
        call_id=call.call_id, reason=reason, detail=detail, retry_at=retry_at, counted_micro=counted_micro
    )
