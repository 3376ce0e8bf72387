"""Cases whose opinion is paid for, the card that says what may be spent on them, and the endpoint that is asked."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from random import Random

from simulation.chain import FLOW, Load, codec
from vigimesh.adapters.memory.models import Reply
from vigimesh.app.demo.builder import HEALTH, Calendar, adult, case, product, reaction
from vigimesh.app.standin.chat import MODEL
from vigimesh.domain.budget.prices import shipped_prices, worst
from vigimesh.domain.cascade.opinion import Model
from vigimesh.domain.cascade.question import Question, prompt_bytes, prompt_digest
from vigimesh.domain.cascade.tokens import prompt_bound
from vigimesh.domain.policy.cards import Budget, Card, Cards
from vigimesh.domain.policy.shipped import shipped_cards
from vigimesh.domain.safety.tools import run_steps
from vigimesh.events.classes import EvidenceRetrieved, FlowCounted, Plan, Route
from vigimesh.events.envelope import Envelope, to_headers
from vigimesh.events.topics import lane_topic
from vigimesh.loop.broker import Write
from vigimesh.tool_executor.execute import tools_of
from vigimesh.tool_executor.opinions import Opinions
from vigimesh.tool_executor.purchase import Purchase

#: The one workflow that pays, and the lanes that its cases come in.
PAYS = "triage"
LANES = ("hot", "cold")
#: Seconds that a call may take: all leases end so much sooner.
CALL_S = 4.0
#: One of so many messages is sent again, so many seconds later: then its call is forgotten by a budget that was rebuilt.
AGAIN, AGAIN_S = 8, 95.0
_FOUND = shipped_cards(False).named(PAYS)
assert _FOUND is not None
SHIPPED: Card = _FOUND


@dataclass(frozen=True, kw_only=True)
class Report(Load):
    """A message to be paid for: serious, not serious, or `open` where nothing says which. No two versions ask the same."""

    kind: str
    lane: str
    age: int
    sex: str
    received_at: datetime
    #: The version of the case: that of an earlier message where the same is sent again, which asks the same question.
    version: int


def reports(rng: Random, count: int, seconds: float, begins: datetime) -> list[Report]:
    """Make messages of a few cases: what is serious is hot, what is known not to be is cold."""
    keys = [f"default/case-{n}" for n in range(rng.choice((4, 15, 40)))]
    numbers: Counter[str] = Counter()
    found = []
    for index, at_s in enumerate(sorted(rng.random() * seconds for _ in range(count))):
        key, kind = rng.choice(keys), rng.choice(("serious", "open", "minor", "minor"))
        numbers[key] += 1
        lane = {"serious": "hot", "minor": "cold"}.get(kind) or rng.choice(LANES)
        found.append(Report(
            at_s=at_s, key=key, number=numbers[key], todo=(), kind=kind, lane=lane, age=20 + index % 60,
            sex=("female", "male")[index // 60], received_at=begins, version=numbers[key],
        ))  # fmt: skip
    for first in found[: count // AGAIN]:
        numbers[first.key] += 1
        found.append(replace(first, at_s=first.at_s + AGAIN_S, number=numbers[first.key]))
    return found


def event_of(report: Report) -> EvidenceRetrieved:
    """Return the event that the tool-executor reads."""
    calendar = Calendar(today=report.received_at.date())
    criteria = ("hospitalisation",) if report.kind == "serious" else ()
    version = case(
        message_id=report.message_id, case_id=report.key, sender="CALLCENTRE", receiver="VIGIMESH",
        report_id=report.key, worldwide_id=report.key, country="DE", report_type="spontaneous",
        created_on=calendar.moment(1), first_received_on=calendar.day(3), most_recent_on=calendar.day(2),
        reporters=(HEALTH,), patient=adult(report.age, report.sex), products=(product("Torvexil"),),
        reactions=(reaction("Headache", *criteria, highlighted="2" if report.kind == "minor" else ""),),
        criteria=criteria, narrative="A mild headache for a day, gone by the next.",
    )  # fmt: skip
    route = Route(
        workflow=PAYS, lane=report.lane, rule="", reason="", card_digest="", version=(str(report.version),),
        received_at=report.received_at, pass_number=2,
    )  # fmt: skip
    return EvidenceRetrieved(case=version, route=route, plan=Plan(tier="large", steps=SHIPPED.steps))


def writes_of(report: Report) -> tuple[Write, Write]:
    """Return the record of a message, and what `flow` says of whoever handed it on."""
    name = lane_topic("execute", report.lane)
    envelope = Envelope(
        id=report.message_id, source="/simulation", type="vigimesh.EvidenceRetrieved", time=report.received_at,
        subject=report.key, messageid=report.message_id, workflow=PAYS, lane=report.lane,
    )  # fmt: skip
    flow = FlowCounted(
        stage="retriever", workflow=PAYS, lane=report.lane, consumed=0, produced=1, sent={name: 1}
    )
    return (
        Write(
            topic=name, key=report.key.encode(), value=codec.encode(name, event_of(report)),
            headers=to_headers(envelope),
        ),
        Write(topic=FLOW, key=PAYS.encode(), value=codec.encode(FLOW, flow)),
    )  # fmt: skip


def opinions(card: Card) -> Opinions:
    """Return who is asked, and what the one card lets be spent."""
    return Opinions(
        model=Model(name=MODEL, deadline_s=CALL_S), cards=Cards(cards=(card,), origin="simulation")
    )


def purchase_of(report: Report, card: Card) -> Purchase:
    """Return what is bought for a message."""
    event = event_of(report)
    text = event.case.narrative
    found = run_steps(tools_of(event.plan.steps), event.case, text, (), event.route.received_at)
    need = opinions(card).need(event, text, *found)
    assert need is not None
    assert isinstance(need.asked, Purchase)
    return need.asked


def worst_of(question: Question) -> int:
    """Return what must be reserved for a question, micro-units."""
    (price,) = (one for one in shipped_prices().prices if one.model == question.model)
    return worst(price, prompt_bound(question), question.max_tokens)


def card_of(rng: Random, sent: Sequence[Report]) -> Card:
    """Return a card whose money ends early in most runs: by the day, the month, the case or the minute."""
    most = max(worst_of(purchase_of(report, SHIPPED).question) for report in sent[:4])
    day = most * rng.choice((3, 8, 20, 500))
    budget = Budget(
        currency="EUR", month_micro=day * rng.choice((1, 2, 4)), day_micro=day,
        case_micro=most * rng.choice((3, 500, 500)),
    )  # fmt: skip
    return replace(SHIPPED, budget=budget, calls_per_minute=rng.choice((15, 40, 10_000)))


#: What the endpoint does with a call, and how often: the first answers, the next four owe nothing, the rest may be billed.
MANNERS = {
    "ok": 80, "429": 4, "503": 2, "no connection": 2, "400": 1, "500": 3, "hang": 3, "cut": 3, "no usage": 1,
}  # fmt: skip
#: What cases are told that is no answer: the other reasons need a price book or an object store that fails.
REASONS = ("denied", "shut", "away", "not_made", "in_doubt", "under_way")
FREE = frozenset({"429", "503", "no connection", "400"})


@dataclass
class Endpoint:
    """The model's endpoint, outside all processes. `billed` counts, by question, what a real one could ask money for."""

    rng: Random
    billed: Counter[str] = field(default_factory=Counter)
    manners: Counter[str] = field(default_factory=Counter)
    #: While it is in trouble only what goes wrong comes back.
    troubled: bool = False

    def serve(self, question: Question) -> Reply | None:
        """Return what becomes of a call, as `MemoryModels` plays it."""
        weights = {**MANNERS, "ok": 5} if self.troubled else MANNERS
        (manner,) = self.rng.choices(list(weights), list(weights.values()))
        self.manners[manner] += 1
        if manner not in FREE:
            self.billed[prompt_digest(question)] += 1
        after_s = self.rng.choice((0.05, 0.3, 1.0, CALL_S - 0.5))
        match manner:
            case "no connection":
                return None
            case "429" | "503":
                headers = {"retry-after": str(self.rng.choice((1, 20)))}
                return Reply(status=int(manner), headers=headers, after_s=0.05)
            case "400" | "500":
                return Reply(status=int(manner), after_s=after_s)
            case "hang":
                return Reply(status=200, after_s=10 * CALL_S)
            case _:
                body = self._body(question, usage=manner != "no usage")
                return Reply(status=200, body=body, after_s=after_s, whole=manner != "cut")

    def _body(self, question: Question, *, usage: bool) -> bytes:
        serious, grade = self.rng.choice((("no", 1), ("no", 2), ("unknown", 3), ("yes", 4)))
        text = (
            json.dumps({"serious": serious, "grade": grade}) if self.rng.random() < 0.95 else "I cannot say."
        )
        used = {
            "prompt_tokens": prompt_bytes(question) // self.rng.choice((3, 5)),
            "completion_tokens": self.rng.randrange(5, question.max_tokens),
        }  # fmt: skip
        told = {"model": MODEL, "choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
        return json.dumps({**told, "usage": used} if usage else told).encode()
