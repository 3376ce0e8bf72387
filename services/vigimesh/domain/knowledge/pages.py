"""On which page of its source a character stands: written into a document's remarks by who reads pages, and read there."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from vigimesh.domain.knowledge.sections import PATH_HEADINGS, Sectioned

#: The outermost heading of what was read by OCR: it goes with each passage, wherever that is shown, cited or handed on.
READ_BY_OCR = "read by OCR"
_BEGINS = "pages begin at characters "
_NUMBERS = re.compile(r"\d{1,9}(?:, \d{1,9})*")


def pages_remark(begins: Sequence[int]) -> str:
    """Return the remark that says where each page begins, the first at `begins[0]`, in ascending order."""
    return _BEGINS + ", ".join(map(str, begins))


def page_at(remarks: Iterable[str], at: int) -> int:
    """Return the page on which character `at` stands, counted from 1; 0 where the source has no pages."""
    for remark in remarks:
        numbers = remark.removeprefix(_BEGINS)
        if numbers != remark and _NUMBERS.fullmatch(numbers):
            return bisect_right([int(one) for one in numbers.split(", ")], at)
    return 0


def marked_ocr(source: Sectioned, numbers: Collection[int]) -> Sectioned:
    """Return `source` with the heading `READ_BY_OCR` above each section that reaches into one of these pages."""
    if not numbers:
        return source
    marked = tuple(
        replace(one, path=_above(one.path, READ_BY_OCR), codes=_above(one.codes, ""))
        if any(
            number in numbers
            for number in range(page_at(source.remarks, one.opens), page_at(source.remarks, one.end - 1) + 1)
        )
        else one
        for one in source.sections
    )
    return replace(source, sections=marked)


def _above(path: tuple[str, ...], heading: str) -> tuple[str, ...]:
    """Put a heading above others, in the place of the outermost where there are as many as may be."""
    return (heading, *path[max(0, len(path) - PATH_HEADINGS + 1) :])
