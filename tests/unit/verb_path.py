"""One case through the five verbs, pass by pass, with a model that answers what a test says: what the mesh makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from vigimesh.adapters.memory.search import MemorySearch
from vigimesh.domain.cascade.opinion import Model
from vigimesh.domain.cascade.question import Answer, Tokens
from vigimesh.domain.cascade.readers import read
from vigimesh.domain.knowledge.shipped import shipped_documents
from vigimesh.domain.policy.limits import Limits
from vigimesh.domain.policy.shipped import shipped_cards
from vigimesh.events.case import Case
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
from vigimesh.tool_executor.drafting import Drafts
from vigimesh.tool_executor.execute import Executor
from vigimesh.tool_executor.opinions import Opinions
from vigimesh.tool_executor.purchase import Paid, Purchase, plain

AT = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
CARDS = shipped_cards(True)
#: What one answered call costs, micro-units.
CALL_MICRO = 870
#: A case comes back at most this often (the shipped cards allow three passes).
_MOST_PASSES = 4

_MODEL = Model(name="standin-1", deadline_s=30)
_SEARCH = MemorySearch()
_SEARCH.load(shipped_documents())
_VERBS: dict[type, Verb] = {
    CaseReceived: Router(CARDS),
    CaseRouted: Planner(CARDS),
    CasePlanned: Retriever(),
    EvidenceRetrieved: Executor(
        price_micro=3, opinions=Opinions(model=_MODEL, cards=CARDS), drafts=Drafts(model=_MODEL, cards=CARDS)
    ),
    ToolsExecuted: Supervisor(CARDS),
}
_NEXT = (CaseRouted, CasePlanned, EvidenceRetrieved, ToolsExecuted, CaseDecided, ReviewRequested)


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """What a case met on its way: what was planned and asked in each pass, and how it ended."""

    planned: tuple[CasePlanned, ...]
    executed: tuple[ToolsExecuted, ...]
    purchases: tuple[Purchase, ...]
    end: CaseDecided | ReviewRequested


def path(case: Case, said: str) -> Path:
    """Take a case from the door to its conclusion; `said` is what the model answers whenever it is asked."""
    planned, executed, purchases = list[CasePlanned](), list[ToolsExecuted](), list[Purchase]()
    event: Any = CaseReceived(case=case, door="normal")
    for _ in range(len(_VERBS) * _MOST_PASSES):
        verb = _VERBS[type(event)]
        given = Input(topic="x", event=event, event_id="e" * 32, key=case.case_id, at=AT)
        answers: dict[str, Any] = {}
        for _ in range(MAX_ROUNDS):
            needs = verb.needs(given, answers)
            purchases += [need.asked for need in needs if isinstance(need.asked, Purchase)]
            answers.update({need.name: _answer(need, said) for need in needs})
            if not needs:
                break
        outcome = verb.decide(given, answers)
        assert isinstance(outcome, Done), outcome
        (event,) = (emit.event for emit in outcome.events if isinstance(emit.event, _NEXT))
        if isinstance(event, CasePlanned):
            planned.append(event)
        elif isinstance(event, ToolsExecuted):
            executed.append(event)
        elif isinstance(event, CaseDecided | ReviewRequested):
            return Path(
                planned=tuple(planned), executed=tuple(executed), purchases=tuple(purchases), end=event
            )
    raise AssertionError(f"no end after {_MOST_PASSES} passes")


def _answer(need: Need, said: str) -> Any:
    match need.kind:
        case "search":
            return msgspec.to_builtins(list(_SEARCH.find((need.key,), need.limit)[0].passages))
        case "head":
            return None
        case "read":
            return read([(need.key, need.asked)])[0]
        case "limits":
            return Limits(tiers=("tools", "large", "person")).plain()
        case _:
            answer = Answer(
                text=said,
                tokens=Tokens(prompt=300, cached=0, completion=12),
                finish="stop",
                model="standin-1",
            )
            paid = Paid(call_id=need.key, at=AT, answer=answer, cost_micro=CALL_MICRO, currency="EUR")
            assert isinstance(need.asked, Purchase)
            return plain(paid, need.asked)
