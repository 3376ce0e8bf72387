"""Bytes to events and back: Confluent's wire format around Avro (v0 written; v0 and v1 read)."""

from __future__ import annotations

import io
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

import fastavro
import msgspec

from vigimesh.errors import Refused
from vigimesh.events.avro import Schema, schema_of
from vigimesh.events.bodies import NOTHING, Carried, reader_of, writer_of
from vigimesh.events.topics import BY_NAME

#: Wire v0 is a zero byte and a 4-byte big-endian schema id; v1 is a one byte and a 16-byte GUID.
_V0_BYTES, _V1_BYTES = 5, 17

_learning = threading.Lock()
_learned: set[type] = set()


def learn_classes() -> None:
    """Let msgspec work out each event class once, one thread at a time.

    It does so at a class's first use, and a second thread that comes upon a class half worked out ends the process with a
    segmentation fault (msgspec 0.22): the lanes of a stage are threads that read their first records at the same time.
    """
    with _learning:
        for cls in {topic.event for topic in BY_NAME.values()} - _learned:
            with suppress(msgspec.ValidationError):
                msgspec.convert({}, cls)
            _learned.add(cls)


def get_ready() -> None:
    """Make at once what a process otherwise makes at the first record of each class: 0.15 s, which those forked from it share."""
    learn_classes()
    for topic in BY_NAME.values():
        _parsed(topic.event)
        writer_of(topic.event)
        reader_of(topic.event)


class Schemas(Protocol):
    """The registry as the codec needs it. Every call may raise `Transient` when the registry is away."""

    def id_of(self, subject: str) -> int:
        """Return the id under which our schema is registered for a subject (`TOPIC-value`)."""
        ...

    def schema(self, schema_id: int) -> Schema:
        """Return a schema by id; raises `Refused` VM-1002 when the registry does not know it."""
        ...

    def schema_by_guid(self, guid: uuid.UUID) -> Schema:
        """Return a schema by GUID; raises `Refused` VM-1002 when the registry does not know it."""
        ...


