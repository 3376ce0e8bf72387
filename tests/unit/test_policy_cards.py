"""Workflow cards: what ships, what each wrong key is answered with, and how a folder lies over the shipped ones."""

from __future__ import annotations

import copy
import dataclasses
import json
import tomllib
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from unit.policy_making import ADULT, DOCUMENT, SIGNED, UNSIGNED
from vigimesh.app.in_force.cards import load_cards
from vigimesh.app.workers.wiring import ages_of
from vigimesh.domain.cascade import reading
from vigimesh.domain.cascade.draft import DRAFTED
from vigimesh.domain.knowledge.freshness import MAX_AGE, Ages
from vigimesh.domain.policy.cards import Card, Cards, Knowledge
from vigimesh.domain.policy.reading import MAX_AGE_HOURS, STEPS, card_of, extended, read_card
from vigimesh.domain.policy.shipped import shipped_files, shipped_raw, with_overlay
from vigimesh.domain.safety.tools import TOOLS
from vigimesh.errors import Misconfigured
from vigimesh.events.case import Product

SHIPPED = ("triage", "signal", "drafting", "regulatory_prep", "literature_scan", "clinical_ops")
TRIAGE = shipped_raw()["triage"]
SIGNATURE = {
    "signed_by": "owner",
    "signed_at": tomllib.loads("x = 2026-01-01T00:00:00Z")["x"],
    "use": "a test",
}

