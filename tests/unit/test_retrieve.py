"""The retriever's verb: what it asks, what it hands on, and what it says of that."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from vigimesh.adapters.memory.search import MemorySearch
from vigimesh.clock import SystemClock
from vigimesh.domain.knowledge.answering import State, handed
from vigimesh.domain.knowledge.freshness import Ages
from vigimesh.domain.knowledge.fusion import Found
from vigimesh.domain.knowledge.shipped import shipped_documents
from vigimesh.errors import Transient
from vigimesh.events.case import Case, Product
from vigimesh.events.classes import CasePlanned, EvidenceRetrieved, Plan, Route, UsageRecorded
from vigimesh.events.knowledge import Passage, RetrievalMeasured
from vigimesh.events.topics import LANES
from vigimesh.loop.outcome import Done, Input
from vigimesh.retriever.lookup import Lookup
from vigimesh.retriever.retrieve import MAX_PASSAGES, Retriever
from vigimesh.retriever.worker import search_fetcher, stage

AT = datetime(2026, 1, 2, tzinfo=UTC)
VERB = Retriever()


def planned(*questions: str, lane: str = "cold", pass_number: int = 1) -> Input:
    route = Route(
        workflow="triage", lane=lane, rule="r", reason="", card_digest="", version=("", ""), received_at=AT,
        pass_number=pass_number,
    )  # fmt: skip
    case = Case(message_id="m" * 32, case_id="default/c")
    event = CasePlanned(
        case=case, route=route, plan=Plan(tier="tools", steps=("clock",), questions=questions)
    )
    return Input(topic=f"vigimesh.retrieve.{lane}", event=event, event_id="e", key="default/c", at=AT)


def row(document: str, start: int = 0, text: str = "text", score: float = 1.0) -> dict[str, Any]:
    passage = Passage(document_id=document, version="1.0", section="s", start=start, end=start + len(text), text=text, score=score)  # fmt: skip
    return {**msgspec.to_builtins(passage), "question": "q"}


def decided(case: Input, rows: dict[str, list[dict[str, Any]]]) -> Done:
    outcome = VERB.decide(case, {f"search:{question}": found for question, found in rows.items()})
    assert isinstance(outcome, Done)
    return outcome


def evidence(done: Done) -> EvidenceRetrieved:
    event = done.events[0].event
    assert isinstance(event, EvidenceRetrieved)
    return event


def test_each_question_is_asked_once_and_no_more_than_eight() -> None:
    case = planned("a", "b", "a", *map(str, range(20)))
    needs = VERB.needs(case, {})
    assert [need.name for need in needs] == ["search:a", "search:b", *(f"search:{n}" for n in range(6))]
    assert {need.limit for need in needs} == {3}
    assert VERB.needs(case, {need.name: [] for need in needs}) == ()
    assert "15 questions" not in decided(planned("a"), {"a": []}).why
    assert "14 questions beyond 8" in decided(case, {need.key: [] for need in needs}).why


@pytest.mark.parametrize("lane", LANES)
def test_the_case_goes_on_with_what_was_found(lane: str) -> None:
    case = planned("a", "b", lane=lane, pass_number=2)
    done = decided(case, {"a": [row("x"), row("y")], "b": []})
    topics = [emit.topic for emit in done.events]
    assert topics == [f"vigimesh.execute.{lane}", "vigimesh.retrieval.telemetry", "vigimesh.retrieval.telemetry", "vigimesh.usage"]  # fmt: skip
    assert {(e.messageid, e.workflow, e.lane) for e in done.events} == {("m" * 32, "triage", lane)}
    assert done.pass_number == 2
    event = evidence(done)
    assert (event.case, event.route, event.plan) == (case.event.case, case.event.route, case.event.plan)
    assert [p.document_id for p in event.passages] == ["x", "y"]
    assert done.why == "1 of 2 questions found something: 2 passages from x@1.0, y@1.0"


def test_each_question_is_measured() -> None:
    done = decided(planned("a", "b"), {"a": [row("x", start=7)], "b": []})
    first, second = (emit.event for emit in done.events[1:3])
    assert isinstance(first, RetrievalMeasured)
    assert isinstance(second, RetrievalMeasured)
    assert (first.hits, first.wanted, first.grounded, first.passages) == (1, 3, True, ("x@1.0#7-11",))
    assert (second.hits, second.grounded, second.passages) == (0, False, ())
    assert done.events[1].key == first.question_key != second.question_key
    assert first.cache_level == "search"


def test_the_usage_counts_questions() -> None:
    usage = decided(planned("a", "b"), {"a": [], "b": []}).events[-1]
    assert isinstance(usage.event, UsageRecorded)
    assert (usage.key, usage.event.quantity, usage.event.unit, usage.event.kind) == ("default/c", 2, "questions", "retrieval")  # fmt: skip


def test_a_plan_without_questions_goes_straight_on() -> None:
    done = decided(planned(), {})
    assert [emit.topic for emit in done.events] == ["vigimesh.execute.cold"]
    assert evidence(done).passages == ()
    assert done.why == "the plan asks nothing"


def test_the_best_of_every_question_comes_before_any_second() -> None:
    rows = {str(n): [row(f"{n}-{rank}") for rank in range(3)] for n in range(8)}
    passages = evidence(decided(planned(*rows), rows)).passages
    assert len(passages) == MAX_PASSAGES
    assert [p.document_id for p in passages[:9]] == [*(f"{n}-0" for n in range(8)), "0-1"]


def test_a_passage_that_answers_two_questions_is_handed_on_once() -> None:
    passages = evidence(decided(planned("a", "b"), {"a": [row("x")], "b": [row("x"), row("y")]})).passages
    assert [p.document_id for p in passages] == ["x", "y"]


def test_two_products_that_share_a_document_each_get_its_list() -> None:
    """Listedness reads off a passage's question of which product it speaks: one copy alone leaves the other unchecked."""
    asked = ("DTP (A) Rash", "DTP (A) Pain", "DTP + HIB (B) Rash")
    case = planned(*asked)
    products = (Product(name="DTP (A)"), Product(name="DTP + HIB (B)"), Product(name="DTP"))
    event = replace(case.event, case=replace(case.event.case, products=products))
    rows = {question: [{**row("vaccine/dtp"), "question": question}] for question in asked}
    passages = evidence(decided(replace(case, event=event), rows)).passages
    assert [p.question for p in passages] == ["DTP (A) Rash", "DTP + HIB (B) Rash"]


