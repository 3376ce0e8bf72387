"""Guidance from bytes: encodings, front matter, headings of both kinds; which editions may enter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigimesh.domain.knowledge.cutting import cut
from vigimesh.domain.knowledge.editions import Edition, sort_out
from vigimesh.domain.knowledge.sections import Sectioned
from vigimesh.domain.knowledge.texts import SOURCE_BYTES, Identity, decoded, read_markdown, read_text
from vigimesh.errors import Refused

WHO = Identity(id="guidance/x", version="1.0", title="X")


def paths(source: Sectioned) -> list[str]:
    return [" > ".join(one.path) for one in source.sections]


def edition(text: str, version: str = "1.0") -> Sectioned:
    return read_text(text.encode(), "x.txt", replace(WHO, version=version))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_an_encoding_that_shows_itself_is_read(encoding: str) -> None:
    assert decoded("5 \u00b5g\r\n\u2265 3\rx".encode(encoding), "x") == "5 \u00b5g\n\u2265 3\nx"


@pytest.mark.parametrize(
    ("data", "named", "said"),
    [
        (b"dose 5 \xb5g", "", "byte 7 is not utf-8"),
        ("dose 5 mg".encode("utf-16-le"), "", "U+0000"),
        (b"\xff\xfea", "", "utf-16"),
        ("5 \u00b5g".encode(), "iso-8859-1", "its bytes are UTF-8"),
        (b"smart \x93quotes\x94", "iso-8859-1", "U+0093"),
        (b"\xef\xbb\xbfx", "iso-8859-1", "the mark of utf-8"),
        ("x".encode("utf-16"), "utf-8", "the mark of utf-16"),
        (b"x", "ebcdic-us", "not read"),
        ("lost \ufffd sign".encode(), "", "an earlier conversion lost"),
    ],
)
def test_a_document_in_the_wrong_encoding_is_refused_not_guessed(data: bytes, named: str, said: str) -> None:
    with pytest.raises(Refused) as caught:
        decoded(data, "x.md", named)
    assert caught.value.code == "VM-1510"
    assert said in caught.value.what
    assert caught.value.todo


def test_an_encoding_that_is_named_and_true_is_read() -> None:
    assert decoded(b"5 \xb5g", "x", "ISO-8859-1") == "5 \u00b5g"
    assert decoded(b"\x93x\x94", "x", "windows-1252") == "\u201cx\u201d"


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        outcome = "read" if cut(read_text(data, "x", WHO)).passages else "nothing to cite"
    except Refused as refused:
        outcome = refused.code
    assert outcome in {"read", "VM-1503", "VM-1510", "VM-1512"}


def test_front_matter_of_another_program_is_passed_over() -> None:
    front = '---\nsource:\n  family: "GUIDANCE"\n  pages: 4\n---\n'
    assert read_markdown(f"{front}# A\n\nText.\n".encode(), "x.md", WHO).document.text == "# A\n\nText.\n"
    for text in ("---\nno field here\n---\ntext", "---\nnever: ends\n", "text\n---\n"):
        assert read_markdown(text.encode(), "x.md", WHO).document.text == text


def test_headings_of_markdown_are_found_indented_too_and_not_in_code() -> None:
    text = "# A\n```\n# no heading\n```\n     ## B ##\n#hash\n## \n### " + "x" * 300 + "\n"
    assert paths(read_markdown(text.encode(), "x.md", WHO)) == ["A", "A > B"]


def test_numbered_headings_are_found_in_text() -> None:
    text = (
        "Contents\n\n1. Scope ........ 2\n2. Duties 3\n\n1. Scope\n\nText that\n2. goes on.\n\n1.1 Who\n\nText.\n\n"
        "1.3 Not next\n\n5.1.1 Under none\n\nText.\n\n(2) Not a heading\n\n2.\n\nDuties\nText.\n\n3. An item that ends.\n\n7\n\n4. Not next\n"
    )
    assert paths(edition(text)) == ["", "1. Scope", "1. Scope > 1.1 Who", "2. Duties"]
    assert paths(edition("I. First\nA. Inner\nText.\nII. Second\nText.\n\nI. Again\n\nText.\n")) == [
        "I. First", "I. First > A. Inner", "II. Second",
    ]  # fmt: skip


def test_a_text_without_headings_is_one_section() -> None:
    assert paths(edition("Only words.\n\nMore of them.\n")) == [""]


@pytest.mark.parametrize(
    ("data", "who", "code", "said"),
    [
        (b" \n ", WHO, "VM-1512", "no section has text"),
        (b"I. Title\n", WHO, "VM-1512", "no section has text"),
        (b"x" * (SOURCE_BYTES + 1), WHO, "VM-1503", "bytes"),
        (b"x" * (SOURCE_BYTES // 4 + 1), WHO, "VM-1503", "characters"),
        (b"x", replace(WHO, version="new"), "VM-1503", "numbers and dots"),
        (b"x", replace(WHO, id="No Id"), "VM-1503", "id is not"),
        (b"x", replace(WHO, names=tuple(map(str, range(65)))), "VM-1503", "65 names"),
    ],
)
def test_what_cannot_be_cited_is_refused(data: bytes, who: Identity, code: str, said: str) -> None:
    with pytest.raises(Refused) as caught:
        read_text(data, "x.txt", who)
    assert caught.value.code == code
    assert said in caught.value.what


def test_two_versions_with_one_number_and_different_texts_do_not_enter() -> None:
    one, other, fine = edition("One text."), edition("Another text."), edition("A third.", "2.0")
    found = sort_out([], [one, other, fine])
    assert found.new == (fine,)
    assert [(refused.code, refused.what) for refused in found.conflicts] == [
        ("VM-1502", "version 1.0 of guidance/x is there twice with different texts")
    ]
    assert all(one.document.digest[:12] in found.conflicts[0].where for one in (one, other))


def test_a_number_that_is_there_keeps_its_text() -> None:
    one, other = edition("One text."), edition("Another text.")
    found = sort_out([Edition.of(one)], [other, one])
    assert (found.new, found.there, len(found.conflicts)) == ((), (one,), 1)


def test_the_same_again_needs_nothing() -> None:
    one = edition("One text.\n")
    other_bytes = read_text(b"\xef\xbb\xbfOne text.\r\n", "x.txt", WHO)
    assert other_bytes.document.digest != one.document.digest
    found = sort_out([], [one, one, other_bytes])
    assert (found.new, len(found.there), found.conflicts) == ((one,), 2, ())
    read_otherwise = replace(Edition.of(one), reading="of an older release")
    assert sort_out([read_otherwise], [one]).conflicts == ()


@pytest.mark.data
def test_real_guidance_is_in_passages_whole(real_data: Path) -> None:
    read = [
        read_markdown(file.read_bytes(), file.name, replace(WHO, title=file.stem))
        for file in sorted((real_data / "reg_guidance").glob("*/*.md"))
    ]
    assert len(read) == 27
    assert sum(len(source.sections) > 1 for source in read) >= 20
    for source in read:
        text, found = source.document.text, cut(source)
        assert all(one.why == "heading" or not text[one.start : one.end].strip() for one in found.left_out)
        assert sum(len(p.text) for p in found.passages) / len(text) > 0.9
