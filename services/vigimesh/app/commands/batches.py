"""`vigimesh batches`: what was sent in batches, and what a small one costs in time for each of its calls."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from vigimesh.adapters.postgres.batch_journal import PgBatchJournal
from vigimesh.app.config.settings import Settings
from vigimesh.app.options import print_json
from vigimesh.clock import SystemClock
from vigimesh.domain.budget.batching import Line
from vigimesh.domain.budget.money import amount_text

#: Batches that are shown.
MAX_LINES = 1_000
#: Sizes by which batches are told together: calls of one, up to the next.
SIZES = (1, 2, 10, 100, 1_000)


def show_batches(settings: Settings, *, as_json: bool) -> None:
    """Print the newest batches, and the seconds for each call by size of batch."""
    lines = asyncio.run(_lines(settings.postgres.dsn))
    if as_json:
        print_json(as_object(lines, SystemClock().now()))
    else:
        print(as_text(lines, SystemClock().now()))


async def _lines(dsn: str) -> list[Line]:
    journal = PgBatchJournal(dsn, application_name="vigimesh batches")
    try:
        return list(await journal.lines(MAX_LINES))
    finally:
        await journal.close()


def by_size(lines: Iterable[Line], now: datetime) -> dict[int, tuple[int, float]]:
    """Return for each of `SIZES` how many batches have ended, and the seconds for each of their calls (mean over batches)."""
    found: dict[int, list[float]] = {}
    for one in lines:
        if one.ended_at is not None and one.calls:
            size = max(size for size in SIZES if size <= one.calls)
            found.setdefault(size, []).append(one.start_up_s(now))
    return {size: (len(each), sum(each) / len(each)) for size, each in sorted(found.items())}


def as_text(lines: Iterable[Line], now: datetime) -> str:
    """Return what people read: a line for each batch, then one for each size."""
    lines = list(lines)
    told = [
        f"{one.name}  {one.made_at:%Y-%m-%d %H:%M:%S}  {_state(one)}  calls {one.calls}  questions {one.questions}  answered "
        f"{one.answered}  cost {amount_text(one.cost_micro, '')}  {one.start_up_s(now):.1f} s a call"
        + (f"  {one.why}" if one.why else "")
        for one in lines
    ]
    sizes = [
        f"from {size} calls: {count} batches, {seconds:.1f} s a call"
        for size, (count, seconds) in by_size(lines, now).items()
    ]
    return "\n".join([*told, *sizes, f"{len(lines)} batches"])


def as_object(lines: Iterable[Line], now: datetime) -> dict[str, Any]:
    """Return the same as the object of `--json`; amounts in micro-units."""
    lines = list(lines)
    plain = [
        {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in asdict(one).items()
        }
        | {"start_up_s": one.start_up_s(now)}
        for one in lines
    ]
    sizes = [
        {"from_calls": size, "batches": count, "start_up_s": seconds}
        for size, (count, seconds) in by_size(lines, now).items()
    ]
    return {"batches": plain, "by_size": sizes}


def _state(one: Line) -> str:
    if one.ended_at is not None:
        return "ended"
    return "under way" if one.batch_id else "being sent"