@dataclass
class Codec:
    """Encodes and decodes the events of every topic; keeps parsed schemas, one per id seen (a few dozen)."""

    schemas: Schemas
    _prefix: dict[str, bytes] = field(default_factory=dict)
    _places: dict[str, str] = field(default_factory=dict)
    _ours: dict[type, Any] = field(default_factory=dict)
    _theirs: dict[bytes, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make every class known to msgspec before threads share it."""
        learn_classes()

    def schema_id(self, topic: str) -> int:
        """Return the registry id of the schema that we write to `topic`."""
        return int.from_bytes(self._head(topic)[1:], "big")

    def dataschema(self, topic: str) -> str:
        """Return `ce_dataschema` of what we write to `topic`: the path of its schema in the registry."""
        place = self._places.get(topic)
        if place is None:
            place = self._places[topic] = f"/schemas/ids/{self.schema_id(topic)}"
        return place

    def encode(self, topic: str, event: object, carried: Carried = NOTHING) -> bytes:
        """Return the record value of `event` for `topic`, wire v0; what was `carried` from a record that was read is not written anew.

        Raises `TypeError` for a class of another topic, `Refused` VM-1004 for a value that Avro cannot hold (half a
        surrogate pair, an integer beyond 64 bits).
        """
        expected = BY_NAME[topic].event
        if type(event) is not expected:
            raise TypeError(f"{topic} takes {expected.__name__}, not {type(event).__name__}")
        pieces = [self._head(topic)]
        try:
            writer_of(expected)(event, pieces, carried.get)
        except (UnicodeEncodeError, OverflowError) as error:
            raise Refused("VM-1004", what=f"a value does not fit Avro: {type(error).__name__}", where=topic,
                          todo="send text that is valid Unicode and numbers within 64 bits") from error  # fmt: skip
        return b"".join(pieces)

    def decode(self, topic: str, data: bytes, carried: Carried | None = None) -> Any:
        """Return the event in a record value of `topic`; `carried` is given the bytes of what stages hand on.

        They are good for what is encoded while the event lives.

        Raises `Refused` VM-1001 (not the wire format), VM-1002 (unknown schema), VM-1003 (bytes do not fit),
        VM-1004 (value does not fit the class); `Transient` when the registry is away.
        """
        cls = BY_NAME[topic].event
        size = _V0_BYTES if data[:1] == b"\x00" else _V1_BYTES if data[:1] == b"\x01" else 0
        if size == 0 or len(data) < size:
            raise Refused(
                "VM-1001", what=f"not a record in the Confluent wire format: begins with {data[:1]!r}, {len(data)} bytes",
                where=topic, todo="let the producer write with a Confluent-compatible Avro serializer",
            )  # fmt: skip
        ours = self._own(cls)
        writer = self._writer(data[:size])
        try:
            if writer is ours:
                event, end = reader_of(cls)(data, size, {} if carried is None else carried)
            else:
                body = io.BytesIO(data)
                body.seek(size)
                event = msgspec.convert(fastavro.schemaless_reader(body, writer, ours), cls)
                end = body.tell()
        except msgspec.ValidationError as error:
            raise Refused("VM-1004", what=f"event does not fit its class: {error}", where=topic,
                          todo="compare the writer's schema with the one in schemas/") from error  # fmt: skip
        except Exception as error:
            raise Refused("VM-1003", what=f"bytes do not fit their schema: {type(error).__name__}", where=topic,
                          todo="compare the schema id in the record with the schema it was written with") from error  # fmt: skip
        if end != len(data):
            what = (
                f"{end - len(data)} bytes too few"
                if end > len(data)
                else f"{len(data) - end} bytes behind the body"
            )
            raise Refused("VM-1003", what=what, where=topic,
                          todo="compare the schema id in the record with the schema it was written with")  # fmt: skip
        return event

    def _head(self, topic: str) -> bytes:
        head = self._prefix.get(topic)
        if head is None:
            number = self.schemas.id_of(BY_NAME[topic].subject)
            head = self._prefix[topic] = b"\x00" + number.to_bytes(4, "big")
            self._theirs[head] = self._own(BY_NAME[topic].event)
        return head

    def _own(self, cls: type) -> Any:
        parsed = self._ours.get(cls)
        if parsed is None:
            parsed = self._ours[cls] = _parsed(cls)
        return parsed

    def _writer(self, head: bytes) -> Any:
        parsed = self._theirs.get(head)
        if parsed is None:
            if head[:1] == b"\x00":
                schema = self.schemas.schema(int.from_bytes(head[1:], "big"))
            else:
                schema = self.schemas.schema_by_guid(uuid.UUID(bytes=head[1:]))
            try:
                parsed = fastavro.parse_schema(schema)
            except Exception as error:
                raise Refused("VM-1002", what=f"the registered schema is no Avro: {type(error).__name__}", where=head.hex(),
                              todo="look at the schema in the registry") from error  # fmt: skip
            same = (own for own in self._ours.values() if _bare(own) == _bare(parsed))
            parsed = self._theirs[head] = next(same, parsed)
        return parsed


@cache
def _parsed(cls: type) -> Any:
    return fastavro.parse_schema(schema_of(cls))


def _bare(parsed: Any) -> tuple[str, str]:
    """Return what two schemas must share to be read alike: the canonical form leaves out logical types (ms and µs)."""
    return fastavro.schema.to_parsing_canonical_form(parsed), repr(list(_logical(parsed)))


def _logical(schema: Any) -> Iterator[Any]:
    if isinstance(schema, dict):
        if "logicalType" in schema:
            yield schema["logicalType"]
        for name in ("type", "items", "values", "fields"):
            yield from _logical(schema.get(name))
    elif isinstance(schema, list):
        for one in schema:
            yield from _logical(one)
