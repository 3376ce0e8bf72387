"""The small tier in a pass: the text that is scored, a whole batch at once, and what comes of the score.

Where an endpoint takes the tier's place it is asked first, by paying. What it does not answer, or may not read, the shipped model reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from vigimesh.domain.budget.values import Caps
from vigimesh.domain.cascade import endpoint
from vigimesh.domain.cascade.endpoint import Endpoint
from vigimesh.domain.cascade.model import Absent, Model
from vigimesh.domain.cascade.opinion import narrative_of
from vigimesh.domain.cascade.prompts import shipped_prompt
from vigimesh.domain.cascade.resolved import SMALL_STEP
from vigimesh.domain.cascade.settled import open_to_models
from vigimesh.domain.cascade.small import Asked, Reading, Standings, said, tell, triaged, unlabelled
from vigimesh.domain.policy.cards import Cards, Cascade
from vigimesh.domain.privacy.rules import rules_digest
from vigimesh.errors import Misconfigured, Refused
from vigimesh.events.classes import EvidenceRetrieved, Finding, Triage
from vigimesh.loop.outcome import Answers, Need
from vigimesh.loop.stage import Fetcher
from vigimesh.tool_executor.opinions import KIND as PAID
from vigimesh.tool_executor.opinions import Made, Told, told_in
from vigimesh.tool_executor.purchase import PATIENCE_S, Basis, Paid, Purchase, basis_of, name_of, told_of
from vigimesh.tool_executor.sampling import Sampled, audited

#: The kind of need that is answered by the small model, and what is asked of it.
KIND, SERIOUS = "score", "serious"
_SCORE = f"{KIND}:{SERIOUS}"

#: Runs the planned tools; raises `Refused` VM-1103 for a step that does not exist.
Run = Callable[[], tuple[tuple[Finding, ...], Triage]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """Asks the small tier where a pass was planned for it. The cards say what each workflow wants of it, `endpoint` who takes its place."""

    cards: Cards
    endpoint: Endpoint | None = None

    def need(self, event: EvidenceRetrieved, text: str, answers: Answers, run: Run) -> Need | None:
        """Return what to ask next of a planned pass: the endpoint where there is one, then the score; `None` where nothing more is asked.

        Raises what `run` raises; without an endpoint it is not called.
        """
        if event.plan.tier != "small" or _SCORE in answers:
            return None
        if self.endpoint is not None and not _answered(answers):
            wanted = self._wanted(self.endpoint, event, text, run)
            if wanted is not None:
                return Need(kind=PAID, key=name_of(wanted), asked=wanted)
        asked = Asked(
            case=event.case, text=text, rule=self._rule(event), reading=self._reading(_answered(answers))
        )
        return Need(kind=KIND, key=SERIOUS, asked=asked)

    def heard(
        self, event: EvidenceRetrieved, triage: Triage, answers: Answers
    ) -> tuple[Finding, Triage] | None:
        """Return what the score makes of a triage result, with a finding that explains it; `None` where none was planned."""
        if event.plan.tier != "small":
            return None
        if not open_to_models(event.case, triage):
            return Finding(step=SMALL_STEP, result="not_asked", detail="the tools decided"), triage
        told: Mapping[str, Any] = answers[_SCORE]
        found = said(told, self._rule(event))
        detail = found.reason + _instead(_answered(answers))
        finding = Finding(step=SMALL_STEP, result=found.verdict, detail=detail, quotes=found.terms)
        return finding, triaged(event.case, triage, found, event.route.received_at)

    def bought(self, event: EvidenceRetrieved, answers: Answers) -> tuple[Made, ...]:
        """Return the calls to an endpoint that were paid for in a pass of the small tier."""
        if event.plan.tier != "small":
            return ()
        made = []
        for value in _answered(answers):
            paid, (step, basis) = told_of(value), basis_of(value) or (endpoint.ASKED, Basis())
            if isinstance(paid, Paid):
                made.append(Made(paid=paid, step=step, prompt=basis.prompt, tier="small"))
        return tuple(made)

    def drawn(
        self, event: EvidenceRetrieved, text: str, answers: Answers, results: tuple[Triage, Triage]
    ) -> Sampled:
        """Return what the live audit sample makes of a pass: `results` are what the tools said and what was made of it."""
        card = self.cards.named(event.route.workflow)
        if card is None:
            return Sampled(triage=results[1])
        return audited(event, card, text, answers.get(_SCORE), results)

    def _wanted(self, model: Endpoint, event: EvidenceRetrieved, text: str, run: Run) -> Purchase | None:
        """Return what is bought of the endpoint; `None` where the tools decide, or its card is gone, or the narrative may not leave whole."""
        card = self.cards.named(event.route.workflow)
        if card is None or event.case.kind != "icsr":
            return None
        findings, triage = run()
        if not open_to_models(event.case, triage):
            return None
        narrative = narrative_of(event.case, text, event.passages)
        if narrative.held or not narrative.text:
            return None
        # A tier that is slower than its card tolerates is passed over; here it is the endpoint alone, since the shipped model is there.
        model = replace(model, deadline_s=min(model.deadline_s, float(card.latency_tolerance_s)))
        try:
            asked = endpoint.question(model, event.case, triage, findings, event.passages, narrative)
            basis = Basis(prompt=shipped_prompt(endpoint.PROMPT).label, rules=rules_digest(), held="")
        except (Refused, Misconfigured, ValueError, OverflowError):
            return None
        return Purchase(
            question=asked, case_id=event.case.case_id, workflow=event.route.workflow, step=endpoint.ASKED,
            version="/".join(event.route.version), pass_number=event.route.pass_number, caps=Caps.of(card),
            patience_s=min(PATIENCE_S, model.deadline_s), basis=basis,
        )  # fmt: skip

    def _reading(self, told: Sequence[Mapping[str, Any]]) -> Reading | None:
        """Return what the endpoint answered; `None` where it did not, or not in the schema."""
        paid = told_of(told[0]) if told else None
        if self.endpoint is None or not isinstance(paid, Paid):
            return None
        percent = endpoint.read_percent(paid.answer.text)
        if percent is None:
            return None
        return Reading(
            model=paid.answer.model or self.endpoint.name, percent=percent, below=self.endpoint.below
        )

    def _rule(self, event: EvidenceRetrieved) -> Cascade:
        return (self.cards.named(event.route.workflow) or self.cards.fallback).cascade


def _answered(answers: Answers) -> tuple[Told, ...]:
    """Return what came of the call to an endpoint in a pass, if there was one."""
    return told_in(answers, (endpoint.ASKED,))


def _instead(told: Sequence[Mapping[str, Any]]) -> str:
    """Return in words why the shipped model read a case that an endpoint was asked about; empty where the endpoint's answer counts."""
    if not told:
        return ""
    came = told_of(told[0])
    if not isinstance(came, Paid):
        return f"; the shipped model read it, since the endpoint was not asked: {came.why}"
    if endpoint.read_percent(came.answer.text) is None:
        return "; the shipped model read it, since the endpoint did not answer in the schema"
    return ""


def score_fetcher(model: Callable[[], Model | Absent], standings: Standings = unlabelled) -> Fetcher:
    """Return the fetcher of needs of kind `score`; the model is read when it is first asked. Never raises: an absent model is an answer.

    Of what an endpoint has read only the standing of its gate is added.
    """

    async def fetch(needs: Sequence[Need]) -> Sequence[dict[str, Any]]:
        asked: list[Asked] = [need.asked for need in needs]
        own = [one for one in asked if one.reading is None]
        read = iter(tell(model(), own, standings) if own else ())
        return [
            next(read)
            if one.reading is None
            else msgspec.to_builtins(endpoint.told(one, one.reading, standings))
            for one in asked
        ]

    return fetch