def test_a_long_passage_is_cut_with_its_place() -> None:
    (passage,) = evidence(decided(planned("a"), {"a": [row("x", start=5, text="z" * 5000)]})).passages
    assert (len(passage.text), passage.start, passage.end) == (1200, 5, 1205)


def test_what_a_cache_served_is_measured_priced_and_said() -> None:
    read_at = datetime(2026, 1, 1, 23, 30, tzinfo=UTC)
    case = planned("a", "b", "c")
    answers = {
        "search:a": handed([row("x")], read_at, product="p", level="hot", match="semantic"),
        "search:b": handed([row("y")], read_at, missed="too_old"),
        "search:c": handed([], read_at, level="hot", match="exact"),
    }
    done = VERB.decide(case, msgspec.msgpack.decode(msgspec.msgpack.encode(answers)))
    assert isinstance(done, Done)
    told = [emit.event for emit in done.events[1:4]]
    assert [(t.cache_level, t.match, t.missed, t.read_at, t.product) for t in told if isinstance(t, RetrievalMeasured)] == [
        ("hot", "semantic", "", read_at, "p"), ("search", "none", "too_old", read_at, ""), ("hot", "exact", "", read_at, ""),
    ]  # fmt: skip
    used = [emit.event for emit in done.events[4:]]
    assert [(u.name, u.cache_level, u.quantity) for u in used if isinstance(u, UsageRecorded)] == [
        ("full_text", "none", 1), ("answer_cache", "hot", 2),
    ]  # fmt: skip
    assert done.why == (
        "2 of 3 questions found something: 2 passages from x@1.0, y@1.0; 1 served hot, exact; 1 served hot, semantic"
    )


def test_an_answer_recorded_before_there_was_a_cache_replays_as_it_was() -> None:
    """The old form is the passages alone: its case was searched for, and nothing says when."""
    told = decided(planned("a"), {"a": [row("x")]}).events[1].event
    assert isinstance(told, RetrievalMeasured)
    assert (told.cache_level, told.match, told.missed, told.read_at, told.product) == (
        "search",
        "none",
        "",
        None,
        "",
    )


def test_the_card_of_the_workflow_says_how_old_an_answer_may_be() -> None:
    ages = Ages(hot=timedelta(hours=1), warm=timedelta(hours=2))
    verb = Retriever(ages={"triage": ages})
    (need,) = verb.needs(planned("a"), {})
    assert (need.asked, need.name) == (ages, "search:a")
    assert [one.asked for one in Retriever(ages={"other": ages}).needs(planned("a"), {})] == [None]


class Counting:
    """A search that remembers how it was asked."""

    def __init__(self) -> None:
        self.inner = MemorySearch()
        self.calls: list[tuple[tuple[str, ...], int]] = []

    def find(self, questions: Sequence[str], limit: int) -> Sequence[Found]:
        self.calls.append((tuple(questions), limit))
        return self.inner.find(questions, limit)

    def state(self) -> State:
        return self.inner.state()

    def changed(self) -> None:
        self.inner.changed()


def test_a_batch_is_one_search_and_its_answers_are_plain() -> None:
    counting = Counting()
    counting.inner.load(shipped_documents())
    needs = [
        *VERB.needs(planned("DTP Pyrexia", "Torvexil Rash"), {}),
        *VERB.needs(planned("DTP Pyrexia"), {}),
    ]
    answers = asyncio.run(_fetch(counting, needs))
    assert counting.calls == [(("DTP Pyrexia", "Torvexil Rash"), 3)]
    assert [answer["passages"][0]["document_id"] for answer in answers] == [
        "vaccine/dtp",
        "product/torvexil",
        "vaccine/dtp",
    ]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(answers)) == list(answers)
    done = decided(
        planned("DTP Pyrexia"), {"DTP Pyrexia": msgspec.msgpack.decode(msgspec.msgpack.encode(answers[0]))}
    )
    assert "Pyrexia" in evidence(done).passages[0].text


def test_a_base_that_is_away_makes_the_case_wait() -> None:
    with pytest.raises(Transient, match="VM-1501"):
        asyncio.run(_fetch(Counting(), VERB.needs(planned("a"), {})))


def test_the_stage_knows_its_fetcher() -> None:
    built = stage(Lookup(search=Counting(), clock=SystemClock()), "hot")
    assert (built.name, built.lane, set(built.fetchers), built.table_topic) == (
        "retriever",
        "hot",
        {"search"},
        None,
    )


async def _fetch(search: Counting, needs: Sequence[Any]) -> Sequence[Any]:
    return await search_fetcher(Lookup(search=search, clock=SystemClock()))(needs)
