"""`vigimesh knowledge search` and `recall`: what a person reads, and arguments that must not read as "nothing found"."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vigimesh.app.commands import knowledge as knowledge_cli
from vigimesh.app.commands.knowledge_recall import unchanged
from vigimesh.app.commands.knowledge_search import in_words, opens
from vigimesh.domain.knowledge.fusion import Hit
from vigimesh.events.knowledge import Passage

LABEL = "label/17a163ef-b349-4e32-bc8c-b02bac7f65d6"
HIT = Hit(
    passage=Passage(
        document_id=LABEL, version="8", section="5 WARNINGS AND PRECAUTIONS > 5.1 Skeletal Muscle", start=10732,
        end=11856, text="Rare cases of rhabdomyolysis with acute renal failure.\n" * 9, score=1.0,
    ),
    text_rank=2,
    vector_rank=None,
)  # fmt: skip


@pytest.mark.parametrize("width", [80, 100])
def test_a_hit_names_its_document_by_title_and_fits_the_terminal(width: int) -> None:
    first, *said, command = in_words(HIT, {(LABEL, "8"): "Lipitor"}, None, width).splitlines()
    assert first == "Lipitor: 5 WARNINGS AND PRECAUTIONS > 5.1 Skeletal Muscle  (words 2)"
    assert max(map(len, said)) <= width
    assert said[-1].endswith(" ...")
    assert command.split("open: ")[1] == opens(HIT, None)


def test_a_document_without_a_known_title_is_named_by_its_id() -> None:
    assert in_words(HIT, {}, None, 200).startswith(f"{LABEL}: 5 WARNINGS")


def test_the_command_that_opens_a_hit_looks_where_it_was_found() -> None:
    assert shlex.split(opens(HIT, Path("/data of mine"))) == [
        "vigimesh", "knowledge", "show", f"{LABEL}@8", "--at", "10732-11856", "--data", "/data of mine",
    ]  # fmt: skip
    assert "--data" not in opens(HIT, None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["search", " "], "the question is empty"),
        (["recall", LABEL, "--version", "9.x"], "--version takes numbers and dots"),
        (["recall", LABEL, "--version", "1."], "--version takes numbers and dots"),
    ],
)
def test_an_argument_that_can_find_nothing_is_refused(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(knowledge_cli.app, arguments, env={"COLUMNS": "200"})
    assert (done.exit_code, said in done.stderr) == (2, True)


def test_a_misspelt_document_does_not_read_as_one_without_a_change() -> None:
    assert unchanged("product/zelro", there=False).what == "no document has this id"
    assert "superseded" in unchanged("product/zelora", there=True).what
