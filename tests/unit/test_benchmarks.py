"""The benchmarks are tried where that is cheap: they start, their object has its shape, and the bare loop writes the same."""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import account
import budget
import chain
import drive
import ours
import pay
import records
import sample
import table
import worlds
from isolation import MARK, copies
from measuring import Goal, Report, percentile, spread
from review_order import ranks
from rules.house import ROOT
from vigimesh.adapters.kafka.producer import KafkaProducer
from vigimesh.adapters.memory.broker import MemoryConsumer
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.adapters.redis.scripts import sha
from vigimesh.domain.budget.values import Booked, Caps, Denied, Reserved
from vigimesh.domain.budget.windows import ASKED, names_of
from vigimesh.events.codec import Codec
from vigimesh.events.topics import LANE_STAGES, STAGES, TOPICS, inputs_of, topic
from vigimesh.loop.broker import Record, Write
from vigimesh.tool_executor.purchase import name_of

BENCHMARKS = ROOT / "benchmarks"
SCRIPTS = (
    "throughput",
    "latency",
    "parallel",
    "isolation",
    "mesh",
    "budget",
    "controllers",
    "tools",
    "redaction",
    "small_model",
    "listedness",
    "retrieval",
    "cascade",
    "review_order",
    "extraction",
    "transfer",
    "retrieval_cache",
    "knowledge_saving",
)
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


def test_waiting_ranks_are_shares_of_the_queue_before() -> None:
    grades, chances = np.array([3, 5, 3, 3]), np.array([0.2, 0.1, 0.9, 0.2])
    assert ranks(grades, chances).tolist() == pytest.approx([2.5 / 3, 0.0, 1 / 3, 2.5 / 3])
    assert ranks(grades).tolist() == pytest.approx([2 / 3, 0.0, 2 / 3, 2 / 3])


def test_the_bare_loop_stays_bare() -> None:
    assert len((BENCHMARKS / "bare.py").read_text(encoding="utf-8").splitlines()) <= 80


def test_the_bare_loop_writes_the_records_of_a_worker(tmp_path: Path) -> None:
    world = worlds.MemoryWorld(Codec(MemorySchemas()))
    for key, value, headers in drive.received(world.codec, "urgent", drive.numbered(sample.CASE, "X", 12)):
        world.append(Write(topic=topic("case.received.urgent"), key=key, value=value, headers=headers))
    for name in STAGES:
        before = everything(world)
        bare, inputs = by_bare(world, name)
        by_worker(world, name, tmp_path)
        found = everything(world) - before
        flow = {seen: n for seen, n in found.items() if seen[0] == topic("flow")}
        assert inputs
        assert bare == found - Counter(flow), name
        assert flow, name


def everything(world: worlds.MemoryWorld) -> Counter[Seen]:
    """Return all committed records, as far as two engines may not differ in them."""
    return Counter(of_loop(record) for t in TOPICS for record in world.records(t.name))


def by_bare(world: worlds.MemoryWorld, name: str) -> tuple[Counter[Seen], int]:
    """Return what the bare loop of a stage makes of what waits for it, and how many records that are."""
    inputs = [record for t in inputs_of(name, lane_of(name)) for record in world.records(t)]
    make = chain.worked_out(chain.verbs()[name], chain.Answering())
    bare = records.Records(name, world.codec, make)
    made = list(bare.of([(r.part.topic, r.key, r.value, r.headers, r.at) for r in inputs]))
    assert {out[0] for out in bare.end()} == {topic("flow")}
    return Counter(map(of_bare, made)), len(inputs)


def by_worker(world: worlds.MemoryWorld, name: str, folder: Path) -> None:
    """Let the stage that the benchmark's worker has do the same in the loop."""
    ids = folder / "ids.json"
    ids.write_text(json.dumps({t.subject: world.codec.schemas.id_of(t.subject) for t in TOPICS}))
    theirs = ours.worker("127.0.0.1:9", sample.FixedSchemas(ids), name, lane_of(name))
    group, topics = f"{world.group}.{name}", theirs.topics
    world.broker.init_group(group, topics)
    worker = replace(
        world.worker(theirs.stage, group=group, consumer=MemoryConsumer(world.broker, group, topics)),
        topics=topics,
    )
    spots = world.broker.offsets(group)

    def through() -> bool:
        reached = world.broker.offsets(group)
        return all(reached[part].offset >= world.broker.end_offset(part) for part in spots)

    worlds.drive(worlds.work(worker, until=through))


