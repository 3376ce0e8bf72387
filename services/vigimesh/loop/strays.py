"""strays: what calls have brought, or will bring, of partitions that were taken away, should they come back.

A member that the broker has thrown out (its heartbeats got lost, its machine stood still) has its partitions again moments
later, most often with nothing of them done by others. Its calls go on meanwhile, and what had been finished with answers is
kept: a record that is handed out again goes on where it was, and a call of a quarter of an hour is not made a second time.

That is sound because a record that is handed out as new was committed by nobody (docs/decisions 0063), and because a stage
without state of its own says the same of the same record and the same answers. One with state keeps nothing: its answers may be
of before. A stray goes on only as the first of its key, so that the order of a key holds.
"""

from __future__ import annotations

from collections.abc import Iterable

from vigimesh.loop.broker import Part, Record
from vigimesh.loop.stage import Stage
from vigimesh.loop.worker import Job, Work

#: Seconds that strays are kept: what a member needs to be back takes a session of 6 s, a heartbeat and a poll, on a machine that is
#: overloaded several times that. Whoever else has the partition makes the call, too, so that it should not go on for long.
KEPT_S = 60.0


def keeps(stage: Stage) -> bool:
    """Return whether a stage has calls worth keeping, and no state that their answers could contradict."""
    return bool(stage.callers) and stage.table_topic is None


class Strays:
    """Jobs whose call is under way or has ended, and finished work, by record; none for longer than `KEPT_S`."""

    def __init__(self) -> None:
        """Begin empty."""
        self._kept: dict[tuple[Part, int], tuple[float, Job | Work]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, ones: Iterable[Job | Work], now_s: float) -> None:
        """Keep some from now on."""
        for one in ones:
            self._kept[one.record.part, one.record.offset] = now_s + KEPT_S, one

    def has(self, one: Job | Work) -> bool:
        """Return whether this very one is kept."""
        return self._kept.get((one.record.part, one.record.offset), (0.0, None))[1] is one

    def pop(self, record: Record) -> Job | Work | None:
        """Return what is kept of this very record, and keep it no longer."""
        one = self._kept.pop((record.part, record.offset), (0.0, None))[1]
        return one if one is not None and one.record == record else None

    def forget(self, now_s: float) -> None:
        """Keep no longer what has been kept long enough."""
        self._kept = {spot: kept for spot, kept in self._kept.items() if now_s < kept[0]}
