"""What a resumer may resume, and whom it blames for an aborted transaction."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from vigimesh.background.resumer import shelf as shelf_module
from vigimesh.background.resumer.index import micros
from vigimesh.background.resumer.shelf import (
    CALL_BACK_S,
    MAX_BACKOFF_S,
    MAX_BATCH,
    MAX_GROUPS,
    MAX_TRIES,
    Shelf,
    Taken,
)
from vigimesh.events.topics import topic
from vigimesh.loop.broker import Batch, Part, Position, Record
from vigimesh.loop.orders import Pause
from vigimesh.ports import Spot

ONE, TWO = Part("vigimesh.parked", 0), Part("vigimesh.parked", 1)
LATER_S = 1_000.0


def shelf_of(counts: dict[Part, int], *, end: bool = True) -> Shelf:
    """Return a shelf with so many events a partition, each due at its offset in microseconds."""
    shelf = Shelf()
    shelf.change(Batch(assigned={part: Position(offset=0) for part in counts}), 0.0)
    for part, count in counts.items():
        for offset in range(count):
            shelf.learn(record(part, offset), offset)
        shelf.places[part].end = count if end else None
    return shelf


def record(part: Part, offset: int) -> Record:
    return Record(
        part=part, offset=offset, key=key(part, offset), value=b"x", headers=[], at=datetime(2026, 3, 2, tzinfo=UTC)
    )  # fmt: skip


def key(part: Part, offset: int) -> bytes:
    return f"{part.partition}.{offset}".encode()


def commit(shelf: Shelf, taken: Taken, now_s: float) -> None:
    shelf.resumed({spot: key(spot.part, spot.offset) for spot in taken.spots})
    shelf.told(shelf.positions(), now_s)


def test_the_soonest_go_first_whichever_partition_they_are_in() -> None:
    shelf = shelf_of({ONE: 3, TWO: 3})
    taken = shelf.take(1, 0.0)
    assert taken.spots == (Spot(ONE, 0), Spot(TWO, 0), Spot(ONE, 1), Spot(TWO, 1))
    assert shelf.soonest_us() == 2
    assert shelf.take(1, 0.0) == Taken()


def test_a_transaction_has_a_bound() -> None:
    assert len(shelf_of({ONE: 2 * MAX_BATCH}).take(10_000, 0.0).spots) == MAX_BATCH


def test_nothing_of_a_partition_goes_before_its_end_is_known_and_read() -> None:
    shelf = shelf_of({ONE: 2, TWO: 2}, end=False)
    assert shelf.endless() == (ONE, TWO)
    assert shelf.take(10, 0.0) == Taken()
    shelf.places[ONE].end = 2
    shelf.places[TWO].end = 5  # an open transaction lies before it
    assert {spot.part for spot in shelf.take(10, 0.0).spots} == {ONE}
    assert not shelf.whole
    shelf.ends[TWO] = 5
    shelf.reach_ends()
    assert {spot.part for spot in shelf.take(10, 0.0).spots} == {TWO}
    assert shelf.whole


def test_a_partition_of_which_nothing_comes_is_told() -> None:
    shelf = shelf_of({ONE: 2, TWO: 2}, end=False)
    shelf.places[TWO].end = 2
    assert shelf.stalled(29.9, 30.0) is None
    told = shelf.stalled(30.0, 30.0)
    assert told is not None
    assert (told.code, told.where) == ("VM-1306", "vigimesh.parked-0")
    shelf.change(Batch(records=(record(ONE, 2),)), 20.0)
    assert shelf.stalled(49.9, 30.0) is None


def test_a_partition_that_is_touched_is_always_fenced() -> None:
    """Its position goes with the transaction also when its end is asked for anew meanwhile."""
    shelf = shelf_of({ONE: 2, TWO: 2})
    taken = shelf.take(0, 0.0)
    shelf.unsure({ONE}, 0.0)
    assert set(shelf.positions()) == {TWO}
    assert set(shelf.positions(spot.part for spot in taken.spots)) == {ONE, TWO}


def test_what_is_lost_is_forgotten_and_comes_back_anew() -> None:
    shelf = shelf_of({ONE: 4, TWO: 1})
    taken = shelf.take(10, 0.0)
    shelf.failed(taken, "x", 0.0)
    shelf.change(Batch(revoked=frozenset({ONE}), assigned={ONE: Position(offset=0)}), 1.0)
    left = [spot for _ in range(4) for spot in shelf.take(10, LATER_S).spots]
    assert left == [Spot(TWO, 0)]
    assert shelf.endless() == (ONE,)


def test_after_an_abort_halves_are_tried_until_one_event_stands_alone() -> None:
    shelf = shelf_of({ONE: 9})
    now_s, bad, sizes = 0.0, Spot(ONE, 5), []
    while not shelf.faults:
        now_s += MAX_BACKOFF_S
        taken = shelf.take(100, now_s)
        if not taken.spots:
            continue
        sizes.append(len(taken.spots))
        if bad in taken.spots:
            shelf.failed(taken, "refused", now_s)
            shelf.told(shelf.positions(), now_s + 1)  # the positions alone are committed meanwhile
        else:
            commit(shelf, taken, now_s)
    assert list(shelf.faults) == [bad]
    assert shelf.faults[bad].code == "VM-1310"
    assert sizes[0] == 9
    assert sizes.count(1) >= MAX_TRIES
    assert shelf.waiting() == 1


def test_a_broker_in_trouble_is_no_events_fault() -> None:
    shelf = shelf_of({ONE: 40})
    now_s = 0.0
    for _ in range(2_000):
        now_s += MAX_BACKOFF_S
        taken = shelf.take(100, now_s)
        if taken.spots:
            shelf.failed(taken, "the broker is away", now_s)
    assert shelf.faults == {}
    for _ in range(200):
        now_s += MAX_BACKOFF_S
        commit(shelf, shelf.take(100, now_s), now_s)
    assert shelf.waiting() == 0


def test_many_failures_let_nothing_new_begin() -> None:
    shelf = shelf_of({ONE: 40 * MAX_BATCH})
    for number in range(40):
        taken = shelf.take(10**9, float(number) / 1_000)
        if taken.spots:
            shelf.defer(taken.spots, "away", float(number) / 1_000)
    assert len(shelf.groups) == MAX_GROUPS


def test_a_clock_set_back_holds_also_what_failed() -> None:
    shelf = shelf_of({ONE: 2})
    shelf.failed(shelf.take(100, 0.0), "x", 0.0)
    assert [shelf.take(-1, LATER_S).spots for _ in range(4)] == [(), (), (), ()]
    assert {spot for _ in range(4) for spot in shelf.take(100, LATER_S).spots} == {Spot(ONE, 0), Spot(ONE, 1)}


@pytest.mark.parametrize("closed", [0, 1])
def test_what_got_a_tombstone_meanwhile_is_not_tried_again(closed: int) -> None:
    shelf = shelf_of({ONE: 2})
    shelf.failed(shelf.take(100, 0.0), "x", 0.0)
    shelf.learn(tombstone_of(closed, at=2), None)
    left = [spot for _ in range(4) for spot in shelf.take(100, LATER_S).spots]
    assert left == [Spot(ONE, 1 - closed)]


END = datetime(2026, 3, 2, 12, tzinfo=UTC)
#: Microseconds of the end of the pause, and some hours before.
END_US = micros(END)
NOW_US = END_US - 8 * 3_600_000_000
TRIAGE = Pause(lane="cold", workflow="triage", until=END)


def parked_shelf(*events: tuple[str, str, int] | tuple[str, str, int, bool]) -> Shelf:
    """Return a shelf with an event for each topic, workflow and moment in microseconds, and whether it waits for money."""
    shelf = shelf_of({ONE: 0})
    for offset, event in enumerate(events):
        park(shelf, offset, *event)
    shelf.places[ONE].end = len(events)
    return shelf


def park(shelf: Shelf, offset: int, name: str, workflow: str, due_us: int, money: bool = False) -> None:
    shelf.learn(record(ONE, offset), due_us, shelf.label(topic(name).encode(), workflow.encode(), money))


def test_what_waits_by_a_lifted_pause_is_called_back_and_nothing_else() -> None:
    shelf = parked_shelf(
        ("plan.cold", "triage", END_US),
        ("plan.warm", "triage", END_US),
        ("plan.cold", "signal", END_US),
        ("plan.cold", "triage", END_US - 1),  # waits for money
        ("execute.cold", "triage", END_US),
    )
    assert shelf.call_back([TRIAGE], NOW_US, 0.0) == 2
    assert {spot.offset for spot in shelf.take(NOW_US, 0.0).spots} == {0, 4}
    assert shelf.take(NOW_US, 0.0) == Taken()
    assert shelf.waiting() == 5, "in hand it still waits"
    assert [spot.offset for spot in shelf.take(END_US, 0.0).spots] == [3, 1, 2], (
        "at the end all others are due"
    )


def test_what_waits_for_money_is_called_back_whenever_it_was_to_be_due_and_nothing_else() -> None:
    shelf = parked_shelf(
        ("execute.cold", "triage", END_US, True),
        ("execute.warm", "triage", END_US + 7, True),  # the month's end, not the day's
        ("execute.cold", "triage", END_US, False),  # by a pause
        ("execute.cold", "signal", END_US, True),
    )
    raised = Pause(lane="", workflow="triage", until=END)
    assert shelf.call_back([raised], NOW_US, 0.0) == 2
    assert {spot.offset for spot in shelf.take(NOW_US, 0.0).spots} == {0, 1}
    # A worker that was refused just before it was raised parks its case a little later.
    park(shelf, 4, "execute.cold", "triage", END_US, True)
    assert [shelf.call_back([raised], NOW_US, now_s) for now_s in (CALL_BACK_S - 1, CALL_BACK_S)] == [0, 1]


def tombstone_of(offset: int, *, at: int) -> Record:
    """Return the tombstone of the event at `offset`, itself at `at`."""
    return Record(
        part=ONE, offset=at, key=key(ONE, offset), value=b"", headers=[], at=datetime(2026, 3, 2, tzinfo=UTC)
    )


def test_who_is_parked_again_and_again_goes_round_a_few_times_a_day() -> None:
    """A worker that never hears that the pause was lifted parks at once whatever comes back."""
    shelf = parked_shelf(("plan.cold", "triage", END_US))
    went = []
    for second in range(86_400):
        if shelf.call_back([TRIAGE], NOW_US, float(second)):
            went.append(second)
            (spot,) = shelf.take(NOW_US, float(second)).spots
            shelf.resumed({spot: key(ONE, spot.offset)})
            shelf.learn(tombstone_of(spot.offset, at=spot.offset + 1), None)
            park(shelf, spot.offset + 2, "plan.cold", "triage", END_US)
    assert went[:4] == [0, CALL_BACK_S, 3 * CALL_BACK_S, 7 * CALL_BACK_S]
    assert len(went) <= 15


def test_a_partition_that_comes_later_is_looked_at_at_once() -> None:
    shelf = parked_shelf(("plan.cold", "triage", END_US))
    for second in range(1_000):
        shelf.call_back([TRIAGE], NOW_US, float(second))
    shelf.change(Batch(assigned={TWO: Position(offset=0)}), 1_000.0)
    shelf.learn(record(TWO, 0), END_US, shelf.label(topic("plan.cold").encode(), b"triage"))
    assert shelf.call_back([TRIAGE], NOW_US, 1_001.0) == 1


def test_a_pause_that_is_given_and_lifted_again_is_looked_at_at_once() -> None:
    shelf = parked_shelf(("plan.cold", "triage", END_US))
    assert [shelf.call_back(lifted, NOW_US, now_s) for lifted, now_s in (([TRIAGE], 0.0), ([], 1.0))] == [
        1,
        0,
    ]
    park(shelf, 1, "plan.cold", "triage", END_US)
    assert shelf.call_back([TRIAGE], NOW_US, 2.0) == 1


def test_more_workflows_than_can_be_told_apart_wait_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf_module, "LABELS_MAX", 1)
    shelf = parked_shelf(("plan.cold", "signal", END_US), ("plan.cold", "triage", END_US))
    assert shelf.call_back([TRIAGE], NOW_US, 0.0) == 0
    assert len(shelf.take(END_US, 0.0).spots) == 2
