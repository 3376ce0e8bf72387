"""Hostile and huge input: each refused with a message, within a second and 50 MB, and its neighbours still read."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from unit.intake_samples import HEAD, TAIL, accepted, batch, icsr, read, refused, write
from vigimesh.intake.accept import Admitted, accept
from vigimesh.intake.reading import parts

#: Seconds that a hostile file may take, and bytes by which the process may grow (the issue's "Bad input").
SECONDS = 1.0
GROWTH_BYTES = 50 * 1024 * 1024

XXE = '<!DOCTYPE MCCI_IN200100UV01 [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
BOMB = "<!DOCTYPE MCCI_IN200100UV01 [" + "".join(
    f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' if n else '<!ENTITY e1 "ha">' for n in range(9)
) + "]>"  # fmt: skip


def with_doctype(doctype: str, text: str = "&x;") -> str:
    head, rest = HEAD.split("\n", 1)
    return f"{head}\n{doctype}\n{rest}{icsr(text=text)}{TAIL}"


@pytest.mark.parametrize(
    "doctype",
    [
        XXE,
        BOMB,
        '<!DOCTYPE MCCI_IN200100UV01 SYSTEM "http://127.0.0.1:9/x.dtd">',
        "<!-- a --><?p?>\n<!DOCTYPE x>",
        "<!doctype x>",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_document_type_is_refused_before_parsing(tmp_path: Path, doctype: str, encoding: str) -> None:
    declared = "UTF-16" if "16" in encoding else "UTF-32" if "32" in encoding else "UTF-8"
    content = with_doctype(doctype).replace("UTF-8", declared).encode(encoding)
    began = time.process_time()
    items = read(write(tmp_path / "x.xml", content))
    assert time.process_time() - began < SECONDS
    assert [r.code for r in refused(items)] == ["VM-1406"]
    assert len(items) == 1
    assert b"".join(parts(refused(items)[0])) == content


def test_the_line_of_the_document_type_is_named(tmp_path: Path) -> None:
    (refusal,) = refused(read(write(tmp_path / "x.xml", with_doctype("\n\n" + XXE))))
    assert refusal.place == "line 4"
    assert "DOCTYPE" in refusal.todo


@pytest.mark.parametrize("text", ["&x;", "<!DOCTYPE y>", "<!ENTITY z 'q'>", "a & b"])
def test_entities_without_declaration_break_only_their_icsr(tmp_path: Path, text: str) -> None:
    items = read(write(tmp_path / "x.xml", batch(icsr("A"), icsr("B", text=text), icsr("C"))))
    assert [i.case.report_id for i in accepted(items)] == ["A", "C"]
    assert [(r.code, r.place[:6]) for r in refused(items)] == [("VM-1405", "ICSR 2")]


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [
        ("UTF-16", "utf-8"),
        ("UTF-8", "utf-16"),
        ("UTF-32", "utf-8"),
        ("ISO-8859-1", "utf-8-sig"),
        ("UTF-16LE", "utf-16-be"),
    ],
)
def test_a_lie_about_the_encoding_is_refused(tmp_path: Path, declared: str, encoding: str) -> None:
    content = batch(icsr()).replace("UTF-8", declared).encode(encoding)
    items = read(write(tmp_path / "x.xml", content))
    assert [(r.code, r.place) for r in refused(items)] == [("VM-1404", "line 1")]
    assert not accepted(items)


@pytest.mark.parametrize("declared", ["UTF-7", "ISO-2022-JP", "EBCDIC-CP-US", "x-made-up"])
def test_an_encoding_in_which_tags_look_different_is_refused(tmp_path: Path, declared: str) -> None:
    items = read(write(tmp_path / "x.xml", batch(icsr()).replace("UTF-8", declared)))
    assert [r.code for r in refused(items)] == ["VM-1404"]


def test_bytes_that_are_no_utf8_break_only_their_icsr(tmp_path: Path) -> None:
    content = batch(icsr("A"), icsr("B", text="Fievre @"), icsr("C")).encode().replace(b"@", b"\xe9")
    items = read(write(tmp_path / "x.xml", content))
    assert [i.case.report_id for i in accepted(items)] == ["A", "C"]
    assert [r.place[:6] for r in refused(items)] == ["ICSR 2"]


def test_utf16_cut_in_half_a_character(tmp_path: Path) -> None:
    whole = batch(icsr("A"), icsr("B")).replace("UTF-8", "UTF-16").encode("utf-16")
    items = read(write(tmp_path / "x.xml", whole[:-101]))
    assert [i.case.report_id for i in accepted(items)] + [r.code for r in refused(items)] in (
        ["A", "B", "VM-1404"],
        ["VM-1404"],
    )


@pytest.mark.parametrize("cut", [20, 200, 500, 1200, 1500])
def test_a_truncated_batch_is_refused_from_there_on(tmp_path: Path, cut: int) -> None:
    whole = batch(icsr("A"), icsr("B"))
    items = read(write(tmp_path / "x.xml", whole[:cut]))
    assert [r.code for r in refused(items)][-1:] == ["VM-1405"]
    assert len(accepted(items)) == whole[:cut].count("</PORR_IN049016UV>")


def test_depth_and_a_comment_that_never_ends(tmp_path: Path) -> None:
    deep = icsr("B", text="<a>" * 5000 + "</a>" * 5000)
    items = read(write(tmp_path / "deep.xml", batch(icsr("A"), deep, icsr("C"))))
    assert [i.case.report_id for i in accepted(items)] == ["A", "C"]
    items = read(write(tmp_path / "open.xml", batch(icsr("A"), icsr("B", text="<!-- "), icsr("C"))))
    assert [i.case.report_id for i in accepted(items)] == ["A"]
    assert "from" not in refused(items)[0].place
    assert b"ZZ" not in refused(items)[0].source_bytes
    assert (
        b'"C"' in refused(items)[0].source_bytes
    )  # C is inside the comment, and its bytes are kept with B's


def big_xml(path: Path) -> Path:
    with path.open("wb") as file:
        file.write((HEAD + icsr("A")).encode())
        before, after = icsr("B", text="@").encode().split(b"@")
        file.write(before)
        for _ in range(50):
            file.write(b"word " * (1024 * 1024 // 5))
        file.write(after + (icsr("C") + TAIL).encode())
    return path


def big_jsonl(path: Path) -> Path:
    with path.open("wb") as file:
        file.write(b'{"report_id":"A"}\n{"report_id":"B","narrative":"')
        for _ in range(50):
            file.write(b"word " * (1024 * 1024 // 5))
        file.write(b'"}\n{"report_id":"C"}\n')
    return path


def big_gzip(path: Path) -> Path:
    path.write_bytes(gzip.compress(big_xml(path.with_suffix(".tmp")).read_bytes(), compresslevel=1))
    return path


MEASURE = """
import resource, sys, time
from pathlib import Path
from vigimesh.intake.reading import Accepted, Refusal, parts, read_path
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.process_time()
items = list(read_path(Path(sys.argv[1]), tenant="demo"))
spent = time.process_time() - began
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print([i.case.report_id for i in items if isinstance(i, Accepted)])
print([(i.code, i.place.split(",")[0], len(i.source_bytes)) for i in items if isinstance(i, Refusal)])
print(sum(len(p) for i in items if isinstance(i, Refusal) for p in parts(i)))
print(spent, grown * 1024)
"""


@pytest.mark.parametrize(
    ("make", "place"), [(big_xml, "ICSR 2"), (big_jsonl, "line 2"), (big_gzip, "ICSR 2")]
)
def test_a_narrative_of_50_mb_is_refused_without_being_held(tmp_path: Path, make: type, place: str) -> None:
    path = make(tmp_path / ("big.jsonl" if make is big_jsonl else "big.xml"))
    services = str(Path(__file__).resolve().parents[2] / "services")
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": services},
    )  # fmt: skip
    read_ids, refusals, kept, measured = run.stdout.splitlines()
    assert read_ids == "['A', 'C']"
    assert refusals == f"[('VM-1407', '{place}', 0)]"
    assert int(kept) > 50_000_000
    spent, grown = map(float, measured.split())
    assert spent < SECONDS
    assert grown < GROWTH_BYTES


def test_between_8_and_16_mib_the_verb_refuses_the_narrative_and_keeps_the_bytes(tmp_path: Path) -> None:
    text = "word " * (9 * 1024 * 1024 // 5)
    items = read(
        write(tmp_path / "x.jsonl", '{"report_id":"A","narrative":"' + text + '"}\n{"report_id":"B"}\n')
    )
    first, second = map(accept, accepted(items))
    assert not isinstance(first, Admitted)
    assert (first.code, first.source, first.place) == ("VM-1407", "x.jsonl", "line 1")
    assert text.encode() in first.source_bytes
    assert isinstance(second, Admitted)


def test_a_text_over_libxml2s_own_limit_breaks_only_its_icsr(tmp_path: Path) -> None:
    two = icsr("D", text="x" * 6_000_000, event="<a>" + "y" * 6_000_000 + "</a>")
    items = read(
        write(tmp_path / "x.xml", batch(icsr("A"), icsr("B", text="x" * 11_000_000), icsr("C"), two))
    )
    assert [i.case.report_id for i in accepted(items)] == ["A", "C", "D"]
    assert [(r.code, r.place) for r in refused(items)] == [("VM-1407", "ICSR 2, line 24")]


def test_a_gzip_bomb_costs_time_but_no_memory(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "x.jsonl.gz", "wb", compresslevel=1) as file:
        file.write(b'{"report_id":"A"}\n')
        for _ in range(64):
            file.write(b"\0" * 1024 * 1024)
    items = read(tmp_path / "x.jsonl.gz")
    assert [i.case.report_id for i in accepted(items)] == ["A"]
    assert [(r.code, r.source_bytes) for r in refused(items)] == [("VM-1407", b"")]
