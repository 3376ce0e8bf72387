"""The batches of the call journal in PostgreSQL: what waits for one, what was sent in one, and what became of each call.

A call in a batch is a row of the call journal like any other. Its token is the batch's name, which is stored with it: so a batcher
that was started anew may say how a call ended that another process sent.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from vigimesh.adapters.postgres.journal import RACES, SHUT, check_answer
from vigimesh.adapters.postgres.line import Row
from vigimesh.adapters.postgres.link import PAUSES_S, Link
from vigimesh.adapters.postgres.schema import blocks
from vigimesh.clock import Clock, SystemClock
from vigimesh.domain.budget.batching import (
    LEASE_S,
    MAX_TRIES,
    Gathered,
    Line,
    Member,
    Sent,
    read_gathered,
    write_gathered,
)
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
from vigimesh.errors import Transient

_FIELDS = (
    "call_id", "case_id", "workflow", "version", "step", "pass_number", "prompt_digest", "model", "worst_micro",
)  # fmt: skip


class PgBatchJournal:
    """`ports.BatchJournal` over PostgreSQL, for one event loop. Raises `Transient` VM-1501 when the server is away."""

    def __init__(
        self, uri: str, *, clock: Clock | None = None, application_name: str = "vigimesh batches",
        pauses_s: tuple[float, ...] = PAUSES_S,
    ) -> None:  # fmt: skip
        """Open nothing yet; `clock` is for waits only."""
        self._link = Link(uri, application_name, clock or SystemClock(), pauses_s)
        self._sql = blocks("batches.sql")
        self._ends = blocks("calls.sql")

    async def close(self) -> None:
        """Close the connections."""
        await self._link.close()

    async def gather(self, one: Gathered) -> str:
        """Let a question wait for a batch; see `ports.BatchJournal`."""
        said = {
            "call_id": one.call_id, "opens_at": one.opens_at, "not_after": one.not_after, "body": write_gathered(one),
            "now": one.gathered_at, "most_tries": MAX_TRIES,
        }  # fmt: skip
        (row,) = await self._link.ask(self._sql["gather"], said)
        return str(row["state"])

    async def state(self, call_id: str) -> str:
        """Return how a question stands; see `ports.BatchJournal`."""
        rows = await self._link.ask(self._sql["state"], {"call_id": call_id})
        return str(rows[0]["state"]) if rows else ""

    async def waiting(self, now: datetime, most: int) -> Sequence[Gathered]:
        """Return what may be sent now; see `ports.BatchJournal`."""
        rows = await self._link.ask(self._sql["waiting"], {"now": now, "most": most})
        return [read_gathered(bytes(row["body"])) for row in rows]

    async def begin_batch(
        self, name: str, calls: Sequence[PaidCall], made_at: datetime
    ) -> frozenset[str] | Shut:
        """Begin the calls of a batch; see `ports.BatchJournal`."""
        plain = [{part: getattr(one, part) for part in _FIELDS} | {"at": one.at.isoformat()} for one in calls]
        said = {
            "name": name, "epoch": calls[0].epoch, "calls": json.dumps(plain), "made_at": made_at, "lease_s": LEASE_S,
        }  # fmt: skip
        (row,) = await self._link.ask(self._sql["begin_batch"], said)
        begun = frozenset(row["begun"]) | frozenset(row["had_begun"])
        return begun if begun or row["is_open"] else Shut(call_id=name, why=SHUT)

    async def open_batches(self) -> Sequence[Sent]:
        """Return the batches that have not ended; see `ports.BatchJournal`."""
        return [_sent(row) for row in await self._link.ask(self._sql["open_batches"], {})]

    async def note(
        self,
        name: str,
        *,
        file_id: str | None = None,
        asked_at: datetime | None = None,
        batch_id: str | None = None,
    ) -> Sent:
        """Write down how far a batch is; see `ports.BatchJournal`."""
        said = {"name": name, "file_id": file_id, "asked_at": asked_at, "batch_id": batch_id}
        rows = await self._link.ask(self._sql["note"], said)
        if not rows:
            raise ended(name)
        return _sent(rows[0])

    async def members(self, name: str) -> Sequence[Member]:
        """Return the calls of a batch; see `ports.BatchJournal`."""
        rows = await self._link.ask(self._sql["members"], {"name": name})
        return [
            Member(
                gathered=read_gathered(bytes(row["body"])), at=row["at"].astimezone(UTC), worst_micro=row["worst_micro"]
            )
            for row in rows
        ]  # fmt: skip

    async def answer(
        self, name: str, call_id: str, answer: bytes | ByDigest, cost_micro: int, usage: Tokens
    ) -> Kept | Overtaken:
        """Store the answer of a call in a batch; see `ports.BatchJournal`."""
        check_answer(call_id, answer, cost_micro)
        said = {
            "answer": answer if isinstance(answer, bytes) else None,
            "answer_digest": answer.digest if isinstance(answer, ByDigest) else None,
            "cost_micro": cost_micro, "prompt": usage.prompt, "cached": usage.cached, "completion": usage.completion,
        }  # fmt: skip
        return await self._end("answer", ANSWERED, name, call_id, said)

    async def not_made(self, name: str, call_id: str, why: str) -> Kept | Overtaken:
        """Write down that a call in a batch was not made; see `ports.BatchJournal`."""
        return await self._end("not_made", NOT_MADE, name, call_id, {"why": why[:MAX_WHY]})

    async def in_doubt(self, name: str, call_id: str, why: str) -> Kept | Overtaken:
        """Write down that nobody knows; see `ports.BatchJournal`."""
        return await self._end("in_doubt", IN_DOUBT, name, call_id, {"why": why[:MAX_WHY]})

    async def lines(self, most: int) -> Sequence[Line]:
        """Return the newest batches, at most `most`, the newest first: for an operator."""
        rows = await self._link.ask(self._sql["lines"], {"most": most})
        return [
            Line(**{
                **row, "made_at": row["made_at"].astimezone(UTC),
                "ended_at": None if row["ended_at"] is None else row["ended_at"].astimezone(UTC),
            })
            for row in rows
        ]  # fmt: skip

    async def end(self, name: str, why: str = "") -> None:
        """End a batch; see `ports.BatchJournal`."""
        said = {"name": name, "why": why[:MAX_WHY], "most_tries": MAX_TRIES}
        await self._link.ask(self._sql["end_batch"], said)

    async def _end(
        self, block: str, wanted: str, name: str, call_id: str, said: dict[str, Any]
    ) -> Kept | Overtaken:
        for _ in range(RACES):
            rows = await self._link.ask(self._ends[block], said | {"call_id": call_id, "token": name})
            state = rows[0]["state"] if rows else ""
            if not rows or not rows[0]["is_mine"] or state not in (wanted, BEGUN, IN_DOUBT):
                return Overtaken(call_id=call_id, state=state)
            if state == wanted:
                return Kept(call_id=call_id, state=wanted)
        raise Transient("VM-2004", what="the call changes hands too fast", where=f"call {call_id}")


def ended(name: str) -> Transient:
    """Return the error for a batch that another process has brought to its end."""
    return Transient("VM-2406", what="the batch has ended meanwhile", where=f"batch {name}")


def _sent(row: Row) -> Sent:
    asked_at = row["asked_at"]
    return Sent(
        name=row["name"], made_at=row["made_at"].astimezone(UTC), file_id=row["file_id"],
        asked_at=None if asked_at is None else asked_at.astimezone(UTC), batch_id=row["batch_id"],
    )  # fmt: skip
