"""What an operator orders: one thing is changed, and whatever else an operator laid down in the same place stays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches

from vigimesh.adapters.kafka.orders import OPERATOR_S
from vigimesh.domain.policy.tiers import TIERS
from vigimesh.errors import Refused
from vigimesh.events.topics import LANES
from vigimesh.loop.orders import ANY_CALLS, ANY_TIER, NEUTRAL, Order, lifts

#: Seconds that a pause and a hold last when nobody says until when: a working day.
DEFAULT_S = 8 * 3600.0
#: Characters of a reason and of a name.
REASON_MAX, NAME_MAX = 500, 100
#: Tiers that can be disabled: below `tools` there is none, and nobody disables people.
DISABLABLE = ("small", "large")
#: How all workflows of a lane are written on the command line.
ALL = "all"

#: Lane and workflow; the workflow is empty for all of them.
Place = tuple[str, str]
#: The operators' orders in force. Of each place there is one, and it is whole: a later one takes its place.
Standing = Mapping[Place, Order]

_FROM_NOW = re.compile(r"(\d{1,5})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Who orders, why, when, and until when; `until` is `None` for what only lifts."""

    by: str
    reason: str
    at: datetime
    until: datetime | None = None

    @property
    def ends(self) -> datetime:
        """When it ends; what has no end of its own orders nothing, and ends at once."""
        return self.until or self.at


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be different; `None` leaves it as it stands. The share is in percent, calls are per minute."""

    share_percent: int | None = None
    tier_ceiling: str | None = None
    calls_per_minute: int | None = None
    holds_acceptance: bool | None = None

    @property
    def said(self) -> dict[str, int | str | bool]:
        """What is said, by the field of the order."""
        fields = ("share_percent", "tier_ceiling", "calls_per_minute", "holds_acceptance")
        return {name: getattr(self, name) for name in fields if getattr(self, name) is not None}


def given(
    *, by: str, reason: str, at: datetime, until: str = "", default_s: float | None = None
) -> Given:  # fmt: skip
    """Return who orders and why, checked. Without `until` it ends after `default_s`, and lifts only when that is `None`.

    Raises `Refused` VM-1732 for a reason or name that is none, VM-1733 for an end that is none, past, or over
    `OPERATOR_S` ahead.
    """
    for text, what, most in ((reason.strip(), "reason", REASON_MAX), (by.strip(), "name", NAME_MAX)):
        if not 0 < len(text) <= most or not text.isprintable():
            raise Refused(
                "VM-1732", what=f"an order needs a {what} of 1 to {most} printable characters", where=f"{text[:40]!r}",
                todo=f"give a {what}: " + ("--reason TEXT" if what == "reason" else "--by NAME"),
            )  # fmt: skip
    ends = at + timedelta(seconds=default_s) if default_s is not None else None
    if until:
        ends = until_of(until, at)
    return Given(by=by.strip(), reason=reason.strip(), at=at, until=ends)


def until_of(text: str, at: datetime) -> datetime:
    """Return a moment ahead, given as ISO 8601 with zone or as a time from now such as `90m`, `8h`; in UTC.

    Raises `Refused` VM-1733.
    """
    ends = moment_of(text, at)
    if ends is None:
        raise _no_end(f"there is no time {text[:40]!r}")
    if ends.tzinfo is None:
        raise _no_end(f"{text[:40]!r} names no zone")
    try:
        ends = ends.astimezone(UTC)
    except OverflowError:
        raise _no_end(f"there is no time {text[:40]!r}") from None
    if ends <= at:
        raise _no_end(f"{ends.isoformat()} is past")
    if ends > at + timedelta(seconds=OPERATOR_S):
        raise _no_end(f"{ends.isoformat()} is over {OPERATOR_S / 3600:g} h ahead")
    return ends


def moment_of(text: str, at: datetime) -> datetime | None:
    """Return the moment that a person's words mean: ISO 8601, or a time from `at` on such as `90m`, `8h`, `5d`; `None` if none."""
    ahead = _FROM_NOW.fullmatch(text)
    try:
        if ahead:
            return at + timedelta(**{_UNITS[ahead[2]]: int(ahead[1])})
        return datetime.fromisoformat(text)
    except (OverflowError, ValueError):
        return None


