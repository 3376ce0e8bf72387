"""The rule against a book-keeper who adds everything up anew each time: nothing overspent, nothing refused falsely."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from budgets import CAPS, NOON, ask, booked
from vigimesh.domain.budget.rule import Books, rebuilt
from vigimesh.domain.budget.values import Booked, Denied, Reserved, State
from vigimesh.domain.budget.windows import Window, span

CALLS = st.sampled_from([f"call-{n}" for n in range(12)])
#: Around the ends of a minute, a day and a month.
TIMES = st.sampled_from([0, 29, 30, 43_169, 43_170, 2 * 86_400 + 43_169, 2 * 86_400 + 43_170])
STEP = st.one_of(
    st.tuples(st.just("reserve"), CALLS, st.integers(0, 220), TIMES, st.sampled_from("xyz")),
    # Never above what was reserved: an overrun has a test of its own.
    st.tuples(st.just("settle"), CALLS, st.floats(0, 1)),
    st.tuples(st.just("release"), CALLS),
)


@dataclass
class Ledger:
    """What was held for each call, when and for which case: nothing is summed before it is asked for."""

    rows: dict[str, tuple[datetime, str, int, str]] = field(default_factory=dict)

    def sum(self, window: Window, at: datetime, case: str) -> int:
        total = 0
        for row_at, row_case, amount, _ in self.rows.values():
            same = row_case == case if window == "case" else span(window, row_at) == span(window, at)
            total += (1 if window == "minute" else amount) if same else 0
        return total

    def fits(self, at: datetime, case: str, worst: int) -> bool:
        return all(
            self.sum(window, at, case) + (1 if window == "minute" else worst) <= CAPS.of_window(window)
            for window in ("minute", "day", "month", "case")
        )


@settings(max_examples=300)
@given(st.lists(STEP, max_size=60))
def test_admitted_exactly_when_everything_summed_anew_fits(steps: list[tuple[Any, ...]]) -> None:
    books, ledger = Books(), Ledger()
    for word, call, *rest in steps:
        held = ledger.rows.get(call)
        if word == "reserve":
            worst, at, case = rest[0], NOON + timedelta(seconds=rest[1]), rest[2]
            answer = books.reserve(ask(call, worst, at=at, case_id=case))
            if held is None:
                assert isinstance(answer, Reserved) is ledger.fits(at, case, worst), answer
            if isinstance(answer, Reserved):
                ledger.rows.setdefault(call, (at, case, worst, "open"))
            else:
                assert isinstance(answer, Denied)
                assert answer.recorded_micro + answer.open_micro + answer.asked_micro > answer.cap_micro
                if answer.cause == "held":
                    assert answer.recorded_micro + answer.asked_micro <= answer.cap_micro
                    assert answer.opens_at is not None
                    assert at < answer.opens_at
        elif word == "settle" and held is not None:
            at, case, worst, state = held
            actual = int(worst * rest[0])
            books.settle(call, "triage", actual)
            if state == "open":
                ledger.rows[call] = (at, case, actual, "settled")
        elif word == "release":
            books.release(call, "triage")
            if held is not None and held[3] == "open":
                del ledger.rows[call]
    for seconds in (0, 30, 43_170, 2 * 86_400 + 43_170):
        at = NOON + timedelta(seconds=seconds)
        found = books.standing("triage", CAPS, at, "e")
        assert found.holds
        assert [one.enforced_micro for one in found.windows] == [
            ledger.sum(window, at, "") for window in ("minute", "day", "month")
        ]


STATES: st.SearchStrategy[State] = st.sampled_from(["open", "settled", "in_doubt"])


@given(st.lists(st.builds(booked, CALLS, st.integers(0, 300), STATES), max_size=20), st.randoms())
def test_books_rebuilt_do_not_depend_on_the_order_of_rows_nor_on_how_often_they_come(
    rows: list[Booked], chance: Any
) -> None:
    mixed = [*rows, *rows]
    chance.shuffle(mixed)
    assert rebuilt(mixed).standing("triage", CAPS, NOON, "e") == rebuilt(rows).standing(
        "triage", CAPS, NOON, "e"
    )
    assert rebuilt(rows).standing("triage", CAPS, NOON, "e").holds


@given(st.lists(st.tuples(st.integers(0, 100), st.booleans()), max_size=12))
def test_books_rebuilt_from_the_journal_stand_as_those_that_were_lost(calls: list[tuple[int, bool]]) -> None:
    books, rows = Books(), []
    for number, (amount, settled) in enumerate(calls):
        if isinstance(books.reserve(ask(f"call-{number}", amount)), Denied):
            continue
        if settled:
            books.settle(f"call-{number}", "triage", amount // 2)
        rows.append(
            booked(f"call-{number}", amount // 2 if settled else amount, "settled" if settled else "open")
        )
    assert rebuilt(rows).standing("triage", CAPS, NOON, "e") == books.standing("triage", CAPS, NOON, "e")
