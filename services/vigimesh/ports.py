"""What stages and background processes need from outside, as Protocols; adapters implement them, `app/wiring` joins the two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from vigimesh.clock import Deadline
from vigimesh.domain.budget.batching import Gathered, Item, Member, Sent
from vigimesh.domain.budget.calls import (
    Answered,
    Begun,
    Busy,
    ByDigest,
    Claimed,
    Current,
    Doubtful,
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
from vigimesh.events.classes import Passage
from vigimesh.loop.broker import Batch, Part, Record


class Objects(Protocol):
    """A content-addressed, create-only store: the name of an object is the SHA-256 of its bytes."""

    def put(self, data: bytes) -> str:
        """Store `data` once and return its digest; storing the same bytes again is no error.

        Raises `Transient` when the store is away or full.
        """
        ...

    def get(self, digest: str) -> bytes:
        """Return the bytes; raises `Refused` VM-1601 when there are none, `Broken` VM-1602 when they do not fit."""
        ...


class Search(Protocol):
    """Looks passages up in the knowledge base."""

    def search(self, questions: Sequence[str], limit: int) -> Sequence[tuple[Passage, ...]]:
        """Return for each question at most `limit` passages, best first; a whole batch in one round trip.

        Raises `Transient` VM-1501 when the base is away.
        """
        ...


class Models(Protocol):
    """Puts a question to a large model, once: it never retries, because a retry may be billed again."""

    async def ask(self, question: Question) -> Answer | NotMade | InDoubt:
        """Return within `question.deadline_s` seconds how the question ended; raises nothing of its own.

        *Answer*: whole, with the tokens it used. *NotMade*: nothing is owed (429, 503, no connection, a request that was
        refused). *InDoubt*: it may have been billed (500, 502, 504, time-out, cut, unreadable, without usage). Cancelled,
        it leaves no connection open, and the call is in doubt as well.
        """
        ...

    async def close(self) -> None:
        """Close all connections, in the event loop that asked."""
        ...


@dataclass(frozen=True, slots=True, order=True)
class Spot:
    """Where a record lies."""

    part: Part
    offset: int


class ParkedTopic(Protocol):
    """Reads `parked` in its group, always from the start of the log, and again at any offset."""

    async def poll(self, max_records: int, timeout_s: float) -> Batch:
        """Return at most `max_records` committed records, waiting up to `timeout_s` for the first; a tombstone has no bytes.

        As `loop.broker.Consumer.poll`, but a partition that comes is read from the start of its log.
        """
        ...

    async def ends(self, parts: Sequence[Part]) -> Mapping[Part, int]:
        """Return where each partition ends now, open transactions included (the high watermark).

        Asked only when no transaction that holds a position of the group is under way in the partition: from then on its
        former owner is refused, so that whatever it could still write lies below this end. A partition for which that
        is not known yet is left out. Raises `Transient` when the broker is away.
        """
        ...

    async def fetch(self, spots: Sequence[Spot], max_bytes: int) -> Mapping[Spot, Record | None]:
        """Read records again; `None` for one that is no longer there.

        What is left when `max_bytes` have been read is left out; at least one is read. Raises `Transient` when the
        broker is away.
        """
        ...

    async def topics(self) -> frozenset[str]:
        """Return the names of the topics that are there now. Raises `Transient` when the broker is away."""
        ...

    async def close(self) -> None:
        """Leave the group."""
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

    The order is: reserve in the budget, `begin`, make the call, `answer` (or `not_made`, `in_doubt`), settle (or release) in the
    budget, use the answer. Whatever stops a process in between, the call was made at most once and what it may have cost is
    counted. All raise `Transient` VM-1501 while the server is away: then nobody knows whether it was done, and the same may
    be asked again.
    """

    async def begin(self, call: PaidCall) -> Begun | Answered | Busy | Doubtful | Shut:
        """Look the call up by its id, and begin it when nobody has, or when it was not made.

        `Begun` is the only leave to make it. A begun call whose lease ran out is in doubt from then on. `Shut` when the epoch
        of the call is not the current one or its reservation has lapsed by the journal's clock (checked in the same statement),
        or when the journal lacks what was seen of it; an answer that is there is given all the same. Cancelled, it is given back
        as not made.
        """
        ...

    async def begin_in_turn(
        self, call: PaidCall, deadline: Deadline
    ) -> Begun | Answered | Busy | Doubtful | Shut:
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

    async def newest_seen(self) -> datetime | None:
        """Return the newest `at` among the calls; `None` when there is none."""
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


