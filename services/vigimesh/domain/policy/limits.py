"""What a pass of a workflow may use now, as the planner and the supervisor are told: tiers, and whether a machine may accept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from vigimesh.domain.policy.tiers import too_slow, under


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The tiers that are there and not above the ceiling in force.

    `ceiling` says why tiers that are there are left out, `held` why nothing may be accepted by machine; both are empty where
    that is not so. `taken_ms` is what 95 of 100 of the last calls of a tier took at most, milliseconds, where that is known.
    """

    tiers: tuple[str, ...]
    ceiling: str = ""
    held: str = ""
    taken_ms: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def below(cls, tiers: tuple[str, ...], ceiling: str, why: str, held: str = "") -> Limits:
        """Return the limits under a ceiling (a name of `tiers.TIERS`) that was ordered for a reason."""
        left = under(tiers, ceiling)
        return cls(tiers=left, ceiling=why if left != tiers else "", held=held)

    def in_time(self, tolerance_s: int) -> tuple[str, ...]:
        """Return the tiers that answer within what a card tolerates, seconds."""
        slow = too_slow(self.tiers, self.taken_ms, tolerance_s)
        return tuple(tier for tier in self.tiers if tier not in slow)

    def slow_words(self, permitted: Iterable[str], tolerance_s: int) -> str:
        """Return in words which of the permitted tiers are left out because they are too slow; empty when none is."""
        slow = set(too_slow(self.tiers, self.taken_ms, tolerance_s)) & set(permitted)
        return "; ".join(
            f"tier {tier} is too slow: its last calls took up to {self.taken_ms[tier] / 1_000:.1f} s, the card tolerates {tolerance_s} s"
            for tier in self.tiers
            if tier in slow
        )

    def left_out_words(self, permitted: Iterable[str], tolerance_s: int) -> Iterator[str]:
        """Yield in words why permitted tiers that are there may not be used: an order, and what is too slow."""
        if self.ceiling:
            yield f"a ceiling is ordered: {self.ceiling}"
        if slow := self.slow_words(permitted, tolerance_s):
            yield slow

    def plain(self) -> dict[str, Any]:
        """Return it as plain values, which `audit` keeps."""
        taken = {"taken_ms": dict(self.taken_ms)} if self.taken_ms else {}
        return {"tiers": list(self.tiers), "ceiling": self.ceiling, "held": self.held, **taken}


def key_of(lane: str, workflow: str) -> str:
    """Return the key of the need `limits`; `place_of` reads it."""
    return f"{lane}/{workflow}"


def place_of(key: str) -> tuple[str, str]:
    """Return the lane and the workflow that a key names."""
    lane, _, workflow = key.partition("/")
    return lane, workflow


def limits_of(answer: Mapping[str, Any]) -> Limits:
    """Return what `plain` wrote, also before it told what calls take."""
    return Limits(
        tiers=tuple(answer["tiers"]),
        ceiling=answer["ceiling"],
        held=answer["held"],
        taken_ms=answer.get("taken_ms", {}),
    )
