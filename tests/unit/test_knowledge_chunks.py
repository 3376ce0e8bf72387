"""Documents in Markdown: front matter, passages with their place, and clear words about what is wrong."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigimesh.domain.knowledge.chunks import (
    CHUNK_CHARACTERS,
    MAX_NAMES,
    Document,
    chunks,
    parse,
    version_ordinal,
)
from vigimesh.errors import Refused

FRONT = "---\nid: product/x\nversion: 1.2\ntitle: X: what it is\nkind: reference\nnames: X; Xine\naliases: THE X\n---\n"


def document(text: str) -> Document:
    return parse(FRONT + text, "x.md")


def test_front_matter_is_read() -> None:
    found = document("# X\n\nText.\n")
    assert (found.id, found.version, found.title, found.kind) == (
        "product/x",
        "1.2",
        "X: what it is",
        "reference",
    )
    assert found.names == ("X", "Xine")
    assert found.aliases == ("THE X",)
    assert found.text == "# X\n\nText.\n"
    assert not found.general


def test_a_change_of_text_changes_the_digest() -> None:
    assert document("a").digest == document("a").digest != document("b").digest


def test_line_ends_do_not_change_the_digest() -> None:
    assert parse((FRONT + "a\nb").replace("\n", "\r\n"), "x.md") == document("a\nb")


def test_versions_compare_as_numbers() -> None:
    assert version_ordinal("1.10") > version_ordinal("1.9") > version_ordinal("1")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "x.md, line 1); do: begin"),
        ("# X\n", "x.md, line 1"),
        (FRONT[: FRONT.rindex("\n---")], "does not end"),
        (FRONT.replace("version", "versoin"), "did you mean version?"),
        (FRONT.replace("version", "zzz"), "known are id, version"),
        (FRONT.replace("title: X", "title X").replace(": what it is", ""), "line 4"),
        (FRONT.replace("id: product/x\n", "id: product/x\nid: y\n"), "field id twice"),
        (FRONT.replace("id: product/x\n", "") + "text", "no id"),
        (FRONT.replace("kind: reference", "kind: label") + "text", "reference, guidance"),
        (FRONT.replace("1.2", "new") + "text", "numbers and dots"),
        (FRONT.replace("product/x", "Product X") + "text", "id is not"),
        (FRONT.replace("X; Xine", ";".join(map(str, range(MAX_NAMES + 1)))) + "text", "names and aliases"),
        (FRONT + " \n", "no text"),
        (FRONT + "a" * 1_100_000, "at most"),
    ],
)
def test_what_is_wrong_is_said(source: str, said: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(source, "x.md")
    assert caught.value.code == "VM-1503"
    assert "x.md" in caught.value.where
    assert caught.value.todo
    assert said in str(caught.value)


def test_a_passage_keeps_its_headings_and_its_place() -> None:
    found = document(
        "# X\n\nIntro.\n\n## Listed reactions\n\nRash.\n\n### Rare\n\nPallor.\n\n## Other\n\nEnd.\n"
    )
    pieces = chunks(found)
    assert [(p.section, p.text, p.listed) for p in pieces] == [
        ("X", "Intro.", False),
        ("X > Listed reactions", "Rash.", True),
        ("X > Listed reactions > Rare", "Pallor.", True),
        ("X > Other", "End.", False),
    ]
    assert all(found.text[p.start : p.end] == p.text for p in pieces)


def test_long_text_is_cut_between_paragraphs_then_sentences_then_words() -> None:
    paragraphs = chunks(document("a " * 400 + "\n\n" + "b " * 400))
    assert [set(p.text.split()) for p in paragraphs] == [{"a"}, {"b"}]
    sentences = chunks(document("One short sentence. " * 100))
    assert len(sentences) == 2
    assert sentences[0].text.endswith("sentence.")
    words = chunks(document("word " * 500))
    assert {word for p in words for word in p.text.split()} == {"word"}
    assert len(chunks(document("x" * (CHUNK_CHARACTERS * 2 + 1)))) == 3


@given(st.text(alphabet="ab .\n#\t\u00e4", max_size=4000))
def test_nothing_is_lost_and_nothing_is_too_long(text: str) -> None:
    found = Document(
        id="a", version="1", title="t", kind="guidance", names=(), aliases=(), text=text, digest=""
    )  # fmt: skip
    pieces = chunks(found)
    assert all(0 < len(p.text) <= CHUNK_CHARACTERS for p in pieces)
    assert all(text[p.start : p.end] == p.text for p in pieces)
    assert all(a.end <= b.start for a, b in pairwise(pieces))
    covered = {at for p in pieces for at in range(p.start, p.end)}
    outside = "".join(c for at, c in enumerate(text) if at not in covered)
    assert all(not line.strip() or line.startswith("#") for line in outside.splitlines())
