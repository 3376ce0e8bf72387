"""How often the passage that people marked is among the first five: by words, by vectors, and by both; and what the cache gives.

Questions and right passages: `label_questions`. *scoped*: a question begins with the label's name, and only that label answers, as in the flow;
*free*: all labels are one heap, and label and term must both be found. `recall_at_5` is the share of a question's right passages among the first
five (of five, where there are more), `mrr` the mean of 1 / rank of the first right one among the first 50. The half of the labels
`held_out` is printed apart, though the model of embeddings is made from no text at all.

`search_ms_*` is the time of one call with 500 different questions, on PostgreSQL, with words alone and with both. Keys of the cache are of
`retrieval_cache`.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import psycopg

import retrieval_cache
from ground import ground
from label_questions import LabelQuestion, document_of, questions_of, read_labels
from measuring import Goal, Report, finish, options, say
from vigimesh.adapters.models.local_embeddings import LocalEmbeddings
from vigimesh.adapters.postgres.library import load_into
from vigimesh.adapters.postgres.schema import migrate
from vigimesh.adapters.postgres.search import PgSearch
from vigimesh.adapters.postgres.vectors import PgVectors
from vigimesh.background.librarian.vectors import FillVectors
from vigimesh.domain.knowledge.fusion import Found

BOTH, WORDS, VECTORS = "both", "words", "vectors"
GOALS = {
    "recall_at_5": Goal(points=("scoped",)),
    "mrr": Goal(points=("scoped",)),
    "full_text_recall_at_5": Goal(points=("scoped",)),
    "vector_recall_at_5": Goal(points=("scoped",)),
    "gain_over_full_text": Goal(bound=">", value=0.0, points=("scoped",)),
    "gain_over_vectors": Goal(bound=">", value=0.0, points=("scoped",)),
    **retrieval_cache.GOALS,
}
#: Where the data lies beside a checkout.
BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
#: Passages that are looked at, and of how many the share is told.
LOOKED_AT, FIRST = 50, 5
#: Questions of one call, as a retriever has them in hand; of a quick try every n-th question.
TOGETHER, QUICK = 500, 40

Rank = Callable[[Found], Sequence[tuple[str, int]]]


def by_both(found: Found) -> list[tuple[str, int]]:
    """Return document and place of what both sides together found, best first."""
    return [(hit.passage.document_id, hit.passage.start) for hit in found.hits]


def by_vectors(found: Found) -> list[tuple[str, int]]:
    """Return what the vectors alone ranked, best first."""
    ranked = {hit.vector_rank: hit.passage for hit in found.hits if hit.vector_rank is not None}
    return [(ranked[rank].document_id, ranked[rank].start) for rank in sorted(ranked)]


def figures(pairs: Iterable[tuple[LabelQuestion, Sequence[tuple[str, int]]]]) -> tuple[float, float]:
    """Return recall at five and the mean reciprocal rank."""
    shares, reciprocal = [], []
    for question, ranked in pairs:
        right = [document == question.document and start in question.right for document, start in ranked]
        shares.append(sum(right[:FIRST]) / min(FIRST, len(question.right)))
        reciprocal.append(next((1 / rank for rank, one in enumerate(right, 1) if one), 0.0))
    return sum(shares) / len(shares), sum(reciprocal) / len(reciprocal)


def measure(report: Report, asked: argparse.Namespace, server: str) -> None:
    """Add the figures of both ways of asking; they are the same in every round, the times are not."""
    labels = read_labels(asked.data)
    questions = questions_of(labels)[:: QUICK if asked.quick else 1]
    report.notes["questions"], report.notes["labels"] = len(questions), len(labels)
    for point, general in (("scoped", False), ("free", True)):
        uri = _database(server, f"retrieval_{point}")
        sources = [document_of(name, rows, general=general)[0] for name, rows in labels.items()]
        load_into(uri, sources)
        report.notes["passages"] = _fill(uri)
        words, both = PgSearch(uri), PgSearch(uri, embedder=LocalEmbeddings())
        # A question about no product is answered by its words alone.
        sides = {"scoped": ((WORDS, words), (BOTH, both)), "free": ((WORDS, words),)}
        found: dict[str, list[tuple[LabelQuestion, Sequence[tuple[str, int]]]]] = defaultdict(list)
        for at in range(0, len(questions), TOGETHER):
            some = questions[at : at + TOGETHER]
            texts = [one.text for one in some]
            spent = {}
            for name, search in sides[point]:
                began = time.perf_counter()
                answers = search.find(texts, LOOKED_AT)
                spent[name] = (time.perf_counter() - began) * 1e3
                ranks: dict[str, Rank] = {name: by_both}
                if name == BOTH:
                    if alone := {one.alone for one in answers} - {""}:
                        raise RuntimeError(f"vectors had no say: {alone}")
                    ranks[VECTORS] = by_vectors
                for kind, rank in ranks.items():
                    found[kind] += [(one, rank(answer)) for one, answer in zip(some, answers, strict=True)]
            told = " and ".join(f"{one:.0f}" for one in spent.values())
            say(f"{point}: {at + len(some)} of {len(questions)}, {told} ms")
        for part in (point, f"{point}_held_out"):
            _add(report, part, {
                kind: figures(pair for pair in pairs if part == point or pair[0].half == "held_out")
                for kind, pairs in found.items()
            })  # fmt: skip
        for _ in range(asked.rounds):
            for name, search in sides[point]:
                texts = [one.text for one in questions[:TOGETHER]]
                began = time.perf_counter()
                search.find(texts, 3)
                report.add(point, f"search_ms_{name}", (time.perf_counter() - began) * 1e3)
        words.close()
        both.close()


def _add(report: Report, point: str, found: dict[str, tuple[float, float]]) -> None:
    for kind, prefix in ((BOTH, ""), (WORDS, "full_text_"), (VECTORS, "vector_")):
        if kind in found:
            report.add(point, f"{prefix}recall_at_5", found[kind][0])
            report.add(point, f"{prefix}mrr", found[kind][1])
    if BOTH not in found:
        return
    report.add(point, "gain_over_full_text", found[BOTH][0] - found[WORDS][0])
    report.add(point, "gain_over_vectors", found[BOTH][0] - found[VECTORS][0])


def _database(server: str, name: str) -> str:
    with psycopg.connect(server, autocommit=True) as own:
        own.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        own.execute(f"CREATE DATABASE {name}")
    parts: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(server)
    uri = psycopg.conninfo.make_conninfo(**{**parts, "dbname": name})
    with psycopg.connect(uri, autocommit=True) as own:
        own.execute("CREATE EXTENSION vector")
    migrate(uri)
    return uri


def _fill(uri: str) -> int:
    vectors = PgVectors(uri)
    duty, done = FillVectors(vectors=vectors, embedder=LocalEmbeddings()), 0
    while made := asyncio.run(duty.step()):
        done += made
    vectors.close()
    return done


def more(parser: argparse.ArgumentParser) -> None:
    """Add where the data lies."""
    parser.add_argument("--data", type=Path, default=BESIDE, help="folder that holds spl_labels/")
    parser.add_argument("--server", default="", help="a PostgreSQL with pgvector to use instead of a stack")
    parser.add_argument("--search-only", action="store_true", help="leave the cache out")


def main() -> int:
    """Measure and print."""
    asked = options((__doc__ or "").split("\n\n", maxsplit=1)[0], more)
    if not asked.data.is_dir():
        say(f"no labels: {asked.data} is not there; name the folder with --data")
        return 1
    report = Report("retrieval", GOALS)
    if asked.server:
        measure(report, asked, asked.server)
    else:
        with ground(topics=False) as base:
            measure(report, asked, base.urls.postgres)
    if not asked.search_only:
        retrieval_cache.measure(report, asked)
    return finish(report, asked, {})


if __name__ == "__main__":
    raise SystemExit(main())
