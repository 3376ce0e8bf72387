"""The rule of the budget: admitted only if recorded + open + worst case is within the cap of every window.

The scripts of the store say the same in Lua; one suite holds the two together (tests/parity/test_budget.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from vigimesh.domain.budget.values import (
    RAISABLE,
    Ask,
    Booked,
    Caps,
    Cause,
    Denied,
    Lapsed,
    NotReserved,
    Raise,
    Raised,
    Released,
    Reserved,
    Settled,
    Standing,
    WindowStanding,
)
from vigimesh.domain.budget.windows import ASKED, Window, names_of, span

#: Windows shown for a workflow; a case is shown by its own account.
SHOWN: tuple[Window, ...] = ("minute", "day", "month")
#: How long a settled call is remembered, so that settling it again is no news: longer than any caller tries again.
REMEMBERED = timedelta(hours=1)
#: How long after the end of its lease a reservation has surely been dealt with: the journal was asked, and what is held still is in doubt.
SWEPT = timedelta(minutes=1)
_NEVER = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Sums:
    """One window: what the rule counts with, what of it is recorded, what came above the reserved."""

    enforced: int = 0
    recorded: int = 0
    overrun: int = 0
    closed: bool = False


@dataclass(slots=True)
class Call:
    """One call: what was reserved for it in which windows, and what became of it."""

    names: Mapping[Window, str]
    reserved: int
    until: datetime
    state: str = "open"
    actual: int = 0
    overrun: int = 0


#: A window's place: workflow, window, name.
Place = tuple[str, Window, str]


def units(window: Window, amount: int) -> int:
    """Return how much an amount weighs in a window: in the minute each call is one."""
    return 1 if window == "minute" else amount


def denied(
    ask: Ask,
    sums_of: Callable[[Window], Sums],
    cap_of: Callable[[Window], int],
    frees: Callable[[Window, int], datetime | None],
) -> Denied | None:
    """Return why the call may not be made, or None when it may.

    `frees` says when leases that still run, or ended a moment ago, will have given so much of a window back; None when all of them together hold less.
    """
    held: dict[datetime, Denied] = {}
    for window in ASKED:
        sums, cap, asked = sums_of(window), cap_of(window), units(window, ask.worst_micro)
        over = sums.enforced + asked - cap
        if not sums.closed and over <= 0:
            continue
        # A minute's calls are made, however they end; and no lease's end brings back what is recorded.
        fixed = sums.closed or window == "minute" or sums.recorded + asked > cap
        until = None if fixed else frees(window, over)
        told = denial(ask, window, cap, sums, until)
        if until is None:
            return told
        held.setdefault(until, told)
    return held[max(held)] if held else None


def denial(ask: Ask, window: Window, cap: int, sums: Sums, until: datetime | None) -> Denied:
    """Return the answer to an ask that `window` has no room for; `until` is when leases will have made room, None when they will not."""
    asked = units(window, ask.worst_micro)
    cause: Cause = "overrun" if sums.closed else "full" if until is None else "held"
    if until is None and window != "case" and asked <= cap:
        until = span(window, ask.at).closes_at
    return Denied(ask.call_id, window, cap, sums.recorded, sums.enforced - sums.recorded, asked, until, cause)


@dataclass(slots=True)
class Books:
    """All windows, calls and raises of one budget, in memory. Every operation is idempotent by call id."""

    sums: dict[Place, Sums] = field(default_factory=dict)
    calls: dict[tuple[str, str], Call] = field(default_factory=dict)
    raises: dict[tuple[str, Window], Raised] = field(default_factory=dict)

    def reserve(self, ask: Ask) -> Reserved | Denied:
        """Hold the worst case in every window, or say which has no room."""
        call = self.calls.get((ask.workflow, ask.call_id))
        if call is not None and call.state != "released":
            amount = call.reserved if call.state == "open" else call.actual
            return Reserved(ask.call_id, amount, call.until)
        names = names_of(ask.at, ask.case_id)
        no = denied(
            ask,
            lambda window: self.sums.get((ask.workflow, window, names[window]), Sums()),
            lambda window: self.cap(ask.workflow, window, ask.caps, ask.at),
            lambda window, over: self._frees(ask, (window, names[window]), over),
        )
        if no is not None:
            return no
        self.calls[ask.workflow, ask.call_id] = Call(names, ask.worst_micro, ask.until)
        for window, name in names.items():
            sums = self.sums.setdefault((ask.workflow, window, name), Sums())
            sums.enforced += units(window, ask.worst_micro)
        return Reserved(ask.call_id, ask.worst_micro, ask.until)

    def settle(self, call_id: str, workflow: str, actual_micro: int) -> Settled | NotReserved:
        """Trim the reservation to the actual and record it; more than was reserved closes the windows of money.

        A call that was released is recorded all the same: it was made after all.
        """
        call = self.calls.get((workflow, call_id))
        if call is None:
            return NotReserved(call_id)
        if call.state != "settled":
            overrun = max(0, actual_micro - call.reserved)
            for window, sums in self._windows(workflow, call):
                held = units(window, call.reserved) if call.state == "open" else 0
                sums.enforced += units(window, actual_micro) - held
                sums.recorded += units(window, actual_micro)
                if overrun and window != "minute":
                    sums.overrun += overrun
                    sums.closed = True
            call.state, call.actual, call.overrun = "settled", actual_micro, overrun
        return Settled(call_id, call.actual, call.overrun)

    def release(self, call_id: str, workflow: str, until: datetime | None = None) -> Released:
        """Give an open reservation back; with `until` only the one whose lease ends then."""
        call = self.calls.get((workflow, call_id))
        if call is None or call.state == "settled" or until not in (None, call.until):
            return Released(call_id, 0)
        if call.state == "open":
            for window, sums in self._windows(workflow, call):
                sums.enforced -= units(window, call.reserved)
            call.state = "released"
        return Released(call_id, call.reserved)

    def expired(self, at: datetime) -> list[Lapsed]:
        """Return the open reservations whose lease has run out by `at`: by workflow, end of the lease, and call id."""
        return [
            Lapsed(call_id, workflow, call.until)
            for (workflow, call_id), call in sorted(
                self.calls.items(), key=lambda item: (item[0][0], item[1].until, item[0][1])
            )
            if call.state == "open" and call.until <= at
        ]

    def raise_cap(self, order: Raise) -> Raised:
        """Let the cap be higher until a time; the same order again changes nothing."""
        key = (order.workflow, order.window)
        known = self.raises.get(key)
        if known is None or known.order != order:
            known = self.raises[key] = Raised(order, None if known is None else known.order)
            sums = self.sums.get((order.workflow, order.window, span(order.window, order.at).name))
            if sums is not None:
                sums.closed = False
        return known

    def cap(self, workflow: str, window: Window, caps: Caps, at: datetime) -> int:
        """Return the cap in force: the card's, or a raise that stands and is higher."""
        raised = self.raises.get((workflow, window))
        if window in RAISABLE and raised is not None and at < raised.order.until:
            return max(caps.of_window(window), raised.order.to_micro)
        return caps.of_window(window)

    def standing(self, workflow: str, caps: Caps, at: datetime, epoch: str) -> Standing:
        """Return how the windows of `at` stand; `open` is summed anew over the open reservations."""
        rows = []
        for window in SHOWN:
            name = span(window, at).name
            sums = self.sums.get((workflow, window, name), Sums())
            held = sum(
                units(window, call.reserved)
                for (of, _), call in self.calls.items()
                if of == workflow and call.state == "open" and call.names[window] == name
            )
            rows.append(WindowStanding(
                window, name, self.cap(workflow, window, caps, at), sums.recorded, held, sums.enforced,
                sums.overrun, sums.closed,
            ))  # fmt: skip
        return Standing(workflow, epoch, tuple(rows))

    def _frees(self, ask: Ask, of: tuple[Window, str], over: int) -> datetime | None:
        """Return when leases will have given `over` of a window back; see `denied`."""
        window, name = of
        leases = sorted(
            (call.until, call.reserved)
            for (workflow, _), call in self.calls.items()
            if workflow == ask.workflow and call.state == "open" and call.names[window] == name
            and call.until + SWEPT > ask.at
        )  # fmt: skip
        for until, amount in leases:
            over -= amount
            if over <= 0:
                return until + SWEPT
        return None

    def _windows(self, workflow: str, call: Call) -> list[tuple[Window, Sums]]:
        """Return the windows of a call that are still kept; one that ended long ago is not made again."""
        found = ((window, self.sums.get((workflow, window, name))) for window, name in call.names.items())
        return [(window, sums) for window, sums in found if sums is not None]


