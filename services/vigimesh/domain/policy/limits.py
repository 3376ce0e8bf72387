"""What a pass of a workflow may use now, as the planner and the supervisor are told: tiers, and whether a machine may accept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vigimesh.domain.policy.tiers import under


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The tiers that are there and not above the ceiling in force.

    `ceiling` says why tiers that are there are left out, `held` why nothing may be accepted by machine; both are empty where
    that is not so.
    """

    tiers: tuple[str, ...]
    ceiling: str = ""
    held: str = ""

    @classmethod
    def below(cls, tiers: tuple[str, ...], ceiling: str, why: str, held: str = "") -> Limits:
        """Return the limits under a ceiling (a name of `tiers.TIERS`) that was ordered for a reason."""
        left = under(tiers, ceiling)
        return cls(tiers=left, ceiling=why if left != tiers else "", held=held)

    def plain(self) -> dict[str, Any]:
        """Return it as plain values, which `audit` keeps."""
        return {"tiers": list(self.tiers), "ceiling": self.ceiling, "held": self.held}


def key_of(lane: str, workflow: str) -> str:
    """Return the key of the need `limits`; `place_of` reads it."""
    return f"{lane}/{workflow}"


def place_of(key: str) -> tuple[str, str]:
    """Return the lane and the workflow that a key names."""
    lane, _, workflow = key.partition("/")
    return lane, workflow


def limits_of(answer: Mapping[str, Any]) -> Limits:
    """Return what `plain` wrote."""
    return Limits(tiers=tuple(answer["tiers"]), ceiling=answer["ceiling"], held=answer["held"])