#: What a card need not have.
OPTIONAL = {
    "auto_accept": {**SIGNATURE, "allows": []},
    "knowledge": {"hot_age_hours": 12, "warm_age_hours": 48},
    "cascade": {**TRIAGE["cascade"], "threshold_recall": "0.99"},
}
#: What a card may leave out.
MAY_MISS = ("auto_accept", "cascade", "cascade.audit", "cascade.threshold_recall", "knowledge")


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the triage card with one key set; `path` is dotted, a number chooses in a list."""
    raw: Any = copy.deepcopy({**TRIAGE, **OPTIONAL})
    *parents, last = path.split(".")
    place = raw
    for part in parents:
        place = place[int(part)] if part.isdigit() else place[part]
    if value is Ellipsis:
        del place[last]
    else:
        place[last] = value
    assert isinstance(raw, dict)
    return raw


def refused(raw: dict[str, Any]) -> str:
    with pytest.raises(Misconfigured) as caught:
        card_of(raw, "mine.toml")
    assert caught.value.code in ("VM-1103", "VM-1104")
    assert caught.value.where.startswith("mine.toml")
    assert caught.value.todo
    return str(caught.value)


def test_the_six_cards_ship_unsigned_and_signed_for_the_demo() -> None:
    assert {card.name for card in UNSIGNED.cards} == set(SHIPPED)
    assert {card.name for card in SIGNED.cards} == {*SHIPPED, "vaccine_triage"}
    assert all(card.auto_accept is None for card in UNSIGNED.cards)
    for card in SIGNED.cards:
        assert card.auto_accept is not None
        assert card.auto_accept.use == "demo and benchmarks on public or synthetic data"
        assert card.auto_accept.allows == (("paediatric",) if card.name == "vaccine_triage" else ())


def paths(table: dict[str, Any], before: str = "") -> list[str]:
    found = []
    for key, value in table.items():
        found.append(before + key)
        if isinstance(value, dict):
            found += paths(value, f"{before}{key}.")
        if isinstance(value, list) and value and isinstance(value[0], dict):
            found += paths(value[0], f"{before}{key}.0.")
    return found


EVERY_KEY = paths({**TRIAGE, **OPTIONAL})


def test_the_list_of_keys_is_whole() -> None:
    assert len(EVERY_KEY) >= 40
    assert {"budget.day_micro", "lanes.0.when", "policy.0.then", "auto_accept.allows"} <= set(EVERY_KEY)


@pytest.mark.parametrize(
    "path",
    [path for path in EVERY_KEY if path not in MAY_MISS],
)
def test_a_missing_key_is_named(path: str) -> None:
    key = path.rsplit(".", 1)[-1]
    assert f"{key}'" in refused(changed(path, ...))


@pytest.mark.parametrize("path", EVERY_KEY)
def test_a_misspelt_key_is_named_with_the_nearest(path: str) -> None:
    *before, key = path.split(".")
    typo = key[:-1] + "x" + key[-1]
    said = refused(changed(".".join([*before, typo]), "anything"))
    assert "unknown key" in said
    assert typo in said
    assert f"did you mean {key!r}?" in said


FREE_TEXT = ("owner", "description", "reason", "question", "signed_by", "use")
WRONG_VALUES = [
    (path, value)
    for path in EVERY_KEY
    for value in (True, 1.5, "", -1, [1.5], {"x": 1}, "Nonsense Words")
    if value != "Nonsense Words" or path.rsplit(".", 1)[-1] not in FREE_TEXT
]


@pytest.mark.parametrize(("path", "value"), WRONG_VALUES)
def test_a_value_of_the_wrong_type_is_named(path: str, value: Any) -> None:
    said = refused(changed(path, value))
    assert path.rsplit(".", 1)[-1] in said


@pytest.mark.parametrize("cap", ["month_micro", "day_micro", "case_micro"])
@pytest.mark.parametrize("value", ["unlimited", "none", -1, True, 1.0, 10**16, "5_000", float("inf")])
def test_no_typo_is_read_as_no_cap(cap: str, value: Any) -> None:
    assert cap in refused(changed(f"budget.{cap}", value))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("steps", ["listednes"], "did you mean 'listedness'"),
        ("steps", ["clock", "clock"], "each word once"),
        ("steps", [], "at least 1"),
        ("tiers", ["big"], "'big'"),
        ("lanes.0.lane", "hott", "did you mean 'hot'"),
        ("lanes.1.name", "serious_flag", "again"),
        ("lanes.4.when", "grade > 1", "unknown fact 'grade'"),
        ("lanes.4.when", "urgent", "last lane rule"),
        ("lanes", [], "at least one table"),
        ("match", "clock_days < 7", "unknown fact 'clock_days'"),
        ("match", "documnt_kind == 'label'", "did you mean 'document_kind'"),
        ("policy.0.then", "acept", "did you mean 'accept'"),
        ("policy.1.question", "why?", "remove it"),
        ("policy.0.question", ..., "say what the person is asked"),
        ("policy.1.name", "serious", "again"),
        ("policy", [], "at least one table"),
        ("budget.day_micro", 1, "does not rise"),
        ("budget.currency", "euro", "ISO 4217"),
        ("lane_objectives.hot_s", 9_999, "do not rise"),
        ("alarms.budget_percent", [80, 50], "above the last"),
        ("alarms.budget_percent", [], "above the last"),
        ("batch_window.opens_utc", "24:00", "HH:MM"),
        ("escalation.max_passes", 0, "from 1 to 4"),
        ("auto_accept.allows", ["death"], "'death'"),
        ("auto_accept.signed_at", "2026-01-01", "without quotes"),
        ("knowledge.hot_age_hours", 0, "from 1 to 8784"),
        ("knowledge.hot_age_hours", 49, "hot_age_hours <= warm_age_hours"),
        ("knowledge.warm_age_hours", 8_785, "from 1 to 8784"),
        ("cascade.threshold_recall", "0.979", "not below 'cascade.recall', 0.98"),
        ("cascade.recall", "0.991", "not below 'cascade.recall', 0.991"),
        ("name", "My Card", "lower-case"),
    ],
)
def test_a_wrong_value_says_what_to_do(path: str, value: Any, words: str) -> None:
    assert words in refused(changed(path, value))


def test_the_threshold_is_of_the_recall_itself_where_a_card_names_no_other() -> None:
    alone = card_of(TRIAGE, "mine.toml").cascade
    assert (alone.certified_recall, alone.labels_recall) == (Fraction(49, 50), None)
    higher = card_of(changed("cascade.threshold_recall", "0.99"), "mine.toml").cascade
    assert (higher.certified_recall, higher.labels_recall) == (Fraction(99, 100), Fraction(49, 50))


def test_a_card_says_how_old_an_answer_may_be_or_nothing() -> None:
    card = card_of(changed("knowledge.hot_age_hours", 6), "mine.toml")
    assert card.knowledge == Knowledge(hot_age_hours=6, warm_age_hours=48)
    assert card_of(TRIAGE, "mine.toml").knowledge is None
    found = ages_of(Cards(cards=(card, dataclasses.replace(card, name="other", knowledge=None)), origin=""))
    assert found == {"triage": Ages(hot=timedelta(hours=6), warm=timedelta(hours=48))}
    assert timedelta(hours=MAX_AGE_HOURS) == MAX_AGE


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"name = ", "not TOML"),
        (b"name = '\xff'", "not UTF-8"),
        (b"#" * 300_000, "300000 bytes"),
        (b"", "is missing"),
        (b"extends = 'triag'", "did you mean 'triage'"),
        (b"extends = 3", "unknown card"),
        (b"x = " + b"[" * 5_000, "not TOML"),
    ],
)
def test_bytes_that_are_no_card_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(Misconfigured, match=words) as caught:
        read_card(data, "mine.toml", shipped_raw())
    assert caught.value.code == "VM-1103"
    assert caught.value.where == "mine.toml"


def test_extending_takes_tables_key_by_key_and_never_a_signature() -> None:
    bases = {"triage": {**TRIAGE, "auto_accept": {**SIGNATURE, "allows": []}}}
    merged = extended({"extends": "triage", "budget": {"case_micro": 7}, "steps": ["clock"]}, "x", bases)
    assert merged["budget"] == {**TRIAGE["budget"], "case_micro": 7}
    assert merged["steps"] == ["clock"]
    audit = extended({"extends": "triage", "cascade": {"audit": {"permille": 1_000}}}, "x", bases)["cascade"]
    assert audit == {**TRIAGE["cascade"], "audit": {**TRIAGE["cascade"]["audit"], "permille": 1_000}}
    assert "auto_accept" not in merged
    assert "extends" not in merged


def test_the_digest_is_of_the_content_and_not_of_its_layout() -> None:
    data = shipped_files()["triage.toml"]
    one = read_card(data, "a.toml")
    other = read_card(b"# a comment\n\n" + data, "b.toml")
    assert one.digest == other.digest == UNSIGNED.fallback.digest
    assert json.loads(one.body)["name"] == "triage"
    seen = {card.digest for card in (*UNSIGNED.cards, *SIGNED.cards)}
    assert len(seen) == len(UNSIGNED.cards) + len(SIGNED.cards)
    assert card_of(changed("budget.case_micro", 1), "x").digest not in seen


@pytest.mark.parametrize(
    ("case", "workflow"),
    [
        (ADULT, "vaccine_triage"),
        (dataclasses.replace(ADULT, products=(Product(name="x", kind="drug"),)), "triage"),
        (dataclasses.replace(ADULT, products=(*ADULT.products, Product(name="x", kind="drug"))), "triage"),
        (
            dataclasses.replace(ADULT, products=(*ADULT.products, Product(kind="drug", role="concomitant"))),
            "vaccine_triage",
        ),
        (dataclasses.replace(ADULT, products=()), "triage"),
        (dataclasses.replace(ADULT, study_id="NCT0"), "clinical_ops"),
        (dataclasses.replace(ADULT, report_type="study"), "clinical_ops"),
        (dataclasses.replace(ADULT, situations=("counterfeit",)), "signal"),
        (DOCUMENT, "literature_scan"),
        (dataclasses.replace(DOCUMENT, document_kind="protocol_amendment"), "clinical_ops"),
        (dataclasses.replace(DOCUMENT, document_kind="label"), "regulatory_prep"),
        (dataclasses.replace(DOCUMENT, document_kind="regulatory_question"), "regulatory_prep"),
        (dataclasses.replace(DOCUMENT, document_kind="vendor_mail"), "drafting"),
        (dataclasses.replace(DOCUMENT, document_kind="quality_complaint"), "signal"),
        (dataclasses.replace(DOCUMENT, document_kind="other"), "drafting"),
        (dataclasses.replace(DOCUMENT, document_kind="something new"), "triage"),
    ],
)
def test_each_kind_of_work_has_its_card(case: Any, workflow: str) -> None:
    assert SIGNED.card_for(case).name == workflow


def test_a_match_rule_that_fails_counts_as_not_matching() -> None:
    card = card_of(changed("match", "100 / size_bytes > 1"), "mine.toml")
    cards = dataclasses.replace(UNSIGNED, cards=(card,))
    assert cards.card_for(ADULT) is card  # the fallback, by name


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a.toml": b"extends='triage'", "b.toml": b"extends='triage'"}, "is in a.toml already"),
        ({"a.toml": b"extends='triage'\nname='mine'"}, "'priority' 0 is that of card 'triage'"),
    ],
)
def test_cards_that_do_not_fit_together_are_refused(files: dict[str, bytes], words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        with_overlay(files, "test")


def test_a_folder_lies_over_the_unsigned_cards(tmp_path: Path) -> None:
    (tmp_path / "device.toml").write_text(
        "extends = 'triage'\nname = 'device'\npriority = 7\nmatch = \"'device' in suspect_kinds\"\n"
    )
    (tmp_path / "notes.txt").write_text("no card")
    cards = load_cards(tmp_path)
    device: Card | None = cards.named("device")
    assert device is not None
    assert cards.card_for(dataclasses.replace(ADULT, products=(Product(kind="device"),))) is device
    assert {card.name for card in cards.cards} == {*SHIPPED, "device"}
    assert str(tmp_path) in cards.origin


def test_a_folder_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no card in the folder"):
        load_cards(tmp_path)
    with pytest.raises(Misconfigured, match="cannot be read"):
        load_cards(tmp_path / "missing")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(Misconfigured, match=r"cannot be read.*folder\.toml"):
        load_cards(tmp_path)


def test_the_steps_cards_may_name_are_the_tools_that_exist() -> None:
    assert set(STEPS) == {*TOOLS, *reading.STEPS, DRAFTED}
