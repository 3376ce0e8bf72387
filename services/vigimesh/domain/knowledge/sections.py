"""What reading a source gives: a document, the sections that its text falls into, and what a person may want to know."""

from __future__ import annotations

from dataclasses import dataclass, field

from vigimesh.domain.knowledge.chunks import Document
from vigimesh.errors import Refused
from vigimesh.events.ids import digest

#: Longest heading in characters: the longest in the labels and guidance seen has 150; a longer line is text.
HEADING_CHARACTERS = 200
#: Headings kept above a passage, the outermost and its own first; labels nest 4 deep.
PATH_HEADINGS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A stretch of a document's text under one heading.

    `text[opens:start]` is the heading as it stands there (empty where the heading is only in the source's markup),
    `text[start:end]` what is under it. `path` are the headings from the top, its own last; `codes` has for each the LOINC code
    or "".
    """

    path: tuple[str, ...]
    codes: tuple[str, ...]
    opens: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sectioned:
    """A document with its sections, which follow each other without a gap from its first character to its last.

    `effective` is the source's date (`YYYY-MM-DD`) or empty; `remarks` are for a person and change nothing.
    """

    document: Document
    sections: tuple[Section, ...]
    effective: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def reading(self) -> str:
        """The digest of what may be cited: text and sections, whatever bytes they were read from."""
        outline = [f"{one.path!r} {one.codes!r} {one.opens} {one.start} {one.end}" for one in self.sections]
        return digest("\n".join([self.document.text, *outline]).encode())


def citable(source: Sectioned, where: str, todo: str) -> Sectioned:
    """Return `source` if any section has a word under its heading.

    Raises `Refused` VM-1512 with `todo` when none has; `where` is the file name.
    """
    text = source.document.text
    if not any(text[one.start : one.end].strip() for one in source.sections):
        raise Refused("VM-1512", what="no section has text", where=where, todo=todo)
    return source


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a passage stands: document, version, headings and codes of its section, first character, after the last."""

    document: str
    version: str
    path: tuple[str, ...]
    codes: tuple[str, ...]
    start: int
    end: int

    @property
    def section(self) -> str:
        """The headings in one line, as passages carry them."""
        return " > ".join(heading for heading in self.path if heading)


def opened(document: Document, place: Place) -> str:
    """Return the very characters that `place` cites.

    Raises `Refused` VM-1514 when it is a place of another document or version, or outside of the text.
    """
    cited = f"{place.document} {place.version}, characters {place.start} to {place.end}"
    if (place.document, place.version) != (document.id, document.version):
        raise Refused(
            "VM-1514", what=f"the citation is of {place.document} {place.version}, not of {document.id} {document.version}",
            where=cited, todo="open the version that is cited",
        )  # fmt: skip
    if not 0 <= place.start < place.end <= len(document.text):
        raise Refused(
            "VM-1514", what=f"the version has {len(document.text)} characters", where=cited,
            todo="ingest the document again and ask anew",
        )  # fmt: skip
    return document.text[place.start : place.end]


@dataclass
class Outline:
    """Collects sections in the order of the text: each `begin` ends the one before."""

    _open: list[tuple[int, str, str]] = field(default_factory=list)
    _found: list[Section] = field(default_factory=list)
    _opens: int = 0
    _start: int = 0

    def begin(self, level: int, heading: str, code: str, opens: int, start: int) -> None:
        """Begin a section of `level` (1 is outermost), whose heading is `text[opens:start]`."""
        self._end(opens)
        while self._open and self._open[-1][0] >= level:
            self._open.pop()
        self._open.append((level, heading, code))
        self._opens, self._start = opens, start

    def end(self, length: int) -> tuple[Section, ...]:
        """Return all sections of a text of `length` characters."""
        self._end(length)
        return tuple(self._found)

    def _end(self, end: int) -> None:
        if not self._open and end == 0:
            return
        shown = self._open
        if len(shown) > PATH_HEADINGS:
            shown = [*shown[: PATH_HEADINGS - 1], shown[-1]]
        self._found.append(Section(
            path=tuple(heading for _, heading, _ in shown), codes=tuple(code for _, _, code in shown),
            opens=self._opens, start=self._start, end=end,
        ))  # fmt: skip
