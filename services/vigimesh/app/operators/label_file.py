"""A file of labels: CSV with a header line, or JSON Lines; every row that is none is named with its line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vigimesh.errors import Refused
from vigimesh.events.sampling import CaseLabelled, CaseSampled

#: Bytes and rows of one file: the audits of years.
MAX_BYTES, MAX_ROWS = 64 * 1024 * 1024, 200_000
#: Characters of a name and of a comment.
NAME_MAX, COMMENT_MAX = 100, 500
#: Bad rows that the message names; the first ones show what is wrong with all.
_NAMED = 20
_YES, _NO = ("yes", "true", "1"), ("no", "false", "0")
_COLUMNS = ("case_id", "serious", "by", "at", "comment")

#: A row with the number of its line.
Row = tuple[int, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Who labels when a row does not say, and the moment of now: no label is of a later one."""

    by: str
    now: datetime


def rows_of(file: Path) -> list[Row]:
    """Return the rows of a file with their lines. Raises `Refused` VM-2702 when it is neither CSV nor JSON Lines in UTF-8."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise _unreadable(file, f"it has over {MAX_BYTES} bytes")
        text = file.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, type(error).__name__) from error
    try:
        rows = list(_csv(text) if file.suffix.lower() == ".csv" else _json_lines(text))
    except (csv.Error, ValueError) as error:
        raise _unreadable(file, str(error)[:200]) from error
    if len(rows) > MAX_ROWS:
        raise _unreadable(file, f"it has over {MAX_ROWS} rows")
    return rows


def _csv(text: str) -> Iterator[Row]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    missing = {"case_id", "serious"} - set(reader.fieldnames or ())
    if missing:
        raise ValueError(f"its first line names no column {' and no column '.join(sorted(missing))}")
    for row in reader:
        yield reader.line_num, {key: value for key, value in row.items() if key}


def _json_lines(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise ValueError(f"line {number} is no JSON") from error
        yield number, value if isinstance(value, dict) else {}


def labels_of(rows: Iterable[Row], samples: Mapping[str, CaseSampled], given: Given) -> list[CaseLabelled]:
    """Return the labels of the rows, the last of a case counting. Raises `Refused` VM-2701 that names every bad row when there is one."""
    found: dict[str, CaseLabelled] = {}
    bad: list[str] = []
    for number, row in rows:
        try:
            label = _label(row, samples, given)
            found[label.case_id] = label
        except ValueError as error:
            bad.append(f"line {number}: {error}")
    if bad:
        more = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        raise Refused(
            "VM-2701", what=f"{len(bad)} rows are no labels: {'; '.join(bad[:_NAMED])}{more}", where="the file of labels",
            todo="correct them and give the file again: nothing of it was taken",
        )  # fmt: skip
    return list(found.values())


def _label(row: Mapping[str, Any], samples: Mapping[str, CaseSampled], given: Given) -> CaseLabelled:
    unknown = sorted(set(row) - set(_COLUMNS))
    if unknown:
        raise ValueError(f"there is no column {str(unknown[0])[:40]!r}")
    case_id = str(row.get("case_id") or "").strip()
    sample = samples.get(case_id)
    if sample is None:
        raise ValueError(f"the case {case_id[:64]!r} was not drawn" if case_id else "it names no case")
    by = _printed(row, "by", NAME_MAX) or given.by
    if not by:
        raise ValueError("nobody is named in 'by'")
    return CaseLabelled(
        case_id=case_id, message_id=sample.message_id, serious=_serious(row), by=by, at=_moment(row, given),
        comment=_printed(row, "comment", COMMENT_MAX),
    )  # fmt: skip


def _serious(row: Mapping[str, Any]) -> bool:
    said = str(row.get("serious")).strip().lower()
    if said not in (*_YES, *_NO):
        raise ValueError(f"'serious' is yes or no, not {said[:20]!r}")
    return said in _YES


def _printed(row: Mapping[str, Any], column: str, most: int) -> str:
    text = str(row.get(column) or "").strip()
    if len(text) > most or not text.isprintable():
        raise ValueError(f"{column!r} has more than {most} characters, or one that is not printable")
    return text


def _moment(row: Mapping[str, Any], given: Given) -> datetime:
    text = str(row.get("at") or "").strip()
    if not text:
        return given.now
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError
        at = at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"'at' is no moment with zone: {text[:40]!r}") from None
    if at > given.now:
        raise ValueError(f"'at' lies ahead: {text[:40]!r}")
    return at


def waiting(samples: Sequence[CaseSampled], labelled: Iterable[str]) -> list[str]:
    """Return the drawn cases that nobody has labelled, oldest first."""
    done = set(labelled)
    ordered = sorted(samples, key=lambda one: (one.drawn_at, one.case_id))
    return [one.case_id for one in ordered if one.case_id not in done]


def _unreadable(file: Path, why: str) -> Refused:
    return Refused(
        "VM-2702", what=f"the file of labels cannot be read: {why}", where=file.name,
        todo="give CSV with the columns case_id, serious, by, at, comment, or JSON Lines with those keys",
    )  # fmt: skip
