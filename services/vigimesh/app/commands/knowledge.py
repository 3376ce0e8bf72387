"""`vigimesh knowledge`: labels and guidance in, looked at, and taken back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vigimesh.app.commands.knowledge_counts import counts
from vigimesh.app.commands.knowledge_products import changes, products, stats
from vigimesh.app.commands.knowledge_recall import recall
from vigimesh.app.commands.knowledge_search import search
from vigimesh.app.exits import NOT_HELD, OK, REFUSED
from vigimesh.app.options import AsJson, Data, one_of, print_json

if TYPE_CHECKING:
    from vigimesh.adapters.postgres.library import PgLibrary
    from vigimesh.app.config.settings import Settings
    from vigimesh.domain.knowledge.editions import Shelved
    from vigimesh.domain.knowledge.sections import Sectioned
    from vigimesh.domain.knowledge.texts import Identity

app = typer.Typer(
    name="knowledge", help="Labels and guidance: in, searched, recalled, counted.", no_args_is_help=True
)

app.command()(products)
app.command()(stats)
app.command()(changes)
app.command()(recall)
app.command()(search)
app.command()(counts)

By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who does it. [default: your login]")]


@app.command()
def ingest(  # noqa: PLR0913  typer wants one parameter for each option
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files, or folders of them.")],
    document_id: Annotated[str, typer.Option("--id", metavar="ID", help="Of one file that does not name itself.")] = "",
    version: Annotated[str, typer.Option("--version", metavar="N.N", help="Its version.")] = "",
    title: Annotated[str, typer.Option("--title", metavar="TEXT", help="Its title.")] = "",
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help="guidance or reference.")] = "guidance",
    by: By = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and cut; store nothing, compare nothing with what is there.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Bring labels (SPL XML), Markdown, text and PDF in.

    A file that does not say which document and version it is has NAME.toml beside it, or --id, --version and --title. A
    refused file is named and the others enter; then the exit status is 1, and 3 when none entered. What changed is announced
    at once where Kafka is configured, else by the librarian.
    """
    from vigimesh.app.operators.documents import Brought, bring, read_paths, tell_all
    from vigimesh.app.operators.order_giving import login

    readings = read_paths(paths, _named(document_id, version, title, kind))
    late, told = "", 0
    if dry_run:
        refused = tuple((str(path), error) for path, error in readings.refused)
        done = Brought(new=tuple(source for _, source in readings.read), there=(), refused=refused)
    else:
        with opened_library(data) as (library, settings):
            done = bring(library, readings, by or login())
            told, late = tell_all(settings, library)
    _tell_brought(done, (told, late), dry_run=dry_run, as_json=as_json)
    raise typer.Exit(OK if not done.refused else NOT_HELD if done.new or done.there else REFUSED)


