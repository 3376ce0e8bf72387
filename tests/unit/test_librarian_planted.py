"""Bugs of ingest, planted one by one: a folder that holds what goes wrong, and a judge that knows what is in it, find each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from clocks import Hand
from libraries import note
from pdfs import DOT, Leaf, column, pdf
from vigimesh.adapters.memory import library as memory_library
from vigimesh.adapters.memory.library import MemoryLibrary
from vigimesh.adapters.memory.telemetry import MemoryTelemetry
from vigimesh.background.librarian import folder as folders
from vigimesh.background.librarian import pdf as pdfs
from vigimesh.background.librarian import read as reading
from vigimesh.background.librarian import spl
from vigimesh.background.librarian.folder import files_below, read_files
from vigimesh.background.librarian.watch import Watch
from vigimesh.domain.knowledge import cutting, indexing, texts
from vigimesh.domain.knowledge.cutting import Cut
from vigimesh.domain.knowledge.editions import Edition
from vigimesh.domain.knowledge.indexing import indexed
from vigimesh.domain.knowledge.pages import READ_BY_OCR, page_at, pages_remark
from vigimesh.domain.knowledge.sections import Sectioned
from vigimesh.errors import VigimeshError
from vigimesh.ports import ScannedLine, ScannedPage

NOTE = "---\nid: product/{0}\nversion: {1}\ntitle: {0}\nkind: reference\nnames: {0}\n---\n# {0}\n\n## Listed reactions\n\nCommon: {2}.\n"
FIRST = "1. Scope\n\nThis applies to all\nwho hold a licence,\nor ask for one."
SECOND = "2. Duties\n\nReport a dose of 5 mg\nwithin 15 days, and a death\nwithin seven."
THIRD = SECOND.replace("2. Duties", "3. Ends").replace("dose", "death")
EMPTY = "<document xmlns='urn:hl7-org:v3'><setId root='a'/><versionNumber value='1'/><component><structuredBody/></component></document>"
#: File of the folder -> why it is refused.
REFUSED = {
    "latin.md": "VM-1510", "lost.md": "VM-1510", "empty.xml": "VM-1512", "bare.txt": "VM-1503", "unsure.pdf": "VM-1560",
    "word.doc": "VM-1511",
}  # fmt: skip


class Reader:
    """Recognises the second page of a PDF surely, and hardly anything on any first one."""

    name = "test reader"

    def read(self, data: bytes, numbers: Sequence[int]) -> Sequence[ScannedPage]:
        del data
        return [self._page(number) for number in numbers]

    @staticmethod
    def _page(number: int) -> ScannedPage:
        sure = 0.99 if number == 2 else 0.6
        lines = [
            ScannedLine(words=words, x=x, y=y, width=5.0 * len(words), height=10, sure=sure)
            for x, y, words in column(SECOND)
        ]
        return ScannedPage(number=number, lines=tuple(lines))


def fill(folder: Path) -> None:
    """Put everything into the folder that a person might."""
    (folder / "deep").mkdir()
    (folder / "deep" / "quill.md").write_text(NOTE.format("quill", "1.0", "Hiccups, Rash"))
    (folder / "latin.md").write_bytes(NOTE.format("latin", "1.0", "5 \u00b5g").encode("latin-1"))
    (folder / "lost.md").write_text(NOTE.format("lost", "1.0", "5 \ufffdg"))
    (folder / "empty.xml").write_text(EMPTY)
    (folder / "bare.txt").write_text("Text of nobody.")
    (folder / "word.doc").write_bytes(b"PK\x03\x04 word")
    (folder / ".draft.md").write_text(NOTE.format("draft", "1.0", "Rash"))
    for name, leaves in (
        ("unsure.pdf", (Leaf(picture=DOT),)),
        ("guide.pdf", (Leaf(column(FIRST)), Leaf(picture=DOT), Leaf(column(THIRD)))),
    ):
        (folder / name).write_bytes(pdf(*leaves))
        (folder / f"{name}.toml").write_text(f'id = "guidance/{name[:5]}"\nversion = "1.0"\ntitle = "T"\n')


def of_files(folder: Path) -> list[str]:
    """Say what is wrong with what came of the folder's files."""
    done, wrong = read_files(files_below(folder), scans=Reader()), list[str]()
    codes = {path.name: error.code for path, error in done.refused}
    wrong += [f"{name}: {codes.get(name)}" for name, code in REFUSED.items() if codes.get(name) != code]
    read = {path.name: source for path, source in done.read}
    if set(read) != {"quill.md", "guide.pdf"}:
        return [*wrong, f"read {sorted(read)}"]
    for source in read.values():
        held = "".join(one.passage.text for one in indexed(source))
        wrong += [
            f"lost {word}"
            for word in ("Hiccups, Rash", "5 mg", "seven")
            if word in source.document.text and word not in held
        ]
    return wrong + of_pages(read["guide.pdf"])


