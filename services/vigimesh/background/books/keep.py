"""Keeps the budget in agreement with the call journal, in every process that pays: rebuilds when it is shut, sweeps what lapsed.

The journal is the book. The budget is what can be asked quickly, and is worth something only while it is known to hold what
the journal does: the epoch says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from vigimesh.clock import Clock, Deadline
from vigimesh.domain.budget.calls import Claimed, Current, Kept, Rebuilding
from vigimesh.domain.budget.lapse import GRACE_S, Release, Settle, fate
from vigimesh.domain.budget.values import Lapsed, Shut
from vigimesh.errors import said
from vigimesh.ports import Budget, Journal

_log = logging.getLogger(__name__)

#: Seconds that a paid call waits for an agreement before it does without the large model: a rebuild of a day's calls.
PATIENCE_S = 2.0
#: The same for the first one of a process, which reads the end of `usage`.
FIRST_S = 10.0
#: Seconds after a failure in which nobody tries again: the stores are asked once a second at most, whatever the load.
AGAIN_S = 1.0
#: Seconds one look waits for another process's rebuild.
OTHERS_S = 5.0
#: Looks of one agreement: with each, another process opened an epoch in between.
ROUNDS = 8
#: Seconds between two sweeps: a tenth of a lease, so that what lapsed is held little longer than its lease.
SWEEP_S = 20.0

_NONE_YET = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one sweep did, in reservations. `kept` are calls under way or in doubt; `shut` when it could do nothing."""

    settled: int = 0
    released: int = 0
    kept: int = 0
    shut: bool = False


