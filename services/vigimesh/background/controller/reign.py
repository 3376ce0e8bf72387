"""What the leader knows and hands to the next one: its term and the orders in force, kept beside the group's offset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from math import ceil
from typing import Any

import msgspec

from vigimesh.domain.control.calls import Share
from vigimesh.domain.control.costs import Learned
from vigimesh.domain.control.pricing import LOWERED, Ceiling, InForce, MoneyRuling
from vigimesh.domain.control.yields import Yield
from vigimesh.domain.policy.tiers import TIERS
from vigimesh.events.classes import ThrottleOrdered
from vigimesh.events.topics import LANES
from vigimesh.loop.orders import ANY_CALLS, ANY_TIER

#: Seconds that an order holds; one that is to stay is written again every `REPEAT_S`, so that two may be lost.
HOLD_S, REPEAT_S = 30.0, 10.0
#: Characters of an offset's metadata that a broker takes (`offset.metadata.max.bytes`).
METADATA_MAX = 4_096

#: Mark and version of the metadata; one that is not known is not read. The first one had no money in it.
_MARK, _WITHOUT_MONEY = "vc2:", "vc1:"

_NOTHING = InForce()
#: The ruling where nobody pays.
NO_MONEY = MoneyRuling(in_force=_NOTHING, priced=())

#: Lane and workflow of an order, and what it says: tier ceiling, calls a minute, why.
Limits = Mapping[tuple[str, str], tuple[str, int, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reign:
    """A leader's term, what it has ordered, when that was written last, and what it has learned of costs by workflow."""

    term: int
    yields: tuple[Yield, ...] = ()
    money: InForce = _NOTHING
    learned: tuple[tuple[str, Learned], ...] = ()
    ordered_at: datetime | None = None

    def metadata(self) -> str:
        """Return the reign as the metadata of an offset: ASCII, at most `METADATA_MAX` characters.

        Some 500 for the lanes that yield, 90 for a ceiling, 30 for what a workflow's cases cost: some 45 ceilings fit. Beyond
        that it goes without the costs (the successor starts from the cards' caps), then without what was dealt of the
        calls (it deals anew), then without the last ceilings: where the backlog is still too dear, the successor's first
        look orders them again, and else they end by themselves `HOLD_S` after they were written, calm or not.
        """
        yielding = [
            (one.lane, one.share_percent, one.since, one.calm_since, _ascii(one.reason))
            for one in self.yields
        ]
        ceilings = [
            (one.workflow, one.lane, one.tier, int(one.since.timestamp()), _up(one.calm_since), one.price_micro,
             one.left_micro, one.window, one.currency)
            for one in self.money.ceilings
        ]  # fmt: skip
        # Without a limit there is nothing to remember: everybody has what his card says.
        shares = [
            (one.workflow, one.calls, one.wanted, one.limit, int(one.since.timestamp()))
            for one in self.money.shares
            if one.limit is not None
        ]
        costs = [(name, one.spent_micro, one.cases) for name, one in self.learned]
        while (
            len(text := _text(self.term, self.ordered_at, yielding, ceilings, shares, costs)) > METADATA_MAX
        ):
            if costs:
                costs = []
            elif shares:
                shares = []
            elif ceilings:
                ceilings.pop()
            else:
                break
        return text

    def due(self, yields: Sequence[Yield], money: InForce, now: datetime) -> bool:
        """Return whether orders must be written: they changed, or those in force are to be repeated."""
        if [(one.lane, one.share_percent) for one in yields] != [
            (one.lane, one.share_percent) for one in self.yields
        ]:
            return True
        fresh, standing = limits_of(money), limits_of(self.money)
        if {place: one[:2] for place, one in fresh.items()} != {
            place: one[:2] for place, one in standing.items()
        }:
            return True
        last = self.ordered_at
        # A clock that was set back repeats early rather than late.
        old = last is None or not timedelta() <= now - last < timedelta(seconds=REPEAT_S)
        return bool(yields or fresh) and old

    def orders(
        self, yields: Sequence[Yield], money: MoneyRuling, now: datetime
    ) -> tuple[ThrottleOrdered, ...]:
        """Return the events for what is ordered from now on, and for what no longer is.

        An order is whole for its lane and workflow: those to yield are for all workflows, those of money for one each, so
        that neither undoes the other.
        """
        there = {one.lane for one in yields}
        lifted = (one.lane for one in self.yields if one.lane not in there)
        fresh = limits_of(money.in_force)
        free = (place for place in limits_of(self.money) if place not in fresh)
        return tuple(
            chain(
                (self._yield(one.lane, one.share_percent, one.reason, now) for one in yields),
                (self._yield(lane, 100, "hot is calm", now) for lane in lifted),
                (self._limit(place, one, now) for place, one in fresh.items()),
                (self._limit(place, (ANY_TIER, ANY_CALLS, money.why(place[1])), now) for place in free),
            )
        )

    def _yield(self, lane: str, share_percent: int, reason: str, now: datetime) -> ThrottleOrdered:
        return ThrottleOrdered(
            workflow="", lane=lane, term=self.term, expires_at=now + timedelta(seconds=HOLD_S),
            tier_ceiling=ANY_TIER, calls_per_minute=ANY_CALLS, yields=share_percent < 100,
            share_percent=share_percent, reason=reason,
        )  # fmt: skip

    def _limit(self, place: tuple[str, str], said: tuple[str, int, str], now: datetime) -> ThrottleOrdered:
        (lane, workflow), (tier, calls, reason) = place, said
        return ThrottleOrdered(
            workflow=workflow, lane=lane, term=self.term, expires_at=now + timedelta(seconds=HOLD_S),
            tier_ceiling=tier, calls_per_minute=calls, yields=False, share_percent=100, reason=reason,
        )  # fmt: skip


