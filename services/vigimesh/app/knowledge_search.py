"""`vigimesh knowledge search`: what the retriever would find, which side found it at what rank, and how to open it."""

from __future__ import annotations

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

    Each passage with its document, version, section and characters, the rank that words and vectors gave it, and the command that opens
    it. Exit status 1 when nothing is found.
    """
    from vigimesh.app.exits import NOT_HELD

    found = _found(question, limit, data)
    if as_json:
        body = {
            "question": question, "by": found.alone or "both", "hits": [_plain(hit) for hit in found.hits],
        }  # fmt: skip
        print_json(body)
    else:
        for hit in found.hits:
            typer.echo(_text(hit))
        why = f"; by words alone: {_WHY[found.alone]}" if found.alone else ""
        typer.echo(f"{len(found.hits)} passages{why}", err=True)
    raise typer.Exit(0 if found.hits else NOT_HELD)


def _found(question: str, limit: int, data: Any) -> Found:
    from vigimesh.adapters.postgres import PgSearch
    from vigimesh.app.embedding import embedder_of
    from vigimesh.app.located import settings_for

    settings = settings_for(data, "postgres.dsn")
    index = PgSearch(
        settings.postgres.dsn,
        application_name="vigimesh knowledge",
        embedder=embedder_of(settings.embeddings),
    )
    try:
        return index.find([question], limit)[0]
    finally:
        index.close()


def _opens(hit: Hit) -> str:
    one = hit.passage
    return f"vigimesh knowledge show {one.document_id}@{one.version} --at {one.start}-{one.end}"


def _plain(hit: Hit) -> dict[str, Any]:
    one = hit.passage
    return {
        "document": one.document_id, "version": one.version, "section": one.section, "start": one.start, "end": one.end,
        "text": one.text, "score": one.score, "text_rank": hit.text_rank, "vector_rank": hit.vector_rank,
        "cosine": round(hit.cosine, 4), "open": _opens(hit),
    }  # fmt: skip


def _text(hit: Hit) -> str:
    one = hit.passage
    ranks = [
        f"{side} {rank}"
        for side, rank in (("words", hit.text_rank), ("vectors", hit.vector_rank))
        if rank is not None
    ]
    shown = " ".join(one.text.split())
    cut = f"{shown[:_SHOWN]}..." if len(shown) > _SHOWN else shown
    return (
        f"{one.document_id} {one.version}  {one.section}  characters {one.start} to {one.end}"
        f"  ({', '.join(ranks) or 'in scope only'})\n  {cut}\n  open: {_opens(hit)}"
    )
