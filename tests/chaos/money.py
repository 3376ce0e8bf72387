"""What chaos did to the money: stand-in, call journal, budget and `usage` are asked, and must say the same."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from chaos.rig import Rig, say
from vigimesh.adapters.kafka.history import scan
from vigimesh.adapters.postgres.journal import PgJournal
from vigimesh.adapters.redis.budget import RedisBudget
from vigimesh.app.in_force.cards import cards_of
from vigimesh.domain.budget.values import Booked, Caps, Shut
from vigimesh.domain.record.spend import Spent
from vigimesh.errors import Transient
from vigimesh.events.topics import topic

#: Seconds for what nobody finished to be given back: a lease, the grace after it, and two sweeps.
SWEPT_S = 180.0
LOOK_S = 1.0
#: The one workflow that pays.
PAYS = "triage"

KEYS = (
    "paid_twice", "overspend_micro", "leaked_reservations", "in_doubt", "model_calls",
    "budget_equals_journal_equals_usage",
)  # fmt: skip

#: Never set: a look again, later.
_PAUSE = threading.Event()


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What journal and budget hold now; amounts in micro-units, `why` while the budget is shut."""

    rows: dict[str, Booked]
    recorded: int = 0
    open: int = 0
    cap: int = 0
    leaked: int = 0
    why: str = ""

    @property
    def agree(self) -> bool:
        """Whether nothing is under way any more and both say the same."""
        states = [row.state for row in self.rows.values()]
        settled = sum(row.amount_micro for row in self.rows.values() if row.state == "settled")
        doubtful = sum(row.amount_micro for row in self.rows.values() if row.state == "in_doubt")
        return not self.why and "open" not in states and (self.recorded, self.open) == (settled, doubtful)


def told(rig: Rig) -> dict[str, Any]:
    """Wait until the books agree, `SWEPT_S` seconds at most, and return what is known of the money."""
    deadline_s = time.monotonic() + SWEPT_S
    while True:
        try:
            books = asyncio.run(_books(rig))
        except Transient as error:
            books = Books(rows={}, why=str(error))
        if books.agree or time.monotonic() > deadline_s:
            break
        _PAUSE.wait(LOOK_S)
    if not books.agree:
        say(f"the books do not agree: {books.why or (books.recorded, books.open, books.leaked)}")
    used = Spent()
    for row in scan(rig.bootstrap, [topic("usage")]):
        if row.value is not None:
            used.add(rig.codec.decode(row.topic, row.value))
    settled = {name: row.amount_micro for name, row in books.rows.items() if row.state == "settled"}
    billed = rig.standin.account()["billed"]
    return {
        "paid_twice": max(0, billed - len(books.rows)),
        "overspend_micro": max(0, books.recorded + books.open - books.cap),
        "leaked_reservations": books.leaked,
        "in_doubt": sum(row.state == "in_doubt" for row in books.rows.values()),
        "model_calls": len(settled), "calls_used": len(used.calls), "billed": billed,
        "budget_equals_journal_equals_usage": books.agree and used.calls.items() <= settled.items(),
    }  # fmt: skip


async def _books(rig: Rig) -> Books:
    budget, journal = RedisBudget.open(rig.settings.redis.url), PgJournal(rig.settings.postgres.dsn)
    try:
        epoch = await journal.epoch()
        rows = {row.call_id: row for row in await journal.booked()}
        budget.adopt(epoch)
        card = cards_of(rig.settings).named(PAYS)
        assert card is not None
        now = datetime.now(UTC)
        standing = await budget.standing(PAYS, Caps.of(card), now)
        held = await budget.expired(now + timedelta(days=1))
        if isinstance(standing, Shut) or isinstance(held, Shut):
            return Books(rows=rows, why=standing.why if isinstance(standing, Shut) else "shut")
        month = next(row for row in standing.windows if row.window == "month")
        leaked = sum(one.call_id not in rows or rows[one.call_id].state == "settled" for one in held)
        return Books(
            rows=rows,
            recorded=month.recorded_micro,
            open=month.open_micro,
            cap=month.cap_micro,
            leaked=leaked,
        )
    finally:
        await journal.close()
        await budget.close()
