"""The second opinion of a pass: what is bought for it, and what comes of what was told. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vigimesh.domain.budget.values import Caps
from vigimesh.domain.budget.waiting import waits_until
from vigimesh.domain.cascade.opinion import Model, raised, read_opinion, second_opinion
from vigimesh.domain.policy.cards import Cards
from vigimesh.errors import Refused
from vigimesh.events.classes import EvidenceRetrieved, Finding, Triage, UsageRecorded
from vigimesh.loop.outcome import Need, Park
from vigimesh.tool_executor.purchase import PATIENCE_S, MayWait, Paid, Purchase, Unpaid, name_of, told_of

#: The step under which calls are remembered and findings are told.
STEP = "large_model"
#: The kind of need that is answered by paying.
KIND = "model"
#: What a case that may wait waits for, by the reason that nothing was paid.
WAITS = {"denied": "waits for money", "gathered": "waits for its answer"}
#: What keeps a case from a machine when the opinion that was planned for it is missing.
MISSING = "opinion_missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinions:
    """Who is asked for an opinion, and the cards that say what each workflow may spend on it."""

    model: Model
    cards: Cards

    def need(self, event: EvidenceRetrieved, findings: Sequence[Finding], triage: Triage) -> Need | None:
        """Return what to ask of a planned pass.

        `None` when nothing can be asked: its card is gone, it is a document (none of its facts may leave), or its facts make
        no question. That is never the case's fault: it goes on without.
        """
        card = self.cards.named(event.route.workflow)
        if card is None or event.case.kind == "document":
            return None
        try:
            question = second_opinion(self.model, event.case, triage, findings, event.passages)
            wanted = Purchase(
                question=question, case_id=event.case.case_id, workflow=event.route.workflow, step=STEP,
                version="/".join(event.route.version), pass_number=event.route.pass_number, caps=Caps.of(card),
                patience_s=PATIENCE_S if event.route.lane == "hot" else self.model.deadline_s,
                may_wait=MayWait(
                    triage=triage, lane=event.route.lane, received_at=event.route.received_at, window=card.batch_window
                ),
            )  # fmt: skip
            return Need(kind=KIND, key=name_of(wanted), asked=wanted)
        except (Refused, ValueError, OverflowError):
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Advised:
    """What an opinion made of a case: the triage result, what is told about it, what was paid."""

    triage: Triage
    finding: Finding
    paid: Paid | None = None


def advised(event: EvidenceRetrieved, triage: Triage, told: Mapping[str, Any] | None) -> Advised | Park:
    """Return what the answer to `Opinions.need` makes of a triage result; without one the tier is absent, and it stands.

    Of a case that may wait, and that only the money was missing for, the record is parked until the budget has room; of one whose
    question was gathered for a batch, until its answer is there.
    """
    if told is None:
        return _absent(triage, "no model is here, its card is gone, or nothing of it may leave")
    match told_of(told):
        case Unpaid() as unpaid:
            until = waits_until(
                triage, event.route.lane, event.route.received_at, unpaid.retry_at, unpaid.call_id
            )
            if unpaid.reason in WAITS and until is not None:
                return Park(
                    not_before=until,
                    why=f"{WAITS[unpaid.reason]}: {unpaid.why}; not serious, its clock leaves room",
                )
            return _absent(triage, unpaid.why)
        case Paid() as paid:
            return _answered(event, triage, paid)


def usage_of(event: EvidenceRetrieved, paid: Paid, lane: str, stage: str) -> UsageRecorded:
    """Return the record of a paid call."""
    tokens = paid.answer.tokens
    return UsageRecorded(
        case_id=event.case.case_id, message_id=event.case.message_id, workflow=event.route.workflow, lane=lane,
        stage=stage, kind="model_call", name=paid.answer.model or "large", tier="large",
        quantity=tokens.prompt + tokens.completion, unit="tokens", cost_micro=paid.cost_micro,
        currency=paid.currency, pass_number=event.route.pass_number, call_id=paid.call_id, called_at=paid.at,
    )  # fmt: skip


def _answered(event: EvidenceRetrieved, triage: Triage, paid: Paid) -> Advised:
    opinion = read_opinion(paid.answer.text)
    if opinion is None:
        finding = Finding(
            step=STEP,
            result="no opinion",
            detail=f"{paid.answer.model or 'the model'} did not answer in the schema",
        )
        return Advised(triage=_without(triage), finding=finding, paid=paid)
    after = raised(event.case, triage, opinion, event.route.received_at)
    finding = Finding(
        step=STEP, result=f"serious {opinion.serious}, grade {opinion.grade}",
        detail=f"{paid.answer.model or 'the model'} answered; it can raise what the tools found, not lower it",
    )  # fmt: skip
    return Advised(triage=after, finding=finding, paid=paid)


def _absent(triage: Triage, why: str) -> Advised:
    finding = Finding(step=STEP, result=f"not asked: {why}", detail="the tier is absent in this pass")
    return Advised(triage=_without(triage), finding=finding)


def _without(triage: Triage) -> Triage:
    """Return the result with a flag that keeps it from a machine: a rule that trusts the tier must not trust its absence."""
    return triage if MISSING in triage.flags else replace(triage, flags=(*triage.flags, MISSING))
