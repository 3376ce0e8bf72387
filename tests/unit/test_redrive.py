"""What settling a dead letter writes, and which letters an operator means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from vigimesh.adapters.kafka.desks.dead_letters import Letter
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.app.operators.redrive import Order, Settling, Wanted, chosen, full_topic, headers_of, moment
from vigimesh.clock import SystemClock
from vigimesh.errors import Broken, Refused
from vigimesh.events import ids
from vigimesh.events.classes import EventDeadLettered, Header
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import from_headers
from vigimesh.events.topics import topic

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
BACK = topic("plan.hot")
CODEC = Codec(MemorySchemas())


def event(number: int = 1, **changes: Any) -> EventDeadLettered:
    given = {
        "event_id": f"e{number}", "topic": BACK, "partition": 2, "offset": number, "stage": "planner",
        "code": "VM-1307", "cause": "planted", "appended_at": NOW, "message_id": f"m{number}", "workflow": "triage",
        "lane": "hot", "key": b"t/case", "headers": (Header(name="ce_id", value=b"e1"),), "value": b"body",
    }  # fmt: skip
    return EventDeadLettered(**{**given, **changes})


def settling(
    action: str = "redriven", objects: dict[str, bytes] | None = None, there: str = BACK
) -> Settling:
    return Settling(
        order=Order(action=action, by="somebody", reason="mended"), codec=CODEC, clock=SystemClock(),
        fetch=(objects or {}).__getitem__, there=frozenset({there}),
    )  # fmt: skip


def test_a_record_goes_back_byte_for_byte_with_its_audit() -> None:
    odd = (
        Header(name="ce_id", value=b"e1"),
        Header(name="x", value=b"\xff\x00"),
        Header(name="x", value=b"again"),
    )
    back, audit = settling().settle(event(headers=odd))
    assert (back.topic, back.key, back.value) == (BACK, b"t/case", b"body")
    assert back.headers == [("ce_id", b"e1"), ("x", b"\xff\x00"), ("x", b"again")]
    assert (audit.topic, audit.key) == (topic("audit"), b"t/case")
    told = CODEC.decode(topic("audit"), audit.value or b"")
    assert (told.stage, told.actor, told.action, told.why) == ("operator", "somebody", "redriven", "mended")
    assert (told.event_id, told.outputs, told.input_digest) == ("e1", ("e1",), ids.digest(b"body"))
    assert from_headers(audit.headers, "").source == "/vigimesh/operator"


def test_a_large_record_goes_back_with_its_bytes_from_the_object_store() -> None:
    body = b"x" * 100
    name = ids.digest(body)
    back, audit = settling(objects={name: body}).settle(event(value=b"", value_ref=name))
    assert back.value == body
    assert CODEC.decode(topic("audit"), audit.value or b"").input_digest == name


def test_each_giving_up_of_an_event_has_an_audit_of_its_own() -> None:
    """Equal ids would make the second redrive look like a repeat of the first."""
    first, again = (from_headers(settling().settle(event(offset=o))[1].headers, "").id for o in (1, 2))
    assert first != again
    assert first == from_headers(settling().settle(event(offset=1))[1].headers, "").id


def test_what_is_closed_writes_its_audit_only_and_needs_no_bytes() -> None:
    (audit,) = settling("closed", there="nowhere").settle(event(value=b"", value_ref="0" * 64))
    told = CODEC.decode(topic("audit"), audit.value or b"")
    assert (told.action, told.outputs, told.new, told.input_digest) == ("closed", (), "closed", "0" * 64)


@pytest.mark.parametrize(
    ("back", "there"), [(BACK, "elsewhere"), (topic("audit"), topic("audit")), ("x.y", "x.y")]
)
def test_a_record_goes_only_where_a_stage_reads_it(back: str, there: str) -> None:
    with pytest.raises(Refused, match="VM-1721"):
        settling(there=there).settle(event(topic=back))


def test_a_damaged_object_is_not_sent() -> None:
    def damaged(_: str) -> bytes:
        raise Broken("VM-1602", what="planted")

    made = settling()
    made.fetch = damaged
    with pytest.raises(Broken):
        made.settle(event(value=b"", value_ref="0" * 64))


@pytest.mark.parametrize(
    "headers", [(), (Header(name="ce_id", value=b""),), (Header(name="other", value=b"x"),)]
)
def test_a_record_without_an_id_keeps_the_one_it_was_given_up_under(headers: tuple[Header, ...]) -> None:
    made = headers_of(event(event_id="vigimesh.plan.hot-2-1", headers=headers))
    assert from_headers(made, "").id == "vigimesh.plan.hot-2-1"
    assert made[: len(headers)] == [(header.name, header.value) for header in headers]


def test_flow_is_counted_once_per_workflow_and_lane() -> None:
    events = [
        event(1),
        event(2),
        event(3, topic=topic("plan.cold"), lane="cold"),
        event(4, workflow="", lane=""),
    ]
    found = [CODEC.decode(topic("flow"), write.value or b"") for write in settling().total(events)]
    assert [(f.workflow, f.lane, f.consumed, f.produced, f.sent) for f in found] == [
        ("", "", 1, 1, {BACK: 1}), ("triage", "cold", 1, 1, {topic("plan.cold"): 1}), ("triage", "hot", 2, 2, {BACK: 2}),
    ]  # fmt: skip
    closed = [
        CODEC.decode(topic("flow"), write.value or b"") for write in settling("closed").total(events[:2])
    ]
    assert [(f.consumed, f.produced, f.sent) for f in closed] == [(2, 0, {})]


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (Wanted(), [1, 2, 3]), (Wanted(given=("e1", "e3")), [1, 3]), (Wanted(given=("e",)), [1, 2, 3]),
        (Wanted(code="VM-1003"), [2]), (Wanted(stage="router"), [2]), (Wanted(topic=topic("plan.cold")), [3]),
        (Wanted(workflow="signal"), [3]), (Wanted(lane="hot", code="VM-1307"), [1]),
        (Wanted(since=NOW + timedelta(hours=2)), [2, 3]), (Wanted(until=NOW + timedelta(hours=2)), [1]),
    ],
)  # fmt: skip
def test_filters_take_what_they_name(wanted: Wanted, numbers: list[int]) -> None:
    events = [
        event(1),
        event(2, code="VM-1003", stage="router"),
        event(3, topic=topic("plan.cold"), workflow="signal", lane="cold"),
    ]
    letters = [Letter(at=NOW + timedelta(hours=n), mark="", event=e) for n, e in enumerate(events, start=1)]
    assert [int(letter.event.event_id[1:]) for letter in chosen(letters, wanted)] == numbers
    assert wanted.everything == (wanted == Wanted())


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("", None), ("90m", NOW - timedelta(minutes=90)), ("3d", NOW - timedelta(days=3)), ("5s", NOW - timedelta(seconds=5)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)), ("2026-03-01T10:00+02:00", datetime(2026, 3, 1, 8, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_a_time_is_a_date_or_an_age(text: str, at: datetime | None) -> None:
    assert moment(text, NOW) == at


@pytest.mark.parametrize("text", ["yesterday", "3w", "-3d", "1.5h", "2026-13-01"])
def test_another_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        moment(text, NOW)


def test_a_topic_may_go_by_its_short_name() -> None:
    assert full_topic("plan.hot") == full_topic(BACK) == BACK
    assert (full_topic(""), full_topic("x")) == ("", "x")
