"""A payer that lets what may wait be gathered for a batch, and pays for everything else at once.

What it gathers is told as not paid, until when: the case is parked, and looks for its answer an hour after the window has opened, when it closes, and
each hour after that while the batch goes on. Once there, the answer is in the call journal, where any payer finds it; what was not sent in its
window, or not made, is paid for at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from vigimesh.domain.budget.batching import Gathered, gathers_until
from vigimesh.domain.budget.waiting import waits_until
from vigimesh.errors import Refused, Transient
from vigimesh.ports import BatchJournal
from vigimesh.tool_executor.paying import Payer
from vigimesh.tool_executor.purchase import Paid, Purchase, Unpaid, name_of

#: How much later a case looks again for the answer of a batch: most are over within hours, and a look costs the case a round through its stage.
LATER = timedelta(hours=1)


@dataclass(slots=True, kw_only=True)
class GatheringPayer(Payer):
    """A `Payer` that asks first whether a purchase may wait."""

    gathered: BatchJournal
    #: Told what gathering a question came to: `waiting`, `sent` or `ended`.
    counted: Callable[[str], None] = lambda state: None

    async def pay(self, wanted: Purchase) -> Paid | Unpaid:
        """Return the answer, or that it waits for a batch (`gathered`, until `retry_at`); see `Payer.pay`.

        Where that cannot be written down, it is paid at once.
        """
        try:
            until = await self._waits(wanted, self.clock.now())
        except Transient:
            until = None
        if until is not None:
            return Unpaid(call_id=name_of(wanted), reason="gathered", retry_at=until)
        return await Payer.pay(self, wanted)  # `super()` does not know a class that slots have made anew

    async def _waits(self, wanted: Purchase, now: datetime) -> datetime | None:
        """Gather a purchase that may wait; return when to look for its answer, `None` when it is to be paid at once."""
        may = wanted.may_wait
        if may is None:
            return None
        call_id, again_at = name_of(wanted), now + LATER
        found = gathers_until(may.triage, may.lane, may.received_at, may.window, now, call_id)
        if found is None or not self._sold(wanted, now):
            # Its batch may go on all the same: that another window leaves no room says nothing of the one that it was sent in.
            has_room = waits_until(may.triage, may.lane, may.received_at, again_at, call_id) is not None
            sent = may.lane == "cold" and has_room and await self.gathered.state(call_id) == "sent"
            return again_at if sent else None
        opens_at, closes_at, _ = found
        one = Gathered(
            call_id=call_id, case_id=wanted.case_id, workflow=wanted.workflow, version=wanted.version, step=wanted.step,
            pass_number=wanted.pass_number, question=wanted.question, caps=wanted.caps, gathered_at=now, opens_at=opens_at,
            not_after=closes_at,
        )  # fmt: skip
        state = await self.gathered.gather(one)
        self.counted(state)
        match state:
            case "waiting":
                return min(max(now, opens_at) + LATER, closes_at)
            case "sent":
                return again_at
        return None

    def _sold(self, wanted: Purchase, now: datetime) -> bool:
        """Return whether the model is sold in batches, in the workflow's currency."""
        try:
            self.prices.price(wanted.question.model, now).in_batch().must_be_in(wanted.caps.currency)
        except Refused:
            return False
        return True
