"""What changed between two versions: every difference is stated and cited, nothing else, and only closed questions are answered."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libraries import note
from vigimesh.domain.knowledge.sections import Sectioned
from vigimesh.domain.knowledge.summaries import (
    MAX_STATEMENTS,
    MAX_UNITS,
    QUOTE_CHARACTERS,
    Cite,
    body_of,
    names_of,
    subject,
    summarise,
    summary_of,
)
from vigimesh.domain.knowledge.texts import read_markdown
from vigimesh.errors import Refused


def document(version: str, body: str, name: str = "product/zelora") -> Sectioned:
    front = f"---\nid: {name}\nversion: {version}\ntitle: Zelora note\nkind: reference\nnames: Zelora; Zeloric acid\n---\n"
    return read_markdown((front + body).encode(), "z.md")


OLD = """# Zelora note

For tests.

## Listed reactions

Common: Rash, Pain, Hiccups.

Rare: Oedema.

## Dose

One tablet a day.

Not for children.

| Age | Dose |
|---|---|
| 18 | 10 mg |
| 65 | 5 mg |

## Storage

Keep it dry.
"""
NEW = """# Zelora note

For
tests.

## Listed reactions

Common: Rash, Hiccups, Urticaria and Vertigo.

Rare: Oedema.

## Dose

One tablet a day.

| Age | Dose |
|---|---|
| 18 | 20 mg |
| 65 | 5 mg |

## Driving

