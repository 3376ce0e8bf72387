"""What a document is, how Markdown says it in front matter, and where a text is cut: pure, and the same on every machine.

Front matter is `name: value` lines between two lines of `---`. `id`, `version`, `title` and `kind` are required;
`names` and `aliases` are lists separated by `;` (see `questions` for the difference).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from vigimesh.errors import Refused
from vigimesh.events.ids import digest

#: Longest passage in characters: about 300 tokens, so that 12 of them stay a small part of any model's context.
CHUNK_CHARACTERS = 1_200
#: Longest document in characters: 1 MiB is ten times the longest product label seen; a larger one is a mistake.
DOCUMENT_CHARACTERS = 1_048_576
#: Names and aliases of one document: the longest list shipped has 14.
MAX_NAMES = 64
#: The heading under which a reference lists its reactions.
LISTED_HEADING = "Listed reactions"

KINDS = ("reference", "guidance")
_REQUIRED = ("id", "version", "title", "kind")
_OPTIONAL = ("names", "aliases")
_EXAMPLES = {"id": "id: guidance/x", "version": "version: 1.0", "title": "title: X", "kind": "kind: guidance"}
_ID = re.compile(r"[a-z0-9][a-z0-9./_-]{0,127}")
_VERSION = re.compile(r"\d{1,6}(\.\d{1,6}){0,3}")
_SENTENCE_END = re.compile(r"[.!?][\"')\]]*\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One version of one document. `text` is what follows the front matter; `digest` names the source's bytes.

    `names` are distinctive (an invented brand, a substance) and count wherever a question has them; `aliases` are
    words that mean the product only at the start of a question (`TD`, `INFLUENZA`).
    """

    id: str
    version: str
    title: str
    kind: str
    names: tuple[str, ...]
    aliases: tuple[str, ...]
    text: str
    digest: str

    @property
    def general(self) -> bool:
        """Whether it speaks of no product in particular, so that any question may find it."""
        return not self.names and not self.aliases


def is_version(text: str) -> bool:
    """Tell whether `text` is written as a version is: numbers and dots."""
    return _VERSION.fullmatch(text) is not None


def version_ordinal(version: str) -> tuple[int, ...]:
    """Return a version as numbers, so that `1.10` is newer than `1.9`."""
    return tuple(int(part) for part in version.split("."))


def parse(source: str, where: str) -> Document:
    """Return the document that `source` holds; `where` is the file name for messages.

    Raises `Refused` VM-1503 naming the line when the front matter is not as this module says.
    """
    if len(source) > DOCUMENT_CHARACTERS:
        raise _wrong(
            where, f"{len(source)} characters, at most {DOCUMENT_CHARACTERS}", "split it into several"
        )
    if not source.strip():
        raise _wrong(where, "it is empty", "write the document, or leave the file out")
    source = source.replace("\r\n", "\n")
    fields, body_at = _front_matter(source, where)
    missing = [name for name in _REQUIRED if not fields.get(name)]
    if missing:
        raise _wrong(
            where,
            f"no {', '.join(missing)} in the front matter",
            f"add a line such as `{_EXAMPLES[missing[0]]}`",
        )
    document = checked(Document(
        id=fields["id"], version=fields["version"], title=fields["title"], kind=fields["kind"],
        names=_list(fields.get("names", "")), aliases=_list(fields.get("aliases", "")),
        text=source[body_at:], digest=digest(source.encode()),
    ), where)  # fmt: skip
    if not document.text.strip():
        raise _wrong(where, "no text after the front matter", "write the document below the second ---")
    return document


def checked(document: Document, where: str) -> Document:
    """Return `document` if its id, version, kind, names and length are as a document's must be.

    Raises `Refused` VM-1503 saying which is not; `where` is the file name.
    """
    if not _ID.fullmatch(document.id):
        raise _wrong(
            where, "id is not lower-case letters, digits and ./_-", "write it such as `product/name`"
        )
    if not is_version(document.version):
        raise _wrong(where, "version is not numbers and dots", "write it such as `1.0` or `2024.3`")
    if document.kind not in KINDS:
        raise _wrong(where, "kind is not known", f"write one of {', '.join(KINDS)}")
    named = len(document.names) + len(document.aliases)
    if named > MAX_NAMES:
        raise _wrong(where, f"{named} names and aliases", f"keep at most {MAX_NAMES}")
    if len(document.text) > DOCUMENT_CHARACTERS:
        raise _wrong(
            where, f"{len(document.text)} characters, at most {DOCUMENT_CHARACTERS}", "split it into several"
        )
    return document


def pieces(text: str, start: int, end: int, most: int = CHUNK_CHARACTERS) -> Iterator[tuple[int, int]]:
    """Cut `text[start:end]` where a paragraph, else a sentence, else a word ends, trimmed of white space.

    Yields (first, after the last) of each piece, at most `most` characters long.
    """
    while start < end:
        while start < end and text[start].isspace():
            start += 1
        if start == end:
            return
        limit = min(end, start + most)
        cut = limit if limit == end else _cut(text, start, limit)
        last = cut
        while text[last - 1].isspace():
            last -= 1
        yield start, last
        start = cut


def _cut(text: str, start: int, limit: int) -> int:
    """Return where the piece that begins at `start` ends, at or before `limit`; in its second half if it can."""
    half = start + (limit - start) // 2
    paragraph = text.rfind("\n\n", half, limit)
    if paragraph != -1:
        return paragraph
    sentences = [found.end() for found in _SENTENCE_END.finditer(text, half, limit)]
    if sentences:
        return sentences[-1]
    word = max(text.rfind(" ", half, limit), text.rfind("\n", half, limit))
    return word if word != -1 else limit


def _front_matter(source: str, where: str) -> tuple[dict[str, str], int]:
    """Return the fields and where the text begins."""
    lines = source.split("\n")
    if lines[0].strip() != "---":
        raise _wrong(f"{where}, line 1", "no front matter",
                     f"begin the file with a line of --- and say there id, version, title and kind, or {_beside(where)}")  # fmt: skip
    fields: dict[str, str] = {}
    place = len(lines[0]) + 1
    for number, line in enumerate(lines[1:], start=2):
        place += len(line) + 1
        if line.strip() == "---":
            return fields, min(place, len(source))
        name, colon, value = line.partition(":")
        name = name.strip()
        if not colon:
            raise _wrong(f"{where}, line {number}", "no colon",
                         f"write `name: value`, and --- after the last; if another program wrote it, {_beside(where)}")  # fmt: skip
        if name not in _REQUIRED + _OPTIONAL:
            near = difflib.get_close_matches(name, _REQUIRED + _OPTIONAL, n=1)
            known = (
                f"known are {', '.join(_REQUIRED + _OPTIONAL)}; if another program wrote it, {_beside(where)}"
            )
            hint = f"did you mean {near[0]}?" if near else known
            raise _wrong(f"{where}, line {number}", f"unknown field {name[:40]!r}", hint)
        if name in fields:
            raise _wrong(f"{where}, line {number}", f"field {name} twice", "keep one of them")
        fields[name] = value.strip()
    raise _wrong(where, "the front matter does not end", "close it with a line of ---")


def _beside(where: str) -> str:
    """Say the other way to name a document, which passes over front matter that is not ours."""
    return f"write id, version and title into a file {where}.toml beside it"


def _list(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(";") if part.strip())


def _wrong(where: str, what: str, todo: str) -> Refused:
    return Refused("VM-1503", what=what, where=where, todo=todo)
