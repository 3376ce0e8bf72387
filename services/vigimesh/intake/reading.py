"""A file or a folder, read case by case: finds what each file is by its content and never stops at a bad one."""

from __future__ import annotations

import io
import json
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from vigimesh.errors import Misconfigured, Refused
from vigimesh.intake.csv_records import records
from vigimesh.intake.e2b import read_e2b
from vigimesh.intake.jsonl import read_jsonl
from vigimesh.intake.plain import READ_ERRORS, encoding_of, head_of, open_plain, parts
from vigimesh.intake.vaers import read_vaers, sibling, table_of
from vigimesh.intake.values import Accepted, FilePart, Item, Origin, Refusal, Remark, Skipped

__all__ = ["Accepted", "FilePart", "Item", "Refusal", "Remark", "Skipped", "parts", "read_path"]

#: Folders below the one that was named. Deeper ones are refused, so that a loop of mounts ends.
_FOLDERS_DEEP = 32
#: Bytes of a file that are looked at to tell its format; the header line of VAERS has 400.
_SNIFFED_BYTES = 64 * 1024
_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
#: Beginnings of packed and binary files that may hold cases: they are refused, not passed over.
_CONTAINERS = {b"PK\x03\x04": "a zip archive", b"7z\xbc\xaf": "a 7z archive", b"BZh": "bzip2", b"\xfd7zXZ": "xz",
               b"\x28\xb5\x2f\xfd": "zstd"}  # fmt: skip
#: Names that promise cases: when the content is something else, the file is refused, not passed over.
_PROMISES = re.compile(r"\.(xml|jsonl|ndjson)(\.gz)?$|VAERSDATA.*\.csv(\.gz)?$", re.IGNORECASE)


def read_path(path: Path, *, tenant: str, limit: int | None = None) -> Iterator[Item]:
    """Yield what a file, or every file of a folder in the order of the names, holds.

    `read = accepted + refused`: each `Accepted` and each `Refusal` is one thing read and at most `limit` of them are
    yielded; `Skipped` names a file without cases and `Remark` says something worth knowing: neither counts. A message
    that came before in this reading is a `Refusal` VM-1409; for that the ids are kept (some 80 MB a million).
    Raises `Refused` VM-1401 when the path is not there, `Misconfigured` VM-1102 for a tenant that is no word.
    """
    if not _TENANT.fullmatch(tenant):
        raise Misconfigured("VM-1102", what=f"the tenant {tenant!r} is not one word of a-z, 0-9 and dashes", where="tenant",
                            todo="name the tenant with at most 63 lower-case letters, digits and dashes")  # fmt: skip
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        raise Refused("VM-1401", what="there is no such file or folder", where=str(path),
                      todo="check the path") from None  # fmt: skip
    except OSError:
        pass  # named as a refusal by the walk, with its reason
    return _bounded(_walk(path, path.name, tenant, 0), limit)


def _bounded(items: Iterator[Item], limit: int | None) -> Iterator[Item]:
    seen: set[bytes] = set()
    left = limit
    while left is None or left > 0:
        item = next(items, None)
        if item is None:
            return
        if isinstance(item, Accepted):
            name = bytes.fromhex(item.case.message_id)
            if name in seen:
                item = _repeat(item)
            seen.add(name)
        yield item
        if left is not None and isinstance(item, Accepted | Refusal):
            left -= 1


def _repeat(item: Accepted) -> Refusal:
    source, _, place = item.case.source.rpartition("#")
    return Refusal(
        source=source, place=place, code="VM-1409", source_bytes=item.source_bytes,
        what=f"repeat of message {item.case.message_id} (report {item.case.report_id!r}), which was read before",
        todo="nothing, the first one was taken; a new version needs a new creation date",
    )  # fmt: skip


def _walk(path: Path, name: str, tenant: str, depth: int) -> Iterator[Item]:
    origin = Origin(path=path, name=name, tenant=tenant)
    try:
        mode = path.stat().st_mode
        if not stat.S_ISDIR(mode):
            yield from (
                _file(origin) if stat.S_ISREG(mode) else [Skipped(source=name, why="not a regular file")]
            )
            return
        if depth > _FOLDERS_DEEP:
            yield origin.refuse(
                "VM-1401", "", f"more than {_FOLDERS_DEEP} folders deep", "move the folder up"
            )
            return
        entries = sorted(path.iterdir(), key=lambda entry: entry.name)
    except OSError as error:
        yield origin.refuse(
            "VM-1401", "", f"can't be read: {error.strerror}", "check that it is there and may be read"
        )
        return
    inside = f"{name}/" if depth else ""
    for entry in entries:
        if entry.is_symlink() and entry.is_dir():
            yield Skipped(source=inside + entry.name, why="a link to a folder: links are not followed")
        elif entry.name.startswith("."):
            yield Skipped(source=inside + entry.name, why="hidden: its name begins with a dot")
        else:
            yield from _walk(entry, inside + entry.name, tenant, depth + 1)


