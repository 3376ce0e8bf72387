"""Models that turn texts into vectors, and where the vectors of passages are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from vigimesh.domain.knowledge.vectors import Rows  # with numpy, which most stages do without


class Embedder(Protocol):
    """A model that turns texts into vectors: near in meaning, near in direction."""

    @property
    def name(self) -> str:
        """What a person calls it."""
        ...

    @property
    def digest(self) -> str:
        """What it is (64 hexadecimal digits): vectors of two digests are never compared."""
        ...

    @property
    def dimensions(self) -> int:
        """Numbers of one vector."""
        ...

    @property
    def leaves(self) -> bool:
        """Whether what is embedded goes to somebody else's machine: then only `leaving.may_leave` questions are put to it."""
        ...

    def embed(self, texts: Sequence[str]) -> Rows:
        """Return float32 rows (texts x dimensions) of unit length, on the grid of `domain/knowledge/vectors`.

        Raises `Transient` VM-2611 when the model is away, `Misconfigured` VM-2612 when it is not what it says.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    """A passage that has no vector of a model; `text` is what is to be embedded."""

    document_id: str
    version: str
    place: int
    text: str


class Vectors(Protocol):
    """Keeps the vectors of passages, by model."""

    def missing(self, model: str, most: int) -> Sequence[Bare]:
        """Return up to `most` passages that are searched and have no vector of the model with this digest.

        Raises `Transient` VM-1501 when the base is away.
        """
        ...

    def put(self, embedder: Embedder, passages: Sequence[Bare], rows: Rows) -> None:
        """Keep a row for each passage, all or none; doing it again changes nothing, and a passage that is gone is left out.

        Raises `Misconfigured` VM-2612 when the model answers otherwise than when its first vector was kept, `Transient` VM-1501.
        """
        ...
