"""The till of one tool-executor: opened in its event loop, it answers needs of kind `model` by paying for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from vigimesh.errors import said
from vigimesh.loop.orders import ANY_CALLS
from vigimesh.loop.outcome import Need
from vigimesh.tool_executor.choosing import pay_to_one
from vigimesh.tool_executor.paying import Payer
from vigimesh.tool_executor.purchase import Paid, Purchase, Unpaid, name_of, plain


class Keeper(Protocol):
    """Keeps the budget in agreement with the journal (`background/books`)."""

    async def keep(self) -> None:
        """Go on until cancelled."""
        ...


_log = logging.getLogger(__name__)

#: Seconds that a call waits for the till to open: beyond it, its case goes on without an opinion.
OPEN_S = 10.0
#: Seconds before what could not be opened is tried again.
AGAIN_S = 5.0

#: Opens all that paying needs, in the running event loop, and closes it again.
Opening = Callable[[], AbstractAsyncContextManager[tuple[Payer, Keeper]]]


@dataclass(slots=True)
class Till:
    """Pays for what one loop needs. `keep` goes on beside the loop; `pay` waits until it has opened.

    `tell` is told why it cannot be opened. `calls` says how many paid calls a minute the orders in force let a workflow make: its card's own cap holds besides.
    `held` says why an order in force leaves a purchase no money; empty where none does.
    """

    open: Opening
    calls: Callable[[str], int] = lambda workflow: ANY_CALLS
    held: Callable[[Purchase], str] = lambda wanted: ""
    tell: Callable[[str], None] = lambda why: None
    _payer: Payer | None = None
    _opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def keep(self) -> None:
        """Open, keep the books until cancelled, and close when what goes on with replies has come to its end.

        What fails is said and tried again: a till that cannot be opened costs opinions, never the work of its lane.
        """
        while True:
            try:
                async with self.open() as (payer, books):
                    self._payer = payer
                    self._opened.set()
                    try:
                        await books.keep()
                    finally:
                        self._payer = None
                        await payer.close()
            except Exception as error:  # noqa: BLE001  see above
                self._opened.set()  # nobody waits for it any more
                _log.error("nothing can be paid for, tried again in %g s: %s", AGAIN_S, said(error))
                self.tell(said(error))
            await asyncio.sleep(AGAIN_S)

    async def pay(self, need: Need) -> dict[str, Any]:
        """Return what came of the purchase in a need, as plain values. Raises nothing, save when it is cancelled.

        Whatever keeps an opinion from being paid for is no fault of the case: it goes on without, and says why.
        """
        wanted = need.asked
        assert isinstance(wanted, Purchase)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._opened.wait(), OPEN_S)
        if self._payer is None:
            return plain(
                Unpaid(call_id=name_of(wanted), reason="away", detail="what pays could not be opened"), wanted
            )
        least = min(wanted.caps.calls_per_minute, self.calls(wanted.workflow))
        wanted = replace(wanted, caps=replace(wanted.caps, calls_per_minute=least))
        try:
            return plain(await self._came_of(self._payer, wanted), wanted)
        except Exception as error:  # noqa: BLE001  money never stops a case, whatever a store or a defect raises
            _log.warning("an opinion was not paid for: %s", said(error))
            return plain(Unpaid(call_id=name_of(wanted), reason="lost", detail=said(error)), wanted)

    async def _came_of(self, payer: Payer, wanted: Purchase) -> Paid | Unpaid:
        """Return what came of a purchase; one that an order holds is not paid, and what an earlier try paid for is used all the same."""
        if not (why := self.held(wanted)):
            return await pay_to_one(payer, wanted)
        found = await payer.found(wanted)
        return Unpaid(call_id=name_of(wanted), reason="ceiling", detail=why) if found is None else found
