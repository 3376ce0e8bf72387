"""The benchmarks are tried where that is cheap: they start, their object has its shape, and the bare loop writes the same."""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import chain
import drive
import records
import sample
import table
import worlds
from isolation import MARK, copies
from measuring import Goal, Report, percentile, spread
from rules.house import ROOT
from vigimesh.adapters.kafka_producer import KafkaProducer
from vigimesh.adapters.memory_registry import MemorySchemas
from vigimesh.events.codec import Codec
from vigimesh.events.topics import TOPICS, topic
from vigimesh.loop.broker import Record, Write
from vigimesh.router.worker import stage as router

BENCHMARKS = ROOT / "benchmarks"
SCRIPTS = ("throughput", "latency", "parallel", "isolation", "mesh")
OPTIONS = argparse.Namespace(rounds=3, quick=False)


def test_one_starts_as_a_program() -> None:
    command = [sys.executable, str(BENCHMARKS / "throughput.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--without" in done.stdout


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_says_how_it_is_used(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(name).main()
    assert ended.value.code == 0
    assert {"--json", "--quick", "--rounds"} <= set(capsys.readouterr().out.replace(",", " ").split())


def report() -> Report:
    made = Report(
        "sample", {"ratio": Goal(bound=">=", value=0.9), "shown": Goal(), "late": Goal(bound="<=", value=1.3)}
    )
    for figure in (0.95, 1.2, 0.97):
        made.add("one", "ratio", figure)
        made.add("two", "ratio", figure - 0.1)
        made.add("two", "late", figure)
    made.add("one", "shown", 3.0)
    return made


def test_a_key_at_the_top_is_the_worst_of_its_points() -> None:
    found = report().summary(OPTIONS, {"kafka": "4"})
    assert (found["ratio"], found["late"], found["shown"]) == (0.87, 0.97, 3.0)
    assert found["met"] == {"ratio": False, "late": True}
    assert found["points"]["one"]["ratio"] == {
        "median": 0.97,
        "min": 0.95,
        "max": 1.2,
        "rounds": [0.95, 1.2, 0.97],
    }
    assert {"benchmark", "goals", "rounds", "quick", "date", "machine", "versions", "notes"} <= found.keys()
    assert found["versions"]["kafka"] == "4"
    json.dumps(found)


def test_a_goal_may_ask_of_one_point_only() -> None:
    made = Report("sample", {"twice": Goal(bound="=", value=0, points=("ours",))})
    made.add("ours", "twice", 0)
    made.add("peer", "twice", 300)
    assert made.summary(OPTIONS, {})["met"] == {"twice": True}


@pytest.mark.parametrize(
    ("bound", "value", "found", "met"),
    [
        (">=", 0.9, 0.9, True),
        (">", 1, 1, False),
        ("<=", 1.3, 1.31, False),
        ("=", 0, 0, True),
        ("", 0, 5, True),
    ],
)
def test_a_goal_is_met_or_not(bound: str, value: float, found: float, met: bool) -> None:
    assert Goal(bound=bound, value=value).met(found) is met


def test_percentiles_are_samples_that_were_seen() -> None:
    samples = [float(n) for n in range(1, 201)]
    assert (percentile(samples, 50), percentile(samples, 99), percentile([7.0], 99)) == (100.0, 198.0, 7.0)
    assert spread([12_345.6])["median"] == 12_346.0


def test_the_bare_loop_stays_bare() -> None:
    assert len((BENCHMARKS / "bare.py").read_text(encoding="utf-8").splitlines()) <= 80


def test_the_bare_loop_writes_the_records_of_a_worker() -> None:
    world = worlds.MemoryWorld(Codec(MemorySchemas()))
    for key, value, headers in drive.received(world.codec, "normal", drive.numbered(sample.CASE, "X", 12)):
        world.append(Write(topic=worlds.INPUT, key=key, value=value, headers=headers))
    inputs = world.records(worlds.INPUT)
    make = chain.worked_out(chain.verbs()["router"], chain.Answering())
    bare = records.Records("router", world.codec, make)
    made = [out for r in inputs for out in bare.of(r.part.topic, r.key, r.value, r.headers, r.at)]
    worker = world.worker(router(chain.cards()))
    worlds.drive(worlds.work(worker, until=lambda: len(world.records(topic("audit"))) == len(inputs)))
    found = [record for t in TOPICS if t.name != worlds.INPUT for record in world.records(t.name)]
    assert Counter(map(of_bare, made)) == Counter(of_loop(r) for r in found if r.part.topic != topic("flow"))
    assert {out[0] for out in bare.end()} == {topic("flow")} <= {r.part.topic for r in found}


Seen = tuple[str, bytes, tuple[tuple[str, bytes], ...], int]


def of_bare(out: records.Out) -> Seen:
    # In audit the actor differs ("bare", "a"), and nothing else.
    return (out[0], out[1], without_time(out[3]), len(out[2]) - (3 if out[0] == topic("audit") else 0))


def of_loop(record: Record) -> Seen:
    return (record.part.topic, record.key, without_time(record.headers), len(record.value))


def without_time(headers: list[tuple[str, bytes]]) -> tuple[tuple[str, bytes], ...]:
    return tuple(sorted((name, data) for name, data in headers if name != "ce_time"))


def test_copies_differ_in_their_number_only() -> None:
    mark = MARK.encode()
    one, two = copies(
        (b"default/" + mark, b"x" + mark + b"y" + mark, [("ce_id", mark), ("lane", b"cold")]), 2
    )
    assert one == (
        b"default/0000000000",
        b"x0000000000y0000000000",
        [("ce_id", b"0000000000"), ("lane", b"cold")],
    )
    assert two[1] == b"x0000000001y0000000001"


def test_the_table_is_that_of_the_results(tmp_path: Path) -> None:
    found = report().summary(OPTIONS, {"kafka": "4", "librdkafka": "2"}) | {
        "vs_bare": 0.87,
        "met": {"vs_bare": False},
    }
    found["points"]["one"]["vs_bare"] = spread([0.87])
    found["goals"]["vs_bare"] = ">= 0.9"
    (tmp_path / "throughput.json").write_text(json.dumps(found), encoding="utf-8")
    (line,) = [row for row in table.rows(tmp_path) if "vs_bare" in row]
    assert "| >= 0.9 | 0.87 (**not met**) | 0.87 to 0.87 |" in line
    assert (
        table.written(f"a\n{table.BEGIN}\nold\n{table.END}\nz", "new")
        == f"a\n{table.BEGIN}\nnew\n{table.END}\nz"
    )


def test_the_tables_in_the_guides_are_up_to_date() -> None:
    made = table.table()
    for file in table.HOLDERS:
        text = file.read_text(encoding="utf-8")
        assert table.written(text, made) == text, "run: python benchmarks/table.py --write"


def test_transactions_back_to_back_wait_for_no_long_back_off() -> None:
    """The client's default waits 100 ms when a transaction meets the markers of the last; `latency.py` measures the hops."""
    asked = KafkaProducer({"bootstrap.servers": "127.0.0.1:1"}, "vigimesh.test")._settings
    assert (asked["retry.backoff.ms"], asked["retry.backoff.max.ms"]) == (1, 20)
    told = (BENCHMARKS / "bare.py").read_text(encoding="utf-8")
    assert '"retry.backoff.ms": 1, "retry.backoff.max.ms": 20' in told, "the bare chain is tuned like ours"
