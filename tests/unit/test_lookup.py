"""The look-up of the retriever: one search for many who ask, stores and guards that fail, the order in which levels are asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from clocks import Hand
from libraries import note
from vigimesh.adapters.memory.answers import MemoryAnswers
from vigimesh.adapters.memory.search import MemorySearch
from vigimesh.clock import SystemClock
from vigimesh.domain.knowledge.answering import Answer, State, answer_of, scope_of
from vigimesh.domain.knowledge.freshness import Ages
from vigimesh.domain.knowledge.fusion import AWAY, Found
from vigimesh.errors import Transient
from vigimesh.loop.outcome import Need
from vigimesh.ports.knowledge import Keep, Place
from vigimesh.retriever import lookup as room
from vigimesh.retriever.lookup import POLL_S, WAIT_S, Lookup
from vigimesh.retriever.terms import OneForAll, Terms

ALIKE = OneForAll(terms=Terms(id="p", semantic=True))


class Counted(MemorySearch):
    """The base in memory, and what reached it; `before` is done in front of each search."""

    def __init__(self, before: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.asked: list[tuple[str, ...]] = []
        self.before = before
        self.load([note("1.0", "hives, rash"), note("1.0", "rash", "product/torvexa", "Torvexa")])

    def find(self, questions: Sequence[str], limit: int) -> Sequence[Found]:
        self.asked.append(tuple(questions))
        self.before()
        return super().find(questions, limit)


class Away:
    """A store that does not answer to some kinds of questions."""

    def __init__(self, *what: str) -> None:
        self.inner, self.what, self.asked = MemoryAnswers(), what, list[str]()

    def __getattr__(self, name: str) -> Any:
        def do(places: Sequence[Any]) -> Any:
            self.asked.append(name)
            if name in self.what:
                raise Transient("VM-2707", what="away", where="test", todo="wait")
            return getattr(self.inner, name)(places)

        return do


def need(question: str, ages: Ages | None = None) -> Need:
    return Need(kind="search", key=question, limit=3, asked=ages)


def told(lookup: Lookup, *questions: str) -> list[tuple[str, str, str]]:
    found = lookup.answers([need(question) for question in questions])
    return [(one["level"], one["match"], one["missed"]) for one in found]


SEARCHED, EXACT, SEMANTIC = ("search", "none", "absent"), ("hot", "exact", ""), ("hot", "semantic", "")


def test_without_a_store_every_question_is_searched_once_a_batch() -> None:
    base = Counted()
    lookup = Lookup(search=base, clock=Hand())
    for _ in range(2):
        assert told(lookup, "Zelora rash", "Zelora hives", "Zelora rash") == [SEARCHED] * 3
    assert base.asked == [("Zelora rash", "Zelora hives")] * 2


def test_a_store_is_asked_before_the_base_and_by_meaning_last() -> None:
    base = Counted()
    lookup = Lookup(search=base, clock=Hand(), stores=(MemoryAnswers(),), products=ALIKE)
    assert told(lookup, "Zelora hives") == [SEARCHED]
    assert told(lookup, "Zelora  HIVES", "Zelora urticaria", "Zelora rash") == [EXACT, SEMANTIC, SEARCHED]
    assert base.asked == [("Zelora hives",), ("Zelora rash",)]


def test_what_words_alone_found_while_vectors_were_away_is_not_kept() -> None:
    class Halved(Counted):
        alone = AWAY

        def find(self, questions: Sequence[str], limit: int) -> Sequence[Found]:
            return [replace(one, alone=self.alone) for one in super().find(questions, limit)]

    base = Halved()
    lookup = Lookup(search=base, clock=Hand(), stores=(MemoryAnswers(),))
    assert told(lookup, "Zelora hives") == [SEARCHED]
    base.alone = ""
    assert told(lookup, "Zelora hives") == [SEARCHED]
    assert told(lookup, "Zelora hives") == [EXACT]


def test_a_stored_answer_stands_under_the_question_that_was_asked() -> None:
    lookup = Lookup(search=Counted(), clock=Hand(), stores=(MemoryAnswers(),), products=ALIKE)
    lookup.answers([need("Zelora hives")])
    (found,) = lookup.answers([need("Zelora urticaria")])
    assert {row["question"] for row in found["passages"]} == {"Zelora urticaria"}
    assert (found["product"], found["match"]) == ("p", "semantic")


def test_a_question_that_names_one_product_later_on_finds_what_is_kept_of_it() -> None:
    lookup = Lookup(search=Counted(), clock=Hand(), stores=(MemoryAnswers(),), products=ALIKE)
    assert told(lookup, "Zelora hives", "Torvexa rash") == [SEARCHED] * 2
    (found,) = lookup.answers([need("hives with Zelora")])
    assert (found["match"], {row["document_id"] for row in found["passages"]}) == (
        "semantic",
        {"product/zelora"},
    )
    # Another reaction, another product, two of them, a negation.
    others = (
        "rash with Zelora",
        "hives with Torvexa",
        "hives with Zelora and Torvexa",
        "Torvexa: hives without Zelora",
    )
    assert told(lookup, *others) == [SEARCHED] * len(others)


def test_a_product_without_a_semantic_match_is_asked_by_its_words_only() -> None:
    signed: list[str] = []

    def note_down(question: str, *_: object) -> str:
        signed.append(question)
        return "x"

    lookup = Lookup(search=Counted(), clock=Hand(), stores=(MemoryAnswers(),), sign=note_down)
    told(lookup, "Zelora hives")
    assert told(lookup, "Zelora urticaria", "Zelora hives") == [SEARCHED, EXACT]
    assert (
        told(lookup, "hives", "hives with Zelora") == [SEARCHED] * 2
    )  # about no product, about one named later on
    assert signed == []
    lookup.products = ALIKE
    told(lookup, "rash", "rash with Zelora")
    assert signed == ["rash", "rash with Zelora", "rash with Zelora"]


def test_that_nothing_was_found_is_kept_as_long_as_what_was_looked_through_is_the_same() -> None:
    base = Counted()
    lookup = Lookup(search=base, clock=Hand(), stores=(MemoryAnswers(),))
    assert told(lookup, "nowhere told") == [SEARCHED]
    assert told(lookup, "nowhere told") == [EXACT]
    base.load([note("1.1", "hives")])
    assert told(lookup, "nowhere told") == [SEARCHED]


def test_a_guard_that_is_down_means_a_search() -> None:
    failed: list[str] = []

    def broken(*_: object) -> str:
        raise RuntimeError("no table")

    lookup = Lookup(
        search=Counted(),
        clock=Hand(),
        stores=(MemoryAnswers(),),
        products=ALIKE,
        sign=broken,
        failed=failed.append,
    )
    assert told(lookup, "Zelora hives") == [SEARCHED]
    assert told(lookup, "Zelora urticaria") == [SEARCHED]
    assert told(lookup, "Zelora urticaria") == [EXACT]
    assert failed == ["guard", "guard"]


def test_a_guard_that_cannot_tell_means_a_search() -> None:
    lookup = Lookup(
        search=Counted(), clock=Hand(), stores=(MemoryAnswers(),), products=ALIKE, sign=lambda *_: ""
    )
    told(lookup, "Zelora hives")
    assert told(lookup, "Zelora urticaria") == [SEARCHED]


@pytest.mark.parametrize("what", ["read", "like", "lease", "write"])
def test_a_store_that_does_not_answer_costs_a_search_and_is_left_alone_for_a_while(what: str) -> None:
    failed: list[str] = []
    clock, store = Hand(), Away(what)
    lookup = Lookup(search=Counted(), clock=clock, stores=(store,), products=ALIKE, failed=failed.append)
    assert told(lookup, "Zelora hives") == [SEARCHED]
    assert failed == [{"like": "read"}.get(what, what)]
    asked = len(store.asked)
    told(lookup, "Zelora hives")
    assert len(store.asked) == asked
    clock.at_s += room.REST_S
    told(lookup, "Zelora hives")
    assert len(store.asked) > asked


def test_a_base_that_is_away_is_no_answer_though_a_store_has_one() -> None:
    base = Counted()
    lookup = Lookup(search=base, clock=Hand(), stores=(MemoryAnswers(),))
    told(lookup, "Zelora hives")

    def away() -> State:
        raise Transient("VM-1501", what="away", where="test", todo="wait")

    base.state = away  # type: ignore[method-assign]
    with pytest.raises(Transient, match="VM-1501"):
        told(lookup, "Zelora hives")


def test_an_answer_is_as_old_as_its_search_was_at_its_beginning() -> None:
    clock = Hand()

    def takes_a_second() -> None:
        clock.at_s += 1.0

    lookup = Lookup(search=Counted(takes_a_second), clock=clock, stores=(MemoryAnswers(),))
    for _ in range(2):
        (found,) = lookup.answers([need("Zelora hives")])
        assert found["read_at"] == Hand().now().isoformat()
    clock.at_s = timedelta(hours=24).total_seconds()
    assert told(lookup, "Zelora hives") == [EXACT]
    clock.at_s += 1.0
    assert told(lookup, "Zelora hives") == [("search", "none", "too_old")]


def test_the_card_of_one_case_does_not_age_the_answer_of_another() -> None:
    clock = Hand()
    lookup = Lookup(search=Counted(), clock=clock, stores=(MemoryAnswers(),))
    short = Ages(hot=timedelta(seconds=5), warm=timedelta(seconds=5))
    lookup.answers([need("Zelora hives")])
    clock.at_s += 6.0
    found = lookup.answers([need("Zelora hives", short), need("Zelora hives")])
    assert [(one["level"], one["missed"]) for one in found] == [("search", "too_old"), ("hot", "")]


def test_what_changed_during_the_search_is_handed_on_and_not_kept() -> None:
    base = Counted()
    base.before = lambda: base.load([note("1.1", "hives")])
    lookup = Lookup(search=base, clock=Hand(), stores=(store := MemoryAnswers(),))
    (found,) = lookup.answers([need("Zelora hives")])
    assert {row["version"] for row in found["passages"]} == {"1.1"}
    assert len(store) == 0
    lookup.answers([need("Zelora hives")])
    assert len(store) == 1


def test_many_threads_that_ask_at_once_search_once() -> None:
    base = Counted()
    lookup = Lookup(search=base, clock=SystemClock(), stores=(MemoryAnswers(),), wait_s=30.0)
    together = threading.Barrier(8)

    def ask(_: int) -> list[tuple[str, str, str]]:
        together.wait(30)
        return told(lookup, "Zelora hives", "Zelora rash")

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(ask, range(8)))
    assert sorted(question for asked in base.asked for question in asked) == ["Zelora hives", "Zelora rash"]
    assert sum(one[0] == "hot" for answers in found for one in answers) == 14


def test_a_search_that_fails_keeps_nobody_waiting() -> None:
    second = threading.Event()
    first = [True]

    def once() -> None:
        if first and first.pop():
            second.wait(30)
            raise Transient("VM-1501", what="away", where="test", todo="wait")

    base = Counted(once)
    lookup = Lookup(search=base, clock=SystemClock(), stores=(MemoryAnswers(),), wait_s=30.0)
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(told, lookup, "Zelora hives")
        while not base.asked:
            assert not one.done()
        two = threads.submit(told, lookup, "Zelora hives")
        second.set()
        assert two.result(30)[0][0] in ("search", "hot")
        with pytest.raises(Transient):
            one.result(30)
    assert len(base.asked) == 2


class Leased(MemoryAnswers):
    """A store that another process shares: it searches for everything."""

    def lease(self, places: Sequence[Place]) -> Sequence[bool]:
        return [False] * len(places)


def test_what_another_process_searches_for_is_waited_for() -> None:
    base, clock, store = Counted(), Hand(), Leased()
    state = base.state()
    scope = scope_of("Zelora hives", state)
    assert scope is not None
    made = answer_of(
        "Zelora hives", 3, scope, MemorySearch.find(base, ("Zelora hives",), 3)[0].passages, clock.now()
    )
    assert made is not None

    def pause(seconds: float) -> None:
        clock.at_s += seconds
        if clock.at_s > 2.5 * POLL_S:
            store.write([Keep(answer=made, until=clock.now() + timedelta(hours=1))])

    lookup = Lookup(search=base, clock=clock, stores=(MemoryAnswers(), store), pause=pause)
    assert told(lookup, "Zelora hives") == [EXACT]
    assert base.asked == []


def test_nobody_waits_longer_than_a_bound_for_another_process() -> None:
    base, clock = Counted(), Hand()
    lookup = Lookup(
        search=base, clock=clock, stores=(Leased(),), pause=lambda s: setattr(clock, "at_s", clock.at_s + s)
    )
    assert told(lookup, "Zelora hives") == [SEARCHED]
    assert base.asked == [("Zelora hives",)]
    assert WAIT_S - POLL_S <= clock.at_s <= WAIT_S + POLL_S


class Summary:
    """A warm level that answers one question."""

    def __init__(self, answer: Answer | None, *, away: bool = False) -> None:
        self.answer_, self.away, self.asked = answer, away, list[str]()

    def answer(self, questions: Sequence[str]) -> Sequence[Answer | None]:
        if self.away:
            raise Transient("VM-1501", what="away", where="test", todo="wait")
        self.asked += questions
        return [self.answer_ if "changes" in question else None for question in questions]


def _summary(base: MemorySearch, clock: Hand) -> Answer:
    scope = scope_of("Zelora changes", base.state())
    assert scope is not None
    made = answer_of("Zelora changes", 3, scope, base.find(("Zelora hives",), 3)[0].passages, clock.now())
    assert made is not None
    return made


def test_the_warm_level_is_asked_for_what_no_store_has_and_serves_within_its_own_age() -> None:
    base, clock = Counted(), Hand()
    summary = _summary(base, clock)
    warm = Summary(replace(summary, entry=replace(summary.entry, question_key="summary/1")))
    lookup = Lookup(search=base, clock=clock, stores=(MemoryAnswers(),), summaries=warm)
    told(lookup, "Zelora hives")
    clock.at_s = timedelta(hours=30).total_seconds()  # above the hot age, below the warm one
    assert told(lookup, "Zelora changes") == [("warm", "exact", "")]
    clock.at_s = timedelta(hours=169).total_seconds()
    assert told(lookup, "Zelora changes") == [("search", "none", "too_old")]
    assert "Zelora hives" in warm.asked


def test_a_summary_whose_source_was_withdrawn_or_superseded_is_not_served() -> None:
    base, clock = Counted(), Hand()
    lookup = Lookup(search=base, clock=clock, summaries=Summary(_summary(base, clock)))
    assert told(lookup, "Zelora changes") == [("warm", "exact", "")]
    base.load([note("1.1", "hives")])
    assert told(lookup, "Zelora changes") == [("search", "none", "other_scope")]
    base.library.withdraw("product/zelora", by="t", reason="r")
    assert told(lookup, "Zelora changes")[0][0] == "search"


def test_a_warm_level_that_is_away_means_a_search() -> None:
    failed: list[str] = []
    lookup = Lookup(search=Counted(), clock=Hand(), summaries=Summary(None, away=True), failed=failed.append)
    assert told(lookup, "Zelora changes") == [SEARCHED]
    assert failed == ["warm"]
