"""What the call journal counts in the windows of a moment, for who compares it with the budget."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from vigimesh.adapters.postgres.link import Link
from vigimesh.adapters.postgres.schema import blocks
from vigimesh.clock import Clock
from vigimesh.domain.budget.agreement import FIRM, Counted


async def counted_at(uri: str, at: datetime, clock: Clock) -> Sequence[Counted]:
    """Return what counts in the day and the month of `at`, by workflow; the budget was looked at then, or a little later.

    Raises `Transient` VM-1501 when the journal is away.
    """
    link = Link(uri, "vigimesh budget", clock)
    try:
        rows = await link.ask(blocks("calls.sql")["counted"], {"at": at, "firm_at": at - FIRM})
    finally:
        await link.close()
    return [Counted(**row) for row in rows]
