"""The map in an offset's metadata: what is written is read again, and nothing else is read as progress."""

from __future__ import annotations

import base64
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigimesh.loop import progress as room
from vigimesh.loop.broker import Part, Position
from vigimesh.loop.progress import HEAD, MARK, SPACE, SPAN_MAX, Map, Progress, holds, read, write

PART = Part("plan.hot", 3)


def two_patterns() -> list[int]:
    """Open offsets in one of two patterns of eight, in random order."""
    chance = random.Random(2)
    return [
        100 + 8 * at + step for at in range(1_500) for step in chance.choice(((0, 2, 4, 6), (0, 1, 3, 4, 6)))
    ]


#: Maps whose smallest encoding is each of the four, with the letter that names it.
SHAPES = {
    "r": [100, 105],
    "b": sorted(random.Random(1).sample(range(100, 2_000), 950)),
    "R": [*range(100, 200_000, 1_000)],
    "B": two_patterns(),
}


def written(opens: list[int], high: int) -> Position:
    """A position with the map of [opens[0], high)."""
    return Position(offset=opens[0], metadata=write(opens, high))


def sealed(base: int, kind: str, payload: bytes) -> Position:
    """Any payload, with a checksum that is right."""
    text = base64.b64encode(payload).decode("ascii")
    return Position(offset=base, metadata=f"{MARK}{kind}{room._checksum(base, kind, text)}{text}")


def claims_nothing(position: Position) -> bool:
    """Whether nothing beyond the watermark is read as done, by either reader, and the log is told why."""
    found = read(position)
    progress = Progress.resumed(PART, 1, position)
    answers = {progress.take(offset) for offset in range(position.offset, position.offset + 50)}
    return (
        found.open == ()
        and found.high == position.offset
        and bool(found.trouble)
        and progress.trouble == found.trouble
        and answers == {"new"}
        and not any(holds(position, offset) for offset in range(position.offset, position.offset + 50))
    )


@pytest.mark.parametrize("kind", SHAPES)
def test_each_encoding_is_the_smallest_of_some_map_and_reads_back(kind: str) -> None:
    opens = SHAPES[kind]
    position = written(opens, opens[-1] + 2)
    assert position.metadata[len(MARK)] == kind
    assert read(position) == Map(open=tuple(opens), high=opens[-1] + 2)


@given(
    base=st.sampled_from((0, 1, 127, 128, 5_000_000, (1 << 62))),
    runs=st.lists(
        st.tuples(st.integers(1, 40), st.sampled_from((1, 2, 127, 128, 16_384, 1 << 21))), min_size=1
    ),
)
def test_what_is_written_is_read_again(base: int, runs: list[tuple[int, int]]) -> None:
    opens: list[int] = []
    at = base
    for length, done in runs:
        opens.extend(range(at, at + length))
        at += length + done
    assert read(written(opens, at)) == Map(open=tuple(opens), high=at)


def test_nothing_done_beyond_is_no_map() -> None:
    assert write([10, 11, 12], 13) == ""
    assert read(Position(offset=10)) == Map(high=10)


def test_what_is_open_at_the_end_is_left_out() -> None:
    assert write([10, 13, 14, 15], 16) == write([10], 13)


@pytest.mark.parametrize("gap", [1, 127, 128, 129, SPAN_MAX - 1, SPAN_MAX, SPAN_MAX + 1, 1 << 40, (1 << 62)])
@pytest.mark.parametrize("place", ["at the watermark", "in the middle", "at the end"])
def test_commit_markers_are_gaps_in_the_offsets_and_hold_nothing_back(gap: int, place: str) -> None:
    start = 7 + gap if place == "at the watermark" else 7
    offsets = [start, start + 1 + (gap if place == "in the middle" else 0)]
    end = offsets[-1] + 1 + (gap if place == "at the end" else 0)
    progress = Progress.resumed(PART, 1, Position(offset=7))
    assert [progress.take(offset) for offset in offsets] == ["new", "new"]
    progress.reached(end)
    position = progress.position(offsets[1:])
    assert position.offset == offsets[0]
    again = Progress.resumed(PART, 2, position)
    assert [again.take(offset) for offset in offsets] == ["new", "done"]
    again.reached(end)
    assert again.position(offsets) == Position(offset=end)


