"""What an operator settles keeps its one place: sent back it is the same unit, closed it is where it ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from vigimesh.domain.record.checker import check
from vigimesh.domain.record.rows import AuditFact, Row
from vigimesh.events.envelope import Envelope
from vigimesh.events.topics import topic

START = datetime(2026, 3, 1, tzinfo=UTC)
DOOR, DEAD = topic("case.received.normal"), topic("deadletter")


def row(name: str, offset: int, event: str, key: str, *, gone: bool = False, message: str = "") -> Row:
    at = START + timedelta(seconds=offset)
    envelope = Envelope(id=event, source="", type="", time=at, subject="", messageid=message)
    return Row(name, 0, offset, at, key, envelope, None if gone else b"v")


def fact(event: str, stage: str, action: str) -> AuditFact:
    return AuditFact(event_id=event, message_id="", stage=stage, action=action)


#: Of a producer that gives no id, and of one that gives an id but no message id.
@pytest.mark.parametrize("event", [f"{DOOR}-0-0", "theirs-1"])
def test_a_record_nobody_can_read_is_one_case_however_often_it_goes_round(event: str) -> None:
    rows = [
        row(DOOR, 0, event, "k"),
        row(DEAD, 0, "x", event),
        row(DOOR, 1, event, "k"),
        row(DEAD, 1, "y", event, gone=True),
    ]
    facts = [fact(event, "router", "rejected"), fact(event, "operator", "redriven")]
    found = check(rows, audits=facts)
    assert (found.accepted, found.in_flight, found.lost, found.balanced) == (1, 1, 0, True)
    rows.append(row(DEAD, 2, "z", event))
    facts.append(fact(event, "router", "rejected"))
    found = check(rows, audits=facts)
    assert (found.accepted, found.dead_lettered, found.lost, found.duplicated) == (1, 1, 0, 0)
    rows.append(row(DEAD, 3, "t", event, gone=True))
    facts.append(fact(event, "operator", "closed"))
    found = check(rows, audits=facts)
    assert (found.accepted, found.dead_lettered, found.lost, found.duplicated) == (1, 1, 0, 0)


def test_a_dead_letter_that_went_without_an_operator_is_lost() -> None:
    rows = [row(DOOR, 0, "e", "k", message="m"), row(DEAD, 0, "x", "e"), row(DEAD, 1, "t", "e", gone=True)]
    found = check(rows, audits=[fact("e", "router", "rejected")])
    assert (found.accepted, found.dead_lettered, found.lost) == (1, 0, 1)
