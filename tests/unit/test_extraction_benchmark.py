"""What the benchmarks of extraction and of transfer judge by, and what they say when there is nothing to judge by."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import extraction
import extraction_peers
import transfer
from measuring import Report
from unit.span_samples import line, write_phee
from unit.train_samples import write_vaers
from vigimesh.app.train.assess_spans import Spanning
from vigimesh.app.train.card import TRANSFER_BEGIN, TRANSFER_END
from vigimesh.app.train.examples import Example, by_year, read_vaers
from vigimesh.app.train.spans import Marked, read_spans
from vigimesh.domain.cascade.extraction import Tagger
from vigimesh.domain.cascade.extraction_files import mark_of
from vigimesh.domain.cascade.shipped import shipped_tagger
from vigimesh.events.ids import digest


def tagger_that_saw(examples: list[Marked]) -> Tagger:
    return Tagger(
        digest="", chain=shipped_tagger().chain, seen=frozenset(mark_of(one.group) for one in examples)
    )


def test_what_the_tagger_was_made_from_judges_nothing(tmp_path: Path) -> None:
    folder = write_phee(tmp_path / "given")
    parts = read_spans(folder)
    tagger = tagger_that_saw([*parts["train"], *parts["tune"]])
    (folder / "test.json").rename(folder / "whatever.jsonl")
    unseen, train = extraction.read(tagger, folder, folder)
    assert {one.group for one in train} == {one.group for one in parts["train"]}
    held = {one.group for one in parts["held_out"]}
    assert {one.group for one in unseen} >= held
    assert len(unseen) == len(held) + 9
    assert not {one.group for one in unseen} & {one.group for one in (*parts["train"], *parts["tune"])}


@pytest.mark.parametrize("one", [extraction, transfer])
def test_without_a_folder_every_figure_is_null(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, one: object
) -> None:
    assert one in (extraction, transfer)
    gone = str(tmp_path / "gone")
    module = extraction if one is extraction else transfer
    monkeypatch.setattr(sys, "argv", ["x", "--json", "--data", gone, "--train", gone])
    assert module.main() == 0
    told = json.loads(capsys.readouterr().out)
    assert {key: told[key] for key in module.GOALS} == dict.fromkeys(module.GOALS)


def test_a_quick_run_measures_what_needs_no_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(write_phee(tmp_path / "given", dev=20))
    monkeypatch.setattr(sys, "argv", ["x", "--json", "--quick", "--data", folder, "--train", folder])
    extraction.main()
    told = json.loads(capsys.readouterr().out)
    assert told["points"]["age"]["f1"]["median"] > 0.5  # it was made from real sentences, and ages read alike
    assert told["peer_gain_low"] is None
    assert told["texts_per_second"] > 0
    assert told["notes"]["sentences"] == 60 + 20 + 9


def test_the_peers_find_what_they_were_shown(tmp_path: Path) -> None:
    parts = read_spans(write_phee(tmp_path))
    judged = parts["held_out"]
    for other in (extraction_peers.floor, extraction_peers.peer):
        told = Spanning(other(parts["train"], judged), extraction.gold(judged))
        assert told.f1(("drug", "reaction")) > 0.95, other
    # The rules read an age as the tools do, whatever was shown.
    text = "A 54-year-old man took 5 mg for 3 days."
    (found,) = extraction_peers.floor(parts["train"], [Marked(text, frozenset(), "1")])
    assert {(name, text[a:b]) for name, a, b in found} >= {("age", "54-year-old"), ("dose", "5 mg")}


def test_grave_sentences_are_told_by_marks_in_one_source_and_by_words_in_the_other(tmp_path: Path) -> None:
    grave = line("He died of rash after X.", drug="X", reaction="died of rash")
    quiet = line("Nobody died, but rash came with X.", drug="X", reaction="rash")
    (tmp_path / "a.json").write_text(json.dumps(grave) + "\n" + json.dumps(quiet) + "\n", encoding="utf-8")
    rows = ["sentences\tADR", "I was hospitalized\t1", "My aunt was hospitalized\t0", "I felt sick\t1"]
    (tmp_path / "b.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert [label for _, label in transfer.phee(tmp_path)] == [True, False]
    assert [label for _, label in transfer.psytar(tmp_path)] == [True, False, False]


def test_a_type_is_left_out_of_what_is_learned_and_judged_alone(tmp_path: Path) -> None:
    one = Example(
        text="a", facts=("age:child", "product:hep", "product:mmr"), label=True, group="1", day="1997-01-01"
    )
    assert transfer.types_of(one) == {"hep", "mmr"}
    few = Example(text="b", facts=("product:td",), label=True, group="2", day="1997-01-01")
    none = Example(text="c", facts=("product:td",), label=False, group="3", day="1997-01-01")
    assert transfer.kinds([one, one, few, none]) == ["hep", "mmr", "td"]
    report = Report("transfer", transfer.GOALS)
    folder = write_vaers(tmp_path / "v", {1996: 60, 1997: 90})
    known = read_vaers(folder)
    card = {"parts": {"certify": {"last_day": "1997-12-31"}}, "carried_threshold": {"margin": 0.0}}
    # Its reports name no product, so there is no type to leave out.
    transfer.left_out(report, None, card, by_year(known, 1997), known, 3)  # type: ignore[arg-type]  # no model is asked
    assert report.found == {}


def test_the_figures_go_into_the_card_and_its_digest_into_the_list(tmp_path: Path) -> None:
    file = tmp_path / "serious.md"
    file.write_text(f"# x\n{TRANSFER_BEGIN}\nold\n{TRANSFER_END}\nend\n", encoding="utf-8")
    report = Report("transfer", transfer.GOALS)
    report.notes["adults"] = {
        "cases": 9,
        "serious": 2,
        "missed": 1,
        "recall": 0.5,
        "recall_low": 0.1,
        "saving": 0.4,
    }
    transfer.write_card(file, report)
    text = file.read_text(encoding="utf-8")
    assert "| adults | 9 | 2 | 1 | 0.5 | 0.1 | 0.4 |" in text
    assert "old" not in text
    assert text.endswith("\nend\n")
    assert (tmp_path / "SHA256SUMS").read_text() == f"{digest(file.read_bytes())}  serious.md\n"
    file.write_text("no place", encoding="utf-8")
    with pytest.raises(ValueError, match="no place"):
        transfer.write_card(file, report)
