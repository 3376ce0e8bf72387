"""What stands before the ICSRs of a batch: encoding, no document type, the root element."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Bytes that may stand before the end of the root's start tag. The FDA's own files have 1 KB there.
PROLOG_BYTES = 1024 * 1024
BATCH = "MCCI_IN200100UV01"
ACKNOWLEDGEMENT = "MCCI_IN200101UV01"
ICSR = "PORR_IN049016UV"

#: Encodings that keep ASCII as it is, so that tags can be found in the bytes. ICH E2B(R3) asks for UTF-8.
_READABLE = re.compile(r"utf-?8|us-ascii|ascii|iso-8859-\d{1,2}|windows-125\d", re.IGNORECASE)
_SPACE = re.compile(rb"[ \t\r\n]*")
_DECLARED = re.compile(rb"""encoding\s*=\s*["']([A-Za-z][\w.:-]{0,40})["']""")
_ROOT = re.compile(
    rb"""<(?:[A-Za-z_][\w.-]{0,63}:)?([A-Za-z_][\w.-]{0,127})(?:\s+[\w.:-]{1,128}\s*=\s*(?:"[^"<]*"|'[^'<]*'))*\s*(/?)>"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prolog:
    """The root element of an XML file that may be read on."""

    root: str
    tag: bytes
    encoding: str
    empty: bool
    skip: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BadProlog:
    """Why an XML file may not be read on: error code, line, what is wrong, what to do."""

    code: str
    line: int
    what: str
    todo: str


def read_prolog(head: bytes, shown: str, whole: bool) -> Prolog | BadProlog:
    """Return the root of an XML file from its first `PROLOG_BYTES` in plain form, or why to stop here.

    `shown` is the encoding that the bytes themselves show (`plain.encoding_of`), `whole` whether `head` is all.
    A document type is refused here, before any parser sees it: no entity is ever declared, none expanded.
    """
    declared = _DECLARED.search(head[:200]) if head.startswith(b"<?xml") else None
    encoding = _encoding(shown, declared.group(1).decode() if declared else "")
    if isinstance(encoding, BadProlog):
        return encoding
    at = 0
    while True:
        at = _after_space(head, at)
        stop = b"?>" if head.startswith(b"<?", at) else b"-->" if head.startswith(b"<!--", at) else b""
        if not stop:
            break
        end = head.find(stop, at + 2)
        if end < 0:
            return _unfinished(head, whole)
        at = end + len(stop)
    if head[at : at + 9].upper() == b"<!DOCTYPE":
        return BadProlog(
            code="VM-1406", line=_line(head, at), what="a document type (DOCTYPE) is not allowed: it can declare entities",
            todo="remove the DOCTYPE; E2B(R3) messages have none",
        )  # fmt: skip
    found = _ROOT.match(head, at)
    if found is None:
        return _no_root(head, at, whole)
    return Prolog(
        root=found[1].decode("latin-1"), tag=found[0], encoding=encoding, empty=bool(found[2]), skip=at
    )


def _encoding(shown: str, declared: str) -> str | BadProlog:
    word = declared.lower().replace("_", "-")
    wide = shown.startswith(("utf-16", "utf-32"))
    if shown == "ebcdic" or (
        word and not _READABLE.fullmatch(word) and not word.startswith(("utf-16", "utf-32"))
    ):
        return BadProlog(code="VM-1404", line=1, what=f"the encoding {declared or shown} is not read",
                         todo="send the file in UTF-8, as ICH E2B(R3) asks")  # fmt: skip
    if wide and not shown.startswith(word or shown):
        return _lie(declared, shown)
    if not wide and word.startswith(("utf-16", "utf-32")):
        return _lie(declared, shown or "one byte a character")
    if shown == "utf-8" and word not in {"", "utf-8", "utf8"}:
        return _lie(declared, shown)
    return "utf-8" if wide or not word else word


def _lie(declared: str, shown: str) -> BadProlog:
    return BadProlog(
        code="VM-1404", line=1, what=f"the file says encoding {declared}, but its bytes are {shown}",
        todo="save the file in the encoding that its first line names, best UTF-8",
    )  # fmt: skip


def _no_root(head: bytes, at: int, whole: bool) -> BadProlog:
    if at >= len(head) or (head[at : at + 1] == b"<" and b">" not in head[at:]):
        return _unfinished(head, whole)
    return BadProlog(code="VM-1405", line=_line(head, at), what="no XML element begins where the root should",
                     todo="send a well-formed E2B(R3) batch")  # fmt: skip


def _unfinished(head: bytes, whole: bool) -> BadProlog:
    if whole:
        return BadProlog(code="VM-1405", line=_line(head, len(head)), what="the file ends before its root element",
                         todo="send the whole file again")  # fmt: skip
    return BadProlog(code="VM-1407", line=1, what=f"no root element within the first {PROLOG_BYTES} bytes",
                     todo="remove what stands before the root element")  # fmt: skip


def _after_space(head: bytes, at: int) -> int:
    found = _SPACE.match(head, at)
    return found.end() if found else at


def _line(head: bytes, at: int) -> int:
    return lines_in(head[:at]) + 1


def lines_in(data: bytes | bytearray) -> int:
    """Return how many line ends stand in `data`: LF, CR LF or CR alone."""
    returns = data.count(b"\r")
    return data.count(b"\n") + (returns - data.count(b"\r\n") if returns else 0)
