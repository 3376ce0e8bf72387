"""One suite on both searches with vectors: alike to the last rank, whole in every scope, and silent when the model is not to be trusted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
import pytest

from embedders import Letters
from libraries import fresh_database, note, passages
from vigimesh.adapters.memory.search import MemorySearch
from vigimesh.adapters.postgres.library import load_into
from vigimesh.adapters.postgres.schema import migrate
from vigimesh.adapters.postgres.search import PgSearch
from vigimesh.adapters.postgres.vectors import PgVectors
from vigimesh.background.librarian.vectors import FillVectors
from vigimesh.domain.knowledge.fusion import DEPTH
from vigimesh.domain.knowledge.shipped import shipped_documents
from vigimesh.errors import Misconfigured, Transient
from vigimesh.ports import Search, Vectors

SHIPPED = shipped_documents()
QUESTIONS = [
    "DTP (NO BRAND NAME) Pyrexia",
    "Torvexil 10 mg Oedema peripheral",
    "Torvexil swollen ankles",
    "Unknown product Rash",
    "Protocol amendment: new dose of Torvexil and another visit schedule",
    "quality complaint: the pen did not work, particles in a vial",
    "qqqq zzzz",
    "",
]


@dataclass(frozen=True)
class Base:
    """A knowledge base under test. `search(embedder)` gives a new search over it."""

    load: Callable[..., object]
    search: Callable[[Letters | None], Search]
    vectors: Vectors


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.real)])
def base(request: pytest.FixtureRequest) -> Iterator[Base]:
    if request.param == "memory":
        held = MemorySearch()

        def with_model(embedder: Letters | None) -> Search:
            held.embedder = embedder
            return held

        yield Base(load=held.load, search=with_model, vectors=held)
        return
    with fresh_database(request.getfixturevalue("stack").urls.postgres, "search_vectors") as uri:
        migrate(uri)
        with psycopg.connect(uri, autocommit=True) as own:
            own.execute("CREATE EXTENSION IF NOT EXISTS vector")
        vectors = PgVectors(uri)
        opened: list[PgSearch] = []

        def fresh(embedder: Letters | None) -> Search:
            opened.append(PgSearch(uri, embedder=embedder))
            return opened[-1]

        yield Base(load=lambda sources: load_into(uri, sources), search=fresh, vectors=vectors)
        for search in opened:
            search.close()
        vectors.close()


def fill(base: Base, embedder: Letters) -> int:
    """Run the duty until nothing is missing; return how many passages got a vector."""
    duty, done = FillVectors(vectors=base.vectors, embedder=embedder), 0
    while made := asyncio.run(duty.step()):
        done += made
    return done


def test_it_answers_as_the_twin_does_to_the_last_rank(base: Base) -> None:
    base.load(SHIPPED)
    model = Letters()
    fill(base, model)
    twin = MemorySearch(embedder=model)
    twin.load(SHIPPED)
    fill(Base(load=twin.load, search=lambda _: twin, vectors=twin), model)
    for limit in (1, 3, 50):
        found = list(base.search(model).find(QUESTIONS, limit))
        assert found == list(twin.find(QUESTIONS, limit))
        # What is about no product is answered by its words: of all documents at once something is always near.
        assert [one.alone for one in found] == ["", "", "", *["free"] * (len(QUESTIONS) - 3)]


def test_words_that_are_not_the_labels_are_found_by_vectors_alone(base: Base) -> None:
    base.load([note(listed="Oedema peripheral. " + "x " * 600 + "\n\nHypersensitivity")])
    model = Letters()
    fill(base, model)
    (found,) = base.search(model).find(["Zelora hypersensitive"], 1)
    assert "Hypersensitivity" in found.passages[0].text
    assert found.hits[0].text_rank == 1  # both stand where reactions are listed, which is all that words know
    assert found.hits[0].vector_rank == 1


@pytest.mark.parametrize("documents", [1, 7, 40])
def test_the_smallest_scope_gives_all_it_has_as_an_exact_search_does(base: Base, documents: int) -> None:
    """Failure 33: a filter behind an approximate index returns too few rows, even none."""
    notes = [
        note(listed=f"Hiccups {at}", name=f"product/p{at}", title=f"Zelora{at}") for at in range(documents)
    ]
    base.load(notes)
    model = Letters()
    fill(base, model)
    asked = [f"Zelora{at} Sneezing" for at in range(documents)]
    for found, one in zip(base.search(model).find(asked, 50), notes, strict=True):
        assert found.alone == ""
        # A note is one passage or two, far fewer than were asked for: all of them, and nobody else's.
        held = {part.place for part in _parts(base, one.document.id)}
        assert {(hit.passage.document_id) for hit in found.hits} == {one.document.id}
        assert len(found.hits) == len(held)
        assert sorted(hit.vector_rank or 0 for hit in found.hits) == list(range(1, len(held) + 1))


def _parts(base: Base, document: str) -> list[Any]:
    every = base.vectors.missing("no such model", 10_000)
    return [one for one in every if one.document_id == document]


def test_the_nearest_come_first_among_more_than_the_depth(base: Base) -> None:
    text = "\n\n".join(f"Reaction number {at} " + "abcdefghij "[at % 10] * 1_000 for at in range(2 * DEPTH))
    base.load([note(listed=text)])
    model = Letters()
    assert fill(base, model) > DEPTH
    (found,) = base.search(model).find(["Zelora ccccccc"], 50)
    rows = {
        (one.document_id, one.place): model.embed([one.text])[0]
        for one in base.vectors.missing("no such model", 10_000)
    }
    question = model.embed(["ccccccc"])[0]
    exact = sorted((float(row @ question) for row in rows.values()), reverse=True)
    given = [
        hit.cosine for hit in sorted(found.hits, key=lambda hit: hit.vector_rank or 0) if hit.vector_rank
    ]
    assert given == exact[: len(given)]
    assert len(given) == min(50, len(exact))


def test_until_a_scope_has_all_its_vectors_words_alone_answer_there(base: Base) -> None:
    base.load([note(), note(name="product/other", title="Other")])
    model = Letters()
    without = passages(base.search(None), ["Zelora Hiccups", "Other Hiccups"], 3)
    assert [one.alone for one in base.search(None).find(["Zelora Hiccups"], 3)] == ["off"]
    before = base.search(model).find(["Zelora Hiccups", "Other Hiccups"], 3)
    assert [one.alone for one in before] == ["unfinished"] * 2
    assert [one.passages for one in before] == list(without)
    fill(base, model)
    assert [one.alone for one in base.search(model).find(["Zelora Hiccups", "Other Hiccups"], 3)] == ["", ""]
    base.load([note(version="2.0", listed="Sneezing")])
    after = base.search(model).find(["Zelora Hiccups", "Other Hiccups"], 3)
    assert [one.alone for one in after] == ["unfinished", ""]
    assert {one.version for one in after[0].passages} == {"2.0"}


def test_vectors_of_another_model_are_not_compared(base: Base) -> None:
    base.load([note()])
    first, second = Letters(), Letters(called="other", salt="other", dimensions=32)
    assert fill(base, first) > 0
    (found,) = base.search(second).find(["Zelora Hiccups"], 3)
    assert found.alone == "unfinished"
    assert fill(base, second) > 0
    assert base.search(second).find(["Zelora Hiccups"], 3)[0].alone == ""
    assert base.search(first).find(["Zelora Hiccups"], 3)[0].alone == ""


def test_a_model_that_was_exchanged_under_its_name_is_not_asked(base: Base) -> None:
    base.load([note()])
    fill(base, Letters())
    altered = Letters(salt="altered")
    (found,) = base.search(altered).find(["Zelora Hiccups"], 3)
    assert found.alone == "absent"
    assert found.passages == passages(base.search(None), ["Zelora Hiccups"], 3)[0]
    base.load([note(version="2.0")])
    with pytest.raises(Misconfigured, match="VM-2612"):
        fill(base, altered)


def test_a_model_that_is_away_leaves_the_words(base: Base) -> None:
    base.load([note()])
    fill(base, Letters())
    away = Letters(trouble=Transient("VM-2611", what="away", where="here", todo="wait"))
    (found,) = base.search(away).find(["Zelora Hiccups"], 3)
    assert found.alone == "away"
    assert found.passages == passages(base.search(None), ["Zelora Hiccups"], 3)[0]


def test_a_model_elsewhere_is_asked_only_what_names_nobody(base: Base) -> None:
    base.load([note()])
    model = Letters(leaves=True)
    fill(base, model)
    asked = ["Zelora Nausea", "Zelora rash seen by John Miller", "complaint of Anna Schmidt"]
    found = base.search(model).find(asked, 3)
    assert [one.alone for one in found] == ["", "kept", "free"]
    assert found[1].passages == passages(base.search(None), asked, 3)[1]


def test_a_question_is_embedded_once_however_often_it_is_asked(base: Base) -> None:
    base.load([note()])
    model = Letters()
    fill(base, model)
    search = base.search(model)
    search.find(["Zelora Hiccups"], 3)
    model.asked.clear()
    search.find(["Zelora Rash", "Zelora Fever", "Zelora Rash"], 3)
    assert model.asked[-1] == 2
    assert 3 not in model.asked


@pytest.mark.real
def test_failure_33_an_approximate_index_does_not_change_what_a_small_scope_gives(stack: Any) -> None:
    """Failure 33 planted: behind HNSW the filter leaves too few rows; our search does not go through it."""
    model = Letters()
    with fresh_database(stack.urls.postgres, "search_hnsw") as uri:
        migrate(uri)
        load_into(
            uri,
            [note(listed=f"Hiccups {at}", name=f"product/p{at}", title=f"Zelora{at}") for at in range(300)],
        )
        with psycopg.connect(uri, autocommit=True) as own:
            own.execute("CREATE EXTENSION IF NOT EXISTS vector")
            vectors = PgVectors(uri)
            asyncio.run(_all(FillVectors(vectors=vectors, embedder=model)))
            own.execute(
                "CREATE INDEX near ON knowledge.vector USING hnsw ((numbers::vector(64)) vector_ip_ops)"
            )
            own.execute(
                "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; SET hnsw.ef_search = 10"
            )
            question = model.embed(["Zelora7 Hiccups 7"])[0]
            far = "[" + ",".join(map(repr, (-question).tolist())) + "]"
            behind = own.execute(
                "SELECT document_id FROM knowledge.vector WHERE document_id = 'product/p7' "
                "ORDER BY numbers::vector(64) <#> %s::vector(64) LIMIT 3",
                [far],
            ).fetchall()
            held = len(
                [one for one in vectors.missing("no such model", 10_000) if one.document_id == "product/p7"]
            )
            search = PgSearch(uri, embedder=model)
            (found,) = search.find(["Zelora7 Hiccups 7"], 50)
            search.close()
            vectors.close()
    assert len(behind) < held  # the planted failure is there
    assert len(found.hits) == held
    assert found.alone == ""


async def _all(duty: FillVectors) -> None:
    while await duty.step():
        pass


def test_the_duty_does_what_is_missing_and_nothing_twice(base: Base) -> None:
    base.load(SHIPPED)
    model = Letters()
    made = fill(base, model)
    assert made == len(base.vectors.missing("no such model", 10_000))
    assert fill(base, model) == 0
    assert np.isfinite(model.embed(["x"])).all()
