"""Who may wait for money (P3): only what is triaged, valid and not serious, while its legal clock leaves room."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from vigimesh.domain.budget.waiting import LONGEST, ROOM, SPREAD, waits_until
from vigimesh.events.classes import Clock, Triage

CAME, OPENS = datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
CALM = Triage(valid=True, serious="no", grade=1, clock=Clock(rule="eu_90_days", due_at=OPENS + SPREAD + ROOM))


def waits(
    triage: Triage, lane: str, opens_at: datetime | None = OPENS, *, name: str = "call"
) -> datetime | None:
    return waits_until(triage, lane, CAME, opens_at, name)


def test_one_that_is_not_serious_waits_while_its_clock_leaves_room() -> None:
    for lane in ("cold", "warm"):
        back_at = waits(CALM, lane)
        assert back_at is not None
        assert OPENS <= back_at < OPENS + SPREAD
    late = replace(CALM, clock=Clock(rule="eu_90_days", due_at=OPENS + ROOM - timedelta(seconds=1)))
    assert waits(late, "cold") is None


def test_those_that_wait_for_the_same_moment_come_back_one_after_the_other() -> None:
    backs = sorted(back for number in range(200) if (back := waits(CALM, "cold", name=str(number))))
    assert len(set(backs)) == 200
    assert backs[-1] - backs[0] > SPREAD / 2


def test_who_came_a_moment_ago_comes_back_as_soon_and_waits_longer_each_time() -> None:
    """Held up by calls under way, a burst comes back no quicker than it came; what came long ago, over `SPREAD` at most."""
    for waited in (timedelta(seconds=90), timedelta(minutes=10), 2 * SPREAD):
        opens_at, spread = CAME + waited, min(waited, SPREAD)
        backs = [back for number in range(200) if (back := waits(CALM, "cold", opens_at, name=str(number)))]
        assert len(backs) == 200
        assert opens_at <= min(backs)
        assert opens_at + spread / 2 < max(backs) < opens_at + spread
    assert waits(CALM, "cold", CAME - timedelta(seconds=1)) == CAME - timedelta(seconds=1)


def test_without_a_clock_it_waits_too_and_not_for_ever() -> None:
    free = replace(CALM, clock=Clock())
    assert waits(free, "cold") is not None
    assert waits(free, "cold", CAME + LONGEST) is None


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
    assert waits(triage, "cold") is None


def test_nothing_hot_waits_and_nothing_without_a_moment() -> None:
    assert waits(CALM, "hot") is None
    assert waits(CALM, "cold", None) is None
