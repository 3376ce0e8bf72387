"""Whether the budget and the call journal count the same, as far as two looks one after the other can tell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from vigimesh.domain.budget.lapse import GRACE_S
from vigimesh.domain.budget.values import WindowStanding
from vigimesh.domain.budget.windows import Window

#: *agrees*: to the micro-unit. *under way*: the two differ as calls that change hands make them, and no money is unseen. *differs*: as no
#: call under way can.
Verdict = Literal["agrees", "under way", "differs"]
#: How long before the look at the budget a call was reserved that must be in it: clocks of two processes differ by less.
FIRM = timedelta(seconds=GRACE_S)


@dataclass(frozen=True, slots=True)
class Counted:
    """What the journal counts in a day or month of a workflow, micro-units.

    `firm_micro` is what calls of both kinds count for that were reserved `FIRM` before the budget was looked at.
    """

    workflow: str
    window: Window
    recorded_micro: int
    open_micro: int
    firm_micro: int


def verdict(row: WindowStanding, counted: Counted) -> Verdict:
    """Return what a look at the budget, and one at the journal behind it, tell of a window.

    A call is reserved before it is begun in the journal, and answered there before it is settled in the budget. So a journal that is read
    later never knows of less recorded than the budget, and what it counts of calls begun long before is held by the budget.
    """
    if row.recorded_micro == counted.recorded_micro and row.open_micro == counted.open_micro:
        return "agrees"
    if row.recorded_micro > counted.recorded_micro or row.enforced_micro < counted.firm_micro:
        return "differs"
    return "under way"