class BatchJournal(Protocol):
    """Batches in the call journal, whose name is what their calls are ended by. All raise `Transient` VM-1501 as `Journal` does."""

    async def gather(self, one: Gathered) -> str:
        """Let a question wait for a batch, if it has not been in too many; return `waiting`, `sent`, or else `ended`.

        The same again changes nothing: one that was not sent while it might be is `ended`, and is to be paid at once.
        """
        ...

    async def waiting(self, now: datetime, most: int) -> Sequence[Gathered]:
        """Return at most `most` of those that may be sent at `now`, the first gathered first."""
        ...

    async def begin_batch(
        self, name: str, calls: Sequence[PaidCall], made_at: datetime
    ) -> frozenset[str] | Shut:
        """Begin a batch and its calls at once, all of one epoch; return the ids that have begun.

        Those that another began or that are answered are left out and wait no longer. `Shut` when the epoch is not the current one.
        """
        ...

    async def open_batches(self) -> Sequence[Sent]:
        """Return the batches that have not ended, the oldest first."""
        ...

    async def note(
        self,
        name: str,
        *,
        file_id: str | None = None,
        asked_at: datetime | None = None,
        batch_id: str | None = None,
    ) -> Sent:
        """Write down how far a batch is: what is `None` stays. Raises `Transient` VM-2406 when it has ended."""
        ...

    async def members(self, name: str) -> Sequence[Member]:
        """Return the calls of a batch, the first gathered first."""
        ...

    async def answer(
        self, name: str, call_id: str, answer: bytes | ByDigest, cost_micro: int, usage: Tokens
    ) -> Kept | Overtaken:
        """Store the answer of a call in the batch `name`, as `Journal.answer` does."""
        ...

    async def not_made(self, name: str, call_id: str, why: str) -> Kept | Overtaken:
        """Write down that a call in the batch was certainly not made."""
        ...

    async def in_doubt(self, name: str, call_id: str, why: str) -> Kept | Overtaken:
        """Write down that nobody knows whether a call in the batch was made."""
        ...

    async def end(self, name: str, why: str = "") -> None:
        """End a batch: what of it was not made waits for another one, a bounded number of times. The same again changes nothing."""
        ...

    async def close(self) -> None:
        """Leave the server."""
        ...


class Batches(Protocol):
    """Batches of an endpoint. All raise `Transient` VM-2402 when it is away or fails: then nobody knows whether it was done."""

    async def upload(self, items: Sequence[Item]) -> str:
        """Send the questions as a file and return its id. It costs nothing, so it may be sent again."""
        ...

    async def create(self, file_id: str, name: str) -> str:
        """Begin a batch that carries `name`, and return the endpoint's id of it."""
        ...

    async def find(self, name: str, since: datetime) -> str:
        """Return the endpoint's id of the batch that carries `name`, created after `since`; empty when there is none."""
        ...

    async def results(self, batch_id: str) -> Mapping[str, Answer | NotMade | InDoubt] | None:
        """Return how each question ended, by the key of its item; `None` while the batch goes on.

        A key that is missing has no result. *NotMade* is what the endpoint lists as failed or not come to; it bills none of it.
        """
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class Agreement(Protocol):
    """Knows whether the budget agrees with the journal, and sees to it that it does (`background/books`)."""

    async def epoch(self) -> str:
        """Return the epoch under which they agree; empty when they do not within a short time."""
        ...

    def doubt(self, epoch: str, *, lost: bool = False) -> None:
        """Say that under this epoch the budget was shut or the journal away; `lost`: it lacks a call that it must know."""
        ...
