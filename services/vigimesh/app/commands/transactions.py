"""`vigimesh transactions`: what is open on the cluster, for how long, and the end of what nobody else will end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vigimesh.app.exits import NOT_HELD
from vigimesh.app.options import AsJson, Data, print_json
from vigimesh.errors import Refused

if TYPE_CHECKING:
    from datetime import datetime

    from vigimesh.adapters.kafka.cluster.transaction_log import Transaction
    from vigimesh.adapters.kafka.cluster.transactions import Listing

app = typer.Typer(name="transactions", help="Transactions on the cluster: list, abort.", no_args_is_help=True)

#: Partitions of a transaction that a line names.
SHOWN = 4


@app.command("list")
def list_command(
    everything: Annotated[bool, typer.Option("--all", help="Also the ids whose last one has ended.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List open transactions, the oldest first.

    Readers of committed records wait at each. Exit status 1 when one is overdue: open for longer than its time-out and
    the broker's clean-up interval.
    """
    cluster = _cluster(data)
    listing, now = cluster.look()
    shown = [one for one in listing.transactions.values() if everything or one.is_open]
    shown.sort(key=lambda one: (not one.is_open, one.started_at or one.updated_at, one.id))
    overdue = [one.id for one in shown if _overdue(listing, one, now)]
    if as_json:
        print_json(
            {"transactions": [_plain(listing, one, now) for one in shown], "open": sum(o.is_open for o in shown),
             "overdue": overdue, "cleanup_interval_ms": listing.cleanup_ms, "unreadable": list(listing.unreadable)}
        )  # fmt: skip
    else:
        for one in shown:
            typer.echo(_line(listing, one, now))
        if not shown:
            typer.echo("no transaction is open", err=True)
        for name in listing.unreadable:
            typer.echo(f"{name}  its record is of a version that is not read here", err=True)
    if overdue:
        raise typer.Exit(NOT_HELD)


@app.command()
def abort(
    given: Annotated[str, typer.Argument(metavar="ID", help="The transactional id, as `list` shows it.")],
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it. Without it, only what would be done is shown.")
    ] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """End an open transaction and fence its producer.

    A worker that still lives under this id ends with VM-1303 and is started again by its keeper; nothing is lost.
    """
    from vigimesh.adapters.kafka.cluster.transactions import end

    cluster = _cluster(data)
    listing, now = cluster.look()
    found = listing.transactions.get(given)
    if found is None or not found.is_open:
        raise Refused(
            "VM-1722", what=f"{given!r} has no open transaction" if found else f"no producer goes by {given!r}",
            where="transactions abort", todo="see what is open: `vigimesh transactions list`",
        )  # fmt: skip
    if yes:
        end(cluster.base, found)
    if as_json:
        print_json({"dry_run": not yes, "transaction": _plain(listing, found, now), "ended": yes})
    elif yes:
        typer.echo(f"{given}: ended, its producer fenced")
    else:
        typer.echo(_line(listing, found, now))
        typer.echo("it would be ended and its producer fenced; nothing was done. Do it: the same with --yes")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cluster:
    """The cluster of the settings."""

    base: dict[str, Any]

    def look(self) -> tuple[Listing, datetime]:
        """Return every transactional id with its state, and the time of day."""
        from vigimesh.adapters.kafka.cluster.transactions import listing
        from vigimesh.clock import SystemClock

        clock = SystemClock()
        return listing(self.base, clock), clock.now()


def _cluster(data: Path | None) -> _Cluster:
    from vigimesh.app.config.clients import quiet_kafka_of
    from vigimesh.app.config.located import settings_for

    settings = settings_for(data, "kafka.bootstrap")
    return _Cluster(base=quiet_kafka_of(settings))


def _overdue(listing: Listing, one: Transaction, now: datetime) -> bool:
    due_at = listing.due_at(one)
    return one.is_open and due_at is not None and now > due_at


def _age_s(one: Transaction, now: datetime) -> float | None:
    return None if one.started_at is None else (now - one.started_at).total_seconds()


def _plain(listing: Listing, one: Transaction, now: datetime) -> dict[str, Any]:
    due_at = listing.due_at(one)
    return {
        "id": one.id, "state": one.state, "open": one.is_open, "producer_id": one.producer_id, "epoch": one.epoch,
        "started_at": one.started_at.isoformat() if one.started_at else None,
        "updated_at": one.updated_at.isoformat(), "age_s": _age_s(one, now) if one.is_open else None,
        "timeout_ms": one.timeout_ms, "ends_by": due_at.isoformat() if due_at and one.is_open else None,
        "overdue": _overdue(listing, one, now), "partitions": [f"{name}-{number}" for name, number in one.partitions],
    }  # fmt: skip


def _line(listing: Listing, one: Transaction, now: datetime) -> str:
    places = ", ".join(f"{name}-{number}" for name, number in one.partitions[:SHOWN])
    more = f" and {len(one.partitions) - SHOWN} more" if len(one.partitions) > SHOWN else ""
    if not one.is_open:
        return f"{one.id}  {one.state}  last change {one.updated_at:%Y-%m-%d %H:%M:%S}"
    due_at, age_s = listing.due_at(one), _age_s(one, now)
    if _overdue(listing, one, now):
        word = "OVERDUE: the broker should have ended it; vigimesh transactions abort"
    else:
        word = f"ends by itself by {due_at:%H:%M:%S}" if due_at else "no beginning is known"
    age = "-" if age_s is None else f"{age_s:.1f} s"
    return f"{one.id}  {one.state}  open {age}, time-out {one.timeout_ms / 1000:g} s, {word}  {places}{more}"
