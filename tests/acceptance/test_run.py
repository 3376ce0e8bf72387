"""`vigimesh run` through all five stages: every case that was read is accounted for, counted by other means too."""

from __future__ import annotations

import dataclasses
import re
from datetime import date
from pathlib import Path

import pytest

from mesh_fixture import DemoRun
from meshes import Mesh, sums_hold, vigimesh
from vigimesh.app.demo.builder import Calendar
from vigimesh.app.demo.e2b_cases import batch_cases
from vigimesh.app.demo.e2b_writer import batch

pytestmark = pytest.mark.real

#: An ICSR as the issue counts it: by its element, with or without a prefix.
ICSR = re.compile(rb"<(?:\w+:)?PORR_IN049016UV[\s>]")
#: ICSRs of a made batch: more than one transaction of the door holds.
BATCH_ICSRS = 300


def counted(*files: Path) -> int:
    return sum(len(ICSR.findall(file.read_bytes())) for file in files)


def synthetic_batch() -> bytes:
    """Write hundreds of invented ICSRs into one file: the demo's, under numbers of their own."""
    calendar = Calendar(today=date(2026, 3, 2))
    pool = [case for case in batch_cases(calendar) if case.report_id and case.amendment != "nullification"]
    cases = []
    for number in range(BATCH_ICSRS):
        name = f"DE-BATCH-2026-{number:04d}-B"
        cases.append(dataclasses.replace(pool[number % len(pool)], report_id=name, worldwide_id=name))
    sent_on = calendar.moment(0)
    return batch(cases, number="BATCH-1", sent_on=sent_on, sender="NORDFJELLPHARM", receiver="VIGIMESH")


def test_a_batch_of_hundreds(mesh: Mesh, tmp_path: Path) -> None:
    file = tmp_path / "batch.xml"
    file.write_bytes(synthetic_batch())
    answer = mesh.run(file)
    assert answer.status == 0, answer.err
    found = answer.json
    sums_hold(found)
    assert found["read"] == found["accepted"] == counted(file) == BATCH_ICSRS
    assert found["decided"] > 0
    assert found["in_review"] > 0
    assert found["cases_per_second"] > 0
    assert 0 < found["triage_p50_s"] <= found["triage_p99_s"]
    assert found["triage_censored"] == 0
    assert found["peak_rss_bytes"] > 100_000_000
    assert sum(row["cases"] for row in found["decisions"]) == BATCH_ICSRS


@pytest.mark.data
def test_the_authority_s_instances(mesh: Mesh, real_data: Path) -> None:
    folder = real_data / "e2b_r3_fda"
    files = [file for file in folder.iterdir() if file.is_file()]
    with_cases = [file for file in files if counted(file)]
    answer = mesh.run(folder)
    assert answer.status == 0, answer.err
    found = answer.json
    sums_hold(found)
    assert found["read"] == found["accepted"] == counted(*files)
    assert {one["file"] for one in found["skipped"]} == {f.name for f in files} - {f.name for f in with_cases}
    assert found["skipped_files"] == len(files) - len(with_cases)
    assert all(one["why"] for one in found["skipped"])
    # All of them are serious: a machine may accept none; one is an older version of another.
    assert {row["decision"] for row in found["decisions"]} == {"in_review", "superseded"}


@pytest.mark.data
def test_a_batch_of_hundreds_made_from_the_instances(mesh: Mesh, real_data: Path, tmp_path: Path) -> None:
    whole = re.compile(rb"<PORR_IN049016UV>.*</PORR_IN049016UV>", re.DOTALL)
    sources = sorted((real_data / "e2b_r3_fda").glob("*.xml"))
    small = [file.read_bytes() for file in sources if file.stat().st_size < 1_000_000]
    pieces = [found.group() for data in small for found in whole.finditer(data)]
    made = [
        pieces[n % len(pieces)].replace(b"US-APHARMA-", b"US-HUNDREDS%d-" % n) for n in range(BATCH_ICSRS)
    ]
    head, tail = whole.split(small[0])
    file = tmp_path / "made.xml"
    file.write_bytes(head + b"\n".join(made) + tail)
    answer = mesh.run(file)
    assert answer.status == 0, answer.err
    sums_hold(answer.json)
    assert answer.json["read"] == answer.json["accepted"] == counted(file) == BATCH_ICSRS


def test_the_demo_s_files(demo_run: DemoRun) -> None:
    assert demo_run.status == 0
    found = demo_run.result
    sums_hold(found)
    assert found["refused"] == len(found["refusals"]) == 3
    assert len({row["workflow"] for row in found["decisions"]}) >= 3
    words = {row["decision"] for row in found["decisions"]}
    assert words >= {"auto_accepted", "in_review", "superseded", "nullified"}
    assert "signed" in found["cards"]


def test_the_same_files_again_change_nothing(mesh: Mesh, demo_run: DemoRun) -> None:
    again = mesh.run(demo_run.folder)
    assert again.status == 0, again.err
    same = ("read", "accepted", "refused", "decided", "in_review", "lost", "duplicated", "decisions")
    assert {key: again.json[key] for key in same} == {key: demo_run.result[key] for key in same}


def test_tables_for_a_person(mesh: Mesh, demo_run: DemoRun) -> None:
    answer = vigimesh("run", "--stack", mesh.data, "--from", demo_run.folder, "--limit", 5)
    assert answer.status == 0, answer.err
    for words in ("cases by lane, workflow and decision", "time to first triage", "waits for a person"):
        assert words in answer.out
    assert "read 5 = accepted 5 + refused 0" in answer.out


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    answer = vigimesh("run", "--from", tmp_path / "nowhere", "--json")
    assert answer.status != 0
    error = answer.json["error"]
    assert error["code"] == "VM-1401"
    assert "nowhere" in error["where"]
    assert error["todo"]
