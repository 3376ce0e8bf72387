"""`vigimesh knowledge products|stats|changes`: who keeps what how fresh, how the caches do, what changed in a document."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vigimesh.app.options import AsJson, Data, print_json
from vigimesh.clock import SystemClock
from vigimesh.domain.budget.money import amount_text
from vigimesh.errors import Misconfigured, Refused

if TYPE_CHECKING:
    from pathlib import Path

    from vigimesh.app.config.settings import Settings
    from vigimesh.domain.knowledge.standing import Standing
    from vigimesh.domain.knowledge.summaries import Summary

#: Days that `--since` may go back: ten years.
_MAX_DAYS = 3_660
_DAYS = re.compile(r"(\d{1,4})d")


def products(data: Data = None, as_json: AsJson = False) -> None:
    """Show who keeps which documents, and how fresh.

    Of each knowledge product: owner, service level, the document that changed last with its age, by when each source must have been
    read again, and when summaries are made next. Exit status 1 when a product is past its service level.
    """
    from vigimesh.adapters.postgres.library import PgLibrary
    from vigimesh.app.exits import NOT_HELD, OK
    from vigimesh.app.in_force.products import products_of
    from vigimesh.domain.knowledge.standing import standings

    settings, now = _settings(data), SystemClock().now()
    held = products_of(settings)
    with closing(PgLibrary(settings.postgres.dsn, application_name="vigimesh knowledge")) as library:
        found = standings(held, library.sources(), now)
    if as_json:
        print_json({"origin": held.origin, "products": [plain_standing(one, now) for one in found]})
    else:
        for one in found:
            typer.echo(standing_text(one, now))
    raise typer.Exit(NOT_HELD if any(one.past for one in found) else OK)


def stats(
    since: Annotated[
        str, typer.Option("--since", metavar="DAY", help="From this day (UTC) on: 2026-01-31, or 30d back.")
    ] = "30d",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show how the caches of answers do.

    By product and for all: questions, answers by level with hit rates, grounded answers, ages at serve (from above, at most 9 % too
    high), false hits that the audit found, misses by reason, and what summaries cost. Exit status 1 when there was a false hit.
    """
    from vigimesh.adapters.postgres.ledger import PgLedger
    from vigimesh.adapters.postgres.summaries import PgSummaryIndex
    from vigimesh.app.exits import NOT_HELD, OK
    from vigimesh.domain.knowledge.ledger import by_product

    day, settings = since_of(since, SystemClock().now().date()), _settings(data)
    dsn, name = settings.postgres.dsn, "vigimesh knowledge"
    with (
        closing(PgLedger(dsn, application_name=name)) as ledger,
        closing(PgSummaryIndex(dsn, application_name=name)) as index,
    ):
        found = by_product(ledger.counts(day), index.costs(day))
    if as_json:
        print_json({"since": day.isoformat(), "products": found})
    else:
        for product, row in found.items():
            typer.echo(stats_text(product, row))
    raise typer.Exit(NOT_HELD if found["all"]["false_hits"] else OK)


