"""route: which workflow a case belongs to, how urgent it is, which clock may run, and where its version stands."""

from __future__ import annotations

from dataclasses import dataclass

from vigimesh.domain.policy.cards import Card, Cards
from vigimesh.domain.policy.facts import NO_CLOCK_DAYS, Known, Readings, clock_days, serious_signs
from vigimesh.domain.safety.clocks import clock
from vigimesh.domain.safety.dates import version_ordinal
from vigimesh.errors import Refused
from vigimesh.events.case import Case
from vigimesh.events.classes import CaseReceived, CaseRouted, Clock, Route
from vigimesh.events.topics import lane_topic
from vigimesh.loop.outcome import Answers, Done, Emit, Input, Need, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lane:
    """A lane with the rule that chose it and why."""

    lane: str
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Router:
    """The router's verb. It needs nothing but the case and the cards in force."""

    cards: Cards

    def needs(self, case: Input, answers: Answers) -> tuple[Need, ...]:
        """Return nothing: everything the router asks is in the case."""
        del case, answers
        return ()

    def decide(self, case: Input, answers: Answers) -> Outcome:
        """Hand the case to its lane's `plan` topic.

        1. The workflow: the card of highest priority whose match rule holds.
        2. The provisional clock, taken as if the case were valid and its reactions unlisted.
        3. The lane: the card's first rule that holds. A serious flag or an urgency hint is hot, whatever the card
           says; so is a case on which a rule failed, because nobody knows what it would have said.
        4. The version's ordinal, by (C.1.5, C.1.2).
        """
        del answers
        received = case.event
        assert isinstance(received, CaseReceived)
        version = received.case
        # 1.
        chosen = self.cards.choose(Readings(Known(case=version)))
        card = chosen.card
        # 2.
        signs = serious_signs(version)
        runs = clock(version, provisional_seriousness(version, signs), True, "not_checked", case.at)
        # 3.
        known = Known(case=version, clock=runs, at=case.at)
        lane = _lane(known, card, signs, chosen.failed)
        # 4.
        route = Route(
            workflow=card.name,
            lane=lane.lane,
            rule=lane.rule,
            reason=lane.reason,
            card_digest=card.digest,
            version=version_ordinal(version),
            clock=runs,
            received_at=case.at,
        )
        emit = Emit(
            topic=lane_topic("plan", lane.lane),
            key=version.case_id,
            event=CaseRouted(case=version, route=route),
            messageid=version.message_id,
            workflow=card.name,
            lane=lane.lane,
        )
        return Done(events=(emit,), why=f"{card.name}, {lane.lane}: rule {lane.rule}: {lane.reason}")


def provisional_seriousness(case: Case, signs: tuple[str, ...]) -> str:
    """Return yes, no or unknown from structured fields alone; `signs` are the case's `serious_signs`.

    Only a closed form of criteria without a tick, or a reporter's "not serious" (E.i.3.1 = 1, 2) on every reaction,
    says no; the text is read later and may raise it.
    """
    if signs:
        return "yes"
    if case.criteria_form == "form":
        return "no"
    said = [reaction.highlighted for reaction in case.reactions]
    return "no" if said and all(one in ("1", "2") for one in said) else "unknown"


def _lane(known: Known, card: Card, signs: tuple[str, ...], failed: tuple[str, ...]) -> _Lane:
    values = _values(known, signs)
    try:
        read = Readings(known)
        rule = next(rule for rule in card.lanes if rule.when.holds(read))
    except Refused as failure:
        return _Lane(lane="hot", rule="rule_failed", reason=f"{failure}{values}")
    if failed:
        reason = f"a match rule failed on this case ({', '.join(failed)})"
        return _Lane(lane="hot", rule="rule_failed", reason=f"{reason}{values}")
    if rule.lane != "hot" and (signs or known.case.urgent):
        reason = f"a serious flag or an urgency hint is hot, whatever the card says (rule {rule.name})"
        return _Lane(lane="hot", rule="floor.serious_flag", reason=f"{reason}{values}")
    return _Lane(lane=rule.lane, rule=rule.name, reason=f"{rule.reason}{values}")


def _values(known: Known, signs: tuple[str, ...]) -> str:
    """Return in brackets the values that matter to urgency: closed words and numbers only, no text of the case."""
    case = known.case
    parts = [f"kind {case.document_kind}" if case.kind == "document" else f"criteria {case.criteria_form}"]
    if signs:
        parts.append("signs " + " ".join(signs))
    if case.urgent:
        parts.append("urgency hint")
    days = clock_days(known.clock, known.at)
    if days != NO_CLOCK_DAYS:
        rule: Clock | None = known.clock
        parts.append(f"clock {rule.rule if rule else ''} {days} d")
    return f" [{'; '.join(parts)}]"
