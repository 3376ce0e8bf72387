"""What `vigimesh run` sends, all at once or in the order of the days on which the reports were received."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from vigimesh.domain.safety.dates import parse
from vigimesh.intake.values import Accepted, Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Where the reports lie, how many to take at most, and whether each day's wait for those of the days before."""

    source: Path
    limit: int | None = None
    by_day: bool = False

    def parts(self, items: Iterable[Item]) -> Iterator[tuple[str, Iterator[Item]]]:
        """Yield what is sent together, with its day (ISO 8601; empty where days do not matter, or before the first)."""
        return groupby(items, _Days()) if self.by_day else iter((("", iter(items)),))


@dataclass(slots=True)
class _Days:
    """Tells the day of each thing read; what has none belongs to the day that was told last."""

    last: str = ""

    def __call__(self, item: Item) -> str:
        if isinstance(item, Accepted):
            received = parse(item.case.most_recent_on).first or parse(item.case.first_received_on).first
            self.last = received.date().isoformat() if received else self.last
        return self.last
