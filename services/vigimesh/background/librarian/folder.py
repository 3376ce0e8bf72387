"""Files of documents: found below a path, named by a file beside them where they do not name themselves, and read.

What does not say itself which document and version it is (PDF, plain text, Markdown of others) has a file `NAME.toml` beside
it: `id`, `version`, `title`, and where wanted `kind`, `names`, `aliases`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vigimesh.background.librarian.pdf import PDF_BYTES
from vigimesh.background.librarian.read import read_document
from vigimesh.domain.knowledge.sections import Sectioned
from vigimesh.domain.knowledge.texts import Identity
from vigimesh.errors import Refused, VigimeshError
from vigimesh.ports import PageReader

#: Files below one path: a company's labels and guidance are hundreds; a whole disk that was named by mistake is not read.
MAX_FILES = 10_000
#: Bytes of a file that names another.
NAMING_BYTES = 65_536
#: What the name of such a file ends with.
NAMING = ".toml"
_REQUIRED, _LISTS = ("id", "version", "title"), ("names", "aliases")
_FIELDS = (*_REQUIRED, "kind", *_LISTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What came of files: `read` with their paths, `refused` with the reason of each."""

    read: tuple[tuple[Path, Sectioned], ...]
    refused: tuple[tuple[Path, VigimeshError], ...]


def files_below(path: Path) -> tuple[Path, ...]:
    """Return the file that `path` is, or every file below it by name: not hidden ones, links, and files that name others.

    Raises `Refused` VM-2502 when nothing is there, it may not be looked into, or over `MAX_FILES` are.
    """
    if path.is_file():
        return (path,)
    if not path.is_dir():
        raise Refused(
            "VM-2502", what="there is no such file or folder", where=str(path), todo="check the path"
        )
    found: list[Path] = []
    for one in _below(path):
        if len(found) == MAX_FILES:
            raise Refused("VM-2502", what=f"more than {MAX_FILES} files", where=str(path),
                          todo="name a folder that holds documents only")  # fmt: skip
        found.append(one)
    return tuple(sorted(found))


def naming(path: Path) -> Path:
    """Return where the file that names `path` would be."""
    return path.with_name(path.name + NAMING)


def bytes_of(path: Path, most: int = PDF_BYTES) -> bytes:
    """Return a file's bytes, one more than `most` of a longer one, so that its reader refuses it.

    Raises `Refused` VM-2502 when it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise Refused("VM-2502", what=f"it cannot be read: {error.strerror}", where=str(path),
                      todo="check that it is there and may be read") from None  # fmt: skip


def read_files(
    paths: Iterable[Path], identity: Identity | None = None, scans: PageReader | None = None
) -> Readings:
    """Read each file; one that is refused keeps no other from being read. `identity` names a single file, `scans` reads scanned pages."""
    read: list[tuple[Path, Sectioned]] = []
    refused: list[tuple[Path, VigimeshError]] = []
    for path in paths:
        try:
            read.append((path, read_document(bytes_of(path), path.name, identity or _identity(path), scans)))
        except VigimeshError as error:
            refused.append((path, error))
    return Readings(read=tuple(read), refused=tuple(refused))


def _below(folder: Path) -> Iterator[Path]:
    waiting = [folder]
    while waiting:
        try:
            inside = sorted(waiting.pop().iterdir())
        except OSError as error:
            raise Refused("VM-2502", what=f"a folder cannot be read: {error.strerror}", where=str(folder),
                          todo="check that it may be read") from None  # fmt: skip
        for one in inside:
            if one.name.startswith(".") or one.is_symlink():
                continue
            if one.is_dir():
                waiting.append(one)
            elif one.is_file() and one.suffix != NAMING:
                yield one


def _identity(path: Path) -> Identity | None:
    """Return what the file beside `path` says of it; `None` without one. Raises `Refused` VM-1503 for a wrong one."""
    beside = naming(path)
    if not beside.is_file():
        return None
    try:
        data = bytes_of(beside, NAMING_BYTES)
        said = tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError):
        raise _unnamed(beside, "it is no TOML in UTF-8") from None
    if len(data) > NAMING_BYTES:
        raise _unnamed(beside, f"it has over {NAMING_BYTES} bytes")
    unknown = [name for name in said if name not in _FIELDS]
    missing = [name for name in _REQUIRED if name not in said]
    if unknown or missing:
        raise _unnamed(beside, f"no {missing[0]}" if missing else f"unknown field {unknown[0][:40]!r}")
    lists = {name: said.get(name, []) for name in _LISTS}
    texts = [said.get(name, "guidance") for name in (*_REQUIRED, "kind")]
    lines = [line for value in lists.values() if isinstance(value, list) for line in value]
    if not all(isinstance(value, list) for value in lists.values()) or not all(
        isinstance(text, str) and text for text in (*texts, *lines)
    ):
        raise _unnamed(beside, "a value is not text in quotes, or names and aliases are no lists of such")
    return Identity(
        id=texts[0], version=texts[1], title=texts[2], kind=texts[3], names=tuple(lists["names"]),
        aliases=tuple(lists["aliases"]),
    )  # fmt: skip


def _unnamed(beside: Path, what: str) -> Refused:
    return Refused("VM-1503", what=what, where=str(beside),
                   todo='write id = "guidance/x", version = "1.0", title = "X" and nothing that is not known')  # fmt: skip
