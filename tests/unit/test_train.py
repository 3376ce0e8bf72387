"""Training: what is read, how it is split, that the same data makes the same bytes, and that the figures are the definitions'."""

from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from unit.train_samples import DATA, reports, write_vaers
from vigimesh.app.train import examples
from vigimesh.app.train.assess import Ranking, at_threshold, gain, interval, threshold_at_recall, weights
from vigimesh.app.train.card import card_text
from vigimesh.app.train.command import train_command
from vigimesh.app.train.examples import Example, by_year, read_sentences, read_vaers, share_of
from vigimesh.app.train.fit import needed
from vigimesh.app.train.make import Made, make
from vigimesh.app.train.subjects import serious
from vigimesh.domain.cascade.artefact import card_of, read_model
from vigimesh.domain.cascade.model import score
from vigimesh.domain.cascade.sample import group_of
from vigimesh.domain.cascade.shipped import listed, model_of
from vigimesh.domain.cascade.small import basis_of
from vigimesh.errors import Misconfigured
from vigimesh.events.ids import digest


def test_reports_are_found_by_their_columns_whatever_the_files_are_called(tmp_path: Path) -> None:
    folder = write_vaers(tmp_path / "deep" / "down", {1995: 6}, names="sent-{year}-VAERS{table}-x.csv")
    (folder / "notes.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    found = read_vaers(tmp_path)
    assert [(one.text, one.label) for one in found] == [(text, bad) for _, text, bad in reports(1995, 6)]
    assert (found[0].day, found[0].year, found[0].age_years) == ("1995-03-01", 1995, 30.0)
    assert {one.criteria for one in found} == {("hospitalisation",), ()}


def test_the_gold_is_in_no_fact(tmp_path: Path) -> None:
    """Tick every box of a report: its label changes and nothing that a model sees."""
    quiet = write_vaers(tmp_path / "quiet", {1995: 3})
    loud = write_vaers(tmp_path / "loud", {1995: 3})
    file = loud / "1995VAERSDATA.csv"
    ticked = [
        line.replace(",,,Y,,,", ",Y,Y,Y,Y,Y,").replace(",,,,,,", ",Y,Y,Y,Y,Y,")
        for line in file.read_text().splitlines()
    ]
    file.write_text("\n".join([DATA, *ticked[1:]]) + "\n", encoding="latin-1")
    one, two = read_vaers(quiet), read_vaers(loud)
    assert [e.label for e in one] != [e.label for e in two] == [True] * 3
    assert [(e.text, e.facts) for e in one] == [(e.text, e.facts) for e in two]


def example(text: str, day: str, label: bool = False) -> Example:
    return Example(text=text, facts=(), label=label, group=group_of(text), day=day)


def test_a_narrative_of_training_is_nowhere_else_and_a_repeat_counts_once() -> None:
    given_ = [
        example("Same  words", "1997-05-01", True), example("same words", "1996-01-01"), example("SAME WORDS", "1995-01-01", True),
        example("new", "1997-01-01"), example("New", "1997-02-01", True), example("later", "1998-01-01"),
    ]  # fmt: skip
    parts = by_year(given_, 1997)
    assert [(one.text, one.label) for one in parts["train"]] == [("SAME WORDS", True)]
    later = [one for part in examples.LATER for one in parts[part]]
    assert [(one.text, one.label) for one in later] == [("New", True)]
    assert parts[share_of(group_of("new"))] == later


@given(
    st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.integers(1994, 1999), st.booleans()), max_size=40)
)
def test_parts_never_share_a_group(told: list[tuple[str, int, bool]]) -> None:
    parts = by_year([example(text, f"{year}-01-01", label) for text, year, label in told], 1997)
    groups = [one.group for part in parts.values() for one in part]
    assert len(groups) == len(set(groups))
    assert all(one.year < 1997 for one in parts["train"])
    assert all(one.year == 1997 for part in examples.LATER for one in parts[part])


