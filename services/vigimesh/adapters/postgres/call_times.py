"""What the last calls of the large model took, read from the call journal now and then, so that a plan need not wait for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from math import inf

from vigimesh.adapters.postgres.link import Link
from vigimesh.adapters.postgres.schema import blocks
from vigimesh.clock import Clock
from vigimesh.domain.budget.calls import LEASE_RAN_OUT
from vigimesh.errors import VigimeshError

#: Calls looked at, and how old they may be (seconds): a model that was left out because it was slow is asked again after that.
LAST, WITHIN_S = 200, 3_600.0
#: Fewer calls say nothing: the 95th of a hundred needs about so many.
LEAST = 20
#: Seconds for which a figure is kept.
KEPT_S = 30.0

_log = logging.getLogger(__name__)


class CallTimes:
    """What 95 of 100 of the last calls of `model` took at most, for one event loop; nothing until that is known.

    `now` never waits: it gives what was read last, and has it read anew when that is `KEPT_S` old. While the journal is away the last figure
    stays until it is `WITHIN_S` old, since then nothing says that the model is still slow.
    """

    def __init__(self, uri: str, model: str, clock: Clock) -> None:
        """Nothing is opened before the first look."""
        self._link = Link(uri, "vigimesh call times", clock)
        self._sql = blocks("calls.sql")["taken"]
        self._model, self._clock = model, clock
        self._ms: int | None = None
        self._read_at = self._tried_at = -inf
        self._reading: asyncio.Task[None] | None = None

    def now(self) -> Mapping[str, int]:
        """Return the milliseconds of the tier `large`, empty when they are not known. Call it in the event loop."""
        at = self._clock.monotonic_s()
        if self._reading is None and at - self._tried_at >= KEPT_S:
            self._tried_at = at
            self._reading = asyncio.ensure_future(self.read())
            self._reading.add_done_callback(self._ended)
        if self._ms is None or at - self._read_at >= WITHIN_S:
            return {}
        return {"large": self._ms}

    async def read(self) -> None:
        """Read the figure; what the journal does not tell now is left as it was."""
        try:
            (row,) = await self._link.ask(
                self._sql, {"within_s": WITHIN_S, "model": self._model, "lapsed": LEASE_RAN_OUT, "last": LAST}
            )
        except VigimeshError as error:
            _log.info("what calls of the large model take is not known: %s", error)
            return
        finally:
            await self._link.close()
        self._ms = int(row["ms"]) if row["calls"] >= LEAST else None
        self._read_at = self._clock.monotonic_s()

    def _ended(self, _task: asyncio.Task[None]) -> None:
        self._reading = None
