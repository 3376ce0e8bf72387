"""`vigimesh budget`: what each workflow may still spend, and a cap raised for a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from vigimesh.app.exits import NOT_HELD, OK
from vigimesh.app.operators.accounts import Account, accounts_of
from vigimesh.app.options import AsJson, Data, print_json
from vigimesh.domain.budget.money import amount_text, parse_amount
from vigimesh.domain.budget.values import RAISABLE, Caps, Raise, WindowStanding
from vigimesh.errors import Refused

if TYPE_CHECKING:
    from rich.table import Table

    from vigimesh.app.config.settings import Settings
    from vigimesh.app.operators.raise_records import CapRaised
    from vigimesh.domain.budget.agreement import Counted
    from vigimesh.domain.policy.cards import Card, Cards
    from vigimesh.ports import Budget

T = TypeVar("T")
#: Said of a budget that is shut: who waits for it where nothing pays would wait for ever.
_REBUILT = "a tool-executor that pays for a model builds it from the call journal"

app = typer.Typer(name="budget", help="Budgets of the workflows: show, raise.", no_args_is_help=True)


@app.command()
def show(data: Data = None, as_json: AsJson = False) -> None:
    """Show what each workflow may still spend.

    This minute, day and month (UTC): the cap, what is recorded, what is open, what is left. What is enforced is recorded
    + open, to the micro-unit, and the call journal counts the same; where that does not hold, the budget is shut, or the journal is not
    there, the exit status is 1. *held*: one more case would fit if what is open did not hold its worst case. Caps are those of
    the cards that this command is set to: set VIGIMESH_CARDS as the workers have it.
    """
    from vigimesh.app.commands.budget_books import journal_lines, with_journal
    from vigimesh.clock import SystemClock

    settings = _settings(data)
    cards, clock = _cards(settings), SystemClock()
    at = clock.now()
    accounts = _on(settings, lambda budget: accounts_of(budget, cards.cards, at))
    accounts, away = with_journal(settings.postgres.dsn, accounts, at, clock)
    if as_json:
        print_json(document(accounts) | {"journal_away": away or None, "cards": cards.origin})
    else:
        from rich.console import Console

        if any(one.windows for one in accounts):
            Console(highlight=False).print(table(accounts))
            typer.echo(f"caps of: {cards.origin}", err=True)
        for why in dict.fromkeys(one.why for one in accounts if one.why):
            typer.echo(f"shut, paid calls are refused: {why}; {_REBUILT}", err=True)
        for one in accounts:
            for row in one.broken:
                typer.echo(
                    f"does not hold: {one.workflow} {row.name}, enforced {row.enforced_micro}", err=True
                )
        for line in journal_lines(accounts, away):
            typer.echo(line, err=True)
    raise typer.Exit(OK if not away and all(one.holds for one in accounts) else NOT_HELD)


@app.command("raise")
def raise_cap(  # noqa: PLR0913  typer wants one parameter for each option
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Name of the workflow's card.")],
    window: Annotated[str, typer.Option("--window", metavar="day|month", help="Which cap.")],
    to: Annotated[str, typer.Option("--to", metavar="AMOUNT", help="Up to how much, e.g. 250 or 12.50.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the audit. No case text.")],
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="When it ends: ISO 8601 with zone, or 8h, 5d from now.")],
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who does it. [default: your login]")] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Let a workflow spend more, for a time.

    The cap falls back by itself when the time is over, or when the budget is rebuilt. It opens the window of now again
    where an overrun closed it. Cases that wait for money are called back within seconds; those that still find no room wait on. Who does it and
    why stands in the audit before.
    """
    from vigimesh.app.operators.order_giving import given_now

    settings = _settings(data, "kafka.bootstrap", "registry.url")
    card = _card(_cards(settings).cards, workflow)
    given = given_now(by, reason)
    order = raising(card, window=window, to=to, reason=given.reason, until=until, at=given.at)
    done = _on(settings, lambda budget: _on_record(settings, budget, order, card, given.by))
    if as_json:
        print_json(done.plain() | {"called_back": not done.not_called})
        return
    cap, more = (amount_text(micro, done.currency) for micro in (done.card_micro, order.to_micro))
    typer.echo(
        f"{workflow} may spend {more} a {window} until {order.until.isoformat(timespec='seconds')}; its card says {cap}"
    )
    if done.not_called:
        typer.echo(
            f"what waits for money was not called back: {done.not_called}; give the raise again, or it waits until its time",
            err=True,
        )


