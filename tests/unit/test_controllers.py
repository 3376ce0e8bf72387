"""The comparison of four controllers, on a share of its month: each fails as it must, and ours holds."""

from __future__ import annotations

from functools import cache

import pytest

import controllers
import month
from month import World
from vigimesh.domain.budget.rule import Books

#: A fiftieth of the cases, and of the money.
SHARE = 0.02
MONEY = round(month.MONTH_MICRO * SHARE)


def world_of(controller: object) -> World:
    world = World(controller=controller, cases=month.arrivals(1, share=SHARE), month_micro=MONEY)  # type: ignore[arg-type]
    world.run()
    return world


@cache
def figures(name: str) -> dict[str, float]:
    return controllers.figures(world_of(controllers.CONTROLLERS[name]()))


def test_ours_overspends_nothing_refuses_nobody_falsely_and_is_late_for_none() -> None:
    found = figures("ours")
    assert (found["overspend_micro"], found["false_refusals"], found["late_cases"]) == (0, 0, 0)
    assert 0 < found["spend_micro"] <= MONEY
    assert found["hot_p99_s"] == min(figures(name)["hot_p99_s"] for name in controllers.CONTROLLERS)


def test_the_others_fail_as_is_known_of_them() -> None:
    assert figures("none")["overspend_micro"] > MONEY / 2
    assert figures("spend_cap")["overspend_micro"] > 0, "what is under way is not counted"
    assert figures("spend_cap")["late_cases"] > 0, "refused until the month ends"
    assert figures("queue_gate")["false_refusals"] == 0 or figures("queue_gate")["overspend_micro"] > 0


def test_every_case_is_concluded_and_the_same_seed_says_the_same() -> None:
    assert month.arrivals(3, share=SHARE)[0].came_s == month.arrivals(3, share=SHARE)[0].came_s
    for name in controllers.CONTROLLERS:
        world = world_of(controllers.CONTROLLERS[name]())
        assert [case.number for case in world.cases if case.concluded_s is None] == []
        assert controllers.figures(world) == figures(name)


def test_a_budget_that_forgets_what_is_open_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    reserve = Books.reserve

    def forgetting(self: Books, ask: object) -> object:
        told = reserve(self, ask)  # type: ignore[arg-type]
        for place, sums in self.sums.items():
            if place[1] == "month":
                sums.enforced = sums.recorded
        return told

    monkeypatch.setattr(Books, "reserve", forgetting)
    assert controllers.figures(world_of(controllers.Ours()))["overspend_micro"] > 0
