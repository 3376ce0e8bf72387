"""Versions of one case through the whole mesh: each message ends once, in the place its version gives it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import confluent_kafka as ck
import pytest

from mesh_fixture import DemoRun
from meshes import Mesh
from vigimesh.events.case import Case
from vigimesh.events.classes import CaseDecided, ReviewRequested
from vigimesh.events.envelope import to_headers
from vigimesh.events.topics import topic
from waiting import until

pytestmark = pytest.mark.real

#: Seconds for a record to pass all stages on a machine that does other things too.
PASSED_S = 60.0


@dataclass(frozen=True, slots=True)
class Sent:
    """The demo's messages: received cases by message id, and all outcomes."""

    mesh: Mesh
    cases: dict[str, Case]
    ended: tuple[CaseDecided | ReviewRequested, ...]

    def outcomes(self, report: str) -> dict[str, Any]:
        """Return the outcome of each message of a report, by the narrative that the message came with."""
        of = {message: one for message, one in self.cases.items() if one.report_id.endswith(report)}
        ended = [event for event in self.ended if event.message_id in of]
        assert sorted(event.message_id for event in ended) == sorted(of), "one outcome for each message"
        return {of[event.message_id].narrative: event for event in ended}


@pytest.fixture(scope="module")
def sent(mesh: Mesh, demo_run: DemoRun) -> Sent:
    assert demo_run.status == 0
    doors = [event for door in ("urgent", "normal") for event in mesh.events(f"case.received.{door}")]
    ended = (*mesh.events("case.decided"), *mesh.events("case.review"))
    return Sent(mesh, {event.case.message_id: event.case for event in doors}, ended)


def by_start(found: dict[str, Any], start: str) -> Any:
    (one,) = [event for narrative, event in found.items() if narrative.startswith(start)]
    return one


def test_a_follow_up_is_decided_after_the_first(sent: Sent) -> None:
    found = sent.outcomes("-0040")
    assert len(found) == 2
    assert all(getattr(one, "decision", "") not in ("superseded", "nullified") for one in found.values())


def test_a_version_that_comes_late_is_superseded(sent: Sent) -> None:
    found = sent.outcomes("-0041")
    late = found["Flushing of the face."]
    assert (late.decision, late.rule) == ("superseded", "superseded")
    newer = by_start(found, "Flushing of the face. Follow-up")
    assert getattr(newer, "decision", "auto_accepted") == "auto_accepted"


def test_a_nullification_is_confirmed_by_a_person_and_ends_older_versions(sent: Sent) -> None:
    found = sent.outcomes("-0042")
    withdrawn = by_start(found, "Entered for the wrong product")
    assert withdrawn.question
    assert found["Rash on one arm."].decision == "nullified"
    assert getattr(found["Rash on both arms."], "decision", "") != "nullified"


def test_two_contents_under_one_version_are_a_conflict_for_a_person(sent: Sent) -> None:
    found = sent.outcomes("-0043")
    first = found["Fatigue since the tablets."]
    second = found["Fatigue since the tablets, and blood in the urine."]
    assert second.conflict_with == first.message_id
    assert second.question


def test_a_message_that_is_written_twice_ends_once(mesh: Mesh, sent: Sent) -> None:
    assert sent.cases
    first = next(row for row in mesh.rows("case.received.normal") if row.key.endswith("-0044"))
    message = first.headers.messageid

    def concluded() -> int:
        """How many times the supervisor has taken the message."""
        return sum(one.stage == "supervisor" and one.message_id == message for one in mesh.events("audit"))

    def outcomes() -> int:
        return sum(row.headers.messageid == message for row in mesh.rows("case.decided", "case.review"))

    before = concluded()
    assert outcomes() == 1
    producer = ck.Producer({"bootstrap.servers": mesh.urls.kafka, "partitioner": "murmur2_random"})
    producer.produce(
        first.topic, key=first.key.encode(), value=first.value, headers=list(to_headers(first.headers))
    )
    assert producer.flush(30) == 0
    until(lambda: concluded() == before + 1, within_s=PASSED_S, what="the supervisor's second look")
    assert outcomes() == 1


def test_bytes_that_nobody_can_read_are_dead_lettered_whole(mesh: Mesh, demo_run: DemoRun) -> None:
    """An unknown schema id, and a record cut in the middle: accepted, then dead-lettered with their bytes."""
    assert demo_run.status == 0
    known = next(iter(mesh.rows("case.received.normal"))).value
    assert known is not None
    unknown = b"\x00\x7f\xff\xff\xff" + known[5:]
    cut = known[: len(known) // 2]
    before = mesh.case("list", "--limit", "0")
    producer = ck.Producer({"bootstrap.servers": mesh.urls.kafka, "partitioner": "murmur2_random"})
    keys = [f"default/unreadable-{uuid4().hex}" for _ in range(2)]
    for key, value in zip(keys, (unknown, cut), strict=True):
        producer.produce(topic("case.received.normal"), key=key, value=value)
    assert producer.flush(30) == 0

    def dead() -> list[Any]:
        return [one for one in mesh.events("deadletter") if one.value in (unknown, cut)]

    until(lambda: len(dead()) == 2, within_s=PASSED_S, what="two dead letters")
    letters = {one.value: one for one in dead()}
    assert letters.keys() == {unknown, cut}
    for one in letters.values():
        assert (one.stage, one.topic) == ("router", topic("case.received.normal"))
        assert one.code.startswith("VM-10")
        assert one.cause
    after = mesh.case("list", "--limit", "0")
    assert after["accepted"] == before["accepted"] + 2
    places = Counter(one["place"] for one in after["cases"])
    places.subtract(Counter(one["place"] for one in before["cases"]))
    assert +places == Counter(dead_lettered=2)
