"""Cuts a batch into its ICSRs without parsing them, so that one broken message harms no other and none is lost."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from vigimesh.intake.e2b_prolog import lines_in
from vigimesh.intake.values import CHUNK_BYTES, MESSAGE_BYTES

_TOKEN = re.compile(rb"<(?:!--|!\[CDATA\[|\?|(/?)(?:[A-Za-z_][\w.-]{0,31}:)?PORR_IN049016UV(?=[\s/>]))")
#: Everything up to the next of these tokens that can be passed over at once: the same walk, inside one match. A `<` is
#: passed only with 80 bytes behind it (prefix of 32, name, brackets), so that no token cut in two is taken for another tag.
_RUN = re.compile(
    rb"(?s:[^<]++|<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>"
    rb"|<(?!!--|!\[CDATA\[|\?|/?(?:[A-Za-z_][\w.-]{0,31}:)?PORR_IN049016UV[\s/>])(?=.{80}))*+"
)
#: What ends a comment, a CDATA section, a processing instruction: nothing inside them is a tag.
_ENDS = {b"<!--": b"-->", b"<![CDATA[": b"]]>", b"<?": b"?>"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One ICSR of a batch: its number from 1, first line, line ends inside, place in the plain file, and bytes.

    `data` is None when there are more than `MESSAGE_BYTES`; `fault` says why it is not whole, else it is empty.
    """

    number: int
    line: int
    lines: int
    start: int
    end: int
    data: bytes | None
    fault: str = ""


@dataclass
class Splitter:
    """Walks through a batch once, in chunks; `outside` gets every byte that belongs to no ICSR, in order.

    Memory: one chunk and one ICSR. The cut is at tags only, comments, CDATA and instructions passed over, so for a
    well-formed batch it is exactly where a parser would see the elements; in a broken one it finds the next whole ICSR.
    """

    stream: io.BufferedIOBase
    outside: Callable[[bytes], None]
    line: int = 1
    number: int = 0
    _buffer: bytearray = field(default_factory=bytearray)
    _base: int = 0
    _scan: int = 0
    _open: bool = False
    _held: bytearray = field(default_factory=bytearray)
    _start: int = 0
    _start_line: int = 1
    _size: int = 0
    _returned: bool = False

    def pieces(self) -> Iterator[Piece]:
        """Yield every ICSR in the order of the file; raises what reading the stream raises."""
        while (token := self._next()) is not None:
            mark = token[0]
            if mark in _ENDS:
                self._scan = token.end()
                if not self._pass(_ENDS[mark]):
                    break
            elif token[1]:
                self._scan = token.end()
                if self._open:
                    if not self._pass(b">"):
                        break
                    yield self._close(self._scan, "")
            else:
                if self._open:
                    yield self._close(token.start(), "it is not closed before the next ICSR begins")
                self._begin()
        self._take(len(self._buffer))
        if self._open:
            yield self._close(0, "the file ends inside it")

    @property
    def offset(self) -> int:
        """The byte of the plain file that comes next."""
        return self._base

    @property
    def opened(self) -> Piece | None:
        """The ICSR that is open now, for one who must stop here: its bytes stay in the file."""
        if not self._open:
            return None
        return Piece(
            number=self.number, line=self._start_line, lines=0, start=self._start, end=self._base, data=None
        )

    def _next(self) -> re.Match[bytes] | None:
        while True:
            run = _RUN.match(self._buffer, self._scan)
            self._scan = run.end() if run else self._scan
            token = _TOKEN.search(self._buffer, self._scan)
            if token is not None:
                self._scan = token.start()
                return token
            if not self._more():
                return None

    def _pass(self, end: bytes) -> bool:
        """Move behind the next `end`; False at the end of the file."""
        while (found := self._buffer.find(end, self._scan)) < 0:
            self._scan = max(self._scan, len(self._buffer) - len(end) + 1)
            if not self._more():
                return False
        self._scan = found + len(end)
        return True

    def _more(self) -> bool:
        self._take(self._scan)
        chunk = self.stream.read1(CHUNK_BYTES)
        self._buffer += chunk
        return bool(chunk)

    def _take(self, count: int) -> None:
        """Hand the first `count` bytes of the buffer on: to the ICSR that is open, or outside."""
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        self._base += count
        self._scan = max(0, self._scan - count)
        if data:
            self.line += lines_in(data) - (self._returned and data.startswith(b"\n"))
            self._returned = data.endswith(b"\r")
        if not self._open:
            self.outside(data)
            return
        self._size += count
        if self._size <= MESSAGE_BYTES:
            self._held += data
        else:
            self._held.clear()

    def _begin(self) -> None:
        token = _TOKEN.search(self._buffer, self._scan)
        assert token is not None
        self._scan = token.end()
        self._take(token.start())
        self._open, self._size = True, 0
        self.number += 1
        self._start, self._start_line = self._base, self.line

    def _close(self, count: int, fault: str) -> Piece:
        self._scan = count
        self._take(count)
        data = bytes(self._held) if self._size <= MESSAGE_BYTES else None
        self._held.clear()
        self._open = False
        return Piece(
            number=self.number,
            line=self._start_line,
            lines=self.line - self._start_line,
            start=self._start,
            end=self._base,
            data=data,
            fault=fault,
        )