def _file(origin: Origin) -> Iterator[Item]:
    try:
        with origin.path.open("rb") as file:
            raw = file.read(8)
        with open_plain(origin.path) as stream:
            head = head_of(stream, _SNIFFED_BYTES)
    except READ_ERRORS as error:
        reason = (
            error.strerror if isinstance(error, OSError) and error.errno is not None else "damaged or cut off"
        )
        code = "VM-1401" if isinstance(error, OSError) and error.errno is not None else "VM-1402"
        yield origin.refuse(code, "", f"the file can't be read: {reason}", "check the file and send it again")
        return
    if not head.strip():
        yield origin.refuse("VM-1403", "line 1", "the file is empty", "send the file again, or take it away")
        return
    found = _reader(origin, raw, head)
    if isinstance(found, Refusal | Skipped):
        yield found
    else:
        yield from found(origin)


def _reader(
    origin: Origin, raw: bytes, head: bytes
) -> Callable[[Origin], Iterator[Item]] | Refusal | Skipped:
    """Tell a file by its first bytes; its name only decides whether something unknown is refused or passed over."""
    text = head.lstrip()
    if text.startswith(b"<") or encoding_of(raw)[0] == "ebcdic" or _is_xml_by_promise(origin, text):
        return read_e2b
    for magic, kind in _CONTAINERS.items():
        if raw.startswith(magic):
            return origin.refuse(
                "VM-1403", "", f"{kind} is not read", "unpack it and send the files (gzip is read)"
            )
    if text.startswith((b"{", b"[")) or re.search(
        r"\.(jsonl|ndjson)(\.gz)?$", origin.path.name, re.IGNORECASE
    ):
        return _json(origin, text)
    if re.search(rb'^\s*\{ *"', head, re.MULTILINE):
        return read_jsonl
    return _table(origin, head)


def _is_xml_by_promise(origin: Origin, text: bytes) -> bool:
    """Tell an `.xml` file that holds no tag at its beginning: the XML reader says what is wrong with it."""
    return origin.path.suffix.lower() == ".xml" and not text.startswith((b"{", b"["))


def _json(origin: Origin, text: bytes) -> Callable[[Origin], Iterator[Item]] | Refusal | Skipped:
    line = text.split(b"\n", 1)[0].strip()
    promised = _PROMISES.search(origin.path.name)
    if promised is None and (line in {b"{", b"["} or _is_whole(text)):
        return Skipped(source=origin.name, why="a JSON document over several lines, not one object a line")
    if line in {b"{", b"["} or line.startswith(b"["):
        return origin.refuse("VM-1413", "line 1", "one JSON document over several lines, or a list, is not read",
                             "write one object a line (JSON Lines)")  # fmt: skip
    return read_jsonl


def _is_whole(text: bytes) -> bool:
    """Tell one JSON list on one line, which is no JSON Lines either."""
    if not text.startswith(b"["):
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _table(origin: Origin, head: bytes) -> Callable[[Origin], Iterator[Item]] | Refusal | Skipped:
    header = next(iter(_first_record(head)), [])
    table = table_of(header, origin.path.name)
    if table == "DATA":
        return read_vaers
    if table and sibling(origin.path, "DATA") is not None:
        return Skipped(source=origin.name, why=f"the table {table} of VAERS: it is read with its DATA table")
    if table:
        return origin.refuse("VM-1412", "", f"the table {table} of VAERS without its DATA table beside it",
                             "put all three VAERS tables of the year into one folder")  # fmt: skip
    kind = (
        "text or a list without the columns of VAERS" if b"\0" not in head else "neither XML, JSON nor text"
    )
    if _PROMISES.search(origin.path.name):
        return origin.refuse(
            "VM-1403", "", f"the content is not what the name says: {kind}", "send the right file"
        )
    return Skipped(source=origin.name, why=f"{kind}: no case is read from it")


def _first_record(head: bytes) -> Iterator[list[str]]:
    for record in records(io.BytesIO(head), "latin-1"):
        yield record.fields
        return
