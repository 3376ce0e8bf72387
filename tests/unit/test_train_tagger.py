"""Training the tagger: what is read of PHEE, how it is split, the slope of what is minimised, and figures by their definitions."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from unit.span_samples import line, write_phee
from vigimesh.app.train.assess_spans import Spanning, found_by
from vigimesh.app.train.command import train_command
from vigimesh.app.train.fit_chain import ChainRecipe, _groups, _matrix, _Objective, fit_chain
from vigimesh.app.train.make_tagger import MadeTagger, make_tagger, tagger_card_text
from vigimesh.app.train.spans import Marked, labels_of, read_spans, sentences
from vigimesh.domain.cascade.extraction_chain import LABELS
from vigimesh.domain.cascade.extraction_features import buckets, pieces
from vigimesh.domain.cascade.extraction_files import mark_of, read_tagger
from vigimesh.domain.cascade.shipped import listed
from vigimesh.errors import Misconfigured
from vigimesh.events.ids import digest

QUICK = ChainRecipe(penalty=0.5, steps=25, tokens=1)


@cache
def made() -> MadeTagger:
    with TemporaryDirectory() as folder:
        return make_tagger(read_spans(write_phee(Path(folder))), QUICK)


def test_marks_are_read_once_piece_by_piece_and_only_of_known_fields(tmp_path: Path) -> None:
    text = "Rash after 5 mg of A and B; rash went with C."
    one = line(text, drug="A", dose="5 mg", reaction="Rash")
    again = line(text, drug="A")["annotations"][0]["events"][0]
    again["event_type"] = "Potential_therapeutic_event"
    again["Effect"] = {"text": [["rash went"]], "start": [[28]]}
    again["Treatment"]["Drug"] = {"text": [["A", "B"], [" C"]], "start": [[19, 25], [42]]}
    one["annotations"][0]["events"].append(again)
    file = tmp_path / "x.json"
    file.write_text(json.dumps(one) + "\nnot json\n" + json.dumps(one) + "\n", encoding="utf-8")
    (found,) = sentences(file)
    assert sorted((name, text[a:b]) for name, a, b in found.spans) == [
        ("dose", "5 mg"), ("drug", "A"), ("drug", "B"), ("drug", "C"), ("reaction", "Rash"),
    ]  # fmt: skip


def test_parts_share_no_sentence_and_a_test_file_is_never_read(tmp_path: Path) -> None:
    folder = write_phee(tmp_path)
    dev = (folder / "dev.json").read_text(encoding="utf-8")
    with (folder / "train.json").open("a", encoding="utf-8") as stream:
        stream.write(dev.splitlines()[0] + "\n")
    parts = read_spans(folder)
    assert (len(parts["train"]), len(parts["tune"]) + len(parts["held_out"])) == (61, 59)
    groups = [one.group for held in parts.values() for one in held]
    assert len(groups) == len(set(groups))
    assert not any(" test" in one.text for held in parts.values() for one in held)
    assert min(len(parts["tune"]), len(parts["held_out"])) > 15


def test_a_folder_without_sentences_is_named(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(Misconfigured) as caught:
            read_spans(folder)
        assert (caught.value.code, caught.value.where) == ("VM-2203", str(folder))


def test_labels_are_those_of_the_longer_span() -> None:
    (piece,) = pieces("The ampicillin rash, 20 mg")
    spans = frozenset({("reaction", 0, 19), ("drug", 4, 14), ("dose", 21, 26)})
    assert [LABELS[one] for one in labels_of(spans, piece.spans)] == [
        "B-reaction", "I-reaction", "I-reaction", "O", "B-dose", "I-dose",
    ]  # fmt: skip


def test_the_slope_is_that_of_the_value() -> None:
    given = [
        Marked("Took 5 mg of A.", frozenset({("dose", 5, 9), ("drug", 13, 14)}), "1"),
        Marked("B hurt", frozenset({("drug", 0, 1)}), "2"),
    ]
    held = [(piece, labels_of(one.spans, piece.spans)) for one in given for piece in pieces(one.text)]
    columns = buckets([piece for piece, _ in held])
    _, matrix = _matrix(columns, 1)
    gold = np.array([label for _, labels in held for label in labels])
    objective = _Objective(matrix, gold, _groups([piece for piece, _ in held]), 0.3)
    chance = np.random.default_rng(5)
    row = chance.normal(size=(matrix.shape[1] + len(LABELS) + 1) * len(LABELS)) * 0.3
    _, slope = objective.both(row)
    for _ in range(12):
        way = chance.normal(size=len(row))
        step = 1e-5
        up, down = objective.both(row + step * way)[0], objective.both(row - step * way)[0]
        assert (up - down) / (2 * step) == pytest.approx(float(slope @ way), rel=1e-5, abs=1e-6)


def test_it_learned_what_the_words_tell_and_the_same_data_makes_the_same_bytes() -> None:
    first = made()
    assert first.card["held_out"]["all"]["value"] > 0.95
    assert first.card["held_out"]["drug"]["marked"] == first.card["held_out"]["sentences"]
    made.cache_clear()
    assert (made().tables, made().header) == (first.tables, first.header)


def test_it_carries_the_marks_of_what_it_was_made_from_and_of_nothing_else(tmp_path: Path) -> None:
    parts = read_spans(write_phee(tmp_path))
    seen = {mark_of(one.group) for part in ("train", "tune") for one in parts[part]}
    assert made().tagger.seen == seen
    assert not seen & {mark_of(one.group) for one in parts["held_out"]}


def test_nothing_marked_trains_nothing() -> None:
    with pytest.raises(ValueError, match="marked"):
        fit_chain([Marked("no field here", frozenset(), "1")], QUICK)


def test_the_card_says_what_it_is_worth_and_what_not() -> None:
    text = tagger_card_text(made())
    assert made().tagger.digest in text
    assert "It reads no negation" in text
    assert text.count("\n| drug |") == 1


def test_the_command_writes_the_tagger_beside_what_stands_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write_phee(tmp_path / "s"), tmp_path / "out"
    out.mkdir()
    (out / "serious.json").write_bytes(b"kept")
    assert train_command(data=data, out=out, models=("extraction",), last_year=None, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    tagger = read_tagger((out / "extraction.json").read_bytes(), (out / "extraction.npz").read_bytes())
    assert told["models"]["extraction"]["digest"] == tagger.digest
    sums = listed((out / "SHA256SUMS").read_bytes())
    assert sums == {one.name: digest(one.read_bytes()) for one in out.iterdir() if one.name != "SHA256SUMS"}
    assert "serious.json" in sums


def test_figures_by_hand() -> None:
    gold = [
        frozenset({("drug", 0, 4), ("dose", 5, 9)}),
        frozenset({("drug", 0, 4)}),
        frozenset({("age", 1, 3)}),
    ]
    ours = [
        frozenset({("drug", 0, 4), ("dose", 6, 9)}),
        frozenset({("drug", 1, 5), ("drug", 8, 9)}),
        frozenset({("dose", 1, 3)}),
    ]
    told = Spanning(ours, gold)
    # drug: 3 found, 2 marked, 1 exact; 2 found touch, 2 marked are touched.
    assert told.f1(("drug",)) == pytest.approx(2 * 1 / 5)
    assert told.f1(("drug",), touching=True) == pytest.approx(2 * (2 / 3) * 1 / (2 / 3 + 1))
    assert told.f1() == pytest.approx(2 * 1 / (5 + 4))
    assert np.isnan(told.f1(("time",)))
    # The first sentence twice, the others not at all.
    assert told.f1(weights=np.array([2.0, 0.0, 0.0])) == pytest.approx(2 * 2 / (4 + 4))
    assert [told.marked(name) for name in ("drug", "age", "time")] == [2, 1, 0]
    with pytest.raises(ValueError, match="answers"):
        Spanning(ours, gold[:2])


def test_what_it_finds_is_counted_where_it_stands() -> None:
    one = Marked("A 44-year-old man had hiccups.", frozenset(), "1")
    assert ("age", 2, 13) in found_by(made().tagger, [one])[0]
