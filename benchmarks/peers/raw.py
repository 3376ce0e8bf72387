"""The same transactions over raw bytes: one record out per record in, nothing decoded: what the client and broker can do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import bare
import chain
import sample
from records import Out, Raw


class Passing:
    """Hands each record on as it is."""

    def of(self, inputs: Sequence[Raw]) -> Iterator[Out]:
        """Yield the inputs under the output's topic."""
        for _, key, value, headers, _ in inputs:
            yield sample.OUTPUT, key, value, headers

    def end(self) -> Iterator[Out]:
        """Yield nothing: no flow."""
        return iter(())


if __name__ == "__main__":
    bare.serve(chain.asked(__doc__).kafka, sample.GROUP, (sample.INPUT,), Passing())
