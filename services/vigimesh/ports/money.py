"""What a paid call needs: the budget, the journal of calls, and whether both agree."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from vigimesh.clock import Deadline
from vigimesh.domain.budget.calls import (
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
)
from vigimesh.domain.budget.values import (
    Ask,
    Booked,
    Caps,
    Denied,
    Lapsed,
    NotReserved,
    Raise,
    Raised,
    Released,
    Reserved,
    Settled,
    Shut,
    Standing,
)
from vigimesh.domain.cascade.question import Answer, InDoubt, NotMade, Question, Tokens


class Models(Protocol):
    """Puts a question to a large model, once: it never retries, because a retry may be billed again."""

    async def ask(
        self, question: Question, leave: Awaitable[None] | None = None
    ) -> Answer | NotMade | InDoubt:
        """Return within `question.deadline_s` seconds how the question ended; raises nothing of its own.

        *Answer*: whole, with the tokens it used. *NotMade*: nothing is owed (429, 503, no connection, a request that was
        refused). *InDoubt*: it may have been billed (500, 502, 504, time-out, cut, unreadable, without usage). Cancelled,
        it leaves no connection open, and the call is in doubt as well.

        With `leave` the question is made ready at once, and no byte goes out before that is given; the seconds count from then on.
        Cancelled before, or where `leave` is, nothing was made.
        """
        ...

    async def close(self) -> None:
        """Close all connections, in the event loop that asked."""
        ...


class Budget(Protocol):
    """Reserves the worst case of a paid call, settles what it cost, releases what was not made; micro-units, per workflow.

    Every operation is atomic and idempotent by call id, so that it may be sent again when its answer was lost. `Shut` is
    the answer until the store is known to hold what the journal does: its epoch is the one named by `adopt` or `rebuild`,
    and the store's process is the one it was built in.
    """

    def adopt(self, epoch: str) -> None:
        """Name the journal's epoch, as this process knows it, in every call from now on; without one all is shut."""
        ...

    async def reserve(self, asks: Sequence[Ask]) -> Sequence[Reserved | Denied | Shut]:
        """Answer each ask, in their order and in one round trip; each is decided by itself.

        Raises `ValueError` for more asks than fit one round trip.
        """
        ...

    async def settle(self, call_id: str, workflow: str, actual_micro: int) -> Settled | NotReserved | Shut:
        """Trim the reservation of a call to what it cost, in the windows it was reserved in.

        The first amount stands. Raises `ValueError` for an amount that is none.
        """
        ...

    async def release(self, call_id: str, workflow: str, until: datetime | None = None) -> Released | Shut:
        """Give the reservation of a call back that was not made; with `until` only the one whose lease ends then.

        Without it, whoever comes late may take what another reserved for the same call meanwhile.
        """
        ...

    async def standing(self, workflow: str, caps: Caps, at: datetime) -> Standing | Shut:
        """Return how the minute, day and month of `at` stand. Raises `Transient` VM-1910 when the store is away."""
        ...

    async def raise_cap(self, order: Raise) -> Raised | Shut:
        """Let a cap be higher until a time. A rebuild forgets it. Raises `Transient` VM-1910 when the store is away."""
        ...

    async def expired(self, at: datetime, skip: int = 0) -> Sequence[Lapsed] | Shut:
        """Return reservations whose lease has run out, a bounded number at once; they stay held until settled or released.

        In one order, of which the first `skip` are left out.

        Raises `Transient` VM-1910 when the store is away.
        """
        ...

    async def run_id(self) -> str:
        """Return the name of the store's process, which a rebuild is claimed for. Raises `Transient` VM-1910 when it is away."""
        ...

    async def rebuild(self, epoch: str, rows: Iterable[Booked]) -> None:
        """Put in force what the journal's rows say, all at once, and adopt the epoch.

        Where this epoch is in force in this process of the store already nothing changes, so that many may do it. Each
        rebuild needs a new epoch, and the rows read after it was claimed: with an old one a call may begin that was
        reserved in what was lost. Raises `Transient` VM-1910 when the store is away, VM-1912 when others keep
        rebuilding with other epochs.
        """
        ...


