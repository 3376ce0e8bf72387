"""Rounds, medians, goals and the one JSON object that every benchmark prints."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

#: Interleaved rounds of a full measurement: the smallest number whose median one disturbed round cannot move (issue 6).
ROUNDS = 7
#: Rounds of a try with --quick: says whether it runs, not how fast.
QUICK_ROUNDS = 2
#: Packages whose versions a result names.
_PACKAGES = ("vigimesh", "confluent-kafka", "fastavro", "msgspec")


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a top-level key must reach: `bound` is `>=`, `>`, `<=` or `=`, or empty when the figure is only printed."""

    bound: str = ""
    value: float = 0.0
    #: The points it asks of; of every one when empty.
    points: tuple[str, ...] = ()

    def met(self, found: float) -> bool:
        """Return whether a figure reaches the goal; one that is only printed always does."""
        match self.bound:
            case ">=":
                return found >= self.value
            case ">":
                return found > self.value
            case "<=":
                return found <= self.value
            case "=":
                return found == self.value
            case _:
                return True

    def worst(self, found: Sequence[float]) -> float:
        """Return the figure that is furthest from the goal."""
        return max(found) if self.bound in ("<=", "=") else min(found)

    def __str__(self) -> str:
        return f"{self.bound} {self.value:g}" if self.bound else "printed"


@dataclass(slots=True)
class Report:
    """Collects figures by point and key over the rounds; `summary` is what is printed."""

    name: str
    goals: Mapping[str, Goal]
    found: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    #: Anything else worth keeping: sizes, settings, what was excluded.
    notes: dict[str, Any] = field(default_factory=dict)

    def add(self, point: str, key: str, figure: float) -> None:
        """Take the figure of one round."""
        self.found.setdefault(point, {}).setdefault(key, []).append(figure)

    def summary(self, options: argparse.Namespace, versions: Mapping[str, str]) -> dict[str, Any]:
        """Return the object: a goal's key at the top is the worst of its points; `points` holds each."""
        points = {
            point: {key: spread(figures) for key, figures in keys.items()}
            for point, keys in self.found.items()
        }
        top = {}
        for key, goal in self.goals.items():
            asked = goal.points or tuple(points)
            medians = [points[point][key]["median"] for point in asked if key in points.get(point, {})]
            if medians:
                top[key] = goal.worst(medians)
        return {
            "benchmark": self.name,
            **top,
            "goals": {key: str(goal) for key, goal in self.goals.items()},
            "met": {key: goal.met(top[key]) for key, goal in self.goals.items() if key in top and goal.bound},
            "points": points,
            "notes": self.notes,
            "rounds": options.rounds,
            "quick": options.quick,
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "machine": machine(),
            "versions": {**{name: version(name) for name in _PACKAGES}, **versions},
        }


def spread(figures: Sequence[float]) -> dict[str, Any]:
    """Return the median of the rounds with the smallest and largest, and every one in its order."""
    return {
        "median": rounded(statistics.median(figures)),
        "min": rounded(min(figures)),
        "max": rounded(max(figures)),
        "rounds": [rounded(figure) for figure in figures],
    }


def rounded(figure: float) -> float:
    """Return a figure with four digits that count, whole from a thousand on."""
    return float(round(figure)) if abs(figure) >= 1_000 else float(f"{figure:.4g}")


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return the smallest sample that at least `percent` of them do not exceed (nearest rank)."""
    ordered = sorted(samples)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]


def machine() -> dict[str, Any]:
    """Return what the figures depend on and what names nobody: processor, cores, memory, system."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def options(
    description: str, more: Callable[[argparse.ArgumentParser], None] | None = None
) -> argparse.Namespace:
    """Read the command line: what every benchmark takes, and what `more` adds."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object and nothing else on standard output"
    )
    parser.add_argument("--quick", action="store_true", help="few rounds of small sizes: does it run?")
    parser.add_argument("--rounds", type=int, default=0, help=f"interleaved rounds (default {ROUNDS})")
    parser.add_argument("--out", type=Path, help="also write the object to this file")
    if more:
        more(parser)
    chosen = parser.parse_args()
    chosen.rounds = chosen.rounds or (QUICK_ROUNDS if chosen.quick else ROUNDS)
    return chosen


def say(text: str) -> None:
    """Tell on standard error how far a benchmark is."""
    print(text, file=sys.stderr, flush=True)


def finish(
    report: Report,
    chosen: argparse.Namespace,
    versions: Mapping[str, str],
    shown: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> int:
    """Print the object, as JSON or as lines; return 0 when every goal is met, else 1. `shown` adds to the object."""
    made = shown(report.summary(chosen, versions))
    text = json.dumps(made, indent=1)
    if chosen.out:
        chosen.out.write_text(text + "\n", encoding="utf-8")
    if chosen.json:
        print(text)
    else:
        for key, goal in report.goals.items():
            if made.get(key) is not None:
                verdict = "" if key not in made["met"] else "  met" if made["met"][key] else "  NOT met"
                print(f"{key:32} {made[key]:>12g}  ({goal}){verdict}")
    return 0 if all(made["met"].values()) else 1
