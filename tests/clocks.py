"""A clock that a test moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Hand:
    """A clock that is set by hand, in seconds since the beginning of a year."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.at_s)

    def monotonic_s(self) -> float:
        return self.at_s
