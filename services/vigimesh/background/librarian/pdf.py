"""Guidance in PDF: the text that it holds, with paragraphs told by the gaps between lines, and where each page begins.

A PDF has no paragraphs, only signs at places. The order is that in which the file draws them; of columns and tables it may be
another than a reader's, so that pages with lines side by side are remarked. What stands in pictures beside text is not read;
a page that is a picture is read by OCR where that is installed, and each of its passages says so.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from itertools import pairwise
from typing import Any

from vigimesh.background.librarian.scans import MAX_SCANNED, check_sure, in_rows
from vigimesh.background.librarian.scans import named_pages as _pages
from vigimesh.domain.knowledge.chunks import DOCUMENT_CHARACTERS
from vigimesh.domain.knowledge.pages import marked_ocr, pages_remark
from vigimesh.domain.knowledge.sections import Sectioned
from vigimesh.domain.knowledge.texts import Identity, plain_text, printable
from vigimesh.errors import Refused
from vigimesh.ports import PageReader

# What pypdf says of a file on standard error is not ours to say: what is wrong becomes a refusal with its file and what to do. Once,
# so that who sets another level to look into a file keeps it.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)

#: Bytes of a PDF: the longest regulatory text seen in PDF has 9 MB, most of it pictures.
PDF_BYTES = 32 * 1_048_576
#: Pages of a PDF: as many as the longest document has characters for at 500 a page.
MAX_PAGES = 2_000
#: Gap between two lines, in the document's usual ones, above which a paragraph ends: word processors add half a line.
_GAP = 1.35
#: Points below which a gap is that of an index or a power beside its line.
_LEAST_GAP = 4.0
#: Lines that begin in the right half of a page beside others, from which on it may have columns.
_BESIDE = 5
#: First and last of the signs that a font names as it likes (Unicode's private use).
_PRIVATE = range(0xE000, 0xF900)
_OCR = "take its text out with OCR, compare it with the pages, and ingest that as text or Markdown"
_EXTRA = f"install vigimesh[ocr], which reads such pages, or {_OCR}"


@dataclass(slots=True)
class _Line:
    x: float
    y: float
    words: str = ""


@dataclass(slots=True)
class _Page:
    """Collects the lines of a page in the order in which the file draws them."""

    lines: list[_Line] = field(default_factory=list)
    #: Whether the line above goes on.
    _open: bool = False

    def add(self, text: str, cm: Sequence[float], tm: Sequence[float], *_: object) -> None:
        """Take a piece of text at the place that the two matrices say (PDF Reference 1.7, 9.4.4)."""
        x = tm[4] * cm[0] + tm[5] * cm[2] + cm[4]
        y = tm[4] * cm[1] + tm[5] * cm[3] + cm[5]
        for part in text.splitlines(keepends=True):
            if not self._open:
                self.lines.append(_Line(x, y))
            line = self.lines[-1]
            if not line.words.strip():
                line.x, line.y = x, y
            line.words += part.rstrip("\n")
            self._open = not part.endswith("\n")

    def gaps(self) -> list[float]:
        """Return by how many points each line but the first stands below the one before it."""
        lines = [line for line in self.lines if line.words.strip()]
        return [above.y - line.y for above, line in pairwise(lines)]

    def text(self, usual: float) -> str:
        """Return the page with a blank line where the gap is wider than the `usual` one, and where the next line stands higher."""
        lines = [line for line in self.lines if line.words.strip()]
        parts: list[str] = []
        for line, gap in zip(lines, [usual, *self.gaps()], strict=False):
            parts.append("\n" if gap < 0 or gap > _GAP * usual else "")
            parts.append(line.words.rstrip() + "\n")
        return "".join(parts)

    def has_columns(self, width: float) -> bool:
        """Tell whether lines begin in the right half at the height of lines of the left."""
        left = {round(line.y) for line in self.lines if line.words.strip() and line.x < 0.4 * width}
        right = [line for line in self.lines if line.words.strip() and line.x >= 0.45 * width]
        return sum(bool(left & {round(line.y) + by for by in (-1, 0, 1)}) for line in right) >= _BESIDE


def read_pdf(data: bytes, where: str, identity: Identity, scans: PageReader | None = None) -> Sectioned:
    """Return the document in the bytes of a PDF, with remarks about pages, columns, pictures and signs without a name.

    `scans` reads pages without text, which pictures fill: their sections begin with the heading `READ_BY_OCR`. Raises `Refused`: VM-2503
    for such pages without `scans`, VM-1560 for those that it does not read surely, VM-1511 for a file that is encrypted or cannot be
    read as PDF, VM-1503 when it is too long, VM-1510 when signs were lost, VM-1512 without any text; and what `scans` raises.
    """
    if len(data) > PDF_BYTES:
        raise Refused("VM-1503", what=f"{len(data)} bytes, at most {PDF_BYTES}", where=where,
                      todo="split it into several documents, or leave its pictures out")  # fmt: skip
    read = _read(data, where)
    if read.empty and scans is None:
        raise Refused("VM-2503", what=f"{_pages(read.empty)} of {len(read.drawn)} have no text, only pictures (a scan?)",
                      where=where, todo=_EXTRA)  # fmt: skip
    if read.empty and scans is not None:
        _scan(read, data, where, scans)
    begins, at, texts = list[int](), 0, read.texts()
    for text in texts:
        begins.append(at)
        at += len(text) + 1
    whole = printable("\n".join(texts), where, f"its fonts do not say which signs they draw: {_OCR}")
    source = plain_text(whole, data, where, identity, (pages_remark(begins), *_remarks(read, whole)))
    return marked_ocr(source, {*read.empty})


def _scan(read: _Read, data: bytes, where: str, scans: PageReader) -> None:
    """Put what `scans` reads into the place of the pages without text; raises `Refused` VM-1560 or VM-1503."""
    if len(read.empty) > MAX_SCANNED:
        raise Refused("VM-1503", what=f"{len(read.empty)} scanned pages, at most {MAX_SCANNED}", where=where,
                      todo="split it into several documents")  # fmt: skip
    pages = scans.read(data, read.empty)
    check_sure(pages, where, _OCR)
    for page in pages:
        drawn = read.drawn[page.number - 1]
        drawn.lines = [_Line(one.x, one.y, one.words) for one in in_rows(page.lines)]
        if drawn.has_columns(read.widths[page.number - 1]):
            # Of a picture nobody knows whether lines side by side are columns or a table.
            read.columns.append(page.number)
    beside = [number for number in read.columns if number in read.empty]
    if beside:
        raise Refused("VM-1560", what=f"{_pages(beside)} have columns or tables, whose order OCR does not know", where=where,
                      todo=_OCR)  # fmt: skip
    blank = {page.number for page in pages if page.blank}
    read.blank = sorted({*read.blank, *blank})
    read.empty = [number for number in read.empty if number not in blank]
    read.reader = scans.name


@dataclass(slots=True)
class _Read:
    drawn: list[_Page] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)
    #: Who read the pages without text, or "".
    reader: str = ""
    #: Numbers of pages: nothing on it, no text but something else, columns, pictures.
    blank: list[int] = field(default_factory=list)
    empty: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    pictures: list[int] = field(default_factory=list)

    def texts(self) -> list[str]:
        """Return the text of each page."""
        usual = _usual(gap for page in self.drawn for gap in page.gaps())
        return [page.text(usual) for page in self.drawn]


def _read(data: bytes, where: str) -> _Read:
    import pypdf  # noqa: PLC0415  a third of a second, and only for a PDF

    try:
        reader = pypdf.PdfReader(BytesIO(data))
        if reader.is_encrypted:
            raise _unread(where, "it is encrypted", "save it without a password")
        if len(reader.pages) > MAX_PAGES:
            raise Refused("VM-1503", what=f"{len(reader.pages)} pages, at most {MAX_PAGES}", where=where,
                          todo="split it into several documents")  # fmt: skip
        return _pages_of(reader.pages, where)
    except Refused:
        raise
    except Exception as error:  # noqa: BLE001  a file that is no PDF fails in a hundred ways, and none may stop the others
        raise _unread(
            where, f"it cannot be read as PDF ({type(error).__name__})", "print it to PDF anew"
        ) from None


def _pages_of(pages: Iterable[Any], where: str) -> _Read:
    read, left = _Read(), DOCUMENT_CHARACTERS
    for number, page in enumerate(pages, start=1):
        found = _Page()
        page.extract_text(visitor_text=found.add)
        read.drawn.append(found)
        read.widths.append(float(page.mediabox.width))
        signs = sum(len(line.words.rstrip()) + 2 for line in found.lines if line.words.strip())
        left -= signs
        if left < 0:
            raise Refused("VM-1503", what=f"over {DOCUMENT_CHARACTERS} characters on the first {number} pages", where=where,
                          todo="split it into several documents")  # fmt: skip
        if not signs:
            (read.empty if _draws(page) else read.blank).append(number)
        if found.has_columns(read.widths[-1]):
            read.columns.append(number)
        if signs and _has_picture(page):
            read.pictures.append(number)
    return read


def _usual(gaps: Iterable[float]) -> float:
    """Return the commonest gap between lines, of several the smallest: that of lines of one paragraph."""
    counted = Counter(round(2 * gap) / 2 for gap in gaps if gap >= _LEAST_GAP)
    return min(counted, key=lambda gap: (-counted[gap], gap), default=0.0)


def _draws(page: Any) -> bool:
    """Tell whether anything is drawn on a page; a frame of the graphics state alone is nothing."""
    contents = page.get_contents()
    return contents is not None and bool(contents.get_data().strip(b"qQ \r\n\t"))


def _has_picture(page: Any) -> bool:
    objects = (page.get("/Resources") or {}).get("/XObject") or {}
    return any(objects[name].get("/Subtype") == "/Image" for name in objects)


def _remarks(read: _Read, text: str) -> Iterable[str]:
    if read.reader and read.empty:
        yield f"{_pages(read.empty)} were read by OCR ({read.reader}): compare every dose, unit and name with the pages"
    if read.columns:
        yield f"{_pages(read.columns)} may have columns or tables: look whether their lines stand in the order of reading"
    if read.pictures:
        yield f"{_pages(read.pictures)} have pictures, which are not read: what stands only in them cannot be cited"
    if read.blank:
        yield f"{_pages(read.blank)} are blank"
    unnamed = sum(ord(sign) in _PRIVATE for sign in text)
    if unnamed:
        yield f"{unnamed} signs are of a font that does not say which they are (often bullets, perhaps units): look at them"


def _unread(where: str, what: str, todo: str) -> Refused:
    return Refused("VM-1511", what=what, where=where, todo=todo)
