"""What the leader knows and hands to the next one: its term and the orders in force, kept beside the group's offset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

import msgspec

from vigimesh.domain.control.yields import Yield
from vigimesh.events.classes import ThrottleOrdered
from vigimesh.events.topics import LANES
from vigimesh.loop.orders import ANY_CALLS, ANY_TIER

#: Seconds that an order holds; one that is to stay is written again every `REPEAT_S`, so that two may be lost.
HOLD_S, REPEAT_S = 30.0, 10.0

#: Mark and version of the metadata; another one is not read.
_MARK = "vc1:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reign:
    """A leader's term, the lanes that yield, and when their orders were written last."""

    term: int
    yields: tuple[Yield, ...] = ()
    ordered_at: datetime | None = None

    def metadata(self) -> str:
        """Return the reign as the metadata of an offset: ASCII, some 500 characters (4,096 are allowed)."""
        plain = [
            (one.lane, one.share_percent, one.since, one.calm_since, _ascii(one.reason))
            for one in self.yields
        ]
        return _MARK + msgspec.json.encode((self.term, self.ordered_at, plain)).decode("ascii")

    def due(self, fresh: Sequence[Yield], now: datetime) -> bool:
        """Return whether orders must be written: they changed, or those in force are to be repeated."""
        if [(one.lane, one.share_percent) for one in fresh] != [
            (one.lane, one.share_percent) for one in self.yields
        ]:
            return True
        last = self.ordered_at
        # A clock that was set back repeats early rather than late.
        return bool(fresh) and (last is None or not timedelta() <= now - last < timedelta(seconds=REPEAT_S))

    def orders(self, fresh: Sequence[Yield], now: datetime) -> tuple[ThrottleOrdered, ...]:
        """Return the events for the lanes that yield from now on, and for those that no longer do."""
        there = {one.lane for one in fresh}
        lifted = (one.lane for one in self.yields if one.lane not in there)
        return tuple(
            chain(
                (self._order(one.lane, one.share_percent, one.reason, now) for one in fresh),
                (self._order(lane, 100, "hot is calm", now) for lane in lifted),
            )
        )

    def _order(self, lane: str, share_percent: int, reason: str, now: datetime) -> ThrottleOrdered:
        return ThrottleOrdered(
            workflow="", lane=lane, term=self.term, expires_at=now + timedelta(seconds=HOLD_S),
            tier_ceiling=ANY_TIER, calls_per_minute=ANY_CALLS, yields=share_percent < 100,
            share_percent=share_percent, reason=reason,
        )  # fmt: skip


def succeeded(metadata: str, now: datetime) -> Reign:
    """Return the next reign after the one kept in `metadata`: one term higher, with the orders that still hold.

    Orders that have expired meanwhile are not taken up again. What cannot be read is no reign: the term then comes from
    the orders on the topic.
    """
    try:
        if not metadata.startswith(_MARK):
            return Reign(term=1)
        term, ordered_at, plain = msgspec.json.decode(
            metadata.removeprefix(_MARK), type=tuple[int, datetime | None, list[_Kept]]
        )
    except msgspec.DecodeError:
        return Reign(term=1)
    if ordered_at is None or now - ordered_at >= timedelta(seconds=HOLD_S):
        return Reign(term=term + 1)
    return Reign(
        term=term + 1,
        ordered_at=ordered_at,
        yields=tuple(
            Yield(lane=lane, share_percent=share, since=since, calm_since=calm_since, reason=reason)
            for lane, share, since, calm_since, reason in plain
            if lane in LANES and lane != "hot" and 0 < share < 100
        ),
    )


_Kept = tuple[str, int, datetime, datetime | None, str]


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode("ascii")[:200]
