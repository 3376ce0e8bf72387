"""The planner's answer to needs of kind `read`: names in a text, by the shipped tagger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vigimesh.loop.outcome import Need


async def read_fetcher(needs: Sequence[Need]) -> Sequence[dict[str, Any]]:
    """Answer all needs at once; the model is read when it is first asked, and without it there are no names. Raises nothing of its own."""
    from vigimesh.domain.cascade.readers import (
        read,  # with numpy, which a planner without such a case never needs
    )

    return read([(need.key, need.asked) for need in needs])
