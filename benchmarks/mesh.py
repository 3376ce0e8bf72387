"""The whole mesh on real cases against a bare chain of five stages that works nothing out.

The mesh is `vigimesh run`: stack, door, every worker. The bare chain reads the same cases through the same door while they
arrive; its five processes decode, encode and write records of the same number and size (what the verbs made of the first
cases of the source, over and over), in the same transactions. Both rates: cases ÷ (last conclusion - first append).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import confluent_kafka as ck

import chain
import sample
from drive import ENDS
from engines import BARE, running
from ground import Ground, ground, versions
from measuring import Goal, Report, finish, options, say
from vigimesh.adapters.kafka.client import common
from vigimesh.adapters.kafka.producer import KafkaProducer
from vigimesh.adapters.objects.store import ObjectStore
from vigimesh.app.workers.worker import rest_collector
from vigimesh.clock import SystemClock
from vigimesh.events.codec import Codec
from vigimesh.events.topics import STAGES, inputs_of, topic
from vigimesh.intake.reading import read_path
from vigimesh.intake.worker import Door

GOALS = {
    "vs_bare_chain": Goal(bound=">=", value=0.5),
    "cases_per_second": Goal(bound=">=", value=700),
}
#: Cases of a round.
CASES, QUICK_CASES = 20_000, 1_000
#: Cases that a bare chain concludes before the measured ones are sent.
WARM = 100
#: Seconds that one run may take.
WITHIN_S = 600.0
DOORS = tuple(topic(f"case.received.{door}") for door in ("urgent", "normal"))


def main() -> int:
    """Measure and print."""
    chosen = options(__doc__ or "", _more)
    if not chosen.source.exists():
        say(f"no cases at {chosen.source}: name a folder of VAERS files with --source")
        return 2
    report = Report("mesh", GOALS)
    count = chosen.limit or (QUICK_CASES if chosen.quick else CASES)
    rest_collector()
    found: dict[str, str] = {}
    for number in range(chosen.rounds):
        order = (ours, bare) if number % 2 == 0 else (bare, ours)
        rates = {one.__name__: one(chosen.source, count, found) for one in order}
        report.add("vaers", "cases_per_second", rates["ours"])
        report.add("vaers", "bare_chain_per_second", rates["bare"])
        report.add("vaers", "vs_bare_chain", rates["ours"] / rates["bare"])
        say(
            f"mesh: round {number + 1} of {chosen.rounds}: {rates['ours']:.0f} and bare {rates['bare']:.0f} cases/s"
        )
    report.notes |= {
        "cases": count,
        "source": chosen.source.name,
        "partitions": 4,
        "broker_compilers": "first only",
    }
    return finish(report, chosen, found)


def _more(parser: argparse.ArgumentParser) -> None:
    there = Path(__file__).resolve().parents[2] / "shared" / "data" / "vaers"
    parser.add_argument(
        "--source", type=Path, default=there, help="folder of VAERS files (default ../shared/data/vaers)"
    )
    parser.add_argument("--limit", type=int, default=0, help="cases of a round")


def ours(source: Path, count: int, found: dict[str, str]) -> float:
    """Return the cases a second that `vigimesh run` reports; raises `RuntimeError` when a case is not accounted for."""
    command = [
        sys.executable,
        "-m",
        "vigimesh",
        "run",
        "--from",
        str(source),
        "--limit",
        str(count),
        "--json",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    if ended.returncode != 0:
        raise RuntimeError(
            f"vigimesh run ended with {ended.returncode}: {ended.stdout[-500:]} {ended.stderr[-1_000:]}"
        )
    return float(json.loads(ended.stdout)["cases_per_second"])


def bare(source: Path, count: int, found: dict[str, str]) -> float:
    """Return the cases a second of the bare chain, on a broker like that of `vigimesh run`: with both compilers it is slower."""
    with ground(lasting=False) as base:
        found.update(versions(base))
        commands = {}
        for stage in STAGES:
            spots = {spot: 0 for name in inputs_of(stage, None) for spot in base.ends(name)}
            base.place(chain.group_of(stage), spots)
            commands[stage] = BARE.argv(base, ("--stage", stage, "--verbs", "none", "--source", str(source)))
        with running(commands, base.folder) as programs:

            def check() -> None:
                for one in programs.values():
                    one.check()

            conclusions = Conclusions(base)
            # Some cases first: every process is there, its imports are done.
            conclusions.wait_for(asyncio.run(_send(base, source, WARM)), check)
            begin = {spot: end for name in DOORS for spot, end in base.ends(name).items()}
            accepted = asyncio.run(_send(base, source, count))
            last_ms = conclusions.wait_for(accepted, check)
        first_ms = min(one.at_ms for name in DOORS for one in base.read(name, begin))
        return accepted * 1_000 / (last_ms - first_ms)


class Conclusions:
    """Counts what the chain concludes."""

    def __init__(self, base: Ground) -> None:
        self._reader = base.consumer("bench.conclusions")
        self._reader.assign(
            [ck.TopicPartition(*spot, end) for name in ENDS for spot, end in base.ends(name).items()]
        )

    def wait_for(self, count: int, check: Callable[[], None]) -> int:
        """Return when the last of so many was appended, in ms since 1970; raises `TimeoutError` when they do not come."""
        last_ms, found, until_s = 0, 0, time.monotonic() + WITHIN_S
        message: Any
        while found < count:
            if time.monotonic() > until_s:
                raise TimeoutError(f"{found} of {count} cases were concluded within {WITHIN_S:g} s")
            check()
            for message in self._reader.consume(1_000, 0.2):
                if message.error() is None:
                    found += 1
                    last_ms = max(last_ms, message.timestamp()[1])
        return last_ms


async def _send(base: Ground, source: Path, count: int) -> int:
    """Send cases through the mesh's own door; return how many it accepted."""
    producer = KafkaProducer(common(base.kafka, {}), "bench.door")
    door = Door(
        producer=producer, codec=Codec(sample.FixedSchemas(base.ids_file)), objects=ObjectStore(base.urls.objects),
        clock=SystemClock(), instance="bench.door",
    )  # fmt: skip
    tally = await door.send(read_path(source, tenant="default", limit=count))
    await producer.close()
    return tally.accepted


if __name__ == "__main__":
    raise SystemExit(main())
