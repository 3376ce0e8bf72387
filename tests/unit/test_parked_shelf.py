"""What a resumer may resume, and whom it blames for an aborted transaction."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from vigimesh.background.resumer.shelf import MAX_BACKOFF_S, MAX_BATCH, MAX_GROUPS, MAX_TRIES, Shelf, Taken
from vigimesh.loop.broker import Batch, Part, Position, Record
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
    tombstone = Record(
        part=ONE, offset=2, key=key(ONE, closed), value=b"", headers=[], at=datetime(2026, 3, 2, tzinfo=UTC)
    )  # fmt: skip
    shelf.learn(tombstone, None)
    left = [spot for _ in range(4) for spot in shelf.take(100, LATER_S).spots]
    assert left == [Spot(ONE, 1 - closed)]
