"""Scanned pages: read where OCR is installed, marked wherever they are shown, refused by number where it is not sure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pdfs import DOT, Leaf, Picture, column, pdf
from vigimesh.adapters.models.ocr import DPI, MODELS, RapidOcr, installed, models_folder
from vigimesh.background.librarian.read import read_document
from vigimesh.background.librarian.scans import LEAST_MEAN, LEAST_SURE, MAX_SCANNED, in_rows
from vigimesh.domain.knowledge.indexing import indexed
from vigimesh.domain.knowledge.pages import READ_BY_OCR, page_at
from vigimesh.domain.knowledge.sections import opened
from vigimesh.domain.knowledge.texts import Identity
from vigimesh.errors import Misconfigured, Refused
from vigimesh.ports import PageReader, ScannedLine, ScannedPage

WHO = Identity(id="guidance/x", version="1.0", title="X")
TEXT = """1. Scope

This applies to all products of 5 mg,
whether they are sold or given away,
at home or elsewhere.

3. Undesirable effects

Common: Rash, Pain, Nausea.
Very rare (< 1/10,000): anaphylactic shock.
Do not give more than 2.5 mL in 24 hours."""
FIRST = """1. Scope

This applies to everybody
who holds a licence,
or asks for one."""
SECOND = """2. Duties

