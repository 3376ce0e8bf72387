"""Measurements for tests of the ledger: what the retriever tells of a question."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from vigimesh.domain.knowledge.ledger import Seen
from vigimesh.events.knowledge import RetrievalMeasured

#: A fixed day of a test.
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def measured(**fields: Any) -> RetrievalMeasured:
    """Return a measurement of a question that a search answered with one passage of a shipped vaccine note."""
    given: dict[str, Any] = {
        "question_key": "q", "case_id": "case-1", "message_id": "m-1", "workflow": "triage", "lane": "hot", "cache_level": "search",
        "hits": 1, "wanted": 3, "grounded": True, "passages": ("vaccine/dtp@1.0#10-60",),
    }  # fmt: skip
    return RetrievalMeasured(**{**given, **fields})


def cached(level: str = "hot", age: timedelta = timedelta(hours=1), at: datetime = NOON, **fields: Any) -> RetrievalMeasured:  # fmt: skip
    """Return a measurement of an answer that a cache gave at `at`, its sources read `age` before."""
    return measured(cache_level=level, match=fields.pop("match", "exact"), read_at=at - age, **fields)


def seen(
    offset: int, one: RetrievalMeasured | None = None, *, partition: int = 0, at: datetime = NOON
) -> Seen:
    """Return a measurement at its place in the log."""
    return Seen(partition=partition, offset=offset, at=at, measured=one or measured())
