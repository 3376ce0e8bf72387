"""The retriever's verb: the plan's questions become passages, each measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from vigimesh.domain.knowledge.chunks import CHUNK_CHARACTERS
from vigimesh.domain.knowledge.freshness import Ages
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
    """Asks every question of a plan once and hands the passages on, best of each question first.

    `ages` shorten, by workflow, how old a stored answer may be.
    """

    ages: Mapping[str, Ages] = field(default_factory=dict)

    def needs(self, case: Input, answers: Answers) -> tuple[Need, ...]:
        """Return one search per question that has no answer yet."""
        ages = self.ages.get(case.event.route.workflow)
        wanted = (_need(question, ages) for question in _questions(case.event))
        return tuple(need for need in wanted if need.name not in answers)

    def decide(self, case: Input, answers: Answers) -> Outcome:
        """Return the case with its passages, a measurement per question and one usage record."""
        event: CasePlanned = case.event
        questions = _questions(event)
        given = {question: _given(answers[_need(question).name]) for question in questions}
        found = {question: answer.passages for question, answer in given.items()}
        passages = _gathered(event.case, found)
        emits = [
            _emit(
                event, lane_topic("execute", event.route.lane), event.case.case_id, _evidence(event, passages)
            )
        ]
        for question, answer in given.items():
            key = question_key(question)
            emits.append(_emit(event, topic("retrieval.telemetry"), key, _measured(event, key, answer)))
        emits += [_emit(event, topic("usage"), event.case.case_id, usage) for usage in _usage(event, given)]
        return Done(
            events=tuple(emits), why=_why(event, given, passages), pass_number=event.route.pass_number
        )


def _questions(event: CasePlanned) -> tuple[str, ...]:
    return tuple(dict.fromkeys(event.plan.questions))[:MAX_QUESTIONS]


def _need(question: str, ages: Ages | None = None) -> Need:
    return Need(kind="search", key=question, limit=PASSAGES_PER_QUESTION, asked=ages)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """An answer as the look-up handed it over: the passages, and what served them."""

    passages: tuple[Passage, ...]
    level: str = "search"
    match: str = "none"
    missed: str = ""
    read_at: datetime | None = None
    product: str = ""


def _given(answer: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> _Given:
    """Read an answer. Those recorded before there was a cache are the passages alone, and must replay as they were."""
    if not isinstance(answer, Mapping):
        return _Given(passages=_passages(answer))
    return _Given(
        passages=_passages(answer["passages"]), level=answer["level"], match=answer["match"], missed=answer["missed"],
        read_at=datetime.fromisoformat(answer["read_at"]), product=answer["product"],
    )  # fmt: skip


def _passages(rows: Sequence[Mapping[str, Any]]) -> tuple[Passage, ...]:
    return tuple(_bounded(Passage(**row)) for row in rows[:PASSAGES_PER_QUESTION])


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
    names = _names(case)
    products = {question: _product_of(question, names) for question in found}
    gathered: dict[tuple[str, str, int, str], Passage] = {}
    for rank in range(PASSAGES_PER_QUESTION):
        for question, passages in found.items():
            if rank < len(passages):
                passage = passages[rank]
                place = (passage.document_id, passage.version, passage.start, products[question])
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


def _measured(event: CasePlanned, key: str, given: _Given) -> RetrievalMeasured:
    passages = given.passages
    return RetrievalMeasured(
        question_key=key, case_id=event.case.case_id, message_id=event.case.message_id,
        workflow=event.route.workflow, lane=event.route.lane, cache_level=given.level, hits=len(passages),
        wanted=PASSAGES_PER_QUESTION, grounded=bool(passages),
        passages=tuple(f"{p.document_id}@{p.version}#{p.start}-{p.end}" for p in passages),
        match=given.match, missed=given.missed, read_at=given.read_at, product=given.product,
    )  # fmt: skip


def _usage(event: CasePlanned, given: Mapping[str, _Given]) -> Iterator[UsageRecorded]:
    """Yield what was used, one record for each level: a question answered from a cache is no search."""
    counts = Counter(answer.level for answer in given.values())
    for level in ("search", "hot", "warm"):
        if counts[level]:
            yield UsageRecorded(
                case_id=event.case.case_id, message_id=event.case.message_id, workflow=event.route.workflow,
                lane=event.route.lane, stage="retriever", kind="retrieval", tier="tools",
                name="full_text" if level == "search" else "answer_cache",
                quantity=counts[level], unit="questions", pass_number=event.route.pass_number,
                cache_level="none" if level == "search" else level,
            )  # fmt: skip


def _emit(event: CasePlanned, to: str, key: str, out: object) -> Emit:
    return Emit(
        topic=to, key=key, event=out, messageid=event.case.message_id, workflow=event.route.workflow,
        lane=event.route.lane,
    )  # fmt: skip


def _why(event: CasePlanned, given: Mapping[str, _Given], passages: tuple[Passage, ...]) -> str:
    if not given:
        return "the plan asks nothing"
    grounded = sum(bool(answer.passages) for answer in given.values())
    documents = sorted({f"{p.document_id}@{p.version}" for p in passages})
    dropped = len(set(event.plan.questions)) - len(given)
    more = f"; {dropped} questions beyond {MAX_QUESTIONS} were not asked" if dropped else ""
    sources = f" from {', '.join(documents)}" if documents else ""
    kept = Counter((answer.level, answer.match) for answer in given.values() if answer.level != "search")
    served = "".join(f"; {count} served {level}, {match}" for (level, match), count in sorted(kept.items()))
    return f"{grounded} of {len(given)} questions found something: {len(passages)} passages{sources}{served}{more}"
