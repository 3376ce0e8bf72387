"""`vigimesh cascade`: labels of the live sample in, how every gate stands out, and a gate moved by a person."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vigimesh.app.commands.throttle import By, Reason
from vigimesh.app.exits import NOT_HELD
from vigimesh.app.options import AsJson, Data, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vigimesh.app.operators.cascade_room import Room, Standing
    from vigimesh.events.sampling import GateMoved

app = typer.Typer(
    name="cascade", help="The small tier: status, history, label, look, anew, shut.", no_args_is_help=True
)

_Place = Annotated[
    str, typer.Argument(metavar="PLACE", help="A gate, as `vigimesh cascade status` names it.")
]


@app.command()
def status(
    data: Data = None,
    as_json: AsJson = False,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Also name the drawn cases that nobody has labelled.")
    ] = False,
) -> None:
    """Show where the small tier may resolve cases, and why.

    The recall that the labels bear out, the misses, what was spent on the drawn cases that the small tier settled, what all of
    them would cost behind an open gate, and how many audits are left until the next look. Exit status 1 when drift or a person has closed a gate.
    """
    from vigimesh.app.operators.label_file import waiting as unlabelled

    room = _room(data)
    held = room.desk.held()
    standings = room.standings(held)
    waits = unlabelled(held.samples, held.labels) if waiting else []
    line = room.line(held)
    _tell(standings, (), as_json=as_json, sample=line, **({"waiting": waits} if waiting else {}))
    if not as_json:
        over = ": over the line, and it goes on" if line["spent_micro"] > line["line_micro"] else ""
        typer.echo(
            f"sample in {line['month']}: spent {line['spent_micro'] / 1e6:.2f} of {line['line_micro'] / 1e6:.2f} on what the small tier settled{over}"
        )
    if waits and not as_json:
        typer.echo("\n".join(("wait for a label:", *(f"  {one}" for one in waits))))
    raise typer.Exit(NOT_HELD if any(one.gate and one.gate.closed for one in standings) else 0)


@app.command()
def label(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV or JSON Lines: case_id, serious, by, at, comment.")
    ],
    by: By = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Take labels of drawn cases in, and look at the gates upon them.

    When a row is bad, all bad ones are named by line and nothing is taken. The same file again changes nothing; a label
    that changes is recorded with the earlier one.
    """
    room = _room(data)
    fresh, moves = room.label(file, _person(by))
    _tell(room.standings(), moves, as_json=as_json, labelled=fresh)
    if not as_json:
        typer.echo(f"{fresh} labels taken in, {len(moves)} gates moved")


@app.command()
def look(by: By = "", data: Data = None, as_json: AsJson = False) -> None:
    """Look at every gate, close what has drifted, and record it all.

    Meant to run daily. The record is in the audit.
    """
    room = _room(data)
    moves, standings = room.look(_person(by))
    _tell(standings, moves, as_json=as_json)


@app.command()
def history(
    days: Annotated[int, typer.Option("--days", metavar="N", min=1, max=36_600, help="How far back.")] = 30,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show the record of each day and each gate that moved.

    What a look found: the recall that the labels bore out, the misses, the price of the sample; from the audit, the oldest first.
    """
    found = _room(data).history(days)
    if as_json:
        print_json({"days": days, "entries": [asdict(one) | {"at": one.at.isoformat()} for one in found]})
        return
    for one in found:
        typer.echo(f"{one.at:%Y-%m-%d %H:%MZ}  {one.action} by {one.by}  {one.place}: {one.words}")
    if not found:
        typer.echo(f"nobody has looked in the last {days} days: run `vigimesh cascade look` daily", err=True)


@app.command()
def anew(place: _Place, reason: Reason, by: By = "", data: Data = None, as_json: AsJson = False) -> None:
    """Begin a new series of looks in a place.

    What was drawn before counts no longer. Where the certificate holds, the gate is open again.
    """
    room = _room(data)
    gate = room.anew(place, _person(by), reason)
    _tell(room.standings(), (gate,), as_json=as_json)


@app.command()
def shut(place: _Place, reason: Reason, by: By = "", data: Data = None, as_json: AsJson = False) -> None:
    """Close a gate until a new series is begun."""
    room = _room(data)
    gate = room.shut(place, _person(by), reason)
    _tell(room.standings(), (gate,), as_json=as_json)


@app.command()
def export(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="JSON Lines, for `vigimesh tune`.")],
    data: Data = None,
) -> None:
    """Write every labelled case of the sample with its margin."""
    rows = [json.dumps(row) + "\n" for row in _room(data).export()]
    out.write_text("".join(rows), encoding="utf-8")
    typer.echo(f"{len(rows)} labelled cases in {out}")


def _room(data: Path | None) -> Room:
    """Join a command to a cluster. Raises `Misconfigured` VM-1102 or VM-1705 when nothing names one."""
    from vigimesh.adapters.kafka.desks.cascade import CascadeDesk
    from vigimesh.app.config.clients import codec_of, quiet_kafka_of
    from vigimesh.app.config.located import settings_for
    from vigimesh.app.in_force.cards import cards_of
    from vigimesh.app.in_force.own_model import model_or_absent
    from vigimesh.app.in_force.small_model import has_endpoint
    from vigimesh.app.operators.cascade_room import Room, unmet
    from vigimesh.clock import SystemClock
    from vigimesh.domain.cascade.model import Model

    settings = settings_for(data, "kafka.bootstrap", "registry.url")
    base = quiet_kafka_of(settings)
    codec = codec_of(settings)
    model = model_or_absent(settings.small_model)
    if not isinstance(model, Model):
        typer.echo(f"the small tier is absent: {model.why}", err=True)
    models = (model,) if isinstance(model, Model) else ()
    cards = cards_of(settings).cards
    # An endpoint in the tier's place needs no certificate.
    for line in unmet(model, cards) if isinstance(model, Model) and not has_endpoint(settings) else ():
        typer.echo(line, err=True)
    samples = (card.cascade.audit for card in cards)
    # The strictest of the cards that want the same recall.
    asked = sorted((one.cascade for one in cards if has_endpoint(settings)), key=lambda one: one.confidence)
    return Room(
        desk=CascadeDesk(base, codec), codec=codec, models=models, clock=SystemClock(),
        line_micro=sum(one.month_micro for one in samples if one is not None),
        wanted={one.recall: 1 - one.confidence for one in asked},
    )  # fmt: skip


def _person(by: str) -> str:
    from vigimesh.app.operators.order_giving import given_now

    return given_now(by, "none asked").by


def _tell(
    standings: Sequence[Standing], moves: Sequence[GateMoved], *, as_json: bool, **more: object
) -> None:
    from vigimesh.app.operators.cascade_records import gate_words
    from vigimesh.app.operators.cascade_room import plain
    from vigimesh.domain.cascade.sample import key_of

    if as_json:
        moved = [
            {"place": key_of(one.place), "state": gate_words(one), "reason": one.reason} for one in moves
        ]
        print_json({"places": [plain(one) for one in standings], "moved": moved, **more})
        return
    for gate in moves:
        words = gate_words(gate)
        typer.echo(
            f"moved {key_of(gate.place)}: {words}" + ("" if gate.reason in words else f"; {gate.reason}")
        )
    for one in standings:
        typer.echo(f"{key_of(one.place)}: {one.words}")
    if not standings:
        typer.echo("no case was drawn yet", err=True)
