"""`vigimesh knowledge`: what enters and what is refused, how a citation opens, how a document is taken back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from libraries import note
from vigimesh.adapters.memory.library import MemoryLibrary
from vigimesh.app.commands import knowledge as knowledge_cli
from vigimesh.app.config.settings import Settings
from vigimesh.app.operators.citations import open_citation, read_citation
from vigimesh.domain.knowledge.pages import page_at, pages_remark
from vigimesh.domain.knowledge.texts import Identity, read_text
from vigimesh.errors import Refused

NOTE = "---\nid: product/zelora\nversion: 1.0\ntitle: Zelora\nkind: reference\nnames: Zelora\n---\n# Zelora\n\n## Listed reactions\n\nCommon: {}.\n"


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> MemoryLibrary:
    """Give the commands a library in memory, and no Kafka."""
    held = MemoryLibrary()

    @contextmanager
    def opened(_: Path | None) -> Iterator[tuple[MemoryLibrary, Settings]]:
        yield held, Settings()

    monkeypatch.setattr(knowledge_cli, "opened_library", opened)
    return held


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(knowledge_cli.app, [str(one) for one in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def body(*arguments: object) -> tuple[int, Any]:
    status, out, _ = run(*arguments, "--json")
    return status, json.loads(out)


def test_a_folder_enters_but_for_what_is_refused_by_name(library: MemoryLibrary, tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text(NOTE.format("Hiccups"))
    (tmp_path / "bare.txt").write_text("Text.")
    status, out, errors = run("ingest", tmp_path, "--by", "Ada")
    assert status == 1
    assert "new: product/zelora@1.0, 2 sections, 1 passages" in out
    assert f"refused: {tmp_path / 'bare.txt'}: VM-1503" in errors
    assert "the librarian does it: no Kafka is configured" in errors
    assert [(one.id, one.by) for one in library.documents()] == [("product/zelora", "Ada")]
    (tmp_path / "bare.txt").unlink()
    status, said = body("ingest", tmp_path)
    assert (status, [one["document"] for one in said["there"]], said["new"]) == (0, ["product/zelora"], [])


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_path_is_not_the_folder_where_the_command_runs(
    library: MemoryLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty: str
) -> None:
    (tmp_path / "good.md").write_text(NOTE.format("Hiccups"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused, match="VM-2502 the path is empty"):
        run("ingest", empty)
    assert library.documents() == []
    assert run("ingest", ".")[0] == 0


def test_nothing_that_enters_is_status_3(library: MemoryLibrary, tmp_path: Path) -> None:
    (tmp_path / "bare.txt").write_text("Text.")
    status, said = body("ingest", tmp_path)
    assert (status, [one["code"] for one in said["refused"]]) == (3, ["VM-1503"])
    assert library.documents() == []


def test_two_texts_under_one_number_are_refused_with_both_files(
    library: MemoryLibrary, tmp_path: Path
) -> None:
    for name, listed in (("a", "Hiccups"), ("b", "Rash")):
        (tmp_path / f"{name}.md").write_text(NOTE.format(listed))
    status, said = body("ingest", tmp_path)
    ((refused),) = said["refused"]
    assert (status, refused["code"]) == (3, "VM-1502")
    assert refused["file"] == f"{tmp_path / 'a.md'}, {tmp_path / 'b.md'}"
    assert library.documents() == []


def test_a_dry_run_stores_nothing(library: MemoryLibrary, tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text(NOTE.format("Hiccups"))
    status, said = body("ingest", tmp_path, "--dry-run")
    assert (status, said["new"][0]["passages"], said["dry_run"]) == (0, 1, True)
    assert library.documents() == []


def test_one_file_may_be_named_by_options_and_several_not(library: MemoryLibrary, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text("Text.")
    named = ("--id", "guidance/a", "--version", "1.0", "--title", "A")
    assert body("ingest", tmp_path / "a.txt", *named)[0] == 0
    assert library.known().current == {"guidance/a": "1.0"}
    with pytest.raises(Exception, match=r"VM-1102 --id names one document, and there are 2 files"):
        run("ingest", tmp_path, *named)
    assert run("ingest", tmp_path / "a.txt", "--id", "guidance/a")[0] == 2
    assert run("ingest", tmp_path / "a.txt", *named, "--kind", "guidnace")[0] == 2


def test_a_citation_as_it_stands_in_a_decision_opens(library: MemoryLibrary) -> None:
    source = note("1.0", "Hiccups")
    library.ingest([source, note("2.0", "Rash")], by="Ada")
    start = source.document.text.index("Common")
    cited = f"product/zelora@1.0#{start}-{start + 16}"
    status, said = body("show", cited)
    assert (status, said["text"], said["section"], said["state"]) == (
        0, "Common: Hiccups.", "Zelora > Listed reactions", "superseded",
    )  # fmt: skip
    assert body("show", "product/zelora@1.0", "--at", f"{start}-{start + 16}")[1] == said
    assert "Common: Hiccups." in run("show", cited)[1]
    assert body("show", "product/zelora")[1]["version"] == "2.0"
    assert [one["version"] for one in body("show")[1]["documents"]] == ["2.0", "1.0"]
    assert "current" in run("show")[1]
    for wrong in ("product/zelora@9.9#1-2", "product/zelora@1.0#1-99999", "nobody", "product/zelora@1.0#x"):
        with pytest.raises(Refused, match="VM-1514"):
            run("show", wrong)


def test_a_place_is_of_one_document(library: MemoryLibrary) -> None:
    library.ingest([note()], by="Ada")
    status, out, errors = run("show", "--at", "1-5")
    assert (status, out) == (2, "")
    assert "none is named" in errors


def test_of_several_files_the_end_counts_what_became_of_them(library: MemoryLibrary, tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text(NOTE.format("Hiccups"))
    assert "refused" not in run("ingest", tmp_path)[2]
    (tmp_path / "bare.txt").write_text("Text.")
    assert "0 new, 1 there already, 1 refused" in run("ingest", tmp_path)[2]
    (tmp_path / "good.md").write_text(NOTE.format("Rash").replace("1.0", "2.0"))
    assert "1 would enter, 0 there already, 1 refused" in run("ingest", tmp_path, "--dry-run")[2]
    assert [one.version for one in library.documents()] == ["1.0"]


def test_a_document_is_taken_back_with_a_reason(library: MemoryLibrary) -> None:
    library.ingest([note()], by="Ada")
    with pytest.raises(Refused, match="VM-1732"):
        run("withdraw", "product/zelora", "--reason", " ")
    status, said = body("withdraw", "product/zelora", "--reason", "of another product", "--by", "Eve")
    assert (status, said["version"], said["late"]) == (0, "1.0", "no Kafka is configured")
    shown = body("show", "product/zelora")[1]
    assert (shown["state"], shown["reason"]) == ("withdrawn by Eve", "of another product")
    with pytest.raises(Refused, match="VM-2501"):
        run("withdraw", "product/zelora", "--reason", "again")


def test_the_same_bytes_of_a_withdrawn_document_do_not_pass_for_a_return(
    library: MemoryLibrary, tmp_path: Path
) -> None:
    file = tmp_path / "good.md"
    file.write_text(NOTE.format("Hiccups"))
    run("ingest", file)
    assert "withdrawn" not in run("ingest", file)[1]
    library.withdraw("product/zelora", by="Eve", reason="of another product")
    assert "it is withdrawn, and nothing of it is served" in run("ingest", file)[1]
    assert [one["withdrawn"] for one in body("ingest", file)[1]["there"]] == [True]
    file.write_text(NOTE.format("Rash").replace("1.0", "2.0"))
    assert "withdrawn" not in run("ingest", file)[1]
    assert [one["withdrawn"] for one in body("ingest", file)[1]["there"]] == [False]


@pytest.mark.parametrize(
    ("at", "page"), [(0, 1), (9, 1), (10, 2), (29, 2), (30, 4), (1000, 4)]
)  # page 3 is empty: it begins where page 4 does
def test_a_character_stands_on_a_page(at: int, page: int) -> None:
    assert page_at(("other", pages_remark([0, 10, 30, 30])), at) == page
    assert page_at(("other", "pages begin at characters x"), at) == 0


def test_an_opened_citation_names_its_page() -> None:
    source = read_text(b"One.\n\nTwo.\n", "x.txt", Identity(id="guidance/x", version="1.0", title="X"))
    assert open_citation(source, (6, 10)).page == 0
    cited = read_citation("guidance/x@1.0#6-10")
    assert (cited.document, cited.version, cited.at) == ("guidance/x", "1.0", (6, 10))
