"""The code that is made for a class writes what fastavro writes and reads what fastavro reads, for every class and value."""

from __future__ import annotations

import dataclasses
import io
import types
import typing
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

import fastavro
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigimesh.app.contract.samples import sample
from vigimesh.app.contract.schema_files import event_classes
from vigimesh.events import bodies
from vigimesh.events.avro import schema_of
from vigimesh.events.bodies import reader_of, writer_of
from vigimesh.events.classes import EventParked, HeadMoved, ThrottleOrdered
from vigimesh.events.codec import get_ready

CLASSES = event_classes()
#: Where a number takes one byte more, and the ends of 64 bits.
EDGES = (0, -1, 63, 64, -64, -65, 8_191, 8_192, -8_193, 2**31, 2**63 - 1, -(2**63))
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=9) | st.sampled_from(("", "a" * 63, "a" * 64, "a" * 8_191, "ü" * 4_096)),
    int: st.sampled_from(EDGES) | st.integers(-(2**63), 2**63 - 1),
    bool: st.booleans(),
    float: st.floats(allow_nan=False),
    bytes: st.binary(max_size=70),
    # Those that come again are kept by their bytes, of which some have fewer or more than eight.
    datetime: st.datetimes(timezones=st.just(UTC))
    | st.sampled_from([datetime(y, 1, 2, tzinfo=UTC) for y in (1970, 1973, 2026, 3200)]),
}


def of(hint: Any) -> st.SearchStrategy[Any]:
    if hint in PLAIN:
        return PLAIN[hint]
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return st.lists(of(args[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(PLAIN[str], of(args[1]), max_size=3)
    if origin in (types.UnionType, typing.Union):
        return st.none() | of(next(one for one in args if one is not type(None)))
    hints = typing.get_type_hints(hint)
    return st.builds(hint, **{field.name: of(hints[field.name]) for field in dataclasses.fields(hint)})


def written(event: Any) -> bytes:
    pieces: list[bytes] = []
    writer_of(type(event))(event, pieces, lambda _: None)
    return b"".join(pieces)


def read(cls: type, data: bytes) -> Any:
    event, end = reader_of(cls)(data, 0, {})
    if end != len(data):
        raise EOFError
    return event


def fastavro_wrote(event: Any) -> bytes:
    out, cls = io.BytesIO(), cast("type", type(event))
    plain = msgspec.to_builtins(event, builtin_types=(bytes, datetime))
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema_of(cls)), plain)
    return out.getvalue()


def fastavro_read(cls: type, data: bytes) -> Any:
    body = io.BytesIO(data)
    found: Any = fastavro.schemaless_reader(body, fastavro.parse_schema(schema_of(cls)), None)
    if body.tell() != len(data):
        raise EOFError
    return msgspec.convert(found, cls)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@settings(max_examples=20)
@given(data=st.data())
def test_any_value_is_written_and_read_as_by_fastavro(cls: type, data: st.DataObject) -> None:
    event = data.draw(of(cls))
    body = written(event)
    assert body == fastavro_wrote(event)
    again = read(cls, body)
    assert again == event
    assert type(again) is cls


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@settings(max_examples=40)
@given(data=st.data())
def test_damaged_bytes_are_refused_or_read_as_by_fastavro(cls: type, data: st.DataObject) -> None:
    """A byte changed, or the end cut off: we refuse what fastavro refuses, and find the value that it still finds."""
    whole = bytearray(written(sample(cls)))
    place = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        whole[place] = data.draw(st.integers(0, 255))
    else:
        del whole[place:]
    damaged = bytes(whole)
    assert outcome(read, cls, damaged) == outcome(fastavro_read, cls, damaged)


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 3, 29, 1, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=-5))),
        datetime(2026, 3, 29, 1, 59, 59, 7),  # noqa: DTZ001  what is asked here is what becomes of one without a zone
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
    ids=str,
)
def test_a_moment_is_written_as_by_fastavro_whatever_its_zone(moment: datetime) -> None:
    parked = dataclasses.replace(sample(EventParked), not_before=moment)
    assert written(parked) == fastavro_wrote(parked)


@pytest.mark.parametrize(
    "change",
    [{"reason": None}, {"reason": 7}, {"reason": b"x"}, {"value": None}, {"key": 7}, {"headers": None}, {"not_before": "today"}],
    ids=str,
)  # fmt: skip
def test_a_value_of_another_type_is_not_written(change: dict[str, Any]) -> None:
    wrong = dataclasses.replace(sample(EventParked), **change)
    with pytest.raises((TypeError, AttributeError)):
        written(wrong)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_a_number_beyond_64_bits_is_not_written(number: int) -> None:
    with pytest.raises(OverflowError):
        written(dataclasses.replace(sample(ThrottleOrdered), term=number))


def test_items_in_several_blocks_are_read_too() -> None:
    """Other writers may cut an array into blocks, and say a block's size so that it can be skipped."""
    empty = written(HeadMoved(case_id="a", newest=(), newest_message_id="b"))
    assert empty[2:3] == b"\0"
    blocks = b"\2\2x" + b"\1\4\2y" + b"\0"  # one item; minus one item, of two bytes; the end
    assert read(HeadMoved, empty[:2] + blocks + empty[3:]).newest == ("x", "y")


def test_whoever_is_ready_makes_no_code_for_any_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the fork server does once, no worker does with its first records."""
    monkeypatch.setattr(bodies, "_writers", {})
    monkeypatch.setattr(bodies, "_readers", {})
    get_ready()
    monkeypatch.setattr(bodies, "_made_writer", None)
    monkeypatch.setattr(bodies, "_made_reader", None)
    for cls in CLASSES:
        event = sample(cls)
        assert read(cls, written(event)) == event


def outcome(how: Any, cls: type, data: bytes) -> Any:
    try:
        return how(cls, data)
    except Exception:  # noqa: BLE001  how it is refused is each one's own affair
        return "refused"
