"""The only place that reads the time: everything else is given a `Clock`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time in UTC for records, monotonic seconds for waits."""

    def now(self) -> datetime:
        """Return the time of day, in UTC, with zone."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds that never go back; only differences mean anything."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the time of day, in UTC, with zone."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment after which waiting stops; made once and handed down, so that waits never add up."""

    clock: Clock
    at_s: float

    @classmethod
    def after(cls, clock: Clock, seconds: float) -> Deadline:
        """Return the deadline `seconds` from now."""
        return cls(clock, clock.monotonic_s() + seconds)

    def left_s(self) -> float:
        """Return the seconds left, never below 0."""
        return max(0.0, self.at_s - self.clock.monotonic_s())

    def passed(self) -> bool:
        """Return whether the moment has come."""
        return self.left_s() <= 0.0
