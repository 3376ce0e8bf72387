"""The small tier in a pass: the text that is scored, a whole batch at once, and what comes of the score."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vigimesh.domain.cascade.model import Absent, Model
from vigimesh.domain.cascade.resolved import SMALL_STEP
from vigimesh.domain.cascade.settled import open_to_models
from vigimesh.domain.cascade.small import Asked, Standings, said, tell, triaged, unlabelled
from vigimesh.domain.policy.cards import Cards, Cascade
from vigimesh.events.classes import EvidenceRetrieved, Finding, Triage
from vigimesh.loop.outcome import Answers, Need
from vigimesh.loop.stage import Fetcher
from vigimesh.tool_executor.sampling import Sampled, audited

#: The kind of need that is answered by the small model, and what is asked of it.
KIND, SERIOUS = "score", "serious"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """Asks the small tier where a pass was planned for it. The cards say what each workflow wants of it."""

    cards: Cards

    def need(self, event: EvidenceRetrieved, text: str) -> Need | None:
        """Return what to ask of a planned pass; `None` where it was not planned."""
        if event.plan.tier != "small":
            return None
        asked = Asked(case=event.case, text=text, rule=self._rule(event))
        return Need(kind=KIND, key=SERIOUS, asked=asked)

    def heard(
        self, event: EvidenceRetrieved, triage: Triage, answers: Answers
    ) -> tuple[Finding, Triage] | None:
        """Return what the score makes of a triage result, with a finding that explains it; `None` where none was planned."""
        if event.plan.tier != "small":
            return None
        if not open_to_models(event.case, triage):
            return Finding(step=SMALL_STEP, result="not_asked", detail="the tools decided"), triage
        told: Mapping[str, Any] = answers[f"{KIND}:{SERIOUS}"]
        found = said(told, self._rule(event))
        finding = Finding(step=SMALL_STEP, result=found.verdict, detail=found.reason, quotes=found.terms)
        return finding, triaged(event.case, triage, found, event.route.received_at)

    def drawn(
        self, event: EvidenceRetrieved, text: str, answers: Answers, results: tuple[Triage, Triage]
    ) -> Sampled:
        """Return what the live audit sample makes of a pass: `results` are what the tools said and what was made of it."""
        card = self.cards.named(event.route.workflow)
        if card is None:
            return Sampled(triage=results[1])
        return audited(event, card, text, answers.get(f"{KIND}:{SERIOUS}"), results)

    def _rule(self, event: EvidenceRetrieved) -> Cascade:
        return (self.cards.named(event.route.workflow) or self.cards.fallback).cascade


def score_fetcher(model: Callable[[], Model | Absent], standings: Standings = unlabelled) -> Fetcher:
    """Return the fetcher of needs of kind `score`; the model is read when it is first asked. Never raises: an absent model is an answer."""

    async def fetch(needs: Sequence[Need]) -> Sequence[dict[str, Any]]:
        return tell(model(), [need.asked for need in needs], standings)

    return fetch
