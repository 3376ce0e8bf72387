"""The model of embeddings that the settings name, if any; one that cannot be used is told apart from one that is not wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vigimesh.app.config.model_settings import EmbeddingSettings
from vigimesh.errors import Misconfigured

if TYPE_CHECKING:
    from vigimesh.ports import Embedder


def embedder_of(settings: EmbeddingSettings) -> Embedder | None:
    """Return the model that the settings name, None with `off`; nothing is asked of it yet.

    Raises `Misconfigured` VM-1102 when half of an endpoint is set, or an endpoint without being chosen. A local model that is missing or
    was altered says so when it is asked (VM-2612): then words alone answer, and `vigimesh.knowledge.searched` counts it.
    """
    there = (settings.base_url, settings.name)
    if any(there) != (settings.model == "endpoint") or any(there) != all(there):
        raise Misconfigured(
            "VM-1102", what="the endpoint of the embeddings is named by half, or named and not chosen", where="environment",
            todo="set VIGIMESH_EMBEDDINGS__MODEL=endpoint with VIGIMESH_EMBEDDINGS__BASE_URL and VIGIMESH_EMBEDDINGS__NAME, or none of the last two",
        )  # fmt: skip
    if settings.model == "off":
        return None
    if settings.model == "local":
        from vigimesh.adapters.models.local_embeddings import LocalEmbeddings  # with numpy

        return LocalEmbeddings()
    from vigimesh.adapters.models.openai_embeddings import Endpoint, OpenAIEmbeddings  # with an HTTP client

    return OpenAIEmbeddings(
        Endpoint(
            base_url=settings.base_url, name=settings.name, key=settings.key, dimensions=settings.dimensions,
            deadline_s=settings.deadline_s,
        )
    )  # fmt: skip
