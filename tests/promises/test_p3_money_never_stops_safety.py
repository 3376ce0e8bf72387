"""P3: out of money means a cheaper tier, then waiting if the clock allows, then a person; no serious case waits for it.

A run whose month has money for half of its opinions, and a certificate from its topics: who waits, and what the tools say
of it when they are asked again.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from tight_fixture import EACH, MONTH_MICRO, VACCINES, VACCINES_MICRO, Tight, name_of, short_run
from vigimesh.domain.budget.waiting import ROOM
from vigimesh.domain.record.money_waits import Audited, Certificate, Known, certify
from vigimesh.domain.safety.grade import SERIOUS_GRADE
from vigimesh.domain.safety.tools import run_steps
from vigimesh.events.classes import (
    AuditRecorded,
    CaseDecided,
    EventParked,
    EvidenceRetrieved,
    ReviewRequested,
    Triage,
)
from vigimesh.events.topics import LANES
from vigimesh.tool_executor.execute import tools_of

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def parked(tight: Tight) -> list[EventParked]:
    """Return what waits, parked."""
    found: list[EventParked] = tight.mesh.events("parked")
    return found


def triaged(tight: Tight, parked: EventParked) -> Triage:
    """Ask the tools again about a case that waits."""
    event: EvidenceRetrieved = tight.mesh.codec.decode(parked.resume_topic, parked.value)
    return worked_out(event)


def worked_out(event: EvidenceRetrieved) -> Triage:
    steps, text = tools_of(event.plan.steps), event.case.narrative
    return run_steps(steps, event.case, text, event.passages, event.route.received_at)[1]


def test_the_run_was_short_of_money_and_every_case_is_accounted_for(tight: Tight) -> None:
    found = tight.result
    assert (found["lost"], found["duplicated"], found["torn"], found["in_flight"]) == (0, 0, 0, 0)
    assert found["accepted"] == 3 * EACH
    assert 0 < found["model_calls"] < 2 * EACH, "the money must last for some and not for all"
    assert 0 < found["parked"] <= EACH
    assert 0 < found["spend_micro"] <= MONTH_MICRO


def test_no_case_that_waits_could_be_serious_and_each_comes_back_before_its_clock(
    tight: Tight, parked: list[EventParked]
) -> None:
    assert len(parked) == tight.result["parked"]
    for one in parked:
        result = triaged(tight, one)
        assert (result.valid, result.serious) == (True, "no")
        assert result.grade < SERIOUS_GRADE
        assert result.clock.due_at is not None
        assert one.not_before <= result.clock.due_at - ROOM


def test_every_serious_case_and_every_case_not_known_is_with_a_person(tight: Tight) -> None:
    reviews: list[ReviewRequested] = tight.mesh.events("case.review")
    decided: list[CaseDecided] = tight.mesh.events("case.decided")
    asked = {one.case_id for one in reviews if one.serious != "no"}
    serious, unknown = (
        {f"default/{name_of(number)}" for number in range(3 * EACH) if number % 3 == rest} for rest in (0, 1)
    )
    assert serious <= asked
    # Of the others only an answer that was paid for makes one known.
    concluded: list[CaseDecided | ReviewRequested] = [*decided, *reviews]
    told_no = {one.case_id for one in concluded if settled_by_the_model(one)}
    paid: set[str] = {one.case_id for one in tight.mesh.events("usage") if one.kind == "model_call"}
    assert unknown <= asked | told_no
    assert told_no <= paid
    told = [one for one in reviews if one.serious == "unknown"]
    unasked = [
        one.reason for one in told if "large_model says not asked: the budget has no room" in one.reason
    ]
    assert unasked, (
        "some of those that nobody knows of had no opinion for want of money, and their reasons say so"
    )


def settled_by_the_model(one: CaseDecided | ReviewRequested) -> bool:
    reasons = one.triage.grade_reasons if one.triage else ()
    return one.serious == "no" and reasons[0].startswith("large model: serious no")


def test_every_deferred_case_is_listed_with_its_reason(tight: Tight, parked: list[EventParked]) -> None:
    deferred = tight.result["deferred"]
    assert len(deferred) == len(parked)
    assert all(one["reason"].startswith("waits for money: the budget has no room") for one in deferred)
    assert all(datetime.fromisoformat(one["until"]) > tight.ended_at for one in deferred)
    listed = tight.told("case", "list", "--outcome", "parked", "--limit", "0")["cases"]
    assert {one["message_id"] for one in listed} == {one["message_id"] for one in deferred}
    assert all("waits for money" in one["reason"] for one in listed)


def test_audit_says_of_each_that_waits_who_made_it_wait_and_why(
    tight: Tight, parked: list[EventParked]
) -> None:
    audits: list[AuditRecorded] = [one for one in tight.mesh.events("audit") if one.action == "parked"]
    assert {(one.stage, one.event_id) for one in audits} == {
        ("tool-executor", one.event_id) for one in parked
    }
    reasons: dict[str, Any] = {one.event_id: one.reason for one in parked}
    assert all(one.why == reasons[one.event_id] for one in audits)


def test_the_certificate_of_the_whole_record_holds_and_would_not_had_a_serious_case_waited(
    tight: Tight,
) -> None:
    """From `audit`, and the events that it names: worked out by the tools anew, which the mesh was not asked about."""
    found = certified(tight)
    assert found.holds, found
    assert (found.waits, found.back) == (tight.result["parked"], 0)
    # The same record, of which one event is another than the mesh took it for, or is not there.
    assert certified(tight, serious="yes").serious
    assert len(certified(tight, lose=True).unread) == found.waits


def certified(tight: Tight, *, serious: str = "", lose: bool = False) -> Certificate:
    """Return the certificate of the run; `serious` is put in the place of what the tools find, `lose` takes all events away."""
    codec = tight.mesh.codec
    events: dict[str, EvidenceRetrieved] = {}
    ends: dict[str, CaseDecided | ReviewRequested] = {}
    audit = []
    for row in tight.mesh.rows(
        "audit", *(f"execute.{lane}" for lane in LANES), "case.decided", "case.review"
    ):
        if not row.headers.type or row.value is None:
            continue
        event = codec.decode(row.topic, row.value)
        match event:
            case AuditRecorded():
                audit.append(Audited(at=row.at, record=event))
            case EvidenceRetrieved():
                events[row.headers.id] = event
            case CaseDecided() | ReviewRequested():
                ends[row.headers.id] = event

    def known_of(record: AuditRecorded) -> Known | None:
        event = None if lose else events.get(record.event_id)
        if event is None:
            return None
        triage = worked_out(event)
        triage = replace(triage, serious=serious or triage.serious)
        return Known(triage=triage, lane=event.route.lane, received_at=event.route.received_at)

    return certify(audit, known_of, ends, datetime.now(UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class Third:
    """A month whose money ends on the third day: how many reports each day has, and what the run ended with."""

    sizes: tuple[int, ...]
    result: dict[str, Any]


@pytest.fixture(scope="module")
def third(tight: Tight, real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Third:
    """Send the reports of three days of VAERS, day after day, through the workflow that has money for two of them.

    Moved to today and the days before it: a clock that ended a generation ago could not be missed any more. All else is as it
    was sent. Comes last in this file, for the tests before it count what is on the topics.
    """
    folder = tmp_path_factory.mktemp("vaers")
    sizes = write_days(real_data / "vaers", folder, datetime.now(UTC))
    return Third(sizes=sizes, result=short_run(tight.mesh, folder, "--by-day").json)


#: Reports of a quiet day, whose opinions the month has money for though all are reserved at once at their worst case; and of the
#: third day, whose opinions cost more than what is left, however cheap each turns out.
QUIET, BUSY = range(3, 8), range(45, 90)


def write_days(source: Path, folder: Path, now: datetime) -> tuple[int, ...]:
    """Write the tables of two quiet days and a busy third one, under new days of receipt; return how many reports each has."""
    for data in sorted(source.glob("*VAERSDATA.csv*")):
        rows = list(table(data))
        days = [(day, list(group)) for day, group in groupby(rows[1:], itemgetter(rows[0].index("RECVDATE")))]
        for at in range(len(days) - 2):
            three = [reports for _, reports in days[at : at + 3]]
            if len(three[0]) in QUIET and len(three[1]) in QUIET and len(three[2]) in BUSY:
                write_tables(data, folder, rows[0], three, now)
                return tuple(map(len, three))
    pytest.skip(f"no two quiet days and a busy one in {source}")


def write_tables(
    data: Path, folder: Path, header: list[str], days: list[list[list[str]]], now: datetime
) -> None:
    column, number = header.index("RECVDATE"), header.index("VAERS_ID")
    moved = []
    for back, reports in zip((2, 1, 0), days, strict=True):
        received = f"{now - timedelta(days=back):%m/%d/%Y}"
        moved += [[*row[:column], received, *row[column + 1 :]] for row in reports]
    names = {row[number] for row in moved}
    write_table(folder / data.name.removesuffix(".gz"), [header, *moved])
    for other in ("SYMPTOMS", "VAX"):
        path = data.with_name(data.name.replace("DATA", other))
        first, *rest = table(path)
        write_table(
            folder / path.name.removesuffix(".gz"), [first, *(row for row in rest if row[0] in names)]
        )


def table(path: Path) -> Iterator[list[str]]:
    packed = path.suffix == ".gz"
    with (gzip.open if packed else open)(path, "rt", encoding="latin-1", newline="") as file:
        yield from csv.reader(file)


def write_table(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", encoding="latin-1", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.mark.data
def test_a_month_s_money_ends_on_the_third_day_of_vaers(tight: Tight, third: Third) -> None:
    found = third.result
    assert (found["lost"], found["duplicated"], found["torn"], found["in_flight"]) == (0, 0, 0, 0)
    days = found["days"]
    assert tuple(day["accepted"] for day in days) == third.sizes
    assert all(day["spend_micro"] > 0 for day in days), "each day something was bought"
    assert [day["parked"] > 0 for day in days] == [False, False, True]
    assert sum(day["spend_micro"] for day in days) == found["spend_micro"] <= VACCINES_MICRO


@pytest.mark.data
def test_on_that_day_no_serious_case_waits_and_no_clock_is_missed(tight: Tight, third: Third) -> None:
    """From the topics alone: the tools are asked again about each report, and the certificate is made of the whole record."""
    codec = tight.mesh.codec
    rows = [
        row
        for row in tight.mesh.rows(*(f"execute.{lane}" for lane in LANES))
        if row.headers.workflow == VACCINES
    ]
    known = {row.headers.messageid: worked_out(codec.decode(row.topic, row.value or b"")) for row in rows}
    assert len(known) == sum(third.sizes)
    serious = {message for message, triage in known.items() if triage.serious == "yes"}
    open_ = {message for message, triage in known.items() if triage.serious == "unknown" or not triage.valid}
    assert serious, "some of the reports are serious"
    ends = [row for row in tight.mesh.rows("case.decided", "case.review") if row.headers.messageid in known]
    asked = {row.headers.messageid for row in ends if row.topic.endswith("review")}
    waits = {row.headers.messageid for row in tight.mesh.rows("parked") if row.headers.messageid in known}
    assert serious <= asked
    assert not waits & (serious | open_)
    assert waits | {row.headers.messageid for row in ends} == known.keys()
    late = [row for row in ends if (due := codec.decode(row.topic, row.value or b"").due_at) and row.at > due]
    assert late == []
    certificate = certified(tight)
    assert certificate.holds, certificate
    assert certificate.waits == tight.result["parked"] + len(waits)


@pytest.mark.data
def test_that_day_every_deferred_case_is_listed_with_its_reason(tight: Tight, third: Third) -> None:
    waits = {row.headers.messageid for row in tight.mesh.rows("parked") if row.headers.workflow == VACCINES}
    deferred = third.result["deferred"]
    assert {one["message_id"] for one in deferred} == waits
    assert all(one["reason"].startswith("waits for money: the budget has no room") for one in deferred)
    answer = tight.told("case", "list", "--outcome", "parked", "--workflow", VACCINES, "--limit", "0")
    listed = {one["message_id"]: one["reason"] for one in answer["cases"]}
    assert listed.keys() == waits
    # There it says until when as well.
    assert all(listed[one["message_id"]].endswith(": " + one["reason"]) for one in deferred)
