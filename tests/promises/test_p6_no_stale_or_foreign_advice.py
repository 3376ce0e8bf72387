"""P6: no answer is served past its age, past a newer version, or for another product, dose or negation.

Through the whole look-up, with the stores it has and a clock that is moved: `lookups` judges what leaves it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookups import ASKED, WHAT, Timeline, drawn
from vigimesh.adapters.memory.objects import MemoryObjects
from vigimesh.adapters.memory.summaries import MemorySummaryIndex
from vigimesh.background.librarian import summaries as librarian
from vigimesh.domain.knowledge import answering, warm
from vigimesh.domain.knowledge.answering import Answer
from vigimesh.domain.knowledge.freshness import Ages, AnswerScope, Entry, Known, Verdict, verdict
from vigimesh.ports.knowledge import Place
from vigimesh.retriever import lookup as room
from vigimesh.retriever.lookup import Lookup

SEEDS = range(60)
STEPS = st.lists(
    st.tuples(st.sampled_from(WHAT), st.integers(0, len(ASKED) - 1), st.integers(0, 38)), max_size=80
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_nothing_stale_or_foreign_is_served(steps: list[tuple[str, int, int]]) -> None:
    done = Timeline().run(steps)
    assert (done.faults, done.missing) == ([], [])


def test_the_timelines_serve_and_refuse() -> None:
    done = [Timeline().run(drawn(seed)) for seed in SEEDS]
    assert [one.faults + one.missing for one in done] == [[]] * len(SEEDS)
    assert sum(one.hot for one in done) > 300
    assert sum(one.warm for one in done) > 300
    assert sum(one.semantic for one in done) > 30
    missed = {why for one in done for why in one.missed}
    assert {"absent", "too_old", "other_scope", "from_the_future"} <= missed


def found(plant: Callable[[Lookup], object]) -> bool:
    return any(bool(Timeline(plant=plant).run(drawn(seed)).faults) for seed in SEEDS)


def _sliding(look: Lookup) -> None:
    """Each serving makes an answer younger."""
    store: Any = look.stores[0]
    read = store.read

    def younger(places: Sequence[Place]) -> Sequence[Answer | None]:
        return [
            one and replace(one, entry=replace(one.entry, read_at=look.clock.now())) for one in read(places)
        ]

    store.read = younger


def _stored_at(look: Lookup) -> None:
    """The age counts from when an answer was stored, a second after its sources were read."""
    store: Any = look.stores[0]
    write = store.write

    def later(kept: Sequence[Any]) -> None:
        second = timedelta(seconds=1)
        entries = [replace(one.answer.entry, read_at=one.answer.entry.read_at + second) for one in kept]
        write(
            [
                replace(one, answer=replace(one.answer, entry=entry))
                for one, entry in zip(kept, entries, strict=True)
            ]
        )

    store.write = later


def _deaf(look: Lookup) -> None:
    """What is told of a change is lost."""
    search: Any = look.search
    search.changed = lambda: None


def _never_looks(look: Lookup) -> None:
    """The state of the base is read once."""
    state = look.search.state()
    search: Any = look.search
    search.state = lambda: state


def _guard_says_yes(look: Lookup) -> None:
    """A guard that is down lets everything of a version share an answer."""
    look.sign = lambda question, names, version: "same"


def _no_negation(look: Lookup) -> None:
    real = look.sign
    look.sign = lambda question, names, version: real(question.replace("without ", ""), names, version)


def _no_population(look: Lookup) -> None:
    real = look.sign
    look.sign = lambda question, names, version: real(question.split(" in ")[0], names, version)


def _no_dose(look: Lookup) -> None:
    real = look.sign
    look.sign = lambda question, names, version: real(question.replace("50 mg", "5 mg"), names, version)


PLANTS = [_sliding, _stored_at, _deaf, _never_looks, _guard_says_yes, _no_negation, _no_population, _no_dose]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_error_is_found(plant: Callable[[Lookup], object]) -> None:
    assert found(plant)


Rule = Callable[[Entry, AnswerScope, Known, timedelta, datetime], Verdict]


def _but(*overlooked: Verdict) -> Rule:
    def rule(entry: Entry, scope: AnswerScope, known: Known, age: timedelta, now: datetime) -> Verdict:
        said = verdict(entry, scope, known, age, now)
        return "fresh" if said in overlooked else said

    return rule


@pytest.mark.parametrize("rule", [_but("too_old"), _but("other_scope"), _but("from_the_future")])
def test_a_rule_that_overlooks_something_is_found(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "verdict", rule)
    assert found(lambda look: None)


def test_a_scope_without_version_is_found_where_the_rule_overlooks_versions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The version is held twice, by the key and by the rule; only both errors together let an old one out."""

    def versionless(question: str, state: Any) -> AnswerScope | None:
        scope = answering.scope_of(question, state)
        return scope and replace(scope, version="any")

    monkeypatch.setattr(room, "scope_of", versionless)
    assert not found(lambda look: None)
    monkeypatch.setattr(room, "verdict", _but("superseded", "unknown_version", "withdrawn"))
    assert found(lambda look: None)


