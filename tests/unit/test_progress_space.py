"""The map always fits: what is taken is bounded, whatever of it ends first, and fetching goes on again."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigimesh.errors import Broken
from vigimesh.loop import progress as room
from vigimesh.loop.broker import Part, Position
from vigimesh.loop.progress import FULL, OPEN_MAX, SPACE, SPAN_MAX, Progress, holds, room_needed, write

PART = Part("plan.hot", 3)


def begun() -> Progress:
    return Progress.resumed(PART, 1, Position(offset=0))


def paused(progress: Progress) -> bool:
    """Asked anew each time; a type checker takes a property for a constant."""
    return progress.full


def filled(offsets: Iterator[int], most: int = 60_000) -> tuple[Progress, list[int]]:
    """Take until it is full, or `most` are taken."""
    progress = begun()
    taken: list[int] = []
    for offset in offsets:
        if len(taken) == most or progress.take(offset) == "full":
            break
        taken.append(offset)
    return progress, taken


def strided(stride: int) -> Iterator[int]:
    """Offsets with `stride` - 1 gaps between two."""
    return iter(range(0, 1 << 62, stride))


def all_but_first(taken: list[int]) -> list[int]:
    return taken[1:]


def every_other(taken: list[int]) -> list[int]:
    return taken[1::2]


def every_third(taken: list[int]) -> list[int]:
    return [offset for at, offset in enumerate(taken) if at % 3]


def at_random(taken: list[int]) -> list[int]:
    chance = random.Random(3)
    return [offset for offset in taken if chance.random() < 0.5]


def mostly_at_random(taken: list[int]) -> list[int]:
    chance = random.Random(4)
    return [offset for offset in taken if chance.random() < 0.9]


def just_two_bytes(taken: list[int]) -> list[int]:
    """Done in runs of 128 offsets, the shortest that take two bytes, with one open between."""
    return [offset for offset in taken if offset % 129]


def last_only(taken: list[int]) -> list[int]:
    return taken[-1:]


COMPLETIONS: list[Callable[[list[int]], list[int]]] = [
    all_but_first,
    every_other,
    every_third,
    at_random,
    mostly_at_random,
    just_two_bytes,
    last_only,
]


@pytest.mark.parametrize("completion", COMPLETIONS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("stride", [1, 2, 3, 128, 129, 20_000, 1 << 30, 1 << 50])
def test_the_map_of_a_full_partition_fits_whatever_ends_first(
    stride: int, completion: Callable[[list[int]], list[int]]
) -> None:
    progress, taken = filled(strided(stride), most=30_000)
    assert len(taken) >= OPEN_MAX
    finished = set(completion(taken))
    position = progress.position(finished)
    assert len(position.metadata) <= SPACE
    assert [offset for offset in taken if not holds(position, offset)] == [
        offset for offset in taken if offset not in finished
    ]


@settings(max_examples=40)
@given(
    steps=st.lists(st.sampled_from((1, 1, 1, 2, 5, 129, 3_000, 1 << 22, 1 << 44)), min_size=1, max_size=8),
    share=st.sampled_from((0.02, 0.5, 0.9, 0.99)),
    seed=st.integers(0, 1 << 30),
)
def test_the_map_fits_while_work_ends_at_random_and_more_is_taken(
    steps: list[int], share: float, seed: int
) -> None:
    chance, progress, at = random.Random(seed), begun(), 0
    hand: list[int] = []
    for _ in range(4):
        for _ in range(2_000):
            if progress.take(at) == "full":
                break
            hand.append(at)
            at += chance.choice(steps)
        finished = {offset for offset in hand[1:] if chance.random() < share}
        assert len(progress.position(finished).metadata) <= SPACE
        progress.finish(finished)
        hand = [offset for offset in hand if offset not in finished]
        at = max(at, progress.unpause())


def test_a_map_that_does_not_fit_is_a_defect_and_is_not_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    progress, taken = filled(strided(1), most=2_000)
    monkeypatch.setattr(room, "SPACE", 200)
    with pytest.raises(Broken, match="VM-1311"):
        progress.position(at_random(taken))


def test_without_the_bound_the_map_would_not_fit() -> None:
    """The bound is not idle: somewhat more than what is admitted takes too much, at the worst."""
    chance = random.Random(5)
    opens = [0, *sorted(chance.sample(range(1, SPAN_MAX * 11 // 10), SPAN_MAX // 2))]
    assert len(write(opens, SPAN_MAX * 11 // 10)) > SPACE
    span = 1 << 50
    opens = [0, *sorted(chance.sample(range(1, span), OPEN_MAX * 2))]
    assert len(write(opens, span)) > SPACE


def test_the_bounds_are_what_they_say() -> None:
    assert room_needed(SPAN_MAX, SPAN_MAX) <= SPACE < room_needed(SPAN_MAX, SPAN_MAX + 1)
    assert room_needed(OPEN_MAX, (1 << 63) - 1) <= SPACE
    assert FULL == SPACE * 3 // 4


def test_what_was_refused_is_not_passed_over() -> None:
    progress, taken = filled(strided(1))
    refused = taken[-1] + 1
    assert progress.next == refused
    assert progress.take(refused) == "full"
    progress.finish(taken[1:])
    assert progress.take(refused + 1) == "full", "before the one that was refused, it would count as done"
    progress.reached(refused + 2)
    assert progress.position().offset == 0
    assert progress.unpause() == refused
    assert [progress.take(refused), progress.take(refused + 1)] == ["new", "new"]
    progress.finish([0])
    assert progress.position() == Position(offset=refused)


def test_what_was_refused_and_is_compacted_away_stops_nothing() -> None:
    progress, taken = filled(strided(1))
    progress.finish(taken)
    assert progress.take(taken[-1] + 5) == "full"
    progress.unpause()
    assert progress.take(taken[-1] + 5) == "new"


def test_finishing_makes_room_at_once_and_one_slow_record_does_not_stop_the_partition() -> None:
    progress = begun()
    assert progress.take(0) == "new"
    for start in range(1, 2_000_000, 50_000):
        batch = range(start, start + 500)
        assert {progress.take(offset) for offset in batch} == {"new"}
        assert len(progress.position(set(batch)).metadata) < 200
        progress.finish(batch)
        assert not paused(progress)
    assert progress.position().offset == 0


def test_fetching_pauses_at_three_quarters_of_the_space_and_goes_on_when_work_has_ended() -> None:
    progress, taken = filled(strided(1))
    assert paused(progress)
    begin, offset = begun(), 0
    while not paused(begin):
        assert begin.take(offset) == "new"
        offset += 1
    assert room_needed(offset - 1, offset - 1) < FULL <= room_needed(offset, offset)
    progress.finish(taken[:-1])
    progress.position()
    assert not paused(progress)
    progress.finish(taken)
    assert not paused(progress)


def test_a_partition_with_a_large_map_does_not_stay_paused_after_a_restart() -> None:
    """Pausing while what the map has open is still to be read again would wait for work that nobody has."""
    progress, taken = filled(strided(1))
    position = progress.position(at_random(taken))
    assert len(position.metadata) >= FULL
    again = Progress.resumed(PART, 2, position)
    for offset in range(position.offset, again._high):
        assert not paused(again)
        assert again.take(offset) in ("new", "done")
    assert paused(again)
    assert again.open_count == len(again._hand)
    again.finish(range(again._high))
    assert not paused(again)
    assert again.take(again.next) == "new"


def test_while_all_is_well_no_map_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(opens: object, high: object) -> str:
        raise AssertionError(f"a map was made of {opens} up to {high}")

    monkeypatch.setattr(room, "_runs", refuse)
    monkeypatch.setattr(room, "_bitmap", refuse)
    progress = begun()
    for start in range(0, 5_000, 500):
        batch = range(start, start + 500)
        for offset in batch:
            progress.take(offset)
        following = {offset for offset in batch if offset < start + 250}
        assert progress.position(following) == Position(offset=start + 250)
        assert progress.position(set(batch)) == Position(offset=start + 500)
        progress.finish(batch)