def of_pages(guide: Sectioned) -> list[str]:
    """Say which passage stands on a wrong page, or does not say that it was read by OCR."""
    wrong = []
    for one in indexed(guide):
        page = 1 if "licence" in one.passage.text else 3 if "death of" in one.passage.text else 2
        place = one.passage.place
        if page_at(guide.remarks, place.start) != page:
            wrong.append(f"page of {place}")
        if (page == 2) != place.section.startswith(READ_BY_OCR):
            wrong.append(f"mark of {place}")
    return wrong


def of_versions() -> list[str]:
    """Say what is wrong with versions that came, came again, and were taken back."""
    library, wrong = MemoryLibrary(clock=Hand()), list[str]()
    both = library.ingest([note("1.0", "Rash", "product/both"), note("1.0", "Pain", "product/both")], by="a")
    if both.new or len(both.conflicts) != 1:
        wrong.append("of two texts of one number one entered")
    for version, listed in (("1.10", "Rash"), ("1.9", "Pain"), ("1.10", "Other"), ("1.10", "Rash")):
        library.ingest([note(version, listed)], by="a")
    if library.known().current.get("product/zelora") != "1.10":
        wrong.append("an older version is current")
    if "Rash" not in library.source("product/zelora", "1.10").document.text:
        wrong.append("a version changed")
    told = [(one.document_id, one.version) for one in library.unannounced(9)]
    if told != [("product/zelora", "1.10")]:
        wrong.append(f"told {told}")
    library.withdraw("product/zelora", by="a", reason="wrong")
    library.ingest([note("1.10", "Rash"), note("1.8", "Old")], by="a")
    if library.known().current:
        wrong.append("a withdrawn document came back")
    return wrong


def of_watching(folder: Path) -> list[str]:
    """Say whether a file was taken while it was written, or more than once, or not at all."""
    library = MemoryLibrary(clock=Hand())
    duty = Watch(
        folder=folder, library=library, telemetry=MemoryTelemetry(), clock=Hand(), by="w", scans=Reader()
    )
    slow, whole = folder / "slow.md", NOTE.format("slow", "1.0", "Rash, Pain, Fever")
    came = []
    for text in (whole[:-12], whole, whole, whole):
        slow.write_text(text)
        came.append(asyncio.run(duty.step()))
    slow.unlink()
    held = [
        library.source(one.id, one.version).document.text
        for one in library.documents()
        if one.id == "product/slow"
    ]
    whole_text = [text for text in held if "Fever" in text]
    return [] if (sum(came), len(held), len(whole_text)) == (3, 1, 1) else [f"watched {came}, {held}"]


def faults(folder: Path) -> list[str]:
    try:
        return [*of_files(folder), *of_versions(), *of_watching(folder)]
    except VigimeshError as error:
        return [f"nothing else was read: {error}"]


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    fill(tmp_path)
    return tmp_path


def test_nothing_is_wrong_without_a_bug(inbox: Path) -> None:
    assert faults(inbox) == []


Patch = Callable[[pytest.MonkeyPatch], None]


def _guesses_the_encoding(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        texts, "decoded", lambda data, where, named="": data.decode("utf-8", "replace").replace("\ufffd", "u")
    )


