"""The verb of the tool-executor: run the planned tools over a case, ask for an opinion where one is planned, and triage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from vigimesh.domain.cascade import reading
from vigimesh.domain.cascade.draft import FLAG
from vigimesh.domain.safety.grade import SERIOUS_GRADE
from vigimesh.domain.safety.tools import run_steps
from vigimesh.errors import Refused
from vigimesh.events.classes import EvidenceRetrieved, Finding, Route, ToolsExecuted, Triage, UsageRecorded
from vigimesh.events.sampling import CaseSampled
from vigimesh.events.topics import lane_topic, topic
from vigimesh.loop.outcome import Answers, Done, Emit, Input, Need, Outcome, Park, Reject
from vigimesh.tool_executor.added import AddedTools, said
from vigimesh.tool_executor.drafting import STEP as DRAFT
from vigimesh.tool_executor.drafting import Drafted, Drafts, Pass, drafted
from vigimesh.tool_executor.opinions import (
    Advised,
    Made,
    Opinions,
    advised,
    to_be_asked_again,
    told_in,
    usage_of,
)
from vigimesh.tool_executor.running import Ran, Runs
from vigimesh.tool_executor.scoring import Scoring

STAGE = "tool-executor"
#: Steps of a card that are no tools: small models read for them, or a reply is drafted.
_NO_TOOLS = frozenset((*reading.STEPS, DRAFT))


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """Runs the deterministic tools of a plan. `price_micro` is the price of one run, in micro-units of `currency`.

    `opinions` asks the large model where a pass was planned for it, `scoring` the small one; without it that tier is absent. `tools` are those
    that others add, `drafts` asks for replies (without a model: the template).
    """

    price_micro: int = 0
    currency: str = "EUR"
    opinions: Opinions | None = None
    scoring: Scoring | None = None
    tools: AddedTools = field(default_factory=AddedTools)
    drafts: Drafts = field(default_factory=Drafts)
    _runs: Runs = field(default_factory=Runs, init=False, repr=False, compare=False)

    def needs(self, case: Input, answers: Answers) -> tuple[Need, ...]:
        """Return the narrative when the case refers to it by digest; then what added tools say, small models read and score, the large one answers.

        The first is answered with the text, or its bytes in UTF-8; the others with what `foreign.told` reads by tool, and what
        `small.tell` and `purchase.plain` write.
        """
        narrative = _narrative_need(case.event)
        if narrative is not None and narrative.name not in answers:
            return (narrative,)
        text = _narrative(case.event, answers)
        try:
            if cheap := self._cheap(case.event, text, answers):
                return cheap
            if case.event.plan.tier != "large":
                return ()
            bought = self._opinion_need(case.event, text, answers) or self._draft_need(
                case.event, text, answers
            )
        except Refused:
            return ()  # `decide` says it
        return () if bought is None else (bought,)

    def _opinion_need(self, event: EvidenceRetrieved, text: str, answers: Answers) -> Need | None:
        told = told_in(answers)
        if self.opinions is None or (told and not to_be_asked_again(event, text, told)):
            return None
        return self.opinions.need(event, text, *self._run(event, answers), again=bool(told))

    def _draft_need(self, event: EvidenceRetrieved, text: str, answers: Answers) -> Need | None:
        if DRAFT not in event.plan.steps or self.drafts.model is None:
            return None
        findings, triage = self._run(event, answers)
        return self.drafts.need(
            Pass(event=event, text=text, findings=findings, triage=triage, answers=answers)
        )

    def _cheap(self, event: EvidenceRetrieved, text: str, answers: Answers) -> tuple[Need, ...]:
        """Return what is asked next of added tools and small models. Raises `Refused` for a step that does not exist."""
        added = self.tools.need(event, text, answers)
        if added is not None:
            return (added,)
        if unread := _reads(event, text, answers):
            return unread
        if self.scoring is None:
            return ()
        score = self.scoring.need(event, text, answers, lambda: self._run(event, answers))
        return () if score is None else (score,)

    def decide(self, case: Input, answers: Answers) -> Outcome:
        """Return the triage result for the supervisor, in a lane never colder than before, and what it cost.

        A case that is not serious waits, parked, where only money is missing for its opinion and its clock leaves room.
        """
        event: EvidenceRetrieved = case.event
        try:
            findings, tools_said = self._run(event, answers, last=True)
            runs, triage = len(findings), tools_said
            heard = self.scoring.heard(event, triage, answers) if self.scoring is not None else None
            if heard is not None:
                findings, triage = (*findings, heard[0]), heard[1]
            found = self._advised(event, answers, triage)
            reply = self._drafted(event, answers, findings, triage)
        except Refused as failure:
            return Reject(code=failure.code, why=str(failure))
        if isinstance(found, Park):
            return found
        if isinstance(reply, Park):
            return reply
        made: tuple[Made, ...] = self.scoring.bought(event, answers) if self.scoring is not None else ()
        cost = self.price_micro * runs
        if found is not None:
            findings, triage, made = (*findings, *found.findings), found.triage, found.made
        if reply is not None:
            findings, triage, made = (
                (*findings, reply.finding),
                reading.flagged(triage, FLAG),
                (*made, *reply.made),
            )
        drawn = None
        if self.scoring is not None:
            drawn = self.scoring.drawn(event, _narrative(event, answers), answers, (tools_said, triage))
            triage = drawn.triage
        route = _raised(event.route, triage)
        executed = ToolsExecuted(
            case=event.case, route=route, plan=event.plan, passages=event.passages, findings=findings, triage=triage,
            cost_micro=event.route.cost_micro + cost + sum(one.paid.cost_micro for one in made),
            draft=None if reply is None else reply.draft,
        )  # fmt: skip
        used = [self._usage(event, route, runs, cost)]
        used += [usage_of(event, one, route.lane, STAGE) for one in made]
        if drawn is not None and drawn.usage is not None:
            used.append(drawn.usage)
        emits = tuple(_emits(case, executed, used, drawn.note if drawn else None))
        return Done(events=emits, why=_why(event.route, route, triage), pass_number=route.pass_number)

    def _advised(self, event: EvidenceRetrieved, answers: Answers, triage: Triage) -> Advised | Park | None:
        """Return what the opinion makes of it; `None` when none was planned, and of a document to be replied to, of which none is asked."""
        if event.plan.tier != "large" or (event.case.kind == "document" and DRAFT in event.plan.steps):
            return None
        return advised(event, _narrative(event, answers), triage, told_in(answers))

    def _drafted(
        self, event: EvidenceRetrieved, answers: Answers, findings: tuple[Finding, ...], triage: Triage
    ) -> Drafted | Park | None:  # fmt: skip
        """Return the drafted reply; `None` when none was planned."""
        return drafted(
            Pass(
                event=event,
                text=_narrative(event, answers),
                findings=findings,
                triage=triage,
                answers=answers,
            )
        )

    def _run(self, event: EvidenceRetrieved, answers: Answers, *, last: bool = False) -> Ran:
        """Run the planned tools and tell what was read, once for an event. Raises `Refused` VM-1103 for a step that does not exist."""

        def run() -> Ran:
            text, steps = _narrative(event, answers), tools_of(event.plan.steps)
            found = run_steps(steps, event.case, text, event.passages, event.route.received_at, said(answers))
            return reading.read_into(*found, answers)

        return self._runs.of(event, answers, run, last=last)

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


def tools_of(steps: Sequence[str]) -> tuple[str, ...]:
    """Return the steps that tools run, in their order, without those that a model reads or writes for."""
    return tuple(step for step in steps if step not in _NO_TOOLS)


def _reads(event: EvidenceRetrieved, text: str, answers: Answers) -> tuple[Need, ...]:
    """Return what small models are to read in a pass and have not."""
    wanted = [step for step in reading.STEPS if step in event.plan.steps and reading.needed(event.case, step)]
    whole = event.case if event.case.narrative == text else replace(event.case, narrative=text)
    needs = [
        Need(kind=reading.KIND, key=step, asked=whole if step == reading.GRAVE_STEP else text)
        for step in wanted
    ]
    return tuple(need for need in needs if need.name not in answers)


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
    missing = "not valid, missing " + ", ".join(triage.missing) if triage.missing else "no report of a case"
    valid = "valid" if triage.valid else missing
    parts = [f"{valid}; serious {triage.serious}, grade {triage.grade}: {'; '.join(triage.grade_reasons)}"]
    if triage.flags:
        parts.append("flags " + ", ".join(triage.flags))
    if before.lane != after.lane:
        parts.append(f"raised from {before.lane} to {after.lane}: what was found makes it serious")
    return ". ".join(parts)
