"""The verb of the tool-executor: run the planned tools over a case, ask for an opinion where one is planned, and triage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from vigimesh.domain.safety.grade import SERIOUS_GRADE
from vigimesh.domain.safety.tools import run_steps
from vigimesh.errors import Refused
from vigimesh.events.classes import EvidenceRetrieved, Finding, Route, ToolsExecuted, Triage, UsageRecorded
from vigimesh.events.sampling import CaseSampled
from vigimesh.events.topics import lane_topic, topic
from vigimesh.loop.outcome import Answers, Done, Emit, Input, Need, Outcome, Park, Reject
from vigimesh.tool_executor.added import AddedTools, said
from vigimesh.tool_executor.opinions import (
    Advised,
    Made,
    Opinions,
    advised,
    to_be_asked_again,
    told_in,
    usage_of,
)
from vigimesh.tool_executor.scoring import Scoring

STAGE = "tool-executor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """Runs the deterministic tools of a plan. `price_micro` is the price of one run, in micro-units of `currency`.

    `opinions` asks the large model where a pass was planned for it, `scoring` the small one; without it that tier is absent. `tools` are those
    that others add.
    """

    price_micro: int = 0
    currency: str = "EUR"
    opinions: Opinions | None = None
    scoring: Scoring | None = None
    tools: AddedTools = field(default_factory=AddedTools)

    def needs(self, case: Input, answers: Answers) -> tuple[Need, ...]:
        """Return the narrative when the case refers to it by digest; what added tools say; the score (before it what an endpoint says) or the opinion, when one is planned.

        The first is answered with the text, or its bytes in UTF-8; the others with what `foreign.told` reads by tool, and what
        `small.tell` and `purchase.plain` write.
        """
        narrative = _narrative_need(case.event)
        if narrative is not None and narrative.name not in answers:
            return (narrative,)
        try:
            cheap = self._cheap(case.event, answers)
        except Refused:
            return ()  # `decide` says it
        if cheap is not None:
            return (cheap,)
        if case.event.plan.tier != "large" or self.opinions is None:
            return ()
        told, text = told_in(answers), _narrative(case.event, answers)
        if told and not to_be_asked_again(case.event, text, told):
            return ()
        try:
            opinion = self.opinions.need(case.event, text, *self._run(case.event, answers), again=bool(told))
        except Refused:
            return ()  # `decide` says it
        return () if opinion is None else (opinion,)

    def _cheap(self, event: EvidenceRetrieved, answers: Answers) -> Need | None:
        """Return what is asked next of added tools and of the small tier. Raises `Refused` for a step that does not exist."""
        text = _narrative(event, answers)
        added = self.tools.need(event, text, answers)
        if added is not None or self.scoring is None:
            return added
        return self.scoring.need(event, text, answers, lambda: self._run(event, answers))

    def decide(self, case: Input, answers: Answers) -> Outcome:
        """Return the triage result for the supervisor, in a lane never colder than before, and what it cost.

        A case that is not serious waits, parked, where only money is missing for its opinion and its clock leaves room.
        """
        event: EvidenceRetrieved = case.event
        try:
            findings, tools_said = self._run(event, answers)
            runs, triage = len(findings), tools_said
            heard = self.scoring.heard(event, triage, answers) if self.scoring is not None else None
            if heard is not None:
                findings, triage = (*findings, heard[0]), heard[1]
            found = self._advised(event, answers, triage)
        except Refused as failure:
            return Reject(code=failure.code, why=str(failure))
        if isinstance(found, Park):
            return found
        made: tuple[Made, ...] = self.scoring.bought(event, answers) if self.scoring is not None else ()
        cost = self.price_micro * runs
        if found is not None:
            findings, triage, made = (*findings, *found.findings), found.triage, found.made
        drawn = None
        if self.scoring is not None:
            drawn = self.scoring.drawn(event, _narrative(event, answers), answers, (tools_said, triage))
            triage = drawn.triage
        route = _raised(event.route, triage)
        executed = ToolsExecuted(
            case=event.case, route=route, plan=event.plan, passages=event.passages, findings=findings, triage=triage,
            cost_micro=event.route.cost_micro + cost + sum(one.paid.cost_micro for one in made),
        )  # fmt: skip
        used = [self._usage(event, route, runs, cost)]
        used += [usage_of(event, one, route.lane, STAGE) for one in made]
        if drawn is not None and drawn.usage is not None:
            used.append(drawn.usage)
        emits = tuple(_emits(case, executed, used, drawn.note if drawn else None))
        return Done(events=emits, why=_why(event.route, route, triage), pass_number=route.pass_number)

    def _advised(self, event: EvidenceRetrieved, answers: Answers, triage: Triage) -> Advised | Park | None:
        """Return what the opinion makes of it; `None` when none was planned."""
        if event.plan.tier != "large":
            return None
        return advised(event, _narrative(event, answers), triage, told_in(answers))

    def _run(self, event: EvidenceRetrieved, answers: Answers) -> tuple[tuple[Finding, ...], Triage]:
        """Run the planned tools. Raises `Refused` VM-1103 for a step that does not exist."""
        text = _narrative(event, answers)
        return run_steps(
            event.plan.steps, event.case, text, event.passages, event.route.received_at, said(answers)
        )

    def _usage(self, event: EvidenceRetrieved, route: Route, runs: int, cost_micro: int) -> UsageRecorded:
        return UsageRecorded(
            case_id=event.case.case_id,
            message_id=event.case.message_id,
            workflow=route.workflow,
            lane=route.lane,
            stage=STAGE,
            kind="tool_run",
            name="safety-tools",
            tier="tools",
            quantity=runs,
            unit="runs",
            price_micro=self.price_micro,
            cost_micro=cost_micro,
            currency=self.currency,
            pass_number=route.pass_number,
        )


def _emits(
    case: Input, executed: ToolsExecuted, used: list[UsageRecorded], note: CaseSampled | None
) -> Iterator[Emit]:
    route = executed.route
    named: list[tuple[str, object]] = [(lane_topic("supervise", route.lane), executed)]
    named += [(topic("usage"), one) for one in used]
    if note is not None:
        named.append((topic("cascade.sample"), note))
    for name, event in named:
        yield Emit(
            topic=name, key=case.key, event=event, messageid=executed.case.message_id, workflow=route.workflow,
            lane=route.lane,
        )  # fmt: skip


def _narrative_need(event: EvidenceRetrieved) -> Need | None:
    reference = event.case.narrative_ref
    return Need(kind="object", key=reference) if reference else None


def _narrative(event: EvidenceRetrieved, answers: Answers) -> str:
    """Return the narrative of a case, fetched where the case refers to it."""
    need = _narrative_need(event)
    return event.case.narrative if need is None else _text(answers[need.name])


def _text(answer: object) -> str:
    """Return the narrative; bytes that are not UTF-8 are read with replacement, so that a bad byte hides no word."""
    return answer.decode("utf-8", errors="replace") if isinstance(answer, bytes) else str(answer)


def _raised(route: Route, triage: Triage) -> Route:
    """Return the route, hot when the case turned out to be serious; a lane is never lowered here."""
    stated = triage.serious == "yes" and triage.grade >= SERIOUS_GRADE
    return replace(route, lane="hot") if stated and route.lane != "hot" else route


def _why(before: Route, after: Route, triage: Triage) -> str:
    valid = (
        "valid"
        if triage.valid
        else "not valid, missing " + (", ".join(triage.missing) or "nothing: a document")
    )
    parts = [f"{valid}; serious {triage.serious}, grade {triage.grade}: {'; '.join(triage.grade_reasons)}"]
    if triage.flags:
        parts.append("flags " + ", ".join(triage.flags))
    if before.lane != after.lane:
        parts.append(f"raised from {before.lane} to {after.lane}: what was found makes it serious")
    return ". ".join(parts)
