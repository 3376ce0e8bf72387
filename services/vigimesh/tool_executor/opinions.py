"""The second opinion of a pass: what is bought for it, and what comes of what was told. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vigimesh.domain.budget.waiting import WAITS, waits_until
from vigimesh.domain.cascade.narrative import Leaving
from vigimesh.domain.cascade.opinion import (
    ASKED,
    ASKED_AGAIN,
    PROMPT,
    Model,
    Opinion,
    asked_again,
    narrative_of,
    opined,
    read_opinion,
    second_opinion,
)
from vigimesh.domain.cascade.prompts import shipped_prompt
from vigimesh.domain.cascade.question import Answer
from vigimesh.domain.policy.cards import Cards
from vigimesh.domain.privacy.redaction import restore
from vigimesh.domain.privacy.rules import rules_digest
from vigimesh.errors import Misconfigured, Refused
from vigimesh.events.classes import EvidenceRetrieved, Finding, Triage, UsageRecorded
from vigimesh.loop.outcome import Answers, Need, Park
from vigimesh.tool_executor.purchase import (
    Basis,
    Buyer,
    Paid,
    Unpaid,
    basis_of,
    name_of,
    told_of,
)

#: The step under which calls are remembered and findings are told; a second call that mends an answer has `ASKED_AGAIN`.
STEP = ASKED
#: The kind of need that is answered by paying.
KIND = "model"
#: What keeps a case from a machine when the opinion that was planned for it is missing.
MISSING = "opinion_missing"
#: What tells a person that the narrative holds what could be an order to a machine.
INSTRUCTIONS = "instructions_in_text"
#: How an answer ends that is not asked for again: the model declined, or said nothing at all.
_DECLINED = frozenset({"refusal", "content_filter", "nothing"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinions:
    """Who is asked for an opinion, and the cards that say what each workflow may spend on it."""

    model: Model
    cards: Cards

    def need(
        self,
        event: EvidenceRetrieved,
        text: str,
        findings: Sequence[Finding],
        triage: Triage,
        *,
        again: bool = False,
    ) -> Need | None:
        """Return what to ask of a planned pass, or to ask `again`; `text` is its narrative.

        `None` when nothing can be asked: its card is gone, it is a document (none of its facts may leave), or its facts make no question. That
        is never the case's fault: it goes on without.
        """
        card = self.cards.named(event.route.workflow)
        if card is None or event.case.kind == "document":
            return None
        narrative = narrative_of(event.case, text, event.passages)
        try:
            question = second_opinion(self.model, event.case, triage, findings, event.passages, narrative)
            buyer = Buyer(event=event, triage=triage, card=card, model=self.model)
            wanted = buyer.purchase(
                asked_again(question) if again else question, ASKED_AGAIN if again else STEP, _basis(narrative), again=again
            )  # fmt: skip
            return Need(kind=KIND, key=name_of(wanted), asked=wanted)
        except (Refused, Misconfigured, ValueError, OverflowError):
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A call that was paid for: of which step, by which prompt (empty for one of before prompts had names), and for which tier."""

    paid: Paid
    step: str
    prompt: str
    tier: str = "large"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advised:
    """What an opinion made of a case: the triage result, what is told about it, what was paid."""

    triage: Triage
    findings: tuple[Finding, ...]
    made: tuple[Made, ...] = ()


#: What came of one purchase, as plain values.
Told = Mapping[str, Any]


def told_in(answers: Answers, steps: Sequence[str] = (STEP, ASKED_AGAIN)) -> tuple[Told, ...]:
    """Return what came of the purchases of these steps, in their order; of an opinion's by default. By their kind: a replay needs no endpoint."""
    told = [value for name, value in answers.items() if name.startswith(f"{KIND}:")]
    mine = [value for value in told if value.get("step", STEP) in steps]
    return tuple(sorted(mine, key=lambda value: steps.index(value.get("step", STEP))))


def to_be_asked_again(event: EvidenceRetrieved, text: str, told: Sequence[Told]) -> bool:
    """Return whether the one answer that there is could not be read, and its model neither declined nor kept silent.

    What was told before steps were kept is not asked again: a replay of it knows of no second call.
    """
    if len(told) != 1 or basis_of(told[0]) is None:
        return False
    paid = told_of(told[0])
    if not isinstance(paid, Paid) or _opinion(event, text, paid) is not None:
        return False
    return worth_another(paid.answer)


def worth_another(answer: Answer) -> bool:
    """Return whether an answer that cannot be used is asked for once more: its model neither declined nor kept silent."""
    # One of which nothing came before its bound is worth another one, with more room.
    return answer.finish == "length" or (bool(answer.text.strip()) and answer.finish not in _DECLINED)


