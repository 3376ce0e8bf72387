"""Who reads pages that are pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedLine:
    """A line as it was recognised: its left edge and middle in points from the lower left, its height, and how sure it is (0 to 1)."""

    words: str
    x: float
    y: float
    width: float
    height: float
    sure: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedPage:
    """A page, counted from 1, with its lines as they were found; `blank` when nothing dark is on it."""

    number: int
    lines: tuple[ScannedLine, ...]
    blank: bool = False


class PageReader(Protocol):
    """Optical character recognition. It runs here: no page leaves the machine."""

    @property
    def name(self) -> str:
        """What reads, with its version and the digest of its models: it stands in the remarks of what it read."""
        ...

    def read(self, data: bytes, numbers: Sequence[int]) -> Sequence[ScannedPage]:
        """Return these pages of a PDF, counted from 1.

        Raises `Misconfigured` VM-1561 when a model is missing or altered, `Refused` VM-1562 for a page that cannot be drawn.
        """
        ...