Do not drive.
"""


def test_each_difference_is_stated_with_its_section_and_nothing_else_is() -> None:
    made = summarise(document("1.0", OLD), document("1.1", NEW))
    assert [(one.what, one.section.rpartition(" > ")[2], one.said) for one in made.statements] == [
        (
            "changed",
            "Listed reactions",
            "changed: 'Common: Rash, Pain, Hiccups.' -> 'Common: Rash, Hiccups, Urticaria and Vertigo.'",
        ),
        ("removed", "Dose", "removed: 'Not for children.'"),
        ("changed", "Dose", "changed: '| 18 | 10 mg |' -> '| 18 | 20 mg |'"),
        ("added", "Driving", "added: 'Do not drive.'"),
        ("removed", "Storage", "removed: 'Keep it dry.'"),
    ]
    assert [(one.what, one.term) for one in made.reactions] == [
        ("added", "Urticaria"),
        ("added", "Vertigo"),
        ("removed", "Pain"),
    ]
    assert made.left_out == 0


def test_every_statement_opens_at_its_place_in_its_version() -> None:
    old, new = document("1.0", OLD), document("1.1", NEW)
    made = summarise(old, new)

    def shown(source: Sectioned, cite: Cite) -> str:
        assert cite.version == source.document.version
        assert cite.passage_first <= cite.first < cite.last <= cite.passage_last
        return " ".join(source.document.text[cite.first : cite.last].split())

    for one in made.statements:
        for source, cite in ((old, one.older), (new, one.newer)):
            assert cite is None or f"'{shown(source, cite)}'" in one.said
        assert (one.older is None, one.newer is None) == (one.what == "added", one.what == "removed")
    for reaction in made.reactions:
        assert reaction.term in shown(new if reaction.what == "added" else old, reaction.cite)


def test_what_is_handed_on_is_of_the_current_version_only() -> None:
    old, new = document("1.0", OLD), document("1.1", NEW)
    made = summarise(old, new)
    assert {one.version for one in made.evidence} == {"1.1"}
    assert all(one.text == new.document.text[one.start : one.end] for one in made.evidence)
    # What is gone is shown by what is left of its section; of a section that is gone nothing is left.
    assert {one.section.rpartition(" > ")[2] for one in made.evidence} == {
        "Listed reactions",
        "Dose",
        "Driving",
    }
    less = summarise(document("1.0", OLD), document("1.1", OLD.replace("Not for children.\n\n", "")))
    assert [one.what for one in less.statements] == ["removed"]
    assert [one.section.rpartition(" > ")[2] for one in less.evidence] == ["Dose"]
    only_gone = summarise(document("1.0", OLD), document("1.1", OLD.partition("## Storage")[0]))
    assert [one.what for one in only_gone.statements] == ["removed"]
    assert only_gone.evidence == ()


def test_line_breaks_and_front_matter_are_no_change() -> None:
    made = summarise(document("1.0", OLD), document("1.1", OLD.replace("For tests.", "For\ntests.")))
    assert (made.statements, made.reactions, made.evidence) == ((), (), ())


def test_a_heading_in_other_letters_is_the_same_heading() -> None:
    new = OLD.replace("## Storage", "## STORAGE").replace("## Dose", "## dose").replace("18 | 10", "18 | 20")
    made = summarise(document("1.0", OLD), document("1.1", new))
    assert [(one.what, one.section.rpartition(" > ")[2], one.said) for one in made.statements] == [
        ("changed", "dose", "changed: '| 18 | 10 mg |' -> '| 18 | 20 mg |'"),
    ]
    assert made.reactions == ()


def test_of_headings_that_differ_in_letters_alone_each_keeps_its_own() -> None:
    old = "# Zelora note\n\n## Dose\n\nOne.\n\n## DOSE\n\nTwo.\n"
    new = "# Zelora note\n\n## DOSE\n\nTwo.\n\n## Dose\n\nOne.\n"
    assert summarise(document("1.0", old), document("1.1", new)).statements == ()
    gone = summarise(document("1.0", old), document("1.1", "# Zelora note\n\n## DOSE\n\nTwo.\n"))
    assert [one.said for one in gone.statements] == ["removed: 'One.'"]


def test_two_versions_of_one_document_are_compared_and_nothing_else() -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        summarise(document("1.0", OLD), document("1.0", NEW))
    with pytest.raises(ValueError, match="cannot be compared"):
        summarise(document("1.0", OLD), document("1.1", NEW, name="product/other"))


def test_the_same_versions_make_the_same_bytes_and_altered_ones_are_refused() -> None:
    made = summarise(document("1.0", OLD), document("1.1", NEW))
    body = body_of(made)
    assert body == body_of(summarise(document("1.0", OLD), document("1.1", NEW)))
    assert summary_of(body, "here") == made
    for broken in (b"", b"{}", body[:-1], body.replace(b'"older"', b'"elder"'), b"\xff" + body, b"[1]"):
        with pytest.raises(Refused, match="VM-2803"):
            summary_of(broken, "here")


def test_a_long_section_counts_as_changed_as_a_whole_and_statements_are_bounded() -> None:
    rows = "\n\n".join(f"Line {at}." for at in range(MAX_UNITS + 1))
    long = f"# Zelora note\n\n{rows}\n"
    made = summarise(document("1.0", long), document("1.1", long.replace("Line 7.", "Line seven.")))
    assert [one.what for one in made.statements] == ["changed"]
    assert summarise(document("1.0", long), document("1.1", long)).statements == ()
    many = "# Zelora note\n\n" + "\n\n".join(f"Word {at}." for at in range(MAX_STATEMENTS + 5)) + "\n"
    made = summarise(document("1.0", many), document("1.1", many.replace("Word", "Sign")))
    assert (len(made.statements), made.left_out) == (MAX_STATEMENTS, 5)


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["One.", "Two.", "Three.", "| a | b |", "- item"]), max_size=8),
       st.lists(st.sampled_from(["One.", "Two.", "Four.", "| a | c |", "- item"]), max_size=8))  # fmt: skip
def test_the_statements_lead_from_the_older_text_to_the_newer_one(old: list[str], new: list[str]) -> None:
    def body(units: list[str]) -> str:
        return "# Zelora note\n\nFirst.\n\n" + "\n\n".join(units) + "\n"

    made = summarise(document("1.0", body(old)), document("1.1", body(new)))
    gone = [one for one in made.statements if one.older]
    come = [one for one in made.statements if one.newer]
    # What was and did not go, with what came, is what there is: as bags of paragraphs.
    older, newer = document("1.0", body(old)).document.text, document("1.1", body(new)).document.text
    rest = sorted(old)
    for one in gone:
        assert one.older is not None
        rest.remove(older[one.older.first : one.older.last])
    added = [newer[one.newer.first : one.newer.last] for one in come if one.newer]
    assert sorted(rest + added) == sorted(new)


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("Label changes of Zelora", "zelora"),
        ("latest label changes of  Zelora?", "zelora"),
        ("The newest label changes for Zeloric acid.", "zeloric acid"),
        ("What changed in Zelora?", "zelora"),
        ("what has changed in the label of Zelora", "zelora"),
        ("Zelora latest label changes", "zelora"),
        ("Zelora: what changed?", "zelora"),
        ("Zelora Rash", ""),
        ("label changes", ""),
        ("what changed", ""),
        ("did the label changes of Zelora matter", ""),
        ("label changes of", ""),
        ("", ""),
    ],
)
def test_only_closed_questions_ask_of_changes(question: str, name: str) -> None:
    assert subject(question) == name


def test_a_document_is_asked_of_by_its_own_names() -> None:
    assert names_of(document("1.0", OLD)) == ("product/zelora", "zelora note", "zelora", "zeloric acid")
    assert names_of(note()) == ("product/zelora", "zelora")


def test_what_differs_is_in_the_quotes_of_two_long_paragraphs() -> None:
    words = " ".join(f"Sentence {number} says what both versions say." for number in range(40))
    old = f"# Zelora note\n\n{words} It may raise prolactin, and cause galactorrhea. {words}\n"
    new = old.replace("prolactin, and cause galactorrhea", "prolactin")
    ((one),) = summarise(document("1.0", old), document("1.1", new)).statements
    before, after = one.said.removeprefix("changed: ").split(" -> ")
    assert ("galactorrhea" in before, "galactorrhea" in after, "prolactin" in after) == (True, False, True)
    assert max(len(before), len(after)) <= QUOTE_CHARACTERS + len("'...  ...'")
    assert before.startswith("'... ")
    # What was added at the end is told as well, and the shorter side ends where it ends.
    ((one),) = summarise(
        document("1.0", f"# Z\n\n{words}\n"), document("1.1", f"# Z\n\n{words} New end.\n")
    ).statements
    before, after = one.said.removeprefix("changed: ").split(" -> ")
    assert (before.endswith("say.'"), after.endswith("New end.'")) == (True, True)
