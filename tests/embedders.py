"""Small models of embeddings for tests: letters of words hashed to a few numbers. Real ones, only poor."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from vigimesh.domain.knowledge.vectors import on_grid
from vigimesh.errors import VigimeshError
from vigimesh.events.ids import digest

if TYPE_CHECKING:
    from vigimesh.domain.knowledge.vectors import Rows


@dataclass(kw_only=True)
class Letters:
    """`ports.Embedder` by three neighbouring letters. `salt` makes another model, `called` one under a name of its own."""

    dimensions: int = 64
    salt: str = ""
    called: str = "letters"
    leaves: bool = False
    #: Raised when it is asked, if any.
    trouble: VigimeshError | None = None
    #: How many texts were put to it, call by call.
    asked: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What it is called."""
        return self.called

    @property
    def digest(self) -> str:
        """By its name alone, as an endpoint's is."""
        return digest(self.called.encode())

    def embed(self, texts: Sequence[str]) -> Rows:
        """Return a row for each text."""
        if self.trouble:
            raise self.trouble
        self.asked.append(len(texts))
        rows = np.zeros((len(texts), self.dimensions), np.float32)
        for row, text in zip(rows, texts, strict=True):
            small = f" {text.lower()} "
            for at in range(len(small) - 2):
                mark = hashlib.sha256(f"{self.salt}{small[at : at + 3]}".encode()).digest()
                row[mark[0] % self.dimensions] += 1 if mark[1] % 2 else -1
        return on_grid(rows)
