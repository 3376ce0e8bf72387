"""JSON Lines: one case a line under the contract's own names; each wrong line says what is wrong."""

from __future__ import annotations

import base64
import dataclasses
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unit.intake_samples import accepted, read, refused, write
from vigimesh.events import words
from vigimesh.events.case import Case, Patient, Product, Reaction, Reporter
from vigimesh.events.ids import digest
from vigimesh.intake.jsonl import SET_BY_DOOR
from vigimesh.intake.reading import Skipped

FULL: dict[str, Any] = {
    "kind": "icsr",
    "sender": "ACME",
    "report_id": "ZZ-1",
    "worldwide_id": "ZZ-WW-1",
    "linked_ids": ["ZZ-0"],
    "report_type": "study",
    "created_on": "2024-05-02",
    "urgent": True,
    "reporters": [{"qualification": "physician", "identified": True}],
    "patient": {"identified_by": ["initials"], "age_years": 7, "sex": "female"},
    "products": [{"name": "Drug", "situations": ["overdose"]}],
    "reactions": [{"text": "collapse", "criteria": ["life_threatening"], "outcome": "recovering"}],
    "criteria": ["death"],
    "narrative": "Ünwell.",
}


def line(**fields: Any) -> str:
    return json.dumps({"report_id": "A"} | fields)


def test_a_full_line(tmp_path: Path) -> None:
    text = json.dumps(FULL)
    item = accepted(read(write(tmp_path / "x.jsonl", text + "\n")))[0]
    case = item.case
    assert (case.case_id, case.source, case.source_format) == ("demo/ZZ-WW-1", "x.jsonl#line 1", "jsonl")
    assert case.criteria == ("death", "life_threatening")
    assert case.criteria_form == "open"
    assert (case.patient.age_years, case.reporters[0].qualification, case.products[0].situations) == (
        7,
        "physician",
        ("overdose",),
    )
    assert item.source_bytes == text.encode()
    assert case.digest == digest(text.encode())
    assert case.urgent


def test_every_field_of_a_case_is_given_or_set_by_the_door(tmp_path: Path) -> None:
    special: dict[str, Any] = {"attachments": [], "patient": {}}
    blank = msgspec.to_builtins(Case(message_id="0" * 32, case_id="x"))
    given_fields = {
        f.name: special.get(f.name, blank[f.name])
        for f in dataclasses.fields(Case)
        if f.name not in SET_BY_DOOR
    }
    items = read(write(tmp_path / "x.jsonl", json.dumps(given_fields | {"report_id": "A"})))
    assert [str(r) for r in refused(items)] == []
    for name in SET_BY_DOOR:
        (refusal,) = refused(read(write(tmp_path / "y.jsonl", line(**{name: "x"}))))
        assert "set by the door" in refusal.what


def test_the_closed_sets_are_those_of_the_contract() -> None:
    import typing

    for cls in (Case, Reporter, Patient, Product, Reaction):
        docs = {
            name: hint.__metadata__[0]
            for name, hint in typing.get_type_hints(cls, include_extras=True).items()
        }
        for key, allowed in words.WORDS.items():
            owner, name = key.split(".")
            if owner == cls.__name__ and name not in {"criteria", "situations"}:
                assert [word for word in allowed if word and word not in docs[name]] == [], key
    product_doc = typing.get_type_hints(Product, include_extras=True)["situations"].__metadata__[0]
    assert [word for word in words.WORDS["Product.situations"] if word not in product_doc] == []


