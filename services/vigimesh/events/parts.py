"""An event's body as parts, so that what a stage hands on unchanged is written as the bytes it was read as.

Avro writes a record as its fields one behind the other, so the bytes of a nested record can be taken out of one body and
put into another. Measured on the five stages: encoding was 45 % of a worker's time, most of it the same case again.
"""

from __future__ import annotations

import dataclasses
import io
import typing
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import fastavro
import msgspec

from vigimesh.events.avro import fields_schema, type_schema
from vigimesh.events.case import Case
from vigimesh.events.classes import Plan, Route
from vigimesh.events.knowledge import Passage

#: Types of fields that stages hand on as they got them.
CARRIED: tuple[Any, ...] = (Case, Route, Plan, tuple[Passage, ...])
#: Carried values whose bytes are remembered: two batches of 500 with four each; then all are forgotten.
MAX_REMEMBERED = 4_000
#: Their bytes together; then all are forgotten. A batch of ordinary cases has 2 MB, one large case up to 4 MB.
MAX_REMEMBERED_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive fields of an event that are read and written together; a carried one is a field by itself."""

    names: tuple[str, ...]
    schema: Any
    carried: bool


@cache
def parts_of(cls: Any) -> tuple[Part, ...]:
    """Return the parts of an event class in the order of its fields."""
    parts: list[Part] = []
    run: list[str] = []
    hints = typing.get_type_hints(cls)

    def close() -> None:
        if run:
            parts.append(Part(tuple(run), fastavro.parse_schema(fields_schema(cls, tuple(run))), False))
            run.clear()

    for field in dataclasses.fields(cls):
        if hints[field.name] in CARRIED:
            close()
            parts.append(Part((field.name,), fastavro.parse_schema(type_schema(hints[field.name])), True))
        else:
            run.append(field.name)
    close()
    return tuple(parts)


class Remembered:
    """The bytes of carried values, by the identity of the value; it holds the value, so that no other takes its place."""

    def __init__(self) -> None:
        """Begin empty."""
        self._bytes: dict[int, tuple[Any, bytes]] = {}
        self._size = 0

    def put(self, value: Any, data: bytes) -> None:
        """Remember the bytes of a value."""
        self._size += len(data)
        if len(self._bytes) >= MAX_REMEMBERED or self._size > MAX_REMEMBERED_BYTES:
            self._bytes.clear()
            self._size = len(data)
        self._bytes[id(value)] = (value, data)

    def get(self, value: Any) -> bytes | None:
        """Return the bytes of this very value, or `None`."""
        found = self._bytes.get(id(value))
        return found[1] if found is not None and found[0] is value else None


def write_parts(out: io.BytesIO, event: Any, remembered: Remembered) -> None:
    """Write an event's body; a carried value that was read before is written as its bytes."""
    parts = parts_of(event.__class__)
    if len(parts) == 1:
        fastavro.schemaless_writer(
            out, parts[0].schema, msgspec.to_builtins(event, builtin_types=(bytes, datetime))
        )
        return
    for part in parts:
        if part.carried:
            value = getattr(event, part.names[0])
            data = remembered.get(value)
            if data is not None:
                out.write(data)
                continue
            plain = msgspec.to_builtins(value, builtin_types=(bytes, datetime))
        else:
            plain = {
                name: msgspec.to_builtins(getattr(event, name), builtin_types=(bytes, datetime))
                for name in part.names
            }
        fastavro.schemaless_writer(out, part.schema, plain)


def read_parts(body: io.BytesIO, cls: type, remembered: Remembered) -> Any:
    """Read an event written with our own schema, and remember the bytes of what it carries.

    Raises whatever fastavro raises on broken bytes, and `msgspec.ValidationError`.
    """
    plain: dict[str, Any] = {}
    spans: list[tuple[str, int, int]] = []
    for part in parts_of(cls):
        start = body.tell()
        value: Any = fastavro.schemaless_reader(body, part.schema, None)
        if part.carried:
            plain[part.names[0]] = value
            spans.append((part.names[0], start, body.tell()))
        else:
            plain.update(value)
    event: Any = msgspec.convert(plain, cls)
    whole = body.getvalue()
    for name, start, end in spans:
        remembered.put(getattr(event, name), whole[start:end])
    return event
