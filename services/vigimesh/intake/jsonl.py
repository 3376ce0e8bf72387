"""JSON Lines: one object a line, with the fields of `events/case.Case` under their own names (docs/intake.md)."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
import types
import typing
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from vigimesh.events import words
from vigimesh.events.case import Attachment, Case, Patient, Product, Reaction, Reporter
from vigimesh.events.ids import case_id, digest, message_id
from vigimesh.intake.plain import READ_ERRORS, open_plain, skip_line
from vigimesh.intake.values import MESSAGE_BYTES, Accepted, Item, Origin, Refusal

#: Fields of a case that the door sets itself, or makes from what it was given.
SET_BY_DOOR = frozenset({
    "message_id", "case_id", "tenant", "source_format", "source", "size_bytes", "digest", "source_ref", "narrative_ref",
})  # fmt: skip
_PLACE = re.compile(r" - at `\$\.?([^`]*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `([^`]*)`")
_WRONG_WORD = re.compile(r"Invalid enum value '(.*)'", re.DOTALL)
#: Characters of the input that a message repeats.
_SHOWN_CHARS = 60


class GivenFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An attachment as it stands in a line: its bytes in base64."""

    content: str
    media_type: str = "application/octet-stream"
    title: str = ""


def _many(kind: Any) -> Any:
    return types.GenericAlias(tuple, (kind, ...))


def _struct(cls: type, without: frozenset[str] = frozenset(), **own: Any) -> Any:
    """Make the strict input form of an event class: same names and defaults, closed sets as literals, nothing else."""
    hints = typing.get_type_hints(cls)
    fields = []
    for field in dataclasses.fields(cls):
        if field.name in without:
            continue
        allowed = words.WORDS.get(f"{cls.__name__}.{field.name}")
        kind: Any = own.get(field.name, hints[field.name])
        if allowed:
            word: Any = Literal.__getitem__(allowed)
            kind = _many(word) if typing.get_origin(kind) is tuple else word
        fields.append((field.name, kind, None if field.name == "patient" else field.default))
    return msgspec.defstruct(f"Given{cls.__name__}", fields, forbid_unknown_fields=True)


_FORMS: dict[str, Any] = {c.__name__: _struct(c) for c in (Reporter, Patient, Product, Reaction)}
_GivenCase = _struct(
    Case,
    SET_BY_DOOR,
    reporters=_many(_FORMS["Reporter"]),
    patient=_FORMS["Patient"] | None,
    products=_many(_FORMS["Product"]),
    reactions=_many(_FORMS["Reaction"]),
    attachments=_many(GivenFile),
)
_DECODER = msgspec.json.Decoder(_GivenCase)
#: Place in a line, list numbers apart -> the class whose fields stand there.
_CLASS_AT = {"": Case, "patient": Patient, "reporters": Reporter, "products": Product, "reactions": Reaction}


def read_jsonl(origin: Origin) -> Iterator[Item]:
    """Yield every line as `Accepted` or `Refusal`; blank lines are passed over; memory is bounded by one line."""
    line, at = 0, 0
    try:
        with open_plain(origin.path) as stream:
            while raw := stream.readline(MESSAGE_BYTES + 1):
                line += 1
                start, at = at, at + len(raw)
                if len(raw) > MESSAGE_BYTES:
                    at += skip_line(stream)
                    yield origin.refuse(
                        "VM-1407", f"line {line}", f"the line has {at - start} bytes, at most {MESSAGE_BYTES} are read",
                        "send large attachments apart and shorten the texts", origin.part(start, at),
                    )  # fmt: skip
                elif raw.strip():
                    yield _line(origin, line, raw.rstrip(b"\r\n"))
    except READ_ERRORS as error:
        yield _broken(origin, line, error)


def _broken(origin: Origin, line: int, error: BaseException) -> Refusal:
    place = f"after line {line}"
    if isinstance(error, OSError) and error.errno is not None:
        return origin.refuse(
            "VM-1401", place, f"the file can't be read: {error.strerror}", "check that it may be read"
        )
    if isinstance(error, UnicodeDecodeError):
        return origin.refuse(
            "VM-1404", place, f"the bytes are not {error.encoding}", "save the file in UTF-8"
        )
    return origin.refuse(
        "VM-1402", place, "the gzip is cut off or damaged; the lines before were read", "send it again"
    )


