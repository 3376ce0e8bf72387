"""The call journal in PostgreSQL: a paid call is begun before it is made and answered before its answer is used.

One call costs two round trips, `begin_new` and `answer`, each one statement and one commit; what was begun before is found by a
third, `begin`. Every statement may be asked twice: each beginning has a token, so that whoever asks again after a cut finds its
own. What is left in the dark ends in doubt.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from vigimesh.adapters.postgres.journal_turns import Turns
from vigimesh.adapters.postgres.line import Row
from vigimesh.adapters.postgres.link import PAUSES_S, Link
from vigimesh.adapters.postgres.schema import blocks
from vigimesh.clock import Clock, SystemClock
from vigimesh.domain.budget.calls import (
    ANSWERED,
    BEGUN,
    IN_DOUBT,
    LEASE_RAN_OUT,
    MADE,
    MAX_ANSWER_BYTES,
    MAX_WHY,
    NOT_MADE,
    STATES,
    Answered,
    Begun,
    Busy,
    ByDigest,
    Claimed,
    Current,
    Doubtful,
    GivenBack,
    Kept,
    Line,
    Overtaken,
    PaidCall,
    Rebuilding,
    Resolved,
    Told,
    booked_state,
    counted_micro,
)
from vigimesh.domain.budget.money import is_amount
from vigimesh.domain.budget.values import Booked, Shut
from vigimesh.domain.budget.windows import CASE_DAYS
from vigimesh.domain.cascade.question import Tokens
from vigimesh.errors import Refused, Transient, VigimeshError
from vigimesh.events.classes import UsageRecorded

#: Seconds that one process has to rebuild the budget before another may: reading a month of a million calls takes 5.
REBUILD_S = 30.0
#: Beginnings that one process remembers, to say how they ended: many times what it has under way.
MAX_REMEMBERED = 10_000
#: How often a statement is asked again because another process changed its row in between.
RACES = 5
#: Lines that `calls` returns at most.
MAX_LINES = 1_000

SHUT = "the budget's epoch is another by now, or is being rebuilt"
LATE = "its reservation has lapsed by the journal's clock, and may be given back by now"
OLD = "the journal is older than what was seen of it: it was restored from an old copy"


class PgJournal(Turns):
    """`ports.Journal` over PostgreSQL, for one event loop.

    It remembers the newest beginning that it has seen, so that a journal that lacks it (restored from an old copy) is refused.
    Raises `Transient` VM-1501 when the server is away.
    """

    def __init__(
        self, uri: str, *, clock: Clock | None = None, application_name: str = "vigimesh journal",
        rebuild_s: float = REBUILD_S, pauses_s: tuple[float, ...] = PAUSES_S,
    ) -> None:  # fmt: skip
        """Open nothing yet; `clock` is for waits only, the times in the journal are the server's or the caller's."""
        self._link = Link(uri, application_name, clock or SystemClock(), pauses_s)
        self._sql = blocks("calls.sql")
        self._rebuild_s = rebuild_s
        self._tokens: OrderedDict[str, str] = OrderedDict()
        self._seen = 0
        self._usage_at: datetime | None = None
        #: Number of the epoch that was looked at last, and whether it was open.
        self._epoch_seen: tuple[int, bool] | None = None
        self._giving_back: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Let what was cancelled be given back, then close the connections."""
        await asyncio.gather(*self._giving_back, return_exceptions=True)
        await self._link.close()

    async def begin(self, call: PaidCall) -> Begun | Answered | Busy | Doubtful | GivenBack | Shut:
        """Look the call up, and begin it when nobody has; see `ports.Journal`."""
        token = uuid4().hex
        parameters = {
            name: getattr(call, name)
            for name in ("call_id", "case_id", "workflow", "version", "step", "pass_number", "prompt_digest", "model",
                         "worst_micro", "epoch", "at", "lease_s", "begin_by", "own")
        } | {"token": token, "lapsed": LEASE_RAN_OUT}  # fmt: skip
        try:
            found = await self._begin(call, parameters | self._newest())
        except asyncio.CancelledError:
            # It may be begun by now and is certainly not made.
            task = asyncio.ensure_future(self._give_back(call.call_id, token))
            self._giving_back.add(task)
            task.add_done_callback(self._giving_back.discard)
            raise
        if isinstance(found, Begun):
            self._remember(call.call_id, token)
        return found

    async def _begin(
        self, call: PaidCall, parameters: Mapping[str, Any]
    ) -> Begun | Answered | Busy | Doubtful | GivenBack | Shut:
        # Without an epoch it is only looked up.
        new = await self._link.ask(self._sql["begin_new"], parameters) if call.epoch else ()
        if new:
            self._seen = max(self._seen, new[0]["number"])
            return Begun(call_id=call.call_id, until=_utc(new[0]["lease_until"]))
        for _ in range(RACES):
            (row,) = await self._link.ask(self._sql["begin"], parameters)
            if (found := self._begun(call, row)) is not None:
                return found
        raise Transient("VM-2004", what="the call changes hands too fast", where=f"call {call.call_id}")

    def _begun(
        self, call: PaidCall, row: Row
    ) -> Begun | Answered | Busy | Doubtful | GivenBack | Shut | None:
        """Read what `begin` found; `None` when another process changed the row while the statement ran."""
        name, state = call.call_id, row["state"]
        if row["number"] is not None:
            self._seen = max(self._seen, row["number"])
            return Begun(call_id=name, until=_utc(row["lease_until"]))
        if row["is_lapsed"]:
            return Doubtful(call_id=name, why=LEASE_RAN_OUT, counted_micro=row["worst_micro"])
        if state == ANSWERED:
            return Answered(
                call_id=name, at=_utc(row["at"]), answer=_answer(row), cost_micro=row["cost_micro"],
                usage=Tokens(prompt=row["prompt_tokens"], cached=row["cached_tokens"], completion=row["completion_tokens"]),
            )  # fmt: skip
        if state in (IN_DOUBT, MADE):
            counted = counted_micro(state, row["worst_micro"], row["cost_micro"])
            return Doubtful(call_id=name, why=row["why"], counted_micro=counted)
        if state == BEGUN and row["is_mine"]:
            self._seen = max(self._seen, row["old_number"])
            return Begun(call_id=name, until=_utc(row["old_until"]))
        if state == BEGUN:
            return Busy(call_id=name, until=_utc(row["old_until"]))
        if not row["is_new"]:
            return Shut(call_id=name, why=OLD)
        if not row["is_open"]:
            return Shut(call_id=name, why=SHUT)
        if row["is_late"]:
            return Shut(call_id=name, why=LATE)
        return GivenBack(call_id=name) if state == NOT_MADE and not call.own else None

    async def answer(
        self, call_id: str, answer: bytes | ByDigest, cost_micro: int, usage: Tokens
    ) -> Kept | Overtaken:
        """Store the answer, before it is used; see `ports.Journal`."""
        check_answer(call_id, answer, cost_micro)
        return await self._end(
            ANSWERED,
            call_id,
            {
                "answer": answer if isinstance(answer, bytes) else None,
                "answer_digest": answer.digest if isinstance(answer, ByDigest) else None,
                "cost_micro": cost_micro, "prompt": usage.prompt, "cached": usage.cached, "completion": usage.completion,
            },
        )  # fmt: skip

    async def not_made(self, call_id: str, why: str) -> Kept | Overtaken:
        """Write down that the call was not made; see `ports.Journal`."""
        return await self._end(NOT_MADE, call_id, {"why": why[:MAX_WHY]})

    async def in_doubt(self, call_id: str, why: str) -> Kept | Overtaken:
        """Write down that nobody knows; see `ports.Journal`."""
        return await self._end(IN_DOUBT, call_id, {"why": why[:MAX_WHY]})

    async def _end(self, wanted: str, call_id: str, parameters: Mapping[str, Any]) -> Kept | Overtaken:
        block = {ANSWERED: "answer", NOT_MADE: "not_made", IN_DOUBT: "in_doubt"}[wanted]
        said = {**parameters, "call_id": call_id, "token": self._tokens.get(call_id, "")}
        for _ in range(RACES):
            rows = await self._link.ask(self._sql[block], said)
            if not rows or not rows[0]["is_mine"]:
                return Overtaken(call_id=call_id, state=rows[0]["state"] if rows else "")
            if rows[0]["state"] == wanted:
                return Kept(call_id=call_id, state=wanted)
            if rows[0]["state"] not in (BEGUN, IN_DOUBT):
                return Overtaken(call_id=call_id, state=rows[0]["state"])
        raise Transient("VM-2004", what="the call changes hands too fast", where=f"call {call_id}")

    async def _give_back(self, call_id: str, token: str) -> None:
        said = {"call_id": call_id, "token": token, "why": "given up before it was made"}
        try:
            await self._link.ask(self._sql["not_made"], said)
        except VigimeshError:
            pass  # its lease runs out, and it is in doubt

    async def booked(self) -> Sequence[Booked]:
        """Return what the budget is rebuilt from; see `ports.Journal`."""
        return _booked(await self._link.ask(self._sql["booked"], {"case_days": CASE_DAYS}))

    async def booked_of(self, call_ids: Sequence[str]) -> Mapping[str, Booked]:
        """Return what stands behind some reservations; see `ports.Journal`."""
        found = _booked(await self._link.ask(self._sql["booked_of"], {"call_ids": list(call_ids)}))
        return {one.call_id: one for one in found}

    async def epoch(self, usage_at: datetime | None = None) -> str:
        """Return the epoch under which paid calls may begin, or nothing; see `ports.Journal`."""
        if usage_at is not None:
            self._usage_at = max(usage_at, self._usage_at or usage_at)
        row = await self._look_at_epoch()
        self._epoch_seen = row["number"], row["is_open"]
        return str(row["epoch"]) if row["is_open"] and row["is_new"] else ""

    async def claim_epoch(self, run_id: str) -> Claimed | Rebuilding | Current | Shut:
        """Take the rebuild for a run of the budget's server, unless somebody has; see `ports.Journal`."""
        number, saw_open = self._epoch_seen or ((await self._look_at_epoch())["number"], False)
        said = {
            "run_id": run_id, "owner": uuid4().hex, "number": number, "saw_open": saw_open, "lease_s": self._rebuild_s,
        }  # fmt: skip
        for _ in range(RACES):
            (row,) = await self._link.ask(self._sql["claim_epoch"], said | self._newest())
            if row["number"] is not None:
                return Claimed(epoch=row["epoch"], until=_utc(row["lease_until"]))
            if row["is_mine"] and not row["is_open"]:
                return Claimed(epoch=row["old_epoch"], until=_utc(row["old_until"]))
            if not row["is_new"]:
                return Shut(call_id="", why=OLD)
            if row["old_number"] == number and (saw_open if row["is_open"] else row["is_lapsed"]):
                continue  # somebody claimed while the statement ran
            if row["is_open"]:
                return Current(epoch=row["old_epoch"])
            return Rebuilding(epoch=row["old_epoch"], until=_utc(row["old_until"]))
        raise Transient("VM-2004", what="the epoch changes hands too fast", where="journal.epoch")

    async def open_epoch(self, epoch: str) -> Kept | Overtaken:
        """Let paid calls begin under an epoch whose budget is rebuilt; see `ports.Journal`."""
        if await self._link.ask(self._sql["open_epoch"], {"epoch": epoch}):
            return Kept(call_id="", state=epoch)
        return Overtaken(call_id="", state="another epoch was claimed")

    async def calls(self, state: str | None = None) -> Sequence[Line]:
        """Return the oldest calls in a state, or in any, at most `MAX_LINES`; see `ports.Journal`."""
        if state is not None and state not in STATES:
            raise ValueError(f"no state {state!r}")
        block = "calls" if state in (None, ANSWERED) else "unanswered_calls"
        rows = await self._link.ask(self._sql[block], {"state": state, "most": MAX_LINES})
        return [_line(row) for row in rows]

    async def answers(self, after: int = 0) -> Sequence[Told]:
        """Return the oldest answered calls whose number is above `after`, at most `MAX_LINES`, by number. Raises `Transient` as any statement."""
        rows = await self._link.ask(self._sql["answers"], {"after": after, "most": MAX_LINES})
        return [
            Told(**{**row, "at": _utc(row["at"]), "answer": None if row["answer"] is None else bytes(row["answer"])})
            for row in rows
        ]  # fmt: skip

    async def resolve(self, call_id: str, cost_micro: int | None, reason: str) -> Resolved:
        """Write down the truth about a call in doubt; see `ports.Journal`."""
        state = NOT_MADE if cost_micro is None else MADE
        said = {
            "call_id": call_id,
            "state": state,
            "cost_micro": cost_micro,
            "why": checked_reason(reason, cost_micro),
        }
        rows = await self._link.ask(self._sql["resolve"], said)
        if not rows:
            raise no_call(call_id)
        row = rows[0]
        again = row["was_resolved"] and (row["state"], row["cost_micro"], row["why"]) == (
            state,
            cost_micro,
            said["why"],
        )
        if not row["is_resolved"] and not again:
            raise not_in_doubt(call_id, row["state"])
        return Resolved(
            call_id=call_id, workflow=row["workflow"], state=state, before_micro=row["worst_micro"],
            after_micro=counted_micro(state, row["worst_micro"], cost_micro),
        )  # fmt: skip

    async def recover(self, used: Sequence[UsageRecorded], reason: str) -> Sequence[UsageRecorded]:
        """Count paid calls that this journal lacks, or does not know the end of, for what they cost; return those. Raises as `resolve` does."""
        why, found = checked_reason(reason, 0), []
        for one in used:
            said = {
                "call_id": one.call_id, "case_id": one.case_id, "workflow": one.workflow, "step": one.step,
                "pass_number": one.pass_number, "model": one.name, "at": one.called_at, "cost_micro": one.cost_micro, "why": why,
            }  # fmt: skip
            if await self._link.ask(self._sql["recover"], said):
                found.append(one)
        return found

    async def _look_at_epoch(self) -> Row:
        (row,) = await self._link.ask(self._sql["epoch"], self._newest())
        return row

    def _newest(self) -> dict[str, Any]:
        return {"seen": self._seen, "usage_at": self._usage_at}

    def _remember(self, call_id: str, token: str) -> None:
        self._tokens[call_id] = token
        self._tokens.move_to_end(call_id)
        while len(self._tokens) > MAX_REMEMBERED:
            self._tokens.popitem(last=False)


