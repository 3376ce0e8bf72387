"""Answers the need of the tool-executor for what added tools say: all of a pass at once, each within its deadline, raising nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vigimesh.adapters.tools.process import START_S, Ended, ToolProcess
from vigimesh.clock import Clock, Deadline
from vigimesh.domain.cascade.breaker import CLOSED, Breaker, admitted, ended, returned
from vigimesh.loop.outcome import Need

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Runs:
    """Where an added tool runs: its process, what it is called there, and whose it is as far as is known here."""

    process: ToolProcess
    tool: str
    by: str


@dataclass(slots=True)
class ToolCalls:
    """Calls added tools for one event loop; `deadline_s` is what each of a pass has once its process takes calls.

    A tool that was away or late several times in a row is not asked for a while (`domain/cascade/breaker`), so that one which
    hangs does not cost each case its deadline.
    """

    tools: Mapping[str, Runs]
    deadline_s: float
    clock: Clock
    _breakers: dict[str, Breaker] = field(default_factory=dict)

    async def call(self, need: Need) -> dict[str, Any]:
        """Return by name what came of each tool of a need, as `foreign.told` reads it. Raises nothing, save when cancelled."""
        bodies: Mapping[str, Mapping[str, Any]] = need.asked
        answers = await asyncio.gather(*(self._one(name, body) for name, body in bodies.items()))
        return dict(zip(bodies, answers, strict=True))

    async def keep(self) -> None:
        """Start the processes, go on until cancelled, then end them."""
        processes = {id(runs.process): runs.process for runs in self.tools.values()}.values()
        try:
            await asyncio.gather(*(process.start(self.clock) for process in processes))
            await asyncio.Event().wait()
        finally:
            await asyncio.gather(*(process.close() for process in processes))

    async def _one(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        runs = self.tools[name]
        breaker, may = admitted(
            self._breakers.get(name, CLOSED), self.clock.monotonic_s(), START_S + self.deadline_s
        )
        self._breakers[name] = breaker
        if not may:
            return {"by": runs.by, "failed": "not asked: it did not answer several times in a row"}
        try:
            await runs.process.start(self.clock)
            deadline = Deadline.after(self.clock, self.deadline_s)
            answer = dict(await runs.process.ask(runs.tool, body, deadline))
        except asyncio.CancelledError:
            self._breakers[name] = returned(self._breakers[name], self.clock.monotonic_s())
            raise
        except TimeoutError:
            answer = {"failed": f"no answer within {self.deadline_s:g} s", "away": True}
        except Ended as how:
            answer = {"failed": str(how), "away": True}
        except Exception as error:  # noqa: BLE001  whatever keeps a tool from being run is no fault of the case
            answer = {"failed": f"it cannot be run: {type(error).__name__}: {error}", "away": True}
        self._note(name, away=bool(answer.pop("away", False)), why=str(answer.get("failed", "")))
        answer.pop("id", None)
        return {"by": runs.by, **answer}

    def _note(self, name: str, *, away: bool, why: str) -> None:
        before = self._breakers[name]
        after = ended(before, answered=not away, now_s=self.clock.monotonic_s())
        self._breakers[name] = after
        if before.state != after.state:
            _log.warning(
                "added tool %s: %s", name, "asked again" if not away else f"left alone for a while: {why}"
            )
