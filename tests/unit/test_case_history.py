"""Finding a case by what a person has in hand, and what its history may show; records in memory."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import msgspec
import pytest

from passage import Passage
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.app.cases import history as case_history
from vigimesh.app.cases.history import Source, history, list_cases, named, traces
from vigimesh.app.cases.story import unreadable
from vigimesh.app.demo import DEMO_DAY
from vigimesh.app.demo.builder import Calendar
from vigimesh.app.demo.line_cases import calls
from vigimesh.domain.record.rows import Row
from vigimesh.errors import Refused
from vigimesh.events.case import Case
from vigimesh.events.classes import CaseReceived
from vigimesh.events.codec import Codec

SECRET = "Crushing chest pain"


def _case(number: int, case: Case, tenant: str = "one") -> Case:
    message = f"{number:x}" * 8 + "0" * 24
    return replace(
        case, message_id=message, case_id=f"{tenant}/{case.report_id}", tenant=tenant, digest="d" * 64
    )


@pytest.fixture
def passage(monkeypatch: pytest.MonkeyPatch) -> Passage:
    made = Passage(Codec(schemas=MemorySchemas()))
    given = calls(Calendar(today=DEMO_DAY))
    cases = [_case(number, case) for number, case in enumerate(given[:5], 10)]
    cases.append(replace(_case(1, given[0], tenant="two"), linked_ids=("OTHER-REFERENCE",)))
    made.accept(CaseReceived(case=case) for case in cases)
    made.run()

    def scan(
        broker: object, topics: Sequence[str], *, only: Collection[tuple[str, int]] | None = None
    ) -> Iterator[Row]:
        return (
            r for r in made.rows if r.topic in topics and (only is None or (r.topic, r.partition) in only)
        )

    monkeypatch.setattr(case_history, "scan", scan)
    return made


def _source(passage: Passage) -> Source:
    return Source(broker="", codec=passage.codec)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("one/DE-CALLCENTRE-2026-002", "one/DE-CALLCENTRE-2026-002"),
        ("DE-CALLCENTRE-2026-002", "one/DE-CALLCENTRE-2026-002"),
        ("bbbbbb", "one/DE-CALLCENTRE-2026-002"),
        ("b" * 8 + "0" * 24, "one/DE-CALLCENTRE-2026-002"),
        ("OTHER-REFERENCE", "two/DE-CALLCENTRE-2026-001"),
    ],
)
def test_a_case_is_found_by_what_a_person_has_in_hand(passage: Passage, given: str, found: str) -> None:
    assert history(_source(passage), given, narrative=False)[0] == found
    assert traces(_source(passage), given)[0] == found


@pytest.mark.parametrize(
    ("given", "code"),
    [("DE-CALLCENTRE-2026-001", "VM-1704"), ("bbbbb", "VM-1703"), ("", "VM-1703"), ("x" * 40, "VM-1703")],
    ids=["a report of two tenants", "too few digits", "nothing", "unknown"],
)
def test_what_names_no_case_or_several_is_refused(passage: Passage, given: str, code: str) -> None:
    with pytest.raises(Refused, match=code):
        history(_source(passage), given, narrative=False)


def test_no_narrative_appears_unless_asked_for(passage: Passage) -> None:
    _, steps = history(_source(passage), "DE-CALLCENTRE-2026-004", narrative=False)
    told = json.dumps([step.plain() for step in steps])
    assert SECRET not in told
    assert "intensive care" not in told
    assert "characters, not shown" in told
    _, steps = history(_source(passage), "DE-CALLCENTRE-2026-004", narrative=True)
    assert SECRET in json.dumps([step.plain() for step in steps])


def test_the_list_says_where_each_is(passage: Passage) -> None:
    lines = list_cases(_source(passage))
    assert len(lines) == 6
    assert [line.accepted_at for line in lines] == sorted((line.accepted_at for line in lines), reverse=True)
    assert {line.place for line in lines} == {"decided", "in_review"}
    assert all(line.decision == "auto_accepted" for line in lines if line.place == "decided")
    json.dumps([line.plain() for line in lines])


def test_a_producer_without_headers_is_followed_all_the_same(passage: Passage) -> None:
    door = next(row for row in passage.rows if row.key == "one/DE-CALLCENTRE-2026-003")
    bare = replace(door, headers=msgspec.structs.replace(door.headers, messageid=""))
    assert next(named([bare], passage.codec)).headers.messageid == door.headers.messageid
    broken = replace(bare, value=b"\x00\x00")
    assert next(named([broken], passage.codec)) == broken


def test_a_record_that_cannot_be_read_is_a_step_too(passage: Passage) -> None:
    step = unreadable(passage.rows[0], "VM-1003", "bytes do not fit")
    assert step.title == "cannot be read: VM-1003"
    assert step.plain()["details"] == {"cause": "bytes do not fit"}
