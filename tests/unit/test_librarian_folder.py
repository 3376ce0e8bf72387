"""Files of documents: found, named, read; and a watched folder of mixed files."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from libraries import note
from vigimesh import names
from vigimesh.adapters.memory.library import MemoryLibrary
from vigimesh.adapters.memory.telemetry import MemoryTelemetry
from vigimesh.background.librarian.folder import MAX_FILES, files_below, read_files
from vigimesh.background.librarian.watch import AGAIN_S, Watch
from vigimesh.errors import Refused, Transient

NOTE = """---
id: product/zelora
version: {version}
title: Zelora
kind: reference
names: Zelora
---
# Zelora

## Listed reactions

Common: {listed}.
"""
NAMED = 'id = "guidance/x"\nversion = "1.0"\ntitle = "X"\n'
LABEL = """<?xml version="1.0"?>
<document xmlns="urn:hl7-org:v3"><setId root="11111111-2222-3333-4444-555555555555"/><versionNumber value="3"/>
<component><structuredBody><component><section><code code="34084-4" codeSystem="2.16.840.1.113883.6.1"/>
<title>6 ADVERSE REACTIONS</title><text><paragraph>Hiccups.</paragraph></text></section></component></structuredBody></component>
</document>"""


class Hand:
    """A clock whose hand is moved by the test."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def monotonic_s(self) -> float:
        return self.at_s


def mixed(folder: Path) -> Path:
    """Fill a folder with what a company keeps in one."""
    (folder / "deep").mkdir()
    (folder / "deep" / "zelora.md").write_text(NOTE.format(version="1.0", listed="Hiccups"))
    (folder / "label.xml").write_text(LABEL)
    (folder / "x.txt").write_text("1. Scope\n\nText.\n")
    (folder / "x.txt.toml").write_text(NAMED)
    (folder / "bare.txt").write_text("Text of nobody.")
    (folder / "old.doc").write_bytes(b"\xd0\xcf\x11\xe0 word")
    (folder / "latin.md").write_bytes(NOTE.format(version="1.0", listed="5 \u00b5g").encode("latin-1"))
    (folder / ".hidden.md").write_text("passed over")
    (folder / "link.md").symlink_to(folder / "x.txt")
    return folder


def watch(folder: Path, library: MemoryLibrary | None = None, clock: Hand | None = None) -> Watch:
    return Watch(
        folder=folder, library=library or MemoryLibrary(), telemetry=MemoryTelemetry(), clock=clock or Hand(),  # type: ignore[arg-type]
        by="librarian.0",
    )  # fmt: skip


def look(duty: Watch) -> int:
    return asyncio.run(duty.step())


def test_every_file_of_a_folder_is_read_and_each_refused_one_named(tmp_path: Path) -> None:
    done = read_files(files_below(mixed(tmp_path)))
    assert {(path.name, source.document.id) for path, source in done.read} == {
        ("zelora.md", "product/zelora"),
        ("label.xml", "label/11111111-2222-3333-4444-555555555555"),
        ("x.txt", "guidance/x"),
    }
    assert {(path.name, error.code) for path, error in done.refused} == {
        ("bare.txt", "VM-1503"),
        ("old.doc", "VM-1511"),
        ("latin.md", "VM-1510"),
    }


@pytest.mark.parametrize(
    "wrong",
    ['id = "guidance/x"', NAMED + 'nmaes = ["X"]', NAMED + "names = [1]", NAMED + 'names = "X"', "id =", "\udcff",
     NAMED + "#" * 70_000, NAMED.replace('"1.0"', "1.0"), NAMED.replace("guidance/x", "Guidance X")],
)  # fmt: skip
def test_a_file_that_names_another_wrongly_is_refused(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "x.txt").write_text("Text.")
    (tmp_path / "x.txt.toml").write_bytes(wrong.encode(errors="surrogateescape"))
    ((path, error),) = read_files(files_below(tmp_path)).refused
    assert (path.name, error.code) == ("x.txt", "VM-1503")


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="VM-2502"):
        files_below(tmp_path / "none")
    with pytest.raises(Refused, match="VM-2502"):
        look(watch(tmp_path / "none"))


