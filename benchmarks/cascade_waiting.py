"""Time to first triage of both arms under open-loop arrivals: a simulation, no run of the mesh, on what the verbs did with the measured cases.

Cases come at random (Poisson) at 30 % and 70 % of what the all-large arm can take: `SLOTS` calls at once of the large model, which is the narrow place of that arm. A
pass takes `hop_s`, the median from the door to the conclusion that `latency.py` measured on the real mesh at 40 cases a second (its result, read here), whatever the pass does; then it
waits for a slot, first come, first served, for each call that it makes, and for the answer: log-normal as the stand-in's. Both arms get the same cases at the same moments, and a
case's call takes as long in both. A case is triaged after the first pass that states whether it is serious; one that no pass states is untriaged
until a person acts: it counts as slower than all others. The mesh's own waiting for processors is not simulated.
"""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from cascade_figures import Ended
from vigimesh.domain.record.triage_time import quantile

#: Calls of the large model at once: what one key of a public endpoint might allow; a parameter like its latency.
SLOTS = 16
#: Median seconds of one answer of the large model, and the standard deviation of their logarithm (as the stand-in's). The first is the headline's;
#: the other is the stand-in's own default, printed beside.
LATENCIES_S, SPREAD = (1.0, 0.25), 0.3
LATENCY_WORDS = f"simulated: median {LATENCIES_S[0]:g} s, log-normal {SPREAD:g}, {SLOTS} calls at once; beside it {LATENCIES_S[1]:g} s"
#: Shares of the all-large arm's capacity.
LOADS = (0.3, 0.7)
#: Cases of one run, and of a try; of each the first tenth is not counted: by then the queue is what it stays.
CASES, QUICK_CASES = 20_000, 1_000
#: Where the time of one pass was measured.
MEASURED = Path(__file__).resolve().parent / "results" / "latency.json"
_POINT, _KEY = "40_per_s", "p50_ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What an arm is put into: seconds of a pass, calls at once, median seconds of a call, cases a second."""

    hop_s: float
    slots: int
    call_s: float
    per_s: float


def hop_s(measured: Path = MEASURED) -> float | None:
    """Return the seconds of one pass as they were measured; `None` without a result."""
    try:
        return (
            float(json.loads(measured.read_text(encoding="utf-8"))["points"][_POINT][_KEY]["median"]) / 1_000
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def capacity(slots: int, call_s: float, calls_each: float) -> float:
    """Return the cases a second that the slots can take: the mean of a log-normal is above its median."""
    return slots / (call_s * math.exp(SPREAD**2 / 2) * calls_each)


def waited(ends: Sequence[Ended], world: World, seed: int, cases: int = CASES) -> list[float | None]:
    """Return the seconds to first triage of cases drawn from these ends, in the order of their coming; `None` for the untriaged.

    The n-th case is of the same place, comes at the same moment and has the same calls for every sequence of as many ends.
    """
    chance = Random(f"{seed}|waiting")
    found: list[float | None] = [None] * cases
    free = [0.0] * world.slots  # when each slot is free; a heap
    ready: list[tuple[float, int, int]] = []  # (moment, case, passes done)
    came, drawn, takes = 0.0, list[tuple[float, Ended]](), list[float]()
    for number in range(cases):
        came += chance.expovariate(world.per_s)
        drawn.append((came, ends[chance.randrange(len(ends))]))
        takes.append(world.call_s * math.exp(SPREAD * chance.gauss()))
        heapq.heappush(ready, (came + world.hop_s, number, 0))
    while ready:
        now, number, done = heapq.heappop(ready)
        arrived, end = drawn[number]
        for _ in range(end.passes[done]):
            begun = max(now, heapq.heappop(free))
            now = begun + takes[number]
            heapq.heappush(free, now)
        if end.stated == done + 1:
            found[number] = now - arrived
        if done + 1 < len(end.passes):
            heapq.heappush(ready, (now + world.hop_s, number, done + 1))
    return found[cases // 10 :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How both arms are loaded: the share of the all-large arm's capacity, median seconds of a call, seconds of a pass, cases."""

    share: float
    call_s: float
    hop_s: float
    cases: int = CASES


def compared(ours: Sequence[Ended], other: Sequence[Ended], load: Load, seed: int) -> dict[str, float | None]:
    """Return medians and 99th percentiles of both arms, by the arm, the ratios of both, and the shares untriaged."""
    calls_each = sum(one.calls for one in other) / len(other)
    per_s = load.share * capacity(SLOTS, load.call_s, calls_each)
    world = World(hop_s=load.hop_s, slots=SLOTS, call_s=load.call_s, per_s=per_s)
    mine, theirs = (waited(ends, world, seed, load.cases) for ends in (ours, other))
    made: dict[str, float | None] = {}
    for name, seconds in (("ours", mine), ("all_large", theirs)):
        made[f"{name}_p50_s"], made[f"{name}_p99_s"] = quantile(seconds, 0.5), quantile(seconds, 0.99)
        made[f"{name}_untriaged"] = sum(one is None for one in seconds) / len(seconds)
    return made | {
        "first_triage_vs_all_large": ratio(made, "p50_s"),
        "p99_vs_all_large": ratio(made, "p99_s"),
    }


def ratio(made: Mapping[str, float | None], key: str) -> float | None:
    """Return ours ÷ all-large's; `None` where one has no figure."""
    mine, theirs = made[f"ours_{key}"], made[f"all_large_{key}"]
    return mine / theirs if mine is not None and theirs else None
