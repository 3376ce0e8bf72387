"""What holds for every model of embeddings: it is asked, or it is said why not, and a model that was exchanged is noticed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vigimesh.domain.knowledge.fusion import ABSENT, AWAY, FREE, OFF, UNFINISHED
from vigimesh.domain.knowledge.leaving import may_leave, product_names
from vigimesh.domain.knowledge.questions import Query, Scope, understand
from vigimesh.errors import Misconfigured, Transient
from vigimesh.ports import Embedder

if TYPE_CHECKING:
    from vigimesh.domain.knowledge.vectors import Rows

#: A sentence that every model is asked, so that one that was exchanged under its name is noticed.
PROBE = "Injection site pain and fever were reported after the second dose."
#: The cosine under which two answers to `PROBE` are of two models: the same weights on another processor differ by less than 0.001.
SAME_MODEL = 0.99


def embedded(embedder: Embedder, texts: Sequence[str]) -> Rows | str:
    """Return the rows of `texts`, or why there are none: `AWAY` or `ABSENT`."""
    try:
        return embedder.embed(texts)
    except Transient:
        return AWAY
    except Misconfigured:
        return ABSENT


def alone(query: Query, why: str) -> str:
    """Return why words alone answer a question: `why`, but where vectors are there and it is about no product, that."""
    return why if query.only or why == OFF else FREE


def put(embedder: Embedder, questions: Sequence[str], scope: Scope) -> list[str]:
    """Return which of the questions are put to the model: those about one product; of them, when it is elsewhere, those that name nobody."""
    if not embedder.leaves:
        return [question for question in questions if understand(question, scope).only]
    products = product_names(scope)
    return [question for question in questions if may_leave(question, scope, products)]


def asked_text(question: str, scope: Scope) -> str:
    """Return what is embedded of a question: without the name of the one product that answers it, since all in scope share that."""
    query = understand(question, scope)
    return " ".join(query.phrase) if query.only and query.phrase else question


def check_probe(embedder: Embedder, known: Sequence[float] | None) -> None:
    """Compare what the model says of `PROBE` with what is kept of it, if anything.

    Raises `Misconfigured` VM-2612 when it is another model under the same digest, and what `embed` raises.
    """
    if known is None:
        return
    now = embedder.embed([PROBE])[0].tolist()
    if len(now) != len(known) or sum(a * b for a, b in zip(now, known, strict=True)) < SAME_MODEL:
        raise Misconfigured(
            "VM-2612", what=f"the model {embedder.name} answers otherwise than when its first vector was kept",
            where=f"embeddings, model {embedder.digest[:12]}",
            todo="give the changed model another name; vectors of the old one stay and are not compared with it",
        )  # fmt: skip


def why_not(embedder: Embedder, known: Sequence[float] | None) -> str:
    """Return why the model cannot be asked, or nothing: it has no vector yet, was exchanged, or is away. `known` as `check_probe` has it."""
    if known is None:
        return UNFINISHED
    try:
        check_probe(embedder, known)
    except Transient:
        return AWAY
    except Misconfigured:
        return ABSENT
    return ""
