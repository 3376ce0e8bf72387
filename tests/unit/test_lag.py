"""Lag as a rule: records and seconds per stage, lane and workflow; what is unknown is never 0 and never left out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from vigimesh.domain.control.flow import FlowTotals, input_of, restored, totalled
from vigimesh.domain.control.lag import PLACES, Glance, LagRow, Stand, age, lag, records
from vigimesh.domain.control.measure import NONE, Known, Measure, Unknown, largest, plain, total
from vigimesh.events.classes import FlowCounted

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
EARLY, LATE = NOW - timedelta(seconds=40), NOW - timedelta(seconds=5)


def seen(count: int, *, whole: bool = True, **oldest: datetime) -> Glance:
    return Glance(records=count, whole=whole, oldest=oldest)


@pytest.mark.parametrize(
    ("stand", "expected"),
    [
        pytest.param(Stand(committed=7, end=7), NONE, id="at the end"),
        pytest.param(Stand(committed=0, end=0), NONE, id="an empty partition"),
        pytest.param(Stand(committed=7, end=8, glance=seen(0)), NONE, id="only a marker is left"),
        pytest.param(
            Stand(committed=7, end=12, glance=seen(3, a=LATE)), Known(value=3), id="markers between"
        ),
        pytest.param(
            Stand(committed=7, end=907, glance=seen(1, whole=False, a=LATE)),
            Known(value=900, at_most=True),
            id="too many to count",
        ),
        pytest.param(Stand(committed=7, end=9), Known(value=2, at_most=True), id="not read in time"),
    ],
)
def test_records_are_counted_without_the_markers_of_transactions(stand: Stand, expected: Measure) -> None:
    assert records(stand) == expected


@pytest.mark.parametrize(
    ("stand", "cause"),
    [
        pytest.param(Stand(committed=None, end=9), "no committed offset", id="group without an offset"),
        pytest.param(
            Stand(committed=3, first=5, end=9), "before the log's start", id="deleted below the group"
        ),
        pytest.param(
            Stand(committed=9, end=4),
            "stands at 9, behind the log's end 4: the broker lost its newest records, or",
            id="log cut off",
        ),
        pytest.param(Stand(trouble="the broker does not answer"), "does not answer", id="broker down"),
        pytest.param(Stand(trouble="topic does not exist"), "does not exist", id="topic missing"),
    ],
)
def test_what_is_not_known_is_unknown_with_its_cause_and_not_0(stand: Stand, cause: str) -> None:
    for measure in (records(stand), age(stand, NOW), age(stand, NOW, "triage")):
        assert isinstance(measure, Unknown)
        assert cause in measure.cause
        assert plain(measure) == {"value": None, "unknown": True, "cause": measure.cause}


@pytest.mark.parametrize(
    ("stand", "workflow", "expected"),
    [
        pytest.param(Stand(committed=7, end=7), "", NONE, id="nothing waits"),
        pytest.param(Stand(committed=7, end=8, glance=seen(0)), "", NONE, id="only a marker is left"),
        pytest.param(
            Stand(committed=7, end=9, glance=seen(2, a=EARLY, b=LATE)),
            "",
            Known(value=40),
            id="oldest of all",
        ),
        pytest.param(
            Stand(committed=7, end=9, glance=seen(2, a=EARLY, b=LATE)),
            "b",
            Known(value=5),
            id="of a workflow",
        ),
        pytest.param(
            Stand(committed=7, end=9, glance=seen(1, a=EARLY)), "b", NONE, id="none of this workflow"
        ),
        pytest.param(
            Stand(committed=7, end=907, glance=seen(1, whole=False, a=EARLY)),
            "b",
            Known(value=40, at_most=True),
            id="of this workflow none was seen yet",
        ),
        pytest.param(
            Stand(committed=7, end=9, glance=seen(1, a=NOW + timedelta(seconds=3))),
            "",
            NONE,
            id="a clock that is ahead",
        ),
    ],
)
def test_the_age_is_that_of_the_oldest_unfinished_record(
    stand: Stand, workflow: str, expected: Measure
) -> None:
    assert age(stand, NOW, workflow) == expected


def test_an_age_that_was_not_read_is_unknown_though_records_wait() -> None:
    assert isinstance(age(Stand(committed=7, end=9), NOW), Unknown)


def test_a_sum_without_an_unknown_part_would_be_too_low() -> None:
    parts = (Known(value=3), Unknown(cause="b"), Unknown(cause="a"))
    assert total(parts) == Unknown(cause="a (and 1 other causes)")
    assert largest(parts) == total(parts)
    assert total((Known(value=3), Known(value=4, at_most=True))) == Known(value=7, at_most=True)
    assert largest(()) == NONE


def flowed(stage: str, workflow: str, lane: str, consumed: int, **sent: int) -> FlowCounted:
    topics = {f"vigimesh.{name}.{lane}": count for name, count in sent.items()}
    return FlowCounted(
        stage=stage, workflow=workflow, lane=lane, consumed=consumed, produced=sum(sent.values()), sent=topics
    )


def test_what_waits_of_a_workflow_is_what_was_sent_less_what_was_taken() -> None:
    flow = FlowTotals()
    flow.add(0, 0, flowed("router", "triage", "hot", 5, plan=5))
    flow.add(0, 2, flowed("router", "signal", "hot", 1, plan=1))
    flow.add(0, 4, flowed("planner", "triage", "hot", 3, retrieve=2))
    flow.add(0, 6, flowed("resumer", "triage", "hot", 1, plan=1))
    assert flow.waiting("triage", "planner", "hot") == Known(value=3)
    assert flow.waiting("signal", "planner", "hot") == Known(value=1)
    assert flow.waiting("triage", "retriever", "hot") == Known(value=2)
    assert flow.waiting("triage", "planner", "cold") == NONE
    assert flow.workflows == ("signal", "triage")


def test_more_taken_than_sent_is_unknown() -> None:
    flow = FlowTotals()
    flow.add(0, 0, flowed("planner", "triage", "hot", 3))
    assert isinstance(flow.waiting("triage", "planner", "hot"), Unknown)


def test_kept_totals_count_on_where_they_stand_and_nothing_twice() -> None:
    events = [flowed("router", ("triage", "signal")[n % 2], "hot", n, plan=n) for n in range(1, 9)]
    whole = FlowTotals()
    for offset, event in enumerate(events):
        whole.add(0, offset, event)
    half = FlowTotals()
    for offset, event in enumerate(events[:4]):
        half.add(0, offset, event)
    older = list(totalled(half, {0: 4}))
    for offset, event in enumerate(events[4:6], start=4):
        half.add(0, offset, event)
    newer = list(totalled(half, {0: 6}))
    # A reader may see the newer of one workflow beside the older of the other.
    for kept in (older, newer, [older[0], newer[1]], [newer[0], older[1]]):
        found = restored(kept)
        for offset, event in enumerate(events):
            if offset >= found.starts[0]:
                found.add(0, offset, event)
        assert found.counts == whole.counts


def test_a_workflow_that_came_after_the_kept_totals_is_counted_from_its_first_record() -> None:
    first, second = flowed("router", "triage", "hot", 2, plan=2), flowed("router", "signal", "hot", 3, plan=3)
    whole = FlowTotals()
    whole.add(0, 0, first)
    found = restored(totalled(whole, {0: 1}))
    for offset, event in enumerate((first, second)):
        found.add(0, offset, event)
    assert found.waiting("triage", "planner", "hot") == Known(value=2)
    assert found.waiting("signal", "planner", "hot") == Known(value=3)


def test_every_lane_of_every_stage_has_a_row_even_where_nothing_was_asked() -> None:
    rows = lag({}, Unknown(cause="broker down"), ("triage",), NOW)
    assert {(row.stage, row.lane) for row in rows} == set(PLACES)
    assert all(row.state == "unknown" for row in rows)
    assert all(row.plain()["records"] is None and row.plain()["seconds"] is None for row in rows)
    assert all(row.plain()["unknown"] is True and row.plain()["cause"] for row in rows)


def row_of(rows: tuple[LagRow, ...], stage: str, lane: str, workflow: str = "") -> LagRow:
    return next(row for row in rows if (row.stage, row.lane, row.workflow) == (stage, lane, workflow))


def test_rows_of_a_lane_and_its_workflows() -> None:
    flow = FlowTotals()
    flow.add(0, 0, flowed("router", "triage", "hot", 600, plan=600))
    flow.add(0, 1, flowed("planner", "triage", "hot", 10))
    stands: dict[tuple[str, str], tuple[Stand, ...]] = {
        place: (Stand(committed=5, end=5), Stand(committed=0, end=0)) for place in PLACES
    }
    stands["planner", "hot"] = (
        Stand(committed=5, end=905, glance=seen(1, whole=False, triage=EARLY)),
        Stand(committed=5, end=6, glance=seen(1, signal=LATE)),
    )
    rows = lag(stands, flow, ("drafting",), NOW)
    # Offsets would say 901; the flow knows better.
    every = row_of(rows, "planner", "hot")
    assert (every.records, every.seconds, every.state) == (Known(value=590), Known(value=40), "waiting")
    triage = row_of(rows, "planner", "hot", "triage")
    assert (triage.records, triage.seconds) == (Known(value=590), Known(value=40))
    assert row_of(rows, "planner", "hot", "drafting").state == "done"
    assert row_of(rows, "router", "urgent").state == "done"
    assert not [row for row in rows if row.stage == "router" and row.workflow]


def test_one_unknown_partition_makes_its_lane_unknown_and_no_other() -> None:
    stands: dict[tuple[str, str], tuple[Stand, ...]] = {
        place: (Stand(committed=5, end=5),) for place in PLACES
    }
    stands["planner", "cold"] = (Stand(committed=5, end=5), Stand(committed=None, end=9))
    rows = lag(stands, FlowTotals(), ("triage",), NOW)
    assert [(row.stage, row.lane) for row in rows if row.workflow == "" and row.state == "unknown"] == [
        ("planner", "cold")
    ]
    # The flow counts records without the group's position; their age it does not know.
    assert row_of(rows, "planner", "cold", "triage").records == NONE
    assert row_of(rows, "planner", "cold", "triage").state == "unknown"


@pytest.mark.parametrize(
    ("stage", "lane", "topic"),
    [
        ("router", "urgent", "vigimesh.case.received.urgent"),
        ("planner", "hot", "vigimesh.plan.hot"),
        ("retriever", "warm", "vigimesh.retrieve.warm"),
        ("tool-executor", "cold", "vigimesh.execute.cold"),
        ("supervisor", "hot", "vigimesh.supervise.hot"),
    ],
)
def test_each_place_reads_its_topic(stage: str, lane: str, topic: str) -> None:
    assert input_of(stage, lane) == topic
