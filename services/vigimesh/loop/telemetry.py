"""What the loop tells the world about itself: a Protocol that `adapters/telemetry/otel` implements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from vigimesh.names import Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Processed:
    """One record's passage through one stage, told after its transaction has committed: one span.

    Ids are W3C hexadecimal: `trace_id` 32 digits, `span_id` and `parent_span_id` 16 (the latter empty for a root).
    Times are nanoseconds since 1970 UTC. `code` is the error code of a record given up, else empty.
    """

    stage: str
    lane: str
    group: str
    topic: str
    partition: int
    offset: int
    case_id: str
    trace_id: str
    span_id: str
    parent_span_id: str
    started_ns: int
    ended_ns: int
    outcome: str
    code: str = ""


class Telemetry(Protocol):
    """Takes values, never raises, never blocks longer than a buffer append."""

    def processed(self, works: Iterable[Processed]) -> None:
        """Take the spans of one committed batch; not even iterated when nobody wants them."""
        ...

    def add(self, metric: Metric, amount: float, labels: Mapping[str, str]) -> None:
        """Add to a counter."""
        ...

    def observe(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        """Put a value into a histogram."""
        ...

    def level(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        """Set a gauge; NaN takes it back."""
        ...

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        ...

    def close(self) -> None:
        """Send what is buffered, within a deadline."""
        ...
