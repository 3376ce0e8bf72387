"""What becomes of a reservation whose lease ran out: a table, and the bounds that make it safe."""

from __future__ import annotations

from datetime import timedelta

import pytest

from budgets import NOON, booked
from vigimesh.domain.budget.lapse import MAX_LEASE_S, Fate, Keep, Release, Settle, fate, is_of, reserved_at
from vigimesh.domain.budget.rule import REMEMBERED
from vigimesh.domain.budget.values import Booked, Lapsed
from vigimesh.tool_executor.purchase import lease_s

CASES = [
    ("never begun, or not made", None, Release()),
    ("answered", booked("a", 70, "settled"), Settle(70)),
    ("under way", booked("a", 100, "open"), Keep()),
    ("in doubt", booked("a", 100, "in_doubt"), Keep()),
    ("counted and forgotten before it was reserved", booked("a", 70, "settled", at=NOON - 2 * REMEMBERED), Release()),
    ("in doubt since long", booked("a", 100, "in_doubt", at=NOON - 2 * REMEMBERED), Keep()),
]  # fmt: skip


@pytest.mark.parametrize(("what", "row", "wanted"), CASES, ids=[case[0] for case in CASES])
def test_what_becomes_of_a_reservation(what: str, row: Booked | None, wanted: Fate) -> None:
    del what
    assert fate(Lapsed("a", "triage", NOON + timedelta(seconds=60)), row) == wanted


def test_a_calls_own_reservation_is_told_from_one_made_after_it_was_forgotten() -> None:
    longest = timedelta(seconds=MAX_LEASE_S)
    assert is_of(NOON + longest, NOON)
    # Settled at once, and forgotten `REMEMBERED` later: the earliest that another can be made, with the shortest lease.
    assert not is_of(NOON + REMEMBERED + timedelta(seconds=1), NOON)
    assert reserved_at(NOON + longest, MAX_LEASE_S) == NOON


def test_a_lease_outlasts_a_wait_a_call_and_its_writing_down_and_is_never_too_long() -> None:
    from spending import question

    asked = question()
    assert 2 * asked.deadline_s < lease_s(asked) <= MAX_LEASE_S
