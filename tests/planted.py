"""Bugs in payer and books that more than one suite has to find: each is planted in place of the right one."""

from __future__ import annotations

from typing import Any

from vigimesh.background.books.keep import Books
from vigimesh.domain.budget.calls import Answered, PaidCall
from vigimesh.domain.budget.values import Shut
from vigimesh.tool_executor.paying import Payer


class SettlesTwice(Payer):
    """Settles whatever it reserved for an answered call, also one that was counted long before."""

    async def _counted(self, call: PaidCall, found: Answered, held: Any) -> None:
        del held
        await self.budget.settle(call.call_id, call.workflow, found.cost_micro)


class ForgetsTheEpoch(Books):
    """Rebuilds under the epoch that was there, and so does not stop calls that were reserved in what was lost."""

    async def _agreed(self) -> str:
        epoch = await self.journal.epoch()
        if not epoch:
            return await super()._agreed()
        self.budget.adopt(epoch)
        if isinstance(await self.budget.expired(self.clock.now()), Shut):
            await self.budget.rebuild(epoch, await self.journal.booked())
        return epoch
