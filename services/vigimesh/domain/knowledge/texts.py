"""Guidance in Markdown or plain text: from bytes to a document with sections. Pure; nothing is guessed about bytes.

Markdown has headings of `#`. Text that was taken out of a PDF has none; there a line alone that begins with a number and continues the
numbers before it is one ("3.1 General obligations", "II." with its title below).
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from vigimesh.domain.knowledge.chunks import DOCUMENT_CHARACTERS, Document, checked, parse
from vigimesh.domain.knowledge.numbering import Levels, Markers, markers
from vigimesh.domain.knowledge.sections import HEADING_CHARACTERS, Outline, Section, Sectioned, citable
from vigimesh.errors import Refused
from vigimesh.events.ids import digest

#: Bytes of a source: four for each character of the longest document; also the most that a label's XML may have.
SOURCE_BYTES = 4 * DOCUMENT_CHARACTERS
#: Lines in which the front matter of another program must end.
_FRONT_LINES = 64
#: Columns by which a heading of `#` may be indented: converters of statutes indent by level, up to 5 seen.
_INDENT = 8

#: Byte order marks, the longest first: UTF-32's begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
#: Encodings that a source may name; each is read strictly.
_NAMED = re.compile(r"utf-?(?:8|16|32)|us-ascii|ascii|iso-8859-(?:1|15)|windows-1252", re.IGNORECASE)
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_HASHES = re.compile(rf" {{0,{_INDENT}}}(#{{1,6}})[ \t]+(.*)")
_FENCE = re.compile(r" {0,3}(?:```|~~~)")
_FIELD = re.compile(r"[\w -]{1,64}:(?:\s.*)?|[ \t]+\S.*|[ \t]*")
#: Dots that lead to a page number, or the number alone at the end: a line of a table of contents.
_CONTENTS = re.compile(r"\.{4}|\s\d{1,3}$")
_ANEW = "save it anew in UTF-8 from the program that wrote it"
_AGAIN = "get the document from its source again, whole"
_UNPRINTABLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a text does not say of itself; the parts are those of `chunks.Document`."""

    id: str
    version: str
    title: str
    kind: str = "guidance"
    names: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    end: int
    words: str
    found: Markers


def decoded(data: bytes, where: str, named: str = "") -> str:
    """Return the text of `data` with line ends as LF; `named` is the encoding that the source itself names.

    Raises `Refused` VM-1510 when the bytes are not in it, are valid UTF-8 though another is named, or show that an earlier
    conversion lost characters; VM-1503 when there are more than `SOURCE_BYTES`.
    """
    if len(data) > SOURCE_BYTES:
        raise Refused("VM-1503", what=f"{len(data)} bytes, at most {SOURCE_BYTES}", where=where,
                      todo="split it into several documents")  # fmt: skip
    mark = next((name for start, name in _MARKS if data.startswith(start)), "")
    encoding = mark or named or "utf-8"
    if named and not _NAMED.fullmatch(named):
        raise _encoding(where, f"the encoding {named[:40]!r} is not read")
    if mark and named and named.lower().replace("-", "")[:4] != mark.replace("-", "")[:4]:
        raise _encoding(where, f"it names {named}, but its first bytes are the mark of {mark[:6]}")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise _encoding(where, f"byte {error.start} is not {encoding}") from None
    if not encoding.lower().startswith("utf") and not data.isascii() and _is_utf8(data):
        raise _encoding(where, f"it names {named}, but its bytes are UTF-8")
    return printable(text, where).replace("\r\n", "\n").replace("\r", "\n")


def printable(text: str, where: str, todo: str = _ANEW) -> str:
    """Return `text` if it has no sign that no text has, nor one that says that another was lost; else raises `Refused` VM-1510."""
    wrong = _UNPRINTABLE.search(text)
    if wrong:
        raise _encoding(where, f"character {wrong.start()} is U+{ord(wrong[0]):04X}, which no text has", todo)
    lost = text.find("\ufffd")
    if lost >= 0:
        raise _encoding(
            where, f"character {lost} is U+FFFD: an earlier conversion lost what stood there", todo
        )
    return text


def read_markdown(data: bytes, where: str, identity: Identity | None = None) -> Sectioned:
    """Return a document in Markdown; without `identity` its own front matter must say what it is (`chunks.parse`).

    With `identity`, front matter of another program is passed over. Raises `Refused` VM-1503, VM-1510 or VM-1512.
    """
    text = decoded(data, where)
    if identity is None:
        document = parse(text, where)
    else:
        document = _document(identity, text[_front(text) :], data, where)
    sections = _by_hashes(document.text) or _by_numbers(document.text)
    return citable(Sectioned(document=document, sections=sections), where, _AGAIN)


