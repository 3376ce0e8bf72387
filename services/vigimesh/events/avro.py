"""Avro schemas made from the event classes: the class is the truth, `schemas/*.avsc` is its checked print."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from datetime import datetime
from functools import cache
from typing import Any

NAMESPACE = "vigimesh"

_PRIMITIVES: dict[object, Any] = {
    str: "string",
    int: "long",
    bool: "boolean",
    float: "double",
    bytes: "bytes",
    datetime: {"type": "long", "logicalType": "timestamp-micros"},
}

Schema = dict[str, Any]


@cache
def schema_of(cls: type) -> Schema:
    """Return the Avro schema of an event class: a record with a doc on it and on every field.

    Raises `TypeError` for a field without a doc or of a type that the contract does not use.
    """
    return _record(cls, set())


def schema_text(cls: type) -> str:
    """Return the schema as it stands in `schemas/`: JSON, two spaces, one line feed at the end."""
    return json.dumps(schema_of(cls), indent=2, ensure_ascii=False) + "\n"


def _record(cls: type, named: set[str]) -> Schema:
    named.add(cls.__name__)
    hints = typing.get_type_hints(cls, include_extras=True)
    fields = []
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        if typing.get_origin(hint) is not typing.Annotated:
            raise TypeError(f"{cls.__name__}.{field.name} has no doc")
        plain, doc = typing.get_args(hint)[:2]
        entry: Schema = {"name": field.name, "type": _type(plain, named), "doc": doc}
        if field.default is not dataclasses.MISSING:
            entry["default"] = _default(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            entry["default"] = _default(field.default_factory())
        fields.append(entry)
    return {
        "type": "record",
        "name": cls.__name__,
        "namespace": NAMESPACE,
        "doc": (cls.__doc__ or "").strip(),
        "fields": fields,
    }


def _type(hint: Any, named: set[str]) -> Any:
    if hint in _PRIMITIVES:
        return _PRIMITIVES[hint]
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple and len(args) == 2 and args[1] is ...:
        return {"type": "array", "items": _type(args[0], named)}
    if origin is dict and args[0] is str:
        return {"type": "map", "values": _type(args[1], named)}
    if origin in (types.UnionType, typing.Union) and type(None) in args and len(args) == 2:
        inner = next(a for a in args if a is not type(None))
        return ["null", _type(inner, named)]
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        name = hint.__name__
        return f"{NAMESPACE}.{name}" if name in named else _record(hint, named)
    raise TypeError(f"no Avro type for {hint!r}")


def _default(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _default(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_default(v) for v in value]
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value