def test_the_card_may_only_shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    def card_alone(ages: Sequence[Ages]) -> Ages:
        return ages[-1]

    monkeypatch.setattr(room, "shortest", card_alone)
    assert found(lambda look: None)


def test_another_questions_answer_is_not_served_though_its_scope_is_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (room, answering):
        monkeypatch.setattr(module, "kept_key", lambda question, limit: "one for all")
    assert found(lambda look: None)


Spoil = Callable[[Timeline], object]


def found_summary(spoil: Spoil) -> bool:
    return any(
        bool((done := Timeline(spoil=spoil).run(drawn(seed))).faults or done.missing) for seed in SEEDS
    )


def _replaced(made: Timeline, **values: Any) -> None:
    """Change each summary as it is kept."""
    index: Any = made.index
    put = index.put
    index.put = lambda kept, cost: put(
        replace(kept, **{name: value(kept) for name, value in values.items()}), cost
    )


def _never_drops(made: Timeline) -> None:
    """The summary of a withdrawn document stays, and the rule does not know of withdrawals."""
    made.librarian.index = KeepsAll(made.index.held)


class KeepsAll(MemorySummaryIndex):
    """An index from which nothing goes."""

    def drop(self, document_ids: Any) -> None:
        """Keep them."""


def _made_young(made: Timeline) -> None:
    """The age counts from a minute after the sources were read."""
    _replaced(made, read_at=lambda kept: kept.read_at + timedelta(minutes=1))


def _younger_each_time(made: Timeline) -> None:
    """Each serving makes a summary younger."""
    index: Any = made.index
    called = index.called
    index.called = lambda names: [replace(one, read_at=made.clock.now()) for one in called(names)]


def _never_looks_again(made: Timeline) -> None:
    """The librarian takes the library of its first look for that of today."""
    library: Any = made.base.library
    last_two, first = library.last_two, []

    class Deaf:
        """The library, but for what changed."""

        def __getattr__(self, name: str) -> Any:
            return getattr(library, name)

        def last_two(self, known: int | None) -> Any:
            first.append(1)
            return last_two(known) if len(first) == 1 else None

    made.librarian.library = Deaf()  # what it does not change is the library's


def _of_another_document(made: Timeline) -> None:
    """Every summary goes by the names of each document."""
    _replaced(made, names=lambda kept: tuple({*kept.names, "zelora", "torvexa"} - {"zelora duo"}))


SPOILS: list[Spoil] = [_made_young, _younger_each_time, _never_looks_again, _of_another_document]


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
def test_a_bug_planted_in_summaries_is_found(spoil: Spoil) -> None:
    assert found_summary(spoil)


@pytest.mark.parametrize(
    ("overlooked", "spoil"),
    [
        (("too_old",), None),
        (("withdrawn", "superseded", "unknown_version"), None),
        (("withdrawn",), _never_drops),
    ],
)
def test_a_rule_that_serves_old_or_withdrawn_summaries_is_found(
    overlooked: tuple[Verdict, ...], spoil: Spoil | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only summaries are looked at: there is no store of answers."""
    monkeypatch.setattr(room, "verdict", _but(*overlooked))

    def storeless(made: Timeline) -> None:
        made.lookup.stores = ()
        if spoil:
            spoil(made)

    assert found_summary(storeless)


def test_a_summary_that_is_not_made_anew_after_a_change_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = warm.wanted

    def once(pairs: Any, kept: Any, products: Any, now: datetime) -> Any:
        return tuple(one for one in real(pairs, kept, products, now) if one.document_id not in kept)

    monkeypatch.setattr(librarian, "wanted", once)
    assert found_summary(lambda made: None)


def test_the_timelines_have_a_store_that_is_full() -> None:
    """What is not made for want of room is missed, and nothing old is served in its place."""
    full = [
        Timeline(spoil=lambda made: setattr(made.objects, "capacity_bytes", 0)).run(drawn(seed))
        for seed in SEEDS[:10]
    ]
    assert [one.faults for one in full] == [[]] * len(full)
    assert isinstance(full[0].objects, MemoryObjects)
