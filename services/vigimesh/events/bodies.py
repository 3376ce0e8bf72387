"""Avro bodies of the event classes, written and read by code that is made for each class from its fields.

fastavro walks a schema anew for each value, and asks for plain dictionaries: together half of what a record cost in a stage.
Here the walk is done once, when a class is first met, and what it comes to is Python source: as `dataclasses` makes `__init__`.
The bytes are fastavro's, which stays the referee (tests) and reads whatever was written with another schema than ours.

A value of a type in `CARRIED` is what stages hand on as they got it. Avro writes a record as its fields one behind the other,
so its bytes can be taken out of one body and put into another.
"""

from __future__ import annotations

import dataclasses
import struct
import types
import typing
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from vigimesh.events.case import Case
from vigimesh.events.classes import Finding, Plan, Route, Triage
from vigimesh.events.knowledge import Passage

#: The bytes that carried values were read as, by the identity of the value: good for as long as the event lives that they came in.
Carried = dict[int, bytes]
#: Of an event that hands nothing on; nobody changes it.
NOTHING: Carried = {}
#: Appends pieces of a body; the last argument returns the carried bytes of an identity, or `None`.
Write = Callable[[Any, list[bytes], Callable[[int], bytes | None]], None]
#: Takes a whole record and a place in it, returns the value and the place behind it, and notes what is carried.
Read = Callable[[bytes, int, Carried], tuple[Any, int]]

#: Types of fields that stages hand on as they got them.
CARRIED: tuple[Any, ...] = (Case, Route, Plan, tuple[Passage, ...], tuple[Finding, ...], Triage)

#: Numbers whose bytes are kept ready: all lengths below are written in two bytes.
_READY = 8_192
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DOUBLE = struct.Struct("<d")
#: Bytes of a 64-bit number, seven bits in each.
_LONG_BYTES = 10
#: Moments that are kept, and those by the eight bytes that a record has them as: those of a batch, and ends of clocks, are few.
MOMENTS_KEPT = 4_096
_moments: dict[bytes, datetime] = {}


def writer_of(cls: Any) -> Write:
    """Return what writes the body of an event class."""
    return _writers.get(cls) or _writers.setdefault(cls, _made_writer(cls))


def reader_of(cls: Any) -> Read:
    """Return what reads the body of an event class."""
    return _readers.get(cls) or _readers.setdefault(cls, _made_reader(cls))


#: Made once for each class. Two threads may make the same at once: one of the two stays.
_writers: dict[Any, Write] = {}
_readers: dict[Any, Read] = {}


def _made_writer(cls: Any) -> Any:
    lines = ["def made(e, out, known):"]
    names: dict[str, Any] = dict(_WRITING)
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        lines += [f" v = e.{field.name}", *_indented(_writes(hints[field.name], names, 0), 1)]
    return _made(cls, lines, names)


def _made_reader(cls: Any) -> Any:
    lines = ["def made(d, p, carried):", " o = new()"]
    names: dict[str, Any] = dict(_READING) | {"new": _blank(cls), "cls": cls}
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        carried = _carried(hints[field.name])
        if carried:
            lines.append(" s = p")
        lines += _indented(_reads(hints[field.name], names, (f"o.{field.name}", 0)), 1)
        if carried:
            lines.append(f" carried[id(o.{field.name})] = d[s:p]")
    return _made(cls, [*lines, " o.__class__ = cls", " return o, p"], names)


def _blank(cls: Any) -> type:
    """Return a class of the same layout whose fields can be set one by one, as those of a frozen one cannot.

    What is read gets its own class when it is whole. Python refuses that where the layouts differ.
    """
    return type(
        f"Blank{cls.__name__}", (), {"__slots__": tuple(field.name for field in dataclasses.fields(cls))}
    )


def _made(cls: Any, lines: list[str], names: dict[str, Any]) -> Any:
    """Run source that was made here of the names and types of a class's fields alone."""
    exec(compile("\n".join(lines), f"<body of {cls.__name__}>", "exec"), names)  # noqa: S102
    return names["made"]


