"""Five stages, no model call: our workers against a tuned bare chain of five transactions that writes the same records.

One process per stage for both. Both call the stages' own pure verbs, with search and objects in memory, so that what is
compared is the loop. A case is sent to the urgent door at a fixed pace; its latency ends when an outside reader of
committed records sees its conclusion.
"""

from __future__ import annotations

from collections.abc import Sequence

import chain
from drive import Driver
from engines import BARE, OURS, Engine, running
from ground import Ground, ground, versions
from measuring import Goal, Report, finish, options, percentile, say
from sample import LANE
from vigimesh.events.topics import LANE_STAGES, STAGES, group_of, inputs_of

GOALS = {
    "p50_vs_bare": Goal(bound="<=", value=1.15),
    "p99_vs_bare": Goal(bound="<=", value=1.3),
    "p50_ms": Goal(),
}
#: Cases a second, and how many of a round are measured at that pace; 7 rounds give well over 2,000 for each.
PACES = ((40, 400), (200, 2_000))
QUICK_PACES = ((40, 80), (200, 200))
#: Cases sent before anything is measured.
WARM, QUICK_WARM = 200, 40
#: And how many of them a second.
WARM_PER_S = 100


def main() -> int:
    """Measure and print."""
    chosen = options(__doc__ or "")
    report = Report("latency", GOALS)
    paces, warm = (QUICK_PACES, QUICK_WARM) if chosen.quick else (PACES, WARM)
    with ground() as base:
        # Not counted: the broker's code is cold at first, and whoever began would pay for it.
        for engine in (OURS, BARE):
            a_pass(base, engine, paces, warm)
        for number in range(chosen.rounds):
            engines = (OURS, BARE) if number % 2 == 0 else (BARE, OURS)
            found = {engine.name: a_pass(base, engine, paces, warm) for engine in engines}
            for at, (per_s, _) in enumerate(paces):
                compare(report, f"{per_s}_per_s", found["vigimesh"][at], found["bare"][at])
            say(f"latency: round {number + 1} of {chosen.rounds} done")
        report.notes |= {"samples_a_round": dict(paces), "warm_up": warm, "partitions": 4}
        return finish(report, chosen, versions(base))


def compare(report: Report, point: str, ours: Sequence[float], bare: Sequence[float]) -> None:
    """Take the percentiles of one round and their ratios."""
    for percent in (50, 99):
        mine, floor = percentile(ours, percent), percentile(bare, percent)
        report.add(point, f"p{percent}_vs_bare", mine / floor)
        report.add(point, f"p{percent}_ms", mine)
        report.add(point, f"bare_p{percent}_ms", floor)


def a_pass(base: Ground, engine: Engine, paces: Sequence[tuple[int, int]], warm: int) -> list[list[float]]:
    """Start a chain, warm it up, and return the latencies at each pace in milliseconds."""
    commands = {}
    for stage in STAGES:
        lane = LANE if stage in LANE_STAGES else None
        group = group_of(stage, lane) if engine is OURS else chain.group_of(stage)
        # It begins behind what the other chain wrote to the same topics.
        base.place(
            group, {spot: end for name in inputs_of(stage, lane) for spot, end in base.ends(name).items()}
        )
        more = ("--stage", stage, "--verbs", "real", *(("--lane", LANE) if lane else ()))
        commands[f"{engine.name}.{stage}"] = engine.argv(base, more)
    with running(commands, base.folder) as programs:
        driver = Driver(base)
        try:

            def check() -> None:
                for one in programs.values():
                    one.check()

            driver.warm_up(warm, WARM_PER_S)
            return [driver.send(count, per_s, check=check) for per_s, count in paces]
        finally:
            driver.close()


if __name__ == "__main__":
    raise SystemExit(main())
