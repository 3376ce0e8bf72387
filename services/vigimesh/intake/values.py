"""What reading a file yields: a case, a refusal, a file without cases, or a remark; and the limits of reading."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vigimesh.events.case import Case

#: Bytes of one ICSR, one line of JSON or one record of CSV. libxml2 takes at most 10 MB in one text (its own guard,
#: which stays on), so 16 MiB holds the largest attachment that it reads, and one message stays small beside 100 MB.
MESSAGE_BYTES = 16 * 1024 * 1024
#: Bytes read from a file at once.
CHUNK_BYTES = 256 * 1024
#: Bytes of one part of what was refused, as `Refusal.parts` hands it to the object store.
PART_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePart:
    """Bytes that stay in their file because they are too many to hold.

    Counted in the file's plain form (`plain.open_plain`: unpacked, UTF-16 and UTF-32 turned into UTF-8) when `plain`,
    else as the file lies there. `end` is the byte after the last, or None for the end of the file.
    """

    path: Path
    start: int = 0
    end: int | None = None
    plain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """One message that was read: the case, its bytes, and the files that came with it as (digest, bytes)."""

    case: Case
    source_bytes: bytes
    attachments: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One message, or one file, that cannot enter.

    `source` is the file, `place` the line or the number of the ICSR in it; `what` and `todo` are for a person.
    The bytes are in `source_bytes`, or, when they are many or not all read, in `part` (then `source_bytes` is empty).
    """

    source: str
    place: str
    code: str
    what: str
    todo: str
    source_bytes: bytes = b""
    part: FilePart | None = None

    def __str__(self) -> str:
        """Join the parts: `VM-1405 batch.xml, ICSR 3, line 90: what; do: todo`."""
        where = f"{self.source}, {self.place}" if self.place else self.source
        return f"{self.code} {where}: {self.what}; do: {self.todo}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A file that holds no case, and how that was seen; it counts neither as read nor as refused."""

    source: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something about a file that a person may want to know; nothing was lost by it and it counts as nothing."""

    source: str
    what: str


#: What reading yields, in the order of the files.
Item = Accepted | Refusal | Skipped | Remark


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a reader reads, and for whom: the file, its name in messages, the tenant."""

    path: Path
    name: str
    tenant: str

    def refuse(
        self, code: str, place: str, what: str, todo: str, kept: bytes | FilePart | None = None
    ) -> Refusal:
        """Return a refusal in this file; without `kept` its bytes are the whole file."""
        part = kept if isinstance(kept, FilePart) else FilePart(path=self.path) if kept is None else None
        held = kept if isinstance(kept, bytes) else b""
        return Refusal(
            source=self.name, place=place, code=code, what=what, todo=todo, source_bytes=held, part=part
        )

    def part(self, start: int, end: int | None = None) -> FilePart:
        """Return a part of this file, counted in its plain form."""
        return FilePart(path=self.path, start=start, end=end, plain=True)