Report within 15 days,
or within 7 where somebody
died or might have."""
needs_ocr = pytest.mark.skipif(not installed(), reason="vigimesh[ocr] is not installed")


class Recognised:
    """A reader that has recognised pages before."""

    name = "test reader"

    def __init__(self, *pages: ScannedPage) -> None:
        self.pages, self.asked = {one.number: one for one in pages}, list[int]()

    def read(self, data: bytes, numbers: Sequence[int]) -> Sequence[ScannedPage]:
        del data
        self.asked += numbers
        return [self.pages[number] for number in numbers]


def page(number: int, text: str, sure: float = 0.99) -> ScannedPage:
    lines = [
        ScannedLine(words=words, x=x, y=y + number % 2, width=5.0 * len(words), height=10, sure=sure)
        for x, y, words in column(text)
    ]
    return ScannedPage(number=number, lines=tuple(lines))


def scan(text: str, noise: float = 0.0) -> Picture:
    """Draw a page of text as a picture, as a scanner of 150 dots per inch would see it."""
    import pypdfium2

    seen = (
        pypdfium2.PdfDocument(pdf(Leaf(column(text))))[0]
        .render(scale=DPI / 72)
        .to_numpy()[:, :, 0]
        .astype(float)
    )
    seen += np.random.default_rng(5).normal(0, noise, seen.shape) if noise else 0
    dots = seen.clip(0, 255).astype(np.uint8)
    return Picture(dots.shape[1], dots.shape[0], dots.tobytes())


@pytest.fixture(scope="module")
def ocr() -> PageReader:
    return RapidOcr()


@needs_ocr
@pytest.mark.timeout(300)
def test_a_page_drawn_as_a_picture_is_read_and_each_passage_says_so(ocr: PageReader) -> None:
    data = pdf(
        Leaf(column(FIRST)), Leaf(picture=scan(TEXT.replace("1. Scope", "2. Doses"))), Leaf(picture=scan(""))
    )
    source = read_document(data, "x.pdf", WHO, ocr)
    assert source.document.text.split("\n\n", 2)[2].rstrip() == TEXT.replace("1. Scope", "2. Doses")
    told = {one.passage.place.section: one.passage.text for one in indexed(source)}
    assert told["1. Scope"] == FIRST.split("\n\n")[1]
    scanned = [name for name in told if name != "1. Scope"]
    assert scanned == [f"{READ_BY_OCR} > 2. Doses", f"{READ_BY_OCR} > 3. Undesirable effects"]
    assert any(remark.startswith("pages 2 were read by OCR (RapidOCR ") for remark in source.remarks)
    assert "pages 3 are blank" in source.remarks


@needs_ocr
@pytest.mark.timeout(300)
def test_a_page_that_is_hardly_to_be_seen_is_refused_by_its_number(ocr: PageReader) -> None:
    data = pdf(Leaf(column(FIRST)), Leaf(picture=scan(TEXT, noise=400)), Leaf(picture=DOT))
    with pytest.raises(Refused, match=r"VM-1560 pages 2, 3 were not read surely") as caught:
        read_document(data, "x.pdf", WHO, ocr)
    assert "Markdown" in caught.value.todo


@needs_ocr
@pytest.mark.parametrize("part", sorted(MODELS))
@pytest.mark.parametrize("altered", [False, True])
def test_a_model_that_is_missing_or_altered_is_not_asked(part: str, altered: bool, tmp_path: Path) -> None:
    for name, (file, _) in MODELS.items():
        if name != part:
            (tmp_path / file).symlink_to(models_folder() / file)
        elif altered:
            (tmp_path / file).write_bytes((models_folder() / file).read_bytes()[:-1] + b"!")
    with pytest.raises(Misconfigured, match=rf"VM-1561 .*{MODELS[part][0]} is (missing|not the pinned one)"):
        read_document(pdf(Leaf(picture=DOT)), "x.pdf", WHO, RapidOcr(tmp_path))


@needs_ocr
def test_a_page_that_cannot_be_drawn_is_refused(ocr: PageReader) -> None:
    with pytest.raises(Refused, match="VM-1562"):
        ocr.read(b"%PDF-1.4 and no more", [1])


def test_only_pages_without_text_are_asked_for_and_stand_in_their_place() -> None:
    reader = Recognised(page(2, SECOND))
    source = read_document(pdf(Leaf(column(FIRST)), Leaf(picture=DOT)), "x.pdf", WHO, reader)
    assert reader.asked == [2]
    assert source.document.text == f"{FIRST}\n\n{SECOND}\n"
    assert [one.path for one in source.sections] == [("1. Scope",), (READ_BY_OCR, "2. Duties")]
    assert [len(one.codes) for one in source.sections] == [1, 2]
    for one in indexed(source):
        assert opened(source.document, one.passage.place) == one.passage.text
    assert page_at(source.remarks, source.document.text.index("15 days")) == 2


def test_a_section_that_reaches_into_a_scanned_page_is_marked_whole() -> None:
    reader = Recognised(page(2, "and nobody else."))
    source = read_document(pdf(Leaf(column(FIRST)), Leaf(picture=DOT)), "x.pdf", WHO, reader)
    assert [one.path for one in source.sections] == [(READ_BY_OCR, "1. Scope")]


@pytest.mark.parametrize(("sure", "refused"), [(LEAST_SURE, False), (LEAST_SURE - 0.01, True), (0.0, True)])
def test_one_unsure_line_refuses_its_page(sure: float, refused: bool) -> None:
    good = page(1, TEXT, 1.0)
    bad = replace(good, lines=(*good.lines[:-1], replace(good.lines[-1], sure=sure)))
    data = pdf(Leaf(picture=DOT))
    if not refused:
        assert read_document(data, "x.pdf", WHO, Recognised(bad)).document.text.rstrip() == TEXT
        return
    with pytest.raises(Refused, match="VM-1560 pages 1 were not read surely") as caught:
        read_document(data, "x.pdf", WHO, Recognised(bad))
    assert f"(page 1, {bad.lines[-1].words[:40]!r}: {sure:.3f} of 1, wanted 0.95)" in caught.value.what


def test_a_page_of_half_sure_lines_is_refused() -> None:
    data = pdf(Leaf(picture=DOT))
    read_document(data, "x.pdf", WHO, Recognised(page(1, TEXT, LEAST_MEAN)))
    with pytest.raises(Refused, match=r"VM-1560 pages 1 .*page 1 on average: 0\.9800 of 1, wanted 0\.985"):
        read_document(data, "x.pdf", WHO, Recognised(page(1, TEXT, LEAST_MEAN - 0.005)))


def test_a_page_that_gave_no_words_says_so() -> None:
    data = pdf(Leaf(picture=DOT))
    with pytest.raises(Refused, match=r"VM-1560 pages 1 .*page 1 shows something and gave no words"):
        read_document(data, "x.pdf", WHO, Recognised(page(1, "...", 1.0)))


def test_a_speck_refuses_nothing() -> None:
    speck = ScannedLine(words="\u2014 .", x=300, y=20, width=4, height=4, sure=0.1)
    good = page(1, TEXT, 1.0)
    read_document(pdf(Leaf(picture=DOT)), "x.pdf", WHO, Recognised(replace(good, lines=(*good.lines, speck))))


def test_columns_in_a_picture_are_refused_since_their_order_is_not_known() -> None:
    left = "\n".join(f"Left {number}" for number in range(8))
    both = page(1, left).lines + tuple(replace(one, x=320.0) for one in page(1, left).lines)
    with pytest.raises(Refused, match="VM-1560 pages 1 have columns or tables"):
        read_document(pdf(Leaf(picture=DOT)), "x.pdf", WHO, Recognised(ScannedPage(number=1, lines=both)))


def test_too_many_scanned_pages_are_refused_before_one_is_read() -> None:
    reader = Recognised()
    with pytest.raises(Refused, match=f"VM-1503 {MAX_SCANNED + 1} scanned pages"):
        read_document(pdf(*[Leaf(picture=DOT)] * (MAX_SCANNED + 1)), "x.pdf", WHO, reader)
    assert reader.asked == []


def test_pieces_of_a_row_that_stand_close_are_one_line() -> None:
    def piece(words: str, x: float, y: float) -> ScannedLine:
        return ScannedLine(words=words, x=x, y=y, width=20, height=10, sure=1)

    found = in_rows(
        [piece("below", 50, 700), piece("Scope", 75, 721), piece("1.", 50, 720), piece("far", 300, 719)]
    )
    assert [(one.words, one.x, one.y) for one in found] == [
        ("1. Scope", 50, 721),
        ("far", 300, 721),
        ("below", 50, 700),
    ]
