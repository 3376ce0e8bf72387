"""What is drawn from a seed: the same again, often enough, each kind."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from chaos.faults import KINDS, plan, short

TARGETS = ("planner.0", "planner.1", "router.0", "supervisor.0")


def test_a_seed_makes_the_same_faults_again() -> None:
    assert plan(7, 3.0, TARGETS) == plan(7, 3.0, TARGETS)
    assert plan(7, 3.0, TARGETS) != plan(8, 3.0, TARGETS)


@pytest.mark.parametrize("seed", range(20))
def test_each_minute_has_ten_faults_and_two_have_every_kind(seed: int) -> None:
    faults = plan(seed, 4.0, TARGETS)
    by_minute = Counter(int(fault.at_s // 60) for fault in faults)
    assert set(by_minute) == set(range(4))
    assert min(by_minute.values()) >= 10
    assert {fault.kind for fault in faults if fault.at_s < 120} == set(KINDS)
    assert [fault.at_s for fault in faults] == sorted(fault.at_s for fault in faults)


@pytest.mark.parametrize("seed", range(20))
def test_the_broker_has_a_minute_between_two_kills(seed: int) -> None:
    """Its keeper gives up a service that ends too often within a minute."""
    at_s = [fault.at_s for fault in plan(seed, 10.0, TARGETS) if fault.kind == "broker"]
    assert len(at_s) == 5
    assert all(later - earlier > 60 for earlier, later in itertools.pairwise(at_s))


def test_the_short_form_kills_each_stage_and_has_every_kind() -> None:
    faults = short(1, TARGETS)
    killed = {fault.target.partition(".")[0] for fault in faults if fault.kind == "kill"}
    assert killed == {"planner", "router", "supervisor"}
    assert {fault.kind for fault in faults} == set(KINDS)
