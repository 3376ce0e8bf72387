"""Calls in parallel, order kept per key: how near the ideal, and how far beyond one record at a time per partition.

1,000 keys, 100 calls under way at most, 20 ms a call: the ideal is 5,000 records a second. Then one call in a hundred
takes a hundred times as long, and the peer works through each of four partitions in order.
"""

from __future__ import annotations

from pathlib import Path

import sample
from engines import HERE, OURS, Engine, running
from ground import Ground, ground, starts, steady_rate, until, versions
from measuring import Goal, Report, finish, options, say
from ours import CONCURRENCY
from vigimesh.events.codec import Codec

GOALS = {
    "speedup_vs_ideal": Goal(bound=">=", value=0.9),
    "one_slow_percent_vs_in_order": Goal(bound=">=", value=10.0),
}
IN_ORDER = Engine(name="in_order", script=HERE / "peers" / "in_order.py")
#: Keys, length of a call, and of one in a hundred.
KEYS, CALL_MS, SLOW_MS = 1_000, 20.0, 2_000.0
IDEAL_PER_S = min(KEYS, CONCURRENCY) / CALL_MS * 1_000
#: Records of the even part, of the part with slow calls, and of the peer's (one slow call in each partition).
EVEN, UNEVEN, ORDERED = 25_000, 8_000, 400
QUICK_EVEN, QUICK_UNEVEN = 5_000, 2_000
PARTITIONS = 4
#: Seconds a part may take.
WITHIN_S = 120.0


def main() -> int:
    """Measure and print."""
    chosen = options(__doc__ or "")
    report = Report("parallel", GOALS)
    even, uneven = (QUICK_EVEN, QUICK_UNEVEN) if chosen.quick else (EVEN, UNEVEN)
    with ground() as base:
        records = sample.records(Codec(sample.FixedSchemas(Path(base.ids_file))), even, KEYS, slow)
        base.fill(sample.INPUT, records, lambda number: number % KEYS % PARTITIONS)
        calls = ("--call-ms", str(CALL_MS))
        slow_calls = (*calls, "--slow-ms", str(SLOW_MS))
        for number in range(chosen.rounds):
            rate = measured(base, OURS, calls, even, (0.1, 1.0))
            report.add("even", "records_per_s", rate)
            report.add("even", "speedup_vs_ideal", rate / IDEAL_PER_S)
            # The last tenth is left out: slow calls are still under way when nothing is left to begin.
            ours = measured(base, OURS, slow_calls, uneven, (0.1, 0.9))
            peer = measured(base, IN_ORDER, slow_calls, ORDERED, (0.0, 1.0))
            report.add("one_slow_percent", "records_per_s", ours)
            report.add("one_slow_percent", "in_order_records_per_s", peer)
            report.add("one_slow_percent", "one_slow_percent_vs_in_order", ours / peer)
            say(
                f"parallel: round {number + 1} of {chosen.rounds}: {rate:.0f}, {ours:.0f} and {peer:.0f} records/s"
            )
        report.notes |= {
            "keys": KEYS, "concurrency": CONCURRENCY, "call_ms": CALL_MS, "slow_ms": SLOW_MS,
            "partitions": PARTITIONS, "records": {"even": even, "one_slow_percent": uneven, "in_order": ORDERED},
        }  # fmt: skip
        return finish(report, chosen, versions(base))


def slow(number: int) -> bool:
    """Return whether a record's call is slow: one in each hundred of a partition, at another place each time."""
    place = number // PARTITIONS
    return place % 100 == (37 * (place // 100) + 50) % 100


def measured(
    base: Ground, engine: Engine, more: tuple[str, ...], count: int, window: tuple[float, float]
) -> float:
    """Return the records a second of an engine over the first `count` records."""
    inputs = base.ends(sample.INPUT)
    base.place(sample.GROUP, starts(inputs))
    begin = base.ends(sample.OUTPUT)
    with running({engine.name: engine.argv(base, ("--stage", sample.STAGE, *more))}, base.folder) as programs:

        def done() -> bool:
            programs[engine.name].check()
            # The group's positions, not the ends of the output: small transactions have many markers.
            return sum(base.positions(sample.GROUP, inputs).values()) >= count

        until(done, WITHIN_S, f"{engine.name}: {count} records", pause_s=0.2)
    return steady_rate(base.read(sample.OUTPUT, begin), *window)


if __name__ == "__main__":
    raise SystemExit(main())
