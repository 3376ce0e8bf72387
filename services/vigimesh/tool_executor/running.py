"""What the tools said of the events in hand, so that they run once: a verb asks when it says what it needs, when an answer has come, and when it decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vigimesh.domain.cascade.reading import KIND as READ
from vigimesh.events.classes import EvidenceRetrieved, Finding, Triage
from vigimesh.loop.outcome import Answers
from vigimesh.tool_executor.added import KIND as TOOL

#: Events remembered: twice those that a lane has under way. One that is taken from a worker is never decided there.
MOST = 256

#: The findings of the planned steps, and the triage result that they make together.
Ran = tuple[tuple[Finding, ...], Triage]


@dataclass(slots=True)
class Runs:
    """Remembers by the event itself, not its equals, and by the answers that the tools rest on: to whoever asks it is as if they ran each time."""

    _kept: dict[int, tuple[EvidenceRetrieved, Mapping[str, Any], Ran]] = field(default_factory=dict)

    def of(
        self, event: EvidenceRetrieved, answers: Answers, run: Callable[[], Ran], *, last: bool = False
    ) -> Ran:
        """Return what `run` returns, or returned before; forget it with the `last` question. Raises what `run` raises."""
        rests = {name: _value(name, value) for name, value in answers.items() if name.startswith(_RESTS)}
        kept = self._kept.pop(id(event), None)
        same = kept is not None and kept[0] is event and kept[1] == rests
        said = kept[2] if same and kept is not None else run()
        if not last:
            self._kept[id(event)] = event, rests, said
            if len(self._kept) > MOST:
                del self._kept[next(iter(self._kept))]
        return said


_OBJECT = "object:"
_RESTS = (_OBJECT, f"{TOOL}:", f"{READ}:")


def _value(name: str, value: Any) -> Any:
    """Return what an answer is known by: a narrative by its digest, which is its name, so that megabytes are not kept."""
    return None if name.startswith(_OBJECT) else value
