"""One stage, exactly once, 500 records a transaction: our worker, the bare loop, raw bytes, Quix Streams and Faust.

Every engine reads the same records of about 1 KB, decodes them, and writes the same four kinds of records (output, usage,
audit, flow) with the same headers through the same code; raw bytes only hands on. Rates come from the append times of the
committed outputs, the first tenth left out. Then each engine is killed in the middle and started again: what came twice?
"""

from __future__ import annotations

import argparse

import sample
from engines import BARE, FAUST, OURS, QUIX, RAW, Engine, running
from ground import Ground, ground, starts, steady_rate, until, versions
from measuring import Goal, Report, finish, options, say
from vigimesh.events.codec import Codec

GOALS = {
    "vs_bare": Goal(bound=">=", value=0.9),
    "bare_vs_raw": Goal(),
    "vs_quix": Goal(bound=">", value=1.0),
    "vs_faust": Goal(bound=">=", value=4.0),
    "duplicates_after_kill": Goal(bound="=", value=0, points=("vigimesh",)),
}
#: Point, key, and the two engines whose rates it divides.
COMPARED = (
    ("vigimesh", "vs_bare", "vigimesh", "bare"),
    ("bare", "bare_vs_raw", "bare", "raw"),
    ("quix", "vs_quix", "vigimesh", "quix"),
    ("faust", "vs_faust", "vigimesh", "faust"),
)
ENGINES = (OURS, BARE, RAW, QUIX, FAUST)
#: Records in the input topic: 5 s of work for the loop, 1 s for raw bytes.
RECORDS, QUICK_RECORDS = 40_000, 6_000
#: Faust is stopped after this share of them: it would take half a minute.
FAUST_SHARE = 0.1
#: Records of the part in which an engine is killed.
KILL_RECORDS, QUICK_KILL_RECORDS = 10_000, 4_000
#: Seconds an engine may take for its part before it counts as stuck.
WITHIN_S = 120.0


def main() -> int:
    """Measure and print."""
    chosen = options(__doc__ or "", _more)
    engines = [one for one in ENGINES if one.name not in chosen.without]
    if missing := [one.name for one in engines if not one.there]:
        say(
            f"the environment of {', '.join(missing)} is not there: run `make bench`, or leave it out with --without"
        )
        return 2
    report = Report("throughput", GOALS)
    count = QUICK_RECORDS if chosen.quick else RECORDS
    with ground() as base:
        codec = Codec(sample.FixedSchemas(base.ids_file))
        say(f"throughput: filling {count} records")
        base.fill(sample.INPUT, sample.records(codec, count, keys=count))
        for number in range(chosen.rounds):
            measure_round(base, report, engines, count, number)
            say(f"throughput: round {number + 1} of {chosen.rounds} done")
        for engine in engines:
            if engine is not RAW:
                killed(base, report, engine, QUICK_KILL_RECORDS if chosen.quick else KILL_RECORDS)
        report.notes |= {
            "records": count, "batch": 500, "partitions": 4, "broker_compilers": "both",
            "bytes_in": len(next(sample.records(codec, 1, 1))[1]),
        }  # fmt: skip
        return finish(report, chosen, versions(base, _peer_versions(engines)))


def _more(parser: argparse.ArgumentParser) -> None:
    names = [one.name for one in ENGINES]
    parser.add_argument("--without", action="append", default=[], choices=names, help="leave an engine out")


def measure_round(base: Ground, report: Report, engines: list[Engine], count: int, number: int) -> None:
    """Let each engine work through the same records once; every second round in reverse."""
    rates = {}
    for engine in engines if number % 2 == 0 else engines[::-1]:
        target = int(count * FAUST_SHARE) if engine is FAUST else count
        rates[engine.name] = rate(base, report, engine, target)
    for point, key, one, other in COMPARED:
        if {one, other} <= rates.keys():
            report.add(point, key, rates[one] / rates[other])


def rate(base: Ground, report: Report, engine: Engine, target: int) -> float:
    """Return the records a second of one engine over the first `target` records of the input.

    Its processor time a record is taken too: that holds on a machine that does other things as well.
    """
    base.place(sample.GROUP, starts(base.ends(sample.INPUT)))
    begin = base.ends(sample.OUTPUT)
    looks: list[tuple[int, float]] = []
    with running({engine.name: engine.argv(base, ("--stage", sample.STAGE))}, base.folder) as programs:

        def done() -> bool:
            programs[engine.name].check()
            count = _written(base, begin)
            if count >= target // 10:
                looks.append((count, programs[engine.name].cpu_s()))
            return count >= target

        until(done, WITHIN_S, f"{engine.name}: {target} records", pause_s=0.1)
    base.end_transactions()
    found = steady_rate(base.read(sample.OUTPUT, begin))
    report.add(engine.name, "records_per_s", found)
    (first, began_s), (last, ended_s) = looks[0], looks[-1]
    if last > first:
        report.add(engine.name, "cpu_us_per_record", (ended_s - began_s) * 1e6 / (last - first))
    say(f"throughput: {engine.name} {found:.0f} records/s")
    return found


def killed(base: Ground, report: Report, engine: Engine, count: int) -> None:
    """Kill an engine in the middle of its work, start it again, and count what is there twice and what is missing."""
    ends = base.ends(sample.INPUT)
    each = count // len(ends)
    base.place(sample.GROUP, {spot: end - min(end, each) for spot, end in ends.items()})
    wanted = sum(min(end, each) for end in ends.values())
    begin = base.ends(sample.OUTPUT)
    command = {engine.name: engine.argv(base, ("--stage", sample.STAGE))}
    with running(command, base.folder) as programs:
        until(lambda: _written(base, begin) >= wanted // 3, WITHIN_S, f"{engine.name}: a third of its work")
        programs[engine.name].kill()
    with running(command, base.folder) as programs:
        until(lambda: _committed(base, ends), WITHIN_S, f"{engine.name}: the rest of its work", pause_s=0.2)
    base.end_transactions()
    ids = [one.event_id for one in base.read(sample.OUTPUT, begin)]
    report.add(engine.name, "duplicates_after_kill", len(ids) - len(set(ids)))
    report.add(engine.name, "lost_after_kill", wanted - len(set(ids)))
    say(f"throughput: {engine.name} killed: {len(ids) - len(set(ids))} twice, {wanted - len(set(ids))} lost")


def _written(base: Ground, begin: dict[tuple[str, int], int]) -> int:
    return sum(base.ends(sample.OUTPUT).values()) - sum(begin.values())


def _committed(base: Ground, ends: dict[tuple[str, int], int]) -> bool:
    return base.positions(sample.GROUP, ends) == ends


def _peer_versions(engines: list[Engine]) -> list[tuple[str, str]]:
    return [
        (package, line.split("==")[1].split()[0])
        for engine, package in ((QUIX, "quixstreams"), (FAUST, "faust-streaming"))
        if engine in engines
        for line in (engine.script.parent / f"{engine.name}.lock").read_text(encoding="utf-8").splitlines()
        if line.startswith(f"{package}==")
    ]


if __name__ == "__main__":
    raise SystemExit(main())