def test_a_folder_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_FILES == 10_000
    monkeypatch.setattr("vigimesh.background.librarian.folder.MAX_FILES", 2)
    for number in range(2):
        (tmp_path / f"{number}.md").write_text("x")
    assert len(files_below(tmp_path)) == 2
    (tmp_path / "3.md").write_text("x")
    with pytest.raises(Refused, match="more than 2 files"):
        files_below(tmp_path)


def test_a_watched_folder_of_mixed_files_enters_once_it_stands_still(tmp_path: Path) -> None:
    library = MemoryLibrary()
    duty = watch(mixed(tmp_path), library)
    assert look(duty) == 0
    assert look(duty) == 3
    assert {one.by for one in library.documents()} == {"librarian.0"}
    assert [look(duty), look(duty)] == [0, 0]
    assert isinstance(duty.telemetry, MemoryTelemetry)
    refused = {code: duty.telemetry.total(names.DOCUMENTS_REFUSED, code=code) for code in ("VM-1503", "VM-1511", "VM-1510")}  # fmt: skip
    assert refused == {"VM-1503": 1, "VM-1511": 1, "VM-1510": 1}


def test_a_file_that_is_still_written_is_left_alone(tmp_path: Path) -> None:
    library = MemoryLibrary()
    duty = watch(tmp_path, library)
    file = tmp_path / "zelora.md"
    whole = NOTE.format(version="1.0", listed="Hiccups, Rash, Pallor")
    for end in range(120, len(whole), 7):
        file.write_text(whole[:end])
        assert look(duty) == 0
    file.write_text(whole)
    assert [look(duty), look(duty)] == [0, 1]
    assert library.source("product/zelora", "1.0").document.text.endswith("Pallor.\n")


def test_a_changed_file_enters_as_the_version_that_it_says(tmp_path: Path) -> None:
    library = MemoryLibrary()
    duty = watch(tmp_path, library)
    file = tmp_path / "zelora.md"
    for version, listed, entered in (("1.0", "Hiccups", 1), ("1.0", "Rash", 0), ("2.0", "Rash", 1)):
        file.write_text(NOTE.format(version=version, listed=listed))
        assert [look(duty), look(duty), look(duty)] == [0, entered, 0]
    assert "Hiccups" in library.source("product/zelora", "1.0").document.text
    assert library.known().current == {"product/zelora": "2.0"}
    assert isinstance(duty.telemetry, MemoryTelemetry)
    assert duty.telemetry.total(names.DOCUMENTS_REFUSED, code="VM-1502") == 1
    file.unlink()
    assert look(duty) == 0
    assert library.known().current == {"product/zelora": "2.0"}


def test_a_library_that_is_away_takes_the_file_later(tmp_path: Path) -> None:
    class Away(MemoryLibrary):
        def ingest(self, *_: object, **__: object) -> None:  # type: ignore[override]
            raise Transient("VM-1501", what="away")

    duty = watch(mixed(tmp_path), Away())
    look(duty)
    with pytest.raises(Transient):
        look(duty)
    duty.library = MemoryLibrary()
    assert look(duty) == 3


def test_an_unchanged_file_is_read_again_after_some_hours(tmp_path: Path) -> None:
    library, clock = MemoryLibrary(), Hand()
    duty = watch(tmp_path, library, clock)
    (tmp_path / "zelora.md").write_text(NOTE.format(version="1.0", listed="Hiccups"))
    look(duty)
    look(duty)
    (before,) = library.documents()
    clock.at_s = AGAIN_S - 1
    look(duty)
    assert library.documents()[0] == before
    clock.at_s = AGAIN_S
    look(duty)
    (after,) = library.documents()
    assert after.seen > before.seen
    assert after.at == before.at


def test_a_withdrawn_document_does_not_come_back_from_the_folder(tmp_path: Path) -> None:
    library, clock = MemoryLibrary(), Hand()
    duty = watch(tmp_path, library, clock)
    (tmp_path / "zelora.md").write_text(NOTE.format(version="1.0", listed="Hiccups"))
    look(duty)
    look(duty)
    assert library.source("product/zelora", "1.0") == note("1.0", "Hiccups")
    library.withdraw("product/zelora", by="Ada", reason="wrong")
    clock.at_s = AGAIN_S
    look(duty)
    look(duty)
    assert library.known().withdrawn == {"product/zelora"}