@pytest.mark.parametrize("kind", SHAPES)
def test_one_changed_character_is_never_read_as_progress(kind: str) -> None:
    opens = SHAPES[kind]
    good = written(opens, opens[-1] + 2)
    step = max(1, len(good.metadata) // 150)
    for at in range(0, len(good.metadata), 1 if at_head(kind) else step):
        for bit in range(8):
            changed = good.metadata[:at] + chr(ord(good.metadata[at]) ^ 1 << bit) + good.metadata[at + 1 :]
            assert read(Position(offset=opens[0], metadata=changed)).trouble, f"character {at}, bit {bit}"


def at_head(kind: str) -> bool:
    """Whether the map is short enough for each of its characters to be tried."""
    return kind in "rR"


@pytest.mark.parametrize("kind", SHAPES)
def test_a_map_cut_short_is_never_read_as_progress(kind: str) -> None:
    opens = SHAPES[kind]
    good = written(opens, opens[-1] + 2)
    for length in range(1, len(good.metadata), max(1, len(good.metadata) // 300)):
        assert read(Position(offset=opens[0], metadata=good.metadata[:length])).trouble, f"cut at {length}"


@pytest.mark.parametrize(
    "metadata",
    [
        "some text",
        " ",
        "\x00",
        "0",
        "vm",
        "vm1",
        "vm1r",
        "vm1r00000000",
        "vm1r00000000AQE=",
        "vm1é00000000AQE=",
        "vm1r\udcff0000000AQE=",
        "vm2" + write([0], 5)[3:],
        "vm10" + write([0], 5)[3:],
        "VM1" + write([0], 5)[3:],
        " " + write([0], 5),
        write([0], 5) + " ",
        write([0], 5) + "\n",
        write([0], 5) * 2,
        "bm90IG91cnM=",
        "1,5,9",
        '{"offsets":[3,4]}',
        "x" * 5_000,
        write([0], 5) + "A" * SPACE,
    ],
)
def test_unknown_metadata_of_an_offset_is_never_read_as_progress(metadata: str) -> None:
    assert claims_nothing(Position(offset=0, metadata=metadata))


def test_the_log_is_told_what_was_wrong() -> None:
    good = write([8], 12)
    assert "not ours" in read(Position(offset=8, metadata="some text")).trouble
    assert "another version" in read(Position(offset=8, metadata="vm2" + good[3:])).trouble
    assert "another offset" in read(Position(offset=9, metadata=good)).trouble
    assert read(Position(offset=8, metadata=good)).trouble == ""


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("r", b""),
        ("r", b"\x00\x05"),
        ("r", b"\x01\x00"),
        ("r", b"\x01"),
        ("r", b"\x01\x02\x01"),
        ("r", b"\x01\x82"),
        ("r", b"\x01" + b"\xff" * 40 + b"\x01"),
        ("r", b"\xff\xff\xff\x7f\x01"),
        ("r", b"\x01\x7f" * 2_000),
        ("b", b""),
        ("b", b"\x00"),
        ("b", b"\x01"),
        ("b", b"\xfe" * (SPAN_MAX // 8 + 1)),
        ("R", b"\x01\x02"),
        ("R", zlib.compress(b"\x01\x02")[:-1]),
        ("R", zlib.compress(b"\x01\x02") + b"\x00"),
        ("R", zlib.compress(bytes(10_000_000))),
        ("B", zlib.compress(b"\xfe" * 1_000_000)),
        ("x", b"\x01\x02"),
        ("é", b"\x01\x02"),
    ],
)
def test_a_map_that_we_would_never_write_is_not_read(kind: str, payload: bytes) -> None:
    assert claims_nothing(sealed(30, kind, payload))


@given(st.binary(max_size=40), st.sampled_from("rbRB"))
def test_any_payload_reads_as_a_whole_map_or_not_at_all(payload: bytes, kind: str) -> None:
    found = read(sealed(30, kind, payload))
    assert bool(found.trouble) == (found.open == ())
    if not found.trouble:
        assert found.open[0] == 30
        assert found.open[-1] < found.high - 1
        assert list(found.open) == sorted(set(found.open))


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("moved", [-100, -99, -1, 1, 2, 5, 1_000, 1 << 40])
def test_a_map_left_beside_another_offset_by_a_reset_is_not_read(kind: str, moved: int) -> None:
    opens = SHAPES[kind]
    metadata = write(opens, opens[-1] + 2)
    assert claims_nothing(Position(offset=opens[0] + moved, metadata=metadata))


def test_a_reset_without_metadata_begins_there() -> None:
    for offset in (0, 5, 50):
        progress = Progress.resumed(PART, 2, Position(offset=offset))
        assert progress.trouble == ""
        assert progress.next == offset
        assert [progress.take(offset), progress.take(offset + 1)] == ["new", "new"]


def test_the_head_is_as_long_as_it_is_said_to_be() -> None:
    metadata = write([0], 5)
    assert len(metadata) - len(base64.b64encode(base64.b64decode(metadata[HEAD:], validate=True))) == HEAD
    assert metadata.startswith(f"{MARK}r")
