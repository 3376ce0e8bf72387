"""May a schema follow another? FULL_TRANSITIVE by pure rules, with the place and the reason of each breach.

Stricter than the registry in two points, because records are replayed years later: a field is never removed, and the
default of a field never changes (a record written before the field existed would be read differently).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vigimesh.events.avro import Schema

_Named = Mapping[str, Schema]


def breaches(older: Schema, newer: Schema) -> tuple[str, ...]:
    """Return why `newer` may not follow `older`, one line per place; empty when it may.

    Rules of Avro 1.12, "Schema Resolution", in both directions: every reader of either reads the bytes of the other.
    """
    return tuple(_compare(older, newer, newer["name"], (_named(older), _named(newer)), set()))


def _compare(
    older: Any, newer: Any, place: str, named: tuple[_Named, _Named], seen: set[tuple[str, str]]
) -> Iterator[str]:
    old, new = _resolved(older, named[0]), _resolved(newer, named[1])
    if _kind(old) != _kind(new):
        yield f"{place}: type changed from {_kind(old)} to {_kind(new)}"
        return
    match old:
        case list():
            yield from _unions(old, new, place, named, seen)
        case {"type": "record"}:
            yield from _records(old, new, place, named, seen)
        case {"type": "array"}:
            yield from _compare(old["items"], new["items"], f"{place}[]", named, seen)
        case {"type": "map"}:
            yield from _compare(old["values"], new["values"], f"{place}{{}}", named, seen)
        case _:
            return


def _unions(
    old: list[Any], new: list[Any], place: str, named: tuple[_Named, _Named], seen: set[tuple[str, str]]
) -> Iterator[str]:
    before = {_kind(_resolved(branch, named[0])): branch for branch in old}
    after = {_kind(_resolved(branch, named[1])): branch for branch in new}
    if before.keys() != after.keys():
        yield f"{place}: alternatives changed from {sorted(before)} to {sorted(after)}"
        return
    for kind, branch in before.items():
        yield from _compare(branch, after[kind], place, named, seen)


def _records(
    old: Schema, new: Schema, place: str, named: tuple[_Named, _Named], seen: set[tuple[str, str]]
) -> Iterator[str]:
    pair = (_full_name(old), _full_name(new))
    if pair in seen:
        return
    seen.add(pair)
    before = {field["name"]: field for field in old["fields"]}
    after = {field["name"]: field for field in new["fields"]}
    for name in before.keys() - after.keys():
        yield f"{place}.{name}: removed; keep it and say in its doc that it is no longer filled"
    for name in after.keys() - before.keys():
        if "default" not in after[name]:
            yield f"{place}.{name}: added without a default; give it one"
    for name, field in before.items():
        if name not in after:
            continue
        other, where = after[name], f"{place}.{name}"
        yield from _compare(field["type"], other["type"], where, named, seen)
        if ("default" in field) != ("default" in other):
            yield f"{where}: default {'removed' if 'default' in field else 'added'}"
        elif "default" in field and not _same_default(field["default"], other["default"]):
            yield f"{where}: default changed from {field['default']!r} to {other['default']!r}"


def _same_default(old: Any, new: Any) -> bool:
    """Compare defaults; one that is a whole record may have gained fields, since those are printed with it."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(name in new and _same_default(value, new[name]) for name, value in old.items())
    return type(old) is type(new) and bool(old == new)


def _kind(schema: Any) -> str:
    """Name what must be equal for two types to resolve in both directions."""
    if isinstance(schema, list):
        return "union"
    if isinstance(schema, str):
        return schema
    if schema["type"] in ("record", "enum", "fixed"):
        return f"{schema['type']} {_full_name(schema)}"
    logical = schema.get("logicalType")
    return f"{schema['type']} as {logical}" if logical else str(schema["type"])


def _resolved(schema: Any, named: _Named) -> Any:
    return named.get(schema, schema) if isinstance(schema, str) else schema


def _full_name(schema: Schema) -> str:
    # The registry gives nested records back without the namespace that they inherit: the last part decides (Avro 1.12).
    return str(schema["name"]).rpartition(".")[2]


def _named(schema: Any) -> dict[str, Schema]:
    """Collect every named type, under its full and its short name."""
    found: dict[str, Schema] = {}

    def walk(part: Any) -> None:
        if isinstance(part, list):
            for one in part:
                walk(one)
        elif isinstance(part, dict):
            if part.get("type") in ("record", "enum", "fixed"):
                short = _full_name(part)
                found[short] = found[f"{schema['namespace']}.{short}"] = part
            for value in part.values():
                if isinstance(value, dict | list):
                    walk(value)

    walk(schema)
    return found