def _writes(hint: Any, names: dict[str, Any], depth: int) -> list[str]:
    """Return the lines that write `v`, a value of a type; `depth` is that of the loops around."""
    if _carried(hint):
        inner = _optional(hint)
        if inner is None:
            return [
                "b = known(id(v))",
                "if b is None:",
                *_indented(_anew(hint, names, depth), 1),
                "else:",
                " out.append(b)",
            ]
        rest = _indented(_writes(inner, names, depth), 1)
        return ["if v is None:", " out.append(ZERO)", "else:", " out.append(TWO)", *rest]
    return _anew(hint, names, depth)


def _anew(hint: Any, names: dict[str, Any], depth: int) -> list[str]:
    if hint in _WRITES:
        return _WRITES[hint]
    inner = _optional(hint)
    if inner is not None:
        return [
            "if v is None:",
            " out.append(ZERO)",
            "else:",
            " out.append(TWO)",
            *_indented(_writes(inner, names, depth), 1),
        ]
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        each = [f"for v in v{depth}:", *_indented(_writes(args[0], names, depth + 1), 1)]
    elif origin is dict:
        each = [
            f"for k{depth}, w{depth} in v{depth}.items():",
            *_indented([f"v = k{depth}", *_WRITES[str], f"v = w{depth}"], 1),
            *_indented(_writes(args[1], names, depth + 1), 1),
        ]
    elif dataclasses.is_dataclass(hint):
        name = _named(hint)
        names[name] = writer_of(hint)
        return [f"{name}(v, out, known)"]
    else:
        raise TypeError(f"no Avro type for {hint!r}")
    count = f"out.append(L[n] if n < {_READY} else long(n))"
    return [f"v{depth} = v", "n = len(v)", "if n:", *_indented([count, *each], 1), "out.append(ZERO)"]


def _reads(hint: Any, names: dict[str, Any], into: tuple[str, int]) -> list[str]:
    """Return the lines that read a value of a type from place `p` into a variable; with the depth of the loops around."""
    target, depth = into
    if hint in _READS:
        return [line.replace("X", target) for line in _READS[hint]]
    inner = _optional(hint)
    if inner is not None:
        return [
            "n = d[p]", "p += 1", "if n > 127:", " n, p = long(d, p - 1)", " n += n", "if n == 0:", f" {target} = None",
            "elif n == 2:", *_indented(_reads(inner, names, into), 1), "else:", " raise ValueError('no such branch')",
        ]  # fmt: skip
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (tuple, dict):
        some, item, count = f"m{depth}", f"i{depth}", f"c{depth}"
        one = _reads(args[0] if origin is tuple else args[1], names, (item, depth + 1))
        if origin is dict:
            one = [*(line.replace("X", f"k{depth}") for line in _READS[str]), *one]
        keep, none, whole = f"{some}[k{depth}] = {item}", "{}", some
        if origin is tuple:
            keep, none, whole = f"{some}.append({item})", "[]", f"tuple({some})"
        block = [
            f"{count} = d[p]",
            f"if {count} & 129:",
            f" {count}, p = block(d, p)",
            "else:",
            f" {count} >>= 1",
            " p += 1",
        ]
        return [
            f"{some} = {none}", *block, f"while {count}:", f" for _ in range({count}):", *_indented([*one, keep], 2),
            *_indented(block, 1), f"{target} = {whole}",
        ]  # fmt: skip
    if dataclasses.is_dataclass(hint):
        name = _named(hint)
        names[name] = reader_of(hint)
        return [f"{target}, p = {name}(d, p, carried)"]
    raise TypeError(f"no Avro type for {hint!r}")


def _carried(hint: Any) -> bool:
    return hint in CARRIED


def _named(hint: Any) -> str:
    return f"of_{hint.__name__}"


def _optional(hint: Any) -> Any:
    """Return the type that a field has when it is not null, or `None` for one that is never null."""
    if typing.get_origin(hint) not in (types.UnionType, typing.Union):
        return None
    return next(one for one in typing.get_args(hint) if one is not type(None))


def _indented(lines: list[str], by: int) -> list[str]:
    return [" " * by + line for line in lines]


def _long(number: int) -> bytes:
    """Write a number: zigzag, seven bits a byte, the lowest first."""
    if not -(1 << 63) <= number < 1 << 63:
        raise OverflowError(f"{number} has more than 64 bits")
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    out.append(rest)
    return bytes(out)


