"""The backlog is priced: cold and then warm go down while it is too dear, never hot; unknown loosens nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing_making import (
    AWAY,
    NOW,
    account,
    backlog,
    calm_run,
    cold,
    lowered,
    means,
    warm,
)
from vigimesh.domain.budget.rule import Books
from vigimesh.domain.budget.values import Ask, Caps, Denied, Standing
from vigimesh.domain.control.calls import FLOOR, REDEAL_S
from vigimesh.domain.control.measure import Known, Measure, Unknown
from vigimesh.domain.control.pricing import (
    CALM_FOR_S,
    LOWERED,
    Account,
    InForce,
    Means,
    alarm_percent,
    price,
)

NOTHING = InForce()
COLD, BOTH = InForce(ceilings=(cold(),)), InForce(ceilings=(cold(), warm()))
MONTH_OUT = account(month_left=0, day_left=1_000)


@pytest.mark.parametrize(
    ("waits", "purse", "in_force", "expected"),
    [
        pytest.param((0, 0, 0), account(1_000), NOTHING, [], id="nothing waits"),
        pytest.param((10, 20, 70), account(1_000), NOTHING, [], id="costs just what is left"),
        pytest.param((10, 20, 71), account(1_000), NOTHING, ["cold"], id="a case too dear: cold goes down"),
        pytest.param((10, 91, 0), account(1_000), NOTHING, ["cold", "warm"], id="warm too dear: both, at once"),
        pytest.param((500, 0, 0), account(1_000), NOTHING, ["cold", "warm"], id="hot alone too dear: never hot"),
        pytest.param((0, 0, 1), account(0), NOTHING, ["cold"], id="nothing is left"),
        pytest.param((0, 0, 1), MONTH_OUT, NOTHING, ["cold"], id="the month is tighter than the day"),
        pytest.param((0, 0, 1), account(month_left=9_999, day_left=5), NOTHING, ["cold"], id="the day is tighter"),
        pytest.param((0, 0, 1), account(1_000, closed=True), NOTHING, ["cold"], id="an overrun closed the day"),
        pytest.param((0, 0, 0), account(0), NOTHING, [], id="nothing is left, and nothing waits"),
        pytest.param((0, 0, 90), account(1_000), COLD, ["cold"], id="neither dear nor calm: as it was"),
        pytest.param((0, 0, 10), account(1_000), COLD, ["cold"], id="calm, but only now"),
        pytest.param((0, 101, 0), account(1_000), COLD, ["cold", "warm"], id="cold is not enough"),
        pytest.param((0, 0, AWAY), account(1_000), NOTHING, [], id="unknown cold: nothing is added"),
        pytest.param((0, 0, AWAY), account(1_000), COLD, ["cold"], id="unknown cold: what is in force stays"),
        pytest.param((0, 101, AWAY), account(1_000), NOTHING, ["cold", "warm"], id="too dear by what is known alone"),
        pytest.param((0, 0, 9_999), AWAY, NOTHING, [], id="unknown account: nothing is added"),
        pytest.param((0, 0, 0), AWAY, BOTH, ["cold", "warm"], id="unknown account: what is in force stays"),
    ],
)  # fmt: skip
def test_which_lanes_are_lowered(
    waits: Sequence[float | Measure], purse: Account, in_force: InForce, expected: list[str]
) -> None:
    ruling = price([backlog(waits)], means(purse), in_force, NOW)
    assert lowered(ruling) == expected
    assert bool(ruling.unknown) is isinstance(purse, Unknown)


@pytest.mark.parametrize(
    ("tiers", "expected"),
    [
        (("tools", "small", "large"), "small"), (("tools", "large"), "tools"), (("tools", "large", "person"), "tools"),
        (("large",), "tools"),
    ],
)  # fmt: skip
def test_the_ceiling_is_the_dearest_permitted_tier_below_large(tiers: tuple[str, ...], expected: str) -> None:
    (ceiling,) = price([backlog((0, 0, 999), tiers=tiers)], means(account(0)), NOTHING, NOW).in_force.ceilings
    assert ceiling.tier == expected


def test_a_workflow_that_may_not_pay_or_is_gone_has_no_order() -> None:
    free = backlog((0, 0, 999), tiers=("tools", "small"))
    assert price([free], means(account(0)), BOTH, NOW).in_force == InForce()
    assert price([], means(account(0)), BOTH, NOW).in_force == InForce()


def test_each_workflow_is_judged_by_its_own_account() -> None:
    works = [backlog((0, 0, 50), workflow=name) for name in ("triage", "drafting", "signal")]
    purses = Means(accounts={"triage": account(499), "drafting": account(500), "signal": AWAY})
    ruling = price(works, purses, NOTHING, NOW)
    assert [(one.workflow, one.lane) for one in ruling.in_force.ceilings] == [("triage", "cold")]
    assert ruling.unknown == (AWAY.cause,)
    assert [(one.workflow, one.price) for one in ruling.priced] == [
        (name, Known(value=500)) for name in ("drafting", "signal", "triage")
    ]


def test_an_account_that_nobody_asked_for_is_unknown() -> None:
    ruling = price([backlog((0, 0, 50))], Means(accounts={}), COLD, NOW)
    assert lowered(ruling) == ["cold"]
    assert ruling.unknown


def test_the_reason_has_the_figures() -> None:
    (one,) = price(
        [backlog((0, 0, 71), cost=2_000_000)], means(account(100_000_000)), NOTHING, NOW
    ).in_force.ceilings
    assert one.reason == (
        "the backlog of triage would cost 142.00 EUR and its day has 100.00 EUR left: cold may ask up to small"
    )  # fmt: skip


def test_lanes_come_back_one_after_the_other_warm_first() -> None:
    dear, calm = (0, 101, 101), (1, 1, 1)
    both, only = ["cold", "warm"], ["cold"]
    wait = CALM_FOR_S
    # Calm begins to count anew at the look after a lane came back.
    assert calm_run([(0, dear), (1, calm), (wait, calm), (wait + 1, calm), (wait + 2, calm),
                     (2 * wait + 1, calm), (2 * wait + 2, calm)]) == [both, both, both, only, only, only, []]  # fmt: skip


@pytest.mark.parametrize("interruption", [(0, 0, 81), (0, 0, 101), (0, 0, AWAY), (AWAY, 0, 0)])
def test_calm_counts_only_when_it_lasts(interruption: Sequence[float | Measure]) -> None:
    steps = [(0, (0, 0, 101)), (5, (0, 0, 0)), (4 + CALM_FOR_S, interruption), (5 + CALM_FOR_S, (0, 0, 0))]
    assert calm_run([*steps, (4 + 2 * CALM_FOR_S, (0, 0, 0))])[-1] == ["cold"]
    assert calm_run([*steps, (5 + 2 * CALM_FOR_S, (0, 0, 0))])[-1] == []


def test_an_account_that_is_away_interrupts_calm_too() -> None:
    held = COLD
    for at_s, purse in ((0, account(1_000)), (CALM_FOR_S - 1, AWAY), (CALM_FOR_S, account(1_000))):
        held = price([backlog((0, 0, 0))], means(purse), held, NOW + timedelta(seconds=at_s)).in_force
    assert held.ceilings[0].calm_since == NOW + timedelta(seconds=CALM_FOR_S)


def test_with_nothing_left_a_lane_does_not_come_back_between_two_cases() -> None:
    """Lifted while nothing waits, it would be lowered by every single case that comes."""
    empty = [(at_s, (0, 0, 0)) for at_s in range(0, 600, 20)]
    assert calm_run([(0, (0, 0, 1)), *empty], left=0)[-1] == ["cold"]
    # It must be worth it: what is left pays a case at least, with room.
    assert calm_run([(0, (0, 0, 2)), *empty], left=12)[-1] == ["cold"]
    assert calm_run([(0, (0, 0, 2)), *empty], left=13)[-1] == []


RECORDS = st.one_of(st.just(AWAY), st.integers(0, 200).map(lambda n: Known(value=n)))
WAITS = st.tuples(RECORDS, RECORDS, RECORDS)
LEFT = st.integers(0, 3_000)
PURSE = st.one_of(st.just(AWAY), LEFT.map(account))
SCRIPT = st.lists(st.tuples(st.sampled_from([1, 20, 61]), WAITS, PURSE), max_size=30)


@given(SCRIPT)
def test_whatever_comes_hot_is_never_lowered_and_what_is_unknown_loosens_nothing(
    script: list[tuple[int, tuple[Measure, Measure, Measure], Account]],
) -> None:
    held, now = NOTHING, NOW
    for pause_s, waits, purse in script:
        now += timedelta(seconds=pause_s)
        work = backlog(waits)
        before, held = held.ceilings, price([work], means(purse), held, now).in_force
        assert [one.lane for one in held.ceilings] == list(LOWERED[: len(held.ceilings)])
        assert len(before) - len(held.ceilings) <= 1, "one lane at a time comes back"
        if work.unknown or isinstance(purse, Unknown):
            assert len(held.ceilings) >= len(before), "nothing is given back on what is not known"
        if isinstance(purse, Unknown):
            assert len(held.ceilings) == len(before)


@given(SCRIPT, st.lists(LEFT, min_size=30, max_size=30))
def test_less_money_never_raises_a_ceiling(
    script: list[tuple[int, tuple[Measure, Measure, Measure], Account]], less: list[int]
) -> None:
    rich, poor, now = NOTHING, NOTHING, NOW
    for (pause_s, waits, purse), fewer in zip(script, less, strict=False):
        now += timedelta(seconds=pause_s)
        smaller = account(max(0, _left(purse) - fewer)) if isinstance(purse, Standing) else purse
        rich = price([backlog(waits)], means(purse), rich, now).in_force
        poor = price([backlog(waits)], means(smaller), poor, now).in_force
        assert len(poor.ceilings) >= len(rich.ceilings)


def _left(purse: Standing) -> int:
    return min(one.left_micro for one in purse.windows if one.window != "minute")


SLACK = st.one_of(st.none(), st.just(AWAY), st.integers(-5, 5).map(lambda n: Known(value=n * 86_400)))
CALLERS = st.dictionaries(st.sampled_from("abcdef"), st.tuples(st.integers(0, 100), SLACK), min_size=1)


@given(st.lists(st.tuples(st.sampled_from([1, 61]), CALLERS), min_size=1, max_size=5), st.integers(0, 200))
def test_nobody_is_starved_and_the_limit_is_kept(
    script: list[tuple[int, dict[str, tuple[int, Measure | None]]]], limit: int
) -> None:
    held, now = NOTHING, NOW
    for pause_s, callers in script:
        now += timedelta(seconds=pause_s)
        works = [backlog((1, 0, 0), workflow=n, calls=c, slack=s) for n, (c, s) in callers.items()]
        held = price(works, Means(accounts={}, calls_per_minute=limit), held, now).in_force
        calls = {one.workflow: one.calls for one in held.shares}
        assert set(calls) == set(callers)
        assert all(FLOOR <= calls[name] <= max(FLOOR, cap) for name, (cap, _) in callers.items())
        assert sum(calls.values()) <= max(limit, FLOOR * len(callers))


def calls_of(
    slacks: dict[str, Measure | None], held: InForce, at_s: float = 0, limit: int | None = 70
) -> tuple[dict[str, int], InForce]:
    works = [backlog((1, 0, 0), workflow=name, calls=60, slack=slack) for name, slack in slacks.items()]
    now = NOW + timedelta(seconds=at_s)
    fresh = price(works, Means(accounts={}, calls_per_minute=limit), held, now).in_force
    return {one.workflow: one.calls for one in fresh.shares}, fresh


def test_the_least_slack_comes_first() -> None:
    near, far = Known(value=3_600), Known(value=86_400)
    assert calls_of({"a": None, "b": far, "c": near}, NOTHING)[0] == {"a": 1, "b": 9, "c": 60}
    assert calls_of({"a": None, "b": far, "c": AWAY}, NOTHING)[0]["c"] == 60, "unknown is not without a clock"
    assert calls_of({"a": near, "b": near}, NOTHING)[0] == {"a": 60, "b": 10}
    assert calls_of({"a": near, "b": near}, NOTHING, limit=None)[0] == {"a": 60, "b": 60}


def test_what_was_dealt_stands_for_a_minute_and_while_urgency_is_unknown() -> None:
    near, far = Known(value=3_600), Known(value=86_400)
    first, held = calls_of({"a": near, "b": far}, NOTHING)
    assert calls_of({"a": far, "b": near}, held, REDEAL_S - 1)[0] == first
    assert calls_of({"a": far, "b": AWAY}, held, REDEAL_S)[0] == first
    assert calls_of({"a": far, "b": near}, held, REDEAL_S)[0] == {"a": 10, "b": 60}
    assert calls_of({"a": near, "b": far}, held, 1, limit=20)[0] == {"a": 19, "b": 1}, (
        "a new limit holds at once"
    )
    (share, _) = held.shares
    assert (share.limited, held.shares[1].limited) == (False, True)
    assert "70 calls a minute" in held.shares[1].reason
    assert "b gets 10 of the 60 of its card" in held.shares[1].reason


@pytest.mark.parametrize(
    ("recorded", "expected"), [(0, 0), (499, 0), (500, 50), (799, 50), (800, 80), (1_000, 100), (2_000, 100)]
)
def test_an_alarm_is_the_highest_level_that_is_reached(recorded: int, expected: int) -> None:
    assert alarm_percent(account(0, month_cap=1_000, recorded=recorded), (50, 80, 100), 100) == expected


@pytest.mark.parametrize(
    ("recorded", "open_micro", "levels", "expected"),
    [
        (900, 0, (50, 80, 100), 80),
        (901, 0, (50, 80, 100), 100),
        (800, 101, (50, 80, 100), 100),
        (300, 601, (50, 80, 100), 100),
        (901, 0, (50, 80), 80),
        (0, 0, (50, 80, 100), 0),
    ],
)
def test_the_last_alarm_rings_as_soon_as_a_case_can_be_refused(
    recorded: int, open_micro: int, levels: tuple[int, ...], expected: int
) -> None:
    """Reservations stop before the cap: what is recorded alone would never reach it."""
    there = account(0, month_cap=1_000, recorded=recorded)
    rows = tuple(
        replace(row, open_micro=open_micro, enforced_micro=row.enforced_micro + open_micro)
        if row.window == "month"
        else row
        for row in there.windows
    )
    assert alarm_percent(replace(there, windows=rows), levels, 100) == expected


@given(
    caps=st.integers(1, 5_000),
    case_micro=st.integers(1, 5_000),
    calls=st.lists(st.tuples(st.integers(1, 900), st.integers(0, 900))),
)
def test_nobody_is_refused_by_the_month_before_the_last_alarm_rings(
    caps: int, case_micro: int, calls: list[tuple[int, int]]
) -> None:
    """Over the budget's own rule: any calls that each fit into what one case may cost, each settled at once or left open."""
    case_micro = min(case_micro, caps)
    limits = Caps("EUR", month_micro=caps, day_micro=caps, case_micro=case_micro, calls_per_minute=10**6)
    books = Books()
    for number, (worst, actual) in enumerate(calls):
        rung = alarm_percent(books.standing("triage", limits, NOW, "e"), (50, 100), case_micro)
        one = Ask(f"c{number}", "triage", f"case {number}", min(worst, case_micro), NOW, limits, 60)
        if isinstance(told := books.reserve(one), Denied):
            assert told.window != "month" or rung == 100
        elif number % 2:
            books.settle(one.call_id, "triage", min(actual, one.worst_micro))


def test_a_month_that_an_overrun_closed_rings_every_alarm() -> None:
    there = account(0, month_cap=1_000, recorded=200)
    shut = replace(there, windows=tuple(replace(row, closed=row.window == "month") for row in there.windows))
    assert (alarm_percent(there, (50, 80, 100), 100), alarm_percent(shut, (50, 80, 100), 100)) == (0, 100)


def test_no_alarm_without_a_cap_or_an_account() -> None:
    assert alarm_percent(account(0, month_cap=0), (50, 80, 100), 100) == 0
    assert alarm_percent(AWAY, (50, 80, 100), 100) == 0
    assert alarm_percent(Standing("triage", "e", ()), (50,), 100) == 0
