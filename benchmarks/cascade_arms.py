"""The two arms: the same case through the mesh's own verbs, called as the loop calls them, under two sets of cards.

*all-large*: every case is put to the large model in its first pass. *ours*: tools, then the small model, then the large one, then a person. Tools, floor,
policy, prompt, `max_tokens` and signature are the same. Neither arm keeps answers from one case to the next: repeats are no cases here.

The large model is the stand-in in this process: what is asked and billed is its own counting (bytes / 4, rounded up, and a few for each message). It answers
as the form was ticked with a probability that is its accuracy, else the opposite, drawn by seed and case: both arms hear the same of a case.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from multiprocessing import get_context
from random import Random
from typing import Any

import msgspec

from cascade_cases import Report, arrived
from cascade_figures import Ended
from vigimesh.adapters.memory.search import MemorySearch
from vigimesh.adapters.models.replies import meaning_of
from vigimesh.app.standin.chat import ACCURACY, LABEL, MODEL, StandIn
from vigimesh.domain.cascade import opinion, small
from vigimesh.domain.cascade.model import Model
from vigimesh.domain.cascade.question import Answer, Question
from vigimesh.domain.cascade.readers import read
from vigimesh.domain.knowledge.shipped import shipped_documents
from vigimesh.domain.policy.cards import Cards, Cascade
from vigimesh.domain.policy.limits import Limits
from vigimesh.domain.policy.shipped import with_overlay
from vigimesh.domain.safety.grade import SERIOUS_GRADE
from vigimesh.events.classes import (
    CaseDecided,
    CasePlanned,
    CaseReceived,
    CaseRouted,
    EvidenceRetrieved,
    ReviewRequested,
    ToolsExecuted,
)
from vigimesh.loop.outcome import Done, Input, Need
from vigimesh.loop.stage import MAX_ROUNDS, Verb
from vigimesh.planner.plan import Planner
from vigimesh.retriever.retrieve import Retriever
from vigimesh.router.route import Router
from vigimesh.supervisor.supervise import Supervisor
from vigimesh.tool_executor.execute import Executor
from vigimesh.tool_executor.opinions import Opinions
from vigimesh.tool_executor.purchase import Paid, Purchase, plain
from vigimesh.tool_executor.scoring import Scoring

#: Seconds of one call, as the settings have it; nothing is waited for here.
CALL_S = 30.0
#: Of a thousand cases of the small tier, those that a person looks at as well: they count as persons.
AUDIT_PERMILLE = 5
#: When a call was paid for, which nothing here depends on.
_PAID_AT = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
#: Steps of one case at most: five stages, and as many passes as a card may allow.
_STEPS = 5 * 8
_EVENTS = (CaseRouted, CasePlanned, EvidenceRetrieved, ToolsExecuted, CaseDecided, ReviewRequested)
#: What a signature for a benchmark on public data says; children are the ordinary patients of vaccine programmes.
_SIGNED = """
[auto_accept]
signed_by = "owner of the {name} workflow (benchmark)"
signed_at = 2026-01-05T09:00:00Z
use = "benchmarks on public data"
allows = {allows}
"""
#: Fields of the card of a vaccine programme, as the demo's has them.
_VACCINE = """name = "vaccine_triage"
owner = "vaccine-safety"
description = "First triage of reports in which every suspect product is a vaccine."
priority = 5
match = "kind == 'icsr' && suspects > 0 && suspect_kinds.all(k, k == 'vaccine')"
"""
#: Of all-large nothing is drawn: it has no small tier to audit. Nested tables of a card are laid over as a whole.
_AUDIT = """
[cascade.audit]
permille = {permille}
seed = "benchmark"
minutes = 3
minute_micro = 1_000_000
month_micro = 2_000_000_000
"""
_ALL_LARGE = """tiers = ["large"]

[escalation]
when = "false"
steps = []
max_passes = 1
"""
_OURS = """tiers = ["tools", "small", "large"]

[escalation]
when = "serious == 'unknown'"
steps = []
max_passes = 3

[cascade]
recall = "{recall}"
confidence = "0.95"
serious_at = "{serious_at}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """An operating point: the recall that the small model's certificate must promise, and the probability that is serious enough without a large model."""

    recall: str
    serious_at: str

    @property
    def rule(self) -> Cascade:
        """The card's table for it."""
        return Cascade(
            recall=Fraction(self.recall), confidence=Fraction(95, 100), serious_at=Fraction(self.serious_at)
        )