@dataclass(slots=True)
class Books:
    """The agreement between one process's budget and journal; belongs to one event loop.

    `trouble` says in words why there is none now, empty while there is one; `tell` is told of it. `paid_at` says when the newest paid call that
    `usage` knows was reserved; asked once, since the journal's door remembers what it sees from then on.
    """

    budget: Budget
    journal: Journal
    clock: Clock
    paid_at: Callable[[], Awaitable[datetime | None]] | None = None
    patience_s: float = PATIENCE_S
    tell: Callable[[str], None] = lambda why: None
    trouble: str = ""
    _epoch: str = ""
    _lost: str = ""
    _failed_s: float | None = None
    _looked: bool = False
    _agreeing: asyncio.Task[None] | None = field(default=None, repr=False)

    async def epoch(self) -> str:
        """Return the epoch under which both agree; empty when they do not within `patience_s` seconds.

        Many may ask at once: one of them looks. Raises nothing of its own.
        """
        if self._epoch or self._rests():
            return self._epoch
        if self._agreeing is None or self._agreeing.done():
            self._agreeing = asyncio.ensure_future(self._look())
        # Not awaited itself: whoever is cancelled while waiting must not stop a rebuild that others wait for.
        patience_s = self.patience_s if self._looked else max(self.patience_s, FIRST_S)
        done, _ = await asyncio.wait({self._agreeing}, timeout=patience_s)
        for look in done:
            look.result()
        return self._epoch

    def doubt(self, epoch: str, *, lost: bool = False) -> None:
        """Say that under `epoch` the budget was shut or the journal away: both are looked at before the next paid call.

        `lost` says that the budget did not know a call that it must know: it is rebuilt under another epoch.
        """
        if lost and epoch:
            self._lost = epoch  # also when another call has doubted it before
        if epoch == self._epoch:
            self._epoch = ""

    async def sweep(self) -> Swept:
        """Ask the journal about reservations whose lease ran out `GRACE_S` ago, page by page, and do what it says.

        Raises `Transient` when one of the two is away.
        """
        epoch = await self.epoch()
        # A journal that was restored from an old copy lacks calls that were made: it has no epoch.
        if not epoch or await self.journal.epoch() != epoch:
            self.doubt(epoch)
            return Swept(shut=True)
        late, done = self.clock.now() - timedelta(seconds=GRACE_S), Counter[str]()
        while True:
            # Those that are kept stay first in the store's order: they must not hide what lies behind them.
            lapsed = await self.budget.expired(late, done["kept"])
            if isinstance(lapsed, Shut):
                done["shut"] += 1
            elif lapsed:
                rows = await self.journal.booked_of([one.call_id for one in lapsed])
                for one in lapsed:
                    done[await self._close(one, fate(one, rows.get(one.call_id)))] += 1
            if done["shut"]:
                self.doubt(epoch)
            if done["shut"] or not lapsed:
                return Swept(
                    settled=done["settled"],
                    released=done["released"],
                    kept=done["kept"],
                    shut=bool(done["shut"]),
                )

    async def _close(self, lapsed: Lapsed, what: object) -> str:
        match what:
            case Settle(amount_micro):
                told = await self.budget.settle(lapsed.call_id, lapsed.workflow, amount_micro)
                return "shut" if isinstance(told, Shut) else "settled"
            case Release():
                # Only this very reservation: its call may be under way on a newer one by now.
                back = await self.budget.release(lapsed.call_id, lapsed.workflow, lapsed.until)
                return "shut" if isinstance(back, Shut) else "released"
            case _:
                return "kept"

    async def keep(self) -> None:
        """Agree now, and sweep every `SWEEP_S` seconds, until cancelled; a rebuild under way is given time to end."""
        try:
            while True:
                try:
                    # Both answer: also where what failed was a sweep under an epoch that still holds.
                    if not (await self.sweep()).shut:
                        self._trouble("")
                except Exception as error:  # noqa: BLE001  whatever it is, paid calls are refused and work goes on
                    self._trouble(said(error))
                await asyncio.sleep(SWEEP_S)
        finally:
            if self._agreeing is not None:
                await asyncio.wait({self._agreeing}, timeout=self.patience_s)

    def _rests(self) -> bool:
        return self._failed_s is not None and self.clock.monotonic_s() - self._failed_s < AGAIN_S

    async def _look(self) -> None:
        try:
            self._epoch = await self._agreed()
        except Exception as error:  # noqa: BLE001  whatever it is, there is no agreement
            self._trouble(said(error))
        self._looked = True
        self._failed_s = None if self._epoch else self.clock.monotonic_s()
        if self._epoch:
            self._trouble("")

    async def _agreed(self) -> str:
        """Return an epoch that both hold; rebuild under a new one when nobody else does. Empty when there is none."""
        if self.paid_at is not None:
            await self.journal.epoch(await self.paid_at())
            self.paid_at = None
        for _ in range(ROUNDS):
            # 1. The journal's epoch, and whether the budget holds it in the process it was built in.
            epoch = await self.journal.epoch()
            if epoch and epoch != self._lost:
                self.budget.adopt(epoch)
                if not isinstance(await self.budget.expired(_NONE_YET), Shut):
                    return epoch
            # 2. It does not. The store must answer before a claim stops everybody's calls.
            run_id = await self.budget.run_id()
            match await self.journal.claim_epoch(run_id):
                case Claimed(epoch=mine):
                    # 3. Nothing begins from here on: what the rows say is all there is. Then it is opened.
                    await self.budget.rebuild(mine, await self.journal.booked())
                    if isinstance(await self.journal.open_epoch(mine), Kept):
                        _log.info("the budget was rebuilt from the call journal under epoch %s", mine)
                        return mine
                case Rebuilding():
                    await self.journal.opened_epoch(Deadline.after(self.clock, OTHERS_S))
                case Current():
                    pass  # opened since it was read: read it anew
                case Shut(why=why):
                    self._trouble(why)
                    return ""
        self._trouble("others keep rebuilding the budget")
        return ""

    def _trouble(self, why: str) -> None:
        if why and why != self.trouble:
            _log.warning("paid calls are refused: %s", why)
        self.trouble = why
        self.tell(why)
