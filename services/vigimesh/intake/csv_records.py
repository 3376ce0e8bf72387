"""Records of a CSV file with their line numbers, one at a time, each bounded; a broken one does not swallow the next."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from vigimesh.intake.plain import skip_line
from vigimesh.intake.values import MESSAGE_BYTES

#: Times a record with line breaks in it is tried as complete. Each try reads the record from its start again.
_TRIES = 64
#: Lines of one record. VAERS narratives have none or a few; each line held costs some 40 bytes beside its text.
_LINES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record: its first line, place in the plain file, fields; or, with `fault`, why it has none."""

    line: int
    start: int
    end: int
    fields: list[str]
    raw: bytes
    fault: str = ""
    too_large: bool = False


def records(stream: io.BufferedIOBase, encoding: str) -> Iterator[Record]:
    """Yield the records of a CSV stream; blank lines are passed over. Raises what reading the stream raises.

    A quoted field may hold line breaks. When a quote is never closed, the record is given up at its own line and
    reading goes on with the next line.
    """
    line, at = 0, 0
    waiting: list[bytes] = []
    while True:
        raw = waiting.pop() if waiting else stream.readline(MESSAGE_BYTES + 1)
        if not raw:
            return
        line += 1
        start = at
        if len(raw) > MESSAGE_BYTES:
            at += len(raw) + skip_line(stream)
            yield _bad(line, start, at, b"", f"the line is longer than {MESSAGE_BYTES} bytes")
            continue
        held, taken = [raw], 1
        found = _fields(raw, encoding)
        if found is None:
            found, held = _longer(stream, waiting, held, encoding)
            taken = len(held)
        data = held[0] if taken == 1 else b"".join(held)
        at += len(data)
        if isinstance(found, str):
            yield _bad(line, start, at, data, found)
        elif found:
            yield Record(line=line, start=start, end=at, fields=found, raw=data)
        line += taken - 1


def _bad(line: int, start: int, end: int, raw: bytes, fault: str) -> Record:
    return Record(line=line, start=start, end=end, fields=[], raw=raw, fault=fault, too_large=not raw)


def _longer(
    stream: io.BufferedIOBase, waiting: list[bytes], held: list[bytes], encoding: str
) -> tuple[list[str] | str, list[bytes]]:
    """Take lines until the open quote is closed; else give the first line up and leave the others to be read again."""
    size, quotes, tries = len(held[0]), held[0].count(b'"'), 0
    while True:
        raw = waiting.pop() if waiting else stream.readline(MESSAGE_BYTES + 1 - size)
        size += len(raw)
        if not raw or size > MESSAGE_BYTES or tries == _TRIES or len(held) == _LINES:
            if raw:
                held.append(raw)
            waiting.extend(reversed(held[1:]))
            return "a quote is opened and never closed", held[:1]
        held.append(raw)
        quotes += raw.count(b'"')
        if quotes % 2 == 0 and b'"' in raw:
            tries += 1
            found = _fields(b"".join(held), encoding)
            if found is not None:
                return found, held


def _fields(raw: bytes, encoding: str) -> list[str] | str | None:
    """Return the fields; None when a quote is still open; a text when the record can't be read."""
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        return f"the bytes are not {encoding}"
    if b'"' not in raw:
        text = text.rstrip("\r\n")
        return text.split(",") if text else []
    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        if "unexpected end" in str(error):
            return None
    try:
        return next(csv.reader([text]), [])
    except csv.Error as error:
        return f"not readable as CSV: {error}"
