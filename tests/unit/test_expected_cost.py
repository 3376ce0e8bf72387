"""What a case is expected to cost: dear until something is known, then what was spent, and old prices are forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vigimesh.domain.control.costs import (
    PRIOR_CASES,
    REMEMBERED_CASES,
    Learned,
    expected_micro,
    learn,
    prior_micro,
)


def test_before_anything_is_known_one_case_in_ten_costs_its_cap() -> None:
    assert prior_micro(50_000) == 5_000
    assert prior_micro(1) == 1, "rounded up: never free"
    assert expected_micro(Learned(), 5_000) == 5_000


def test_what_was_spent_counts_more_and_more() -> None:
    assert expected_micro(Learned(spent_micro=0, cases=PRIOR_CASES), 5_000) == 2_500
    assert expected_micro(Learned(spent_micro=1_000_000, cases=1_000), 5_000) == 1_079
    assert expected_micro(Learned(spent_micro=1, cases=1_000), 0) == 1


def test_what_went_down_is_no_news() -> None:
    known = Learned(spent_micro=100, cases=10)
    assert learn(known, -1, 5) == known, "a new month"
    assert learn(known, 5, -1) == known, "totals made anew"
    assert learn(known, 5, 1) == Learned(spent_micro=105, cases=11)


def test_a_new_price_is_noticed() -> None:
    known = Learned()
    for _ in range(100):
        known = learn(known, 100_000, 100)
    assert expected_micro(known, 1_000) == 1_000
    for _ in range(200):
        known = learn(known, 300_000, 100)
    assert 2_900 < expected_micro(known, 1_000) <= 3_000


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10_000)), max_size=50))
def test_the_estimate_stays_between_the_least_and_the_most(seen: list[tuple[int, int]]) -> None:
    known = Learned()
    for spent, cases in seen:
        known = learn(known, spent, cases)
        assert 0 <= known.cases <= max(REMEMBERED_CASES, cases + REMEMBERED_CASES)
        assert expected_micro(known, 7) >= 0
