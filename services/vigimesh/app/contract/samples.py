"""One made-up event per class, the same each time: golden bytes, examples of the AsyncAPI document, tests."""

from __future__ import annotations

import dataclasses
import types
import typing
from datetime import UTC, datetime, timedelta
from typing import Any

_MOMENT = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


def sample(cls: type) -> Any:
    """Return an event of `cls` in which every field differs from its default and no alternative is null.

    Text is the field's name with a letter outside ASCII, so that a wrong encoding shows; numbers need more than 32 bits.
    """
    return _record(cls)


def _record(cls: type) -> Any:
    hints = typing.get_type_hints(cls)
    return cls(
        **{
            field.name: _value(hints[field.name], field.name, place)
            for place, field in enumerate(dataclasses.fields(cls))
        }
    )


def _value(hint: Any, name: str, place: int) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return tuple(_value(args[0], f"{name} {number}", place + number) for number in (1, 2))
    if origin is dict:
        return {f"{name} {number}": _value(args[1], name, place + number) for number in (1, 2)}
    if origin in (types.UnionType, typing.Union):
        return _value(next(one for one in args if one is not type(None)), name, place)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _record(hint)
    plain: dict[type, Any] = {
        str: f"{name} ü",
        int: 2**33 + place,
        bool: True,
        float: place + 0.5,
        bytes: bytes([0, 255, place % 256]),
        datetime: _MOMENT + timedelta(seconds=place),
    }
    return plain[hint]