def card_files(point: Point | None) -> dict[str, bytes]:
    """Return the cards of an arm by file name: ours at a point, else those of all-large."""
    if point is None:
        body = _ALL_LARGE + _AUDIT.format(permille=0)
    else:
        body = _OURS.format(recall=point.recall, serious_at=point.serious_at) + _AUDIT.format(
            permille=AUDIT_PERMILLE
        )
    own = {"triage": ("", "[]"), "vaccine_triage": (_VACCINE, '["paediatric"]')}
    return {
        f"{name}.toml": f'extends = "triage"\n{top}{body}{_SIGNED.format(name=name, allows=allows)}'.encode()
        for name, (top, allows) in own.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Oracle:
    """What the stand-in knows of the cases: it is right with probability `accuracy`, drawn by seed and case."""

    accuracy: float
    seed: int

    def says(self, report: Report) -> bool:
        """Return whether it says that a case is serious."""
        right = Random(f"{self.seed}|cascade|{report.case.case_id}").random() < self.accuracy
        return report.label if right else not report.label


def _search() -> MemorySearch:
    search = MemorySearch()
    search.load(shipped_documents())
    return search


@dataclass(slots=True, kw_only=True)
class Arm:
    """The verbs of one arm. Whatever the large model would be asked is answered at once."""

    cards: Cards
    tiers: tuple[str, ...]
    scorer: Model
    standings: small.Standings = small.unlabelled
    search: MemorySearch = field(default_factory=_search)
    _verbs: dict[type, Verb] = field(init=False)

    def __post_init__(self) -> None:
        model = opinion.Model(name=MODEL, deadline_s=CALL_S)
        self._verbs = {
            CaseReceived: Router(self.cards),
            CaseRouted: Planner(self.cards),
            CasePlanned: Retriever(),
            EvidenceRetrieved: Executor(
                opinions=Opinions(model=model, cards=self.cards), scoring=Scoring(cards=self.cards)
            ),
            ToolsExecuted: Supervisor(self.cards),
        }

    def end(self, report: Report, serious: bool) -> Ended:
        """Take a case from the door to its end; `serious` is what the large model says of it, whenever it is asked."""
        spent, passes = list[Answer](), list[int]()
        found_by, stated, before = "", None, 0
        for event in self.course(report, serious, spent):
            if isinstance(event, ToolsExecuted):
                passes.append(len(spent) - before)
                before = len(spent)
                found_by = found_by or _found_by(event)
                if stated is None and event.triage.serious != "unknown":
                    stated = len(passes)
        return Ended(
            found_by=found_by, by=event.tier if isinstance(event, CaseDecided) else "person",
            tokens=sum(one.tokens.prompt + one.tokens.completion for one in spent),
            passes=tuple(passes), stated=stated, lane=event.lane,
        )  # fmt: skip

    def course(self, report: Report, serious: bool, spent: list[Answer]) -> Iterator[Any]:
        """Yield the events of a case up to the one that ends it; what the large model answers is added to `spent`."""
        event: Any = CaseReceived(case=report.case, door="normal")
        for _ in range(_STEPS):
            event = self._next(event, arrived(report), serious, spent)
            yield event
            if isinstance(event, CaseDecided | ReviewRequested):
                return
        raise AssertionError(f"{report.case.case_id} has no end after {_STEPS} steps")

    def _next(self, event: Any, at: datetime, serious: bool, spent: list[Answer]) -> Any:
        """Return what the verb of an event makes of it: the next event of the case."""
        verb = self._verbs[type(event)]
        given = Input(topic="bench", event=event, event_id="0" * 32, key=_case_id(event), at=at)
        answers: dict[str, Any] = {}
        for _ in range(MAX_ROUNDS):
            needs = verb.needs(given, answers)
            if not needs:
                break
            answers.update({need.name: self._answer(need, serious, spent) for need in needs})
        outcome = verb.decide(given, answers)
        assert isinstance(outcome, Done), outcome
        (found,) = (emit.event for emit in outcome.events if isinstance(emit.event, _EVENTS))
        return found

    def _answer(self, need: Need, serious: bool, spent: list[Answer]) -> Any:
        match need.kind:
            case "search":
                return msgspec.to_builtins(list(self.search.find((need.key,), need.limit)[0].passages))
            case "head":
                return None
            case "limits":
                return Limits(tiers=self.tiers).plain()
            case "read":
                return read([(need.key, need.asked)])[0]
            case "score":
                return small.tell(self.scorer, [need.asked], self.standings)[0]
            case "model":
                assert isinstance(need.asked, Purchase)
                answer = answered(need.asked.question, serious)
                spent.append(answer)
                paid = Paid(call_id=need.key, at=_PAID_AT, answer=answer, cost_micro=0, currency="EUR")
                return plain(paid, need.asked)
            case _:
                raise AssertionError(f"nothing answers a need of kind {need.kind}")


def all_large(model: Model) -> Arm:
    """Return the arm that puts every case to the large model."""
    return Arm(cards=cards_of(None), tiers=("tools", "large", "person"), scorer=model)


def ours(model: Model, point: Point, standings: small.Standings = small.unlabelled) -> Arm:
    """Return our arm at a point."""
    tiers = ("tools", "small", "large", "person")
    return Arm(cards=cards_of(point), tiers=tiers, scorer=model, standings=standings)


#: The arms of a process that works ends out, and reports that it takes at once.
_ARMS: dict[str, Arm] = {}
_CHUNK = 25


def _take(arms: Mapping[str, Arm]) -> None:
    _ARMS.update(arms)


def _end(job: tuple[Report, bool, str]) -> Ended:
    report, serious, arm = job
    return _ARMS[arm].end(report, serious)


@dataclass(slots=True, kw_only=True)
class Ends:
    """Ends of cases in an arm, worked out when first asked for.

    A case ends alike at every point at which the small model says the same of it: `verdicts` tell which they are (of all-large there is one).
    """

    arms: Mapping[str, Arm]
    _known: dict[tuple[str, str, bool], Ended] = field(default_factory=dict)

    def work_out(self, jobs: Sequence[tuple[Report, str, bool, str]], processes: int) -> None:
        """Work out the ends of (report, verdict, what the model says, arm) that are not known yet, in processes side by side."""
        wanted = {(one.case.case_id, verdict, said): (one, said, arm) for one, verdict, said, arm in jobs}
        left = {key: job for key, job in wanted.items() if key not in self._known}
        with get_context("fork").Pool(processes, _take, (self.arms,)) as pool:
            for key, ended in zip(left, pool.imap(_end, left.values(), _CHUNK), strict=True):
                self._keep(key, ended)

    def _keep(self, key: tuple[str, str, bool], ended: Ended) -> None:
        self._known[key] = ended
        if not ended.calls:  # nobody heard what the model would have said
            self._known[(key[0], key[1], not key[2])] = ended

    def of(self, reports: Sequence[Report], verdicts: Sequence[str], oracle: Oracle, arm: str) -> list[Ended]:
        """Return the ends of reports with these verdicts, by the arm of this name where one is not known yet."""
        return [
            self._of(report, verdict, oracle.says(report), arm)
            for report, verdict in zip(reports, verdicts, strict=True)
        ]

    def _of(self, report: Report, verdict: str, serious: bool, arm: str) -> Ended:
        key = (report.case.case_id, verdict, serious)
        if key not in self._known:
            self._keep(key, self.arms[arm].end(report, serious))
        return self._known[key]


def verdicts(
    model: Model, reports: Sequence[Report], point: Point, standings: small.Standings = small.unlabelled
) -> list[str]:
    """Return what the small model says of each report at a point, whether or not it is asked."""
    asked = [small.Asked(case=one.case, text=one.case.narrative, rule=point.rule) for one in reports]
    return [small.said(told, point.rule).verdict for told in small.tell(model, asked, standings)]


def answered(question: Question, serious: bool) -> Answer:
    """Return the stand-in's answer to a question, with its own counting of the tokens."""
    schema = question.schema
    body: dict[str, Any] = {
        "model": question.model, "max_tokens": question.max_tokens,
        "messages": [{"role": one.role, "content": one.text} for one in question.messages],
    }  # fmt: skip
    if schema is not None:
        named = {"name": schema.name, "strict": True, "schema": json.loads(schema.body)}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    said = ("yes", SERIOUS_GRADE) if serious else ("no", 2)
    label = {"serious": said[0], "grade": said[1], "evidence": []}
    headers = {LABEL: json.dumps(label), ACCURACY: "1"}
    reply = StandIn().plan(json.dumps(body).encode(), headers)
    answer = meaning_of(reply.status, dict(reply.headers), reply.body, _PAID_AT)
    assert isinstance(answer, Answer), answer
    return answer


def cards_of(point: Point | None) -> Cards:
    """Return the cards of an arm as they are in force."""
    return with_overlay(card_files(point), "cards of a benchmark")


def _case_id(event: Any) -> str:
    return str(event.case.case_id)


def _found_by(event: ToolsExecuted) -> str:
    """Return the tier that stated the case serious in a pass; empty when none did.

    The tools run in every pass and before any model, so that what they state is theirs.
    """
    if event.triage.serious != "yes" or event.triage.grade < SERIOUS_GRADE:
        return ""
    stated = {("seriousness_flags", "serious"), ("seriousness_text", "stated")}
    by_tools = any((one.step, one.result) in stated for one in event.findings)
    return "tools" if by_tools else event.plan.tier