def lane_of(name: str) -> str | None:
    return sample.LANE if name in LANE_STAGES else None


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
    found["notes"]["note"] = "taken on a ship"
    (tmp_path / "throughput.json").write_text(json.dumps(found), encoding="utf-8")
    assert list(table.warnings(tmp_path)) == ["`throughput`: taken on a ship."]
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


AT = datetime(2026, 11, 28, 12, 0, 30, tzinfo=UTC)
#: A day of 1,000 micro-units, and two calls in a minute.
TIGHT = Caps("EUR", month_micro=10**6, day_micro=1_000, case_micro=10**6, calls_per_minute=2)


def asked(call_id: str, micro: int = 400, workflow: str = "triage") -> account.Order:
    names = names_of(AT, f"case of {call_id}")
    windows = {window: (names[window], TIGHT.of_window(window)) for window in ASKED}
    return account.Order(word="reserve", call_id=call_id, workflow=workflow, micro=micro, windows=windows)


def ended(word: account.Word, call_id: str, micro: int = 0) -> account.Order:
    return account.Order(word=word, call_id=call_id, workflow="triage", micro=micro)


def yes(call_id: str) -> Reserved:
    return Reserved(call_id, 400, AT)


def no(call_id: str) -> Denied:
    return Denied(call_id, "day", 1_000, 0, 0, 400, None)


def found(*orders: account.Order, **told: account.Told) -> tuple[int, int, int]:
    verdict = account.judged(orders, {call_id: [answer] for call_id, answer in told.items()})
    return verdict.overspend_micro, verdict.calls_beyond, verdict.false_refusals


def test_an_account_finds_what_was_admitted_beyond_the_cap() -> None:
    a, b, c = asked("a"), asked("b"), asked("c")
    both = {"a": yes("a"), "b": yes("b")}
    assert found(a, b, c, **both, c=no("c")) == (0, 0, 0)
    # 1,200 of 1,000, and a third call of two.
    assert found(a, b, c, **both, c=yes("c")) == (200, 1, 0)
    # Once they cost less there is room for its money; where one is given back, for the call too.
    assert found(a, b, ended("settle", "a", 100), c, **both, c=yes("c")) == (0, 1, 0)
    assert found(a, b, ended("release", "a"), c, **both, c=yes("c")) == (0, 0, 0)
    # What was spent before it was given back counts, and so does what cost more than was reserved.
    assert found(a, b, c, ended("release", "c"), **both, c=yes("c")) == (200, 1, 0)
    assert found(a, ended("settle", "a", 1_001), a=yes("a")) == (1, 0, 0)
    # Asked again it is the same call; another workflow has its own.
    assert account.judged([a, a, b], {"a": [yes("a")] * 2, "b": [yes("b")]}).overspend_micro == 0
    assert found(a, b, asked("c", workflow="other"), **both, c=yes("c")) == (0, 0, 0)


def test_an_account_finds_who_was_refused_though_there_was_room() -> None:
    a, b, c = asked("a"), asked("b"), asked("c")
    assert found(a, b, a=yes("a"), b=no("b")) == (0, 0, 1)
    assert found(a, asked("b", 600), a=yes("a"), b=no("b")) == (0, 0, 1), "the cap itself is within it"
    assert found(a, asked("b", 601), a=yes("a"), b=no("b")) == (0, 0, 0)
    # By the store's order, not by that in which answers came: before the settlement there was no room.
    settle = ended("settle", "a", 10)
    big = asked("b", 700)
    assert found(a, big, settle, a=yes("a"), b=no("b")) == (0, 0, 0)
    assert found(a, settle, big, a=yes("a"), b=no("b")) == (0, 0, 1)
    # What was written down is held, whatever became of the answer; else nobody knows what became of the first of two, and an overrun closes a window that has room.
    again = account.judged([a, a], {"a": [no("a")]})
    closed = account.judged([c], {"c": [replace(no("c"), cause="overrun")]})
    assert [(one.false_refusals, one.unjudged) for one in (again, closed)] == [(0, 2), (0, 1)]
    lost = replace(asked("a", 700), wrote=True)
    assert found(lost, asked("b"), b=no("b")) == (0, 0, 0)
    assert found(lost, asked("b"), b=yes("b")) == (100, 0, 0)
    assert account.refused_with_room(3, 999, TIGHT) == 3
    with pytest.raises(ValueError, match="not wide"):
        account.refused_with_room(0, 1_001, TIGHT)


