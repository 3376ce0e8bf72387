"""What happens to a triaged case: the card's rules in their order, then the floor under them."""

from __future__ import annotations

from dataclasses import dataclass

from vigimesh.domain.policy.cards import Card, Verdict
from vigimesh.domain.policy.facts import Known, Readings, told_by_form
from vigimesh.domain.policy.floor import Breach, floor
from vigimesh.domain.policy.tiers import dearer, ladder
from vigimesh.errors import Refused

_CONFIRM = "Look at what is named in the reason and confirm the triage result."
_FOLLOW_UP = (
    "Ask the sender for what is missing and note when to ask again; day 0 is the day on which it arrives."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What is to happen, by which rule, why in words; `question` for a person, `floor` what touched the floor."""

    then: Verdict
    rule: str
    reason: str
    question: str = ""
    floor: tuple[Breach, ...] = ()


def judge(known: Known, card: Card, *, hold: bool) -> Judgement:
    """Return what is to happen to the case of `known`, whose tools have run.

    1. A case without its minimum criteria goes to a person, with what to ask for.
    2. A step that the card requires and that failed is for a person.
    3. Escalation, if its rule holds and another pass would bring something new; else that is for a person, who is asked what the policy would ask.
    4. The first policy rule that holds; a rule that fails on the case, or none that holds, is for a person.
    5. An "accept" stands only above the floor.
    """
    case, triage, plan = known.case, known.triage, known.plan
    assert triage is not None
    assert plan is not None
    breaches = floor(case, triage, card, hold=hold, tier=plan.tier)
    # 1.
    if not triage.valid and case.kind != "document":
        return _non_valid(breaches, triage.missing)
    # 2.
    failed = [step for step in card.required_steps if step in known.failed_steps]
    if failed:
        reason = f"a step that the card requires failed: {', '.join(failed)}"
        return Judgement(
            then="review", rule="required_step", reason=reason, question=_CONFIRM, floor=breaches
        )
    read = Readings(known)
    try:
        # 3.
        if card.escalation.when.holds(read):
            reason = f"the escalation rule of the card holds ({card.escalation.when.source})"
            return _escalate(known, card, "escalation", reason, breaches, _asked(read, card))
        # 4.
        rule = next((rule for rule in card.policy if rule.when.holds(read)), None)
    except Refused as failure:
        return Judgement(
            then="review", rule="rule_failed", reason=str(failure), question=_CONFIRM, floor=breaches
        )
    if rule is None:
        reason = "no policy rule of the card holds"
        return Judgement(then="review", rule="no_rule", reason=reason, question=_CONFIRM, floor=breaches)
    if rule.then == "escalate":
        return _escalate(known, card, rule.name, rule.reason, breaches, rule.question)
    # 5.
    if rule.then == "accept" and breaches:
        return Judgement(
            then="review",
            rule=f"floor.{breaches[0].name}",
            reason=f"rule {rule.name} would accept, but a floor that no card can lower stands above it",
            question=_CONFIRM,
            floor=breaches,
        )
    return Judgement(
        then=rule.then, rule=rule.name, reason=rule.reason, question=rule.question, floor=breaches
    )


def _asked(read: Readings, card: Card) -> str:
    """Return the question of the first policy rule that holds; empty where it asks none, or cannot be worked out."""
    try:
        return next((rule.question for rule in card.policy if rule.when.holds(read)), "")
    except Refused:
        return ""


def _non_valid(breaches: tuple[Breach, ...], missing: tuple[str, ...]) -> Judgement:
    names = ", ".join(missing) or "not named"
    dead = any(breach.name == "death" for breach in breaches)
    question = f"Missing minimum criteria: {names}. {_FOLLOW_UP}"
    reason = f"the report is not valid: missing {names}"
    if dead:
        return Judgement(
            then="review",
            rule="non_valid_death",
            reason=f"{reason}; a report of a death is chased at once",
            question=f"A death. {question} Chase it at once.",
            floor=breaches,
        )
    return Judgement(then="review", rule="non_valid", reason=reason, question=question, floor=breaches)


def _escalate(
    known: Known, card: Card, name: str, reason: str, breaches: tuple[Breach, ...], question: str = ""
) -> Judgement:
    gain = gain_of_next_pass(known, card)
    if gain:
        return Judgement(then="escalate", rule=name, reason=f"{reason}; {gain}", floor=breaches)
    return Judgement(
        then="review",
        rule=name,
        reason=f"{reason}, and no further pass would bring anything new{known.left_out and f' ({known.left_out})'}",
        question=question or _CONFIRM,
        floor=breaches,
    )


def gain_of_next_pass(known: Known, card: Card) -> str:
    """Return in words what another pass would bring: a dearer tier that is there, or steps not run yet; else empty."""
    route, plan = known.route, known.plan
    assert route is not None
    assert plan is not None
    if route.pass_number >= card.escalation.max_passes:
        return ""
    tier = dearer(plan.tier, ladder(card.tiers, known.tiers, told_by_form=told_by_form(known.case)))
    steps = [step for step in card.steps_of(route.pass_number + 1) if step not in plan.steps]
    gains = ([f"tier {tier}"] if tier else []) + ([f"steps {', '.join(steps)}"] if steps else [])
    return f"the next pass brings {' and '.join(gains)}" if gains else ""
