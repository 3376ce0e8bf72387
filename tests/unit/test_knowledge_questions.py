"""How a question is understood: whose document may answer it, and by which words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigimesh.domain.knowledge.questions import MAX_NAMED, MAX_WORDS, Scope, key, understand, words

SCOPE = Scope.of(
    [
        ("vaccine/dtp", (), ("DTP", "DTP + HIB")),
        ("vaccine/hib", (), ("HIB",)),
        ("vaccine/hep-a", (), ("HEP A",)),
        ("vaccine/flu", (), ("INFLUENZA", "INFLUENZA (SEASONAL)")),
        ("vaccine/mmr", (), ("MEASLES", "MEASLES + MUMPS + RUBELLA")),
        ("vaccine/opv", (), ("POLIO VIRUS, ORAL",)),
        ("product/torvexil", ("Torvexil", "torvexilate"), ()),
        ("product/zelphorin", ("Zelphorin",), ()),
    ]
)


@pytest.mark.parametrize(
    ("question", "document", "phrase"),
    [
        ("DTP Pyrexia", "vaccine/dtp", "pyrexia"),
        ("dtp   PYREXIA", "vaccine/dtp", "pyrexia"),
        ("DTP (NO BRAND NAME) Injection site pain", "vaccine/dtp", "injection site pain"),
        ("DTP + HIB (SOME BRAND) Crying", "vaccine/dtp", "crying"),
        ("HIB + HEP B (SOME BRAND) Crying", "", "hib hep b some brand crying"),
        ("HEP A (BRAND) + HEP B Crying", "", "hep brand hep b crying"),
        ("Torvexil/Zelphorin Rash", "", "torvexil zelphorin rash"),
        ("Torvexil & others Rash", "", "torvexil other rash"),
        ("INFLUENZA (SEASONAL) (BRAND) Chills", "vaccine/flu", "chill"),
        ("MEASLES + MUMPS + RUBELLA (BRAND II) Rash maculo-papular", "vaccine/mmr", "rash maculo papular"),
        ("MEASLES + VARICELLA Rash", "", "measle varicella rash"),
        ("POLIO VIRUS, ORAL (BRAND) Vomiting", "vaccine/opv", "vomiting"),
        ("Torvexil 10 mg Dizziness", "product/torvexil", "dizziness"),
        ("Torvexil 10mg tablets Dizziness", "product/torvexil", "tablet dizziness"),
        ("torvexilate Dizziness", "product/torvexil", "dizziness"),
        ("DTPX Crying", "", "dtpx crying"),
        ("Unknown Influenza", "", "unknown influenza"),
        ("DTP", "vaccine/dtp", ""),
        ("", "", ""),
        ("()+/ \x00", "", ""),
    ],
)
def test_only_a_name_at_the_start_makes_it_about_a_product(question: str, document: str, phrase: str) -> None:
    query = understand(question, SCOPE)
    assert (query.only, " ".join(query.phrase)) == (document, phrase)


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("Protocol amendment for Torvexil", ("product/torvexil",)),
        ("Interaction of Zelphorin and Torvexil", ("product/zelphorin", "product/torvexil")),
        ("A study of Torvexil + Zelphorin", ()),
        ("A study of DTP", ()),
        ("Torvexil Rash", ()),
    ],
)
def test_a_distinctive_name_counts_anywhere(question: str, named: tuple[str, ...]) -> None:
    assert understand(question, SCOPE).named == named


def test_words_fold_plurals_and_leave_out_what_says_nothing() -> None:
    assert words("The tablets of this Illness and its Diagnosis & virus") == [
        "tablet",
        "illness",
        "diagnosis",
        "virus",
    ]


def test_the_key_is_the_question_not_its_spelling() -> None:
    assert key("DTP  Pyrexia") == key("dtp pyrexia") != key("dtp chills")
    assert len(key("x")) == 32


def test_one_name_of_two_documents_goes_to_the_first_by_id() -> None:
    scope = Scope.of([("b", (), ("X",)), ("a", (), ("x",))])
    assert understand("X rash", scope).only == "a"


def test_a_name_without_a_word_is_no_name() -> None:
    assert understand("rash", Scope.of([("a", ("",), ("()",))])).only == ""


@given(st.text(max_size=2000))
def test_any_question_is_understood_within_bounds(question: str) -> None:
    query = understand(question, SCOPE)
    assert len(query.phrase) <= MAX_WORDS
    assert len(query.named) <= MAX_NAMED
    assert set(query.words) == set(query.phrase)
    assert all(word.isalnum() for word in query.words)
