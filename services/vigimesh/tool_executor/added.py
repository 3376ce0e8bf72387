"""Tools that others add, as the verb sees them: what is asked of them, and what they said. Pure.

All added tools of a pass are one need, answered together within one deadline: an added tool that hangs costs its case that
long and no more. What they said is in the answers, so that a replay needs neither distribution nor server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol

import msgspec

from vigimesh.domain.cascade.opinion import facts_of
from vigimesh.domain.privacy.redaction import Unsafe, known_of, redact
from vigimesh.domain.safety.foreign import told
from vigimesh.domain.safety.tools import TOOLS, run_steps
from vigimesh.events.case import Case
from vigimesh.events.classes import EvidenceRetrieved, Finding
from vigimesh.loop.outcome import Answers, Need

#: The kind of need that is answered by running added tools.
KIND = "tool"

#: What a tool is handed: `all`, the case and its narrative as they are; `facts`, what may leave (`outside`).
Sees = Literal["all", "facts"]


class AddedToolCalls(Protocol):
    """Calls tools that others add, in one event loop."""

    async def call(self, need: Need) -> Mapping[str, Any]:
        """Return by name what came of each tool of a need, as `domain/safety/foreign.told` reads it.

        Within one deadline for all of them; raises nothing of its own.
        """
        ...

    async def keep(self) -> None:
        """Go on until cancelled, then end what runs them."""
        ...


@dataclass(frozen=True, slots=True)
class AddedTools:
    """The added tools that a card can name, each with what it may see."""

    sees: Mapping[str, Sees] = field(default_factory=lambda: MappingProxyType({}))

    def need(self, event: EvidenceRetrieved, text: str, answers: Answers) -> Need | None:
        """Return the need of the added tools of a plan; `None` when there are none, or they have answered.

        What is asked is by name what each tool is handed, as plain values. `text` is the narrative. Raises `Refused` VM-1103 for a step that does not exist.
        """
        names = [step for step in dict.fromkeys(event.plan.steps) if step in self.sees]
        key = " ".join(names)
        if not names or f"{KIND}:{key}" in answers:
            return None
        inside = {"case": msgspec.to_builtins(event.case), "narrative": text}
        left = outside(event, text) if any(self.sees[name] == "facts" for name in names) else {}
        bodies = {name: inside if self.sees[name] == "all" else left for name in names}
        return Need(kind=KIND, key=key, asked=bodies)


def said(answers: Answers) -> dict[str, tuple[Finding, ...]]:
    """Return what the added tools of a pass said, by name: those of the need that was answered, whatever is installed now."""
    found: dict[str, tuple[Finding, ...]] = {}
    for name, answer in answers.items():
        kind, _, key = name.partition(":")
        if kind == KIND:
            by_name = answer if isinstance(answer, Mapping) else {}
            found.update({step: told(step, by_name.get(step)) for step in key.split()})
    return found


def outside(event: EvidenceRetrieved, text: str) -> dict[str, Any]:
    """Return what may leave of a case: the facts that the large model gets, and the narrative without personal data.

    A narrative that must not leave is withheld, with the reason under `withheld`; a document's facts are none. What our own
    tools found stands among the facts.
    """
    case: Case = event.case
    if case.kind == "document":
        return {"facts": {}, "narrative": "", "withheld": "it is a document"}
    own = [step for step in event.plan.steps if step in TOOLS]
    findings, triage = run_steps(own, case, text, event.passages, event.route.received_at)
    facts = facts_of(case, triage, findings, event.passages)
    left = redact(text, known_of(case))
    if isinstance(left, Unsafe):
        return {"facts": facts, "narrative": "", "withheld": left.reason}
    return {"facts": facts, "narrative": left.text, "withheld": ""}
