"""Hot stays hot: cold gives way, then warm, never hot; unknown lag changes nothing; nothing flaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigimesh.domain.control.lag import PLACES, LagRow
from vigimesh.domain.control.measure import NONE, Known, Measure, Unknown
from vigimesh.domain.control.yields import (
    CALM_FOR_S,
    NEXT_AFTER_S,
    SHARES,
    Ruling,
    Yield,
    hot_wait,
    yields,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
OBJECTIVES = {"triage": 10.0, "drafting": 60.0}
AWAY = Unknown(cause="the broker does not answer")
COLD = Yield(lane="cold", share_percent=12, since=NOW - timedelta(minutes=5), reason="hot was late")
WARM = Yield(lane="warm", share_percent=25, since=NOW - timedelta(minutes=4), reason="hot was late")


def lag_of(ages: Mapping[tuple[str, str], Measure], *, workflow: str = "triage") -> list[LagRow]:
    """Return rows for every place: done, but for `ages`, where a record of `workflow` waits that long."""
    rows = []
    for stage, lane in PLACES:
        seconds = ages.get((stage, lane), NONE)
        records: Measure = seconds if isinstance(seconds, Unknown) else Known(value=float(seconds.value > 0))
        rows.append(LagRow(stage=stage, lane=lane, workflow="", records=records, seconds=seconds))
        if stage != "router":
            rows.append(LagRow(stage=stage, lane=lane, workflow=workflow, records=records, seconds=seconds))
    return rows


def hot(seconds: float, stage: str = "planner") -> dict[tuple[str, str], Measure]:
    return {(stage, "hot"): Known(value=seconds)}


def lanes(ruling: Ruling) -> dict[str, int]:
    return {one.lane: one.share_percent for one in ruling.yields}


@pytest.mark.parametrize(
    ("ages", "in_force", "expected"),
    [
        pytest.param({}, (), {}, id="nothing waits"),
        pytest.param(hot(10.0), (), {}, id="hot at its objective"),
        pytest.param(hot(10.1), (), {"cold": 12}, id="hot late: cold yields"),
        pytest.param(hot(10.1), (COLD,), {"cold": 12, "warm": 25}, id="still late: warm yields too"),
        pytest.param(hot(999), (COLD, WARM), {"cold": 12, "warm": 25}, id="nothing is left that may yield"),
        pytest.param({("planner", "cold"): Known(value=9999)}, (), {}, id="cold may be late"),
        pytest.param({("router", "normal"): Known(value=9999)}, (), {}, id="the normal door may be late"),
        pytest.param({("router", "urgent"): Known(value=11)}, (), {"cold": 12}, id="the urgent door is hot"),
        pytest.param(hot(4) | hot(4, "retriever") | hot(4, "supervisor"), (), {"cold": 12}, id="late in sum"),
        pytest.param(hot(7), (COLD,), {"cold": 12}, id="neither late nor calm: as it was"),
        pytest.param({("planner", "hot"): AWAY}, (), {}, id="unknown: nothing is added"),
        pytest.param({("planner", "hot"): AWAY}, (COLD,), {"cold": 12}, id="unknown: what is in force stays"),
        pytest.param(
            hot(11) | {("retriever", "hot"): AWAY}, (), {"cold": 12}, id="late by what is known alone"
        ),
        pytest.param(hot(1) | {("planner", "cold"): AWAY}, (), {}, id="of cold nothing need be known"),
    ],
)
def test_which_lanes_yield(
    ages: Mapping[tuple[str, str], Measure], in_force: Sequence[Yield], expected: Mapping[str, int]
) -> None:
    assert lanes(yields(lag_of(ages), OBJECTIVES, in_force, NOW)) == expected


def test_the_objective_is_the_strictest_of_those_that_have_hot_work() -> None:
    waits = hot(30)
    assert lanes(yields(lag_of(waits, workflow="drafting"), OBJECTIVES, (), NOW)) == {}
    assert lanes(yields(lag_of(waits, workflow="triage"), OBJECTIVES, (), NOW)) == {"cold": 12}
    # What stands at the door may be of any workflow, and one without a card is held to the strictest.
    door = {("router", "urgent"): Known(value=11.0)}
    assert lanes(yields(lag_of(door, workflow="drafting"), OBJECTIVES, (), NOW)) == {"cold": 12}
    assert lanes(yields(lag_of(waits, workflow="foreign"), OBJECTIVES, (), NOW)) == {"cold": 12}


def test_no_card_no_order() -> None:
    assert yields(lag_of(hot(9999)), {}, (), NOW).yields == ()


def test_nothing_measured_is_unknown_and_not_calm() -> None:
    ruling = yields([], OBJECTIVES, (COLD,), NOW + timedelta(hours=1))
    assert lanes(ruling) == {"cold": 12}
    assert ruling.unknown
    assert hot_wait([]) == (0, ("nothing was measured",))


def after(script: Sequence[tuple[float, Measure]]) -> list[dict[str, int]]:
    """Run the rule over (seconds from the start, hot age) and return what yields after each step."""
    in_force: tuple[Yield, ...] = ()
    seen = []
    for at_s, seconds in script:
        ages = {("planner", "hot"): seconds}
        in_force = yields(lag_of(ages), OBJECTIVES, in_force, NOW + timedelta(seconds=at_s)).yields
        seen.append(dict(lanes(Ruling(yields=in_force, hot_s=0))))
    return seen


def test_lanes_yield_one_after_the_other_and_come_back_in_the_opposite_order() -> None:
    late, calm, both, cold = Known(value=20), Known(value=1), {"cold": 12, "warm": 25}, {"cold": 12}
    assert after(
        [(0, late), (1, late), (NEXT_AFTER_S - 1, late), (NEXT_AFTER_S, late), (40, calm),
         (40 + CALM_FOR_S - 1, calm), (40 + CALM_FOR_S, calm), (40 + 2 * CALM_FOR_S - 1, calm),
         (40 + 2 * CALM_FOR_S, calm)]
    ) == [cold, cold, cold, both, both, both, cold, cold, {}]  # fmt: skip


@pytest.mark.parametrize("interruption", [Known(value=7), Known(value=20), AWAY])
def test_calm_counts_only_when_it_lasts(interruption: Measure) -> None:
    """A lane that got its time back at the first calm look would make hot late again, and so on."""
    calm = Known(value=0)
    steps = [
        (0.0, Known(value=20)),
        (5.0, calm),
        (5.0 + CALM_FOR_S - 1, interruption),
        (5.0 + CALM_FOR_S, calm),
    ]
    assert after([*steps, (5.0 + 2 * CALM_FOR_S - 1, calm)])[-1].get("cold") == 12
    assert after([*steps, (5.0 + 2 * CALM_FOR_S, calm)])[-1].get("warm") is None


AGES = st.one_of(st.just(AWAY), st.floats(0, 100).map(lambda s: Known(value=s)))


@given(st.lists(st.tuples(st.floats(0.5, 30), st.dictionaries(st.sampled_from(PLACES), AGES)), max_size=40))
def test_whatever_comes_hot_never_yields_and_warm_only_with_cold(
    script: list[tuple[float, dict[tuple[str, str], Measure]]],
) -> None:
    in_force: tuple[Yield, ...] = ()
    now = NOW
    for pause_s, ages in script:
        now += timedelta(seconds=pause_s)
        before = in_force
        ruling = yields(lag_of(ages), OBJECTIVES, before, now)
        in_force = ruling.yields
        assert [(one.lane, one.share_percent) for one in in_force] == list(SHARES[: len(in_force)])
        assert abs(len(in_force) - len(before)) <= 1, "one lane at a time"
        if ruling.unknown:
            assert len(in_force) >= len(before), "nothing is given back on what is not known"