def advised(event: EvidenceRetrieved, text: str, triage: Triage, told: Sequence[Told]) -> Advised | Park:
    """Return what the answers to `Opinions.need` make of a triage result; without one the tier is absent, and it stands.

    Of a case that may wait, and that only the money was missing for, the record is parked until the budget has room; of one whose
    question was gathered for a batch, until its answer is there.
    """
    if not told:
        return _absent(triage, "no model is here, its card is gone, or nothing of it may leave")
    first = told_of(told[0])
    if isinstance(first, Unpaid):
        until = waits_until(triage, event.route.lane, event.route.received_at, first.retry_at, first.call_id)
        if first.reason in WAITS and until is not None:
            why = f"{WAITS[first.reason]}: {first.why}; not serious, its clock leaves room"
            return Park(not_before=until, why=why)
        return _absent(triage, first.why)
    _, basis = basis_of(told[-1]) or (STEP, Basis())
    last = told_of(told[-1])
    made = tuple(made_of(value) for value in told if isinstance(told_of(value), Paid))
    triage = _with(triage, INSTRUCTIONS) if basis.instructions else triage
    before = (_unread(first, "; it was asked once more"),) if len(told) > 1 else ()
    opinion = _opinion(event, text, last) if isinstance(last, Paid) else None
    if opinion is None:
        return Advised(triage=_with(triage, MISSING), findings=(*before, _unread(last)), made=made)
    after = opined(event.case, triage, opinion, event.route.received_at, whole=not basis.held)
    finding = _finding(event, text, opinion, made[-1], basis)
    return Advised(triage=after, findings=(*before, finding), made=made)


def usage_of(event: EvidenceRetrieved, made: Made, lane: str, stage: str) -> UsageRecorded:
    """Return the record of a paid call."""
    paid, tokens = made.paid, made.paid.answer.tokens
    return UsageRecorded(
        case_id=event.case.case_id, message_id=event.case.message_id, workflow=event.route.workflow, lane=lane,
        stage=stage, kind="model_call", name=paid.answer.model or made.tier, tier=made.tier,
        quantity=tokens.prompt + tokens.completion, unit="tokens", cost_micro=paid.cost_micro,
        currency=paid.currency, pass_number=event.route.pass_number, call_id=paid.call_id, called_at=paid.at,
        step=made.step, prompt=made.prompt,
    )  # fmt: skip


def _basis(narrative: Leaving) -> Basis:
    return Basis(
        prompt=shipped_prompt(PROMPT).label, rules=rules_digest(), held=narrative.held,
        instructions=", ".join(narrative.instructions),
    )  # fmt: skip


def made_of(value: Told) -> Made:
    """Return the call that was paid for of what was told of its purchase."""
    step, basis = basis_of(value) or (STEP, Basis())
    paid = told_of(value)
    assert isinstance(paid, Paid)
    return Made(paid=paid, step=step, prompt=basis.prompt)


def _opinion(event: EvidenceRetrieved, text: str, paid: Paid) -> Opinion | None:
    """Return the opinion in an answer; what it quotes must stand in what was sent."""
    return read_opinion(paid.answer.text, narrative_of(event.case, text, event.passages).text)


def _finding(event: EvidenceRetrieved, text: str, opinion: Opinion, made: Made, basis: Basis) -> Finding:
    """Return what is told of an opinion; what it quotes is given as the narrative has it, personal data put back."""
    name = made.paid.answer.model or "the model"
    read = (
        basis.held
        or "it read the whole narrative without personal data, so that its no settles what nothing says"
    )
    table = narrative_of(event.case, text, event.passages).table
    return Finding(
        step=STEP, result=f"serious {opinion.serious}, grade {opinion.grade}",
        detail=f"{name} answered; it can raise what the tools found, not lower it; {read}; prompt {made.prompt or 'without a name'}",
        quotes=tuple(restore(one, table) for one in opinion.evidence),
    )  # fmt: skip


def _unread(told: Paid | Unpaid, more: str = "") -> Finding:
    """Return what is told of a purchase that gave no opinion."""
    if isinstance(told, Unpaid):
        return Finding(
            step=STEP, result=f"not asked: {told.why}", detail="its first answer could not be read"
        )
    name = told.answer.model or "the model"
    return Finding(
        step=STEP,
        result="no opinion",
        detail=f"{name} did not answer in the schema, or quoted what it was not sent{more}",
    )


def _absent(triage: Triage, why: str) -> Advised:
    finding = Finding(step=STEP, result=f"not asked: {why}", detail="the tier is absent in this pass")
    return Advised(triage=_with(triage, MISSING), findings=(finding,))


def _with(triage: Triage, flag: str) -> Triage:
    """Return the result with a flag that keeps it from a machine: a rule that trusts the tier must not trust its absence."""
    return triage if flag in triage.flags else replace(triage, flags=(*triage.flags, flag))
