"""Embeddings from any OpenAI-compatible endpoint (`/v1/embeddings`), a few texts per request. Retries are not made here.

Belongs to one thread at a time. Neither address nor key nor a text is told in an error.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2
import msgspec
import numpy as np

from vigimesh.domain.knowledge.vectors import MAX_DIMENSIONS, on_grid
from vigimesh.errors import Misconfigured, Transient
from vigimesh.events.ids import digest

if TYPE_CHECKING:
    from vigimesh.domain.knowledge.vectors import Rows

#: Texts of one request: common servers take 32 at least and 2,048 at most.
TEXTS = 64
#: Bytes of one reply: 64 vectors of 4,096 numbers with 24 characters each, and as much again.
MAX_REPLY_BYTES = 16_777_216
#: Seconds to connect.
CONNECT_S = 2.0
_CORRECT = f"correct address, name, key or dimensions (up to {MAX_DIMENSIONS}) in VIGIMESH_EMBEDDINGS__*"


class _Row(msgspec.Struct):
    index: int
    embedding: list[float]


class _Reply(msgspec.Struct):
    data: list[_Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a model is asked: base URL, its name there, key or empty, numbers of a vector, seconds for a request."""

    base_url: str
    name: str
    key: str
    dimensions: int
    deadline_s: float

    def __repr__(self) -> str:
        """Show neither address nor key."""
        return f"Endpoint({self.name})"


class OpenAIEmbeddings:
    """`ports.Embedder` over an endpoint. Its digest is that of address, name and size: see `embedding.check_probe`."""

    #: What is embedded goes out of the house.
    leaves = True

    def __init__(self, endpoint: Endpoint) -> None:
        """Join to the endpoint; nothing is sent yet."""
        logging.getLogger("httpx2").setLevel(logging.WARNING)
        self._endpoint = endpoint
        self.name = endpoint.name
        self.dimensions = endpoint.dimensions
        self.digest = digest(f"{endpoint.base_url}\n{endpoint.name}\n{endpoint.dimensions}".encode())
        self._http = httpx2.Client(
            follow_redirects=False,
            timeout=httpx2.Timeout(endpoint.deadline_s, connect=CONNECT_S),
            headers={"authorization": f"Bearer {endpoint.key}"} if endpoint.key else {},
        )

    def __repr__(self) -> str:
        """Show neither address nor key."""
        return f"OpenAIEmbeddings({self.name})"

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def embed(self, texts: Sequence[str]) -> Rows:
        """Return a row for each text; see the port."""
        parts = [self._ask(texts[at : at + TEXTS]) for at in range(0, len(texts), TEXTS)]
        return np.concatenate(parts) if parts else np.zeros((0, self.dimensions), np.float32)

    def _ask(self, texts: Sequence[str]) -> Rows:
        body = msgspec.json.encode({"model": self.name, "input": list(texts), "encoding_format": "float"})
        try:
            with self._http.stream(
                "POST", f"{self._endpoint.base_url.rstrip('/')}/embeddings", content=body,
                headers={"content-type": "application/json", "accept-encoding": "identity"},
            ) as reply:  # fmt: skip
                data = _bounded(reply)
                status = reply.status_code
        except (httpx2.TransportError, httpx2.StreamError) as error:
            raise _away(type(error).__name__) from None
        if status == 429 or status >= 500:
            raise _away(f"status {status}")
        if status != 200:
            raise _wrong(f"the endpoint answers with status {status}")
        return self._rows(data, len(texts))

    def _rows(self, data: bytes, count: int) -> Rows:
        try:
            found = msgspec.json.decode(data, type=_Reply).data
        except msgspec.MsgspecError:
            raise _wrong("the endpoint's reply is no list of embeddings") from None
        if sorted(row.index for row in found) != list(range(count)):
            raise _wrong(f"the endpoint gave {len(found)} embeddings of {count} texts")
        if any(len(row.embedding) != self.dimensions for row in found):
            sizes = {len(row.embedding) for row in found}
            raise _wrong(f"its vectors have {min(sizes)} numbers, not {self.dimensions}",
                         f"set VIGIMESH_EMBEDDINGS__DIMENSIONS={min(sizes)}, or another address or name")  # fmt: skip
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused below
            rows = np.array([row.embedding for row in sorted(found, key=lambda row: row.index)], np.float32)
        try:
            return on_grid(rows)
        except ValueError:
            raise _wrong("its vectors have numbers that are not finite") from None


def _bounded(reply: httpx2.Response) -> bytes:
    data = bytearray()
    for part in reply.iter_bytes():
        data += part
        if len(data) > MAX_REPLY_BYTES:
            raise _wrong(f"the endpoint's reply has more than {MAX_REPLY_BYTES} bytes")
    return bytes(data)


def _away(what: str) -> Transient:
    return Transient(
        "VM-2611", what=f"the model of the embeddings does not answer: {what}", where="VIGIMESH_EMBEDDINGS__BASE_URL",
        todo="wait, or look at the endpoint; questions are answered by their words alone meanwhile",
    )  # fmt: skip


def _wrong(what: str, todo: str = _CORRECT) -> Misconfigured:
    return Misconfigured("VM-2612", what=what, where="VIGIMESH_EMBEDDINGS__BASE_URL", todo=todo)  # fmt: skip
