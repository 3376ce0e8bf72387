"""On which page of its source a character stands: written into a document's remarks by who reads pages, and read there."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence

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
