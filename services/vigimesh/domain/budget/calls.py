"""A paid call as the call journal remembers it: what it was asked for, and what each operation may answer.

States: *begun* (somebody may be calling), *answered*, *not made* (may begin again), *in doubt* (perhaps made, its answer
lost: not called again in this pass, its worst case counted), *made* (was in doubt; a person found that it had been made, and
for how much). Money is in micro-units of the currency of the workflow's card.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from vigimesh.domain.budget.values import MAX_LEASE_S, State, cannot_be, check_call
from vigimesh.domain.cascade.question import Tokens
from vigimesh.events.ids import call_id

#: Bytes of an answer that the journal takes itself: what an event may carry too (`loop.worker.INLINE_BYTES`).
MAX_ANSWER_BYTES = 65_536
#: Seconds a begun call is left to its owner: the longest call (10 minutes is what model endpoints allow) is given its own.
LEASE_S = 120.0
#: Longest reason or cause that is kept, in characters.
MAX_WHY = 500

BEGUN, ANSWERED, NOT_MADE, IN_DOUBT, MADE = "begun", "answered", "not_made", "in_doubt", "made"
#: Every state, as `vigimesh calls list --state` takes it.
STATES = (BEGUN, ANSWERED, NOT_MADE, IN_DOUBT, MADE)

#: Why a call is in doubt whose owner was not heard of again.
LEASE_RAN_OUT = "its owner's lease ran out without an answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidCall:
    """A call that is about to be paid for.

    `call_id` is `events.ids.call_id` of case, version, step, pass and prompt digest. `at` (with zone) is the moment of the
    reservation: the call counts in the windows of this moment. `epoch` is what `Journal.epoch` gave. After `lease_s` seconds
    without an answer the call is in doubt. `own` says that this try made the reservation; on another's begins only what nobody
    has begun before: who began it, and did not make it, may be giving the reservation back.
    """

    call_id: str
    case_id: str
    workflow: str
    version: str
    step: str
    pass_number: int
    prompt_digest: str
    model: str
    worst_micro: int
    epoch: str
    at: datetime
    lease_s: float = LEASE_S
    own: bool = True

    def __post_init__(self) -> None:
        """Raise `Refused` VM-1902 for a call that is none: what begins here must be such that the budget can book it."""
        check_call(self.call_id, self.workflow, self.case_id, self.worst_micro, self.at)
        named = call_id(self.case_id, self.version, self.step, self.pass_number, self.prompt_digest)
        if self.call_id != named:
            raise cannot_be(f"call_id (made from what it names: {named})", self.call_id, self.call_id)
        if not 0 < self.lease_s <= MAX_LEASE_S:
            raise cannot_be("lease_s", self.lease_s, self.call_id)

    @property
    def begin_by(self) -> datetime:
        """Until when it may begin: its own lease from the reservation on, which is never longer than the reservation's.

        Later the sweep may have given the reservation back.
        """
        return self.at + timedelta(seconds=self.lease_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class ByDigest:
    """An answer of more than 64 KiB: it lies in the object store under this digest, put there before."""

    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """The call is yours to make, once. Do not begin it after `until`, when it is given up as in doubt."""

    call_id: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The call was made before, reserved at `at`: here is its answer, already paid."""

    call_id: str
    at: datetime
    answer: bytes | ByDigest
    cost_micro: int
    usage: Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """Somebody else makes this very call; ask again, and no later than `until` there is another answer."""

    call_id: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenBack:
    """Begun before and not made, and the reservation under it is not this try's own: it may be on its way back."""

    call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubtful:
    """Perhaps made, its answer is lost: not to be made again in this pass. `counted_micro` is what it counts for."""

    call_id: str
    why: str
    counted_micro: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What was said about a call is stored; saying it again changes nothing."""

    call_id: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overtaken:
    """Nothing was stored: the call, or the epoch, stands otherwise by now (`state`), or is somebody else's."""

    call_id: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """The rebuild is yours: read `booked`, rebuild the budget under `epoch`, then `open_epoch`, before `until`."""

    epoch: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilding:
    """Another process rebuilds under `epoch`; if it has not finished by `until`, the rebuild may be claimed again."""

    epoch: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """`epoch` was opened since you looked last: read it and the server's `run_id` anew."""

    epoch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A call as an operator sees it. `counted_micro` is what it counts for now; `token` and answer are left out."""

    call_id: str
    case_id: str
    workflow: str
    step: str
    pass_number: int
    model: str
    state: str
    why: str
    worst_micro: int
    counted_micro: int
    at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was answered to a call: `answer` as `question.write_answer` wrote it, `None` when it is larger than a row holds."""

    number: int
    call_id: str
    case_id: str
    version: str
    step: str
    prompt_digest: str
    at: datetime
    answer: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The truth about a call that was in doubt: what it counted for, and what it counts for now."""

    call_id: str
    workflow: str
    state: str
    before_micro: int
    after_micro: int


def state_at(state: str, lease_until: datetime, now: datetime) -> str:
    """Return the state of a row: begun becomes in doubt when its lease has run out, whether or not anybody wrote it down."""
    return IN_DOUBT if state == BEGUN and lease_until <= now else state


def counted_micro(state: str, worst_micro: int, cost_micro: int | None) -> int:
    """Return what a call counts for: its cost once known, nothing when it was not made, else the worst case."""
    if state == NOT_MADE:
        return 0
    return worst_micro if cost_micro is None else cost_micro


def booked_state(state: str) -> State:
    """Return the budget's word for the state of a call that counts."""
    if state == BEGUN:
        return "open"
    return "in_doubt" if state == IN_DOUBT else "settled"
