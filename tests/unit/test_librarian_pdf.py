"""Guidance in PDF: text with paragraphs and pages, columns told, pages that are pictures refused by number."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from growth import growth
from pdfs import DOT, Leaf, column, pdf
from vigimesh.background.librarian.pdf import PDF_BYTES
from vigimesh.background.librarian.read import read_document
from vigimesh.domain.knowledge.chunks import DOCUMENT_CHARACTERS
from vigimesh.domain.knowledge.cutting import cut
from vigimesh.domain.knowledge.pages import page_at
from vigimesh.domain.knowledge.sections import Sectioned, opened
from vigimesh.domain.knowledge.texts import Identity
from vigimesh.errors import Refused

WHO = Identity(id="guidance/x", version="1.0", title="X")
FIRST = """1. Scope

This applies to (all) products
of 5 \u00b5g and of 5 mg, whether
they are sold or given away,
and to what is made of them,
at home or elsewhere.

1.1 Who

A holder writes: \\ once."""
SECOND = """2. Duties

Report within 15 days."""


def read(*leaves: Leaf) -> Sectioned:
    return read_document(pdf(*leaves), "x.pdf", WHO)


def test_paragraphs_headings_and_pages_are_kept() -> None:
    source = read(Leaf(column(FIRST)), Leaf(column(SECOND)))
    assert source.document.text == f"{FIRST}\n\n{SECOND}\n"
    assert [one.path for one in source.sections] == [("1. Scope",), ("1. Scope", "1.1 Who"), ("2. Duties",)]
    for passage in cut(source).passages:
        assert opened(source.document, passage.place) == passage.text
        assert page_at(source.remarks, passage.place.start) == (2 if "15 days" in passage.text else 1)
    assert [remark for remark in source.remarks if not remark.startswith("pages begin")] == []


def test_what_the_page_breaks_stays_one_paragraph() -> None:
    source = read(Leaf(column("A holder shall report\nwithin")), Leaf(column("15 days, and\nno later.")))
    assert source.document.text == "A holder shall report\nwithin\n\n15 days, and\nno later.\n"
    source = read(Leaf(column("A holder shall report")), Leaf(column("within 15 days.")))
    (passage,) = cut(source).passages
    assert passage.text == "A holder shall report\n\nwithin 15 days."


def test_columns_are_read_as_they_are_drawn_and_told() -> None:
    left = "\n".join(f"Left line {number}" for number in range(8))
    right = left.replace("Left", "Right")
    source = read(Leaf(column(FIRST)), Leaf([*column(left), *column(right, x=310)]))
    assert source.document.text.endswith(f"{left}\n\n{right}\n")
    (told,) = [remark for remark in source.remarks if "columns" in remark]
    assert told.startswith("pages 2 may have columns")


@pytest.mark.parametrize("others", [0, 2])
def test_a_scan_is_refused_with_its_pages(others: int) -> None:
    leaves = [Leaf(picture=DOT), *[Leaf(column(SECOND))] * others, Leaf(picture=DOT)]
    with pytest.raises(
        Refused, match=rf"VM-2503 pages 1, {others + 2} of {others + 2} have no text"
    ) as caught:
        read(*leaves)
    assert "install vigimesh[ocr]" in caught.value.todo


def test_a_long_scan_names_some_pages() -> None:
    with pytest.raises(Refused, match=r"pages 1, 2, .*, 12 and 18 more of 30"):
        read(*[Leaf(picture=DOT)] * 30)


def test_blank_pages_and_pictures_beside_text_are_told() -> None:
    source = read(Leaf(column(FIRST)), Leaf(), Leaf(column(SECOND), picture=DOT))
    assert "pages 2 are blank" in source.remarks
    assert any(remark.startswith("pages 3 have pictures") for remark in source.remarks)
    assert page_at(source.remarks, source.document.text.index("15 days")) == 3


@pytest.mark.parametrize(
    ("data", "identity", "code", "said"),
    [
        (pdf(Leaf(column(FIRST))), None, "VM-1503", "x.pdf.toml"),
        (pdf(Leaf(column(FIRST)), encrypted=True), WHO, "VM-1511", "encrypted"),
        (pdf(Leaf([(50, 700, "5 \x01g")])), WHO, "VM-1510", "OCR"),
        (b"%PDF-1.7 ...", WHO, "VM-1511", "cannot be read as PDF"),
        (pdf(Leaf(column(FIRST)))[:300], WHO, "VM-1511", "cannot be read as PDF"),
        (pdf(Leaf(), Leaf()), WHO, "VM-1512", "no section has text"),
        (b"%PDF-1.4" + b"x" * PDF_BYTES, WHO, "VM-1503", "at most"),
        (pdf(*[Leaf([(50, 700, "x" * 100_000)])] * (DOCUMENT_CHARACTERS // 100_000 + 1)), WHO, "VM-1503", "first 11 pages"),
    ],
)  # fmt: skip
def test_a_bad_pdf_has_a_stated_outcome(
    data: bytes, identity: Identity | None, code: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Refused) as caught:
        read_document(data, "x.pdf", identity)
    assert caplog.messages == []  # the library's own words would stand between ours on standard error
    assert caught.value.code == code
    assert said in str(caught.value)


def test_time_grows_with_the_pages() -> None:
    leaf = Leaf(column("\n".join(f"Line {number} of the page." for number in range(50))))

    def work(pages: int) -> Callable[[], object]:
        data = pdf(*[leaf] * pages)
        return lambda: read_document(data, "x.pdf", WHO)

    assert growth(work, 10) < 16
