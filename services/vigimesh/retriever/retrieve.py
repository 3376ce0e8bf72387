"""The retriever's verb: the plan's questions become passages, each measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vigimesh.domain.knowledge.chunks import CHUNK_CHARACTERS
from vigimesh.domain.knowledge.questions import key as question_key
from vigimesh.domain.knowledge.questions import normal
from vigimesh.events.case import Case
from vigimesh.events.classes import CasePlanned, EvidenceRetrieved, UsageRecorded
from vigimesh.events.knowledge import Passage, RetrievalMeasured
from vigimesh.events.topics import lane_topic, topic
from vigimesh.loop.outcome import Answers, Done, Emit, Input, Need, Outcome

#: Questions of one pass (Plan.questions says the same).
MAX_QUESTIONS = 8
#: Passages asked for per question: the list of reactions, what it says on reading it, what to ask.
PASSAGES_PER_QUESTION = 3
#: Passages handed on per pass: with 1,200 characters each they stay below 16 KiB of the event.
MAX_PASSAGES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Retriever:
    """Asks every question of a plan once and hands the passages on, best of each question first."""

    def needs(self, case: Input, answers: Answers) -> tuple[Need, ...]:
        """Return one search per question that has no answer yet."""
        wanted = (_need(question) for question in _questions(case.event))
        return tuple(need for need in wanted if need.name not in answers)

    def decide(self, case: Input, answers: Answers) -> Outcome:
        """Return the case with its passages, a measurement per question and one usage record."""
        event: CasePlanned = case.event
        questions = _questions(event)
        found = {question: _passages(answers[_need(question).name]) for question in questions}
        passages = _gathered(event.case, found)
        emits = [
            _emit(
                event, lane_topic("execute", event.route.lane), event.case.case_id, _evidence(event, passages)
            )
        ]
        for question, answer in found.items():
            key = question_key(question)
            emits.append(_emit(event, topic("retrieval.telemetry"), key, _measured(event, key, answer)))
        if questions:
            emits.append(_emit(event, topic("usage"), event.case.case_id, _usage(event, len(questions))))
        return Done(
            events=tuple(emits), why=_why(event, found, passages), pass_number=event.route.pass_number
        )


def _questions(event: CasePlanned) -> tuple[str, ...]:
    return tuple(dict.fromkeys(event.plan.questions))[:MAX_QUESTIONS]


def _need(question: str) -> Need:
    return Need(kind="search", key=question, limit=PASSAGES_PER_QUESTION)


def _passages(answer: Sequence[Mapping[str, Any]]) -> tuple[Passage, ...]:
    return tuple(_bounded(Passage(**row)) for row in answer[:PASSAGES_PER_QUESTION])


def _bounded(passage: Passage) -> Passage:
    """Cut a passage that an index holds in longer pieces than ours."""
    if len(passage.text) <= CHUNK_CHARACTERS:
        return passage
    return replace(passage, text=passage.text[:CHUNK_CHARACTERS], end=passage.start + CHUNK_CHARACTERS)


def _gathered(case: Case, found: Mapping[str, tuple[Passage, ...]]) -> tuple[Passage, ...]:
    """Return the best of each question, then the second best, ..., at most `MAX_PASSAGES`.

    A place comes once for each product asked about: a reader tells by a passage's question of which product it speaks,
    and two products of a case may share one document.
    """
    products = _names(case)
    gathered: dict[tuple[str, str, int, str], Passage] = {}
    for rank in range(PASSAGES_PER_QUESTION):
        for question, passages in found.items():
            if rank < len(passages):
                passage = passages[rank]
                place = (passage.document_id, passage.version, passage.start, _product_of(question, products))
                gathered.setdefault(place, passage)
    return tuple(gathered.values())[:MAX_PASSAGES]


def _names(case: Case) -> tuple[str, ...]:
    """Return the names of the case's products, longest first, as questions begin with them."""
    names = {normal(name) for product in case.products for name in (product.name, product.substance)}
    return tuple(sorted(names - {""}, key=lambda name: (-len(name), name)))


def _product_of(question: str, names: Sequence[str]) -> str:
    text = normal(question)
    return next((name for name in names if text == name or text.startswith(f"{name} ")), "")


def _evidence(event: CasePlanned, passages: tuple[Passage, ...]) -> EvidenceRetrieved:
    return EvidenceRetrieved(case=event.case, route=event.route, plan=event.plan, passages=passages)


def _measured(event: CasePlanned, key: str, passages: tuple[Passage, ...]) -> RetrievalMeasured:
    return RetrievalMeasured(
        question_key=key, case_id=event.case.case_id, message_id=event.case.message_id,
        workflow=event.route.workflow, lane=event.route.lane, cache_level="search", hits=len(passages),
        wanted=PASSAGES_PER_QUESTION, grounded=bool(passages),
        passages=tuple(f"{p.document_id}@{p.version}#{p.start}-{p.end}" for p in passages),
    )  # fmt: skip


def _usage(event: CasePlanned, questions: int) -> UsageRecorded:
    return UsageRecorded(
        case_id=event.case.case_id, message_id=event.case.message_id, workflow=event.route.workflow,
        lane=event.route.lane, stage="retriever", kind="retrieval", name="full_text", tier="tools",
        quantity=questions, unit="questions", pass_number=event.route.pass_number,
    )  # fmt: skip


def _emit(event: CasePlanned, to: str, key: str, out: object) -> Emit:
    return Emit(
        topic=to, key=key, event=out, messageid=event.case.message_id, workflow=event.route.workflow,
        lane=event.route.lane,
    )  # fmt: skip


def _why(event: CasePlanned, found: Mapping[str, tuple[Passage, ...]], passages: tuple[Passage, ...]) -> str:
    if not found:
        return "the plan asks nothing"
    grounded = sum(bool(answer) for answer in found.values())
    documents = sorted({f"{p.document_id}@{p.version}" for p in passages})
    dropped = len(set(event.plan.questions)) - len(found)
    more = f"; {dropped} questions beyond {MAX_QUESTIONS} were not asked" if dropped else ""
    sources = f" from {', '.join(documents)}" if documents else ""
    return f"{grounded} of {len(found)} questions found something: {len(passages)} passages{sources}{more}"