def rebuilt(rows: Iterable[Booked]) -> Books:
    """Return the books that the rows of the journal make, each call once, whatever the order and however often it comes.

    Of several rows of one call a settled one counts, then the dearest. The lease of an open call is over: the journal,
    which is asked when a lease runs out, may know by now. Settled calls, and minutes, are kept for
    `REMEMBERED` before the newest row.
    """
    kept: dict[tuple[str, str], Booked] = {}
    for row in rows:
        key = (row.workflow, row.call_id)
        if key not in kept or _weight(row) > _weight(kept[key]):
            kept[key] = row
    books = Books()
    recent = max((row.at for row in kept.values()), default=_NEVER) - REMEMBERED
    for key, row in kept.items():
        settled, amount = row.state == "settled", row.amount_micro
        names = names_of(row.at, row.case_id)
        for window, name in names.items():
            if window == "minute" and row.at < recent:
                continue
            sums = books.sums.setdefault((row.workflow, window, name), Sums())
            sums.enforced += units(window, amount)
            sums.recorded += units(window, amount) if settled else 0
        if settled and row.at >= recent:
            books.calls[key] = Call(names, amount, row.at, "settled", amount)
        elif not settled:
            books.calls[key] = Call(names, amount, row.at)
    return books


def _weight(row: Booked) -> tuple[bool, int]:
    return row.state == "settled", row.amount_micro
