"""`vigimesh lag`: how many records wait in each lane of each stage, of which workflow, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from vigimesh.app.exits import NOT_HELD, OK
from vigimesh.app.options import print_json
from vigimesh.domain.control.measure import Known, Measure, Unknown

if TYPE_CHECKING:
    from rich.table import Table

    from vigimesh.adapters.kafka.cluster.lag import LagReader
    from vigimesh.adapters.kafka.orders import OrderReader
    from vigimesh.domain.control.lag import LagRow
    from vigimesh.loop.orders import Order

#: Seconds for what `flow` holds that the controller has not counted yet: without a controller, all of it.
_FLOW_S = 60.0
#: Seconds for the orders in force, which are few and recent.
_ORDERS_S = 2.0
#: Seconds between two looks of `--watch`: a broker is asked some thirty questions at each.
_WATCH_S = 2.0


def lag_command(data: Path | None, *, as_json: bool, watch: bool) -> int:
    """Print the lag and return the exit status: 1 when part of it is not known.

    Raises `Misconfigured` when nothing says where the cluster is, or a card is wrong.
    """
    if watch and as_json:
        raise typer.BadParameter("--watch draws a table again and again; leave --json or --watch out")
    reader, orders = _readers(data)
    try:
        if watch:
            return _watch(reader)
        rows = reader.look(_FLOW_S)
        in_force = _in_force(orders)
    finally:
        reader.close()
        orders.close()
    if as_json:
        print_json(document(rows, in_force))
    else:
        from rich.console import Console

        Console(highlight=False).print(table(rows))
        _tell(rows, in_force)
    return NOT_HELD if any(row.state == "unknown" for row in rows) else OK


def document(rows: Sequence[LagRow], orders: Sequence[Order] | None) -> dict[str, Any]:
    """Return the object of `--json`: every row, also those that are done; an unknown number is null.

    `orders` are those in force, null when they are not known: a lane that yields is slow for a reason.
    """
    from vigimesh.app.operators.ordering import asks

    told = None
    if orders is not None:
        told = [
            {"lane": one.lane, "workflow": one.workflow, "share_percent": one.share_percent,
             "asks": asks(one), "by": one.by or "controller",
             "expires_at": one.expires_at.isoformat(), "reason": one.reason}
            for one in orders
        ]  # fmt: skip
    return {
        "lag": [row.plain() for row in rows],
        "unknown": sum(row.state == "unknown" for row in rows),
        "orders": told,
    }


def table(rows: Sequence[LagRow]) -> Table:
    """Return the table: every lane of every stage, and in each the workflows that wait or are not known.

    Where the lane itself is not known, the workflows that are not either add nothing and are left out.
    """
    from rich.table import Table

    made = Table(box=None, pad_edge=False)
    for name in ("stage", "lane", "workflow", "records", "oldest", "state"):
        made.add_column(name, justify="right" if name in ("records", "oldest") else "left")
    lanes = {(row.stage, row.lane): row.state for row in rows if not row.workflow}
    for row in rows:
        if row.workflow and (row.state == "done" or row.state == lanes[row.stage, row.lane] == "unknown"):
            continue
        made.add_row(
            row.stage, row.lane, row.workflow or "all", _text(row.records, "{:.0f}"),
            _text(row.seconds, "{:.1f} s"), row.state,
        )  # fmt: skip
    return made


def causes(rows: Sequence[LagRow]) -> list[str]:
    """Return why numbers are not known, each cause once with the first place it was met."""
    found: dict[str, str] = {}
    for row in rows:
        for measure in (row.records, row.seconds):
            if isinstance(measure, Unknown):
                found.setdefault(measure.cause, f"{row.stage} {row.lane}")
    return [f"{cause} ({place})" for cause, place in found.items()]


def _tell(rows: Sequence[LagRow], orders: Sequence[Order] | None) -> None:
    """Say beside the table what is not known and why, and which lanes are slow because they were told to be."""
    for cause in causes(rows):
        typer.echo(f"unknown: {cause}", err=True)
    if orders is None:
        typer.echo("unknown: which orders are in force", err=True)
    for line in ordered(orders or ()):
        typer.echo(line, err=True)


def ordered(orders: Sequence[Order]) -> list[str]:
    """Return a line for each order in force: where, until when, what it asks for, who gave it and why."""
    from vigimesh.app.operators.ordering import asks, place_text

    return [
        f"{place_text((one.lane, one.workflow))} until {one.expires_at:%H:%M:%S} UTC: {asks(one)}"
        f" (by {one.by or 'controller'}: {one.reason})"
        for one in orders
    ]


def _in_force(reader: OrderReader) -> list[Order] | None:
    from vigimesh.clock import SystemClock
    from vigimesh.events.topics import LANES

    if not reader.caught_up(_ORDERS_S):
        return None
    now = SystemClock().now()
    return [order for lane in LANES for order in reader.in_force(lane, now)]


def _text(measure: Measure, form: str) -> str:
    if isinstance(measure, Known):
        return ("≤ " if measure.at_most else "") + form.format(measure.value)
    return "unknown"


def _watch(reader: LagReader) -> int:
    """Draw the table until Ctrl-C."""
    import threading

    from rich.live import Live

    never = threading.Event()
    with Live(table(reader.look(_FLOW_S)), auto_refresh=False) as screen:
        while not never.wait(_WATCH_S):
            screen.update(table(reader.look(_WATCH_S)), refresh=True)
    return OK


def _readers(data: Path | None) -> tuple[LagReader, OrderReader]:
    from vigimesh.adapters.kafka.cluster.lag import LagReader
    from vigimesh.adapters.kafka.orders import OrderReader
    from vigimesh.app.config.clients import codec_of, kafka_of
    from vigimesh.app.config.located import settings_for
    from vigimesh.app.in_force.cards import cards_of
    from vigimesh.clock import SystemClock

    settings = settings_for(data, "kafka.bootstrap", "registry.url")
    base = kafka_of(settings)
    codec, clock = codec_of(settings), SystemClock()
    workflows = [card.name for card in cards_of(settings).cards]
    return LagReader(base, codec, workflows, clock), OrderReader(base, codec, clock).start()
