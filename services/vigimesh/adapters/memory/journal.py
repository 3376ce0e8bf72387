"""The call journal in memory: the twin of `postgres/journal`, held to it by `tests/parity/test_journal.py`.

Several `MemoryJournal` over one `MemoryCalls` are several processes over one server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from vigimesh.adapters.postgres.journal import (
    LATE,
    MAX_LINES,
    OLD,
    REBUILD_S,
    SHUT,
    check_answer,
    checked_reason,
    no_call,
    not_in_doubt,
)
from vigimesh.adapters.postgres.journal_turns import Turns
from vigimesh.clock import Clock
from vigimesh.domain.budget.calls import (
    ANSWERED,
    BEGUN,
    IN_DOUBT,
    LEASE_RAN_OUT,
    MADE,
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
    booked_state,
    counted_micro,
    state_at,
)
from vigimesh.domain.budget.values import Booked, Shut
from vigimesh.domain.budget.windows import CASE_DAYS, span
from vigimesh.domain.cascade.question import Tokens


@dataclass(slots=True)
class _Row:
    call: PaidCall
    number: int
    token: str
    lease_until: datetime
    state: str = BEGUN
    why: str = ""
    cost_micro: int | None = None
    answer: bytes | ByDigest = b""
    usage: Tokens | None = None
    resolved_at: datetime | None = None


@dataclass(slots=True)
class _Epoch:
    number: int = 0
    run_id: str = ""
    lease_until: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    is_open: bool = False

    @property
    def name(self) -> str:
        return f"{self.number:010d}-{self.run_id}"


@dataclass(slots=True)
class MemoryCalls:
    """What the server would hold; `clock` is the server's."""

    clock: Clock
    rows: dict[str, _Row] = field(default_factory=dict)
    epoch: _Epoch = field(default_factory=_Epoch)
    number: int = 0

    def state(self, row: _Row) -> str:
        """Return the state of a row now, a lease that ran out included."""
        return state_at(row.state, row.lease_until, self.clock.now())

    def booked(self, row: _Row) -> Booked:
        """Return what a row weighs in the budget now."""
        state = self.state(row)
        return Booked(
            call_id=row.call.call_id, workflow=row.call.workflow, case_id=row.call.case_id, at=row.call.at,
            amount_micro=counted_micro(state, row.call.worst_micro, row.cost_micro), state=booked_state(state),
        )  # fmt: skip

    def begin(self, call: PaidCall, token: str, until: datetime) -> _Row:
        """Begin a call, whatever was there of it; return its row."""
        self.number += 1
        self.rows[call.call_id] = _Row(call=call, number=self.number, token=token, lease_until=until)
        return self.rows[call.call_id]

    def ordered(self) -> list[_Row]:
        """Return the rows in the order of their beginnings."""
        return sorted(self.rows.values(), key=lambda row: row.number)