def lane_of(text: str) -> str:
    """Return a lane; raises `Refused` VM-1730."""
    return _known("lane", text, LANES)


def tier_of(text: str, known: Sequence[str] = TIERS) -> str:
    """Return a tier; raises `Refused` VM-1730."""
    return _known("tier", text, known)


def workflow_of(text: str, known: Iterable[str]) -> str:
    """Return a workflow, empty for `all`; raises `Refused` VM-1730."""
    return "" if text in ("", ALL) else _known("workflow", text, (*sorted(known), ALL))


def setting(standing: Standing, place: Place, change: Change, order: Given) -> list[Order]:
    """Return the order that changes what is said and leaves the rest of the place.

    Raises `Refused` VM-1731 when hot were to yield or wait, VM-1734 for a value that cannot be or when nothing is said.
    """
    lane, workflow = place
    share, calls = change.share_percent, change.calls_per_minute
    if not change.said:
        raise _cannot("nothing is set", place, "give --share, --tier or --calls")
    if share is not None and not 0 <= share <= 100:
        raise _cannot(f"there is no share of {share} %", place, "give 0 to 100")
    if calls is not None and not 0 <= calls <= ANY_CALLS:
        raise _cannot(f"there are no {calls} calls a minute", place, f"give 0 to {ANY_CALLS}")
    if lane == "hot" and share is not None and share < 100:
        raise hot_never_waits("throttle set")
    if share is not None and 0 < share < 100 and workflow:
        raise _cannot("one workflow of a lane cannot be given a share of its time", place,
                      "give the lane its share with --workflow all, or let the workflow wait with --share 0")  # fmt: skip
    if share == 0 and not workflow:
        raise _cannot("a whole lane cannot be given a share of 0", place,
                      f"hold each workflow of its cards: vigimesh lane pause {lane}")  # fmt: skip
    return [merged(standing.get(place), place, change, order)]


def clearing(standing: Standing, place: Place, order: Given) -> list[Order]:
    """Return the order that lifts all that operators ordered in a place; nothing when nothing stands there."""
    return [_lifted(place, order)] if place in standing else []


def pausing(standing: Standing, lane: str, workflows: Iterable[str], order: Given) -> list[Order]:
    """Return the orders by which records of every workflow of a lane wait, parked. Raises `Refused` VM-1731 for hot."""
    if lane == "hot":
        raise hot_never_waits("lane pause")
    wait = Change(share_percent=0)
    places = [(lane, workflow) for workflow in sorted(workflows)]
    return [merged(standing.get(place), place, wait, order) for place in places]


def unpausing(standing: Standing, lane: str, order: Given) -> list[Order]:
    """Return the orders by which what waits in a lane waits no longer; a share above 0 is no pause, and stays."""
    go = Change(share_percent=100)
    return [
        merged(one, place, go, order)
        for place, one in sorted(standing.items())
        if place[0] == lane and one.share_percent == 0
    ]


def disabling(standing: Standing, tier: str, order: Given) -> list[Order]:
    """Return the orders, for all workflows of each lane, by which a tier and what is dearer may not be asked.

    A ceiling that is lower already stays as it is.
    """
    below = TIERS[TIERS.index(tier) - 1]
    made = []
    for place in ((lane, "") for lane in LANES):
        there = standing.get(place)
        lowest = min(there.tier_ceiling if there else ANY_TIER, below, key=TIERS.index)
        made.append(merged(there, place, Change(tier_ceiling=lowest), order))
    return made


def enabling(standing: Standing, tier: str, order: Given) -> list[Order]:
    """Return the orders by which a tier may be asked again; what is dearer stays closed, unless it is the dearest.

    A lane in which the tier is open makes none. Raises `Refused` VM-1734 where a cheaper tier is closed too: to open this
    one would open that one as well.
    """
    level = TIERS.index(tier)
    ceiling = ANY_TIER if tier == DISABLABLE[-1] else tier
    made = []
    for place in ((lane, "") for lane in LANES):
        there = standing.get(place)
        if there is None or TIERS.index(there.tier_ceiling) >= level:
            continue
        if TIERS.index(there.tier_ceiling) < level - 1:
            raise _cannot(f"above {there.tier_ceiling} all tiers are closed, not {tier} alone", place,
                          f"vigimesh tier enable {TIERS[level - 1]}, then {tier}")  # fmt: skip
        made.append(merged(there, place, Change(tier_ceiling=ceiling), order))
    return made