class Journal(Protocol):
    """The call journal: what was paid for is remembered, so that it is paid once.

    The order is: reserve in the budget, `begin`, make the call, `answer` (or `not_made`, `in_doubt`), then use the answer and settle (or
    release) in the budget. Whatever stops a process in between, the call was made at most once and what it may have cost is
    counted. All raise `Transient` VM-1501 while the server is away: then nobody knows whether it was done, and the same may
    be asked again.
    """

    async def begin(self, call: PaidCall) -> Begun | Answered | Busy | Doubtful | GivenBack | Shut:
        """Look the call up by its id, and begin it when nobody has, or when it was not made: then on a reservation of one's own.

        `Begun` is the only leave to make it. A begun call whose lease ran out is in doubt from then on. `Shut` when the epoch
        of the call is not the current one or its reservation has lapsed by the journal's clock (checked in the same statement),
        or when the journal lacks what was seen of it; an answer that is there is given all the same. Cancelled, it is given back
        as not made.
        """
        ...

    async def begin_in_turn(
        self, call: PaidCall, deadline: Deadline
    ) -> Begun | Answered | Busy | Doubtful | GivenBack | Shut:
        """Begin a call, waiting for whoever makes it now; `Busy` when the deadline comes first."""
        ...

    async def answer(
        self, call_id: str, answer: bytes | ByDigest, cost_micro: int, usage: Tokens
    ) -> Kept | Overtaken:
        """Store the answer of a call that this process began: before anybody uses it. The first answer stays.

        Also when the call was given up as in doubt meanwhile: the truth counts, however late. Raises `Refused` VM-2001 for
        more than 64 KiB of bytes, `ValueError` for a cost that is no amount. `Overtaken`: this process did not begin it; what it cost must be counted elsewhere.
        """
        ...

    async def not_made(self, call_id: str, why: str) -> Kept | Overtaken:
        """Write down that a call which this process began was certainly not made: it may begin again and costs nothing."""
        ...

    async def in_doubt(self, call_id: str, why: str) -> Kept | Overtaken:
        """Write down that nobody knows whether a call was made: its worst case counts until `resolve`."""
        ...

    async def booked(self) -> Sequence[Booked]:
        """Return every call that counts in a window still open, oldest beginning first: what the budget is rebuilt from.

        A month is open until it ends (UTC), a case until 400 days after its last call. Calls that were not made are left out.
        """
        ...

    async def booked_of(self, call_ids: Sequence[str]) -> Mapping[str, Booked]:
        """Return what stands behind reservations that expired; one that is missing was never begun, or not made."""
        ...

    async def epoch(self, usage_at: datetime | None = None) -> str:
        """Return the epoch under which paid calls may begin; empty when there is none now.

        `usage_at` is the `at` of the newest paid call that `usage` knows. An answer is stored before it is used, so a journal
        without a call as new was restored from an old copy: then, and from then on, paid calls are refused.
        """
        ...

    async def opened_epoch(self, deadline: Deadline) -> str:
        """Return the epoch as soon as one is open; empty when the deadline comes first."""
        ...

    async def claim_epoch(self, run_id: str) -> Claimed | Rebuilding | Current | Shut:
        """Take the rebuild of the budget for a run of its server; of many processes at once one gets `Claimed`.

        Read `epoch` first, then the server's `run_id`, then claim: a claim holds only if the epoch is still as it was read, and
        `Current` says that somebody has opened one since. From the claim on nothing begins until `open_epoch`. The same
        `run_id` may be claimed again, when the server was emptied. `Shut` when the journal itself is an old copy.
        """
        ...

    async def open_epoch(self, epoch: str) -> Kept | Overtaken:
        """Let paid calls begin under a claimed epoch, once the budget is rebuilt; `Overtaken` when another was claimed."""
        ...

    async def calls(self, state: str | None = None) -> Sequence[Line]:
        """Return the oldest calls in a state (`domain.budget.calls.STATES`), or in any; at most 1,000."""
        ...

    async def resolve(self, call_id: str, cost_micro: int | None, reason: str) -> Resolved:
        """Write down the truth about a call in doubt: what it cost, or `None` when it was not made (it may begin again).

        The same again changes nothing. Raises `Refused`: VM-2002 for an unknown id, VM-2003 when the call is not in doubt,
        VM-2005 without a reason or with a cost that is no amount. The budget must be told: settle, or release.
        """
        ...

    async def close(self) -> None:
        """Let what was cancelled be given back, then leave the server."""
        ...


class Agreement(Protocol):
    """Knows whether the budget agrees with the journal, and sees to it that it does (`background/books`)."""

    async def epoch(self) -> str:
        """Return the epoch under which they agree; empty when they do not within a short time."""
        ...

    def doubt(self, epoch: str, *, lost: bool = False) -> None:
        """Say that under this epoch the budget was shut or the journal away; `lost`: it lacks a call that it must know."""
        ...
