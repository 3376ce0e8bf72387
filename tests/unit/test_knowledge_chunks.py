"""Documents in Markdown: front matter, where it is cut, passages with their place, and clear words about what is wrong."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigimesh.domain.knowledge.chunks import (
    CHUNK_CHARACTERS,
    MAX_NAMES,
    Document,
    parse,
    pieces,
    version_ordinal,
)
from vigimesh.domain.knowledge.indexing import LISTING_CODES, indexed, lists_reactions
from vigimesh.domain.knowledge.sections import Place, opened
from vigimesh.domain.knowledge.texts import read_markdown
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
        ("", "VM-1503 it is empty (x.md)"),
        ("# X\n", "x.md, line 1); do: begin"),
        ("# X\n", "a file x.md.toml beside it"),
        (" \n", "it is empty"),
        (FRONT[: FRONT.rindex("\n---")], "does not end"),
        (FRONT.replace("version", "versoin"), "did you mean version?"),
        (FRONT.replace("version", "zzz"), "known are id, version"),
        (
            FRONT.replace("version", "zzz"),
            "if another program wrote it, write id, version and title into a file x.md.toml",
        ),
        (
            FRONT.replace("kind: reference\n", "") + "text",
            "no kind in the front matter (x.md); do: add a line such as `kind: guidance`",
        ),
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
    found = read_markdown((
        FRONT + "# X\n\nIntro.\n\n## Listed reactions\n\nRash.\n\n### Rare\n\nPallor.\n\n## Other\n\nEnd.\n"
    ).encode(), "x.md")  # fmt: skip
    shown = indexed(found)
    assert [(p.passage.place.section, p.passage.text, p.listed) for p in shown] == [
        ("X", "Intro.", False),
        ("X > Listed reactions", "Rash.", True),
        ("X > Listed reactions > Rare", "Pallor.", True),
        ("X > Other", "End.", False),
    ]
    assert all(opened(found.document, p.passage.place) == p.passage.text for p in shown)


@pytest.mark.parametrize("heading", ["LISTED REACTIONS", "listed reactions", "Listed Reactions"])
def test_the_heading_lists_reactions_in_whatever_case(heading: str) -> None:
    shown = indexed(read_markdown((FRONT + f"# X\n\n## {heading}\n\nRash.\n").encode(), "x.md"))
    assert [(p.passage.text, p.listed) for p in shown] == [("Rash.", True)]


@pytest.mark.parametrize("code", sorted(LISTING_CODES))
def test_a_section_of_a_label_that_lists_reactions_is_known_by_its_code(code: str) -> None:
    above = Place(document="label/x", version="1", path=("A", "B"), codes=(code, ""), start=0, end=1)
    assert lists_reactions(above)
    assert not lists_reactions(replace(above, codes=("34068-7", "")))


def test_rows_of_a_table_are_found_by_its_heading() -> None:
    rows = "".join(f"| Reaction {number} | {number} % |\n" for number in range(200))
    text = FRONT + f"# X\n\n| Zelphorin | share |\n| --- | --- |\n{rows}"
    shown = indexed(read_markdown(text.encode(), "x.md"))
    assert len(shown) > 2
    assert all("zelphorin" in p.words for p in shown)
    assert "Zelphorin" not in shown[-1].passage.text


def cut_text(text: str) -> list[str]:
    return [text[first:last] for first, last in pieces(text, 0, len(text))]


def test_long_text_is_cut_between_paragraphs_then_sentences_then_words() -> None:
    paragraphs = cut_text("a " * 400 + "\n\n" + "b " * 400)
    assert [set(p.split()) for p in paragraphs] == [{"a"}, {"b"}]
    sentences = cut_text("One short sentence. " * 100)
    assert len(sentences) == 2
    assert sentences[0].endswith("sentence.")
    assert {word for p in cut_text("word " * 500) for word in p.split()} == {"word"}
    assert len(cut_text("x" * (CHUNK_CHARACTERS * 2 + 1))) == 3


@given(st.text(alphabet="ab .\n#\t\u00e4", max_size=4000))
def test_nothing_is_lost_and_nothing_is_too_long(text: str) -> None:
    found = list(pieces(text, 0, len(text)))
    assert all(0 < last - first <= CHUNK_CHARACTERS for first, last in found)
    assert all(a[1] <= b[0] for a, b in pairwise(found))
    covered = {at for first, last in found for at in range(first, last)}
    assert not "".join(c for at, c in enumerate(text) if at not in covered).strip()
