"""supervise: one conclusion per version of a case and cause: accepted, superseded, nullified, upheld, for a person, or one more pass."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime

from vigimesh.domain.cascade.resolved import resolved_by
from vigimesh.domain.knowledge.recalling import change_words, clock_after, differences, earlier_words
from vigimesh.domain.policy.cards import Card, Cards
from vigimesh.domain.policy.facts import Known
from vigimesh.domain.policy.floor import floor
from vigimesh.domain.policy.limits import Limits, key_of, limits_of
from vigimesh.domain.policy.verdict import Judgement, judge
from vigimesh.domain.record.reason import Grounds, reason_of_record
from vigimesh.domain.safety.foreign import FAILED
from vigimesh.events.classes import (
    CaseDecided,
    CaseRouted,
    HeadMoved,
    ReviewRequested,
    SeenMessage,
    ToolsExecuted,
    Triage,
)
from vigimesh.events.knowledge import Recall
from vigimesh.events.topics import lane_topic, topic
from vigimesh.loop.outcome import Answers, Done, Emit, Input, Need, Outcome
from vigimesh.supervisor.versions import Placed, head_of, moved, place

_REVIEWS = {
    "conflict": (
        "conflict",
        "another message has the same version of this case",
        "Two messages have the same ids and dates but differ. Which of them stands?",
    ),
    "unordered": (
        "order_unknown",
        "its dates do not tell whether it is newer than the version that is known",
        "Is this version newer than the one that is known?",
    ),
    "after_nullification": (
        "after_nullification",
        "the case was nullified, and a case sent again should have new ids",
        "A version came after the nullification of its case. Is the case alive?",
    ),
}
_NULLIFICATION_FIRST = (
    "nullification_first",
    "no version of this case is known, and an initial report cannot be a nullification (R0101)",
    "A nullification came for a case that is not known. What does the sender mean?",
)
_NULLIFICATION_LATE = (
    "nullification_overtaken",
    "a newer version of the case than this nullification is known",
    "A nullification came that is older than the newest version. Is the case alive?",
)
_CARD_GONE = (
    "card_unknown",
    "the card of its workflow is not in force any more",
    "Confirm the triage result, and say which workflow the case belongs to.",
)
_NULLIFICATION = (
    "nullification",
    "a nullification is confirmed by a person",
    "Confirm that this case is nullified.",
)

_ADVICE_RECALLED = "The advice that this conclusion rests on has changed. Which of the two results holds?"

#: Decisions that follow from the versions alone, so that nobody asked the policy or its floor.
_NOT_JUDGED = ("superseded", "nullified")


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """One triaged version with what the verb was told about it."""

    event: ToolsExecuted
    card: Card
    head: HeadMoved | None
    limits: Limits
    at: datetime

    @property
    def hold(self) -> bool:
        """Whether nothing may be accepted by machine."""
        return bool(self.limits.held)

    @property
    def triage(self) -> Triage:
        """The triage result, of a recall with the clock that then runs."""
        triage, recall = self.event.triage, self.event.route.recall
        return (
            triage if recall is None else dataclasses.replace(triage, clock=clock_after(recall, triage.clock))
        )


@dataclass(frozen=True, slots=True)
class Supervisor:
    """The supervisor's verb.

    It needs the case's head (None, or a plain map) and the limits of the present (`domain.policy.limits`): the tiers that a
    further pass could use, and an operator's stop of acceptance by machine.
    """

    cards: Cards

    def needs(self, case: Input, answers: Answers) -> tuple[Need, ...]:
        """Ask once for the head of the case and the limits."""
        wanted = (Need(kind="head", key=case.event.case.case_id), _limits_need(case.event))
        return tuple(need for need in wanted if need.name not in answers)

    def decide(self, case: Input, answers: Answers) -> Outcome:
        """Conclude the version, or send it round once more.

        1. The same message again, for the same cause: nothing, its outcome stands.
        2. The same ordinal in another message, dates that do not tell the order, or a version after a nullification:
           a person.
        3. Overtaken by a newer version, or by a nullification: decided as superseded or nullified.
        4. A nullification: a person confirms it, also one that is overtaken.
        5. The policy of the card above the floor in code: accepted, a person, or another pass. A workflow whose card
           is gone is for a person. A recalled version is accepted by the same policy, and only if the result is the
           earlier one; else a person gets both (`domain/knowledge/recalling`).
        Each of 2 to 5 but the other pass also moves the head, in the same transaction.
        """
        event = case.event
        assert isinstance(event, ToolsExecuted)
        version = event.case
        head = head_of(answers[f"head:{version.case_id}"])
        named = self.cards.named(event.route.workflow)
        limits = limits_of(answers[_limits_need(event).name])
        card = named or self.cards.fallback
        view = _View(
            event=event,
            card=card,
            head=head,
            limits=limits,
            at=case.at,
        )
        placed = place(version.message_id, event.route.version, head, event.route.cause)
        # 1.
        if placed.standing == "repeat":
            why = "a repeat of a message that is concluded for this cause; its outcome stands"
            return Done(events=(), why=why, pass_number=event.route.pass_number)
        # 2.
        if placed.standing in _REVIEWS:
            return _for_a_person(view, *_REVIEWS[placed.standing], conflict_with=placed.against)
        # 3.
        overtaken = placed.standing in ("overtaken", "nullified")
        if overtaken and version.amendment != "nullification":
            return _overtaken(view, placed)
        # 4.
        if version.amendment == "nullification":
            if overtaken:
                return _for_a_person(view, *_NULLIFICATION_LATE, conflict_with=placed.against)
            words = _NULLIFICATION_FIRST if head is None else _NULLIFICATION
            return _for_a_person(view, *words, nullifies=True)
        # 5.
        if named is None:
            return _for_a_person(view, *_CARD_GONE)
        return _by_policy(view)


def _limits_need(event: ToolsExecuted) -> Need:
    return Need(kind="limits", key=key_of(event.route.lane, event.route.workflow))


def _by_policy(view: _View) -> Done:
    event = view.event
    known = Known(
        case=event.case, clock=view.triage.clock, at=view.at, route=event.route, plan=event.plan,
        triage=view.triage, passages=len(event.passages), cost_micro=event.cost_micro,
        tiers=view.limits.in_time(view.card.latency_tolerance_s), left_out=_left_out(view),
        failed_steps=tuple(finding.step for finding in event.findings if finding.result == FAILED),
    )  # fmt: skip
    judgement = judge(known, view.card, hold=view.hold)
    if judgement.then == "escalate":
        return _another_pass(view, judgement)
    if event.route.recall is not None:
        return _recalled(view, event.route.recall, judgement)
    if judgement.then == "accept":
        return _decided(view, "auto_accepted", judgement)
    return _review(view, judgement)


def _left_out(view: _View) -> str:
    return "; ".join(view.limits.left_out_words(view.card.tiers, view.card.latency_tolerance_s))


def _recalled(view: _View, recall: Recall, judgement: Judgement) -> Done:
    """Conclude a recalled version: what stands is upheld, or asked again with what is cited now; what differs is reopened.

    A person who has it in review keeps it, whatever a machine would do now.
    """
    accepted = judgement.then == "accept"
    found = differences(recall, view.event.triage, accepted, view.event.passages)
    if found:
        why = f"{change_words(recall)}; before: {earlier_words(recall)}; now: {'; '.join(found)} (rule {judgement.rule}: {judgement.reason})"
        again = Judgement(
            then="review",
            rule="advice_recalled",
            reason=why,
            question=_ADVICE_RECALLED,
            floor=judgement.floor,
        )
        return _review(view, again)
    stands = dataclasses.replace(
        judgement, reason=f"{change_words(recall)}, and the result is the earlier one: {judgement.reason}"
    )
    return _decided(view, "upheld", stands) if accepted else _review(view, stands)


def _another_pass(view: _View, judgement: Judgement) -> Done:
    event = view.event
    route = dataclasses.replace(
        event.route,
        pass_number=event.route.pass_number + 1,
        escalation=f"rule {judgement.rule}: {judgement.reason}",
        clock=view.triage.clock,
        cost_micro=event.cost_micro,
    )
    again = CaseRouted(case=event.case, route=route)
    emit = _emit(view, lane_topic("plan", route.lane), again)
    return Done(events=(emit,), why=f"escalated: {route.escalation}", pass_number=event.route.pass_number)


def _overtaken(view: _View, placed: Placed) -> Done:
    if placed.standing == "nullified":
        rule, decision, why = "nullified", "nullified", "a nullification of the case is known that is newer"
    else:
        rule, decision, why = "superseded", "superseded", "a newer version of the case is known"
    return _decided(view, decision, Judgement(then="accept", rule=rule, reason=why))


def _for_a_person(  # the first three are the row of a table above
    view: _View, rule: str, why: str, question: str, *, conflict_with: str = "", nullifies: bool = False
) -> Done:
    event = view.event
    breaches = floor(event.case, view.triage, view.card, hold=view.hold, tier=event.plan.tier)
    judgement = Judgement(then="review", rule=rule, reason=why, question=question, floor=breaches)
    return _review(view, judgement, conflict_with=conflict_with, nullifies=nullifies)


def _decided(view: _View, decision: str, judgement: Judgement) -> Done:
    event, route = view.event, view.event.route
    outcome = "Accepted by machine" if decision == "auto_accepted" else f"Decided as {decision}"
    decided = CaseDecided(
        case_id=event.case.case_id,
        message_id=event.case.message_id,
        version=route.version,
        workflow=route.workflow,
        lane=route.lane,
        decision=decision,
        grade=event.triage.grade,
        serious=event.triage.serious,
        reason=_reason(view, outcome, judgement),
        rule=judgement.rule,
        tier=resolved_by(event.plan, event.findings),
        card_digest=view.card.digest,
        labels=_labels(event),
        cost_micro=event.cost_micro,
        received_at=route.received_at,
        due_at=view.triage.clock.due_at,
        pass_number=route.pass_number,
        triage=view.triage,
        cause=route.cause,
    )
    return _concluded(view, decided, f"{decision}: rule {judgement.rule}")


def _review(view: _View, judgement: Judgement, *, conflict_with: str = "", nullifies: bool = False) -> Done:
    event, route = view.event, view.event.route
    due_at = view.triage.clock.due_at
    if judgement.rule == "non_valid_death":
        due_at = min(due_at, route.received_at) if due_at else route.received_at  # chased at once
    review = ReviewRequested(
        case_id=event.case.case_id,
        message_id=event.case.message_id,
        version=route.version,
        workflow=route.workflow,
        lane=route.lane,
        question=judgement.question,
        grade=event.triage.grade,
        serious=event.triage.serious,
        reason=_reason(view, "For a person", judgement),
        rule=judgement.rule,
        tier=event.plan.tier,
        card_digest=view.card.digest,
        conflict_with=conflict_with,
        labels=_labels(event),
        cost_micro=event.cost_micro,
        received_at=route.received_at,
        due_at=due_at,
        pass_number=route.pass_number,
        triage=view.triage,
        case=event.case,
        findings=event.findings,
        passages=event.passages,
        cause=route.cause,
        draft=event.draft,
    )
    why = f"for a person: rule {judgement.rule}"
    return _concluded(view, review, why, nullifies=nullifies)


def _concluded(
    view: _View, conclusion: CaseDecided | ReviewRequested, why: str, *, nullifies: bool = False
) -> Done:
    event = view.event
    decided = isinstance(conclusion, CaseDecided)
    seen = SeenMessage(
        message_id=event.case.message_id,
        version=event.route.version,
        outcome="decided" if decided else "in_review",
        cause=event.route.cause,
    )
    head = moved(view.head, event.case.case_id, seen, nullified=nullifies)
    where = topic("case.decided" if decided else "case.review")
    events = (_emit(view, where, conclusion), _emit(view, topic("case.head"), head))
    return Done(events=events, why=why, pass_number=event.route.pass_number)


def _emit(view: _View, where: str, event: object) -> Emit:
    case, route = view.event.case, view.event.route
    return Emit(
        topic=where, key=case.case_id, event=event, messageid=case.message_id,
        workflow=route.workflow, lane=route.lane,
    )  # fmt: skip


def _reason(view: _View, outcome: str, judgement: Judgement) -> str:
    event = view.event
    return reason_of_record(
        Grounds(
            outcome=outcome,
            rule=judgement.rule,
            why=judgement.reason,
            card=view.card,
            triage=view.triage,
            tier=event.plan.tier,
            pass_number=event.route.pass_number,
            accepted=judgement.then == "accept",
            findings=event.findings,
            floor=None if judgement.rule in _NOT_JUDGED else judgement.floor,
            passages=len(event.passages),
            cost_micro=event.cost_micro,
        )
    )


def _labels(event: ToolsExecuted) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{one.document_id}@{one.version}" for one in event.passages))