def check_answer(call_id: str, answer: bytes | ByDigest, cost_micro: int) -> None:
    """Raise `Refused` VM-2001 for an answer that belongs into the object store, `ValueError` for a cost that is no amount."""
    if not is_amount(cost_micro):
        raise ValueError(f"no amount: {cost_micro!r}")
    if isinstance(answer, bytes) and len(answer) > MAX_ANSWER_BYTES:
        raise Refused(
            "VM-2001", what=f"an answer of {len(answer):,} bytes", where=f"call {call_id}",
            todo=f"put what is over {MAX_ANSWER_BYTES:,} bytes into the object store and give its digest",
        )  # fmt: skip


def no_call(call_id: str) -> Refused:
    """Return the error for an id that the journal does not hold."""
    return Refused(
        "VM-2002", what=f"no call goes by {call_id!r}", where="call journal",
        todo="see those in doubt: `vigimesh calls list --state in_doubt`",
    )  # fmt: skip


def not_in_doubt(call_id: str, state: str) -> Refused:
    """Return the error for a call whose end is known, or that is still under way."""
    return Refused(
        "VM-2003", what=f"the call is {state.replace('_', ' ')}, not in doubt", where=f"call {call_id}",
        todo="nothing is left to say about it; one that is begun may still be answered by its owner",
    )  # fmt: skip


