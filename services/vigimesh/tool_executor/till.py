"""The till of one tool-executor: opened in its event loop, it answers needs of kind `model` by paying for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from vigimesh.errors import Broken, Refused
from vigimesh.loop.outcome import Need
from vigimesh.tool_executor.paying import Payer
from vigimesh.tool_executor.purchase import Purchase, Unpaid, name_of, plain


class Keeper(Protocol):
    """Keeps the budget in agreement with the journal (`background/books`)."""

    async def keep(self) -> None:
        """Go on until cancelled."""
        ...


#: Opens all that paying needs, in the running event loop, and closes it again.
Opening = Callable[[], AbstractAsyncContextManager[tuple[Payer, Keeper]]]


@dataclass(slots=True)
class Till:
    """Pays for what one loop needs. `keep` goes on beside the loop; `pay` waits until it has opened."""

    open: Opening
    _payer: Payer | None = None
    _opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def keep(self) -> None:
        """Open, keep the books until cancelled, and close when what goes on with replies has come to its end."""
        async with self.open() as (payer, books):
            self._payer = payer
            self._opened.set()
            try:
                await books.keep()
            finally:
                await payer.close()

    async def pay(self, need: Need) -> dict[str, Any]:
        """Return what came of the purchase in a need, as plain values. Raises `Transient` while a stored answer is away.

        What cannot be paid for, or whose stored answer is lost, is no fault of the case: it goes on without.
        """
        wanted = need.asked
        assert isinstance(wanted, Purchase)
        await self._opened.wait()
        assert self._payer is not None
        try:
            return plain(await self._payer.pay(wanted))
        except (Refused, Broken) as error:
            return plain(Unpaid(call_id=name_of(wanted), reason="lost", detail=f"{error.code} {error.what}"))
