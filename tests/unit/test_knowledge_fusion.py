"""Two sides of a search become one order; a side that keeps something back is found out; a vector is the same everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigimesh.domain.knowledge.fusion import (
    LISTED_SCORE,
    VECTOR_WEIGHT,
    K,
    Near,
    by_words,
    fused,
    passage_text,
    whole,
)
from vigimesh.domain.knowledge.leaving import may_leave, product_names
from vigimesh.domain.knowledge.questions import Scope
from vigimesh.domain.knowledge.vectors import STEPS, on_grid
from vigimesh.errors import Broken
from vigimesh.events.knowledge import Passage


def near(place: int, score: float, document: str = "product/a") -> Near:
    passage = Passage(
        document_id=document, version="1.0", section="S", start=place, end=place + 1, text="x", score=score
    )
    return Near(passage=passage, place=place, score=score)


def places(found: list[Near]) -> list[int]:
    return [one.place for one in found]


def test_the_sum_of_reciprocal_ranks_orders() -> None:
    text = [near(1, 9.0), near(2, 8.0), near(3, 7.0)]
    vectors = [near(3, 0.9), near(4, 0.8), near(1, 0.7)]
    found = fused(text, vectors, 4)
    # 1: 1/61 + w/63; 3: 1/63 + w/61; 2: 1/62; 4: w/62.
    assert [hit.passage.start for hit in found.hits] == [1, 3, 2, 4]
    assert [(hit.text_rank, hit.vector_rank) for hit in found.hits] == [(1, 3), (3, 1), (2, None), (None, 2)]
    assert found.hits[0].passage.score == round(1 / (K + 1) + VECTOR_WEIGHT / (K + 3), 6)
    assert found.hits[1].cosine == 0.9
    assert found.alone == ""


def test_what_no_word_matched_has_no_rank_among_words() -> None:
    text = [near(1, 0.0), near(2, 0.0)]
    found = fused(text, [near(2, 0.4), near(1, 0.3)], 2)
    assert [(hit.passage.start, hit.text_rank) for hit in found.hits] == [(2, None), (1, None)]


def test_where_no_word_matched_places_of_listed_reactions_share_a_rank_and_vectors_decide() -> None:
    text = [near(1, LISTED_SCORE), near(2, LISTED_SCORE), near(3, 10.0)]
    found = fused(text, [near(3, 0.5), near(2, 0.4), near(1, 0.3)], 3)
    assert [(hit.passage.start, hit.text_rank) for hit in found.hits] == [(2, 1), (1, 1), (3, 3)]


def test_of_what_words_score_alike_the_first_place_is_the_better_one() -> None:
    text = [near(1, 40.0), near(2, 40.0), near(3, 10.0)]
    found = fused(text, [near(3, 0.5), near(2, 0.4), near(1, 0.3)], 3)
    assert [(hit.passage.start, hit.text_rank) for hit in found.hits] == [(1, 1), (2, 2), (3, 3)]


def test_a_rank_of_the_vectors_counts_less_than_one_of_the_words() -> None:
    worded, other = (
        [near(at, 100.0 - at) for at in range(6)],
        [near(at, 1.0 - at / 100) for at in range(6, 12)],
    )
    assert [hit.passage.start for hit in fused(worded, other, 7).hits] == [0, 1, 2, 3, 4, 5, 6]
    # But it parts what words hold to be nearly alike.
    far = [near(1, 0.9), *(near(at, 0.5 - at / 100) for at in range(20, 39)), near(0, 0.1)]
    assert [hit.passage.start for hit in fused(worded, far, 2).hits] == [1, 0]


@given(
    st.lists(st.integers(0, 30), unique=True, max_size=20),
    st.lists(st.integers(0, 30), unique=True, max_size=20),
    st.integers(1, 50),
)
def test_nothing_is_made_up_and_nothing_is_lost(text: list[int], vectors: list[int], limit: int) -> None:
    one = [near(place, 100.0 - at) for at, place in enumerate(text)]
    other = [near(place, 1.0 - at / 100) for at, place in enumerate(vectors)]
    hits = fused(one, other, limit).hits
    assert len(hits) == min(limit, len({*text, *vectors}))
    assert len({hit.passage.start for hit in hits}) == len(hits)
    for hit in hits:
        assert hit.text_rank == (text.index(hit.passage.start) + 1 if hit.passage.start in text else None)
        assert hit.vector_rank == (
            vectors.index(hit.passage.start) + 1 if hit.passage.start in vectors else None
        )
    if text and vectors and text[0] == vectors[0]:
        assert hits[0].passage.start == text[0]


def test_words_alone_keep_their_order_and_say_why() -> None:
    found = by_words([near(2, 3.0), near(1, 0.0)], 5, "away")
    assert [(hit.passage.start, hit.text_rank, hit.vector_rank) for hit in found.hits] == [
        (2, 1, None),
        (1, 2, None),
    ]
    assert (found.alone, found.passages[0].score) == ("away", 3.0)


@pytest.mark.parametrize(("held", "asked", "came"), [(5, 3, 2), (2, 20, 1), (1, 1, 0)])
def test_fewer_than_were_due_is_an_error_not_an_answer(held: int, asked: int, came: int) -> None:
    with pytest.raises(Broken, match="VM-2610"):
        whole([near(at, 0.5) for at in range(came)], held, asked, "question")


@pytest.mark.parametrize(("held", "asked", "came"), [(5, 3, 3), (2, 20, 2), (0, 3, 0)])
def test_all_that_were_due_are_an_answer(held: int, asked: int, came: int) -> None:
    found = [near(at, 0.5) for at in range(came)]
    assert whole(found, held, asked, "question") == found


def test_a_cosine_is_the_same_in_whatever_order_it_is_added() -> None:
    chance = np.random.default_rng(7)
    rows = on_grid(chance.normal(size=(64, 384)).astype(np.float32))
    assert np.array_equal(rows * STEPS, np.rint(rows * STEPS))
    exact = rows.astype(np.float64) @ rows[0].astype(np.float64)
    for _ in range(20):
        order = chance.permutation(384)
        total = np.zeros(64, np.float32)
        for at in order:
            total += rows[:, at] * rows[0, at]
        assert np.array_equal(total.astype(np.float64), exact)
    assert np.abs(np.linalg.norm(rows, axis=1) - 1).max() < 0.01


def test_a_vector_off_the_grid_would_not_be() -> None:
    chance = np.random.default_rng(7)
    rows = chance.normal(size=(64, 384)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    exact = rows.astype(np.float64) @ rows[0].astype(np.float64)
    total = np.zeros(64, np.float32)
    for at in chance.permutation(384):
        total += rows[:, at] * rows[0, at]
    assert not np.array_equal(total.astype(np.float64), exact)


@pytest.mark.parametrize(
    "bad", [np.zeros(3, np.float32), np.array([[1.0, np.inf]], np.float32), np.zeros((1, 5_000), np.float32)]
)
def test_rows_that_are_none_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="vectors"):
        on_grid(bad)


def test_nothing_at_all_stays_nothing() -> None:
    assert not on_grid(np.zeros((2, 4), np.float32)).any()


def test_a_passage_is_embedded_with_what_stands_above_it() -> None:
    assert passage_text("Torvexil", "6 Reactions > 6.1 Trials", "Table 2", "Rash 3 %") == (
        "Torvexil. 6 Reactions > 6.1 Trials\nTable 2\nRash 3 %"
    )
    assert passage_text("Torvexil", "Torvexil > Dose", "", "5 mg") == "Torvexil > Dose\n5 mg"
    assert passage_text("Torvexil", "", "", "5 mg") == "Torvexil\n5 mg"


SCOPE = Scope.of([("product/torvexil", ("Torvexil",), ("TVX",))])


@pytest.mark.parametrize(
    "question", ["Torvexil Nausea", "Torvexil Injection site pain", "torvexil rash", "TVX Hepatitis"]
)
def test_a_question_that_names_nobody_may_leave(question: str) -> None:
    assert may_leave(question, SCOPE, product_names(SCOPE))


@pytest.mark.parametrize(
    "question",
    [
        "Torvexil rash seen by John Miller",
        "Torvexil Kowalska had a fall",
        "Torvexil rash, call 555-201-3344",
        "Torvexil Nausea jane.doe@example.org",
        "Unknown product Rash",
        "quality complaint from Anna Schmidt",
    ],
)
def test_a_question_that_may_name_somebody_stays(question: str) -> None:
    assert not may_leave(question, SCOPE, product_names(SCOPE))
