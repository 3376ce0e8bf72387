"""What is served from a cache of answers: on random timelines nothing past its age, its version or its scope."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigimesh.domain.knowledge.freshness import (
    MAX_CITED,
    Ages,
    AnswerScope,
    Cited,
    Entry,
    Known,
    Level,
    Verdict,
    expires_at,
    verdict,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
AGES = Ages(hot=timedelta(seconds=60), warm=timedelta(seconds=300))
DOCUMENTS, SECTIONS, QUESTIONS = ("label/a", "label/b", "label/c"), ("warnings", "dose"), ("q1", "q2")
#: From one version to the next, with the step at which text and number are ordered differently.
VERSIONS = ("1.8", "1.9", "1.10", "2.0")

Rule = Callable[[Entry, AnswerScope, Known, timedelta, datetime], Verdict]
Renews = Callable[[Entry, datetime], Entry]
#: (what happens, document, section, question, a number).
Step = tuple[str, int, int, int, int]
WHAT = (
    "publish",
    "withdraw",
    "answer",
    "answer",
    "wait",
    "wait",
    "ask",
    "ask",
    "ask_old",
    "misplaced",
    "clock_back",
)
WAITS = (1, 7, 29, 30, 60, 61, 240, 301)


@dataclass(frozen=True, slots=True)
class Truth:
    """What is so of an answer, whatever the cache came to believe: it travels with the entry and no rule sees it."""

    scope: tuple[str, str, str]
    cited: tuple[tuple[str, str], ...]
    read_at: datetime


@dataclass(slots=True)
class Cache:
    """Two levels over time, with the rule of what is served and two places at which an age could be renewed."""

    rule: Rule = verdict
    served_as: Renews = lambda entry, now: entry
    copied_as: Renews = lambda entry, now: entry
    stored_as: Renews = lambda entry, now: entry
    now: datetime = START
    published: dict[str, int] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    levels: dict[Level, dict[str, tuple[Entry, Truth]]] = field(
        default_factory=lambda: {"hot": {}, "warm": {}}
    )
    faults: list[str] = field(default_factory=list)
    served: int = 0
    refused: int = 0

    def known(self) -> Known:
        current = {document: VERSIONS[place] for document, place in self.published.items()}
        return Known(current=current, withdrawn=frozenset(self.withdrawn))

    def step(self, step: Step) -> None:
        what, document, section, question, amount = step
        name = DOCUMENTS[document]
        if what == "publish":
            self.published[name] = min(self.published.get(name, -1) + 1, len(VERSIONS) - 1)
        elif what == "withdraw" and amount == 0:
            self.withdrawn.add(name)
        elif what == "wait":
            self.now += timedelta(seconds=WAITS[amount % len(WAITS)])
        elif what == "clock_back":
            self.now -= timedelta(seconds=amount % 5)
        elif what == "answer" and name in self.published:
            self._answer(name, SECTIONS[section], QUESTIONS[question], amount)
        elif what in ("ask", "ask_old", "misplaced"):
            self._ask(name, SECTIONS[section], QUESTIONS[question], what)

    def _answer(self, name: str, section: str, question: str, amount: int) -> None:
        """Read the sources, take a while, and store what was found in the warm level."""
        version = VERSIONS[self.published[name]]
        other = DOCUMENTS[amount % len(DOCUMENTS)]
        cited = [Cited(document_id=name, version=version)]
        if other != name and other in self.published:
            cited.append(Cited(document_id=other, version=VERSIONS[self.published[other]]))
        scope = AnswerScope(document_id=name, section=section, version=version)
        entry = Entry(scope=scope, question_key=question, cited=tuple(cited), read_at=self.now)
        truth = Truth(
            (name, section, version), tuple((one.document_id, one.version) for one in cited), self.now
        )
        self.now += timedelta(seconds=amount % 3)
        self.levels["warm"][scope.entry_key(question)] = self.stored_as(entry, self.now), truth

    def _ask(self, name: str, section: str, question: str, what: str) -> None:
        place = self.published.get(name, 0)
        scope = AnswerScope(
            document_id=name, section=section, version=VERSIONS[max(0, place - (what == "ask_old"))]
        )
        key = scope.entry_key(question)
        for level in ("hot", "warm"):
            held = self.levels[level]
            # A store that hands out another group's entry: the rule is the last to see it.
            at = next(iter(held), key) if what == "misplaced" else key
            if at not in held:
                continue
            entry, truth = held[at]
            found = self.rule(entry, scope, self.known(), AGES.of(level), self.now)
            allowed = self._allowed(truth, (name, section, scope.version), AGES.of(level))
            if (found == "fresh") != allowed:
                self.faults.append(f"{found} though allowed is {allowed}: {truth} for {scope} at {self.now}")
            if found == "fresh":
                self.served += 1
                held[at] = self.served_as(entry, self.now), truth
                if level == "warm":
                    self.levels["hot"][at] = self.copied_as(entry, self.now), truth
                return
            self.refused += 1

    def _allowed(self, truth: Truth, asked: tuple[str, str, str], age: timedelta) -> bool:
        """Say from the truth alone whether it may be served: written apart from the rule, over places, not versions."""
        sources = [*truth.cited, (truth.scope[0], truth.scope[2])]
        current = all(
            document not in self.withdrawn and VERSIONS.index(version) == self.published[document]
            for document, version in sources
        )
        old = (self.now - truth.read_at).total_seconds()
        return truth.scope == asked and current and 0 <= old <= age.total_seconds()


def run(steps: Sequence[Step], cache: Cache) -> Cache:
    for step in steps:
        cache.step(step)
    return cache


def timeline(seed: int, steps: int = 120) -> list[Step]:
    random = Random(seed)
    opening: list[Step] = [("publish", document, 0, 0, 0) for document in range(len(DOCUMENTS))]
    return opening + [
        (
            random.choice(WHAT),
            random.randrange(3),
            random.randrange(2),
            random.randrange(2),
            random.randrange(24),
        )
        for _ in range(steps)
    ]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(WHAT),
        st.integers(0, 2),
        st.integers(0, 1),
        st.integers(0, 1),
        st.integers(0, 23),
    ),
    max_size=80,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_nothing_is_served_past_its_age_its_version_or_its_scope(steps: list[Step]) -> None:
    opening: list[Step] = [("publish", 0, 0, 0, 0), ("publish", 1, 0, 0, 0)]
    assert run([*opening, *steps], Cache()).faults == []


def test_the_timelines_serve_and_refuse() -> None:
    done = [run(timeline(seed), Cache()) for seed in range(40)]
    assert [cache.faults for cache in done] == [[]] * 40
    assert sum(cache.served for cache in done) > 100
    assert sum(cache.refused for cache in done) > 100


def _later(entry: Entry, now: datetime) -> Entry:
    return replace(entry, read_at=now)


def _but(*overlooked: Verdict) -> Rule:
    """Return the right rule blind to some verdicts: it goes on as if the entry were beyond their reproach."""

    def rule(entry: Entry, scope: AnswerScope, known: Known, age: timedelta, now: datetime) -> Verdict:
        found = verdict(entry, scope, known, age, now)
        return "fresh" if found in overlooked else found

    return rule


def _scope_version_only(
    entry: Entry, scope: AnswerScope, known: Known, age: timedelta, now: datetime
) -> Verdict:
    own = tuple(one for one in entry.cited if one.document_id == scope.document_id)
    return verdict(replace(entry, cited=own), scope, known, age, now)


def _as_text(entry: Entry, scope: AnswerScope, known: Known, age: timedelta, now: datetime) -> Verdict:
    found = verdict(entry, scope, known, age, now)
    newer = all(one.version >= known.current.get(one.document_id, "") for one in entry.cited)
    return "fresh" if found == "superseded" and newer else found


def _a_second_more(entry: Entry, scope: AnswerScope, known: Known, age: timedelta, now: datetime) -> Verdict:
    return verdict(entry, scope, known, age + timedelta(seconds=1), now)


def _before_its_age(entry: Entry, scope: AnswerScope, known: Known, age: timedelta, now: datetime) -> Verdict:
    found = verdict(entry, scope, known, age, now)
    return "too_old" if now - entry.read_at == age else found


def _any_section(entry: Entry, scope: AnswerScope, known: Known, age: timedelta, now: datetime) -> Verdict:
    return verdict(entry, replace(scope, section=entry.scope.section), known, age, now)


def _any_document(entry: Entry, scope: AnswerScope, known: Known, age: timedelta, now: datetime) -> Verdict:
    return verdict(entry, entry.scope, known, age, now)


PLANTED: dict[str, Callable[[], Cache]] = {
    "an answer that is served grows younger": lambda: Cache(served_as=_later),
    "a copy grows younger": lambda: Cache(copied_as=_later),
    "the age counts from storing": lambda: Cache(stored_as=_later),
    "no age": lambda: Cache(rule=_but("too_old")),
    "a second more": lambda: Cache(rule=_a_second_more),
    "refused at its last instant": lambda: Cache(rule=_before_its_age),
    "a clock put back": lambda: Cache(rule=_but("from_the_future")),
    "withdrawn is overlooked": lambda: Cache(rule=_but("withdrawn")),
    "superseded is overlooked": lambda: Cache(rule=_but("superseded")),
    "only the label's own version": lambda: Cache(rule=_scope_version_only),
    "versions as text": lambda: Cache(rule=_as_text),
    "any section": lambda: Cache(rule=_any_section),
    "any document": lambda: Cache(rule=_any_document),
    "any scope": lambda: Cache(rule=_but("other_scope")),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_error_is_found(name: str) -> None:
    assert any(run(timeline(seed), PLANTED[name]()).faults for seed in range(300))


SCOPE = AnswerScope(document_id="label/a", section="warnings", version="1.9")
ENTRY = Entry(
    scope=SCOPE, question_key="q", cited=(Cited(document_id="label/a", version="1.9"),), read_at=START
)
KNOWN = Known(current={"label/a": "1.9", "label/b": "3"})
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("entry", "scope", "known", "passed", "expected"),
    [
        (ENTRY, SCOPE, KNOWN, timedelta(0), "fresh"),
        (ENTRY, SCOPE, KNOWN, MINUTE, "fresh"),
        (ENTRY, SCOPE, KNOWN, MINUTE + timedelta(microseconds=1), "too_old"),
        (ENTRY, SCOPE, KNOWN, timedelta(microseconds=-1), "from_the_future"),
        (ENTRY, replace(SCOPE, section="dose"), KNOWN, MINUTE, "other_scope"),
        (ENTRY, replace(SCOPE, version="1.10"), KNOWN, MINUTE, "other_scope"),
        (replace(ENTRY, cited=()), SCOPE, KNOWN, MINUTE, "uncited"),
        (ENTRY, SCOPE, replace(KNOWN, withdrawn=frozenset(("label/a",))), MINUTE, "withdrawn"),
        (ENTRY, SCOPE, Known(current={"label/a": "1.10"}), MINUTE, "superseded"),
        (ENTRY, SCOPE, Known(current={"label/a": "1.8"}), MINUTE, "unknown_version"),
        (ENTRY, SCOPE, Known(current={"label/a": "draft"}), MINUTE, "unknown_version"),
        (ENTRY, SCOPE, Known(), MINUTE, "unknown_version"),
    ],
)
def test_the_first_rule_that_fits_decides(
    entry: Entry, scope: AnswerScope, known: Known, passed: timedelta, expected: Verdict
) -> None:
    assert verdict(entry, scope, known, MINUTE, START + passed) == expected


def test_an_answer_that_cites_nothing_of_its_own_label_still_falls_with_it() -> None:
    entry = replace(ENTRY, cited=(Cited(document_id="label/b", version="3"),))
    assert verdict(entry, SCOPE, KNOWN, MINUTE, START) == "fresh"
    assert (
        verdict(entry, SCOPE, Known(current={"label/a": "2", "label/b": "3"}), MINUTE, START) == "superseded"
    )


TEXT = st.text(alphabet="ab:1/ ", min_size=1, max_size=6)
SCOPES = st.builds(AnswerScope, document_id=TEXT, section=TEXT | st.just(""), version=TEXT)


@given(SCOPES, SCOPES)
def test_keys_are_equal_for_equal_scopes_only(one: AnswerScope, other: AnswerScope) -> None:
    assert (one.key == other.key) == (one == other)
    assert len(one.key) == 32
    assert one.entry_key("q").startswith(one.key)


def test_a_part_that_moves_to_its_neighbour_makes_another_key() -> None:
    one = AnswerScope(document_id="a", section="bc", version="1")
    assert len({one.key, replace(one, document_id="ab", section="c").key}) == 2
    assert len({one.key, replace(one, section="b", version="c1").key}) == 2


def test_a_store_may_forget_an_answer_at_the_same_instant_however_often_it_is_stored() -> None:
    assert expires_at(ENTRY, MINUTE) == START + MINUTE
    assert verdict(ENTRY, SCOPE, KNOWN, MINUTE, expires_at(ENTRY, MINUTE)) == "fresh"


Field = Literal["document_id", "version"]


@pytest.mark.parametrize("name", ["document_id", "version"])
def test_a_scope_without_document_or_version_is_none(name: Field) -> None:
    parts = {"document_id": "label/a", "section": "", "version": "1", name: ""}
    with pytest.raises(ValueError, match="scope"):
        AnswerScope(**parts)


def test_times_have_a_zone_and_citations_a_bound() -> None:
    with pytest.raises(ValueError, match="zone"):
        replace(ENTRY, read_at=START.replace(tzinfo=None))
    with pytest.raises(ValueError, match="citations"):
        replace(ENTRY, cited=ENTRY.cited * (MAX_CITED + 1))


@pytest.mark.parametrize(
    ("hot", "warm"),
    [
        (timedelta(0), MINUTE),
        (MINUTE, timedelta(days=367)),
        (2 * MINUTE, MINUTE),
        (-MINUTE, MINUTE),
    ],
)
def test_ages_are_above_zero_and_hot_does_not_outlive_warm(hot: timedelta, warm: timedelta) -> None:
    with pytest.raises(ValueError, match="age"):
        Ages(hot=hot, warm=warm)