def _line(origin: Origin, line: int, raw: bytes) -> Accepted | Refusal:
    place = f"line {line}"
    try:
        given = _DECODER.decode(raw)
    except msgspec.ValidationError as error:
        if str(error).startswith("Expected `object`") and "$" not in str(error):
            return _no_object(origin, place, str(error), raw)
        what, todo = _explain(str(error))
        return origin.refuse("VM-1414", place, what, todo, raw)
    except UnicodeDecodeError:
        return origin.refuse("VM-1404", place, "the line is not UTF-8", "save the file in UTF-8", raw)
    except (msgspec.DecodeError, RecursionError) as error:
        if "utf-8" in str(error).lower():
            return origin.refuse("VM-1404", place, "the line is not UTF-8", "save the file in UTF-8", raw)
        return _no_object(origin, place, str(error), raw)
    if not (given.report_id or given.worldwide_id):
        return origin.refuse("VM-1408", place, "neither report_id nor worldwide_id is given: nothing names the case",
                             "give report_id, the sender's own number of the report or document", raw)  # fmt: skip
    try:
        return _accepted(origin, line, raw, given)
    except binascii.Error as error:
        return origin.refuse("VM-1414", place, f"the content of an attachment is not base64: {error}",
                             "write the file's bytes in base64", raw)  # fmt: skip


def _no_object(origin: Origin, place: str, message: str, raw: bytes) -> Refusal:
    what = f"the line is not a JSON object: {message[:_SHOWN_CHARS]}"
    return origin.refuse(
        "VM-1413", place, what, "write one JSON object a line, without line breaks inside", raw
    )


def _explain(message: str) -> tuple[str, str]:
    """Turn a validation error into what is wrong and what to do, with the nearest known field or word."""
    found = _PLACE.search(message)
    place = found[1] if found else ""
    at = f" in {place}" if place else ""
    cls = _CLASS_AT.get(place.split("[")[0].split(".")[0], Case)
    unknown = _UNKNOWN.search(message)
    if unknown:
        name = unknown[1][:_SHOWN_CHARS]
        if name in SET_BY_DOOR and cls is Case:
            return f"the field {name!r} is set by the door, not by the sender", "leave it out"
        known = [field.name for field in dataclasses.fields(cls) if field.name not in SET_BY_DOOR]
        return (
            f"unknown field {name!r}{at}{words.nearest(name, known)}",
            "correct the field's name or leave it out",
        )
    wrong = _WRONG_WORD.search(message)
    if wrong:
        allowed = words.WORDS.get(f"{cls.__name__}.{_last(place)}", ())
        near = words.nearest(wrong[1], allowed)
        listed = ", ".join(word or '""' for word in allowed)
        return f"{wrong[1][:_SHOWN_CHARS]!r} is not allowed{at}{near}", f"use one of: {listed}"
    return message[
        : message.find(" - at `")
    ] + at if found else message, "correct the value: docs/intake.md has all fields"


def _last(place: str) -> str:
    """Return the field that a place such as `products[...].role` or `criteria[...]` names."""
    return place.rsplit(".", 1)[-1].split("[")[0]


def _accepted(origin: Origin, line: int, raw: bytes, given: Any) -> Accepted:
    values = {name: getattr(given, name) for name in given.__struct_fields__}
    files: dict[str, bytes] = {}
    held = []
    for file in values.pop("attachments"):
        data = base64.b64decode(file.content, validate=True)
        name = digest(data)
        files[name] = data
        held.append(
            Attachment(digest=name, media_type=file.media_type, size_bytes=len(data), title=file.title)
        )
    reactions = tuple(_as(Reaction, each) for each in values.pop("reactions"))
    patient = values.pop("patient")
    criteria = words.in_order(
        [*values.pop("criteria"), *(word for each in reactions for word in each.criteria)]
    )
    form = values.pop("criteria_form")
    body = digest(raw)
    values |= {
        "reactions": reactions,
        "reporters": tuple(_as(Reporter, each) for each in values.pop("reporters")),
        "products": tuple(_as(Product, each) for each in values.pop("products")),
        "patient": Patient() if patient is None else _as(Patient, patient),
        "attachments": tuple(held),
        "criteria": criteria,
        "criteria_form": "open" if form == "none" and criteria else form,
        "media_type": values["media_type"] or "application/json",
    }
    report = given.report_id or given.worldwide_id
    case = Case(
        message_id=message_id(origin.tenant, given.sender, given.receiver, report, given.created_on, body),
        case_id=case_id(origin.tenant, given.worldwide_id, given.report_id),
        tenant=origin.tenant,
        source_format="jsonl",
        source=f"{origin.name}#line {line}",
        size_bytes=len(raw),
        digest=body,
        **values,
    )
    return Accepted(case=case, source_bytes=raw, attachments=tuple(files.items()))


def _as(cls: Any, given: Any) -> Any:
    return cls(**{name: getattr(given, name) for name in given.__struct_fields__})