def checked_reason(reason: str, cost_micro: int | None) -> str:
    """Return the reason as it is kept; raises `Refused` VM-2005 for an empty one, or a cost that is no amount."""
    kept = " ".join(reason.split())[:MAX_WHY]
    if not kept or (cost_micro is not None and not is_amount(cost_micro)):
        raise Refused(
            "VM-2005", what="no reason" if not kept else f"a cost of {cost_micro} micro-units", where="call journal",
            todo="say how you know what became of the call, and what it cost: 0 to a thousand million units",
        )  # fmt: skip
    return kept


def _answer(row: Row) -> bytes | ByDigest:
    return ByDigest(digest=row["answer_digest"]) if row["answer"] is None else bytes(row["answer"])


def _booked(rows: Sequence[Row]) -> list[Booked]:
    return [
        Booked(
            call_id=row["call_id"], workflow=row["workflow"], case_id=row["case_id"], at=_utc(row["at"]),
            amount_micro=counted_micro(row["state"], row["worst_micro"], row["cost_micro"]),
            state=booked_state(row["state"]),
        )
        for row in rows
    ]  # fmt: skip


def _line(row: Row) -> Line:
    return Line(
        call_id=row["call_id"], case_id=row["case_id"], workflow=row["workflow"], step=row["step"],
        pass_number=row["pass_number"], model=row["model"], state=row["state"],
        why=LEASE_RAN_OUT if row["is_lapsed"] else row["why"], worst_micro=row["worst_micro"],
        counted_micro=counted_micro(row["state"], row["worst_micro"], row["cost_micro"]), at=_utc(row["at"]),
        resolved_at=None if row["resolved_at"] is None else _utc(row["resolved_at"]),
    )  # fmt: skip


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