def read_text(data: bytes, where: str, identity: Identity) -> Sectioned:
    """Return a document in plain text. Raises `Refused` VM-1503, VM-1510 or VM-1512."""
    return plain_text(decoded(data, where), data, where, identity)


def plain_text(
    text: str, data: bytes, where: str, identity: Identity, remarks: tuple[str, ...] = ()
) -> Sectioned:
    """Return the document whose text was taken out of `data` before. Raises `Refused` VM-1503 or VM-1512."""
    document = _document(identity, text, data, where)
    return citable(
        Sectioned(document=document, sections=_by_numbers(document.text), remarks=remarks), where, _AGAIN
    )


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _encoding(where: str, what: str, todo: str = _ANEW) -> Refused:
    return Refused("VM-1510", what=what, where=where, todo=todo)


def _document(identity: Identity, text: str, data: bytes, where: str) -> Document:
    return checked(Document(
        id=identity.id, version=identity.version, title=identity.title, kind=identity.kind, names=identity.names,
        aliases=identity.aliases, text=text, digest=digest(data),
    ), where)  # fmt: skip


def _front(text: str) -> int:
    """Return where the text begins behind front matter of any program; 0 where there is none."""
    for number, line in enumerate(_LINE.finditer(text)):
        words = line[0].rstrip("\n")
        if number == 0 and words.rstrip() != "---":
            return 0
        if number and words.rstrip() == "---":
            return line.end()
        if number > _FRONT_LINES or (number and not _FIELD.fullmatch(words)):
            return 0
    return 0


def _by_hashes(text: str) -> tuple[Section, ...]:
    """Return the sections under headings of `#`, none where there is no such heading; fenced lines are text."""
    outline, fenced, found = Outline(), False, False
    for line in _LINE.finditer(text):
        if _FENCE.match(line[0]):
            fenced = not fenced
        heading = None if fenced else _HASHES.fullmatch(line[0].rstrip())
        if heading is None:
            continue
        title = heading[2].rstrip("# \t")
        if 0 < len(title) <= HEADING_CHARACTERS:
            outline.begin(len(heading[1]), title, "", line.start(), line.end())
            found = True
    return outline.end(len(text)) if found else ()


def _by_numbers(text: str) -> tuple[Section, ...]:
    """Return the sections under numbered lines that are headings; the whole text is one where there is none.

    Better no heading than a wrong one, since citations show it: a heading begins its numbers or continues those of headings
    before it, which page numbers, footnotes and most lists do not; a number in brackets is a paragraph.
    """
    outline, levels, numbers = Outline(), Levels(), set[str]()
    lines = [
        _Line(line.start(), line.end(), line[0].strip(), markers(line[0].rstrip()))
        for line in _LINE.finditer(text)
    ]
    below = 0
    for at, line in enumerate(lines):
        if not line.found.meanings:
            continue
        number = line.words.partition(" ")[0].rstrip(".")
        kind = line.found.meanings[0][0][0].partition(" ")[0]
        after = levels.continues(line.found.meanings[0])
        if kind == "parts":
            follows = _follows(number, numbers)
        else:
            follows = kind == "dot" and (after or levels.begins(line.found.meanings[0]))
        alone = at == below or not lines[at - 1].words or (after and number.isupper())
        last = _heading(text, lines, at, alone) if follows else None
        if last is not None:
            title = " ".join(text[line.start : lines[last].end].split())
            outline.begin(levels.enter(line.found), title, "", line.start, lines[last].end)
            numbers.add(number)
            below = last + 1
    return outline.end(len(text))


def _follows(number: str, numbers: set[str]) -> bool:
    """Tell whether `4.5.1` has `4.5` before it, or `4.5.3` has `4.5.2`."""
    above, _, last = number.rpartition(".")
    return above in numbers if last == "1" else f"{above}.{int(last) - 1}" in numbers


def _heading(text: str, lines: list[_Line], at: int, alone: bool) -> int | None:
    """Return the number of the line where the heading that begins in line `at` ends; None when it is none."""
    last = at
    title = text[lines[at].start + lines[at].found.after : lines[at].end].strip() if alone else ""
    if lines[at].found.after >= len(lines[at].words):
        last = next((one for one in range(at + 1, min(at + 3, len(lines))) if lines[one].words), at)
        title = lines[last].words if last > at and not lines[last].found.meanings else ""
    below = lines[last + 1].words if last + 1 < len(lines) else ""
    plain = title[:1].isupper() and title[-1:] not in ".,;:" and not _CONTENTS.search(title)
    short = lines[last].end - lines[at].start <= HEADING_CHARACTERS
    return last if plain and short and not below[:1].islower() else None
