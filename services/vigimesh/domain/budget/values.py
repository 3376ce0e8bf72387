"""What is asked of a budget and what it answers. Amounts are micro-units; in the minute's window they are calls."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Literal

from vigimesh.domain.budget.money import MAX_MICRO, is_amount
from vigimesh.domain.budget.windows import Window, is_moment
from vigimesh.domain.policy.cards import Card
from vigimesh.errors import Misconfigured, Refused

State = Literal["open", "settled", "in_doubt"]
STATES: tuple[State, ...] = ("open", "settled", "in_doubt")
#: Why a window takes no more: it is full, or only until calls under way give back what they hold, or an overrun closed it until a
#: person raises its cap or it ends.
Cause = Literal["full", "held", "overrun"]
#: Windows whose cap a person may raise: the others are no sums that a workflow plans with.
Raisable = Literal["day", "month"]
RAISABLE: tuple[Raisable, ...] = ("day", "month")

#: Why a budget is shut, as the scripts and the twin say it.
SHUT = {
    "away": "the budget's store does not answer",
    "empty": "the budget's store holds nothing: it was flushed, or never built",
    "restarted": "the budget's store was started again since the budget was built",
    "epoch": "the budget's store holds another epoch than the journal: an old snapshot, or a rebuild not seen yet",
}

#: Cases of the assumed price that one day holds at least: one that runs away leaves three quarters of the day to the others, and in each shipped
#: card a quarter holds the longest question (2.1 EUR) with its repair (docs/decisions/0053).
CASES_A_DAY = 4
#: Asks of one round trip: twice the batch of a worker.
MAX_ASKS = 1_000
#: Lapsed reservations of one answer; the next comes once the journal has dealt with these.
MAX_LAPSED = 1_000
#: Seconds a lease may last: the longest batch window of a model provider is a day.
MAX_LEASE_S = 7 * 86_400.0
#: Days a raised cap may stand before a person must say again why: a month's plan is made monthly.
MAX_RAISE_DAYS = 31
#: Characters of a reason, for a person to read in the audit.
MAX_REASON = 500

_WORKFLOW = re.compile(r"[a-z][a-z0-9_]{0,63}")
_CALL = re.compile(r"[\x21-\x7e]{1,200}")
#: Characters of a case id: the longest of E2B(R3), C.1.8.1, has 100; tenant and sender come before it.
_MAX_CASE = 1_000


@dataclass(frozen=True, slots=True)
class Caps:
    """What a workflow may spend: micro-units of `currency` a month, day and case, and calls a minute.

    0 means that nothing may be spent; there is no way to say "no cap". Raises `Misconfigured` VM-1901 for a cap that is
    negative, too large or no whole number.
    """

    currency: str
    month_micro: int
    day_micro: int
    case_micro: int
    calls_per_minute: int

    def __post_init__(self) -> None:
        for name in [field.name for field in fields(self)][1:]:
            if not is_amount(value := getattr(self, name)):
                raise Misconfigured(
                    "VM-1901", what=f"cap {name} is {value!r}", where="caps",
                    todo=f"give a whole number from 0 to {MAX_MICRO}; 0 lets nothing be spent",
                )  # fmt: skip

    @classmethod
    def of(cls, card: Card) -> Caps:
        """Return the caps of a workflow card."""
        money = card.budget
        return cls(
            money.currency, money.month_micro, money.day_micro, money.case_micro, card.calls_per_minute
        )

    def at_assumed_price(self) -> Caps:
        """Return the caps at a price that nobody named: a case may cost up to a `CASES_A_DAY`-th of its day.

        The cap of a case is an amount for prices that are known; at the assumed ceiling it would refuse every call for a price that
        nobody charges. Month and day hold as they are, and no case takes the day of the others.
        """
        return replace(self, case_micro=max(self.case_micro, self.day_micro // CASES_A_DAY))

    def of_window(self, window: Window) -> int:
        """Return the cap of a window: micro-units, for the minute calls."""
        of = {"minute": self.calls_per_minute, "day": self.day_micro, "month": self.month_micro}
        return of.get(window, self.case_micro)


@dataclass(frozen=True, slots=True)
class Ask:
    """May this call be made, which costs `worst_micro` at worst? The lease runs `lease_s` seconds from `at`.

    `call_id` is that of the call journal: whoever asks again with it gets the same reservation.
    Raises `Refused` VM-1902 for an id, amount, time or lease that is none.
    """

    call_id: str
    workflow: str
    case_id: str
    worst_micro: int
    at: datetime
    caps: Caps
    lease_s: float

    def __post_init__(self) -> None:
        check_call(self.call_id, self.workflow, self.case_id, self.worst_micro, self.at)
        if not 0 < self.lease_s <= MAX_LEASE_S:
            raise cannot_be("lease_s", self.lease_s, self.call_id)

    @property
    def until(self) -> datetime:
        """When the lease runs out."""
        return self.at + timedelta(seconds=self.lease_s)


@dataclass(frozen=True, slots=True)
class Reserved:
    """The call may be made: `amount_micro` is held in each of its windows, whatever happens, until settled or released.

    `until` is when the lease runs out; then the journal is asked, nothing is given back by itself. A call that is
    settled already answers so too, with what it cost: the journal has its answer.
    """

    call_id: str
    amount_micro: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Denied:
    """The call may not be made: recorded + open + asked is more than the cap of `window`, or an overrun closed it.

    Of several windows the one that opens last is named. `opens_at` is when time alone opens it, None when it never
    does: a case, or a worst case above the whole cap. Where recorded + asked would fit and the leases of what is open end (`held`), it is
    the moment at which enough of them have ended: most calls are settled far below their worst case before. What is in doubt has no lease any more.
    """

    call_id: str
    window: Window
    cap_micro: int
    recorded_micro: int
    open_micro: int
    asked_micro: int
    opens_at: datetime | None
    cause: Cause = "full"


@dataclass(frozen=True, slots=True)
class Shut:
    """What the store holds is not known to be true: no paid call until it is rebuilt from the journal; free tiers go on.

    `why` is one of the sentences of `SHUT`. Nothing was changed, save when the store is away: then it is not known, and
    the same may be asked again.
    """

    call_id: str
    why: str


@dataclass(frozen=True, slots=True)
class Settled:
    """What the call cost is recorded; `overrun_micro` is by how much that is above what was reserved."""

    call_id: str
    amount_micro: int
    overrun_micro: int


@dataclass(frozen=True, slots=True)
class NotReserved:
    """Nothing is known here of the call that was to be settled, so nothing was recorded; ask the journal.

    So it is when the journal had it settled before the rebuild, which counted it, or when it was settled long ago.
    """

    call_id: str


@dataclass(frozen=True, slots=True)
class Released:
    """The reservation is given back; 0 when none was held, or the call is settled."""

    call_id: str
    amount_micro: int


@dataclass(frozen=True, slots=True)
class Lapsed:
    """A reservation whose lease has run out and that is still held: the journal says what became of the call."""

    call_id: str
    workflow: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Booked:
    """A row of the call journal: `amount_micro` is what a settled call cost, else its worst case."""

    call_id: str
    workflow: str
    case_id: str
    at: datetime
    amount_micro: int
    state: State

    def __post_init__(self) -> None:
        check_call(self.call_id, self.workflow, self.case_id, self.amount_micro, self.at)
        if self.state not in STATES:
            raise cannot_be("state", self.state, self.call_id)


@dataclass(frozen=True, slots=True)
class WindowStanding:
    """How one window stands. `enforced_micro` is what the rule counts with, `open_micro` the sum over open reservations.

    `cap_micro` is the cap in force, a raise included.
    """

    window: Window
    name: str
    cap_micro: int
    recorded_micro: int
    open_micro: int
    enforced_micro: int
    overrun_micro: int
    closed: bool

    @property
    def left_micro(self) -> int:
        """What may still be asked for; 0 where an overrun closed the window."""
        return 0 if self.closed else max(0, self.cap_micro - self.enforced_micro)

    def held(self, asked_micro: int) -> bool:
        """Whether only what is open leaves no room for `asked_micro`: without it, what is recorded would."""
        return not self.closed and self.left_micro < asked_micro <= self.cap_micro - self.recorded_micro

    @property
    def holds(self) -> bool:
        """Whether enforced = recorded + open reservations, to the micro-unit."""
        return self.enforced_micro == self.recorded_micro + self.open_micro


@dataclass(frozen=True, slots=True)
class Standing:
    """How the minute, day and month of a workflow stand at a moment, by a budget of this epoch."""

    workflow: str
    epoch: str
    windows: tuple[WindowStanding, ...]

    @property
    def holds(self) -> bool:
        """Whether enforced = recorded + open in every window."""
        return all(one.holds for one in self.windows)


@dataclass(frozen=True, slots=True)
class Raise:
    """A person lets a workflow spend up to `to_micro` a day or month until a time, and says why.

    It also opens the window of `at` again where an overrun closed it: somebody has looked. It never lowers a cap.
    Raises `Refused` VM-1904 without a reason, or when it ends before it begins or after `MAX_RAISE_DAYS`.
    """

    workflow: str
    window: Raisable
    to_micro: int
    reason: str
    at: datetime
    until: datetime

    def __post_init__(self) -> None:
        fits = is_moment(self.at) and is_moment(self.until)
        checks = (
            (bool(_WORKFLOW.fullmatch(self.workflow)), "name the workflow by its card's name"),
            (self.window in RAISABLE, f"name one of the windows {', '.join(RAISABLE)}"),
            (is_amount(self.to_micro), f"give an amount from 0 to {MAX_MICRO} micro-units"),
            (0 < len(self.reason.strip()) <= MAX_REASON, f"give a reason of 1 to {MAX_REASON} characters"),
            (fits and self.at < self.until <= self.at + timedelta(days=MAX_RAISE_DAYS),
             f"give an end with zone that lies ahead, within {MAX_RAISE_DAYS} days"),
        )  # fmt: skip
        for right, todo in checks:
            if not right:
                raise Refused(
                    "VM-1904", what="this cap cannot be raised so", where=self.workflow[:64], todo=todo
                )


@dataclass(frozen=True, slots=True)
class Raised:
    """A cap is raised; `earlier` is the raise it replaces. What the audit is told."""

    order: Raise
    earlier: Raise | None


def check_call(call_id: str, workflow: str, case_id: str, amount: int, at: datetime) -> None:
    """Raise `Refused` VM-1902 unless a budget can hold a call so named, of this amount (micro-units), asked for at `at`."""
    if not _CALL.fullmatch(call_id):
        raise cannot_be("call_id", call_id, call_id)
    if not _WORKFLOW.fullmatch(workflow):
        raise cannot_be("workflow", workflow, call_id)
    if not 0 < len(case_id) <= _MAX_CASE:
        raise cannot_be("length of case_id", len(case_id), call_id)
    if not is_amount(amount):
        raise cannot_be("amount", amount, call_id)
    if not is_moment(at):
        raise cannot_be("at", at, call_id)


def cannot_be(what: str, value: object, call_id: str) -> Refused:
    """Return the error for a part of a call that is none."""
    return Refused(
        "VM-1902", what=f"{what} is {str(value)[:80]!r}", where=f"call {call_id[:200]!r}",
        todo="report it: the caller must not ask so",
    )  # fmt: skip
