"""The tiers in their order, and which one a pass gets: the cheapest first, one dearer at each escalation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

#: Cheapest first. `person` is nobody's default: it is what is left.
TIERS = ("tools", "small", "large", "person")


def usable(permitted: Iterable[str], available: Iterable[str]) -> tuple[str, ...]:
    """Return the machine tiers that a card permits and that are there now, cheapest first."""
    both = set(permitted) & set(available)
    return tuple(tier for tier in TIERS if tier in both and tier != "person")


def ladder(permitted: Iterable[str], available: Iterable[str], *, told_by_form: bool) -> tuple[str, ...]:
    """Return the tiers that a case may climb, cheapest first.

    A form with a box for each criterion tells the tools what they need; without one the text must be read, and the small tier runs the tools
    besides. So one of the two reads a case, never one after the other.
    """
    there = usable(permitted, available)
    if "tools" not in there or "small" not in there:
        return there
    return tuple(tier for tier in there if tier != ("small" if told_by_form else "tools"))


def tier_for(pass_number: int, steps: tuple[str, ...]) -> str:
    """Return the tier of a pass on a ladder: the cheapest for pass 1, then the next; `person` when there is none."""
    return steps[min(pass_number, len(steps)) - 1] if steps else "person"


def under(available: Iterable[str], ceiling: str) -> tuple[str, ...]:
    """Return what is available and no dearer than the ceiling, and `person`, whom no order takes away."""
    allowed = (*TIERS[: TIERS.index(ceiling) + 1], "person")
    return tuple(tier for tier in available if tier in allowed)


def too_slow(available: Iterable[str], taken_ms: Mapping[str, int], tolerance_s: int) -> tuple[str, ...]:
    """Return the machine tiers whose answers take longer than the card's `latency_tolerance_s`, cheapest first.

    `taken_ms` is what a tier's last calls took, milliseconds; a tier that nobody measured is taken to be in time.
    """
    there = set(available) - {"person"}
    return tuple(tier for tier in TIERS if tier in there and taken_ms.get(tier, 0) > tolerance_s * 1_000)


def lowest(ceilings: Iterable[str]) -> str:
    """Return the lowest of some ceilings; without one there is none, which reads as `person`."""
    return min(ceilings, key=TIERS.index, default="person")


def dearer(tier: str, steps: Iterable[str]) -> str:
    """Return the cheapest tier of a ladder above `tier`, or nothing."""
    above = TIERS[TIERS.index(tier) + 1 :] if tier in TIERS else ()
    return next((one for one in steps if one in above), "")
