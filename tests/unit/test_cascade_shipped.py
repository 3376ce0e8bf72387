"""The models that come with the package: whole, small, without a text, and sensible on sentences of our own."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

from rules.house import ROOT
from vigimesh.domain.cascade.artefact import card_of
from vigimesh.domain.cascade.certify import Facts, opens
from vigimesh.domain.cascade.extraction import extract
from vigimesh.domain.cascade.model import score, score_many
from vigimesh.domain.cascade.shipped import (
    ADVERSE_EVENT,
    EVERY,
    EXTRACTION,
    GRAVE,
    LENDERS,
    NAMES,
    SERIOUS,
    SUMS,
    listed,
    model_of,
    shipped_header,
    shipped_model,
    shipped_or_absent,
    shipped_tagger,
    tagger_of,
)
from vigimesh.domain.cascade.small import basis_of
from vigimesh.errors import Misconfigured
from vigimesh.events.ids import digest

MODELS = ROOT / "services/vigimesh/domain/cascade/models"


def test_every_file_is_listed_as_it_is() -> None:
    files = {file.name: digest(file.read_bytes()) for file in MODELS.iterdir() if file.name != SUMS}
    assert listed((MODELS / SUMS).read_bytes()) == files
    assert set(files) == {f"{name}.{end}" for name in EVERY for end in ("json", "npz", "md")}


def test_together_they_are_small() -> None:
    assert sum(file.stat().st_size for file in MODELS.iterdir()) <= 10_000_000


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_are_numbers_and_the_texts_are_ours(name: str) -> None:
    with np.load(MODELS / f"{name}.npz", allow_pickle=False) as held:
        own = ("weights", "blocks", "bias") if name in LENDERS else ("weights", "idf", "blocks", "bias")
        assert {key: held[key].dtype.kind for key in held.files} == dict.fromkeys(own, "f")
    card = card_of(shipped_header(name))
    # What is certified says what its scores looked like, for the watch on drift.
    more = ({"reference"} if shipped_model(name).certificates else set()) | (
        {"borrows"} if name in LENDERS else set()
    )
    assert set(json.loads(shipped_header(name))) == {
        "name", "layout", "features", "npz_sha256", "curve", "certificates", "card", *more,
    }  # fmt: skip
    assert card["limits"]
    assert shipped_model(name).digest in (MODELS / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", [f"{SERIOUS}.json", f"{SERIOUS}.npz", SUMS])
def test_one_altered_file_is_enough(file: str) -> None:
    def altered(wanted: str) -> bytes:
        data = (MODELS / wanted).read_bytes()
        if wanted != file:
            return data
        at = data.index(b"serious.json") - 3 if file == SUMS else len(data) // 2
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    with pytest.raises(Misconfigured) as caught:
        model_of(SERIOUS, altered)
    assert caught.value.code == "VM-2201"
    assert "vigimesh train" in caught.value.todo


def test_one_is_not_taken_for_the_other() -> None:
    swapped = {f"{SERIOUS}.npz": f"{ADVERSE_EVENT}.npz"}
    with pytest.raises(Misconfigured, match="VM-2201"):
        model_of(SERIOUS, lambda file: (MODELS / swapped.get(file, file)).read_bytes())


@pytest.mark.parametrize("lent", [b"", (MODELS / f"{ADVERSE_EVENT}.npz").read_bytes()])
def test_a_model_that_borrows_takes_what_its_json_names_and_nothing_else(lent: bytes) -> None:
    files = {file: (MODELS / file).read_bytes() for file in (f"{GRAVE}.json", f"{GRAVE}.npz", SUMS)}
    with pytest.raises(Misconfigured, match="VM-2201"):
        model_of(GRAVE, lambda file: files.get(file, lent))
    with pytest.raises(Misconfigured, match="VM-2201"):
        model_of(SERIOUS, lambda file: (MODELS / file.replace(f"{SERIOUS}.npz", f"{GRAVE}.npz")).read_bytes())
    assert shipped_model(GRAVE).tables.idf.tolist() == shipped_model(SERIOUS).tables.idf.tolist()


def test_a_serious_case_scores_higher_than_a_sore_arm_and_says_why() -> None:
    model = shipped_or_absent(SERIOUS)
    assert model is shipped_model(SERIOUS)
    grave, slight = score_many(
        shipped_model(SERIOUS),
        [
            "pt had a seizure 2 hrs after vax & was admitted to hospital",
            "pt recvd vax & devel red swollen sore arm",
        ],
        [("age:infant",), ("age:adult",)],
    )
    assert grave.probability > 0.5 > 0.05 > slight.probability
    assert any("admitted" in term.text or "hospital" in term.text for term in grave.terms[:4])
    assert grave.terms[0].weight > 0
    assert grave.whole
    assert grave.model == shipped_model(SERIOUS).digest


def test_a_side_effect_is_told_from_praise() -> None:
    model = shipped_model(ADVERSE_EVENT)
    told = score(model, "It gave me terrible nausea and I gained weight.").probability
    assert told > 0.8 > 0.3 > score(model, "I asked my doctor for another prescription.").probability


def test_certificates_name_these_weights_and_their_place() -> None:
    model = shipped_model(SERIOUS)
    assert [one.recall for one in model.certificates] == [
        Fraction(at, 400) for at in (396, 395, 392, 388, 384, 380)
    ]
    thresholds = [one.threshold for one in model.certificates]
    assert thresholds == sorted(thresholds)
    here = Facts(
        product_class="vaccine",
        source="vaers",
        language="en",
        received_on="1997-06-01",
        model=basis_of(model.tables_digest),
    )
    assert all(opens(one, here).open for one in model.certificates)
    today = Facts(
        product_class="vaccine",
        source="vaers",
        language="en",
        received_on="2026-11-29",
        model=basis_of(model.tables_digest),
    )
    assert not any(opens(one, today).open for one in model.certificates)
    assert shipped_model(ADVERSE_EVENT).certificates == ()


def test_the_shipped_certificates_are_of_the_tools_that_are_here() -> None:
    """Where this fails, what reads seriousness in a text was changed: make the models anew with `vigimesh train`."""
    model = shipped_model(SERIOUS)
    assert {one.model for one in model.certificates} == {basis_of(model.tables_digest)}


def test_the_tagger_holds_numbers_and_is_checked() -> None:
    with np.load(MODELS / f"{EXTRACTION}.npz", allow_pickle=False) as held:
        kinds = {key: held[key].dtype.kind for key in held.files}
    assert kinds == {"weights": "i", "steps": "i", "unit": "f", "seen": "u"}
    header = json.loads(shipped_header(EXTRACTION))
    assert set(header) == {"name", "layout", "labels", "templates", "npz_sha256", "card"}
    assert card_of(shipped_header(EXTRACTION))["limits"]
    assert shipped_tagger().digest in (MODELS / f"{EXTRACTION}.md").read_text(encoding="utf-8")
    for file in (f"{EXTRACTION}.json", f"{EXTRACTION}.npz"):

        def altered(wanted: str, file: str = file) -> bytes:
            data = (MODELS / wanted).read_bytes()
            at = len(data) // 2
            return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] if wanted == file else data

        with pytest.raises(Misconfigured, match="VM-2201"):
            tagger_of(altered)


def test_fields_of_a_sentence_of_our_own_are_found() -> None:
    text = "A 61-year-old woman developed severe rash two weeks after starting zoledronate 4 mg daily."
    found = {(one.name, text[one.start : one.end]) for one in extract(shipped_tagger(), text).found}
    assert {("age", "61-year-old"), ("drug", "zoledronate")} <= found
    assert any(name == "reaction" and "rash" in words for name, words in found)
