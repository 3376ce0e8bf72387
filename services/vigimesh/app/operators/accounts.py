"""How the workflows' budgets stand: each with its windows, and what the call journal counts in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from vigimesh.domain.budget.agreement import Counted, Verdict, verdict
from vigimesh.domain.budget.values import RAISABLE, Caps, Standing, WindowStanding
from vigimesh.domain.policy.cards import Card
from vigimesh.ports import Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One workflow's windows, or why nothing is known of them; and what the journal counts in them, where it was asked.

    `case_micro` is what one case may cost by its card.
    """

    workflow: str
    currency: str
    case_micro: int = 0
    epoch: str = ""
    windows: tuple[WindowStanding, ...] = ()
    why: str = ""
    counted: tuple[Counted, ...] = ()

    @property
    def broken(self) -> tuple[WindowStanding, ...]:
        """The windows in which enforced is not recorded + open."""
        return tuple(row for row in self.windows if not row.holds)

    def held(self, row: WindowStanding) -> bool:
        """Whether calls under way, and in doubt, leave one of the windows of money no room for a case that would fit without them."""
        return row.window in RAISABLE and row.held(self.case_micro)

    def verdict(self, row: WindowStanding) -> Verdict | None:
        """Return whether the journal counts the same in a window; `None` where it was not asked."""
        there = next((one for one in self.counted if one.window == row.window), None)
        return None if there is None else verdict(row, there)

    @property
    def holds(self) -> bool:
        """Whether the budget is known, and enforced = recorded + open in each window, by the journal too where it was asked."""
        return (
            not self.why and not self.broken and all(self.verdict(row) != "differs" for row in self.windows)
        )


async def accounts_of(budget: Budget, cards: Sequence[Card], at: datetime) -> list[Account]:
    """Return how every workflow stands, by name."""
    found = []
    for card in sorted(cards, key=lambda card: card.name):
        there = await budget.standing(card.name, Caps.of(card), at)
        account = Account(
            workflow=card.name, currency=card.budget.currency, case_micro=card.budget.case_micro
        )
        if isinstance(there, Standing):
            found.append(replace(account, epoch=there.epoch, windows=there.windows))
        else:
            found.append(replace(account, why=there.why))
    return found
