"""`vigimesh knowledge search`: what the retriever would find, which side found it at what rank, and how to open it."""

from __future__ import annotations

import shlex
import shutil
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vigimesh.app.options import AsJson, Data, print_json

if TYPE_CHECKING:
    from vigimesh.domain.knowledge.fusion import Found, Hit

#: Characters of a passage that are shown to a person; the whole of it is what `open` opens.
_SHOWN = 160
_WHY = {
    "off": "no model of embeddings is chosen (VIGIMESH_EMBEDDINGS__MODEL)",
    "free": "the question is about no product",
    "absent": "the model of embeddings, or pgvector, is missing or not what it says",
    "away": "the model of embeddings does not answer",
    "unfinished": "not all passages in scope have vectors yet",
    "kept": "the question may name a person, and the model is elsewhere",
}


def search(
    question: Annotated[
        str,
        typer.Argument(
            metavar="QUESTION", help="As the planner asks: a product and a reaction, or any words."
        ),
    ],
    limit: Annotated[int, typer.Option("--limit", min=1, max=50, help="Passages at most.")] = 5,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Search the knowledge base.

    Each passage with the title of its document, its section, the rank that words and vectors gave it, and the command that opens it
    at its document, version and characters. Exit status 1 when nothing is found.
    """
    from vigimesh.app.exits import NOT_HELD

    if not question.strip():
        raise typer.BadParameter("the question is empty")
    found, titles = _found(question, limit, data)
    if as_json:
        hits = [_plain(hit, titles, data) for hit in found.hits]
        print_json({"question": question, "by": found.alone or "both", "hits": hits})
    else:
        width = shutil.get_terminal_size().columns
        for hit in found.hits:
            typer.echo(in_words(hit, titles, data, width))
        why = f"; by words alone: {_WHY[found.alone]}" if found.alone else ""
        typer.echo(f"{len(found.hits)} passages{why}", err=True)
    raise typer.Exit(0 if found.hits else NOT_HELD)


def _found(question: str, limit: int, data: Path | None) -> tuple[Found, Mapping[tuple[str, str], str]]:
    """Return what answers the question, and the titles of documents by id and version: an id of a label tells a person nothing."""
    from vigimesh.adapters.postgres.library import PgLibrary
    from vigimesh.adapters.postgres.search import PgSearch
    from vigimesh.app.config.located import settings_for
    from vigimesh.app.in_force.embedding import embedder_of

    settings = settings_for(data, "postgres.dsn")
    dsn, name = settings.postgres.dsn, "vigimesh knowledge"
    index = PgSearch(dsn, application_name=name, embedder=embedder_of(settings.embeddings))
    try:
        found = index.find([question], limit)[0]
    finally:
        index.close()
    if not found.hits:
        return found, {}
    library = PgLibrary(dsn, application_name=name)
    try:
        return found, {(one.id, one.version): one.title for one in library.sources()}
    finally:
        library.close()


def opens(hit: Hit, data: Path | None) -> str:
    """Return the command that opens a passage where it was found: on the same stack."""
    one = hit.passage
    there = f" --data {shlex.quote(str(data))}" if data else ""
    return f"vigimesh knowledge show {one.document_id}@{one.version} --at {one.start}-{one.end}{there}"


def _plain(hit: Hit, titles: Mapping[tuple[str, str], str], data: Path | None) -> dict[str, Any]:
    one = hit.passage
    return {
        "document": one.document_id, "version": one.version, "title": titles.get((one.document_id, one.version), ""),
        "section": one.section, "start": one.start, "end": one.end, "text": one.text, "score": one.score,
        "text_rank": hit.text_rank, "vector_rank": hit.vector_rank, "cosine": round(hit.cosine, 4), "open": opens(hit, data),
    }  # fmt: skip


def in_words(hit: Hit, titles: Mapping[tuple[str, str], str], data: Path | None, width: int) -> str:
    """Return a hit as a person reads it, no line but the command wider than `width` signs."""
    one = hit.passage
    ranks = [
        f"{side} {rank}"
        for side, rank in (("words", hit.text_rank), ("vectors", hit.vector_rank))
        if rank is not None
    ]
    title = titles.get((one.document_id, one.version), one.document_id)
    # A document without headings has the empty one.
    place = ": ".join(part for part in (title, one.section) if part)
    head = f"{place}  ({', '.join(ranks) or 'in scope only'})"
    shown = textwrap.shorten(one.text, _SHOWN, placeholder=" ...")
    return "\n".join([
        textwrap.fill(head, width, subsequent_indent="  "),
        textwrap.fill(shown, width, initial_indent="  ", subsequent_indent="  "),
        f"  open: {opens(hit, data)}",
    ])  # fmt: skip
