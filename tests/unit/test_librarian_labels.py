"""SPL labels from bytes: sections by LOINC code, tables under their columns, and a stated outcome for each bad label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from growth import growth
from vigimesh.background.librarian.read import read_document
from vigimesh.background.librarian.spl import LOINC, NAMESPACE, read_label
from vigimesh.domain.knowledge.cutting import cut
from vigimesh.domain.knowledge.sections import Sectioned, opened
from vigimesh.domain.knowledge.texts import Identity
from vigimesh.errors import Refused

PRODUCT = (
    "<subject><manufacturedProduct><manufacturedProduct><name>Testorin <suffix>XR</suffix></name><asEntityWithGeneric>"
    "<genericMedicine><name>testorine sodium</name></genericMedicine></asEntityWithGeneric>{}</manufacturedProduct>"
    "</manufacturedProduct></subject>"
)
NO_XML = f"<document xmlns='{NAMESPACE}'><setId root='a'/><versionNumber value='1'/><component><nonXMLBody/></component></document>"
INGREDIENT = "<ingredient classCode='ACTIB'><ingredientSubstance><name>TESTORINE</name></ingredientSubstance></ingredient>"


def section(inner: str, code: str = "34084-4", title: str = "", sub: str = "") -> str:
    heading = f"<title>{title}</title>" if title else ""
    text = f"<text>{inner}</text>" if inner else ""
    below = "".join(f"<component>{one}</component>" for one in [sub] if one)
    return f"<section><code code='{code}' codeSystem='{LOINC}' displayName='NAMED'/>{heading}{text}{below}</section>"


def label(*sections: str, head: str = "<setId root='ABC-1'/><versionNumber value='7'/>") -> bytes:
    body = "".join(f"<component>{one}</component>" for one in sections)
    return (
        f"<?xml version='1.0' encoding='UTF-8'?><document xmlns='{NAMESPACE}'><title>Testorin label</title>"
        f"<effectiveTime value='20240131'/>{head}<component><structuredBody>{body}</structuredBody></component></document>"
    ).encode()


def text_of(inner: str) -> str:
    return read_label(label(section(inner)), "x.xml").document.text.strip()


def refusal(data: bytes, name: str = "x.xml") -> Refused:
    with pytest.raises(Refused) as caught:
        read_document(data, name)
    assert caught.value.todo
    assert name in caught.value.where
    return caught.value


def test_a_label_becomes_a_versioned_document_with_sections_by_code() -> None:
    inner = section("<paragraph>Skin.</paragraph>", "42229-5", "6.1 Trials")
    above = section("<paragraph>Common.</paragraph>", "34084-4", "6 Adverse Reactions", inner)
    source = read_document(
        label(f"<section>{PRODUCT.format(INGREDIENT)}</section>", above, section("Take it.", "34068-7")),
        "x.xml",
    )
    one = source.document
    assert (one.id, one.version, one.kind, one.title) == ("label/abc-1", "7", "reference", "Testorin label")
    assert (source.effective, one.names) == ("2024-01-31", ("Testorin", "testorine sodium", "TESTORINE"))
    assert [(p.place.path, p.place.codes, p.text) for p in cut(source).passages] == [
        (("6 Adverse Reactions",), ("34084-4",), "Common."),
        (("6 Adverse Reactions", "6.1 Trials"), ("34084-4", "42229-5"), "Skin."),
        (("NAMED",), ("34068-7",), "Take it."),
    ]
    assert all(opened(one, p.place) == p.text for p in cut(source).passages)


def test_a_product_of_two_substances_is_not_named_by_one_and_a_kit_not_by_its_parts() -> None:
    two = read_label(label(f"<section>{PRODUCT.format(INGREDIENT * 2)}</section>", section("x")), "x")
    part = f"<part><partProduct><name>Swab</name>{INGREDIENT}</partProduct></part>"
    kit = read_label(label(f"<section>{PRODUCT.format(part)}</section>", section("x")), "x")
    assert two.document.names == kit.document.names == ("Testorin", "testorine sodium")


def test_highlights_are_a_section_of_their_own() -> None:
    high = "<excerpt><highlight><text><paragraph>In short.</paragraph></text></highlight></excerpt></section>"
    source = read_label(label(section("At length.", title="Uses").replace("</section>", high)), "x.xml")
    assert [(p.place.section, p.text) for p in cut(source).passages] == [
        ("Uses", "At length."), ("Uses > Highlights", "In short."),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        ("a\n  b<paragraph> c  d </paragraph>e", "a b\n\nc d\n\ne"),
        ("10<sup>6</sup> mg/m<sup>2</sup> 25<sup>th</sup> H<sub>2</sub>O 36%<sup>1</sup>", "10^6 mg/m2 25th H2O 36%^1"),
        ("x<footnote ID='n'>why</footnote>, y<footnoteRef IDREF='n'/>", "x [note 1: why], y [note 1]"),
        ("x<footnote><paragraph>why</paragraph></footnote> y", "x [note 1: why ] y"),
        ("up<br/>down", "up\ndown"),
        ("<list><item>a</item><item>b<list listType='ordered'><item>c</item></list></item></list>z", "- a\n- b\n  1. c\n\nz"),
        ("<list><item><caption>iv)</caption>a</item><item/></list>z", "iv) a\n\nz"),
        ("<list><caption>Title</caption><item>a</item></list>", "Title\n- a"),
        ("kept <content revised='delete'>struck <sup>x</sup></content>also", "kept also"),
        ("a<!-- b -->c<?d e?>f", "acf"),
        ("<table><tr><td>only</td></tr><tr><td>frame</td></tr></table>", "only\n\nframe"),
        ("<table>stray<tr><td>a|b</td><td/></tr>late</table>end", "| stray a\\|b |  |\n\nlate\n\nend"),
    ],
)  # fmt: skip
def test_a_narrative_is_text(inner: str, text: str) -> None:
    assert text_of(inner) == text


def test_a_cell_stands_under_its_own_column() -> None:
    table = (
        "<table><caption>Table 1</caption><thead><tr><th rowspan='2'>Reaction</th><th colspan='2'>Dose</th></tr>"
        "<tr><th>5 mg</th><th>9 mg</th></tr></thead><tbody><tr><td rowspan='2'>Skin</td><td>1</td><td>2</td></tr>"
        "<tr><td>3</td><td><list><item>4</item><item>5</item></list></td></tr></tbody></table>"
    )
    assert text_of(table).splitlines() == [
        "Table 1", "| Reaction | Dose |  |", "| Reaction | 5 mg | 9 mg |", "| --- | --- | --- |", "| Skin | 1 | 2 |", "| Skin | 3 | 4 5 |",
    ]  # fmt: skip


def test_a_table_in_a_cell_is_read_in_its_cell() -> None:
    inner = "<table><tr><td>c</td><td>d</td></tr></table>"
    found = text_of(f"<table><tr><td>a</td><td>{inner}</td></tr><tr><td>e</td><td>f</td></tr></table>")
    assert found.splitlines() == ["| a | c; d; |", "| e | f |"]


def test_tables_in_tables_in_tables_lose_nothing() -> None:
    deep = "x"
    for level in range(40):
        deep = f"<table><tr><td>a{level}</td><td>{deep}</td></tr></table>"
    found = read_label(label(section(deep)), "x")
    assert all(f"a{level}" in found.document.text for level in range(40))
    assert "x" in found.document.text
    assert cut(found).passages


def test_a_cell_that_asks_for_any_length_is_bounded() -> None:
    row = "<tr>" + "<td colspan='64' rowspan='200'>y</td>" + "</tr>"
    wide = text_of(f"<table><tr><td colspan='999999999'>a</td><td rowspan='-1'>b</td></tr>{row}</table>")
    assert wide.splitlines()[0] == "| a | b |"
    cells = "".join(f"<td rowspan='200'>{'x' * 120}</td>" for _ in range(64))
    hostile = f"<table><tr>{cells}</tr>{'<tr><td>z</td></tr>' * 199}</table>"
    refused = refusal(label(section(hostile * 4)))
    assert refused.code == "VM-1503"
    assert "more than" in refused.what, "it was all written before it was found too long"


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (label(), "VM-1512", "no section has text"),
        (label("<section/>", section(" ", title="")), "VM-1512", "no section has text"),
        (label(section("", title="Title")), "VM-1512", "no section has text"),
        (label(section("<renderMultiMedia/>")), "VM-1512", "no section has text"),
        (NO_XML, "VM-1512", "no section has text"),
        (label(section("x"), head="<versionNumber value='7'/>"), "VM-1513", "no setId"),
        (label(section("x"), head="<setId root='a'/>"), "VM-1513", "no versionNumber"),
        (label(section("x"), head="<setId root='a'/><versionNumber value='new'/>"), "VM-1503", "numbers and dots"),
        (label(section("x")).replace(b"\x3c/text>", b""), "VM-1513", "mismatch"),
        (b"<?xml version='1.0'?><other/>", "VM-1513", "'other'"),
        (b"<document/>", "VM-1513", "not an SPL document"),
        (b"<?xml version='1.0'?><!-- a --><!doctype x [<!ENTITY e 'x'>]><document>&e;</document>", "VM-1513", "DOCTYPE"),
        (label(section("&undeclared;")), "VM-1513", "undeclared"),
        (label(section("<a>" * 300 + "</a>" * 300)), "VM-1513", "depth"),
        (label(section("5 \u00b5g")).decode().encode("latin-1"), "VM-1510", "is not UTF-8"),
        (label(section("5 \u00b5g")).replace(b"UTF-8", b"ISO-8859-1"), "VM-1510", "its bytes are UTF-8"),
        (label(section("x")).decode().encode("utf-16-le"), "VM-1510", "U+0000"),
    ],
)  # fmt: skip
def test_a_bad_label_has_a_stated_outcome(data: bytes | str, code: str, said: str) -> None:
    refused = refusal(data.encode() if isinstance(data, str) else data)
    assert refused.code == code
    assert said.lower() in refused.what.lower()


def test_a_label_whose_body_is_another_file_says_so() -> None:
    assert "nonXMLBody" in refusal(NO_XML.encode()).todo


def test_a_label_in_utf_16_or_latin_1_that_says_so_is_read() -> None:
    plain = label(section("5 \u00b5g")).decode()
    for encoding in ("utf-16", "iso-8859-1"):
        source = read_label(plain.replace("UTF-8", encoding).encode(encoding), "x.xml")
        assert source.document.text == "5 \u00b5g\n\n"


def test_what_is_not_read_is_remarked() -> None:
    source = read_label(label(section("x<renderMultiMedia/><content revised='delete'>y</content>")), "x.xml")
    assert len(source.remarks) == 2
    assert source.remarks[0].startswith("1 picture is not read")


@pytest.mark.parametrize(
    ("data", "name", "code", "said"),
    [
        (b"%PDF-1.7 ...", "x.pdf", "VM-1503", "a PDF does not say which document"),
        (b"junk\n%PDF-1.4", "x.txt", "VM-1503", "a PDF"),
        (b"PK\x03\x04...", "x.docx", "VM-1511", "Word"),
        (b"{\\rtf1", "x.rtf", "VM-1511", "RTF"),
        (b"words", "x.txt", "VM-1503", "which document"),
        (b"words", "x.md", "VM-1503", "front matter"),
    ],
)
def test_a_form_that_is_not_read_is_said(data: bytes, name: str, code: str, said: str) -> None:
    refused = refusal(data, name)
    assert refused.code == code
    assert said in refused.what


def test_text_and_markdown_are_read_by_name() -> None:
    who = Identity(id="guidance/x", version="1", title="X")
    assert [s.path for s in read_document(b"# A\n\nb\n", "x.MD", who).sections] == [("A",)]
    assert [s.path for s in read_document(b"# A\n\nb\n", "x.txt", who).sections] == [()]


@given(st.text(max_size=60), st.integers(0, 400))
def test_a_label_that_was_damaged_is_read_or_refused(junk: str, at: int) -> None:
    whole = label(section("<table><tr><td>a</td></tr></table><list><item>b</item></list>"))
    try:
        cut(read_document(whole[:at] + junk.encode() + whole[at + 9 :], "x.xml"))
        code = ""
    except Refused as refused:
        code = refused.code
    assert code in {"", "VM-1503", "VM-1510", "VM-1511", "VM-1512", "VM-1513"}


@pytest.mark.parametrize(
    "unit",
    ["<paragraph>a</paragraph>", "<table><tr><td>a</td><td>b</td></tr></table>", "<list><item>a</item></list>", "a<br/>", "x<sup>2</sup>"],
)  # fmt: skip
def test_time_grows_with_the_label(unit: str) -> None:
    def prepare(size: int) -> Callable[[], Sectioned]:
        data = label(section(unit * size))
        return lambda: read_label(data, "x.xml")

    assert growth(prepare, 500) < 20


@pytest.mark.data
def test_real_labels_lose_no_sign(real_data: Path) -> None:
    files = sorted((real_data / "spl_full" / "spl").glob("*.xml"))
    assert len(files) == 6
    for file in files:
        source = read_document(file.read_bytes(), file.name)
        given_signs: Counter[str] = Counter()
        for one in etree.fromstring(file.read_bytes()).iter(f"{{{NAMESPACE}}}section"):
            parts = [one.find(f"{{{NAMESPACE}}}title"), *one.iterfind(f"{{{NAMESPACE}}}text")]
            parts += one.iterfind(f"{{{NAMESPACE}}}excerpt/{{{NAMESPACE}}}highlight/{{{NAMESPACE}}}text")
            given_signs.update(
                sign for part in parts if part is not None for words in part.itertext() for sign in str(words)
            )
        read_signs = Counter(source.document.text)
        assert {sign for sign in given_signs - read_signs if not sign.isspace()} == set()
        assert (
            "34084-4" in {code for one in source.sections for code in one.codes} or "OTC" in file.read_text()
        )
        assert sum(len(p.text) for p in cut(source).passages) / len(source.document.text) > 0.85
