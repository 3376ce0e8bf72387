"""Passages: nothing lost, places that open at the very text, what belongs together together, time that grows with the text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from growth import growth
from vigimesh.domain.knowledge.chunks import CHUNK_CHARACTERS
from vigimesh.domain.knowledge.cutting import Cut, cut
from vigimesh.domain.knowledge.numbering import Levels, markers
from vigimesh.domain.knowledge.sections import Sectioned, opened
from vigimesh.domain.knowledge.texts import Identity, read_markdown, read_text
from vigimesh.errors import Refused

WHO = Identity(id="guidance/x", version="1.0", title="X")
SENTENCE = "It is reported within the time that the rule names. "
#: What regulatory texts are made of, and what breaks readers of them.
PIECES = st.sampled_from([
    "word ", "x" * 700, SENTENCE * 4, "\n", "\n\n", "# Head\n", "### Deep\n", "- item\n", "(a) first\n", "(1) one\n", "(i) small\n", "(h) last\n",
    "2.1 Part\n", "IV.\n", "| a | b |\n", "| --- | --- |\n", "| " + "c" * 500 + " | d |\n", "Table 3. Doses:\n", "following:\n\n",
    "went on ", "\u00b5g \u2265 3", "\u2028", "\f", " " * 40, "```\n", ".... 12\n",
])  # fmt: skip


def plain(text: str) -> Sectioned:
    return read_markdown(text.encode(), "x.md", WHO)


def check(source: Sectioned) -> Cut:
    """Assert what holds for any document, and return its passages."""
    found, text = cut(source), source.document.text
    edges = [0]
    for start, end in sorted(
        [(p.place.start, p.place.end) for p in found.passages]
        + [(one.start, one.end) for one in found.left_out]
    ):
        assert start == edges[-1] < end
        edges.append(end)
    assert edges[-1] == len(text)
    for passage in found.passages:
        assert opened(source.document, passage.place) == passage.text
        assert passage.text.strip()
        assert len(passage.text) + len(passage.above) + bool(passage.above) <= CHUNK_CHARACTERS
        assert text[slice(*passage.above_at)] == passage.above
        section = next(s for s in source.sections if s.start <= passage.place.start < s.end)
        assert passage.place.end <= section.end
        assert passage.place.path == section.path
    headings = {(s.opens, s.start) for s in source.sections}
    for one in found.left_out:
        if one.why == "heading":
            assert (one.start, one.end) in headings
        else:
            assert not text[one.start : one.end].strip()
    return found


@given(st.lists(PIECES, min_size=1, max_size=60).map("".join).filter(str.strip))
@example("x" * 5000)
@example("| " + "x" * 3000 + " | y |\n| --- | --- |\n" + "| a | b |\n" * 400)
@example("(a)\n\n" * 50 + "end")
@example("Table 1\n" + "| name | dose |\n" * 200 + "\nafter\n")
def test_every_character_is_in_one_passage_or_named_as_left_out(text: str) -> None:
    check(plain(text + "\n\nend of it."))


@given(st.text(alphabet="ab A(1)i.|-#\n\t:", max_size=3000).filter(str.strip))
def test_nothing_is_lost_whatever_the_signs(text: str) -> None:
    check(plain(text + "\n\nend of it."))


def test_a_line_of_five_million_characters_is_cut() -> None:
    source = plain("x")
    text = "x" * 5_000_000
    long = replace(
        source,
        document=replace(source.document, text=text),
        sections=(replace(source.sections[0], end=len(text)),),
    )
    assert len(check(long).passages) == -(-len(text) // CHUNK_CHARACTERS)


def test_a_passage_does_not_cross_a_heading_and_carries_the_path() -> None:
    found = check(plain("Before.\n\n# One\n\nText.\n\n  ### (2) Deep\n\nMore.\n\n# Two\n\nEnd.\n")).passages
    assert [(p.place.section, p.text) for p in found] == [
        ("", "Before."), ("One", "Text."), ("One > (2) Deep", "More."), ("Two", "End."),
    ]  # fmt: skip


def test_a_numbered_paragraph_stays_with_those_below_it() -> None:
    first = "(a) " + SENTENCE * 9
    second = "(b) These are reported:\n\n" + "\n\n".join(f"({n}) {SENTENCE * 4}" for n in range(1, 5)).strip()
    third = "(c) " + SENTENCE * 9
    found = check(plain(f"{first}\n\n{second}\n\n{third}"))
    assert len(first) + len(second) > CHUNK_CHARACTERS > len(second)
    assert [p.text for p in found.passages] == [first.strip(), second, third.strip()]


def test_a_group_that_is_too_long_falls_into_its_largest_parts() -> None:
    items = [f"({n}) {SENTENCE * 5}\n\n(i) {SENTENCE * 4}\n\n(ii) {SENTENCE * 4}".strip() for n in (1, 2, 3)]
    found = check(plain("(a) These:\n\n" + "\n\n".join(items)))
    assert [p.text for p in found.passages] == ["(a) These:\n\n" + items[0], items[1], items[2]]
    before = SENTENCE * 12
    after_text = check(plain(before + "\n\n(a) These:\n\n" + "\n\n".join(items)))
    assert [p.text for p in after_text.passages] == [before.strip(), *(p.text for p in found.passages)]


def test_a_title_without_markup_stays_with_what_is_under_it() -> None:
    before, under = (SENTENCE * 12).strip(), (SENTENCE * 11).strip()
    found = check(plain(f"{before}\n\nLiver Enzymes\n\n{under}\n\nOther Findings\n\n{SENTENCE}")).passages
    assert [p.text.partition("\n")[0] for p in found] == [before, "Liver Enzymes"]
    long = check(plain(f"{before}\n\nLiver Enzymes\n\n" + f"{under}\n\n" * 5)).passages
    assert [p.text.startswith("Liver Enzymes") for p in long] == [False, True, False, False]


def test_what_the_layout_broke_is_one_paragraph() -> None:
    filler = SENTENCE * 20
    broken = "(2) A\nproduction identifier, which\n\nis a part of the number that" + " names" * 20
    assert broken in [p.text for p in check(plain(f"{filler}\n\n{broken}")).passages]


def test_a_table_that_fits_is_whole_and_a_longer_one_repeats_its_heading() -> None:
    head = "Table 2. Reactions\n| Reaction | Share |\n| --- | --- |\n"
    small = head + "".join(f"| Reaction {n} | {n} % |\n" for n in range(20))
    found = check(plain(SENTENCE * 15 + "\n\n" + small)).passages
    assert found[-1].text == small.strip()
    rows = [f"| Reaction {n} of the skin | {n} % |" for n in range(200)]
    parts = check(plain(head + "\n".join(rows))).passages
    assert len(parts) > 3
    assert parts[0].text.startswith(head)
    assert {p.above for p in parts[1:]} == {head.strip()}
    assert [line for p in parts for line in p.text.splitlines() if "of the skin" in line] == rows


@pytest.mark.parametrize("above", ["These are the doses:", "Table 4. Doses of 5 mg and more, by weight."])
def test_a_table_stays_with_the_line_that_announces_it(above: str) -> None:
    table = "\n".join(f"| drug {n} | {n} mg |" for n in range(20))
    found = check(plain(f"{SENTENCE * 16}\n\n{above}\n\n{table}")).passages
    assert [p.text for p in found] == [(SENTENCE * 16).strip(), f"{above}\n\n{table}"]


def test_the_rows_of_a_table_without_named_columns_carry_its_first_row() -> None:
    parts = check(plain("\n".join(f"| drug {n} | {'dose ' * 20}|" for n in range(40)))).passages
    assert {p.above.partition(" |")[0] for p in parts[1:]} == {"| drug 0"}


def test_a_citation_of_another_version_does_not_open() -> None:
    source = plain("# One\n\nText.\n")
    place = check(source).passages[0].place
    for wrong in (
        replace(place, version="1.1"), replace(place, document="guidance/y"), replace(place, end=10_000), replace(place, start=-1)
    ):  # fmt: skip
        with pytest.raises(Refused) as caught:
            opened(source.document, wrong)
        assert caught.value.code == "VM-1514"


@pytest.mark.parametrize(
    ("lines", "levels"),
    [
        ("(a) (1) (2) (i) (ii) (3) (b)", [1, 2, 2, 3, 3, 2, 1]),
        ("(g) (h) (i) (j)", [1, 1, 1, 1]),
        ("I. A. 1. 2. B. II.", [1, 2, 3, 3, 2, 1]),
        ("1. 1.1 1.2 2. 2.1", [1, 2, 2, 1, 2]),
        ("(a)(1) (2) (b)", [1, 2, 1]),
        ("(iiii) word", [0, 0]),
    ],
)
def test_the_level_of_a_number_is_told_by_what_it_continues(lines: str, levels: list[int]) -> None:
    walk = Levels()
    assert [walk.enter(markers(f"{line} words")) for line in lines.split()] == levels


UNITS = {
    "one word": "x",
    "sentences": SENTENCE,
    "blank lines": "a\n\n \n",
    "numbers": "(a)\n\n(1) one\n(i) two:\n\n",
    "announcements": "these:\n\n",
    "rows": "| a | b |\n",
    "rules": "|----",
    "headings": "# h\n",
    "page numbers": "1. Title\n\n",
    "bullets": "- a\n  - b\n    * c\n",
    "brackets": "." + ")" * 8,
}


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS.keys())
def test_time_grows_with_the_length(unit: str) -> None:
    def prepare(size: int) -> Callable[[], object]:
        data = (unit * (size // len(unit) + 1) + "\n\nend of it.").encode()
        return lambda: (cut(read_text(data, "x", WHO)), cut(read_markdown(data, "x.md", WHO)))

    assert growth(prepare, 4_000) < 20


@pytest.mark.parametrize("size", [1, CHUNK_CHARACTERS, CHUNK_CHARACTERS + 1])
def test_the_bound_is_met_exactly(size: int) -> None:
    assert len(check(plain("x" * size)).passages) == -(-size // CHUNK_CHARACTERS)
    two = "Y" * (size // 2) + "\n\n" + "Z" * (size - size // 2 - 2)
    assert size < 4 or len(check(plain(two)).passages) == -(-size // CHUNK_CHARACTERS)
