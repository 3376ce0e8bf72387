"""The door: which one, and what an event may carry."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigimesh.events.case import CRITERIA, Case, Patient, Product, Reaction
from vigimesh.events.ids import digest
from vigimesh.intake.accept import EVENT_BYTES, NARRATIVE_BYTES, Admitted, accept, door_of
from vigimesh.intake.values import Accepted, Refusal

CASE = Case(message_id="0" * 32, case_id="demo/A", report_id="A", source="x.jsonl#line 3")


def admit(case: Case) -> Admitted:
    outcome = accept(Accepted(case=case, source_bytes=b"source", attachments=(("d", b"file"),)))
    assert isinstance(outcome, Admitted), str(outcome)
    return outcome


def refuse(case: Case) -> Refusal:
    outcome = accept(Accepted(case=case, source_bytes=b"source"))
    assert isinstance(outcome, Refusal)
    assert outcome.source_bytes == b"source"
    assert outcome.todo
    return outcome


URGENT = [
    replace(CASE, urgent=True),
    *(replace(CASE, criteria=(word,)) for word in CRITERIA),
    *(replace(CASE, reactions=(Reaction(), Reaction(criteria=(word,)))) for word in CRITERIA),
    replace(CASE, reactions=(Reaction(highlighted="3"),)),
    replace(CASE, reactions=(Reaction(highlighted="4"),)),
    replace(CASE, reactions=(Reaction(outcome="fatal"),)),
    *(
        replace(CASE, patient=Patient(died_on=day))
        for day in ("2024-01-01", "2024", "MSK", "ASKU", "NASK", "UNK")
    ),
]
NORMAL = [
    CASE,
    replace(CASE, narrative="The patient died."),  # text is the tools' to read, not the door's
    replace(CASE, patient=Patient(died_on="NI")),
    replace(CASE, reactions=(Reaction(highlighted="1", outcome="not_recovered"), Reaction(highlighted="2"))),
    replace(CASE, expedited="true", amendment="nullification"),
]


@pytest.mark.parametrize("case", URGENT)
def test_the_urgent_door(case: Case) -> None:
    assert door_of(case) == "urgent"
    assert admit(case).event.door == "urgent"


@pytest.mark.parametrize("case", NORMAL)
def test_the_normal_door(case: Case) -> None:
    assert door_of(case) == "normal"


@pytest.mark.parametrize(("size", "moved"), [(NARRATIVE_BYTES, False), (NARRATIVE_BYTES + 1, True)])
def test_a_long_narrative_moves_to_the_object_store(size: int, moved: bool) -> None:
    text = "é" * (size // 2) + "x" * (size % 2)
    admitted = admit(replace(CASE, narrative=text))
    case = admitted.event.case
    assert (case.narrative == "", bool(case.narrative_ref)) == (moved, moved)
    assert admitted.objects_to_store == (b"source", b"file", *([text.encode()] if moved else []))
    if moved:
        assert case.narrative_ref == digest(text.encode())


def test_a_narrative_over_8_mib_is_refused_with_its_place() -> None:
    refusal = refuse(replace(CASE, narrative="x" * (8 * 1024 * 1024 + 1)))
    assert (refusal.code, refusal.source, refusal.place) == ("VM-1407", "x.jsonl", "line 3")


def test_an_event_over_900_kb_is_refused() -> None:
    products = tuple(Product(name=f"{n}" * 50, indication="y" * 800) for n in range(1100))
    assert refuse(replace(CASE, products=products)).code == "VM-1407"


def test_many_small_values_count_by_their_own_size_not_by_their_names() -> None:
    case = replace(CASE, reactions=tuple(Reaction(term=f"t{n}") for n in range(9000)))
    assert len(msgspec.json.encode(case)) > EVENT_BYTES
    assert isinstance(admit(case), Admitted)


@pytest.mark.parametrize(
    "name", ["case_id", "report_id", "worldwide_id", "sender", "receiver", "study_id", "linked_ids"]
)
@pytest.mark.parametrize(
    ("text", "says"),
    [("x" * 251, "251 characters"), ("a\nb", "U+000A"), ("a\x9fb", "U+009F"), ("\0", "U+0000")],
)
def test_ids_are_bounded(name: str, text: str, says: str) -> None:
    value: object = (text,) if name == "linked_ids" else text
    refusal = refuse(replace(CASE, **{name: value}))  # type: ignore[arg-type]  # a field by name
    assert refusal.code == "VM-1415"
    assert says in refusal.what


@given(st.text(max_size=250))
def test_an_id_is_taken_or_refused_but_never_changed(text: str) -> None:
    outcome = accept(Accepted(case=replace(CASE, report_id=text), source_bytes=b""))
    assert isinstance(outcome, Refusal) or outcome.event.case.report_id == text


def test_half_a_character_in_a_narrative_is_refused() -> None:
    assert refuse(replace(CASE, narrative="\ud83d")).code == "VM-1404"