def test_a_sixth_tunes_a_half_certifies_and_a_third_is_held_out() -> None:
    drawn = Counter(share_of(group_of(f"text {at}")) for at in range(6_000))
    assert [drawn[part] // 100 for part in examples.LATER] == [9, 30, 20], drawn


def write_sentences(folder: Path) -> Path:
    folder.mkdir()
    for name, count in (("train", 30), ("dev", 60), ("test", 5)):
        rows = [
            f"{name} word{at} {'made me sick' if at % 2 else 'works well'}\t{at % 2}\t0"
            for at in range(count)
        ]
        (folder / f"{name}.csv").write_text("\n".join(["sentences\tADR\tWD", *rows]) + "\n", encoding="utf-8")
    lines = [
        {"context": f"case {at}", "annotations": [{"events": [{"event_type": kind}]}]}
        for at, kind in enumerate(["Adverse_event", "Potential_therapeutic_event"])
    ]
    (folder / "train.json").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    (folder / "train_list.json").write_text('{"a": 1}\n', encoding="utf-8")
    return folder


def test_sentences_of_both_sources_are_read_and_those_of_a_test_file_never(tmp_path: Path) -> None:
    parts = read_sentences(write_sentences(tmp_path / "s"))
    assert len(parts["train"]) == 32
    assert [one.label for one in parts["train"] if one.text.startswith("case")] == [True, False]
    assert sum(len(parts[part]) for part in examples.LATER) == 60
    assert not any(one.text.startswith("test") for part in parts.values() for one in part)


@pytest.mark.parametrize("what", [read_vaers, read_sentences])
def test_a_folder_without_data_is_named(tmp_path: Path, what: object) -> None:
    assert callable(what)
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(Misconfigured) as caught:
            what(folder)
        assert (caught.value.code, caught.value.where) == ("VM-2203", str(folder))


@cache
def made() -> Made:
    days = {1995: "1995-03-01", 1996: "1996-03-01", 1997: "1997-03-01"}
    parts = by_year(
        [
            Example(text=text, facts=("sex:female",), label=bad, group=group_of(text), day=day, age_years=30.0,
                    criteria=("hospitalisation",) if bad else ())
            for year, day in days.items()
            for _, text, bad in reports(year, 600 if year == 1997 else 120)
        ], 1997,
    )  # fmt: skip
    return make(serious(parts), parts)


def test_the_same_data_makes_the_same_bytes() -> None:
    first = made()
    made.cache_clear()
    assert (made().tables, made().header) == (first.tables, first.header)


def test_it_learned_what_the_words_tell_and_says_so() -> None:
    model, card = made().model, made().card
    high, low = (
        score(model, "pt intubated", ("sex:female",)),
        score(model, "pt has sore arm", ("sex:female",)),
    )
    assert high.probability > 0.5 > low.probability
    assert high.terms[0].text in {"intubated", "pt intubated"}
    assert card["held_out"]["auc"]["value"] > 0.99
    assert card["parts"]["train"]["last_day"] == "1996-03-01"
    assert card == card_of(made().header)


def test_its_certificates_hold_for_the_place_it_was_made_from() -> None:
    certificate, *others = (
        made().model.certificates
    )  # some 100 serious in a half: enough for 0.97, with none below
    assert (certificate.recall, certificate.k, len(others)) == (Fraction(97, 100), 0, 2)
    assert certificate.model == basis_of(digest(made().tables))
    assert (certificate.domain.source, certificate.domain.first_day) == ("vaers", "1997-03-01")


def test_the_card_says_what_it_is_worth_and_what_not() -> None:
    text = card_text(made().model, made().card)
    assert made().model.digest in text
    assert "no evidence for drugs" in text
    assert "| held_out | the figures below |" in text
    assert made().model.certificates[0].words in text


def test_one_kind_alone_trains_nothing() -> None:
    parts = by_year([example(f"t{at}", f"{1996 + at % 2}-01-01") for at in range(40)], 1997)
    with pytest.raises(Misconfigured, match="VM-2203"):
        make(serious(parts), parts)


def test_a_package_that_is_not_there_is_named() -> None:
    with pytest.raises(Misconfigured) as caught:
        needed("no_such_package.linear_model:LogisticRegression")
    assert caught.value.code == "VM-2204"
    assert "scikit-learn" in caught.value.todo


def test_the_command_writes_models_cards_and_sums(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = write_sentences(tmp_path / "s"), tmp_path / "out"
    (out / "serious.json").parent.mkdir()
    (out / "serious.json").write_bytes(b"kept")
    assert train_command(data=data, out=out, models=("adverse_event",), last_year=None, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    model = read_model((out / "adverse_event.json").read_bytes(), (out / "adverse_event.npz").read_bytes())
    assert told["models"]["adverse_event"]["digest"] == model.digest
    assert model.certificates == ()
    sums = listed((out / "SHA256SUMS").read_bytes())
    assert sums == {
        file.name: digest(file.read_bytes()) for file in out.iterdir() if file.name != "SHA256SUMS"
    }
    assert "serious.json" in sums


def test_grade_is_learned_beside_seriousness_and_shares_its_words(tmp_path: Path) -> None:
    data, out = write_vaers(tmp_path / "v", {1995: 120, 1996: 120, 1997: 600}), tmp_path / "out"
    for file in data.glob("*DATA.csv"):  # "stopped breathing" and "intubated" were a danger to life
        lines = file.read_text().splitlines()
        grave = [
            line.replace(",,,Y,,,", ",,Y,Y,,,") if "breathing" in line or "intubated" in line else line
            for line in lines
        ]
        file.write_text("\n".join(grave) + "\n", encoding="latin-1")
    with pytest.raises(Misconfigured, match="VM-2203"):
        train_command(data=data, out=out, models=("grave",), last_year=None, as_json=True)
    assert train_command(data=data, out=out, models=("serious", "grave"), last_year=None, as_json=True) == 0
    model = model_of("grave", lambda file: (out / file).read_bytes())
    with np.load(out / "grave.npz") as held:
        assert "idf" not in held.files
    assert score(model, "pt intubated").probability > 0.5 > score(model, "pt admitted to icu").probability
    assert model.certificates == ()
    card = card_of((out / "grave.json").read_bytes())
    assert set(card["parts"]) == {"train", "tune", "held_out"}
    # What `serious` is held out from measures nothing here.
    serious_card = card_of((out / "serious.json").read_bytes())
    assert card["parts"]["held_out"]["examples"] == serious_card["parts"]["certify"]["examples"]


RANKED = st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=2, max_size=60).filter(
    lambda told: len({label for _, label in told}) == 2
)


@given(RANKED)
def test_auc_and_average_precision_are_those_of_the_library(told: list[tuple[int, bool]]) -> None:
    scores, labels = np.array([float(s) for s, _ in told]), np.array([label for _, label in told])
    ranking = Ranking(scores, labels)
    assert ranking.auc() == pytest.approx(roc_auc_score(labels, scores))
    assert ranking.ap() == pytest.approx(average_precision_score(labels, scores))
    twice = np.full(len(told), 2.0)
    assert (ranking.auc(twice), ranking.ap(twice)) == pytest.approx((ranking.auc(), ranking.ap()))


def test_a_gain_is_paired() -> None:
    """The same ranking gains exactly nothing in every resample; a better one gains more than nothing."""
    chance = np.random.default_rng(3)
    labels = chance.random(400) < 0.3
    noise = chance.normal(size=400)
    drawn = weights(400, resamples=200)
    good, bad = Ranking(labels + noise * 0.5, labels), Ranking(labels + noise * 2, labels)
    same = gain(good, good, "auc", drawn)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    assert 0 < gain(good, bad, "ap", drawn).low < gain(good, bad, "ap", drawn).value
    found = interval(good.auc, drawn)
    assert found.low < found.value < found.high
    with pytest.raises(ValueError, match="serious"):
        Ranking(np.zeros(3), np.zeros(3, dtype=np.bool_))


def test_thresholds_by_hand() -> None:
    scores = np.arange(20.0)
    labels = np.ones(20, dtype=np.bool_)
    assert threshold_at_recall(scores, labels, 0.95) == 1.0  # one of twenty lies below
    did = at_threshold(scores, np.arange(20) >= 10, 11.0)
    assert (did.resolved, did.serious, did.missed) == (0.55, 10, 1)
    assert did.recall == pytest.approx(0.9)
    with pytest.raises(ValueError, match="no serious"):
        threshold_at_recall(scores, ~labels, 0.95)
    with pytest.raises(ValueError, match="no case"):
        at_threshold(scores[:0], labels[:0], 0.0)
