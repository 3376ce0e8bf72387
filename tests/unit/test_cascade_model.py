"""The small model's scoring: the same for a text whatever stands beside it, explained to the last term, and refused when altered."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigimesh.domain.cascade import artefact, calibration, features, model, shipped
from vigimesh.domain.cascade.calibration import Curve, expected_calibration_error, isotonic
from vigimesh.domain.cascade.facts import facts_of
from vigimesh.domain.cascade.model import Absent, Model, margins_of, score, score_many
from vigimesh.domain.cascade.vectors import Tables, idf_of, weighed
from vigimesh.errors import Misconfigured, explanations
from vigimesh.events.case import Case, Patient, Product, Reaction
from vigimesh.events.ids import digest

TEXTS = st.text(st.sampled_from("ab zZ09.,;-\n\t'\"éÅß\u0130\u4e2d\ud800") | st.characters(), max_size=80)
FACTS = st.lists(
    st.sampled_from(["sex:female", "age:child", "term:pyrexia", "age:child & term:pyrexia", ""]), max_size=5
)


@cache
def made() -> Model:
    """A model with a weight for everything, so that nothing can be left out unseen."""
    chance = np.random.default_rng(7)
    tables = Tables(
        weights=chance.normal(size=features.BUCKETS).astype(np.float32),
        idf=(1 + chance.random(features.BUCKETS)).astype(np.float32),
        blocks=np.array([1.0, 0.7, 0.5, 0.4]), bias=0.25,
    )  # fmt: skip
    curve = Curve((-2.0, 0.0, 2.0), (0.01, 0.2, 0.9))
    return Model(name="test", digest="d", tables_digest="t", tables=tables, curve=curve)


def bag(text: str, facts: tuple[str, ...] = ()) -> list[int]:
    return sorted(features.read([text], [facts]).grams.bucket.tolist())


@given(st.lists(st.tuples(TEXTS, FACTS), min_size=1, max_size=6))
@settings(deadline=None)
def test_a_text_scores_the_same_alone_and_beside_others(given_: list[tuple[str, list[str]]]) -> None:
    texts, facts = [text for text, _ in given_], [facts for _, facts in given_]
    together = score_many(made(), texts, facts)
    assert together == [score(made(), text, fact) for text, fact in given_]
    assert margins_of(made(), texts, facts).tolist() == [one.margin for one in together]


@given(TEXTS, FACTS)
@settings(deadline=None)
def test_the_terms_add_up_to_the_margin(text: str, facts: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "TOP_TERMS", 10_000)
        told = score(made(), text, facts)
    assert made().tables.bias + sum(term.weight for term in told.terms) == pytest.approx(
        told.margin, abs=1e-9
    )
    weights = [abs(term.weight) for term in told.terms]
    assert weights == sorted(weights, reverse=True)
    assert score(made(), text, facts).terms == told.terms[: model.TOP_TERMS]


def test_terms_are_words_of_the_text_two_neighbours_or_facts() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "TOP_TERMS", 10_000)
        told = score(made(), "Pt HAD fever, fever", ["sex:female"])
    found = [term.text for term in told.terms]
    assert sorted(found) == ["fever", "fever, fever", "had", "had fever", "pt", "pt had", "sex:female"]


def test_no_word_is_shared_by_two_texts() -> None:
    grams = features.read(["a b", "c"], [(), ()]).grams
    assert grams.doc[:4].tolist() == [0, 0, 1, 0]  # three words, and the one pair


def test_case_and_spacing_do_not_matter_and_digits_are_alike() -> None:
    assert bag("Fever  of 39.5\n") == bag("fever of 40,1")
    assert bag("hosp") != bag("hop")
    assert bag("ab cd") != bag("cd ab")


def test_letters_run_within_a_word_and_its_blanks() -> None:
    batch = features.read(["ab abc"], [()])
    letters = batch.grams.word[batch.letters : batch.facts_at].tolist()
    # " ab", "ab ", " ab " and " abc "'s 3 + 2 + 1.
    assert (letters.count(0), letters.count(1)) == (3, 6)


def test_a_long_text_says_that_it_was_not_read_whole() -> None:
    long = "x" * features.MAX_TEXT_BYTES
    assert score(made(), long).whole
    assert not score(made(), long + "y").whole
    assert not score(made(), "é" * (features.MAX_TEXT_BYTES // 2 + 1)).whole
    assert bag(long + " fatal") == bag(long)
    assert max(len(term.text) for term in score(made(), long).terms) <= model.TERM_CHARACTERS


def test_an_empty_text_has_the_bias() -> None:
    told = score(made(), "")
    assert (told.margin, told.terms) == (made().tables.bias, ())
    assert score_many(made(), [], []) == []


def test_as_many_facts_as_texts_are_asked_for() -> None:
    with pytest.raises(ValueError, match="2 texts and 1"):
        score_many(made(), ["a", "b"], [()])
    with pytest.raises(ValueError, match="at most"):
        features.read(["a"] * (features.BATCH + 1), [()] * (features.BATCH + 1))


def test_batches_are_seamless() -> None:
    texts = [f"word{chr(97 + at % 26)} fever" for at in range(features.BATCH + 3)]
    together = score_many(made(), texts, [()] * len(texts))
    assert together[features.BATCH] == score(made(), texts[features.BATCH])
    assert len(together) == len(texts)


def test_term_frequency_is_sublinear_and_a_block_has_its_length() -> None:
    ones = np.ones(features.BUCKETS, dtype=np.float32)
    found = weighed(features.read(["a a a b"], [()]), ones, np.array([2.0, 0.0, 0.0, 0.0]))
    words = found.value[found.bucket < features.STARTS[1]]
    # a three times, its pair "a a" twice, b and "a b" once.
    raw = np.array([1 + log(3), 1 + log(2), 1.0, 1.0])
    assert sorted(words) == pytest.approx(sorted(2 * raw / np.linalg.norm(raw)))


def test_idf_is_smoothed_and_nothing_unseen_weighs() -> None:
    assert idf_of(np.array([0, 9, 99]), 99).tolist() == pytest.approx([0.0, log(10) + 1, 1.0])


CASE = Case(
    message_id="0" * 32, case_id="default/1", narrative="pt was not hospitalized",
    patient=Patient(age_years=0.3, sex="female", died_on="1997-03-01"), criteria=("death", "disability"), first_received_on="1997-01-20",
    products=(Product(name="DTP shot", substance="DTP", started_on="1997-01-01", manufacturer="Connaught", dose="2", route="IM"), Product(name="x", role="concomitant")),
    reactions=(Reaction(term="Pyrexia", onset_on="1997-01-02", outcome="fatal", criteria=("death",)), Reaction(text="cried")),
)  # fmt: skip


def test_the_facts_of_a_case() -> None:
    assert facts_of(CASE) == (
        "age:half_year", "sex:female", "product:dtp", "onset:next_day", "told_after_dose:below_31", "told_after_onset:below_31",
        "text:hospitalisation:negated", "terms:2", "products:1", "words:below_5", "term:pyrexia", "age:half_year & term:pyrexia", "onset:next_day & term:pyrexia",
        "term:cried", "age:half_year & term:cried", "onset:next_day & term:cried", "manufacturer:connaught", "dose:2", "route:im",
    )  # fmt: skip


def test_no_fact_is_made_of_the_gold() -> None:
    """Blank every field that tells the answer: nothing that the model sees changes."""
    hidden = replace(
        CASE, criteria=(), urgent=True, expedited="true", patient=replace(CASE.patient, died_on=""),
        reactions=tuple(replace(one, outcome="", criteria=(), highlighted="3") for one in CASE.reactions),
    )  # fmt: skip
    assert facts_of(hidden) == facts_of(CASE)


def test_dates_that_are_no_days_give_no_onset() -> None:
    vague = replace(CASE, products=(replace(CASE.products[0], started_on="1997-01"),))
    assert {"onset:unknown", "told_after_dose:unknown", "told_after_onset:below_31"} <= {*facts_of(vague)}
    assert "told_after_onset:unknown" in facts_of(replace(CASE, first_received_on="1997"))


def test_a_report_from_before_its_dose_is_told_apart() -> None:
    early = replace(CASE, first_received_on="1996-12-31")
    assert {"told_after_dose:before", "told_after_onset:before"} <= {*facts_of(early)}


@given(st.lists(st.tuples(st.floats(-5, 5), st.booleans()), min_size=1, max_size=60))
def test_a_calibration_rises_and_stays_off_0_and_1(cases: list[tuple[float, bool]]) -> None:
    curve = isotonic([margin for margin, _ in cases], [label for _, label in cases])
    read = curve.read(np.linspace(-6, 6, 50))
    assert (np.diff(read) >= 0).all()
    assert 0 < read[0] <= read[-1] < 1


def test_the_pools_are_those_of_the_algorithm() -> None:
    # 1 before 0: the two are pooled to one half, in the middle of their margins.
    curve = isotonic([0.0, 1.0, 2.0, 3.0, 4.0], [False, True, False, True, True])
    assert curve.margins == (0.0, 1.5, 3.5)
    assert curve.probabilities == pytest.approx((0.25, 0.5, 2.5 / 3))
    with pytest.raises(ValueError, match="0 margins"):
        isotonic([], [])


@pytest.mark.parametrize(
    "table", [((), ()), ((1.0, 1.0), (0.1, 0.2)), ((1.0, 2.0), (0.2, 0.1)), ((1.0,), (1.5,)), ((float("nan"),), (0.5,))]
)  # fmt: skip
def test_a_table_that_is_none_is_refused(table: tuple[tuple[float, ...], tuple[float, ...]]) -> None:
    with pytest.raises(ValueError):
        Curve(*table)


def test_calibration_error_by_hand() -> None:
    assert expected_calibration_error([0.1, 0.1, 0.95], [False, True, True]) == pytest.approx(
        (0.8 + 0.05) / 3
    )
    with pytest.raises(ValueError, match="0 probabilities"):
        calibration.expected_calibration_error([], [])


@cache
def files() -> tuple[bytes, bytes]:
    tables = artefact.write_tables(made().tables)
    return artefact.write_header("test", tables, made().curve, {"certificates": [], "card": {"a": 1}}), tables


def test_a_model_is_read_as_it_was_written() -> None:
    header, tables = files()
    found = artefact.read_model(header, tables)
    rounded = made().tables.weights.astype(np.float16).astype(np.float32)
    assert (found.tables.weights == rounded).all()
    assert (found.name, found.curve, found.tables.bias) == ("test", made().curve, made().tables.bias)
    assert artefact.read_model(header, tables, wanted=found.digest).digest == found.digest
    assert artefact.card_of(header) == {"a": 1}
    # The same numbers make the same bytes.
    assert artefact.write_tables(made().tables) == tables


def refused(header: bytes, tables: bytes, wanted: str = "") -> str:
    with pytest.raises(Misconfigured) as caught:
        artefact.read_model(header, tables, wanted)
    assert caught.value.code == "VM-2201"
    return caught.value.what


def changed(**more: object) -> bytes:
    return json.dumps({**json.loads(files()[0]), **more}).encode()


@pytest.mark.parametrize("at", [0, 100, 500_000, -1])
def test_one_changed_byte_is_found(at: int) -> None:
    header, tables = files()
    altered = bytearray(tables)
    altered[at] ^= 1
    assert "is not the one that its JSON names" in refused(header, bytes(altered))
    assert "recorded" in refused(header.replace(b'"test"', b'"text"'), tables, digest(header))


@pytest.mark.parametrize(
    "header",
    [b"", b"[]", b"{", b"\xff", changed(layout=0), changed(curve={}), changed(certificates=[{}]), changed(features=[1]),
     changed(curve={"margins": [1, 0], "probabilities": [0, 1]})],
)  # fmt: skip
def test_a_header_that_is_none_is_refused(header: bytes) -> None:
    refused(header, files()[1])


def test_a_pickle_in_the_npz_is_not_run() -> None:
    import io

    out = io.BytesIO()
    np.savez(
        out, weights=np.array([{"a": 1}], dtype=object), idf=np.ones(1), blocks=np.ones(1), bias=np.ones(1)
    )
    header = changed(npz_sha256=digest(out.getvalue()))
    assert "ValueError" in refused(header, out.getvalue())


def test_numbers_that_are_none_are_refused() -> None:
    for change in ({"bias": float("inf")}, {"blocks": np.ones(3)}, {"weights": made().tables.weights[1:]}):
        with pytest.raises(ValueError):
            replace(made().tables, **change)


def test_the_errors_are_explained() -> None:
    assert {code for code in explanations() if code.startswith("VM-22")} == {
        "VM-2201", "VM-2202", "VM-2203", "VM-2204",
    }  # fmt: skip


def test_a_model_that_is_not_there_is_a_stated_outcome() -> None:
    found = shipped.shipped_or_absent("no_such_model")
    assert isinstance(found, Absent)
    assert found.outcome == "tier small absent"
    assert "VM-2202" in found.why