@app.command()
def show(
    document: Annotated[
        str, typer.Argument(metavar="DOCUMENT[@VERSION]", help="Which one. [default: list all]")
    ] = "",
    at: Annotated[
        str, typer.Option("--at", metavar="START-END", help="Open a citation at these characters.")
    ] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List documents, show one, or open a citation.

    A citation as it stands in a decision is taken whole: DOCUMENT@VERSION#START-END. Versions that were superseded or
    withdrawn open as well, since decisions cite them.
    """
    from vigimesh.app.operators.citations import read_citation
    from vigimesh.app.operators.documents import current_version

    if at and not document:
        raise typer.BadParameter("--at opens a place of one document, and none is named")
    with opened_library(data) as (library, _):
        if not document:
            _tell_list(library.documents(), as_json=as_json)
            return
        wanted = read_citation(document, at)
        version = wanted.version or current_version(library, wanted.document)
        source = library.source(wanted.document, version)
        held = next(one for one in library.documents() if (one.id, one.version) == (wanted.document, version))
    if wanted.at is None:
        _tell_document(source, held, as_json=as_json)
    else:
        _tell_opened(source, held, wanted.at, as_json=as_json)


@app.command()
def withdraw(
    document: Annotated[str, typer.Argument(metavar="DOCUMENT", help="Its id.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the audit. No case text.")],
    by: By = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Take a document back: nothing of it is served again.

    All its versions; they stay readable, since decisions cite them. A higher version brings it back. Who did it and why
    stands in the audit.
    """
    from vigimesh.app.operators.documents import tell_all
    from vigimesh.app.operators.order_giving import given_now

    given = given_now(by, reason)
    with opened_library(data) as (library, settings):
        change = library.withdraw(document, by=given.by, reason=given.reason)
        told, late = tell_all(settings, library)
    if as_json:
        print_json(
            {"document": change.document_id, "version": change.version, "announced": told, "late": late}
        )
    else:
        typer.echo(f"{change.document_id} is withdrawn; its newest version was {change.version}")
        _tell_late(late)  # fmt: skip


@app.command()
def reindex(
    document: Annotated[str, typer.Argument(metavar="DOCUMENT[@VERSION]", help="Which one. [default: its current version]")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Cut and index a document anew from the text kept.

    After a release that cuts or reads otherwise. The text stays, so every citation of it opens as before.
    """
    from vigimesh.app.operators.citations import read_citation
    from vigimesh.app.operators.documents import current_version

    with opened_library(data) as (library, _):
        wanted = read_citation(document, "")
        version = wanted.version or current_version(library, wanted.document)
        passages = library.reindex(wanted.document, version)
    if as_json:
        print_json({"document": wanted.document, "version": version, "passages": passages})
    else:
        typer.echo(f"{wanted.document} {version}: {passages} passages")


@contextmanager
def opened_library(data: Path | None) -> Iterator[tuple[PgLibrary, Settings]]:
    """Open the library that the settings name; raises `Misconfigured` VM-1102 or VM-1705 when none is named."""
    from vigimesh.adapters.postgres.library import PgLibrary
    from vigimesh.app.config.located import settings_for

    settings = settings_for(data, "postgres.dsn")
    library = PgLibrary(settings.postgres.dsn, application_name="vigimesh knowledge")
    try:
        yield library, settings
    finally:
        library.close()


def _named(document_id: str, version: str, title: str, kind: str) -> Identity | None:
    from vigimesh.domain.knowledge.chunks import KINDS
    from vigimesh.domain.knowledge.texts import Identity

    one_of(kind, KINDS, "--kind")
    given = (document_id, version, title)
    if not any(given):
        return None
    if not all(given):
        raise typer.BadParameter("--id, --version and --title go together")
    return Identity(id=document_id, version=version, title=title, kind=kind)


def _tell_brought(done: Any, announced: tuple[int, str], *, dry_run: bool, as_json: bool) -> None:
    from vigimesh.app.operators.documents import plain_errors, shown

    told, late = announced
    if as_json:
        print_json({
            "new": [shown(one) for one in done.new],
            "there": [shown(one) | {"withdrawn": one.document.id in done.withdrawn} for one in done.there],
            "refused": plain_errors(done.refused), "announced": told, "late": late, "dry_run": dry_run,
        })  # fmt: skip
        return
    for how, sources in (("would enter" if dry_run else "new", done.new), ("there already", done.there)):
        for source in sources:
            row = shown(source)
            typer.echo(
                f"{how}: {row['document']}@{row['version']}, {row['sections']} sections, {row['passages']} passages"
            )
            if row["document"] in done.withdrawn:
                typer.echo("  it is withdrawn, and nothing of it is served; a higher version brings it back")
            for remark in row["remarks"]:
                typer.echo(f"  {remark}")
    for file, error in done.refused:
        typer.echo(f"refused: {file}: {error}", err=True)
    if len(done.new) + len(done.there) + len(done.refused) > 1:
        new = f"{len(done.new)} {'would enter' if dry_run else 'new'}"
        typer.echo(f"{new}, {len(done.there)} there already, {len(done.refused)} refused", err=True)
    if done.new and not dry_run:
        _tell_late(late)


def _tell_late(late: str) -> None:
    if late:
        typer.echo(f"not announced yet, the librarian does it: {late}", err=True)


def _state(one: Shelved) -> str:
    return (
        f"withdrawn by {one.withdrawn_by}" if one.withdrawn_by else "current" if one.current else "superseded"
    )


def _tell_list(rows: Any, *, as_json: bool) -> None:
    if as_json:
        print_json({"documents": [_row(one) for one in rows], "count": len(rows)})
        return
    for one in rows:
        typer.echo(f"{one.id}@{one.version}  {_state(one)}  {one.passages} passages  {one.title}")


def _row(one: Shelved) -> dict[str, Any]:
    return {
        "document": one.id, "version": one.version, "title": one.title, "kind": one.kind, "digest": one.digest,
        "effective": one.effective, "by": one.by, "at": one.at.isoformat(), "seen": one.seen.isoformat(),
        "state": _state(one), "reason": one.withdrawn_why, "passages": one.passages, "remarks": list(one.remarks),
    }  # fmt: skip


def _tell_document(source: Sectioned, held: Shelved, *, as_json: bool) -> None:
    if as_json:
        sections = [
            {"path": list(one.path), "codes": list(one.codes), "start": one.start, "end": one.end}
            for one in source.sections
        ]
        print_json(_row(held) | {"sections": sections})
        return
    typer.echo(f"{held.id}@{held.version}  {_state(held)}  {held.title}")
    if held.withdrawn_why:
        typer.echo(f"withdrawn: {held.withdrawn_why}")
    for remark in held.remarks:
        typer.echo(f"  {remark}")
    for one in source.sections:
        typer.echo(f"{one.start}-{one.end}  {' > '.join(heading for heading in one.path if heading)}")


def _tell_opened(source: Sectioned, held: Shelved, at: tuple[int, int], *, as_json: bool) -> None:
    from vigimesh.app.operators.citations import open_citation

    found = open_citation(source, at)
    section = " > ".join(heading for heading in found.path if heading)
    if as_json:
        print_json({
            "document": held.id, "version": held.version, "state": _state(held), "section": section,
            "codes": [code for code in found.codes if code], "page": found.page or None, "start": at[0], "end": at[1],
            "text": found.text,
        })  # fmt: skip
        return
    page = f"  page {found.page}" if found.page else ""
    typer.echo(f"{held.id}@{held.version}#{at[0]}-{at[1]}  {_state(held)}{page}  {section}\n\n{found.text}")
