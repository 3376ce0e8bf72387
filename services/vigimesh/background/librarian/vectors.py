"""The duty that gives passages their vectors: what entered without one, or before there was this model."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from vigimesh.ports import Embedder, Vectors

#: Passages of one step: some seconds of a model of sentences on one core, a moment of a smaller one.
PASSAGES = 256
#: Passages that are embedded together.
TOGETHER = 32


@dataclass(slots=True, kw_only=True)
class FillVectors:
    """Embeds up to `PASSAGES` passages that have no vector of the model. Until a scope has all of them, words alone answer there."""

    vectors: Vectors
    embedder: Embedder
    name: str = "vectors"
    every_s: float = 5.0

    async def step(self) -> int:
        """Return how many passages got their vectors.

        What is done stays done when the rest fails. Raises `Transient` when base or model is away, `Misconfigured` VM-2612.
        """
        return await asyncio.to_thread(self._fill)

    def _fill(self) -> int:
        missing = self.vectors.missing(self.embedder.digest, PASSAGES)
        for at in range(0, len(missing), TOGETHER):
            some = missing[at : at + TOGETHER]
            self.vectors.put(self.embedder, some, self.embedder.embed([one.text for one in some]))
        return len(missing)
