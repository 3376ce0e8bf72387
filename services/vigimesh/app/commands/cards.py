"""`vigimesh cards`: check workflow cards, and show one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vigimesh.app.exits import tell
from vigimesh.app.options import print_json
from vigimesh.domain.budget.money import amount_text
from vigimesh.errors import VigimeshError

if TYPE_CHECKING:
    from vigimesh.domain.policy.cards import Card, Cards

app = typer.Typer(name="cards", help="Check and show workflow cards.", no_args_is_help=True)

#: Exit code for a card that is wrong or unknown.
WRONG = 2

#: What both commands look at when no folder is given: what the workers would have.
_HELP = "Folder of *.toml laid over the shipped cards. [default: VIGIMESH_CARDS, else the shipped ones]"
_Folder = Annotated[Path | None, typer.Argument(help=_HELP)]
_CardsOption = Annotated[Path | None, typer.Option("--cards", help=_HELP)]
_Demo = Annotated[bool, typer.Option("--demo", help="The shipped cards as signed for the demo.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def check(folder: _Folder = None, demo: _Demo = False) -> None:
    """Check every key and rule, and that cards fit.

    Each other, and the price of each model that is set for the workers: a budget in another currency could never pay for it.
    Exit code 2 when one is wrong.
    """
    cards = _load(folder, demo)
    _fit_prices(cards)
    typer.echo(f"{cards.origin}: {len(cards.cards)} cards, all right; the first that matches takes a case")
    for card in cards.cards:
        typer.echo(
            f"  {card.priority:>4}  {card.name:<20} {card.digest[:12]}  {_signature(card)}{_spends(card)}"
        )


@app.command()
def show(name: str, cards: _CardsOption = None, demo: _Demo = False, as_json: _Json = False) -> None:
    """Show one card as it is in force.

    With what it takes from the card it extends. Exit code 2 when unknown.
    """
    from vigimesh.domain.policy.cel import nearest

    known = _load(cards, demo, as_json=as_json)
    card = known.named(name)
    if card is None:
        near = nearest(name, [one.name for one in known.cards])
        typer.echo(f"vigimesh: there is no card {name!r}; {near}", err=True)
        raise typer.Exit(WRONG)
    if as_json:
        print_json({"digest": card.digest, **json.loads(card.body)})
    else:
        typer.echo(_as_text(card))


def _load(folder: Path | None, demo: bool, *, as_json: bool = False) -> Cards:
    from vigimesh.app.config.settings import read_settings
    from vigimesh.app.in_force.cards import cards_of, load_cards
    from vigimesh.app.tools.servers import servers_of

    try:
        settings = read_settings(os.environ)
        if folder is None and not demo:
            return cards_of(settings)
        return load_cards(folder, signed_for_demo=demo, servers=servers_of(settings.tools))
    except VigimeshError as failure:
        tell(failure, as_json=as_json)
        raise typer.Exit(WRONG) from failure


def _fit_prices(cards: Cards) -> None:
    from vigimesh.app.config.settings import read_settings
    from vigimesh.app.in_force.small_model import check_currencies
    from vigimesh.clock import SystemClock

    try:
        check_currencies(read_settings(os.environ), cards.cards, SystemClock().now())
    except VigimeshError as failure:
        tell(failure, as_json=False)
        raise typer.Exit(WRONG) from failure


def _signature(card: Card) -> str:
    if card.auto_accept is None:
        return "not signed: auto-accept is off"
    return f"signed {card.auto_accept.signed_at.date().isoformat()} for {card.auto_accept.use}"


def _spends(card: Card) -> str:
    """Return what to say of a card with a cap of nothing, which is right and easily a slip."""
    budget = card.budget
    caps = {
        "month": budget.month_micro,
        "day": budget.day_micro,
        "case": budget.case_micro,
        "minute": card.calls_per_minute,
    }
    shut = [name for name, cap in caps.items() if not cap]
    return f"; never pays: its cap of a {' and a '.join(shut)} is 0" if shut else ""


def _as_text(card: Card) -> str:
    budget = card.budget
    objectives = card.lane_objectives
    lines = [
        f"{card.name}  ({card.digest})",
        f"  {card.description}",
        f"  owner       {card.owner}",
        f"  takes       {card.match.source}  (priority {card.priority})",
        f"  steps       {', '.join(card.steps)}",
        f"  tiers       {', '.join(card.tiers)}",
        (
            f"  budget      {amount_text(budget.month_micro, '')} a month, {amount_text(budget.day_micro, '')} a day, "
            f"{amount_text(budget.case_micro, '')} a case, in {budget.currency}; alarms at {_list(card.alarms.budget_percent)} %"
        ),
        (
            f"  calls       at most {card.calls_per_minute} a minute; batch window "
            f"{card.batch_window.opens_utc}-{card.batch_window.closes_utc} UTC"
        ),
        (
            f"  objectives  hot {objectives.hot_s} s, warm {objectives.warm_s} s, cold {objectives.cold_s} s; "
            f"tolerance {card.latency_tolerance_s} s"
        ),
        f"  counts      {card.outcome}",
        f"  signature   {_signature(card)}",
        "  lanes",
        *(f"    {rule.lane:<5} {rule.name:<18} when {rule.when.source}" for rule in card.lanes),
        "  policy",
        *(f"    {rule.then:<9} {rule.name:<18} when {rule.when.source}" for rule in card.policy),
        (
            f"  escalates   when {card.escalation.when.source}; further steps "
            f"{_list(card.escalation.steps) or 'none'}; at most {card.escalation.max_passes} passes"
        ),
    ]
    return "\n".join(lines)


def _list(values: tuple[object, ...]) -> str:
    return ", ".join(map(str, values))
