"""The model that comes with the package: the same everywhere, near where letters are shared, and safe to rank a reference by."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from vigimesh.adapters.memory.search import MemorySearch
from vigimesh.adapters.models.local_embeddings import DIMENSIONS, LocalEmbeddings
from vigimesh.app.config.model_settings import EmbeddingSettings
from vigimesh.app.in_force.embedding import embedder_of
from vigimesh.background.librarian.vectors import FillVectors
from vigimesh.domain.knowledge.shipped import shipped_documents
from vigimesh.errors import Misconfigured

#: Of the model that is called `letters-1`: when this changes, so must the name, or old vectors would be compared with new ones.
DIGEST = "70643779bee3a2932bef2edc78c86d06df372443bff9b358f0a087abe5c51fa6"
MODEL = LocalEmbeddings()


def cosine(one: str, other: str) -> float:
    first, second = MODEL.embed([one, other])
    return float(first @ second)


def test_the_model_is_what_its_name_says() -> None:
    assert MODEL.digest == DIGEST


def test_rows_are_of_unit_length_and_alone_as_together() -> None:
    texts = ["Anaphylactic reaction", "", "12 34", "Rash " * 500, "\u00dcberempfindlichkeit"]
    rows = MODEL.embed(texts)
    assert rows.shape == (len(texts), DIMENSIONS)
    lengths = np.linalg.norm(rows, axis=1)
    assert lengths[[1, 2]].tolist() == [0.0, 0.0]
    assert np.abs(lengths[[0, 3, 4]] - 1).max() < 0.02
    assert all(np.array_equal(row, MODEL.embed([text])[0]) for row, text in zip(rows, texts, strict=True))


@pytest.mark.parametrize(
    ("term", "near", "far"),
    [
        ("Anaphylactic reaction", "anaphylaxis", "headache"),
        ("Anaemia", "anemia", "insomnia"),
        ("Hepatic function abnormal", "abnormal hepatic functions", "abnormal dreams"),
    ],
)
def test_words_that_share_letters_are_near(term: str, near: str, far: str) -> None:
    assert cosine(term, near) > cosine(term, far) + 0.1


def test_the_list_of_reactions_stays_among_the_first_of_a_reference() -> None:
    """What a case is told to be unlisted by must be in sight, whatever vectors say."""
    documents = shipped_documents()
    search = MemorySearch()
    search.load(documents)
    asked = [
        f"{name} {term}"
        for one in documents
        for name in one.document.names[:2] + one.document.aliases[:2]
        for term in ("Rash", "Crying", "Injection site mass", "Cardiac arrest", "Reading this list")
    ]
    assert len(asked) > 50
    first = [found.passages[0] for found in search.find(asked, 3)]

    async def fill() -> None:
        while await FillVectors(vectors=search, embedder=MODEL).step():
            pass

    asyncio.run(fill())
    search.embedder = MODEL
    for question, one, found in zip(asked, first, search.find(asked, 3), strict=True):
        assert found.alone == ""
        assert (one.document_id, one.start) in {(hit.document_id, hit.start) for hit in found.passages}, (
            question
        )


def test_the_settings_name_a_model_or_none() -> None:
    assert embedder_of(EmbeddingSettings(model="off")) is None
    assert embedder_of(EmbeddingSettings(model="local")) is not None


@pytest.mark.parametrize(
    "settings",
    [
        EmbeddingSettings(model="endpoint"),
        EmbeddingSettings(model="endpoint", base_url="https://models.example/v1"),
        EmbeddingSettings(model="endpoint", name="embed-1"),
        EmbeddingSettings(model="local", base_url="https://models.example/v1", name="embed-1"),
    ],
)
def test_half_an_endpoint_is_refused(settings: EmbeddingSettings) -> None:
    with pytest.raises(Misconfigured, match="VM-1102"):
        embedder_of(settings)
