"""A citation as it is written, and opened: document, version, section, page, characters."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vigimesh.domain.knowledge.pages import page_at
from vigimesh.domain.knowledge.sections import Place, Sectioned, opened
from vigimesh.errors import Refused

_CITATION = re.compile(r"(?P<id>[^@#]+)(?:@(?P<version>[\d.]+))?(?:#(?P<at>\d{1,9}-\d{1,9}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """What is asked for: `version` empty for the current one, `at` (first character, after the last) `None` for all of it."""

    document: str
    version: str = ""
    at: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a citation shows: headings from the top, page (0 where the source has none), the very characters."""

    path: tuple[str, ...]
    codes: tuple[str, ...]
    page: int
    text: str


def read_citation(written: str, at: str = "") -> Citation:
    """Read `DOCUMENT[@VERSION][#START-END]`; `at` is START-END given apart.

    Raises `Refused` VM-1514 for anything else.
    """
    found = _CITATION.fullmatch(f"{written}#{at}" if at else written)
    if found is None:
        raise Refused("VM-1514", what="this is no citation", where=f"{written} {at}".strip()[:200],
                      todo="write DOCUMENT, DOCUMENT@VERSION or DOCUMENT@VERSION#START-END, for example product/x@1.0#120-180")  # fmt: skip
    first, _, last = (found["at"] or "").partition("-")
    place = (int(first), int(last)) if first else None
    return Citation(document=found["id"], version=found["version"] or "", at=place)


def open_citation(source: Sectioned, at: tuple[int, int]) -> Opened:
    """Return what stands at `at` in `source`. Raises `Refused` VM-1514 for a place outside of the text."""
    start, end = at
    one = source.document
    section = next((part for part in source.sections if part.opens <= start < part.end), None)
    path, codes = (section.path, section.codes) if section else ((), ())
    place = Place(document=one.id, version=one.version, path=path, codes=codes, start=start, end=end)
    return Opened(path=path, codes=codes, page=page_at(source.remarks, start), text=opened(one, place))
