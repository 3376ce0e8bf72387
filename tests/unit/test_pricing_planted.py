"""Bugs planted in the rule of the priced backlog: each check fails on the one it is there for. And how often it changes its mind."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from math import cos, tau
from random import Random
from types import ModuleType

import pytest

from pricing_making import AWAY, NOW, Rule, account, backlog, calm_run, cold, lowered, means, warm
from vigimesh.domain.control import pricing
from vigimesh.domain.control.measure import Measure
from vigimesh.domain.control.pricing import CALM_FOR_S, InForce, price

BOTH = InForce(ceilings=(cold(), warm()))
Check = Callable[[Rule], None]

#: Seconds of the noisy series, a look a second, and of one of its waves.
SERIES_S, WAVE_S = 3_600, 1_200
#: Changes over it: cold goes down once on each of the three waves and comes back once behind it. A rule that only compares
#: makes 64 to 104.
ALLOWED = 6


def check_unknown_lag_is_not_zero(rule: Rule) -> None:
    """While the lag of a lane is unknown, for however long, nothing is given back."""
    held = BOTH
    for at_s in range(0, 10 * int(CALM_FOR_S), 10):
        unknown: tuple[Measure | float, ...] = (0, 0, AWAY)
        held = rule([backlog(unknown)], means(account(1_000)), held, NOW + timedelta(seconds=at_s)).in_force
        assert len(held.ceilings) == 2


def check_unknown_account(rule: Rule) -> None:
    """While the account is unknown, nothing is given back and nothing added."""
    for before in (InForce(), BOTH):
        held = before
        for at_s in range(0, 10 * int(CALM_FOR_S), 10):
            waits = (0, 0, 9_999 * (at_s % 20))
            held = rule([backlog(waits)], means(AWAY), held, NOW + timedelta(seconds=at_s)).in_force
            assert len(held.ceilings) == len(before.ceilings)


def check_never_hot(rule: Rule) -> None:
    assert lowered(rule([backlog((999, 999, 999))], means(account(0)), InForce(), NOW)) == ["cold", "warm"]


def check_tighter_window(rule: Rule) -> None:
    for purse in (account(month_left=9_999, day_left=5), account(month_left=5, day_left=9_999)):
        assert lowered(rule([backlog((0, 0, 1))], means(purse), InForce(), NOW)) == ["cold"]


def check_calm_lasts(rule: Rule) -> None:
    script = [(0.0, (0, 0, 101)), (1.0, (0, 0, 0)), (CALM_FOR_S, (0, 0, 0))]
    assert calm_run(script, rule=rule)[-1] == ["cold"]
    assert calm_run([*script, (CALM_FOR_S + 1, (0, 0, 0))], rule=rule)[-1] == []


def check_between(rule: Rule) -> None:
    """Between calm and too dear nothing comes back, however long."""
    assert calm_run([(0, (0, 0, 101)), (1, (0, 0, 90)), (600, (0, 0, 90)), (1_200, (0, 0, 90))], rule=rule)[
        -1
    ] == ["cold"]


def check_steady(rule: Rule) -> None:
    """An hour of noise around what is left changes no more than its waves do."""
    assert changes(rule) <= ALLOWED


def check_worth_it(rule: Rule) -> None:
    """With nothing left, a case every two minutes: cold goes down with the first, and stays."""
    script = [(at_s, (0, 0, float(at_s % 120 == 0))) for at_s in range(0, 1_200, 20)]
    assert set(map(tuple, calm_run(script, left=0, rule=rule))) == {("cold",)}


CHECKS: dict[str, Check] = {
    "unknown lag": check_unknown_lag_is_not_zero, "unknown account": check_unknown_account, "never hot": check_never_hot,
    "tighter window": check_tighter_window, "calm lasts": check_calm_lasts, "steady": check_steady, "between": check_between,
    "worth it": check_worth_it,
}  # fmt: skip

#: What is planted: the text that is there, what stands there instead, and the check that must see it.
PLANTED = {
    "unknown lag read as zero": ("if dear or work.unknown is not None or not standing", "if dear or not standing", "unknown lag"),
    "unknown account read as spent": (
        "if isinstance(account, Unknown):\n        return account\n    money",
        "if isinstance(account, Unknown):\n        return WindowStanding('day', '', 0, 0, 0, 0, 0, False)\n    money",
        "unknown account",
    ),
    "unknown account lifts": ("ceilings += (replace(one, calm_since=None) for one in held)", "pass", "unknown account"),
    "hot goes down too": ('LOWERED = ("cold", "warm")', 'LOWERED = ("cold", "warm", "hot")', "never hot"),
    "the day alone counts": ("for name in RAISABLE for", "for name in ('day',) for", "tighter window"),
    "loosens at once": ("if now - calm_since >= timedelta(seconds=CALM_FOR_S)", "if now >= calm_since", "calm lasts"),
    "no calm, no share": ("left * CALM_PERCENT:  # 6.\n        return still", "left * 100:\n        return still\n    return still[:-1]", "steady"),
    "loosens at what is left": ("CALM_PERCENT = 80", "CALM_PERCENT = 100", "between"),
    "loosens without a case's worth": ("max(work.price(lowered[:-1]), one_case)", "work.price(lowered[:-1])", "worth it"),
}  # fmt: skip


def planted(monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> Rule:
    """Return the rule of a module whose text is changed; the text must be there, once."""
    text = inspect.getsource(pricing)
    assert text.count(old) == 1
    module = ModuleType("planted_pricing")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(text.replace(old, new), module.__name__, "exec"), module.__dict__)
    rule: Rule = module.price
    return rule


@pytest.mark.parametrize("check", CHECKS)
def test_without_a_bug_every_check_passes(check: str) -> None:
    CHECKS[check](price)


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found(monkeypatch: pytest.MonkeyPatch, bug: str) -> None:
    old, new, check = PLANTED[bug]
    rule = planted(monkeypatch, old, new)
    with pytest.raises(AssertionError):
        CHECKS[check](rule)


def noise(seed: int) -> list[float]:
    """Return the cold records that wait, a value a second: waves of 20 minutes around the 100 that can be paid, with noise.

    The noise is a fifth of what can be paid (two standard deviations), and comes and goes within some 10 s, as bursts do.
    """
    chance, swing, seen = Random(seed), 0.0, []
    for second in range(SERIES_S):
        swing = 0.9 * swing + chance.gauss(0, 5)
        seen.append(float(max(0, round(100 - 60 * cos(tau * second / WAVE_S) + swing))))
    return seen


def changes(rule: Rule, seed: int = 7) -> int:
    """Return how often the rule changes its mind over an hour of noise."""
    seen = calm_run([(at_s, (0, 0, waits)) for at_s, waits in enumerate(noise(seed))], rule=rule)
    return sum(before != after for before, after in pairwise([[], *seen]))


@pytest.mark.parametrize("seed", range(5))
def test_noise_does_not_make_it_flap(seed: int) -> None:
    bare = [waits * 10 > 1_000 for waits in noise(seed)]
    assert sum(before != after for before, after in pairwise(bare)) > 10 * ALLOWED, "the series must be noisy"
    assert changes(price, seed) == ALLOWED
