"""The verb of the tool-executor: run the planned tools over a case and state the triage result."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vigimesh.domain.safety.tools import run_steps
from vigimesh.errors import Refused
from vigimesh.events.classes import EvidenceRetrieved, Route, ToolsExecuted, Triage, UsageRecorded
from vigimesh.events.topics import lane_topic, topic
from vigimesh.loop.outcome import Answers, Done, Emit, Input, Need, Outcome, Reject

STAGE = "tool-executor"
#: The lowest grade that is serious (DOMAIN: grade 3 is hospitalisation, other important, or unknown).
SERIOUS_GRADE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """Runs the deterministic tools of a plan. `price_micro` is the price of one run, in micro-units of `currency`."""

    price_micro: int = 0
    currency: str = "EUR"

    def needs(self, case: Input, answers: Answers) -> tuple[Need, ...]:
        """Return the narrative when the case refers to it by digest; its answer is the text, or its bytes in UTF-8."""
        need = _narrative_need(case.event)
        return () if need is None or need.name in answers else (need,)

    def decide(self, case: Input, answers: Answers) -> Outcome:
        """Return the triage result for the supervisor, in a lane never colder than before, and what it cost."""
        event: EvidenceRetrieved = case.event
        need = _narrative_need(event)
        text = event.case.narrative if need is None else _text(answers[need.name])
        steps = event.plan.steps
        try:
            findings, triage = run_steps(steps, event.case, text, event.passages, event.route.received_at)
        except Refused as failure:
            return Reject(code=failure.code, why=str(failure))
        route = _raised(event.route, triage)
        cost = self.price_micro * len(findings)
        executed = ToolsExecuted(
            case=event.case,
            route=route,
            plan=event.plan,
            passages=event.passages,
            findings=findings,
            triage=triage,
            cost_micro=event.route.cost_micro + cost,
        )
        emits = tuple(
            Emit(
                topic=name,
                key=case.key,
                event=one,
                messageid=event.case.message_id,
                workflow=route.workflow,
                lane=route.lane,
            )
            for name, one in (
                (lane_topic("supervise", route.lane), executed),
                (topic("usage"), self._usage(event, route, len(findings), cost)),
            )
        )
        return Done(events=emits, why=_why(event.route, route, triage), pass_number=route.pass_number)

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


def _narrative_need(event: EvidenceRetrieved) -> Need | None:
    reference = event.case.narrative_ref
    return Need(kind="object", key=reference) if reference else None


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
        parts.append(f"raised from {before.lane} to {after.lane}: the tools found what makes it serious")
    return ". ".join(parts)
