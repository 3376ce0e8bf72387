"""A drafted reply in a pass: what is bought for it, and what comes of what was told. Pure.

Without a model, without an answer, or with one that cannot be used, the template is the draft: a person gets one in any case. Only an answer
that waits for a batch is waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vigimesh.domain.budget.waiting import WAITS, waits_until
from vigimesh.domain.cascade.draft import (
    DRAFTED,
    DRAFTED_AGAIN,
    PROMPT,
    Sources,
    courtesy,
    draft_again,
    draft_question,
    read_draft,
    sources_of,
    template,
)
from vigimesh.domain.cascade.opinion import Model
from vigimesh.domain.cascade.prompts import shipped_prompt
from vigimesh.domain.policy.cards import Cards
from vigimesh.domain.privacy.rules import rules_digest
from vigimesh.errors import Misconfigured, Refused
from vigimesh.events.classes import EvidenceRetrieved, Finding, Triage
from vigimesh.events.drafts import Draft
from vigimesh.loop.outcome import Answers, Need, Park
from vigimesh.tool_executor.opinions import KIND, Made, Told, made_of, told_in, worth_another
from vigimesh.tool_executor.purchase import (
    Basis,
    Buyer,
    Paid,
    Unpaid,
    basis_of,
    name_of,
    told_of,
)

#: The step of a card that drafts, and the calls that it makes.
STEP = DRAFTED
_CALLS = (DRAFTED, DRAFTED_AGAIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What a draft of a pass rests on: the event, its text, what the tools said and made of it, and the answers so far."""

    event: EvidenceRetrieved
    text: str
    findings: Sequence[Finding]
    triage: Triage
    answers: Answers

    @property
    def planned(self) -> bool:
        """Whether a reply is to be drafted."""
        return STEP in self.event.plan.steps

    @property
    def sources(self) -> Sources:
        """What the draft may rest on."""
        return sources_of(self.event.case, self.text, self.findings, self.event.passages)

    @property
    def told(self) -> tuple[Told, ...]:
        """What came of the purchases for the draft, the first one first."""
        return told_in(self.answers, _CALLS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """The draft, what is told of it, what was paid. `FLAG` sends its case to a person."""

    draft: Draft
    finding: Finding
    made: tuple[Made, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafts:
    """Who is asked for drafts, and the cards that say what each workflow may spend on them; `model` is `None` where nobody is."""

    cards: Cards | None = None
    model: Model | None = None

    def need(self, of: Pass) -> Need | None:
        """Return what to ask next; `None` when nothing can or need be asked: the template stands then."""
        event, told = of.event, of.told
        card = self.cards.named(event.route.workflow) if self.cards else None
        if not of.planned or self.model is None or card is None or event.plan.tier != "large":
            return None
        if event.case.kind != "document":
            return None  # a case's narrative is put to a model once, for the opinion
        sources, again = of.sources, bool(told)
        if sources.held or (again and not _worth_asking_again(told, sources)):
            return None
        try:
            question = draft_question(self.model, event.case, sources)
            basis = Basis(
                prompt=shipped_prompt(PROMPT).label, rules=rules_digest(), held="", instructions=", ".join(sources.orders)
            )  # fmt: skip
            buyer = Buyer(event=event, triage=of.triage, card=card, model=self.model)
            wanted = buyer.purchase(
                draft_again(question) if again else question, DRAFTED_AGAIN if again else DRAFTED, basis, again=again
            )  # fmt: skip
            return Need(kind=KIND, key=name_of(wanted), asked=wanted)
        except (Refused, Misconfigured, ValueError, OverflowError):
            return None


def drafted(of: Pass) -> Drafted | Park | None:
    """Return the draft of a pass; `Park` while its question waits for a batch, `None` where no draft is planned."""
    if not of.planned:
        return None
    told = of.told
    first = told_of(told[0]) if told else None
    if isinstance(first, Unpaid) and first.reason == "gathered":
        route = of.event.route
        until = waits_until(of.triage, route.lane, route.received_at, first.retry_at, first.call_id)
        if until is not None:
            return Park(not_before=until, why=f"{WAITS['gathered']}: {first.why}; the mail tells of no event")
    made = tuple(made_of(value) for value in told if isinstance(told_of(value), Paid))
    draft, why = _draft(of, told)
    rests = tuple(dict.fromkeys(place for one in draft.statements for place in one.cites))
    finding = Finding(
        step=STEP, result=f"by {draft.by}", detail=f"{len(draft.statements)} statements; {why}; a person corrects, signs and sends it",
        quotes=rests,
    )  # fmt: skip
    return Drafted(draft=draft, finding=finding, made=made)


def _draft(of: Pass, told: Sequence[Told]) -> tuple[Draft, str]:
    """Return the draft and why it is what it is."""
    fallen = template(of.event.case, of.triage, of.event.passages)
    if not told:
        return fallen, f"no model was asked: {_unasked(of)}"
    last = told_of(told[-1])
    if isinstance(last, Unpaid):
        return fallen, f"no draft was bought: {last.why}"
    _, basis = basis_of(told[-1]) or (STEP, Basis())
    found = read_draft(last.answer.text, of.sources, last.answer.model or "a model", basis.prompt)
    again = ", asked once more" if len(told) > 1 else ""
    if found is None:
        return (
            fallen,
            f"the model's answer could not be used{again}: it did not keep to the schema, or to what it was given",
        )
    lines = (courtesy(of.event.case), *found.statements)
    return replace(
        found, statements=lines
    ), f"each statement cites what it was given{again}; prompt {basis.prompt}"


def _unasked(of: Pass) -> str:
    if of.event.plan.tier != "large":
        return f"the pass is of tier {of.event.plan.tier}"
    if of.event.case.kind != "document":
        return "a case is no mail"
    return of.sources.held or "none is here, or its card is gone"


def _worth_asking_again(told: Sequence[Told], sources: Sources) -> bool:
    """Return whether the one answer that there is could not be used, and its model neither declined nor kept silent."""
    one = told_of(told[0])
    if len(told) != 1 or isinstance(one, Unpaid):
        return False
    return read_draft(one.answer.text, sources, "", "") is None and worth_another(one.answer)
