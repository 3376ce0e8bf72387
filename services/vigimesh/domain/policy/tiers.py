"""The tiers in their order, and which one a pass gets: the cheapest first, one dearer at each escalation."""

from __future__ import annotations

from collections.abc import Iterable

#: Cheapest first (DESIGN part 7). `person` is nobody's default: it is what is left.
TIERS = ("tools", "small", "large", "person")


def usable(permitted: Iterable[str], available: Iterable[str]) -> tuple[str, ...]:
    """Return the machine tiers that a card permits and that are there now, cheapest first."""
    both = set(permitted) & set(available)
    return tuple(tier for tier in TIERS if tier in both and tier != "person")


def tier_for(pass_number: int, permitted: Iterable[str], available: Iterable[str]) -> str:
    """Return the tier of a pass: the cheapest usable one for pass 1, then the next; `person` when there is none."""
    ladder = usable(permitted, available)
    return ladder[min(pass_number, len(ladder)) - 1] if ladder else "person"


def under(available: Iterable[str], ceiling: str) -> tuple[str, ...]:
    """Return what is available and no dearer than the ceiling, and `person`, whom no order takes away."""
    allowed = (*TIERS[: TIERS.index(ceiling) + 1], "person")
    return tuple(tier for tier in available if tier in allowed)


def lowest(ceilings: Iterable[str]) -> str:
    """Return the lowest of some ceilings; without one there is none, which reads as `person`."""
    return min(ceilings, key=TIERS.index, default="person")


def dearer(tier: str, permitted: Iterable[str], available: Iterable[str]) -> str:
    """Return the cheapest usable tier above `tier`, or nothing."""
    above = TIERS[TIERS.index(tier) + 1 :] if tier in TIERS else ()
    return next((one for one in usable(permitted, available) if one in above), "")