def test_what_the_journal_booked_beyond_a_cap_is_spent() -> None:
    def row(call_id: str, amount: int, workflow: str = "triage") -> Booked:
        return Booked(call_id, workflow, f"case of {call_id}", AT, amount, "settled")

    rows = [row("a", 600), row("b", 400)]
    assert account.booked_beyond(rows, {"triage": TIGHT}) == 0
    assert account.booked_beyond([*rows, row("c", 7), row("d", 9_999, "other")], {"triage": TIGHT}) == 7


def test_the_store_s_log_is_read_in_the_order_in_which_it_worked() -> None:
    def entry(number: int, name: str, *told: str) -> list[Any]:
        parts = ["EVALSHA", sha(name), "1", "{budget}", "epoch", *told]
        return [number, 0, 90 + number, [part.encode() for part in parts], b"", b""]

    windows = [
        text for name in ("case", "2026-11", "2026-11-28", "2026-11-28T12:00") for text in (name, "5", "60")
    ]
    settle, reserve = entry(12, "settle", "triage", "a", "70", "3600"), entry(
        9, "reserve", "triage", "a", "400", "1", "2", *windows
    )  # fmt: skip
    inner = [8, 0, 1, [b"HSET", b"{budget}:1:call:triage:a", b"state", b"open", b"reserved"], b"", b""]
    one, two = account.read_orders([settle, inner, reserve])
    assert (one.word, one.micro, one.windows["day"], one.took_us) == ("reserve", 400, ("2026-11-28", 5), 99)
    assert (one.wrote, two.wrote) == (True, False)
    assert (two.word, two.call_id, two.workflow, two.micro) == ("settle", "a", "triage", 70)
    with pytest.raises(RuntimeError, match="rebuilt"):
        account.read_orders([settle, entry(11, "swap", "generation", "seen", "run")])


def test_a_cap_that_runs_out_is_one_of_three() -> None:
    wide = budget.WIDE
    day, month, minute = (budget.tight_caps(window, 100, 1_000) for window in ("day", "month", "minute"))
    assert (day.day_micro, month.month_micro, minute.calls_per_minute) == (50_000, 50_000, 50)
    assert (day.month_micro, month.day_micro, minute.day_micro) == (
        wide.month_micro,
        wide.day_micro,
        wide.day_micro,
    )
    # With few calls a workflow still can pay for one.
    assert budget.tight_caps("day", 1, 10).day_micro >= pay.worst_micro(pay.question(0))
    assert name_of(pay.purchase("X", 1, "w", wide)) != name_of(pay.purchase("X", 2, "w", wide))


def test_one_overspend_in_one_round_is_told() -> None:
    made = Report("budget", budget.GOALS)
    for found_micro in (0, 0, 7):
        for point in budget.POINTS:
            made.add(point, "overspend_micro", found_micro if point == budget.POINTS[1] else 0)
    budget.add_up(made)
    assert made.summary(OPTIONS, {})["overspend_micro"] == 7
    for figure, point in zip((1.0, 9.0, 2.0), budget.POINTS, strict=True):
        made.add(point, "added_p50_ms", figure)
    made.add(budget.CALM, "added_p50_ms", 99.0)
    told = made.summary(OPTIONS, {})
    assert (told["added_p50_ms"], told["met"]["added_p50_ms"], told["met"]["overspend_micro"]) == (
        9.0,
        False,
        False,
    )