def test_attachments_come_in_base64(tmp_path: Path) -> None:
    data = b"\x00\x01made up"
    given_file = {"content": base64.b64encode(data).decode(), "title": "a.bin"}
    item = accepted(read(write(tmp_path / "x.jsonl", line(attachments=[given_file]))))[0]
    assert item.attachments == ((digest(data), data),)
    assert (item.case.attachments[0].size_bytes, item.case.attachments[0].title) == (len(data), "a.bin")


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("{not json}", "VM-1413", "not a JSON object"),
        ('{"report_id": "A"', "VM-1413", "not a JSON object"),
        ('{"report_id": 5}', "VM-1414", "report_id"),
        ('{"report_id": "A", "narative": "x"}', "VM-1414", "'narrative'"),
        ('{"report_id": "A", "patient": {"sexx": "male"}}', "VM-1414", "'sex'"),
        ('{"report_id": "A", "products": [{"role": "suspekt"}]}', "VM-1414", "'suspect'"),
        ('{"report_id": "A", "criteria": ["hospitalization"]}', "VM-1414", "'hospitalisation'"),
        ('{"report_id": "A", "reactions": [{"criteria": ["deth"]}]}', "VM-1414", "'death'"),
        ('{"report_id": "A", "kind": "mail"}', "VM-1414", "kind"),
        ('{"report_id": "A", "attachments": [{"content": "?"}]}', "VM-1414", "base64"),
        ("{}", "VM-1408", "nothing names the case"),
        ('"text"', "VM-1413", "object"),
        ("[" * 100_000, "VM-1413", "not a JSON object"),
        ('{"report_id": ' * 100_000, "VM-1414", ""),
    ],
)
def test_a_wrong_line_is_named_and_the_others_are_read(
    tmp_path: Path, text: str, code: str, says: str
) -> None:
    items = read(
        write(
            tmp_path / "x.jsonl",
            line(report_id="first") + "\n" + text + "\n\n" + line(report_id="last") + "\n",
        )
    )
    assert [i.case.report_id for i in accepted(items)] == ["first", "last"]
    (refusal,) = refused(items)
    assert (refusal.code, refusal.place, refusal.source_bytes) == (code, "line 2", text.encode())
    assert says in f"{refusal.what}; {refusal.todo}"
    assert refusal.todo


def test_a_wrong_word_lists_the_allowed_ones(tmp_path: Path) -> None:
    (refusal,) = refused(read(write(tmp_path / "x.jsonl", line(products=[{"role": "culprit"}]))))
    assert refusal.todo == "use one of: suspect, concomitant, interacting, not_administered"


def test_bytes_that_are_no_utf8(tmp_path: Path) -> None:
    items = read(write(tmp_path / "x.jsonl", b'{"report_id":"A","narrative":"\xe9"}\n{"report_id":"B"}\n'))
    assert [(r.code, r.place) for r in refused(items)] == [("VM-1404", "line 1")]
    assert len(accepted(items)) == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_other_unicode_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    items = read(write(tmp_path / "x.jsonl", (line(narrative="Ünwell") + "\n").encode(encoding)))
    assert [i.case.narrative for i in accepted(items)] == ["Ünwell"]


@pytest.mark.parametrize(("name", "kind"), [("x.json", Skipped), ("x.jsonl", None)])
def test_a_document_over_several_lines(tmp_path: Path, name: str, kind: type | None) -> None:
    for text in ('{\n "report_id": "A"\n}\n', '[\n{"report_id": "A"}\n]\n'):
        items = read(write(tmp_path / name, text))
        if kind is None:
            assert [(r.code, r.place) for r in refused(items)] == [("VM-1413", "line 1")]
        else:
            assert [type(item) for item in items] == [kind]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=40), max_size=6))
def test_read_is_the_number_of_lines(tmp_path: Path, lines: list[bytes]) -> None:
    data = b'{"report_id":"A"}\n' + b"\n".join(line.replace(b"\n", b"") for line in lines)
    items = read(write(tmp_path / "x.jsonl", data))
    assert len(accepted(items)) + len(refused(items)) == sum(1 for text in data.split(b"\n") if text.strip())


def test_the_guide_names_every_field_and_its_example_is_read(tmp_path: Path) -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs" / "intake.md").read_text(encoding="utf-8")
    for cls in (Case, Reporter, Patient, Product, Reaction):
        assert [f.name for f in dataclasses.fields(cls) if f"`{f.name}`" not in guide] == []
    example = guide.split("```json\n")[1].split("```")[0]
    assert len(accepted(read(write(tmp_path / "x.jsonl", example)))) == 1
