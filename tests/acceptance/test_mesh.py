"""What a running mesh tells of itself: one trace per case, health and metrics, the history of each case."""

from __future__ import annotations

import http.client
from functools import partial

import pytest

from mesh_fixture import DemoRun
from meshes import Mesh, Span
from vigimesh.app.mesh.fleet import BESIDE, seats
from vigimesh.domain.record.rows import Row
from vigimesh.events.topics import STAGES
from waiting import WAIT_S, until

pytestmark = pytest.mark.real

#: Seconds for spans to be sent: workers send what they have every few seconds.
SENT_S = 60.0
#: Cases looked at from each door.
LOOKED_AT = 20
SERVICES = tuple(f"vigimesh-{stage}" for stage in STAGES)


def get(url: str) -> tuple[int, str]:
    host, _, path = url.removeprefix("http://").partition("/")
    asked = http.client.HTTPConnection(host, timeout=WAIT_S)
    try:
        asked.request("GET", f"/{path}")
        answer = asked.getresponse()
        return answer.status, answer.read().decode()
    finally:
        asked.close()


def chain(spans: list[Span], start: str) -> list[str]:
    """Follow the spans from parent to child, from the door's span on; return the services in that order."""
    by_parent: dict[str, list[Span]] = {}
    for span in spans:
        by_parent.setdefault(span.parent, []).append(span)
    found, at = [], start
    while at in by_parent:
        # A record that was written twice gives the same span twice.
        child = by_parent.pop(at)[0]
        found.append(child.service)
        at = child.span
    return found


@pytest.fixture(scope="module")
def doors(mesh: Mesh, demo_run: DemoRun) -> dict[str, Row]:
    """Return the received record of each message, the first of those that came again."""
    assert demo_run.status == 0
    rows = mesh.rows("case.received.urgent", "case.received.normal")
    return {row.headers.messageid: row for row in reversed(rows) if row.headers.messageid}


def test_one_trace_per_case_through_five_processes(mesh: Mesh, doors: dict[str, Row]) -> None:
    outcomes = {row.headers.messageid: row for row in mesh.rows("case.decided", "case.review")}
    urgent = [message for message, row in doors.items() if row.topic.endswith("urgent")]
    normal = [message for message, row in doors.items() if row.topic.endswith("normal")]
    assert len(urgent) >= 5
    assert len(normal) >= LOOKED_AT
    codec = mesh.codec
    for message in (*urgent[:LOOKED_AT], *normal[:LOOKED_AT]):
        _, trace, first, _ = doors[message].headers.traceparent.split("-")
        spans = until(partial(whole, mesh, trace), within_s=SENT_S, what="spans of all five processes")
        services = chain(spans, first)
        # A case that came back for another pass goes from planner to supervisor again.
        assert tuple(services[:5]) == SERVICES
        assert set(services[5:]) <= set(SERVICES[1:])
        assert len(services) == len({span.span for span in spans})
        assert outcomes[message].headers.traceparent.split("-")[1] == trace
        values = [value for span in spans for value in span.attributes.values()]
        narrative = codec.decode(doors[message].topic, doors[message].value or b"").case.narrative
        assert not any(narrative[:30] in value for value in values if narrative), "a span quotes the case"


def whole(mesh: Mesh, trace: str) -> list[Span]:
    """Return the spans of a trace as soon as all five processes have sent theirs, else nothing."""
    spans = mesh.spans.of(trace)
    return spans if len({span.service for span in spans}) == len(SERVICES) else []


def ready(url: str) -> bool:
    return get(f"{url}/readyz")[0] == 200


#: What the processes that are no stage count first.
NO_STAGE = {"controller": "vigimesh_controller_leading", "librarian": "vigimesh_librarian_done"}


def test_health_and_metrics_of_every_worker(mesh: Mesh, demo_run: DemoRun) -> None:
    assert demo_run.status == 0
    assert set(mesh.health) == {*seats(), *BESIDE}
    for seat, url in mesh.health.items():
        assert get(f"{url}/livez")[0] == 200, seat
        # Ready is what a worker is by its last turn: a slow commit takes it back until the next.
        until(partial(ready, url), within_s=SENT_S, what=f"a ready {seat}")
        status, text = get(f"{url}/metrics")
        assert status == 200
        stage, _, lane = seat.partition(".")
        mine = NO_STAGE.get(stage, f'stage="{stage}"')
        counted = [line for line in text.splitlines() if line.startswith("vigimesh_") and mine in line]
        assert any(float(line.rsplit(" ", 1)[1]) > 0 for line in counted), text
        # A process of one lane knows nothing of the others.
        assert not lane or all(f'lane="{lane}"' in line for line in counted if 'lane="' in line), text


def test_every_case_can_be_listed_shown_and_traced(
    mesh: Mesh, demo_run: DemoRun, doors: dict[str, Row]
) -> None:
    listed = mesh.case("list", "--limit", "0")
    cases = {one["message_id"]: one for one in listed["cases"]}
    assert doors.keys() <= cases.keys()
    assert listed["accepted"] == len(listed["cases"]) >= demo_run.result["accepted"]
    assert {one["place"] for one in listed["cases"]} <= {"decided", "in_review", "dead_lettered"}
    decided = next(one for one in listed["cases"] if one["decision"] == "auto_accepted")
    assert decided["grade"] <= 2
    assert decided["reason"]

    shown = mesh.case("show", decided["case_id"])
    assert shown["case_id"] == decided["case_id"]
    assert {step["stage"] for step in shown["events"]} >= set(STAGES)
    assert [step["at"] for step in shown["events"]] == sorted(step["at"] for step in shown["events"])

    traces = mesh.case("trace", decided["case_id"])["traces"]
    (trace,) = [one for one in traces if one["message_id"] == decided["message_id"]]
    assert {hop["stage"] for hop in trace["hops"]} == {"intake", *STAGES}
    assert trace["trace_id"] == doors[decided["message_id"]].headers.traceparent.split("-")[1]
    assert trace["total_s"] == pytest.approx(sum(hop["took_s"] for hop in trace["hops"]), abs=1e-3)