def limits_of(money: InForce) -> Limits:
    """Return what is ordered on account of money by lane and workflow; one that orders nothing is left out."""
    found: dict[tuple[str, str], tuple[str, int, str]] = {}
    for share in money.shares:
        if share.limited:
            found |= {(lane, share.workflow): (ANY_TIER, share.calls, share.reason) for lane in LANES}
    for one in money.ceilings:
        _, calls, why = found.get((one.lane, one.workflow), (ANY_TIER, ANY_CALLS, ""))
        reason = f"{one.reason}; {why}" if why else one.reason
        found[one.lane, one.workflow] = (one.tier, calls, reason)
    return found


def succeeded(metadata: str, now: datetime) -> Reign:
    """Return the next reign after the one kept in `metadata`: one term higher, with the orders that still hold.

    Orders that have expired meanwhile are not taken up again; what was learned of costs is. What cannot be read is no
    reign: the term then comes from the orders on the topic.
    """
    kept = _read(metadata)
    if kept is None:
        return Reign(term=1)
    term, ordered_at, yielding, ceilings, shares, costs = kept
    learned = tuple((name, Learned(spent_micro=spent, cases=cases)) for name, spent, cases in costs)
    if ordered_at is None or now - ordered_at >= timedelta(seconds=HOLD_S):
        return Reign(term=term + 1, learned=learned)
    return Reign(
        term=term + 1,
        ordered_at=ordered_at,
        learned=learned,
        yields=tuple(
            Yield(lane=lane, share_percent=share, since=since, calm_since=calm_since, reason=reason)
            for lane, share, since, calm_since, reason in yielding
            if lane in LANES and lane != "hot" and 0 < share < 100
        ),
        money=InForce(
            ceilings=tuple(
                Ceiling(
                    workflow=workflow, lane=lane, tier=tier, since=_at(since), price_micro=price, left_micro=left,
                    window=window, currency=currency, calm_since=None if calm is None else _at(calm),
                )
                for workflow, lane, tier, since, calm, price, left, window, currency in ceilings
                if lane in LOWERED and tier in TIERS and workflow
            ),
            shares=tuple(
                Share(workflow=workflow, calls=calls, wanted=wanted, limit=limit, since=_at(since))
                for workflow, calls, wanted, limit, since in shares
                if calls > 0 and workflow
            ),
        ),
    )  # fmt: skip


_Yield = tuple[str, int, datetime, datetime | None, str]
_Ceiling = tuple[str, str, str, int, int | None, int, int, str, str]
_Share = tuple[str, int, int, int, int]
_Cost = tuple[str, int, int]
_Kept = tuple[int, datetime | None, list[_Yield], list[_Ceiling], list[_Share], list[_Cost]]


def _read(metadata: str) -> _Kept | None:
    try:
        if metadata.startswith(_WITHOUT_MONEY):
            term, at, yielding = msgspec.json.decode(
                metadata.removeprefix(_WITHOUT_MONEY), type=tuple[int, datetime | None, list[_Yield]]
            )
            return term, at, yielding, [], [], []
        if metadata.startswith(_MARK):
            kept: _Kept = msgspec.json.decode(metadata.removeprefix(_MARK), type=_Kept)
            return kept
    except msgspec.DecodeError:
        return None
    return None


def _text(*parts: Any) -> str:
    return _MARK + msgspec.json.encode(parts).decode("ascii")


def _up(moment: datetime | None) -> int | None:
    """Return whole seconds since 1970, rounded up: calm counted from there is not shorter for having been kept."""
    return None if moment is None else ceil(moment.timestamp())


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode("ascii")[:200]
