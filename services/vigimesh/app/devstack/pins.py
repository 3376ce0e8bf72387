"""The downloaded parts of the embedded stack, each pinned by SHA-256 in `jars.lock`, and the check before use."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from vigimesh.errors import Broken, Misconfigured

#: Bytes read at a time while hashing: large enough to keep the hash busy, small enough for any machine.
CHUNK_BYTES = 1 << 20

#: The lock has 46 lines; a file a hundred times longer is not ours.
LOCK_LINES_MAX = 5_000

ARCHIVE_PACKAGING = "tar.gz"

_FIX_LOCK = (
    "restore jars.lock from version control, or write it anew with `python -m vigimesh.app.devstack.relock`"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One file of a Maven repository with the digest and size it must have."""

    sha256: str
    size_bytes: int
    group: str
    artifact: str
    version: str
    classifier: str = ""
    packaging: str = "jar"

    @property
    def coordinate(self) -> str:
        """Return `group:artifact:version[:classifier:packaging]`, as written in the lock."""
        plain = f"{self.group}:{self.artifact}:{self.version}"
        return (
            plain
            if self.packaging == "jar" and not self.classifier
            else f"{plain}:{self.classifier}:{self.packaging}"
        )

    @property
    def filename(self) -> str:
        """Return the name of the file in the store; the group is in it, so that no two pins share one."""
        tail = f"-{self.classifier}" if self.classifier else ""
        return f"{self.group}.{self.artifact}-{self.version}{tail}.{self.packaging}"

    def line(self) -> str:
        """Return the pin's line in the lock."""
        return f"{self.sha256} {self.size_bytes} {self.coordinate}"


def parse_lock(text: str, *, where: str = "jars.lock") -> tuple[Pin, ...]:
    """Read lines `sha256 bytes group:artifact:version[:classifier:packaging]`; `#` begins a comment line.

    Raises `Misconfigured` (VM-1201) naming the line that is malformed or names a file twice.
    """
    pins: list[Pin] = []
    seen: set[str] = set()
    for number, raw in enumerate(text.splitlines()[:LOCK_LINES_MAX], start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        pin = _parse_line(line, f"{where} line {number}")
        if pin.filename in seen:
            raise Misconfigured(
                "VM-1201",
                what=f"{pin.coordinate} is pinned twice",
                where=f"{where} line {number}",
                todo=_FIX_LOCK,
            )
        seen.add(pin.filename)
        pins.append(pin)
    if not pins:
        raise Misconfigured(
            "VM-1201", what="the list of pinned downloads is empty", where=where, todo=_FIX_LOCK
        )
    return tuple(pins)


def _parse_line(line: str, where: str) -> Pin:
    """Read one line, or raise `Misconfigured` that says what is wrong with it."""
    words = line.split()
    if len(words) != 3:
        raise Misconfigured(
            "VM-1201", what=f"expected `sha256 bytes coordinate`, got {line!r}", where=where, todo=_FIX_LOCK
        )
    digest, size, coordinate = words
    parts = coordinate.split(":")
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise Misconfigured(
            "VM-1201", what=f"{digest!r} is not a SHA-256 in lower-case hex", where=where, todo=_FIX_LOCK
        )
    if not size.isascii() or not size.isdigit() or len(parts) not in (3, 5) or not all(parts[:3]):
        raise Misconfigured(
            "VM-1201", what=f"bad size or coordinate in {line!r}", where=where, todo=_FIX_LOCK
        )
    if any(set(part) & set('/\\"') or part.startswith(".") for part in parts):
        raise Misconfigured(
            "VM-1201", what=f"coordinate {coordinate!r} is not a file name", where=where, todo=_FIX_LOCK
        )
    classifier, packaging = (parts[3], parts[4]) if len(parts) == 5 else ("", "jar")
    return Pin(
        sha256=digest,
        size_bytes=int(size),
        group=parts[0],
        artifact=parts[1],
        version=parts[2],
        classifier=classifier,
        packaging=packaging,
    )


def load_lock() -> tuple[Pin, ...]:
    """Return the pins this version of vigimesh ships with.

    Raises `Misconfigured` (VM-1201) when the shipped lock is missing or malformed.
    """
    resource = files("vigimesh.app.devstack").joinpath("jars.lock")
    try:
        text = resource.read_text(encoding="utf-8")
    except OSError as error:
        raise Misconfigured(
            "VM-1201",
            what=f"the list of pinned downloads cannot be read: {error}",
            where=str(resource),
            todo="reinstall vigimesh",
        ) from error
    return parse_lock(text)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in lower-case hex."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def check_file(pin: Pin, path: Path) -> None:
    """Return when the file is exactly the pinned one; else raise `Broken` (VM-1202) and say what to do."""
    got = sha256_of(path)
    if got != pin.sha256:
        raise Broken(
            "VM-1202",
            what=f"{pin.coordinate} is not the pinned file: expected sha256 {pin.sha256}, got {got}; it was not used",
            where=str(path),
            todo="delete that file and start again to download it afresh; if it repeats, the download source sends another "
            "file than the one this version was built with: do not go on",
        )


class VerifiedMarks:
    """Remembers which files were hashed and found right, so that a start need not hash 200 MB again.

    A mark holds the digest with the file's size, modification time and change time; the kernel sets the last, so that a
    file put back with its old modification time is hashed again. The marks are a cache: losing them costs one hashing.
    """

    def __init__(self, path: Path) -> None:
        """Read the marks kept at `path`; an unreadable file counts as no marks."""
        self._path = path
        self._marks = _read_marks(path)

    def holds(self, pin: Pin, path: Path) -> bool:
        """Return whether the file was verified as this pin and has not been touched since."""
        return self._marks.get(pin.filename) == _mark(pin, path)

    def add(self, verified: Iterable[tuple[Pin, Path]]) -> None:
        """Remember the files as verified and write the marks, whole or not at all."""
        self._marks = {**self._marks, **{pin.filename: _mark(pin, path) for pin, path in verified}}
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        draft.write_text(json.dumps(self._marks, indent=0, sort_keys=True), encoding="utf-8")
        draft.replace(self._path)


def _mark(pin: Pin, path: Path) -> list[str | int]:
    """Return what a verified file is recognised by."""
    found = path.stat()
    return [pin.sha256, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _read_marks(path: Path) -> Mapping[str, list[str | int]]:
    """Return the marks in the file, or none."""
    try:
        marks = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return marks if isinstance(marks, dict) else {}
