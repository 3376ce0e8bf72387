"""Parked cases in a whole mesh: they come back to the topic they left, once, when due or when their pause is lifted."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from meshes import Mesh, child_of, vigimesh
from vigimesh.adapters.kafka.client import common
from vigimesh.adapters.kafka.history import scan
from vigimesh.adapters.kafka.producer import KafkaProducer
from vigimesh.app.cases.history import audit_facts, named
from vigimesh.app.mesh.reckoning import RECKONED
from vigimesh.domain.record.checker import check
from vigimesh.events.case import Case
from vigimesh.events.classes import AuditRecorded, CaseReceived, CaseRouted, EventParked, Header, Route
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope, to_headers
from vigimesh.events.topics import lane_topic, topic
from vigimesh.loop.broker import Write
from waiting import until

pytestmark = pytest.mark.real

#: Seconds for the cases to pass all stages on a machine that does other things too.
PASSED_S = 120.0
CASES = 120
DOOR = topic("case.received.normal")


def resumer_pid(mesh: Mesh) -> int:
    """Find the resumer among the children of `vigimesh dev`; 0 while there is none."""
    found = child_of(mesh.pid, "vigimesh resumer")
    return found.pid if found else 0


def parked(codec: Codec, tag: str, number: int, not_before: datetime) -> Write:
    """Return a case as a stage parks it that has taken it from the door."""
    message = f"{tag}.{number}"
    case = Case(message_id=message, case_id=f"{tag}/{number}", narrative="Headache after the second dose.")
    received = Envelope(
        id=message, source="/test", type="vigimesh.CaseReceived", time=datetime.now(UTC),
        subject=case.case_id, messageid=message,
    )  # fmt: skip
    event = EventParked(
        event_id=message, not_before=not_before, resume_topic=DOOR, reason="held", workflow="triage",
        key=case.case_id.encode(), headers=tuple(Header(name=n, value=v) for n, v in to_headers(received)),
        value=codec.encode(DOOR, CaseReceived(case=case)),
    )  # fmt: skip
    own = Envelope(
        id=f"{message}.parked", source="/test", type="vigimesh.EventParked", time=datetime.now(UTC), subject=message,
        messageid=message, workflow="triage",
    )  # fmt: skip
    name = topic("parked")
    return Write(topic=name, key=message.encode(), value=codec.encode(name, event), headers=to_headers(own))


async def write(mesh: Mesh, writes: list[Write], tag: str) -> None:
    producer = KafkaProducer(common(mesh.urls.kafka, {}), f"vigimesh.test.{tag}")
    await producer.renew()
    producer.begin()
    for one in writes:
        producer.write(one)
    await producer.commit()
    await producer.close()


def test_parked_cases_come_back_once_though_the_resumer_is_killed(mesh: Mesh) -> None:
    codec, tag = mesh.codec, uuid4().hex[:12]
    due = datetime.now(UTC) + timedelta(seconds=3)
    moments = [due + timedelta(milliseconds=25 * number) for number in range(CASES)]
    writes = [parked(codec, tag, number, moment) for number, moment in enumerate(moments)]
    asyncio.run(write(mesh, writes, tag))

    def back() -> list[str]:
        return [row.headers.id for row in mesh.rows("case.received.normal") if tag in row.headers.id]

    until(lambda: len(back()) >= 5, within_s=PASSED_S, what="the first cases at the door")
    # 0, while there is none, would be the whole group of this process.
    killed = until(lambda: resumer_pid(mesh), within_s=PASSED_S, what="the resumer")
    os.kill(killed, signal.SIGKILL)
    until(lambda: resumer_pid(mesh) not in (0, killed), within_s=PASSED_S, what="another resumer")

    def ended() -> list[str]:
        rows = mesh.rows("case.decided", "case.review")
        return [row.headers.messageid for row in rows if tag in row.headers.messageid]

    until(lambda: len(set(ended())) >= CASES, within_s=PASSED_S, what="an outcome of each case")
    expected = Counter(f"{tag}.{number}" for number in range(CASES))
    assert Counter(back()) == expected
    assert Counter(ended()) == expected
    audits = [event for event in mesh.events("audit") if isinstance(event, AuditRecorded)]
    resumed = [audit for audit in audits if audit.stage == "resumer" and tag in audit.event_id]
    assert Counter(audit.event_id for audit in resumed) == expected
    assert {audit.action for audit in resumed} == {"resumed"}
    newest = {row.key: row for row in mesh.rows("parked") if tag in row.key}
    assert [key for key, row in newest.items() if row.value is not None] == []
    starts = {row.headers.id: row.at for row in mesh.rows("case.received.normal") if tag in row.headers.id}
    early = [n for n, moment in enumerate(moments) if starts[f"{tag}.{n}"] < moment - timedelta(seconds=0.1)]
    assert early == []
    rows = [row for row in named(scan(mesh.urls.kafka, RECKONED), codec) if tag in row.headers.messageid]
    found = check(rows, audits=list(audit_facts(rows, codec)))
    assert (found.accepted, found.lost, found.duplicated, found.torn) == (CASES, 0, 0, 0)
    assert found.parked == 0


def routed(codec: Codec, tag: str, number: int) -> Write:
    """Return a case as the router hands it to the cold lane."""
    message, name = f"{tag}.{number}", lane_topic("plan", "cold")
    case = Case(message_id=message, case_id=f"{tag}/{number}", narrative="Headache after the second dose.")
    route = Route(workflow="triage", lane="cold", rule="r", reason="r", card_digest="", version=("", ""),
                  received_at=datetime.now(UTC))  # fmt: skip
    head = Envelope(
        id=message, source="/test", type="vigimesh.CaseRouted", time=datetime.now(UTC), subject=case.case_id,
        messageid=message, workflow="triage", lane="cold",
    )  # fmt: skip
    value = codec.encode(name, CaseRouted(case=case, route=route))
    return Write(topic=name, key=case.case_id.encode(), value=value, headers=to_headers(head))


def test_what_a_paused_lane_has_parked_goes_on_soon_after_it_is_unpaused(mesh: Mesh) -> None:
    """The pause was to last eight hours."""
    tag = uuid4().hex[:12]

    def lane(verb: str) -> None:
        answer = vigimesh("lane", verb, "cold", "--reason", "test", "--data", mesh.data, "--json")
        assert answer.status == 0, answer.err

    def of(*topics: str) -> Counter[str]:
        return Counter(
            row.headers.messageid for row in mesh.rows(*topics) if tag in row.headers.messageid and row.value
        )

    expected = Counter(f"{tag}.{number}" for number in range(CASES))
    lane("drain")
    try:
        asyncio.run(write(mesh, [routed(mesh.codec, tag, number) for number in range(CASES)], tag))
        # A worker that heard of the pause late may have let some through.
        until(
            lambda: len(of("parked", "case.decided", "case.review")) >= CASES,
            within_s=PASSED_S,
            what="what is parked",
        )
        assert of("parked")
    finally:
        lane("unpause")
    until(
        lambda: len(of("case.decided", "case.review")) >= CASES,
        within_s=PASSED_S,
        what="an outcome of each case",
    )
    assert of("case.decided", "case.review") == expected
    audits = [one for one in mesh.events("audit") if isinstance(one, AuditRecorded) and tag in one.message_id]
    back = [one for one in audits if one.stage == "resumer"]
    # As often as it was parked: a worker that hears late that the pause was lifted parks what has come back once more.
    assert Counter(one.message_id for one in back) == of("parked")
    assert all(one.why.startswith("called back, since its pause was lifted, before ") for one in back)
