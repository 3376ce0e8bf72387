"""What is bought with one paid call, for whom, and how it can end: values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal

from vigimesh.domain.budget.calls import PaidCall
from vigimesh.domain.budget.lapse import MAX_LEASE_S
from vigimesh.domain.budget.money import exact_text
from vigimesh.domain.budget.values import Ask, Caps, Denied
from vigimesh.domain.cascade.narrative import FACTS_ALONE
from vigimesh.domain.cascade.opinion import Model
from vigimesh.domain.cascade.question import Answer, Question, Tokens, prompt_digest
from vigimesh.domain.policy.cards import BatchWindow, Card
from vigimesh.events.classes import EvidenceRetrieved, Triage
from vigimesh.events.ids import call_id

#: Seconds in which what an endpoint replied is written down, tried again while the journal is away; then it is in doubt.
STORE_S = 15.0
#: Seconds that a call waits for another's try of it: who is not urgent waits longer.
PATIENCE_S = 5.0
#: Seconds that a lease has beyond the call and its writing down: pauses of a busy process.
MARGIN_S = 15.0

#: Why nothing was paid, and what a person reads about it.
Reason = Literal[
    "unpriced", "denied", "gathered", "shut", "away", "breaker_open", "asked_to_wait", "not_made", "in_doubt", "under_way", "lost", "ceiling",
]  # fmt: skip
REASONS: dict[Reason, str] = {
    "unpriced": "the model has no price that could be reserved",
    "denied": "the budget has no room for it",
    "gathered": "it waits for a batch, which costs less",
    "shut": "the budget does not agree with the call journal now",
    "away": "the call journal does not answer",
    "breaker_open": "the endpoint failed several times in a row and is left alone for a while",
    "asked_to_wait": "the endpoint asked not to be called before a time that has not come",
    "not_made": "the endpoint did not take the call",
    "in_doubt": "nobody knows whether the call was made: it counts as its worst case and is not made again in this pass",
    "under_way": "another process makes this very call",
    "lost": "what is kept of the call cannot be used",
    "ceiling": "an order leaves its lane what is free",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MayWait:
    """What says whether a purchase may wait for a batch (`domain.budget.batching`)."""

    triage: Triage
    lane: str
    received_at: datetime
    window: BatchWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a question was made from, which is no part of its name and is kept with its answer: replay need not make it again.

    `prompt` is the prompt's label, `rules` the digest of the redaction rules, `held` why a *no* settles nothing (empty: the narrative was sent
    whole), `instructions` the kinds of what could be an order in it, joined by commas.
    """

    prompt: str = ""
    rules: str = ""
    held: str = FACTS_ALONE
    instructions: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """A question, for whom it is asked and what its workflow may spend.

    Case, version, step and pass say which call it is, together with the prompt: asked again it is the same call. `fallbacks` are models of
    the same endpoint that are asked in this order when the one before did not take the call.
    """

    question: Question
    case_id: str
    workflow: str
    version: str
    step: str
    pass_number: int
    caps: Caps
    #: Seconds to wait for another try of the same call, or until the endpoint takes calls again; no part of its name.
    patience_s: float = PATIENCE_S
    #: `None`: it may not wait, whatever the case.
    may_wait: MayWait | None = None
    basis: Basis = Basis()
    fallbacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyer:
    """For whom a model is asked in a pass: the event, what the tools made of its case, and the card that says what may be spent."""

    event: EvidenceRetrieved
    triage: Triage
    card: Card
    model: Model

    def purchase(self, question: Question, step: str, basis: Basis, *, again: bool) -> Purchase:
        """Return what is bought; asked `again` it is a repair, which waits for no second batch. Raises as `Caps.of` does."""
        route, card = self.event.route, self.card
        waits = MayWait(
            triage=self.triage, lane=route.lane, received_at=route.received_at, window=card.batch_window
        )
        return Purchase(
            question=question, case_id=self.event.case.case_id, workflow=route.workflow, version="/".join(route.version),
            step=step, pass_number=route.pass_number, caps=Caps.of(card),
            patience_s=PATIENCE_S if route.lane == "hot" else self.model.deadline_s,
            may_wait=None if again else waits, basis=basis, fallbacks=self.model.fallbacks,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """The answer, stored and paid for: `cost_micro` whole, also when an earlier try paid it. `at` is its reservation's."""

    call_id: str
    at: datetime
    answer: Answer
    cost_micro: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpaid:
    """There is no answer: the large tier counts as absent in this pass. `why` says it in words, without text of the case.

    `retry_at` is when time alone may change that, `counted_micro` what the budget counts for the call all the same.
    """

    call_id: str
    reason: Reason
    detail: str = ""
    retry_at: datetime | None = None
    counted_micro: int = 0

    @property
    def why(self) -> str:
        """The reason in words, and what is known besides."""
        return REASONS[self.reason] + (f" ({self.detail})" if self.detail else "")


def room_of(denied: Denied) -> str:
    """Return in words why the budget has no room."""
    if denied.window == "minute":
        return f"{denied.cap_micro} calls a minute are made"
    if denied.cause == "overrun":
        return f"a call cost more than was reserved, which closed this {denied.window}"
    left = denied.cap_micro - denied.recorded_micro - denied.open_micro
    told = f"{exact_text(denied.asked_micro)} asked, {exact_text(max(0, left))} left of the {denied.window}"
    return (
        f"{told} while calls under way hold {exact_text(denied.open_micro)}"
        if denied.cause == "held"
        else told
    )


def lease_s(question: Question) -> float:
    """Return how many seconds a reservation for a question is held: waiting for another's try, the call, its writing down."""
    return min(2 * question.deadline_s + STORE_S + MARGIN_S, MAX_LEASE_S)


def ask_of(wanted: Purchase, asked: str, at: datetime, most: int) -> Ask:
    """Return what the budget is asked, at `at`; `asked` is the prompt's digest, `most` the worst case."""
    name, lease = _name(wanted, asked), lease_s(wanted.question)
    return Ask(name, wanted.workflow, wanted.case_id, most, at, wanted.caps, lease)


def call_of(
    wanted: Purchase, asked: str, at: datetime, most: int, epoch: str, *, own: bool = True
) -> PaidCall:
    """Return the call as the journal remembers it, reserved at `at`, by this try or another; `asked` is the prompt's digest."""
    return PaidCall(
        call_id=_name(wanted, asked), case_id=wanted.case_id, workflow=wanted.workflow, version=wanted.version,
        step=wanted.step, pass_number=wanted.pass_number, prompt_digest=asked,
        model=wanted.question.model, worst_micro=most, epoch=epoch, at=at,
        lease_s=wanted.question.deadline_s + STORE_S + MARGIN_S, own=own,
    )  # fmt: skip


def name_of(wanted: Purchase) -> str:
    """Return the id of the call that a purchase is."""
    return _name(wanted, prompt_digest(wanted.question))


def _name(wanted: Purchase, asked: str) -> str:
    return call_id(wanted.case_id, wanted.version, wanted.step, wanted.pass_number, asked)


def plain(told: Paid | Unpaid, wanted: Purchase | None = None) -> dict[str, Any]:
    """Return what came of a purchase as plain values, which `audit` keeps and replay reads; with `wanted` also what it rested on."""
    basis = {} if wanted is None else {"step": wanted.step, **asdict(wanted.basis)}
    return _told(told) | basis


def basis_of(value: Mapping[str, Any]) -> tuple[str, Basis] | None:
    """Return the step of a purchase and what its question rested on; `None` for what was told before that was kept."""
    if "step" not in value:
        return None
    return value["step"], Basis(**{one.name: value[one.name] for one in fields(Basis)})


def _told(told: Paid | Unpaid) -> dict[str, Any]:
    if isinstance(told, Unpaid):
        return {
            "call_id": told.call_id, "reason": told.reason, "detail": told.detail,
            "retry_at": told.retry_at.isoformat() if told.retry_at else "", "counted_micro": told.counted_micro,
        }  # fmt: skip
    answer, tokens = told.answer, told.answer.tokens
    return {
        "call_id": told.call_id, "at": told.at.isoformat(), "cost_micro": told.cost_micro, "currency": told.currency,
        "text": answer.text, "finish": answer.finish, "model": answer.model,
        "prompt_tokens": tokens.prompt, "cached_tokens": tokens.cached, "completion_tokens": tokens.completion,
    }  # fmt: skip


def told_of(value: Mapping[str, Any]) -> Paid | Unpaid:
    """Return what `plain` wrote."""
    if "reason" in value:
        retry_at = datetime.fromisoformat(value["retry_at"]) if value["retry_at"] else None
        return Unpaid(
            call_id=value["call_id"], reason=value["reason"], detail=value["detail"], retry_at=retry_at,
            counted_micro=value["counted_micro"],
        )  # fmt: skip
    tokens = Tokens(value["prompt_tokens"], value["cached_tokens"], value["completion_tokens"])
    answer = Answer(text=value["text"], tokens=tokens, finish=value["finish"], model=value["model"])
    return Paid(
        call_id=value["call_id"], at=datetime.fromisoformat(value["at"]), answer=answer,
        cost_micro=value["cost_micro"], currency=value["currency"],
    )  # fmt: skip