_LONGS = tuple(_long(number) for number in range(_READY))
_known_long = lru_cache(MOMENTS_KEPT)(_long)


def _read_long(data: bytes, at: int) -> tuple[int, int]:
    found = shift = 0
    for place in range(at, at + _LONG_BYTES):
        byte = data[place]
        found |= (byte & 127) << shift
        if byte < 128:
            return (found >> 1) ^ -(found & 1), place + 1
        shift += 7
    raise ValueError("a number of more than 64 bits")


def _read_length(data: bytes, at: int) -> tuple[int, int]:
    found, place = _read_long(data, at)
    if not 0 <= found <= len(data) - place:
        raise ValueError("a length beyond the record")
    return found, place


def _read_block(data: bytes, at: int) -> tuple[int, int]:
    """Read how many items follow; a negative count is followed by their size in bytes, for those who skip them."""
    found, place = _read_long(data, at)
    if found < 0:
        found, (_, place) = -found, _read_long(data, place)
    if found > len(data) - place:
        raise ValueError("more items than bytes")
    return found, place


def _micros(moment: datetime) -> bytes:
    """Write a moment; one without a zone is of this machine's, as fastavro takes it."""
    aware = moment if moment.tzinfo is not None else moment.astimezone()
    return _known_long((aware - _EPOCH) // _MICROSECOND)


def _read_moment(data: bytes, at: int) -> tuple[datetime, int]:
    """Read a moment, and keep it by its bytes where they are eight, as from 1979 to 3111: a case's moments come again at each stage."""
    micros, place = _read_long(data, at)
    moment = _EPOCH + timedelta(microseconds=micros)
    if place == at + 8:
        if len(_moments) >= MOMENTS_KEPT:
            _moments.clear()
        _moments[data[at:place]] = moment
    return moment, place


def _not_text(value: object) -> None:
    raise TypeError(f"a text is wanted, not {type(value).__name__}")


_WRITING: dict[str, Any] = {"ZERO": b"\0", "ONE": b"\1", "TWO": b"\2", "L": _LONGS, "long": _long, "double": _DOUBLE.pack,
                            "micros": _micros, "not_text": _not_text}  # fmt: skip
_READING: dict[str, Any] = {"long": _read_long, "length": _read_length, "block": _read_block,
                            "double": _DOUBLE.unpack_from, "moment": _read_moment, "moments": _moments}  # fmt: skip
_SIZED = ["n = len(b)", f"out.append(L[n] if n < {_READY} else long(n))", "out.append(b)"]
_WRITES: dict[Any, list[str]] = {
    str: [
        "if v:",
        " b = v.encode()",
        *_indented(_SIZED, 1),
        "elif v == '':",
        " out.append(ZERO)",
        "else:",
        " not_text(v)",
    ],
    bytes: ["b = v", *_SIZED],
    int: [f"out.append(L[v] if 0 <= v < {_READY} else long(v))"],
    bool: ["out.append(ONE if v else ZERO)"],
    float: ["out.append(double(v))"],
    datetime: ["out.append(micros(v))"],
}
#: A length below 64 is one even byte, one below 8,192 two, the first of them even; any other, and what is damaged, is looked at
#: more closely.
_SIZED_UP = [
    "if n & 129:", " m = d[p + 1]", " if n & 1 or m > 127:", "  n, p = length(d, p)", "  q = p + n",
    " else:", "  p += 2", "  q = p + (m << 6) + (n >> 1) - 64", "else:", " p += 1", " q = p + (n >> 1)",
]  # fmt: skip
_READS: dict[Any, list[str]] = {
    str: [
        "n = d[p]", "if n:", *_indented(_SIZED_UP, 1), " X = d[p:q].decode()", " p = q", "else:", " X = ''", " p += 1",
    ],
    bytes: ["n = d[p]", *_SIZED_UP, "X = d[p:q]", "p = q"],
    int: ["n = d[p]", "if n & 129:", " X, p = long(d, p)", "else:", " X = n >> 1", " p += 1"],
    bool: ["X = d[p] != 0", "p += 1"],
    float: ["X = double(d, p)[0]", "p += 8"],
    datetime: ["X = moments.get(d[p : p + 8])", "if X is None:", " X, p = moment(d, p)", "else:", " p += 8"],
}  # fmt: skip
