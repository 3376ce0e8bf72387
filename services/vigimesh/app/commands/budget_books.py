"""The other side of `vigimesh budget show`: what the call journal counts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from vigimesh.adapters.postgres.journal_sums import counted_at
from vigimesh.app.operators.accounts import Account
from vigimesh.clock import Clock
from vigimesh.domain.budget.agreement import Counted
from vigimesh.domain.budget.money import amount_text
from vigimesh.domain.budget.values import RAISABLE
from vigimesh.errors import VigimeshError


def with_journal(
    dsn: str, accounts: Sequence[Account], at: datetime, clock: Clock
) -> tuple[list[Account], str]:
    """Return the accounts with what the journal counts in each day and month, or as they are and why it was not to be had.

    Read behind the budget: see `domain.budget.agreement`.
    """
    if not dsn:
        return list(accounts), "VIGIMESH_POSTGRES_DSN is not set"
    try:
        found = asyncio.run(counted_at(dsn, at, clock))
    except VigimeshError as error:
        return list(accounts), str(error)
    there = {(one.workflow, one.window): one for one in found}

    def counted(workflow: str) -> tuple[Counted, ...]:
        nothing = ((workflow, window) for window in RAISABLE)
        return tuple(there.get(place, Counted(*place, 0, 0, 0)) for place in nothing)

    return [replace(one, counted=counted(one.workflow)) for one in accounts], ""


def journal_lines(accounts: Sequence[Account], away: str) -> Iterator[str]:
    """Yield what the journal says to the accounts, for people: nothing is left out that does not agree."""
    if away:
        yield f"the call journal is not there, so that nobody knows whether it counts the same: {away}"
        return
    told = False
    for one in accounts:
        if one.why:
            counted = [each for each in one.counted if each.recorded_micro or each.open_micro]
            yield from (
                f"{one.workflow}, this {each.window}: the journal has {_of(each, one.currency)}"
                for each in counted
            )
            told = True
        for row in one.windows:
            if one.verdict(row) in (None, "agrees"):
                continue
            told = True
            each = next(each for each in one.counted if each.window == row.window)
            why = (
                "calls change hands"
                if one.verdict(row) == "under way"
                else "does not agree, as no call under way explains: report it"
            )
            yield f"{one.workflow} {row.name}: the journal has {_of(each, one.currency)}; {why}"
    if not told:
        yield "the call journal counts the same, to the micro-unit"


def _of(one: Counted, currency: str) -> str:
    recorded, opened = (amount_text(micro, currency) for micro in (one.recorded_micro, one.open_micro))
    return f"{recorded} recorded and {opened} open"