def holding(standing: Standing, workflow: str, order: Given) -> list[Order]:
    """Return the orders by which nothing (of a workflow) may be accepted by machine, in any lane."""
    hold = Change(holds_acceptance=True)
    return [merged(standing.get((lane, workflow)), (lane, workflow), hold, order) for lane in LANES]


def releasing(standing: Standing, workflow: str, order: Given) -> list[Order]:
    """Return the orders by which such a hold ends, in the lanes where there is one."""
    free = Change(holds_acceptance=False)
    places = ((lane, workflow) for lane in LANES)
    return [
        merged(standing[place], place, free, order)
        for place in places
        if place in standing and standing[place].holds_acceptance
    ]


def merged(there: Order | None, place: Place, change: Change, order: Given) -> Order:
    """Return the order of a place: what is said, and of the operator's order in force there what is not said.

    1. When nothing is left that holds anybody, it lifts what was there.
    2. What is only left over keeps its giver, reason and end.
    3. With both it ends with the later of the two, so that nothing ends before its time, and has both reasons.
    """
    said = change.said
    there = there or _lifted(place, order)
    new = replace(there, **said)  # type: ignore[arg-type]  # each field by its name
    if lifts(new):
        return _lifted(place, order)
    if order.until is None or all(value == NEUTRAL[name] for name, value in said.items()):
        return new
    kept = any(getattr(new, name) != neutral for name, neutral in NEUTRAL.items() if name not in said)
    if not kept:
        return replace(new, expires_at=order.ends, reason=order.reason, by=order.by)
    return replace(
        new, expires_at=max(order.ends, there.expires_at), reason=_joined(order.reason, there.reason), by=order.by
    )  # fmt: skip


def words(order: Order | None) -> str:
    """Return what an order says and until when, for people and the audit."""
    if order is None or lifts(order):
        return "nothing ordered"
    return f"{asks(order)}, until {order.expires_at.isoformat(timespec='seconds')}"


def asks(order: Order) -> str:
    """Return what an order asks for, in words: each of its parts that limits anything."""
    said = []
    if order.share_percent < 100:
        said.append(f"share {order.share_percent} %" if order.share_percent else "waits, parked")
    if order.tier_ceiling != ANY_TIER:
        said.append(f"no tier above {order.tier_ceiling}")
    if order.calls_per_minute < ANY_CALLS:
        said.append(f"{order.calls_per_minute} calls a minute")
    if order.holds_acceptance:
        said.append("nothing accepted by machine")
    return ", ".join(said)


def place_text(place: Place) -> str:
    """Return a place for people: `cold/triage`, `cold/all`."""
    return f"{place[0]}/{place[1] or ALL}"


def hot_never_waits(where: str) -> Refused:
    """Return the refusal of what would make the hot lane yield or wait."""
    return Refused("VM-1731", what="the hot lane never waits", where=where,
                   todo="name warm or cold; hot may only be given a tier, calls, or a hold of acceptance")  # fmt: skip


def _lifted(place: Place, order: Given) -> Order:
    return Order(lane=place[0], workflow=place[1], share_percent=100, expires_at=order.at,
                 reason=order.reason, by=order.by)  # fmt: skip


def _joined(new: str, old: str) -> str:
    """Return both reasons, the new one whole; said again, it is not repeated."""
    if new in old.split("; "):
        return old
    both = f"{new}; {old}"
    return both if len(both) <= REASON_MAX else both[: REASON_MAX - 1] + "…"


def _known(what: str, text: str, known: Sequence[str]) -> str:
    if text in known:
        return text
    near = get_close_matches(text, known, n=1, cutoff=0.0)
    raise Refused("VM-1730", what=f"there is no {what} {text[:64]!r}; the nearest is {near[0]!r}", where="the order",
                  todo=f"name one of {', '.join(known)}")  # fmt: skip


def _cannot(what: str, place: Place, todo: str) -> Refused:
    return Refused("VM-1734", what=what, where=place_text(place), todo=todo)


def _no_end(what: str) -> Refused:
    return Refused("VM-1733", what=what, where="--until",
                   todo=f"name a time ahead, within {OPERATOR_S / 3600:g} h: 2026-12-31T18:00:00Z, or 90m, 8h from now")  # fmt: skip