def raising(card: Card, *, window: str, to: str, reason: str, until: str, at: datetime) -> Raise:
    """Return the order that a person's words make.

    Raises `Refused` VM-1903 for an amount that is none, VM-1904 for a window, reason or end that cannot be, or an amount
    that is not above the card's cap.
    """
    from vigimesh.app.operators.ordering import moment_of

    known = next((one for one in RAISABLE if one == window), None)
    ends = moment_of(until, at)
    if known is None or ends is None:
        todo = (
            f"name one of {', '.join(RAISABLE)}"
            if known is None
            else "write it like 2026-12-31T18:00:00Z, or 8h, 5d from now"
        )
        what = f"window {window[:40]!r}" if known is None else f"end {until[:40]!r}"
        raise Refused("VM-1904", what=f"there is no {what}", where=card.name, todo=todo)
    # Without a zone it stays as it is, and is refused.
    ends = ends.astimezone(UTC) if ends.tzinfo is not None else ends
    order = Raise(card.name, known, parse_amount(to), reason.strip(), at, ends)
    cap = Caps.of(card).of_window(known)
    if order.to_micro <= cap:
        raise Refused(
            "VM-1904", what=f"{amount_text(order.to_micro, '')} is not above the card's {amount_text(cap, '')}",
            where=card.name, todo="to lower a cap change the workflow card",
        )  # fmt: skip
    return order


def document(accounts: Sequence[Account]) -> dict[str, Any]:
    """Return the object of `--json`; amounts in micro-units, in the minute calls."""
    return {
        "holds": all(one.holds for one in accounts),
        "shut": next((one.why for one in accounts if one.why), None),
        "epoch": next((one.epoch for one in accounts if one.epoch), None),
        "workflows": [
            {"workflow": one.workflow, "currency": one.currency, "holds": one.holds,
             "windows": [_plain(row) | {"held": one.held(row), "journal": one.verdict(row)} for row in one.windows],
             "journal": [_counted(each) for each in one.counted]}
            for one in accounts
        ],
    }  # fmt: skip


def table(accounts: Sequence[Account]) -> Table:
    """Return the table: a line for each window of each workflow. Where it is narrow a name is folded, never an amount cut."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False)
    for name in ("workflow", "window", "in"):
        made.add_column(name, overflow="fold", no_wrap=name != "workflow")
    for name in ("cap", "recorded", "open", "left"):
        made.add_column(name, justify="right", no_wrap=True)
    rows = [(one, row) for one in accounts for row in one.windows]
    stated = any(_state(one, row) for one, row in rows)
    if stated:
        made.add_column("")
    for one, row in rows:
        unit = "calls" if row.window == "minute" else one.currency
        amounts = (row.cap_micro, row.recorded_micro, row.open_micro, row.left_micro)
        cells = (one.workflow, _name(row), unit, *(_text(row, amount) for amount in amounts))
        made.add_row(*cells, *((_state(one, row),) if stated else ()))
    return made


def _plain(row: WindowStanding) -> dict[str, Any]:
    return {
        "window": row.window, "name": row.name, "cap_micro": row.cap_micro, "recorded_micro": row.recorded_micro,
        "open_micro": row.open_micro, "left_micro": row.left_micro, "enforced_micro": row.enforced_micro,
        "overrun_micro": row.overrun_micro, "closed": row.closed, "holds": row.holds,
    }  # fmt: skip


def _counted(one: Counted) -> dict[str, Any]:
    return {"window": one.window, "recorded_micro": one.recorded_micro, "open_micro": one.open_micro}


def _name(row: WindowStanding) -> str:
    # The whole name of a minute would be cut off in 80 columns.
    return f"{row.name[11:]} UTC" if row.window == "minute" else row.name


def _text(row: WindowStanding, amount: int) -> str:
    return f"{amount:,}" if row.window == "minute" else amount_text(amount, "")


def _state(of: Account, row: WindowStanding) -> str:
    if not row.holds:
        return "does not hold"
    if of.verdict(row) == "differs":
        return "not as the journal"
    if of.held(row):
        return "held"
    return "closed by an overrun" if row.closed else ""


def _on(settings: Settings, work: Callable[[Budget], Awaitable[T]]) -> T:
    """Do something with the budget of the settings and close it."""
    import asyncio

    from vigimesh.adapters.redis.budget import RedisBudget

    async def whole() -> T:
        budget = RedisBudget.open(settings.redis.url)
        try:
            return await work(budget)
        finally:
            await budget.close()

    return asyncio.run(whole())


async def _on_record(settings: Settings, budget: Budget, order: Raise, card: Card, by: str) -> CapRaised:
    """Raise a cap with its record in `audit`; raises as `Raiser.give` does."""
    from vigimesh.adapters.kafka.desks.orders import RecordDesk
    from vigimesh.app.config.clients import codec_of, quiet_kafka_of
    from vigimesh.app.operators.raise_records import Raiser

    base = quiet_kafka_of(settings)
    desk = RecordDesk(base)
    try:
        codec = codec_of(settings)
        return await Raiser(budget=budget, desk=desk, codec=codec, by=by).give(order, card)
    finally:
        await desk.close()


def _settings(data: Path | None, *besides: str) -> Settings:
    from vigimesh.app.config.located import settings_for

    return settings_for(data, "redis.url", *besides)


def _cards(settings: Settings) -> Cards:
    from vigimesh.app.in_force.cards import cards_of

    return cards_of(settings)


def _card(cards: Sequence[Card], workflow: str) -> Card:
    from vigimesh.domain.policy.cel import nearest

    for card in cards:
        if card.name == workflow:
            return card
    raise typer.BadParameter(
        f"there is no card {workflow!r}; {nearest(workflow, [one.name for one in cards])}"
    )
