"""Events that are not called as their headers say: what could not be read, and messages under one name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from vigimesh.domain.record.checker import check, placed
from vigimesh.domain.record.rows import AuditFact, Row
from vigimesh.events import ids
from vigimesh.events.envelope import Envelope
from vigimesh.events.topics import topic

START = datetime(2026, 3, 1, tzinfo=UTC)
DOOR, DEAD, DECIDED = topic("case.received.normal"), topic("deadletter"), topic("case.decided")
NAME = "theirs"


class Log:
    """Rows as the topics hold them: one partition each, a second between two."""

    def __init__(self, name: str = NAME) -> None:
        self.rows: list[Row] = []
        self.facts: list[AuditFact] = []
        self.name = name

    def put(self, name: str, event: str, value: bytes | None, key: str = "k", message: str = "") -> Row:
        at = START + timedelta(seconds=len(self.rows))
        head = Envelope(id=event, source="", type="", time=at, subject="", messageid=message)
        offset = sum(row.topic == name for row in self.rows)
        self.rows.append(Row(name, 0, offset, at, key, head, value))
        return self.rows[-1]

    def unreadable(self, value: bytes, message: str = "") -> str:
        """Append a record that nobody can read, and what the router makes of it; return what it is called."""
        return self.given_up(self.put(DOOR, self.name, value, message=message))

    def given_up(self, row: Row) -> str:
        self.put(DEAD, f"letter-{len(self.rows)}", b"v", key=row.unread_id, message=row.headers.messageid)
        self.fact(row.unread_id, "router", "rejected")
        return row.unread_id

    def settled(self, event: str, how: str) -> None:
        self.put(DEAD, f"gone-{len(self.rows)}", None, key=event)
        self.fact(event, "operator", how)

    def fact(self, event: str, stage: str, action: str, *outputs: str) -> None:
        fact = AuditFact(event_id=event, message_id="", stage=stage, action=action, outputs=outputs)
        self.facts.append(fact)

    def places(self) -> list[str]:
        """Return where a list shows the units, which reads of the audit what operators did and no more."""
        facts = [fact for fact in self.facts if fact.stage == "operator"]
        return [one.place for one in placed(self.rows, facts).values()]


@pytest.mark.parametrize("message", ["", "m"])
def test_two_that_nobody_can_read_are_two_whatever_they_are_called(message: str) -> None:
    log = Log()
    first, second = (log.unreadable(value, message) for value in (b"1", b"2"))
    assert first != second
    found = check(log.rows, audits=log.facts)
    assert (found.accepted, found.dead_lettered, found.balanced) == (2, 2, True)
    assert (found.lost, found.duplicated, found.torn, found.unaccounted) == (0, 0, 0, 0)
    assert log.places() == ["dead_lettered"] * 2


def test_the_same_bytes_sent_twice_are_one() -> None:
    log = Log()
    assert log.unreadable(b"1") == log.unreadable(b"1")
    found = check(log.rows, audits=log.facts)
    assert (found.accepted, found.dead_lettered, found.lost, found.balanced) == (1, 1, 0, True)


@pytest.mark.parametrize("name", [NAME, f"{DOOR}-0-0"])
def test_what_is_sent_back_and_given_up_again_is_one_and_not_in_flight(name: str) -> None:
    log = Log(name)
    event = log.unreadable(b"1")
    log.settled(event, "redriven")
    log.name = (
        event if name != NAME else NAME
    )  # what had no name is sent back under the one it was given up under
    back = log.put(DOOR, log.name, b"1")
    assert log.places() == ["in_flight"]
    assert log.given_up(back) == event
    assert log.places() == ["dead_lettered"]
    found = check(log.rows, audits=log.facts)
    assert (found.accepted, found.dead_lettered, found.in_flight, found.lost) == (1, 1, 0, 0)


def test_what_an_operator_closed_is_not_in_flight() -> None:
    log = Log()
    log.settled(log.unreadable(b"1"), "closed")
    assert log.places() == ["dead_lettered"]
    # The tombstone is gone after a day, and with it the letter: the audit stays.
    log.rows = [row for row in log.rows if row.topic != DEAD]
    assert log.places() == ["dead_lettered"]
    found = check(log.rows, audits=log.facts)
    assert (found.dead_lettered, found.in_flight, found.lost) == (1, 0, 0)


@pytest.mark.parametrize(("decided", "place"), [(True, "decided"), (False, "lost")])
def test_what_could_be_read_in_the_end_is_where_it_came_to(decided: bool, place: str) -> None:
    log = Log("m")
    event = log.unreadable(b"1", "m")
    log.settled(event, "redriven")
    log.put(DOOR, "m", b"1", message="m")
    if decided:
        log.put(DECIDED, "out", b"v", message="m")
    log.fact("m", "router", "done", *(["out"] if decided else []))
    found = check(log.rows, audits=log.facts)
    assert found.accepted == 1
    assert getattr(found, place) == 1
    assert (found.duplicated, found.torn) == (0, 0)


def test_a_copy_that_nobody_can_read_beside_a_good_one_is_its_own() -> None:
    log = Log("m")
    log.put(DOOR, "m", b"good", message="m")
    log.put(DECIDED, "out", b"v", message="m")
    log.fact("m", "router", "done", "out")
    log.unreadable(b"cut off", "m")
    found = check(log.rows, audits=log.facts)
    assert (found.accepted, found.decided, found.dead_lettered) == (2, 1, 1)
    assert (found.duplicated, found.lost, found.torn, found.out_of_order) == (0, 0, 0, 0)


def test_two_messages_under_one_name_are_two_and_each_is_where_it_came_to() -> None:
    log = Log()
    for message in ("m1", "m2"):
        log.put(DOOR, NAME, message.encode(), message=message)
    log.put(DECIDED, "out", b"v", message="m1")
    log.fact("m1", "router", "done", "out")
    assert log.places() == ["decided", "in_flight"]
    found = check(log.rows, audits=log.facts)
    assert (found.accepted, found.decided, found.in_flight, found.unaccounted) == (2, 1, 1, 0)
    log.put(DEAD, "letter", b"v", key="m2", message="m2")
    log.fact("m2", "router", "rejected")
    found = check(log.rows, audits=log.facts)
    assert (found.decided, found.dead_lettered, found.torn, found.balanced) == (1, 1, 0, True)


@pytest.mark.parametrize("name", ["", "abc", "a~b", "x" * 32])
def test_an_id_of_what_cannot_be_read_tells_what_it_was_given(name: str) -> None:
    event = ids.unread_id(name, b"k", b"v")
    assert ids.is_unread(event)
    assert not ids.is_unread(name)
    assert ids.given_id(event) == name
    assert ids.given_id(name) == name
    assert ids.unread_id(event, b"k", b"v") == event
    assert len({event, ids.unread_id(name, b"k", b""), ids.unread_id(name, b"", b"v")}) == 3


def test_what_came_without_a_key_is_listed_under_that_of_its_case() -> None:
    log = Log("m")
    log.put(DOOR, "m", b"v", key="", message="m")
    log.put(topic("plan.hot"), "p", b"v", key="acme/1", message="m")
    assert [one.key for one in placed(log.rows).values()] == ["acme/1"]
