"""What becomes of a reservation when the journal is asked about its call: settled, released, or kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from vigimesh.domain.budget.rule import REMEMBERED, SWEPT
from vigimesh.domain.budget.values import Booked, Lapsed

#: Seconds after the end of a lease before it is given back: clocks of two processes differ by less, or nothing is safe.
#: Nobody begins a call on a lease that his own clock says is over.
GRACE_S = 30.0
#: Longest lease for a call that is answered at once: what makes a reservation late must be longer than any lease.
MAX_LEASE_S = 1_800.0
assert REMEMBERED.total_seconds() > MAX_LEASE_S
assert SWEPT.total_seconds() >= 2 * GRACE_S


@dataclass(frozen=True, slots=True)
class Settle:
    """The call was answered, or found on the invoice: it cost this much."""

    amount_micro: int


@dataclass(frozen=True, slots=True)
class Release:
    """Nobody made the call on this reservation, or it was counted long before: give it back."""


@dataclass(frozen=True, slots=True)
class Keep:
    """The call is under way or in doubt: its worst case counts."""


Fate = Settle | Release | Keep


def is_of(until: datetime, row_at: datetime) -> bool:
    """Return whether a reservation whose lease ends at `until` is the one under which the journal's row was begun.

    The row has the moment of its reservation, whose lease is at most `MAX_LEASE_S`. The store forgets a settled call after
    `REMEMBERED`; who asks again then gets a second reservation, which must not be settled a second time.
    """
    return until <= row_at + REMEMBERED


def fate(lapsed: Lapsed, row: Booked | None) -> Fate:
    """Return what becomes of a reservation whose lease ran out `GRACE_S` ago.

    `row` is what the journal books for the call by now: nothing when it was never begun, or not made.
    """
    if row is None:
        return Release()
    if row.state != "settled":
        return Keep()
    return Settle(row.amount_micro) if is_of(lapsed.until, row.at) else Release()


def reserved_at(until: datetime, lease_s: float) -> datetime:
    """Return when a reservation was made whose lease of `lease_s` seconds ends at `until`."""
    return until - timedelta(seconds=lease_s)
