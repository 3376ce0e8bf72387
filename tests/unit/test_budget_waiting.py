"""Who may wait for money (P3): only what is triaged, valid and not serious, while its legal clock leaves room."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from vigimesh.domain.budget.waiting import ROOM, waits_until
from vigimesh.events.classes import Clock, Triage

OPENS = datetime(2026, 4, 1, tzinfo=UTC)
CALM = Triage(valid=True, serious="no", grade=1, clock=Clock(rule="eu_90_days", due_at=OPENS + ROOM))


def test_one_that_is_not_serious_waits_while_its_clock_leaves_room() -> None:
    assert waits_until(CALM, "cold", OPENS) == OPENS
    assert waits_until(CALM, "warm", OPENS) == OPENS
    late = replace(CALM, clock=Clock(rule="eu_90_days", due_at=OPENS + ROOM - timedelta(seconds=1)))
    assert waits_until(late, "cold", OPENS) is None
    assert waits_until(replace(CALM, clock=Clock()), "cold", OPENS) == OPENS


@pytest.mark.parametrize(
    "triage",
    [
        replace(CALM, serious="yes", grade=3),
        replace(CALM, serious="yes", grade=1),
        replace(CALM, serious="unknown"),
        replace(CALM, grade=3),
        replace(CALM, valid=False),
        replace(CALM, clock=Clock(person_needed=True)),
    ],
)
def test_whatever_could_be_serious_never_waits(triage: Triage) -> None:
    assert waits_until(triage, "cold", OPENS) is None


def test_nothing_hot_waits_and_nothing_without_a_moment() -> None:
    assert waits_until(CALM, "hot", OPENS) is None
    assert waits_until(CALM, "cold", None) is None
