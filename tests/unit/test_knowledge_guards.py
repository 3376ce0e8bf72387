"""The guards of a semantic match, with similarity taken as 1: no minimal pair shares an answer, and paraphrases do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from question_pairs import HELD, KINDS, NAMES, TUNED, Pair, adversarial, paraphrases
from vigimesh.domain.knowledge.facets import Facets, Guard, Measure, facets
from vigimesh.domain.knowledge.guards import GUARDS, Agreement, agreement, signature
from vigimesh.domain.knowledge.questions import QUESTION_CHARACTERS, Scope

#: Minimal pairs tried in this test; the goal of the cache is none served of at least 3,000.
PAIRS = 3_600
#: Pairs of one kind that its own guard must part itself, not only the guard of words.
OWN: Mapping[str, tuple[Guard, ...]] = {
    "dose": ("strength", "unit"),
    "unit": ("unit",),
    "schedule": ("schedule",),
    "drug": ("drug", "words"),
    "negation": ("negation", "words"),
    "with_without": ("with_without",),
    "population": ("population", "negation", "with_without", "words"),
    "route": ("route",),
    "number": ("number",),
    "version": ("version", "number"),
    "reaction": ("words",),
    "order": GUARDS,
}
FAMILY = Scope.of(
    [("vaccine/mmr", (), ("MMR", "MEASLES", "MUMPS", "MEASLES + MUMPS")), ("product/x", ("Xenol",), ())]
)


def said(question: str, version: str = "1", names: Scope = NAMES) -> Facets:
    return facets(question, names, version)


def between(one: str, other: str) -> Agreement:
    return agreement(said(one), said(other))


@cache
def minimal_pairs() -> tuple[tuple[Pair, Facets, Facets], ...]:
    pairs = adversarial(PAIRS, Random(9))
    return tuple(
        (pair, said(pair.one, pair.version_one), said(pair.other, pair.version_other)) for pair in pairs
    )


def test_no_minimal_pair_shares_an_answer() -> None:
    kinds = Counter(pair.kind for pair, _, _ in minimal_pairs())
    assert len(minimal_pairs()) == PAIRS
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) >= 200
    assert [pair for pair, one, other in minimal_pairs() if agreement(one, other).holds] == []


def test_each_kind_is_parted_by_a_guard_of_its_own() -> None:
    seen: Counter[str] = Counter()
    for pair, one, other in minimal_pairs():
        seen[pair.kind] += bool(set(OWN[pair.kind]).intersection(agreement(one, other).parted_by))
    kinds = Counter(pair.kind for pair, _, _ in minimal_pairs())
    assert {kind: count for kind, count in seen.items() if count < 0.9 * kinds[kind]} == {}


#: What a guard compares, made alike: the guard taken away.
WITHOUT: Mapping[Guard, Callable[[Facets], Facets]] = {
    "version": lambda one: replace(one, version="1"),
    "drug": lambda one: replace(one, drugs=()),
    "strength": lambda one: replace(one, strengths=tuple(replace(m, value=Fraction(1), upto=None) for m in one.strengths)),
    "unit": lambda one: replace(one, strengths=tuple(replace(m, base="", value=Fraction(m.written)) for m in one.strengths)),
    "schedule": lambda one: replace(one, schedules=()),
    "route": lambda one: replace(one, routes=()),
    "population": lambda one: replace(one, populations=()),
    "words": lambda one: replace(one, words=(), plain=True),
}  # fmt: skip


@pytest.mark.parametrize("guard", WITHOUT)
def test_a_guard_that_is_taken_away_is_missed(guard: Guard) -> None:
    blind = WITHOUT[guard]
    assert any(agreement(blind(one), blind(other)).holds for _, one, other in minimal_pairs())


@pytest.mark.parametrize(("frames", "least"), [(TUNED, 0.8), (HELD, 0.3)])
def test_paraphrases_are_let_through(frames: Mapping[str, tuple[str, ...]], least: float) -> None:
    pairs = paraphrases(600, Random(9), frames)
    served = sum(between(pair.one, pair.other).holds for pair in pairs)
    assert served / len(pairs) >= least


@pytest.mark.parametrize(
    ("one", "other", "guards"),
    [
        ("Torvexil rash", "Zelphorin rash", ("drug",)),
        ("Torvexil rash", "rash", ("drug",)),
        ("Torvexil and Zelphorin", "Zelphorin and Torvexil", ("drug", "words")),
        ("Torvexil 5 mg", "Torvexil 50 mg", ("strength",)),
        ("Torvexil 400 mg", "Torvexil 800 mg", ("strength",)),
        ("Torvexil 5-10 mg", "Torvexil 5-15 mg", ("strength",)),
        ("Torvexil 5 mg", "Torvexil", ("strength",)),
        ("Torvexil 5 mg", "Torvexil 5 g", ("unit",)),
        ("Torvexil 5 mg", "Torvexil 6 g", ("strength",)),
        ("Torvexil 5 mg", "Torvexil 5 mL", ("unit",)),
        ("Torvexil 5 mg", "Torvexil 5 mg/kg", ("unit",)),
        ("Torvexil 5 mmol", "Torvexil 5 mEq", ("unit",)),
        ("Torvexil 5 Gy", "Torvexil 5 Sv", ("unit",)),
        ("Torvexil 20 drops", "Torvexil 1 mL", ("unit",)),
        ("Torvexil 2 tablets", "Torvexil 2 capsules", ("unit",)),
        ("Torvexil 5 IU", "Torvexil 5 units", ("unit",)),
        ("Torvexil 5 mg once daily", "Torvexil 5 mg twice daily", ("schedule",)),
        ("Torvexil 5 mg every 6 hours", "Torvexil 5 mg every 8 hours", ("schedule",)),
        ("oral Torvexil", "intravenous Torvexil", ("route",)),
        ("rash 3 Torvexil", "rash 4 Torvexil", ("number",)),
        ("Torvexil label version 1.10", "Torvexil label version 1.1", ("number", "words")),
        ("Torvexil in adults", "Torvexil in children", ("population",)),
        ("Torvexil in pregnancy", "Torvexil", ("population",)),
        ("Torvexil in pregnant women", "Torvexil in breast-feeding women", ("population",)),
        ("Torvexil in a 7-year-old", "Torvexil in a 70-year-old", ("population",)),
        ("Torvexil in pregnant women", "Torvexil in non-pregnant women", ("negation", "words")),
        ("Is Torvexil listed?", "Isn't Torvexil listed?", ("negation", "words")),
        ("Torvexil with food", "Torvexil without food", ("with_without", "words")),
        ("Torvexil with food", "Torvexil w/o food", ("with_without", "words")),
        ("Torvexil on", "Torvexil off", ("words",)),
        ("Is Torvexil safe?", "Is Torvexil unsafe?", ("words",)),
        ("rash on Torvexil", "headache on Torvexil", ("words",)),
        ("Kelvaxin rash", "Kelvaxine rash", ("words",)),
        ("Kelvaxin rash", "Kelvaxins rash", ("words",)),
        ("effect of warfarin on Torvexil", "effect of Torvexil on warfarin", ("words",)),
        ("rash after Torvexil", "Torvexil after rash", ("words",)),
        ("hepatitis with Torvexil", "Torvexil in patients with hepatitis", ("words",)),
        ("headache with Torvexil", "Torvexil for headache", ("words",)),
        ("Can hepatitis patients take Torvexil?", "Can Torvexil cause hepatitis?", ("words",)),
        ("Can rash from Torvexil cause fever?", "Can fever from Torvexil cause rash?", ("words",)),
        ("Can neutropenic children take Torvexil?", "Can Torvexil cause neutropenia in children?", ("words",)),
        ("increase Torvexil", "high Torvexil", ("words",)),
        ("suicidal on Torvexil", "suicide on Torvexil", ("words",)),
        ("acute liver rash Torvexil", "liver acute rash Torvexil", ("words",)),
        ("hepatitis A with Torvexil", "hepatitis with Torvexil", ("words",)),
        ("hepatitis a with Torvexil", "hepatitis with Torvexil", ("words",)),
        ("Torvexil with vitamin A", "Torvexil with vitamin", ("words",)),
        ("Torvexil with a diuretic", "Torvexil with A diuretic", ("words",)),
        ("Torvexil rash May 2024", "Torvexil rash 2024", ("words",)),
        ("Torvexil rash 3 May", "Torvexil rash 3", ("words",)),
        ("Torvexil at 8 am", "Torvexil at 8", ("words",)),
        ("Torvexil dose >5 mg", "Torvexil dose <5 mg", ("words",)),
        ("rash and fever on Torvexil", "rash or fever on Torvexil", ("words",)),
        ("Can Torvexil be started?", "Must Torvexil be started?", ("words",)),
    ],
)  # fmt: skip
def test_what_parts_two_questions(one: str, other: str, guards: tuple[Guard, ...]) -> None:
    found = between(one, other)
    assert found.parted_by == tuple(guard for guard in GUARDS if guard in guards)
    assert not found.holds


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Torvexil rash", "TORVEXIL   Rash"),
        ("Torvexil rash", "torvexilate: rash?"),
        ("Does Torvexil cause hives?", "Is urticaria caused by Torvexil?"),
        ("Is rash a known side effect of Torvexil?", "Torvexil rash"),
        ("Torvexil 500 mg twice daily rash", "rash with torvexilate 0.5 g BID"),
        ("Torvexil 5 mg once daily", "5 mg Torvexil daily"),
        ("Torvexil 5 mg b.i.d. rash", "Torvexil 5 mg twice a day rash"),
        ("Is Torvexil safe i.v.?", "safety of intravenous Torvexil"),
        ("Torvexil five mg by mouth", "oral Torvexil 5mg"),
        ("Is Torvexil safe in pregnancy?", "safety of Torvexil in pregnant women"),
        ("Torvexil in a 7-year-old", "Torvexil in a 7 year old"),
        ("Torvexil without food", "Torvexil w/o food"),
        ("Torvexil cannot be crushed", "Torvexil can't be crushed"),
        ("Can Torvexil be given with food?", "Torvexil with food"),
        ("Does Torvexil cause a rash?", "May Torvexil cause rash?"),
    ],
)
def test_what_may_share_an_answer(one: str, other: str) -> None:
    assert between(one, other) == Agreement()
    assert between(one, other).why == "all guards agree"


@pytest.mark.parametrize(
    ("question", "guard"),
    [
        ("", "legible"),
        ("What is the?", "legible"),
        ("Torvexil " + "rash " * QUESTION_CHARACTERS, "legible"),
        ("Torvexil r\u0430sh", "legible"),
        ("Torvexil ra\u200bsh", "legible"),
        ("Torvexil wurde nicht wegen der Wirkung auf die Leber abgesetzt", "legible"),
        ("Torvexil 5 mg biweekly", "schedule"),
        ("Torvexil 5 Mg", "strength"),
        ("Torvexil in Mg", "unit"),
        ("Torvexil 5 km\u0433", "strength"),
        ("Torvexil 200-year-old", "population"),
        ("Torvexil five six", "number"),
    ],
)
def test_a_guard_that_cannot_tell_means_a_miss(question: str, guard: Guard) -> None:
    read = said(question)
    assert guard in read.unsure
    assert guard in agreement(read, read).unsure
    assert not agreement(read, read).holds
    assert signature(read) == ""


def test_no_version_is_not_the_same_version() -> None:
    unversioned = said("Torvexil rash", "")
    assert agreement(unversioned, unversioned).unsure == ("version",)
    found = agreement(unversioned, said("Zelphorin rash", "1"))
    assert found.why == "parted by version, drug; cannot tell: version"


def test_members_of_a_family_in_one_document_are_told_apart() -> None:
    one, other, both = (
        said(f"{name} rash", names=FAMILY) for name in ("MEASLES", "MUMPS", "MEASLES + MUMPS")
    )
    for left, right in ((one, other), (one, both), (other, both)):
        assert agreement(left, right).parted_by == ("drug",)


def test_the_longest_name_is_the_product() -> None:
    assert said("Aerolune Duo rash").drugs == ("product/aerolune-duo|",)
    assert between("Aerolune Duo rash", "Aerolune rash").parted_by == ("drug",)


def test_a_measure_is_exact_and_keeps_what_was_written() -> None:
    (measure,) = said("Torvexil 0.5 g").strengths
    assert (measure.value, measure.base, str(measure.written)) == (Fraction(1, 2), "g", "0.5")
    (ranged,) = said("Torvexil 5-10 mg").strengths
    assert isinstance(ranged, Measure)
    assert ranged.upto == Fraction(1, 100)


WORDS = st.sampled_from(
    "Torvexil Zelphorin warfarin rash hives fever not without with food 5 50 mg g mL daily twice in on for of after before "
    "children pregnant women oral IV the is cause caused by or and / + > patients 7-year-old version 1.10".split()
)
QUESTIONS = st.one_of(st.lists(WORDS, max_size=9).map(" ".join), st.text(max_size=60))


@settings(max_examples=300, deadline=None)
@given(QUESTIONS, QUESTIONS)
def test_agreement_is_symmetric_and_what_the_signature_says(one: str, other: str) -> None:
    mine, theirs = said(one), said(other)
    assert agreement(mine, theirs) == agreement(theirs, mine)
    assert agreement(mine, mine).holds == (not mine.unsure)
    assert agreement(mine, theirs).holds == (signature(mine) == signature(theirs) != "")


def test_the_signature_says_the_same_of_every_pair() -> None:
    for pair in paraphrases(200, Random(3), TUNED):
        mine, theirs = said(pair.one), said(pair.other)
        assert agreement(mine, theirs).holds == (signature(mine) == signature(theirs) != "")


def test_the_pairs_come_from_the_seed() -> None:
    assert adversarial(60, Random(1)) == adversarial(60, Random(1)) != adversarial(60, Random(2))
