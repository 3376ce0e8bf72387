"""`vigimesh knowledge recall`: what rests on advice that changed, what became of it, and the order to look at it again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vigimesh.app.options import AsJson, Data, print_json
from vigimesh.errors import Refused, Transient

if TYPE_CHECKING:
    from vigimesh.app.config.settings import Settings
    from vigimesh.background.librarian.recall import Looked, Recaller
    from vigimesh.domain.knowledge.recalling import Change
    from vigimesh.ports.recalls import Mark

#: Cases shown to a person; `--json` has all.
_LINES = 50
_WORDS = {
    "to_order": "to be recalled", "waits": "not now", "ordered": "recalled, on its way", "upheld": "recalled: upheld",
    "reopened": "recalled: reopened", "asked_again": "recalled: asked again", "left": "left",
}  # fmt: skip


def recall(  # noqa: PLR0913  typer wants one parameter for each option
    document: Annotated[str, typer.Argument(metavar="DOCUMENT", help="Id of the document that changed.")],
    version: Annotated[
        str, typer.Option("--version", metavar="N.N", help="Only what rests on versions below it.")
    ] = "",
    order: Annotated[
        bool, typer.Option("--order", help="Order it now; the librarian does by itself.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list, also with --order.")] = False,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who orders. [default: your login]")] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List what rests on superseded advice.

    Decisions and reviews by the passages that they were given, with what is to be done about each and what became of it;
    summaries and cached answers that cite them. With --order those not recalled yet are looked at again, each once.
    """
    from vigimesh.app.config.located import settings_for
    from vigimesh.app.operators.order_giving import login
    from vigimesh.domain.knowledge.chunks import is_version

    if version and not is_version(version):
        raise typer.BadParameter(f"--version takes numbers and dots, such as 1.0; not {version[:40]!r}")
    settings = settings_for(data, "postgres.dsn", "kafka.bootstrap", "registry.url")
    change, lines, made = asyncio.run(
        _done(settings, (document, version), by or login(), order=order and not dry_run)
    )
    aside = {"summaries": _summaries(settings, change), "cached": _cached(settings, change)}
    if as_json:
        print_json(_plain(change, lines, made) | aside)
        return
    _tell(change, lines, made, aside)


async def _done(
    settings: Settings, wanted: tuple[str, str], by: str, *, order: bool
) -> tuple[Change, Sequence[Mapping[str, Any]], Sequence[Mark]]:
    """Return the change, a line for each version of a case, and what was ordered now.

    Raises `Refused` VM-2903 for a document of which nothing is superseded or withdrawn, `Transient`.
    """
    from vigimesh.background.librarian.recall import plain

    recaller, close = opened(settings, by)
    try:
        change, looked = await recaller.listed(*wanted)
        if change is None:
            versions = await asyncio.to_thread(recaller.recalls.versions)
            raise unchanged(wanted[0], there=any(one.document_id == wanted[0] for one in versions))
        made = await _ordered(recaller, change, looked) if order else ()
        if made:
            _, looked = await recaller.listed(*wanted)
        return change, [plain(one, recaller.clock.now()) for one in looked], made
    finally:
        await recaller.desk.close()
        close()


def unchanged(document: str, *, there: bool) -> Refused:
    """Return the error for a document without a change: a misspelt id must not read as "nothing rests on it"."""
    what = (
        "no version of it was superseded or withdrawn, so that nothing rests on one"
        if there
        else "no document has this id"
    )
    return Refused("VM-2903", what=what, where=f"document {document[:200]}",
                   todo="see the documents with `vigimesh knowledge show`")  # fmt: skip


async def _ordered(recaller: Recaller, change: Change, looked: Sequence[Looked]) -> Sequence[Mark]:
    uses = [one.use for one in looked if one.use.state == "found"]
    return await recaller.order([change], uses) if uses else ()


def opened(settings: Settings, actor: str) -> tuple[Recaller, Any]:
    """Return what finds and orders recalls, and what closes its base; nothing is connected yet."""
    from vigimesh.adapters.kafka.desks.recalls import KafkaRecallDesk
    from vigimesh.adapters.postgres.recalls import PgRecalls
    from vigimesh.app.config.clients import codec_of, quiet_kafka_of
    from vigimesh.background.librarian.recall import Recaller
    from vigimesh.clock import SystemClock

    index = PgRecalls(settings.postgres.dsn)
    recaller = Recaller(
        recalls=index, codec=codec_of(settings), clock=SystemClock(), actor=actor,
        desk=KafkaRecallDesk(
            quiet_kafka_of(settings), index
        ),
    )  # fmt: skip
    return recaller, index.close


def _summaries(settings: Settings, change: Change) -> list[dict[str, Any]]:
    """Return the summaries that speak of what is stale now: they are made anew, or dropped, by the librarian."""
    from vigimesh.adapters.postgres.summaries import PgSummaryIndex

    with closing(PgSummaryIndex(settings.postgres.dsn, application_name="vigimesh knowledge")) as index:
        return [
            {"document_id": one.document_id, "older": one.older, "version": one.version, "digest": one.digest}
            for one in index.rows()
            if one.document_id == change.document_id and one.version in change.stale
        ]


def _cached(settings: Settings, change: Change) -> list[dict[str, Any]] | str:
    """Return the stored answers that cite what is stale, which no level serves any more; in words why they are not known."""
    from vigimesh.adapters.redis.answers import RedisAnswers

    url = settings.cache.url or settings.redis.url
    if not url:
        return "no cache is configured"
    with closing(RedisAnswers.open(url)) as answers:
        try:
            found = [one for version in change.stale for one in answers.citing(change.document_id, version)]
        except Transient as error:
            return str(error)
    return [
        {
            "question_key": one.question_key,
            "read_at": one.read_at.isoformat(),
            "cited": [f"{cited.document_id}@{cited.version}" for cited in one.cited],
        }
        for one in found
    ]


def _plain(change: Change, lines: Sequence[Mapping[str, Any]], made: Sequence[Mark]) -> dict[str, Any]:
    return {
        "document": change.document_id, "version": change.version, "withdrawn": change.withdrawn, "cause": change.cause,
        "known_at": change.known_at.isoformat(), "stale": list(change.stale), "cases": list(lines), "count": len(lines),
        "ordered_now": [one.use.message_id for one in made],
    }  # fmt: skip


def _tell(
    change: Change, lines: Sequence[Mapping[str, Any]], made: Sequence[Mark], aside: Mapping[str, Any]
) -> None:
    stands = "withdrawn" if change.withdrawn else f"version {change.version} stands"
    typer.echo(
        f"{change.document_id}: {stands}, known since {change.known_at:%Y-%m-%d %H:%M}; {len(lines)} cases"
    )
    for line in lines[:_LINES]:
        before = (
            f"{line['earlier']}, grade {line['grade']}, listed {line['listed']}" if "earlier" in line else ""
        )
        cited = f"given version {', '.join(line['versions'])}"
        why = f" ({line['why']})" if line["why"] else ""
        typer.echo(
            f"{_WORDS[line['state']]}{why}: {line['case_id']} {line['message_id'][:8]}, {before}, {cited}"
        )
    if len(lines) > _LINES:
        typer.echo(f"and {len(lines) - _LINES} more: --json has all")
    for one in aside["summaries"]:
        typer.echo(f"summary: {one['document_id']} {one['older']} to {one['version']}")
    cached = aside["cached"]
    typer.echo(f"cached answers: {cached if isinstance(cached, str) else len(cached)}")
    if made:
        typer.echo(f"recalled now: {len(made)}")
