"""The map of what is done beyond the watermark: its table of cases, its encodings, and the bound of its space."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable

import pytest

from growth import growth
from vigimesh.loop import progress as room
from vigimesh.loop.broker import Part, Position
from vigimesh.loop.progress import Progress, holds, write

PART = Part("plan.hot", 3)


def begun(position: Position | int = 0) -> Progress:
    """Progress of a new assignment that goes on from a position."""
    at = Position(offset=position) if isinstance(position, int) else position
    return Progress.resumed(PART, 1, at)


def numbers(text: str) -> list[int]:
    """`10-12,14` as numbers; `-` as none."""
    found: list[int] = []
    for run in text.split(",") if text != "-" else []:
        first, _, last = run.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return found


def ended(text: str) -> tuple[list[int], list[int]]:
    """`12,~13-14` as what ended in vain, marked by `~`, and what is finished."""
    runs = text.split(",")
    in_vain = ",".join(run[1:] for run in runs if run.startswith("~"))
    done = ",".join(run for run in runs if not run.startswith("~"))
    return numbers(in_vain or "-"), numbers(done or "-")


def committed(text: str) -> tuple[int, list[int]]:
    """`10 (12-13)` as a watermark and what is done beyond it."""
    offset, _, beyond = text.partition(" ")
    return int(offset), numbers(beyond.strip("()") or "-")


def placed(offset: int, beyond: Iterable[int]) -> Position:
    """The position that says so."""
    done = set(beyond)
    if not done:
        return Position(offset=offset)
    high = max(done) + 1
    return Position(offset=offset, metadata=write([at for at in range(offset, high) if at not in done], high))


def begins(text: str) -> Position:
    """Where an assignment begins; `8 [10 (12-13)]` is offset 8 with the map that was made beside 10."""
    offset, _, left = text.partition(" [")
    if not left:
        return placed(*committed(text))
    return Position(offset=int(offset), metadata=placed(*committed(left.removesuffix("]"))).metadata)


def said(position: Position) -> tuple[int, list[int]]:
    """What a position says, asked offset by offset."""
    return position.offset, [
        at for at in range(position.offset, position.offset + 100) if holds(position, at)
    ]


def cases() -> list[tuple[str, ...]]:
    """The rows of the table in the room's own docstring."""
    lines = (room.__doc__ or "").splitlines()
    head = next(at for at, line in enumerate(lines) if line.strip().startswith("case "))
    rows = [tuple(re.split(r" {2,}", line.strip())) for line in lines[head + 1 :] if line.strip()]
    assert len(rows) >= 20
    return rows


@pytest.mark.parametrize("row", cases(), ids=lambda row: row[0])
def test_the_table_of_cases_holds(row: tuple[str, ...]) -> None:
    _, resumed, taken, finished, end, expected = row
    ahead, gone = begins(resumed), begun()
    for takes, ends in zip(taken.split("/"), finished.split("/"), strict=True):
        progress = begun(ahead)
        for offset in numbers(takes):
            progress.take(offset)
        if end != "-":
            progress.reached(int(end))
        in_vain, done = ended(ends)
        progress.position(in_vain)
        gone.finish(in_vain)
        ahead = progress.position(done)
        progress.finish(done)
        assert progress.position() == ahead
        gone = progress
    assert said(ahead) == committed(expected)


def test_an_idle_partition_keeps_its_offset_through_500_rebalances() -> None:
    for position in (
        Position(offset=0),
        Position(offset=1 << 40),
        placed(10, (12, 13)),
        Position(offset=7, metadata="not ours"),
    ):
        kept = position
        for epoch in range(500):
            progress = Progress.resumed(PART, epoch, kept)
            kept = progress.position()
            assert progress.idle
            assert not progress.full
        assert said(kept) == said(position)


def test_read_to_the_end_an_idle_partition_moves_to_the_end_and_no_further() -> None:
    kept = Position(offset=10)
    for epoch in range(500):
        progress = Progress.resumed(PART, epoch, kept)
        progress.reached(20)
        progress.reached(15)
        kept = progress.position()
        assert kept == Position(offset=20)


def test_the_same_offset_acknowledged_twice_stops_no_commit() -> None:
    progress = begun(10)
    for offset in range(10, 20):
        assert progress.take(offset) == "new"
        progress.finish([offset, offset])
        progress.finish([offset, offset - 1])
        assert progress.position([offset]) == Position(offset=offset + 1)
    assert progress.open_count == 0


def test_after_a_rebalance_a_stale_entry_swallows_no_fresh_record() -> None:
    before = begun(10)
    assert [before.take(offset) for offset in (10, 11, 12)] == ["new", "new", "new"]
    kept = before.position([11])
    after = Progress.resumed(PART, 2, kept)
    assert [after.take(offset) for offset in (10, 11, 12)] == ["new", "done", "new"]
    before.finish([10, 11, 12])
    assert after.position() == kept
    assert after.open_count == 2


def test_work_that_ends_before_it_is_offered_again_is_not_counted() -> None:
    progress = begun(placed(10, (12, 13)))
    progress.finish([10, 11])
    assert progress.position([10, 11]) == placed(10, (12, 13))
    assert [progress.take(offset) for offset in (10, 11)] == ["new", "new"]


def test_an_aborted_transaction_changes_nothing_and_is_made_again() -> None:
    progress = begun(10)
    for offset in range(10, 20):
        progress.take(offset)
    before = progress.position()
    first = progress.position({10, 11, 15})
    assert progress.position() == before
    assert progress.position({10, 11, 15}) == first
    progress.finish({10, 11, 15})
    assert progress.position() == first


def test_a_position_tells_after_a_doubt_which_work_was_committed() -> None:
    progress = begun(10)
    for offset in range(10, 20):
        progress.take(offset)
    position = progress.position({10, 12, 19})
    assert [offset for offset in range(5, 25) if holds(position, offset)] == [5, 6, 7, 8, 9, 10, 12, 19]


def test_what_is_open_is_counted_from_what_is_there() -> None:
    progress = begun(placed(10, (12, 13, 15)))
    assert (progress.open_count, progress.idle, progress.next) == (3, True, 10)
    progress.take(11)
    assert (progress.open_count, progress.idle, progress.next) == (2, False, 12)
    progress.reached(16)
    assert (progress.open_count, progress.idle, progress.next) == (1, False, 16)
    progress.finish([11])
    assert (progress.open_count, progress.idle, progress.next) == (0, True, 16)


@pytest.mark.parametrize("spread", ["every tenth", "at random"])
def test_the_time_of_a_map_grows_with_what_is_open_and_not_faster(spread: str) -> None:
    """Up to 2,000 open among 20,000, which is 2 ms where it was measured (decision 0018): a square would be 64 times 250."""

    def prepare(count: int) -> Callable[[], object]:
        progress, size = begun(), 10 * count
        for offset in range(size):
            progress.take(offset)
        chance = random.Random(7)
        slow = set(range(0, size, 10)) if spread == "every tenth" else set(chance.sample(range(size), count))
        progress.finish(offset for offset in range(size) if offset not in slow)
        assert progress.position().metadata
        return progress.position

    assert growth(prepare, 250) < 20