class MemoryJournal(Turns):
    """`ports.Journal` in memory; each call gives way to other tasks once before it looks."""

    def __init__(self, calls: MemoryCalls, *, rebuild_s: float = REBUILD_S) -> None:
        """Be one process at `calls`."""
        self._calls = calls
        self._rebuild_s = rebuild_s
        self._tokens: dict[str, str] = {}
        self._seen = 0
        self._usage_at: datetime | None = None
        self._epoch_seen: tuple[int, bool] | None = None

    async def close(self) -> None:
        """There is nothing to close."""

    async def begin(self, call: PaidCall) -> Begun | Answered | Busy | Doubtful | GivenBack | Shut:
        """Look the call up, and begin it when nobody has; see `ports.Journal`."""
        await asyncio.sleep(0)
        row = self._calls.rows.get(call.call_id)
        if row is not None and self._calls.state(row) != NOT_MADE:
            return self._found(row)
        if not self._is_new():
            return Shut(call_id=call.call_id, why=OLD)
        epoch = self._calls.epoch
        if not epoch.is_open or epoch.name != call.epoch:
            return Shut(call_id=call.call_id, why=SHUT)
        if call.begin_by <= self._calls.clock.now():
            return Shut(call_id=call.call_id, why=LATE)
        if row is not None and not call.own:
            return GivenBack(call_id=call.call_id)
        until = self._calls.clock.now() + timedelta(seconds=call.lease_s)
        begun = self._calls.begin(call, uuid4().hex, until)
        self._tokens[call.call_id] = begun.token
        self._seen = max(self._seen, begun.number)
        return Begun(call_id=call.call_id, until=until)

    def _found(self, row: _Row) -> Answered | Busy | Doubtful:
        state, name = self._calls.state(row), row.call.call_id
        if state == BEGUN:
            return Busy(call_id=name, until=row.lease_until)
        if state == ANSWERED:
            assert row.usage is not None
            assert row.cost_micro is not None
            return Answered(
                call_id=name, at=row.call.at, answer=row.answer, cost_micro=row.cost_micro, usage=row.usage
            )
        if row.state == BEGUN:
            row.state, row.why = IN_DOUBT, LEASE_RAN_OUT
        counted = counted_micro(row.state, row.call.worst_micro, row.cost_micro)
        return Doubtful(call_id=name, why=row.why, counted_micro=counted)

    async def answer(
        self, call_id: str, answer: bytes | ByDigest, cost_micro: int, usage: Tokens
    ) -> Kept | Overtaken:
        """Store the answer, before it is used; see `ports.Journal`."""
        await asyncio.sleep(0)
        check_answer(call_id, answer, cost_micro)
        row = self._mine(call_id)
        if isinstance(row, Overtaken):
            return row
        if row.state != ANSWERED:
            row.state, row.why = ANSWERED, ""
            row.answer, row.cost_micro, row.usage = answer, cost_micro, usage
        return Kept(call_id=call_id, state=ANSWERED)

    async def not_made(self, call_id: str, why: str) -> Kept | Overtaken:
        """Write down that the call was not made; see `ports.Journal`."""
        return await self._end(call_id, NOT_MADE, why)

    async def in_doubt(self, call_id: str, why: str) -> Kept | Overtaken:
        """Write down that nobody knows; see `ports.Journal`."""
        return await self._end(call_id, IN_DOUBT, why)

    async def _end(self, call_id: str, wanted: str, why: str) -> Kept | Overtaken:
        await asyncio.sleep(0)
        row = self._mine(call_id)
        if isinstance(row, Overtaken):
            return row
        if row.state == BEGUN or (row.state == IN_DOUBT and wanted == NOT_MADE):
            row.state, row.why = wanted, why[:MAX_WHY]
        if row.state != wanted:
            return Overtaken(call_id=call_id, state=row.state)
        return Kept(call_id=call_id, state=wanted)

    def _mine(self, call_id: str) -> _Row | Overtaken:
        row = self._calls.rows.get(call_id)
        if row is None or row.token != self._tokens.get(call_id):
            return Overtaken(call_id=call_id, state="" if row is None else row.state)
        return row

    async def booked(self) -> Sequence[Booked]:
        """Return what the budget is rebuilt from; see `ports.Journal`."""
        await asyncio.sleep(0)
        now = self._calls.clock.now()
        month, since = span("month", now).opens_at, now - timedelta(days=CASE_DAYS)
        worked_on = {row.call.case_id for row in self._calls.rows.values() if row.call.at > since}
        return [
            self._calls.booked(row)
            for row in self._calls.ordered()
            if row.state != NOT_MADE and (row.call.at >= month or row.call.case_id in worked_on)
        ]

    async def booked_of(self, call_ids: Sequence[str]) -> Mapping[str, Booked]:
        """Return what stands behind some reservations; see `ports.Journal`."""
        await asyncio.sleep(0)
        asked = set(call_ids)
        return {
            row.call.call_id: self._calls.booked(row)
            for row in self._calls.ordered()
            if row.call.call_id in asked and row.state != NOT_MADE
        }

    async def epoch(self, usage_at: datetime | None = None) -> str:
        """Return the epoch under which paid calls may begin, or nothing; see `ports.Journal`."""
        await asyncio.sleep(0)
        if usage_at is not None:
            self._usage_at = max(usage_at, self._usage_at or usage_at)
        epoch = self._calls.epoch
        self._epoch_seen = epoch.number, epoch.is_open
        return epoch.name if epoch.is_open and self._is_new() else ""

    async def claim_epoch(self, run_id: str) -> Claimed | Rebuilding | Current | Shut:
        """Take the rebuild for a run of the budget's server, unless somebody has; see `ports.Journal`."""
        await asyncio.sleep(0)
        epoch, now = self._calls.epoch, self._calls.clock.now()
        number, saw_open = self._epoch_seen or (epoch.number, False)
        if not self._is_new():
            return Shut(call_id="", why=OLD)
        if epoch.number == number and (saw_open if epoch.is_open else epoch.lease_until <= now):
            until = now + timedelta(seconds=self._rebuild_s)
            self._calls.epoch = _Epoch(number=epoch.number + 1, run_id=run_id, lease_until=until)
            return Claimed(epoch=self._calls.epoch.name, until=until)
        if epoch.is_open:
            return Current(epoch=epoch.name)
        return Rebuilding(epoch=epoch.name, until=epoch.lease_until)

    async def open_epoch(self, epoch: str) -> Kept | Overtaken:
        """Let paid calls begin under an epoch whose budget is rebuilt; see `ports.Journal`."""
        await asyncio.sleep(0)
        if self._calls.epoch.name != epoch:
            return Overtaken(call_id="", state="another epoch was claimed")
        self._calls.epoch.is_open = True
        return Kept(call_id="", state=epoch)

    async def calls(self, state: str | None = None) -> Sequence[Line]:
        """Return the oldest calls in a state, or in any, at most `MAX_LINES`; see `ports.Journal`."""
        await asyncio.sleep(0)
        if state is not None and state not in STATES:
            raise ValueError(f"no state {state!r}")
        found = [self._line(row) for row in self._calls.ordered()]
        return [line for line in found if state in (None, line.state)][:MAX_LINES]

    def _line(self, row: _Row) -> Line:
        call, state = row.call, self._calls.state(row)
        return Line(
            call_id=call.call_id, case_id=call.case_id, workflow=call.workflow, step=call.step,
            pass_number=call.pass_number, model=call.model, state=state,
            why=row.why if state == row.state else LEASE_RAN_OUT, worst_micro=call.worst_micro,
            counted_micro=counted_micro(state, call.worst_micro, row.cost_micro), at=call.at,
            resolved_at=row.resolved_at,
        )  # fmt: skip

    async def resolve(self, call_id: str, cost_micro: int | None, reason: str) -> Resolved:
        """Write down the truth about a call in doubt; see `ports.Journal`."""
        await asyncio.sleep(0)
        kept = checked_reason(reason, cost_micro)
        row = self._calls.rows.get(call_id)
        if row is None:
            raise no_call(call_id)
        state = NOT_MADE if cost_micro is None else MADE
        if self._calls.state(row) == IN_DOUBT:
            row.state, row.why, row.cost_micro = state, kept, cost_micro
            row.resolved_at = self._calls.clock.now()
        elif row.resolved_at is None or (row.state, row.cost_micro, row.why) != (state, cost_micro, kept):
            raise not_in_doubt(call_id, row.state)
        worst = row.call.worst_micro
        return Resolved(
            call_id=call_id, workflow=row.call.workflow, state=state, before_micro=worst,
            after_micro=counted_micro(state, worst, cost_micro),
        )  # fmt: skip

    def _is_new(self) -> bool:
        rows = self._calls.rows.values()
        newest = max((row.number for row in rows), default=0)
        return newest >= self._seen and (
            self._usage_at is None or any(row.call.at >= self._usage_at for row in rows)
        )