def _takes_lost_signs(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(texts, "printable", lambda text, where, todo="": text)


def _enters_labels_without_sections(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(spl, "citable", lambda source, where, todo: source)


def _names_a_text_by_its_file(patch: pytest.MonkeyPatch) -> None:
    def named(form: str, where: str) -> texts.Identity:
        return texts.Identity(id=f"guidance/{where.partition('.')[0]}", version="1.0", title=form)

    patch.setattr(reading, "_nameless", named)


def _stops_at_the_first_refusal(patch: pytest.MonkeyPatch) -> None:
    class Unseen(Exception):
        """What no reader raises."""

    patch.setattr(folders, "VigimeshError", Unseen)


def _reads_hidden_files(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        folders,
        "_below",
        lambda path: (one for one in path.rglob("*") if one.is_file() and one.suffix != ".toml"),
    )


def _passes_scanned_pages_over(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pdfs, "_draws", lambda page: False)


def _believes_ocr(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pdfs, "check_sure", lambda pages, where, todo: None)


def _hides_ocr(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pdfs, "marked_ocr", lambda source, numbers: source)


def _counts_pages_wrongly(patch: pytest.MonkeyPatch) -> None:
    real = pages_remark
    patch.setattr(pdfs, "pages_remark", lambda begins: real([0, *[at + 40 for at in begins[1:]]]))


def _loses_the_last_passage(patch: pytest.MonkeyPatch) -> None:
    real = cutting.cut

    def short(source: Sectioned) -> Cut:
        found = real(source)
        return replace(found, passages=found.passages[:-1])

    patch.setattr(indexing, "cut", short)


def _lets_a_number_have_two_texts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Edition, "agrees", lambda self, other: True)


def _compares_versions_as_words(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(memory_library, "version_ordinal", lambda version: version)


def _forgets_that_it_was_withdrawn(patch: pytest.MonkeyPatch) -> None:
    real = MemoryLibrary._enter

    def enter(self: MemoryLibrary, sources: Sequence[Sectioned], by: str) -> None:
        for name, (source, shelved) in self._held.items():
            self._held[name] = source, replace(shelved, withdrawn_by="")
        real(self, sources, by)

    patch.setattr(MemoryLibrary, "_enter", enter)


def _announces_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryLibrary, "_tell", lambda self, made: None)


def _takes_what_is_still_written(patch: pytest.MonkeyPatch) -> None:
    real = Watch._stands_still

    def still(self: Watch, path: Path) -> bool:
        return real(self, path) or self._seen[path].done_s is None

    patch.setattr(Watch, "_stands_still", still)


def _never_sees_a_change(patch: pytest.MonkeyPatch) -> None:
    real = Watch._stands_still
    patch.setattr(Watch, "_stands_still", lambda self, path: path not in self._seen and real(self, path))


#: Each bug with what the judge says of it.
PLANTS: Sequence[tuple[Patch, str]] = (
    (_guesses_the_encoding, "latin.md: None"),
    (_takes_lost_signs, "lost.md: None"),
    (_enters_labels_without_sections, "empty.xml: None"),
    (_names_a_text_by_its_file, "bare.txt: None"),
    (_stops_at_the_first_refusal, "nothing else was read"),
    (_reads_hidden_files, ".draft.md"),
    (_passes_scanned_pages_over, "unsure.pdf: VM-1512"),
    (_believes_ocr, "unsure.pdf: None"),
    (_hides_ocr, "mark of"),
    (_counts_pages_wrongly, "page of"),
    (_loses_the_last_passage, "lost Hiccups"),
    (_lets_a_number_have_two_texts, "of two texts of one number one entered"),
    (_compares_versions_as_words, "an older version is current"),
    (_forgets_that_it_was_withdrawn, "a withdrawn document came back"),
    (_announces_nothing, "told []"),
    (_takes_what_is_still_written, "watched [3, 0, 0, 0]"),
    (_never_sees_a_change, "watched [0, 0, 0, 0]"),
)


@pytest.mark.parametrize(("plant", "said"), PLANTS, ids=[plant.__name__ for plant, _ in PLANTS])
def test_a_planted_bug_is_found(
    plant: Patch, said: str, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    assert said in "; ".join(faults(inbox))
