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
from vigimesh.domain.knowledge import answering
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
    assert Timeline().run(steps).faults == []


def test_the_timelines_serve_and_refuse() -> None:
    done = [Timeline().run(drawn(seed)) for seed in SEEDS]
    assert [one.faults for one in done] == [[]] * len(SEEDS)
    assert sum(one.hot for one in done) > 300
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
    scope_of = room.scope_of

    def versionless(question: str, state: Any) -> AnswerScope | None:
        scope = scope_of(question, state)
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
