"""Telemetry kept in memory, for tests, and telemetry that keeps nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vigimesh.loop.telemetry import Processed
from vigimesh.names import Metric

#: Spans and observations kept: the newest of a test's run.
MAX_KEPT = 100_000
Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class MemoryTelemetry:
    """`loop.telemetry.Telemetry` whose numbers a test can read: by metric name and sorted labels."""

    spans: deque[Processed] = field(default_factory=lambda: deque(maxlen=MAX_KEPT))
    counters: dict[tuple[str, Labels], float] = field(default_factory=dict)
    observed: deque[tuple[str, Labels, float]] = field(default_factory=lambda: deque(maxlen=MAX_KEPT))
    levels: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def processed(self, works: Iterable[Processed]) -> None:
        """Keep the spans."""
        self.spans.extend(works)

    def add(self, metric: Metric, amount: float, labels: Mapping[str, str]) -> None:
        """Add to a counter."""
        key = (metric.name, _sorted(labels))
        if amount >= 0:
            self.counters[key] = self.counters.get(key, 0.0) + amount

    def observe(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        """Keep an observation."""
        self.observed.append((metric.name, _sorted(labels), value))

    def level(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        """Set a gauge."""
        self.levels[metric.name, _sorted(labels)] = value

    def total(self, metric: Metric, **labels: str) -> float:
        """Return a counter's sum over all label sets that have `labels`."""
        wanted = set(labels.items())
        return sum(
            amount
            for (name, have), amount in self.counters.items()
            if name == metric.name and wanted <= set(have)
        )

    def exposition(self) -> bytes:
        """Return the counters and gauges, one a line; not Prometheus' format."""
        rows = {**self.counters, **self.levels}
        return "".join(
            f"{name} {dict(labels)} {value:g}\n" for (name, labels), value in rows.items()
        ).encode()

    def close(self) -> None:
        """Do nothing: there is nothing to send."""


class NoTelemetry:
    """`loop.telemetry.Telemetry` that keeps nothing."""

    def processed(self, works: Iterable[Processed]) -> None:
        """Drop the spans."""

    def add(self, metric: Metric, amount: float, labels: Mapping[str, str]) -> None:
        """Drop the amount."""

    def observe(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        """Drop the value."""

    def level(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        """Drop the value."""

    def exposition(self) -> bytes:
        """Return nothing."""
        return b""

    def close(self) -> None:
        """Do nothing."""


def _sorted(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted(labels.items()))