def changes(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A document: its id, title or a name of its product.")
    ],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show what changed between the last two versions.

    The summary that the librarian made, with the places in both versions: `vigimesh knowledge show` opens them.
    """
    from vigimesh.adapters.objects.store import ObjectStore
    from vigimesh.adapters.postgres.summaries import PgSummaryIndex
    from vigimesh.domain.knowledge.questions import normal
    from vigimesh.domain.knowledge.summaries import summary_of

    settings = _settings(data)
    settings.require("objects.url")
    with closing(PgSummaryIndex(settings.postgres.dsn, application_name="vigimesh knowledge")) as index:
        rows = index.called([normal(name)])
    if len(rows) != 1:
        what = "no document with two versions" if not rows else f"{len(rows)} documents"
        raise Refused(
            "VM-2805", what=f"there is a summary of {what} under that name", where=name,
            todo="give the document's id; `vigimesh knowledge show` lists what is there",
        )  # fmt: skip
    made = summary_of(ObjectStore(settings.objects.url).get(rows[0].digest), rows[0].digest)
    if as_json:
        print_json({"read_at": rows[0].read_at.isoformat(), "summary": _plain_summary(made)})
        return
    typer.echo(f"{made.title} ({made.document_id}): {made.older} -> {made.version}")
    for line in summary_lines(made):
        typer.echo(line)


def since_of(text: str, today: date) -> date:
    """Return the day that `--since` names; raises `Misconfigured` VM-2804 for what is neither a date nor days."""
    back = _DAYS.fullmatch(text)
    try:
        if back:
            days = int(back[1])
            if days <= _MAX_DAYS:
                return today - timedelta(days=days)
        else:
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise Misconfigured(
        "VM-2804", what=f"{text[:40]!r} is neither a date nor a number of days", where="--since",
        todo=f"give 2026-01-31, or 30d for the last 30 days (at most {_MAX_DAYS}d)",
    )  # fmt: skip


def plain_standing(one: Standing, now: datetime) -> dict[str, Any]:
    """Return a product's standing for JSON; ages in hours, `null` where there is no document or no time."""
    newest = one.newest
    return {
        "id": one.product.id, "owner": one.product.owner, "description": one.product.description,
        "service_level_hours": int(one.product.service_level.total_seconds() // 3_600),
        "semantic": one.product.semantic, "documents": one.documents,
        "newest": f"{newest.id}@{newest.version}" if newest else None,
        "newest_age_hours": _hours(now - newest.at) if newest else None,
        "oldest_read": one.oldest.id if one.oldest else None,
        "due_at": one.due_at.isoformat() if one.due_at else None, "past_due": one.past,
        "next_refresh": one.next_refresh.isoformat(timespec="minutes") if one.next_refresh else None,
    }  # fmt: skip


def standing_text(one: Standing, now: datetime) -> str:
    """Return a product's standing in two lines."""
    product = one.product
    head = f"{product.id}: {product.owner}; {one.documents} documents, read again within {_span(product.service_level)}"
    if one.newest is None or one.oldest is None or one.due_at is None:
        return f"{head}\n  no document is there"
    due = f"{one.due_at:%Y-%m-%d %H:%M}"
    state = f"PAST DUE since {due} ({one.oldest.id})" if one.past else f"due {due} ({one.oldest.id})"
    when = (
        f"summaries next {one.next_refresh:%Y-%m-%d %H:%M}" if one.next_refresh else "summaries on a change"
    )
    newest = f"newest {one.newest.id} {one.newest.version}, {_span(now - one.newest.at)} old"
    return f"{head}\n  {newest}; {state}; {when}"


def stats_text(name: str, row: dict[str, Any]) -> str:
    """Return the figures of one product in one line and, where there are any, its summaries, misses and false hits below."""
    rates = ", ".join(f"{level} {_percent(rate)}" for level, rate in row["hit_rate"].items())
    ages = f"age at serve p50 {_age(row['age_p50_s'])}, p99 {_age(row['age_p99_s'])}"
    lines = [
        f"{name}: {row['questions']} questions; hits {rates}; grounded {_percent(row['grounded_rate'])}; {ages}"
    ]
    lines += [
        f"  summaries: {cost['made']} made of {cost['characters']} characters, {amount_text(cost['micro'], currency)}"
        for currency, cost in row["summaries"].items()
    ]
    if row["missed"]:
        lines.append("  missed: " + ", ".join(f"{why} {count}" for why, count in row["missed"].items()))
    if row["false_hits"]:
        lines.append(
            "  FALSE HITS: " + ", ".join(f"{why} {count}" for why, count in row["false_hits"].items())
        )
    return "\n".join(lines)


def summary_lines(made: Summary) -> list[str]:
    """Return a summary in lines, each statement with the citations that open it."""
    lines = [
        f"  {one.what} reaction {one.term} [{made.document_id}@{one.cite.version}#{one.cite.first}-{one.cite.last}]"
        for one in made.reactions
    ]
    for one in made.statements:
        places = [
            f"{made.document_id}@{cite.version}#{cite.first}-{cite.last}"
            for cite in (one.older, one.newer)
            if cite
        ]
        lines.append(f"  {one.section}: {one.said} [{', '.join(places)}]")
    if made.left_out:
        lines.append(f"  and {made.left_out} more changes")
    return lines or ["  nothing that is cited changed"]


def _settings(data: Path | None) -> Settings:
    from vigimesh.app.config.located import settings_for

    return settings_for(data, "postgres.dsn")


def _plain_summary(made: Summary) -> Any:
    import msgspec

    return msgspec.to_builtins(made)


def _hours(span: timedelta) -> int:
    return int(span.total_seconds() // 3_600)


def _span(span: timedelta) -> str:
    hours = _hours(span)
    return f"{hours} h" if hours < 72 else f"{hours // 24} days"


def _age(seconds: float | None) -> str:
    return (
        "none"
        if seconds is None
        else _span(timedelta(seconds=seconds))
        if seconds >= 3_600
        else f"{seconds:.0f} s"
    )


def _percent(rate: float | None) -> str:
    return "none" if rate is None else f"{rate:.1%}"
