"""Files and folders: order, formats by content, sums, repeats, limits, what can't be read."""

from __future__ import annotations

import gzip
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from unit.intake_samples import accepted, batch, icsr, read, refused, vaers_folder, vaers_row, write
from vigimesh.errors import Misconfigured, Refused, explanations
from vigimesh.intake.reading import Accepted, Refusal, Skipped, parts, read_path

ROOT = Path(__file__).resolve().parents[2]


def line(name: str) -> str:
    return f'{{"report_id":"{name}"}}\n'


def test_a_folder_is_read_in_the_order_of_the_names(tmp_path: Path) -> None:
    for folder in ("b", "a", "c"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "2.jsonl", line(f"{folder}2"))
        write(tmp_path / folder / "1.jsonl", line(f"{folder}1"))
    write(tmp_path / "aa.jsonl", line("top"))
    items = read(tmp_path)
    assert [i.case.report_id for i in accepted(items)] == ["a1", "a2", "top", "b1", "b2", "c1", "c2"]
    assert accepted(items)[0].case.source == "a/1.jsonl#line 1"


@pytest.mark.parametrize(("content", "fmt"), [(batch(icsr()), "e2b_r3"), (line("A"), "jsonl")])
@pytest.mark.parametrize("name", ["x", "x.txt", "x.dat", "x.csv"])
@pytest.mark.parametrize("pack", [False, True])
def test_the_format_is_told_from_the_content(
    tmp_path: Path, content: str, fmt: str, name: str, pack: bool
) -> None:
    data = gzip.compress(content.encode()) if pack else content.encode()
    assert [i.case.source_format for i in accepted(read(write(tmp_path / name, data)))] == [fmt]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.zip", b"PK\x03\x04rest", "VM-1403"),
        ("a.xml", b"plain words", "VM-1405"),
        ("a.xml.gz", gzip.compress(b"plain words", mtime=0), "VM-1403"),
        ("a.jsonl", b"plain words", "VM-1413"),
        ("1999VAERSDATA.csv", b"words without columns", "VM-1403"),
        ("a.txt", b"", "VM-1403"),
        ("a.gz", b"\x1f\x8bnot gzip", "VM-1402"),
        ("a.gz", b"\x1f\x8b", "VM-1402"),
    ],
)
def test_what_promises_cases_and_holds_none_is_refused(
    tmp_path: Path, name: str, content: bytes, code: str
) -> None:
    items = read(write(tmp_path / name, content))
    assert [r.code for r in refused(items)] == [code]
    assert refused(items)[0].what
    assert b"".join(parts(refused(items)[0])) == content or refused(items)[0].source_bytes == content


@pytest.mark.parametrize("name", ["README.md", "list.csv", "SOURCE.txt", ".hidden.xml", "notes.pdf"])
def test_what_holds_no_case_is_named_apart(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, "a,b\nsome,words\n")
    (item,) = read(tmp_path)
    assert isinstance(item, Skipped)
    assert item.why


def test_links_to_folders_and_pipes_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling.xml").symlink_to(tmp_path / "nowhere")
    items = read(tmp_path)
    assert [type(i) for i in items] == [Refusal, Skipped, Skipped]
    assert [r.code for r in refused(items)] == ["VM-1401"]


