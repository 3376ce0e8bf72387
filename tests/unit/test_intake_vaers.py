"""VAERS tables: joined on VAERS_ID, tick-boxes as criteria, every bad row by its line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.intake_samples import DATA_HEADER, accepted, csv_text, read, refused, vaers_folder, vaers_row, write
from vigimesh.events.ids import digest
from vigimesh.intake.csv_records import records
from vigimesh.intake.reading import Remark, Skipped, parts


@pytest.mark.parametrize("pack", [False, True])
def test_the_fields_of_a_report(tmp_path: Path, pack: bool) -> None:
    row = vaers_row(
        "0025001", AGE_YRS="0.2", SEX="F", SYMPTOM_TEXT='Cried, "loud", Fièvre', X_STAY="Y", DIED="Y", DATEDIED="02/03/1999",
        ER_VISIT="Y", VAX_DATE="01/01/1999", ONSET_DATE="1/2/1999",
    )  # fmt: skip
    item = accepted(read(vaers_folder(tmp_path, [row], pack=pack)))[0]
    case = item.case
    assert (case.report_id, case.case_id, case.sender) == ("0025001", "demo/0025001", "VAERS")
    assert (case.first_received_on, case.created_on, case.most_recent_on) == ("1999-01-02",) * 3
    assert case.criteria == ("death", "hospitalisation")
    assert case.criteria_form == "form"
    assert case.narrative == 'Cried, "loud", Fièvre'
    assert (case.patient.age_years, case.patient.sex, case.patient.died_on) == (0.2, "female", "1999-02-03")
    assert case.patient.identified_by == ("age", "sex")
    assert [(r.identified, r.qualification, r.country) for r in case.reporters] == [
        (True, "not_stated", "US")
    ]
    assert [(p.name, p.kind, p.role, p.lot, p.manufacturer, p.started_on) for p in case.products] == [
        ("DTP (ACME)", "vaccine", "suspect", "L1", "ACME", "1999-01-01")
    ]
    assert [(r.term, r.onset_on, r.criteria) for r in case.reactions] == [("Pyrexia", "1999-01-02", ())]
    assert case.source.endswith("#line 2")
    assert case.digest == digest(item.source_bytes)
    assert json.loads(item.source_bytes)["data"]["VAERS_ID"] == "0025001"


@pytest.mark.parametrize(
    ("column", "word"),
    [
        ("DIED", "death"),
        ("L_THREAT", "life_threatening"),
        ("HOSPITAL", "hospitalisation"),
        ("X_STAY", "hospitalisation"),
        ("DISABLE", "disability"),
    ],
)
def test_each_tick_box(tmp_path: Path, column: str, word: str) -> None:
    rows = [vaers_row("1", **{column: "Y"}), vaers_row("2", **{column: ""}), vaers_row("3", **{column: "N"})]
    assert [i.case.criteria for i in accepted(read(vaers_folder(tmp_path, rows)))] == [(word,), (), ()]


def test_an_emergency_visit_alone_is_no_criterion(tmp_path: Path) -> None:
    assert accepted(read(vaers_folder(tmp_path, [vaers_row("1", ER_VISIT="Y")])))[0].case.criteria == ()


def test_a_folder_reads_each_report_once(tmp_path: Path) -> None:
    vaers_folder(tmp_path, [vaers_row(str(n)) for n in range(5)])
    items = read(tmp_path)
    assert len(accepted(items)) == 5
    assert sorted(i.source for i in items if isinstance(i, Skipped)) == [
        "1999VAERSSYMPTOMS.csv",
        "1999VAERSVAX.csv",
    ]


def test_all_symptom_rows_and_vaccines_of_a_report_are_joined(tmp_path: Path) -> None:
    path = vaers_folder(tmp_path, [vaers_row("1"), vaers_row("2")])
    symptoms = [["VAERS_ID", "SYMPTOM1", "SYMPTOM2"], ["1", "A", "B"], ["2", "Z", ""], ["1", "C", ""]]
    write(tmp_path / "1999VAERSSYMPTOMS.csv", csv_text(symptoms))
    write(
        tmp_path / "1999VAERSVAX.csv",
        csv_text([["VAERS_ID", "VAX_TYPE", "VAX_NAME"], ["1", "X", "X1"], ["1", "Y", ""]]),
    )
    first, second = accepted(read(path))
    assert [r.term for r in first.case.reactions] == ["A", "B", "C"]
    assert [p.name for p in first.case.products] == ["X1", "Y"]
    assert (second.case.products, [r.term for r in second.case.reactions]) == ((), ["Z"])


def test_a_ragged_row_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    path = vaers_folder(tmp_path, [vaers_row("1"), vaers_row("2")])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(
        b"".join([lines[0], lines[1], b"9,too,few\r\n", lines[2].rstrip() + b",more,than,fit\r\n", lines[2]])
    )
    items = read(path)
    assert [i.case.report_id for i in accepted(items)] == ["1", "2"]
    assert [(r.code, r.place) for r in refused(items)] == [("VM-1411", "line 3"), ("VM-1411", "line 4")]
    assert "3 fields, the header 21" in refused(items)[0].what
    assert refused(items)[0].source_bytes == b"9,too,few\r\n"


def test_a_quote_that_is_never_closed_costs_its_row_only(tmp_path: Path) -> None:
    path = vaers_folder(tmp_path, [vaers_row("1"), vaers_row("2"), vaers_row("3")])
    path.write_bytes(path.read_bytes().replace(b"2,01/02/1999", b'2,"01/02/1999'))
    items = read(path)
    assert [i.case.report_id for i in accepted(items)] == ["1", "3"]
    assert [(r.code, r.place) for r in refused(items)] == [("VM-1411", "line 3")]
    assert "quote" in refused(items)[0].what


def test_missing_columns_are_named(tmp_path: Path) -> None:
    header = [c.replace("HOSPITAL", "HOSPITALS") for c in DATA_HEADER if c != "DIED"]
    path = vaers_folder(tmp_path, [vaers_row("1")[1:]], header)
    items = read(path)
    (refusal,) = refused(items)
    assert (refusal.code, refusal.place) == ("VM-1410", "line 1")
    assert "DIED, HOSPITAL" in refusal.what
    assert not accepted(items)
    assert b"".join(parts(refusal)) == path.read_bytes()


def test_a_table_without_its_id_column_is_still_known(tmp_path: Path) -> None:
    path = vaers_folder(tmp_path, [], DATA_HEADER[1:])
    path = path.rename(tmp_path / "export.csv")
    assert [r.code for r in refused(read(path))] == [
        "VM-1412"
    ]  # known by its columns; its sisters are not beside it


def test_an_extra_column_is_named_once_and_not_read(tmp_path: Path) -> None:
    rows = [[*vaers_row(str(n)), "x"] for n in range(3)]
    items = read(vaers_folder(tmp_path, rows, [*DATA_HEADER, "MOOD"]))
    assert len(accepted(items)) == 3
    remarks = [i.what for i in items if isinstance(i, Remark)]
    assert sum("MOOD" in what for what in remarks) == 1
    assert not refused(items)


@pytest.mark.parametrize("table", ["SYMPTOMS", "VAX"])
def test_a_missing_sister_table_refuses_the_file(tmp_path: Path, table: str) -> None:
    path = vaers_folder(tmp_path, [vaers_row("1")])
    (tmp_path / f"1999VAERS{table}.csv").unlink()
    (refusal,) = refused(read(path))
    assert refusal.code == "VM-1412"
    assert f"1999VAERS{table}.csv" in refusal.what


def test_a_sister_table_that_is_broken_refuses_both(tmp_path: Path) -> None:
    path = vaers_folder(tmp_path, [vaers_row("1")])
    write(tmp_path / "1999VAERSVAX.csv", "VAERS_ID,VAX_TYPE,VAX_NAME\n1,DTP\n")
    items = read(path)
    assert [(r.code, r.source) for r in refused(items)] == [
        ("VM-1411", "1999VAERSVAX.csv"),
        ("VM-1412", "1999VAERSDATA.csv"),
    ]
    assert not accepted(items)


def test_a_side_table_alone_is_refused(tmp_path: Path) -> None:
    vaers_folder(tmp_path, [vaers_row("1")]).unlink()
    assert [r.code for r in refused(read(tmp_path))] == ["VM-1412", "VM-1412"]


def test_a_row_without_id_is_refused(tmp_path: Path) -> None:
    assert [r.code for r in refused(read(vaers_folder(tmp_path, [vaers_row(""), vaers_row("2")])))] == [
        "VM-1408"
    ]


def test_a_gzip_cut_off_is_refused_after_the_rows_before(tmp_path: Path) -> None:
    import random

    letters = random.Random(7)
    rows = [vaers_row(str(n), SYMPTOM_TEXT="".join(letters.choices("abcdefgh ", k=400))) for n in range(600)]
    path = vaers_folder(tmp_path, rows, pack=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    items = read(path)
    assert 100 < len(accepted(items)) < 600
    assert [r.code for r in refused(items)] == ["VM-1402"]


FIELD = st.text(st.characters(codec="latin-1", exclude_characters="\r\0"), max_size=12)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(FIELD, min_size=2, max_size=5), min_size=1, max_size=6))
def test_records_are_what_the_csv_module_reads(rows: list[list[str]]) -> None:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_MINIMAL).writerows(rows)
    data = out.getvalue().encode("latin-1")
    found = list(records(io.BufferedReader(io.BytesIO(data)), "latin-1"))
    assert [r.fields for r in found] == rows
    assert not any(r.fault for r in found)
    assert [data[r.start : r.end] for r in found] == [r.raw for r in found]
    assert [r.line for r in found] == [1 + data[: r.start].count(b"\n") for r in found]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_are_lost_or_read_twice(data: bytes) -> None:
    found = list(records(io.BufferedReader(io.BytesIO(data)), "latin-1"))
    at = 0
    for record in found:
        assert record.raw == data[record.start : record.end]
        assert data[at : record.start].strip(b"\r\n") == b""  # blank lines alone stand between records
        at = record.end
    assert data[at:].strip(b"\r\n") == b""
