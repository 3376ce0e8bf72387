"""The narrative of a label's section as plain text: paragraphs apart by blank lines, items and rows of tables one a line.

Nothing that says something is dropped in silence: notes stand where they are called, a power is no longer number (`10^6`), pictures are
counted. White space is one blank, as a browser shows it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lxml import etree

from vigimesh.background.librarian.tables import COLUMNS, ROWS_SPANNED, Table, spanned
from vigimesh.domain.knowledge.chunks import DOCUMENT_CHARACTERS
from vigimesh.errors import Refused

#: Stands for a line break until its paragraph is written; XML has no such character.
_BREAK = "\0"
#: Levels of lists that are indented.
_LISTS = 8
_BLOCKS = frozenset({"paragraph", "text", "list", "item", "caption", "table"})
_POWER = re.compile(r"\s*[-+\u2212\u2013]?\d")


@dataclass
class Narrative:
    """Text that grows by one narrative after the other; `pictures` were seen and not read, `struck` is text marked as deleted.

    Raises `Refused` VM-1503 as soon as the text is longer than a document may be: spans of a hostile table can ask for any length.
    """

    where: str
    pictures: int = 0
    struck: int = 0
    size: int = 0
    _parts: list[str] = field(default_factory=list)
    _line: list[str] = field(default_factory=list)
    _lists: list[list[int]] = field(default_factory=list)
    _prefix: str = ""
    _tight: bool = False
    _table: Table | None = None
    _depth: int = 0
    _heads: bool = False
    _all_heads: bool = True
    _held: int = 0
    _notes: dict[str, int] = field(default_factory=dict)
    _noted: int = 0

    def text(self) -> str:
        """Return what was written, blank lines between blocks."""
        return "".join(self._parts)

    def heading(self, words: str) -> None:
        """Write a heading, which `size` before and after place."""
        self._write(words + "\n\n")

    def add(self, element: etree._Element) -> None:
        """Write the narrative of one `text` element."""
        skipped: etree._Element | None = None
        for event, found in etree.iterwalk(element, events=("start", "end")):
            tag = etree.QName(found).localname
            if skipped is None and event == "start" and found.get("revised") == "delete":
                skipped = found
                self.struck += 1
            if skipped is None:
                self._start(tag, found) if event == "start" else self._end(tag, found)
            if event == "end" and skipped is found:
                skipped = None
            if event == "end" and skipped is None and found is not element and found.tail:
                self._line.append(found.tail)
        self._flush()
        self._tight, self._lists, self._depth, self._table = False, [], 0, None

    def _start(self, tag: str, found: etree._Element) -> None:
        if tag in _BLOCKS and not self._depth:
            self._flush()
        if tag in {"table", "thead", "td", "th"}:
            self._start_in_table(tag)
        elif tag == "list":
            self._lists.append([1 if found.get("listType") == "ordered" else 0, 0])
        elif tag == "item" and self._lists:
            self._item()
        elif tag == "br":
            self._line.append(_BREAK)
        elif tag in {"sup", "sub"}:
            self._raise(tag, found.text or "")
        elif tag in {"footnote", "footnoteRef"}:
            self._note(tag, found)
        elif tag == "renderMultiMedia":
            self.pictures += 1
        if found.text:
            self._line.append(found.text)

    def _start_in_table(self, tag: str) -> None:
        if tag == "table":
            self._depth += 1
            if self._depth == 1:
                self._table, self._held = Table(), 0
        elif tag == "thead":
            self._heads = True
        else:
            self._line.append(" ")
            self._all_heads = self._all_heads and tag == "th"

    def _end(self, tag: str, found: etree._Element) -> None:
        if tag == "footnote":
            self._line.append("]")
            self._depth -= 1
        elif tag == "table":
            self._end_table()
        elif self._depth:
            self._end_in_table(tag, found)
        elif tag == "caption" and self._lists and etree.QName(found.getparent()).localname == "item":
            self._prefix = self._indent()
            self._line.append(" ")
        elif tag in _BLOCKS:
            self._flush()
        if tag == "list" and self._lists:
            self._lists.pop()
            self._tight = self._tight and bool(self._lists)
        if tag in {"item", "list"}:
            self._prefix = ""

    def _end_in_table(self, tag: str, found: etree._Element) -> None:
        table = self._table if self._depth == 1 else None
        if table is None:
            self._line.append("; " if tag in {"td", "th"} else " " if tag in _BLOCKS or tag == "tr" else "")
        elif tag in {"td", "th"}:
            rows = spanned(found.get("rowspan"), ROWS_SPANNED)
            table.cell(self._words(" "), spanned(found.get("colspan"), COLUMNS), rows)
        elif tag == "tr":
            self._held += table.end_row(self._heads or self._all_heads)
            self._all_heads = True
            self._bounded(self._held)
        elif tag == "thead":
            self._heads = False
        elif tag == "caption" and etree.QName(found.getparent()).localname == "table":
            table.caption = self._words(" ")
        elif tag in _BLOCKS:
            self._line.append(" ")

    def _item(self) -> None:
        kind = self._lists[-1]
        kind[1] += 1
        if self._depth:
            self._line.append(" ")
            return
        self._prefix = self._indent() + (f"{kind[1]}. " if kind[0] else "- ")

    def _indent(self) -> str:
        return "  " * min(len(self._lists) - 1, _LISTS)

    def _end_table(self) -> None:
        self._depth -= 1
        if self._depth == 0 and self._table:
            text, self._table = self._table.text(), None
            self._block(text, tight=False)
            self._heads, self._all_heads, self._tight = False, True, False
            self._flush()

    def _raise(self, tag: str, words: str) -> None:
        """Keep a power or an index apart from the number before it: 10 to the 6th must not become 106."""
        before = self._line[-1][-1:] if self._line else ""
        if before and (before.isdigit() or before in "%)") and _POWER.match(words):
            self._line.append("^" if tag == "sup" else "_")

    def _note(self, tag: str, found: etree._Element) -> None:
        name = (found.get("ID") if tag == "footnote" else found.get("IDREF")) or ""
        number = self._notes.get(name)
        if number is None:
            self._noted += 1
            number = self._noted
            if name:
                self._notes[name] = number
        self._depth += tag == "footnote"
        self._line.append(f" [note {number}: " if tag == "footnote" else f" [note {number}]")

    def _words(self, at_break: str) -> str:
        lines = [" ".join(line.split()) for line in "".join(self._line).split(_BREAK)]
        self._line = []
        return at_break.join(line for line in lines if line)

    def _flush(self) -> None:
        """Write the paragraph or item that has been read so far."""
        words = self._words("\n")
        if words:
            prefix, self._prefix = self._prefix, ""
            self._block(prefix + words, tight=self._tight and bool(self._lists))
            self._tight = bool(self._lists)

    def _block(self, text: str, *, tight: bool) -> None:
        if text:
            if tight:
                self._parts[-1] = self._parts[-1][:-1]
                self.size -= 1
            self._write(text + "\n\n")

    def _write(self, text: str) -> None:
        self._parts.append(text)
        self.size += len(text)
        self._bounded(0)

    def _bounded(self, more: int) -> None:
        if self.size + more > DOCUMENT_CHARACTERS:
            raise Refused(
                "VM-1503", what=f"more than {DOCUMENT_CHARACTERS} characters of text", where=self.where,
                todo="split the label into several documents",
            )  # fmt: skip


def one_line(element: etree._Element | None) -> str:
    """Return all words in an element in one line."""
    return "" if element is None else " ".join(str(element.xpath("string()")).split())