@pytest.fixture
def nobody(tmp_path: Path) -> Iterator[None]:
    """Give up the right to read everything that the superuser has, for as long as the test runs."""
    if os.geteuid() != 0:
        yield
        return
    shared = Path(tempfile.gettempdir())
    for folder in [tmp_path, *tmp_path.parents]:
        if shared in folder.parents:  # how deep they lie depends on how many run side by side
            folder.chmod(0o755)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_may_not_be_read_is_refused_and_the_rest_is_read(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    write(tmp_path / "a.jsonl", line("A"))
    write(tmp_path / "b.jsonl", line("B")).chmod(0)
    (tmp_path / "c").mkdir(mode=0)
    write(tmp_path / "d.jsonl", line("D"))
    request.getfixturevalue("nobody")
    items = read(tmp_path)
    assert [i.case.report_id for i in accepted(items)] == ["A", "D"]
    assert [(r.code, r.source) for r in refused(items)] == [("VM-1401", "b.jsonl"), ("VM-1401", "c")]
    assert all("denied" in r.what.lower() for r in refused(items))
    assert [r.code for r in refused(read(tmp_path / "c"))] == ["VM-1401"]


def test_a_path_that_is_not_there() -> None:
    with pytest.raises(Refused, match="VM-1401"):
        read_path(Path("nowhere") / "at-all", tenant="demo")


@pytest.mark.parametrize("tenant", ["", "Two Words", "a/b", "-x", "x" * 64])
def test_a_tenant_is_one_word(tmp_path: Path, tenant: str) -> None:
    with pytest.raises(Misconfigured, match="VM-1102"):
        read_path(tmp_path, tenant=tenant)


def test_a_repeat_is_refused_and_another_version_is_not(tmp_path: Path) -> None:
    write(tmp_path / "1.xml", batch(icsr("A"), icsr("B")))
    write(
        tmp_path / "2.xml",
        batch(icsr("C"), icsr("A"), icsr("A", text="More is known."), icsr("A", created="20240601")),
    )
    items = read(tmp_path)
    assert [i.case.report_id for i in accepted(items)] == ["A", "B", "C", "A", "A"]
    assert [(r.code, r.source, r.place) for r in refused(items)] == [("VM-1409", "2.xml", "ICSR 2")]
    names = [i.case.message_id for i in accepted(items)]
    assert len(set(names)) == len(names)


def test_the_limit_counts_what_is_read(tmp_path: Path) -> None:
    write(tmp_path / "0.txt", "notes")
    write(tmp_path / "1.jsonl", line("A") + "broken\n" + line("B") + line("C"))
    for limit in range(6):
        items = read(tmp_path, limit)
        assert len(accepted(items)) + len(refused(items)) == min(limit, 4)
    assert [type(i) for i in read(tmp_path, 2)] == [Skipped, Accepted, Refusal]


def test_the_sum_over_a_mixed_folder(tmp_path: Path) -> None:
    write(tmp_path / "a.xml", batch(icsr("A"), icsr("B", text="</x>"), icsr("C")))
    write(tmp_path / "b.jsonl", line("D") + "{\n" + line("E"))
    vaers_folder(tmp_path, [vaers_row("1"), vaers_row("2")[:-3], vaers_row("3")])
    items = read(tmp_path)
    assert [i.case.report_id for i in accepted(items)] == ["1", "3", "A", "C", "D", "E"]
    assert sorted(r.code for r in refused(items)) == ["VM-1405", "VM-1411", "VM-1413"]
    assert len([i for i in items if isinstance(i, Skipped)]) == 2


def test_reading_again_gives_the_same_messages(tmp_path: Path) -> None:
    vaers_folder(tmp_path, [vaers_row("1"), vaers_row("2")])
    write(tmp_path / "a.xml", batch(icsr("A")))
    write(tmp_path / "b.jsonl", line("D"))
    first, second = ([i.case for i in accepted(read(tmp_path))] for _ in range(2))
    assert first == second


def test_a_refusal_reads_as_a_sentence(tmp_path: Path) -> None:
    (refusal,) = refused(read(write(tmp_path / "b.jsonl", "{\n" + line("E"))))[:1]
    assert re.fullmatch(r"VM-1413 b\.jsonl, line 1: .+; do: .+", str(refusal))


def test_every_code_of_this_room_is_explained() -> None:
    used = set()
    for path in (ROOT / "services" / "vigimesh" / "intake").glob("*.py"):
        used |= set(re.findall(r"VM-14\d\d", path.read_text(encoding="utf-8")))
    assert used == {code for code in explanations() if code.startswith("VM-14")}
